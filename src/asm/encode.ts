/**
 * encode: from operands to the bits of one instruction, one function per form of the table.
 *
 * Used by asm/assembler.ts. Pure: no state, no labels; a target is already a byte distance here.
 * Holds   an operand that does not fit throws VmError "bad-argument" that says the range; nothing
 *         is truncated.
 */
import { VmError } from "../errors.ts";
import {
  type Csr,
  csrNumber,
  type FReg,
  floatRegisterNumber as f,
  type Reg,
  registerNumber as x,
} from "./register.ts";

/**
 * Rounding mode of a floating-point instruction; a number writes the field as is (5 and 6 are
 * reserved).
 */
export type Rounding = "rne" | "rtz" | "rdn" | "rup" | "rmm" | "dyn" | number;
/** Ordering bits of an atomic. */
export type Ordering = "" | "aq" | "rl" | "aqrl";
/** A place to jump to: a label, or a distance in bytes from the instruction itself. */
export type Target = string | number;

/**
 * Operands of each form, in the order of the assembly language except that memory is (value, base,
 * offset).
 */
export interface FormOperands {
  r: [rd: Reg, rs1: Reg, rs2: Reg];
  i: [rd: Reg, rs1: Reg, immediate: number];
  shift: [rd: Reg, rs1: Reg, amount: number];
  shiftW: [rd: Reg, rs1: Reg, amount: number];
  unary: [rd: Reg, rs1: Reg];
  load: [rd: Reg, base: Reg, offset?: number];
  store: [source: Reg, base: Reg, offset?: number];
  branch: [rs1: Reg, rs2: Reg, target: Target];
  upper: [rd: Reg, immediate20: number];
  jump: [rd: Reg, target: Target];
  jumpRegister: [rd: Reg, base: Reg, offset?: number];
  fence: [predecessor?: string, successor?: string];
  fenceVma: [address?: Reg, asid?: Reg];
  cacheBlock: [base: Reg];
  plain: [];
  csr: [rd: Reg, csr: Csr, rs1: Reg];
  csrImmediate: [rd: Reg, csr: Csr, immediate5: number];
  amo: [rd: Reg, source: Reg, base: Reg, ordering?: Ordering];
  loadReserved: [rd: Reg, base: Reg, ordering?: Ordering];
  fLoad: [fd: FReg, base: Reg, offset?: number];
  fStore: [source: FReg, base: Reg, offset?: number];
  fRound: [fd: FReg, fs1: FReg, fs2: FReg, rounding?: Rounding];
  fPair: [fd: FReg, fs1: FReg, fs2: FReg];
  fCompare: [rd: Reg, fs1: FReg, fs2: FReg];
  fFused: [fd: FReg, fs1: FReg, fs2: FReg, fs3: FReg, rounding?: Rounding];
  fRoot: [fd: FReg, fs1: FReg, rounding?: Rounding];
  fWiden: [fd: FReg, fs1: FReg];
  fToInt: [rd: Reg, fs1: FReg, rounding?: Rounding];
  fToIntExact: [rd: Reg, fs1: FReg];
  fFromInt: [fd: FReg, rs1: Reg, rounding?: Rounding];
  fFromIntExact: [fd: FReg, rs1: Reg];
  cAddi4spn: [rd: Reg, immediate: number];
  cFLoad: [value: FReg, base: Reg, offset?: number];
  cLoadWord: [value: Reg, base: Reg, offset?: number];
  cLoadDouble: [value: Reg, base: Reg, offset?: number];
  cPlain: [];
  cImmediate: [rd: Reg, immediate: number];
  cAddi16sp: [immediate: number];
  cUpper: [rd: Reg, immediate6: number];
  cShift: [rd: Reg, amount: number];
  cShiftFull: [rd: Reg, amount: number];
  cAndImmediate: [rd: Reg, immediate: number];
  cArithmetic: [rd: Reg, rs2: Reg];
  cJump: [target: Target];
  cBranch: [rs1: Reg, target: Target];
  cFLoadSp: [fd: FReg, offset: number];
  cLoadWordSp: [rd: Reg, offset: number];
  cLoadDoubleSp: [rd: Reg, offset: number];
  cRegister: [rs1: Reg];
  cMove: [rd: Reg, rs2: Reg];
  cFStoreSp: [source: FReg, offset: number];
  cStoreWordSp: [source: Reg, offset: number];
  cStoreDoubleSp: [source: Reg, offset: number];
}

/** Form of an instruction: which operands it takes. */
export type Form = keyof FormOperands;

/** `value` when it is an integer in [low, high] and a multiple of `step`; throws otherwise. */
export function ranged(
  value: number,
  low: number,
  high: number,
  step: number,
  what: string,
): number {
  if (!Number.isInteger(value) || value < low || value > high || value % step !== 0) {
    const multiple = step === 1 ? "" : `, multiples of ${step}`;
    throw new VmError(
      "bad-argument",
      `${what} ${value}: accepted are ${low} to ${high}${multiple}`,
    );
  }
  return value;
}

const signed12 = (value: number) => ranged(value, -2048, 2047, 1, "immediate") & 0xfff;
const rd = (reg: Reg) => x(reg) << 7;
const rs1 = (reg: Reg) => x(reg) << 15;
const rs2 = (reg: Reg) => x(reg) << 20;
const fd = (reg: FReg) => f(reg) << 7;
const fs1 = (reg: FReg) => f(reg) << 15;
const fs2 = (reg: FReg) => f(reg) << 20;

/** Rounding modes as the field has them. */
export const ROUNDING = { rne: 0, rtz: 1, rdn: 2, rup: 3, rmm: 4, dyn: 7 } as const;
function rounding(mode: Rounding = "dyn"): number {
  const field = typeof mode === "number" ? ranged(mode, 0, 7, 1, "rounding mode") : ROUNDING[mode];
  return field << 12;
}

/** Ordering bits as the field has them. */
export const ORDERING = { "": 0, rl: 1, aq: 2, aqrl: 3 } as const;
const ordering = (order: Ordering = "") => ORDERING[order] << 25;

/** Set of `i`, `o`, `r`, `w` as the four bits of a fence. */
function fenceSet(letters: string): number {
  let bits = 0;
  for (const letter of letters) {
    const bit = "wroi".indexOf(letter);
    if (bit < 0)
      throw new VmError("bad-argument", `fence set ${letters}: accepted are letters of iorw`);
    bits |= 1 << bit;
  }
  return bits;
}

/**
 * Moves bits of a value to their places: triples of (lowest bit in the value, width, lowest bit in
 * the result).
 */
export function scatter(value: number, places: readonly number[]): number {
  let bits = 0;
  for (let at = 0; at < places.length; at += 3) {
    bits |= ((value >> places[at]) & ((1 << places[at + 1]) - 1)) << places[at + 2];
  }
  return bits;
}

/** One of the eight registers x8 to x15 that the short register fields can name. */
function short(number: number): number {
  return ranged(number, 8, 15, 1, "register of a compressed instruction: x") - 8;
}

function notZero(number: number, what: string): number {
  if (number === 0) throw new VmError("bad-argument", `${what} 0: accepted is anything else`);
  return number;
}

/** c.lui names any register but x2, which is c.addi16sp. */
function notSp(field: number): number {
  if (field === 2 << 7)
    throw new VmError("bad-argument", "c.lui sp: accepted is any other register");
  return field;
}

/** Where the bits of scattered immediates lie; asm/decode.ts reads them back from here. */
export const PLACES = {
  branch: [11, 1, 7, 1, 4, 8, 5, 6, 25, 12, 1, 31],
  jump: [12, 8, 12, 11, 1, 20, 1, 10, 21, 20, 1, 31],
  store: [0, 5, 7, 5, 7, 25],
  split6: [0, 5, 2, 5, 1, 12],
  wordOffset: [2, 1, 6, 3, 3, 10, 6, 1, 5],
  doubleOffset: [3, 3, 10, 6, 2, 5],
  wordSp: [2, 3, 4, 5, 1, 12, 6, 2, 2],
  doubleSp: [3, 2, 5, 5, 1, 12, 6, 3, 2],
  storeWordSp: [2, 4, 9, 6, 2, 7],
  storeDoubleSp: [3, 3, 10, 6, 3, 7],
  addi4spn: [2, 1, 6, 3, 1, 5, 4, 2, 11, 6, 4, 7],
  addi16sp: [4, 1, 6, 5, 1, 2, 6, 1, 5, 7, 2, 3, 9, 1, 12],
  cJump: [1, 3, 3, 4, 1, 11, 5, 1, 2, 6, 1, 7, 7, 1, 6, 8, 2, 9, 10, 1, 8, 11, 1, 12],
  cBranch: [1, 2, 3, 3, 2, 10, 5, 1, 2, 6, 2, 5, 8, 1, 12],
} as const;

const storeOffset = (offset: number) => scatter(signed12(offset), PLACES.store);
const split6 = (value: number) => scatter(value, PLACES.split6);
const wordOffset = (offset: number) =>
  scatter(ranged(offset, 0, 124, 4, "offset"), PLACES.wordOffset);
const doubleOffset = (offset: number) =>
  scatter(ranged(offset, 0, 248, 8, "offset"), PLACES.doubleOffset);
const wordSp = (offset: number) => scatter(ranged(offset, 0, 252, 4, "offset"), PLACES.wordSp);
const doubleSp = (offset: number) => scatter(ranged(offset, 0, 504, 8, "offset"), PLACES.doubleSp);
const storeWordSp = (offset: number) =>
  scatter(ranged(offset, 0, 252, 4, "offset"), PLACES.storeWordSp);
const storeDoubleSp = (offset: number) =>
  scatter(ranged(offset, 0, 504, 8, "offset"), PLACES.storeDoubleSp);

type Encoders = { [F in Form]: (bits: number, ...operands: FormOperands[F]) => number };

/** A distance where the form has a target; labels were resolved before. */
const distance = (target: Target, reach: number) =>
  ranged(target as number, -reach, reach - 2, 2, "distance");

/** Encoder of each form: fixed bits and operands to the instruction word (or halfword). */
export const ENCODERS: Encoders = {
  r: (bits, d, a, b) => bits | rd(d) | rs1(a) | rs2(b),
  i: (bits, d, a, immediate) => bits | rd(d) | rs1(a) | (signed12(immediate) << 20),
  shift: (bits, d, a, n) => bits | rd(d) | rs1(a) | (ranged(n, 0, 63, 1, "shift amount") << 20),
  shiftW: (bits, d, a, n) => bits | rd(d) | rs1(a) | (ranged(n, 0, 31, 1, "shift amount") << 20),
  unary: (bits, d, a) => bits | rd(d) | rs1(a),
  load: (bits, d, base, offset = 0) => bits | rd(d) | rs1(base) | (signed12(offset) << 20),
  store: (bits, source, base, offset = 0) => bits | rs2(source) | rs1(base) | storeOffset(offset),
  branch: (bits, a, b, target) =>
    bits | rs1(a) | rs2(b) | scatter(distance(target, 4096), PLACES.branch),
  upper: (bits, d, immediate) =>
    bits | rd(d) | (ranged(immediate, -0x80000, 0xfffff, 1, "upper immediate") << 12),
  jump: (bits, d, target) => bits | rd(d) | scatter(distance(target, 1 << 20), PLACES.jump),
  jumpRegister: (bits, d, base, offset = 0) => bits | rd(d) | rs1(base) | (signed12(offset) << 20),
  fence: (bits, before = "iorw", after = "iorw") =>
    bits | (fenceSet(before) << 24) | (fenceSet(after) << 20),
  fenceVma: (bits, address = "zero", asid = "zero") => bits | rs1(address) | rs2(asid),
  cacheBlock: (bits, base) => bits | rs1(base),
  plain: (bits) => bits,
  csr: (bits, d, csr, a) => bits | rd(d) | (csrNumber(csr) << 20) | rs1(a),
  csrImmediate: (bits, d, csr, immediate) =>
    bits | rd(d) | (csrNumber(csr) << 20) | (ranged(immediate, 0, 31, 1, "CSR immediate") << 15),
  amo: (bits, d, source, base, order) => bits | rd(d) | rs2(source) | rs1(base) | ordering(order),
  loadReserved: (bits, d, base, order) => bits | rd(d) | rs1(base) | ordering(order),
  fLoad: (bits, d, base, offset = 0) => bits | fd(d) | rs1(base) | (signed12(offset) << 20),
  fStore: (bits, source, base, offset = 0) => bits | fs2(source) | rs1(base) | storeOffset(offset),
  fRound: (bits, d, a, b, mode) => bits | fd(d) | fs1(a) | fs2(b) | rounding(mode),
  fPair: (bits, d, a, b) => bits | fd(d) | fs1(a) | fs2(b),
  fCompare: (bits, d, a, b) => bits | rd(d) | fs1(a) | fs2(b),
  fFused: (bits, d, a, b, c, mode) =>
    bits | fd(d) | fs1(a) | fs2(b) | (f(c) << 27) | rounding(mode),
  fRoot: (bits, d, a, mode) => bits | fd(d) | fs1(a) | rounding(mode),
  fWiden: (bits, d, a) => bits | fd(d) | fs1(a),
  fToInt: (bits, d, a, mode) => bits | rd(d) | fs1(a) | rounding(mode),
  fToIntExact: (bits, d, a) => bits | rd(d) | fs1(a),
  fFromInt: (bits, d, a, mode) => bits | fd(d) | rs1(a) | rounding(mode),
  fFromIntExact: (bits, d, a) => bits | fd(d) | rs1(a),
  cAddi4spn: (bits, d, immediate) =>
    bits |
    (short(x(d)) << 2) |
    scatter(ranged(immediate, 4, 1020, 4, "immediate"), PLACES.addi4spn),
  cFLoad: (bits, value, base, offset = 0) =>
    bits | (short(f(value)) << 2) | (short(x(base)) << 7) | doubleOffset(offset),
  cLoadWord: (bits, value, base, offset = 0) =>
    bits | (short(x(value)) << 2) | (short(x(base)) << 7) | wordOffset(offset),
  cLoadDouble: (bits, value, base, offset = 0) =>
    bits | (short(x(value)) << 2) | (short(x(base)) << 7) | doubleOffset(offset),
  cPlain: (bits) => bits,
  cImmediate: (bits, d, immediate) =>
    bits | rd(d) | split6(ranged(immediate, -32, 31, 1, "immediate")),
  cAddi16sp: (bits, immediate) =>
    bits |
    scatter(notZero(ranged(immediate, -512, 496, 16, "immediate"), "immediate"), PLACES.addi16sp),
  cUpper: (bits, d, immediate) =>
    bits | notSp(rd(d)) | split6(notZero(ranged(immediate, -32, 31, 1, "immediate"), "immediate")),
  // Shifts by 0 are hints.
  cShift: (bits, d, amount) =>
    bits | (short(x(d)) << 7) | split6(ranged(amount, 0, 63, 1, "shift amount")),
  cShiftFull: (bits, d, amount) => bits | rd(d) | split6(ranged(amount, 0, 63, 1, "shift amount")),
  cAndImmediate: (bits, d, immediate) =>
    bits | (short(x(d)) << 7) | split6(ranged(immediate, -32, 31, 1, "immediate")),
  cArithmetic: (bits, d, b) => bits | (short(x(d)) << 7) | (short(x(b)) << 2),
  cJump: (bits, target) => bits | scatter(distance(target, 2048), PLACES.cJump),
  cBranch: (bits, a, target) =>
    bits | (short(x(a)) << 7) | scatter(distance(target, 256), PLACES.cBranch),
  cFLoadSp: (bits, d, offset) => bits | fd(d) | doubleSp(offset),
  cLoadWordSp: (bits, d, offset) => bits | (notZero(x(d), "register x") << 7) | wordSp(offset),
  cLoadDoubleSp: (bits, d, offset) => bits | (notZero(x(d), "register x") << 7) | doubleSp(offset),
  cRegister: (bits, a) => bits | (notZero(x(a), "register x") << 7),
  cMove: (bits, d, b) => bits | rd(d) | (notZero(x(b), "register x") << 2),
  cFStoreSp: (bits, source, offset) => bits | (f(source) << 2) | storeDoubleSp(offset),
  cStoreWordSp: (bits, source, offset) => bits | (x(source) << 2) | storeWordSp(offset),
  cStoreDoubleSp: (bits, source, offset) => bits | (x(source) << 2) | storeDoubleSp(offset),
};

/**
 * Which operand of a form is a target, and how far it reaches (bytes, exclusive); absent for the
 * others.
 */
export const TARGETS: Partial<Record<Form, { operand: number; reach: number }>> = {
  branch: { operand: 2, reach: 4096 },
  jump: { operand: 1, reach: 1 << 20 },
  cJump: { operand: 0, reach: 2048 },
  cBranch: { operand: 1, reach: 256 },
};
