/**
 * instructions: the instructions that a step may be made of, each with its effect on the reference,
 * and the page of stubs that holds every pair of them once.
 *
 * Used by rig.ts.
 * Holds   the first of a pair takes its address from a1, its operand from a2 and leaves its result
 *         in a0; the second uses a4, a5 and a3.
 */
import { Assembler, encode, type Reg } from "../../src/asm/index.ts";
import { type HartState, MASK, MSTATUS, PRIV, type Reference } from "./reference.ts";

interface Registers {
  readonly result: Reg;
  readonly address: Reg;
  readonly operand: Reg;
}

/** Registers of the first and of the second instruction of a pair; numbers for the host. */
export const FIRST = { result: 10, address: 11, operand: 12 } as const;
export const SECOND = { result: 13, address: 14, operand: 15 } as const;
const NAMES: readonly Registers[] = [
  { result: "a0", address: "a1", operand: "a2" },
  { result: "a3", address: "a4", operand: "a5" },
];

/** One instruction. */
interface Kind {
  encode(r: Registers): number;
  /** What it does; `bits` are its own. Null: it writes no result. */
  effect(m: Reference, hart: HartState, address: bigint, operand: bigint, bits: number): Effect;
}
type Effect = bigint | null;

const load = (name: "lbu" | "lhu" | "lwu" | "ld", bytes: number): Kind => ({
  encode: (r) => encode(name, r.result, r.address, 0),
  effect: (m, hart, address) => m.load(hart, address, bytes),
});

const store = (name: "sb" | "sh" | "sw" | "sd", bytes: number): Kind => ({
  encode: (r) => encode(name, r.operand, r.address, 0),
  effect: (m, hart, address, operand) => m.store(hart, address, bytes, operand),
});

type AmoName = "amoswapD" | "amoorD" | "amoandD" | "amoaddW" | "amoswapW";
const amo = (
  name: AmoName,
  bytes: number,
  combine: (old: bigint, operand: bigint) => bigint,
): Kind => ({
  encode: (r) => encode(name, r.result, r.operand, r.address),
  effect: (m, hart, address, operand) =>
    m.amo(hart, address, bytes, (old) => combine(old, operand)),
});

/** A CSR write in M-mode; elsewhere an illegal instruction. */
const csr = (
  encodeIt: (r: Registers) => number,
  write: (hart: HartState, operand: bigint) => void,
  lowest: number = PRIV.M,
): Kind => ({
  encode: encodeIt,
  effect: (m, hart, _address, operand, bits) => {
    if (hart.priv < lowest) m.illegal(bits);
    write(hart, operand);
    return null;
  },
});

const PMP_ADDRESS = 0x3f_ffff_ffff_ffffn;
const CONTEXT = MSTATUS.SUM | MSTATUS.MXR;

function writeConfig(hart: HartState, operand: bigint): void {
  for (let entry = 0; entry < 8; entry++) {
    const config = Number((operand >> BigInt(entry * 8)) & 0x1fn);
    hart.pmpConfig[entry] = (config & 1) === 0 ? config & ~2 : config;
  }
}

const pmpAddress = (entry: number): Kind =>
  csr(
    (r) => encode("csrrw", "zero", 0x3b0 + entry, r.operand),
    (hart, operand) => {
      hart.pmpAddress[entry] = operand & PMP_ADDRESS;
    },
  );

function writeSatp(hart: HartState, operand: bigint): void {
  const mode = operand >> 60n;
  if (mode !== 0n && (mode < 8n || mode > 10n)) return;
  hart.satp = operand & 0xf000_0fff_ffff_ffffn;
}

/**
 * By name. CSR operands must be ones that a hart of this shape can hold; the mstatus forms change
 * SUM and MXR alone.
 */
export const KINDS = {
  lbu: load("lbu", 1),
  lhu: load("lhu", 2),
  lwu: load("lwu", 4),
  ld: load("ld", 8),
  sb: store("sb", 1),
  sh: store("sh", 2),
  sw: store("sw", 4),
  sd: store("sd", 8),
  amoswapD: amo("amoswapD", 8, (_old, operand) => operand),
  amoorD: amo("amoorD", 8, (old, operand) => old | operand),
  amoandD: amo("amoandD", 8, (old, operand) => old & operand),
  amoaddW: amo("amoaddW", 4, (old, operand) => (old + operand) & MASK),
  amoswapW: amo("amoswapW", 4, (_old, operand) => operand),
  lrD: {
    encode: (r) => encode("lrD", r.result, r.address),
    effect: (m, hart, address) => m.loadReserved(hart, address, 8),
  },
  scD: {
    encode: (r) => encode("scD", r.result, r.operand, r.address),
    effect: (m, hart, address, operand) => m.storeConditional(hart, address, 8, operand),
  },
  cboZero: {
    encode: (r) => encode("cboZero", r.address),
    effect: (m, hart, address, _operand, bits) => {
      if (hart.priv === PRIV.U) m.illegal(bits); // senvcfg.CBZE is clear
      return m.zeroBlock(hart, address);
    },
  },
  sfence: csr(
    (r) => encode("sfenceVma", r.address, "zero"),
    () => {},
    PRIV.S,
  ),
  sfenceAll: csr(
    () => encode("sfenceVma", "zero", "zero"),
    () => {},
    PRIV.S,
  ),
  satp: csr((r) => encode("csrrw", "zero", "satp", r.operand), writeSatp, PRIV.S),
  mstatusSet: csr(
    (r) => encode("csrrs", "zero", "mstatus", r.operand),
    (hart, operand) => {
      hart.mstatus |= operand & CONTEXT;
    },
  ),
  mstatusClear: csr(
    (r) => encode("csrrc", "zero", "mstatus", r.operand),
    (hart, operand) => {
      hart.mstatus &= ~(operand & CONTEXT);
    },
  ),
  menvcfg: csr(
    (r) => encode("csrrw", "zero", "menvcfg", r.operand),
    (hart, operand) => {
      hart.menvcfg = operand;
    },
  ),
  pmpcfg0: csr((r) => encode("csrrw", "zero", "pmpcfg0", r.operand), writeConfig),
  pmpaddr0: pmpAddress(0),
  pmpaddr1: pmpAddress(1),
  pmpaddr2: pmpAddress(2),
  nop: {
    encode: () => encode("addi", "zero", "zero", 0),
    effect: () => null,
  },
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;
export const KIND_NAMES = Object.keys(KINDS) as KindName[];

/** Bytes of one stub: two instructions. */
const STUB_BYTES = 8;
/** Where the handler of every trap is, behind the stubs: nops. */
export const HANDLER_OFFSET = Math.ceil((KIND_NAMES.length ** 2 * STUB_BYTES) / 4096) * 4096;
export const STUBS_BYTES = HANDLER_OFFSET + 4096;

/** Offset of the stub whose first instruction is `first` and whose second is `second`. */
export function stubOffset(first: KindName, second: KindName): number {
  const [row, column] = [KIND_NAMES.indexOf(first), KIND_NAMES.indexOf(second)];
  return (row * KIND_NAMES.length + column) * STUB_BYTES;
}

/** The bits of an instruction as the first (0) or second (1) of a stub. */
export function bitsOf(kind: KindName, position: number): number {
  return KINDS[kind].encode(NAMES[position]) >>> 0;
}

/** Every stub, and the handler's page. */
export function stubBytes(): Uint8Array {
  const a = new Assembler();
  for (const first of KIND_NAMES) {
    for (const second of KIND_NAMES) a.u32(bitsOf(first, 0), bitsOf(second, 1));
  }
  while (a.length < STUBS_BYTES) a.nop();
  return a.assemble().bytes;
}
