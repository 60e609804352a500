/**
 * register: names and numbers of integer registers, floating-point registers and CSRs.
 *
 * Owns    the tables; imports only errors.
 * Used by asm/encode.ts, and by tests that print register names.
 * Holds   every name maps to exactly one number; `fp` and `s0` are the same register.
 */
import { VmError } from "../errors.ts";

/** Integer registers by ABI name, x0 to x31. `fp` (s0) and `x0` ... `x31` are accepted too. */
export const REGISTER_NAMES = [
  "zero",
  "ra",
  "sp",
  "gp",
  "tp",
  "t0",
  "t1",
  "t2",
  "s0",
  "s1",
  "a0",
  "a1",
  "a2",
  "a3",
  "a4",
  "a5",
  "a6",
  "a7",
  "s2",
  "s3",
  "s4",
  "s5",
  "s6",
  "s7",
  "s8",
  "s9",
  "s10",
  "s11",
  "t3",
  "t4",
  "t5",
  "t6",
] as const;

/** Floating-point registers by ABI name, f0 to f31. `f0` ... `f31` are accepted too. */
export const FLOAT_REGISTER_NAMES = [
  "ft0",
  "ft1",
  "ft2",
  "ft3",
  "ft4",
  "ft5",
  "ft6",
  "ft7",
  "fs0",
  "fs1",
  "fa0",
  "fa1",
  "fa2",
  "fa3",
  "fa4",
  "fa5",
  "fa6",
  "fa7",
  "fs2",
  "fs3",
  "fs4",
  "fs5",
  "fs6",
  "fs7",
  "fs8",
  "fs9",
  "fs10",
  "fs11",
  "ft8",
  "ft9",
  "ft10",
  "ft11",
] as const;

/** An integer register: ABI name, `x<n>`, or a number 0 to 31 (for generators). */
export type Reg = (typeof REGISTER_NAMES)[number] | "fp" | `x${number}` | number;

/** A floating-point register: ABI name, `f<n>`, or a number 0 to 31. */
export type FReg = (typeof FLOAT_REGISTER_NAMES)[number] | `f${number}` | number;

/** CSR numbers by name (Privileged, table 2.2 and following; Zicntr; Sstc). */
export const CSR = {
  fflags: 0x001,
  frm: 0x002,
  fcsr: 0x003,
  cycle: 0xc00,
  time: 0xc01,
  instret: 0xc02,
  sstatus: 0x100,
  sie: 0x104,
  stvec: 0x105,
  scounteren: 0x106,
  senvcfg: 0x10a,
  sscratch: 0x140,
  sepc: 0x141,
  scause: 0x142,
  stval: 0x143,
  sip: 0x144,
  stimecmp: 0x14d,
  satp: 0x180,
  mvendorid: 0xf11,
  marchid: 0xf12,
  mimpid: 0xf13,
  mhartid: 0xf14,
  mconfigptr: 0xf15,
  mstatus: 0x300,
  misa: 0x301,
  medeleg: 0x302,
  mideleg: 0x303,
  mie: 0x304,
  mtvec: 0x305,
  mcounteren: 0x306,
  menvcfg: 0x30a,
  mcountinhibit: 0x320,
  mscratch: 0x340,
  mepc: 0x341,
  mcause: 0x342,
  mtval: 0x343,
  mip: 0x344,
  pmpcfg0: 0x3a0,
  pmpcfg2: 0x3a2,
  pmpaddr0: 0x3b0,
  pmpaddr1: 0x3b1,
  pmpaddr2: 0x3b2,
  pmpaddr3: 0x3b3,
  pmpaddr4: 0x3b4,
  pmpaddr5: 0x3b5,
  pmpaddr6: 0x3b6,
  pmpaddr7: 0x3b7,
  pmpaddr8: 0x3b8,
  pmpaddr9: 0x3b9,
  pmpaddr10: 0x3ba,
  pmpaddr11: 0x3bb,
  pmpaddr12: 0x3bc,
  pmpaddr13: 0x3bd,
  pmpaddr14: 0x3be,
  pmpaddr15: 0x3bf,
  tselect: 0x7a0,
  tdata1: 0x7a1,
  tdata2: 0x7a2,
  tdata3: 0x7a3,
  mcycle: 0xb00,
  minstret: 0xb02,
  mhpmcounter3: 0xb03,
  mhpmevent3: 0x323,
} as const;

/** A CSR: a name of `CSR`, or its number 0 to 0xfff. */
export type Csr = keyof typeof CSR | number;

/** CSRs that come in rows: the name of the row, its first number and the numbers of its members. */
const CSR_ROWS: readonly (readonly [string, number, number, number])[] = [
  ["hpmcounter", 0xc00, 3, 31],
  ["mhpmcounter", 0xb00, 3, 31],
  ["mhpmevent", 0x320, 3, 31],
  ["pmpcfg", 0x3a0, 0, 15],
  ["pmpaddr", 0x3b0, 0, 63],
];

const CSR_NAMES = new Map<number, string>([
  ...CSR_ROWS.flatMap(([name, base, first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) => {
      return [base + first + index, `${name}${first + index}`] as const;
    }),
  ),
  ...Object.entries(CSR).map(([name, number]) => [number, name] as const),
]);

/** Name of a CSR, also of those that no key of `CSR` has; "0x7c0" for one without a name. */
export function csrName(csr: Csr): string {
  const number = csrNumber(csr);
  return CSR_NAMES.get(number) ?? `0x${number.toString(16)}`;
}

function numbered(names: readonly string[], letter: string): Map<string, number> {
  const numbers = new Map<string, number>();
  names.forEach((name, index) => {
    numbers.set(name, index);
    numbers.set(letter + index, index);
  });
  return numbers;
}

const REGISTERS = numbered(REGISTER_NAMES, "x").set("fp", 8);
const FLOAT_REGISTERS = numbered(FLOAT_REGISTER_NAMES, "f");

function lookUp(table: Map<string, number>, given: string | number, what: string): number {
  const found = typeof given === "number" ? given : table.get(given);
  if (found === undefined || !Number.isInteger(found) || found < 0 || found > 31) {
    throw new VmError("bad-argument", `${what} ${given}: accepted are ABI names and 0 to 31`);
  }
  return found;
}

/** Number of an integer register; throws VmError "bad-argument" for any other name. */
export function registerNumber(reg: Reg): number {
  return lookUp(REGISTERS, reg, "integer register");
}

/** Number of a floating-point register; throws VmError "bad-argument" for any other name. */
export function floatRegisterNumber(reg: FReg): number {
  return lookUp(FLOAT_REGISTERS, reg, "floating-point register");
}

/** Number of a CSR; throws VmError "bad-argument" for an unknown name or a number over 0xfff. */
export function csrNumber(csr: Csr): number {
  const found = typeof csr === "number" ? csr : CSR[csr];
  if (found === undefined || !Number.isInteger(found) || found < 0 || found > 0xfff) {
    throw new VmError("bad-argument", `CSR ${csr}: accepted are the names of CSR and 0 to 0xfff`);
  }
  return found;
}
