/**
 * fp: executes one OP-FP or fused multiply-add instruction of the F and D extensions.
 *
 * Owns    HART_FP_FAST; accrues HART_FFLAGS; writes x[rd] or f[rd].
 * Used by the run loop for every case that its inline arithmetic (isa/fp-fast) does not settle, and
 *         by the CSR code (fpFastUpdate).
 * Holds   pc and mstatus.FS are the caller's; an illegal encoding changes nothing.
 *
 *   31    27 26 25 24   20 19   15 14  12 11    7 6      0
 *   [funct5 ][fmt ][ rs2  ][ rs1  ][ rm  ][  rd  ][opcode ]   OP-FP; FMA has rs3 as its funct5
 */
import {
  HART_F,
  HART_FFLAGS,
  HART_FP_FAST,
  HART_FRM,
  HART_MSTATUS,
  HART_SOFT_FLAGS,
  HART_X,
  RUN,
} from "../layout";
import {
  convertFromInteger,
  convertToInteger,
  nearestAdd,
  nearestDivide,
  nearestFma,
  nearestMultiply,
} from "./fp-host";
import { softAdd, softDivide, softMultiply, softSqrt } from "./softfloat-arith";
import {
  softClassify,
  softEqual,
  softLess,
  softLessEqual,
  softPick,
  softSignInject,
} from "./softfloat-compare";
import { negated, softNarrow, softWiden } from "./softfloat-convert";
import { canonicalNan, MODE_RNE } from "./softfloat-core";
import { softFma } from "./softfloat-fma";

const BOX: u64 = 0xffffffff00000000;
/** roundingMode's answer for a reserved encoding. */
const MODE_RESERVED: u32 = 8;

const FUNCT_ADD: u32 = 0x00;
const FUNCT_SUBTRACT: u32 = 0x01;
const FUNCT_MULTIPLY: u32 = 0x02;
const FUNCT_DIVIDE: u32 = 0x03;
const FUNCT_SIGN_INJECT: u32 = 0x04;
const FUNCT_MIN_MAX: u32 = 0x05;
const FUNCT_BETWEEN_FORMATS: u32 = 0x08;
const FUNCT_SQRT: u32 = 0x0b;
const FUNCT_COMPARE: u32 = 0x14;
const FUNCT_TO_INTEGER: u32 = 0x18;
const FUNCT_FROM_INTEGER: u32 = 0x1a;
const FUNCT_MOVE_TO_X: u32 = 0x1c;
const FUNCT_MOVE_FROM_X: u32 = 0x1e;

/**
 * Recomputes HART_FP_FAST: whether plain host arithmetic is exact enough, because FS is Dirty, frm
 * is RNE and NX is already set. To be called after any of the three changed.
 */
export function fpFastUpdate(): void {
  const isDirty = ((load<u64>(RUN, HART_MSTATUS) >> 13) & 3) == 3;
  const isFast = isDirty && load<u32>(RUN, HART_FRM) == 0 && (load<u32>(RUN, HART_FFLAGS) & 1) != 0;
  store<u32>(RUN, isFast ? 1 : 0, HART_FP_FAST);
}

/**
 * Whether an OP-FP instruction's rd is an integer register. Only for encodings that fpExecute
 * accepts.
 */
export function fpWritesInteger(raw: u32): bool {
  const funct = raw >> 27;
  return (
    (raw & 0x7f) == 0x53 &&
    (funct == FUNCT_COMPARE || funct == FUNCT_TO_INTEGER || funct == FUNCT_MOVE_TO_X)
  );
}

/** The mode that the rm field selects, or MODE_RESERVED. */
// @ts-ignore: decorator
@inline
function roundingMode(raw: u32): u32 {
  let mode = (raw >> 12) & 7;
  if (mode == 7) mode = load<u32>(RUN, HART_FRM);
  return mode > 4 ? MODE_RESERVED : mode;
}

// @ts-ignore: decorator
@inline
function readX(index: u32): u64 {
  return load<u64>(<usize>RUN + (<usize>(index & 31) << 3), HART_X);
}

// @ts-ignore: decorator
@inline
function writeX(index: u32, value: u64): void {
  if ((index & 31) != 0) store<u64>(<usize>RUN + (<usize>(index & 31) << 3), value, HART_X);
}

/** Operand: a single that is not NaN-boxed reads as the canonical NaN (Unprivileged 21.2). */
// @ts-ignore: decorator
@inline
function readF<T>(index: u32): u64 {
  const bits = load<u64>(<usize>RUN + (<usize>(index & 31) << 3), HART_F);
  if (sizeof<T>() == 8) return bits;
  return bits >= BOX ? bits & 0xffffffff : canonicalNan<f32>();
}

// @ts-ignore: decorator
@inline
function writeF<T>(index: u32, bits: u64): void {
  if (sizeof<T>() == 4) bits |= BOX;
  store<u64>(<usize>RUN + (<usize>(index & 31) << 3), bits, HART_F);
}

/**
 * Executes a 32-bit OP-FP (0x53), FMADD, FMSUB, FNMSUB or FNMADD (0x43, 0x47, 0x4b, 0x4f)
 * instruction against the RUN block. False, with nothing changed, when the encoding is illegal: a
 * format other than S or D, a reserved rounding mode (directly or through frm), an unassigned
 * function or rs2 code.
 */
export function fpExecute(raw: u32): bool {
  const format = (raw >> 25) & 3;
  if (format > 1) return false;
  store<u32>(RUN, 0, HART_SOFT_FLAGS);
  const isDone = format == 1 ? execute<f64>(raw) : execute<f32>(raw);
  const raised = load<u32>(RUN, HART_SOFT_FLAGS);
  if (raised != 0) {
    store<u32>(RUN, load<u32>(RUN, HART_FFLAGS) | raised, HART_FFLAGS);
    fpFastUpdate();
  }
  return isDone;
}

// @ts-ignore: decorator
@inline
function execute<T>(raw: u32): bool {
  return (raw & 0x7f) == 0x53 ? executeOperation<T>(raw) : executeFma<T>(raw);
}

/**
 * FNMSUB is -(a * b) + c and FNMADD -(a * b) - c: only signs of operands change, so rounding is
 * right.
 */
function executeFma<T>(raw: u32): bool {
  const mode = roundingMode(raw);
  if (mode == MODE_RESERVED) return false;
  let a = readF<T>(raw >> 15);
  const b = readF<T>(raw >> 20);
  let c = readF<T>(raw >> 27);
  const opcode = raw & 0x7f;
  if (opcode == 0x4b || opcode == 0x4f) a = negated<T>(a);
  if (opcode == 0x47 || opcode == 0x4f) c = negated<T>(c);
  writeF<T>(raw >> 7, mode == MODE_RNE ? nearestFma<T>(a, b, c) : softFma<T>(a, b, c, mode));
  return true;
}

function addRounded<T>(a: u64, b: u64, mode: u32): u64 {
  return mode == MODE_RNE ? nearestAdd<T>(a, b) : softAdd<T>(a, b, mode);
}

function multiplyRounded<T>(a: u64, b: u64, mode: u32): u64 {
  return mode == MODE_RNE ? nearestMultiply<T>(a, b) : softMultiply<T>(a, b, mode);
}

function divideRounded<T>(a: u64, b: u64, mode: u32): u64 {
  return mode == MODE_RNE ? nearestDivide<T>(a, b) : softDivide<T>(a, b, mode);
}

/** The OP-FP functions that round, then the rest. */
function executeOperation<T>(raw: u32): bool {
  const funct = raw >> 27;
  const rs2 = (raw >> 20) & 31;
  const rd = raw >> 7;
  const a = readF<T>(raw >> 15);
  switch (funct) {
    case FUNCT_SIGN_INJECT:
    case FUNCT_MIN_MAX:
    case FUNCT_COMPARE:
    case FUNCT_MOVE_TO_X:
    case FUNCT_MOVE_FROM_X:
      return executeUnrounded<T>(raw);
  }
  const mode = roundingMode(raw);
  if (mode == MODE_RESERVED) return false;
  switch (funct) {
    case FUNCT_ADD:
      writeF<T>(rd, addRounded<T>(a, readF<T>(rs2), mode));
      return true;
    case FUNCT_SUBTRACT:
      // A NaN changes its sign on the way, which no result shows.
      writeF<T>(rd, addRounded<T>(a, negated<T>(readF<T>(rs2)), mode));
      return true;
    case FUNCT_MULTIPLY:
      writeF<T>(rd, multiplyRounded<T>(a, readF<T>(rs2), mode));
      return true;
    case FUNCT_DIVIDE:
      writeF<T>(rd, divideRounded<T>(a, readF<T>(rs2), mode));
      return true;
    case FUNCT_SQRT:
      if (rs2 != 0) return false;
      writeF<T>(rd, softSqrt<T>(a, mode));
      return true;
    case FUNCT_BETWEEN_FORMATS:
      // FCVT.S.D carries 1 in rs2, FCVT.D.S 0.
      if (rs2 != (sizeof<T>() == 8 ? 0 : 1)) return false;
      if (sizeof<T>() == 8) writeF<f64>(rd, softWiden(readF<f32>(raw >> 15)));
      else writeF<f32>(rd, softNarrow(readF<f64>(raw >> 15), mode));
      return true;
    case FUNCT_TO_INTEGER:
      if (rs2 > 3) return false;
      writeX(rd, convertToInteger<T>(a, rs2, mode));
      return true;
    case FUNCT_FROM_INTEGER:
      if (rs2 > 3) return false;
      writeF<T>(rd, convertFromInteger<T>(readX(raw >> 15), rs2, mode));
      return true;
  }
  return false;
}

/** Functions whose rm field is part of the function code. */
function executeUnrounded<T>(raw: u32): bool {
  const funct = raw >> 27;
  const select = (raw >> 12) & 7;
  const rs2 = (raw >> 20) & 31;
  const rd = raw >> 7;
  const a = readF<T>(raw >> 15);
  switch (funct) {
    case FUNCT_SIGN_INJECT:
      if (select > 2) return false;
      writeF<T>(rd, softSignInject<T>(a, readF<T>(rs2), select));
      return true;
    case FUNCT_MIN_MAX:
      if (select > 1) return false;
      writeF<T>(rd, softPick<T>(a, readF<T>(rs2), select == 1));
      return true;
    case FUNCT_COMPARE: {
      if (select > 2) return false;
      const b = readF<T>(rs2);
      if (select == 0) writeX(rd, <u64>softLessEqual<T>(a, b));
      else writeX(rd, <u64>(select == 1 ? softLess<T>(a, b) : softEqual<T>(a, b)));
      return true;
    }
    case FUNCT_MOVE_TO_X:
      if (rs2 != 0 || select > 1) return false;
      if (select == 1) {
        writeX(rd, softClassify<T>(a));
      } else {
        // FMV.X.W copies the low half as it is, boxed or not, and sign-extends it.
        const bits = readF<f64>(raw >> 15);
        writeX(rd, sizeof<T>() == 8 ? bits : <u64>(<i64>(<i32>bits)));
      }
      return true;
    case FUNCT_MOVE_FROM_X:
      if (rs2 != 0 || select != 0) return false;
      writeF<T>(rd, readX(raw >> 15));
      return true;
  }
  return false;
}
