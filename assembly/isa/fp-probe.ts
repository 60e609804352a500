/**
 * fp-probe: an entry of its own for test/isa/fp-*, with floating point execution and nothing else
 * of the core.
 *
 * Used by test/isa/fp-probe.ts, which fills batches of cases in memory.
 * Holds   one case in memory, 64 bytes; the instruction names f1, f2, f3 or x1 as its sources and 4
 *         as its destination:
 *
 *    0 raw (u32)    4 fflags before, then after (u32)   8 frm (u32)   12 1 when legal (u32)
 *   16 f1 (u64)    24 f2 (u64)   32 f3 (u64)   40 x1 (u64)
 *   48 f4 before, then after (u64)   56 x4 before, then after (u64)
 */
import { HART_F, HART_FFLAGS, HART_FRM, HART_X, RUN } from "../layout";
import { fpExecute, fpFastUpdate, fpWritesInteger } from "./fp";
import {
  boxed,
  fitsLong,
  fitsWord,
  fmaFast32,
  fmaFast64,
  isBoxed,
  isFinite32,
  isFinite64,
  isSafe32,
  isSafe64,
  unboxed,
} from "./fp-fast";

export { fpExecute, fpFastUpdate, fpWritesInteger };

/** Runs `count` cases from address `at` on. */
export function probeBatch(at: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++, at += 64) {
    store<u32>(RUN, load<u32>(at, 4), HART_FFLAGS);
    store<u32>(RUN, load<u32>(at, 8), HART_FRM);
    store<u64>(RUN, load<u64>(at, 16), HART_F + 8);
    store<u64>(RUN, load<u64>(at, 24), HART_F + 16);
    store<u64>(RUN, load<u64>(at, 32), HART_F + 24);
    store<u64>(RUN, load<u64>(at, 40), HART_X + 8);
    store<u64>(RUN, load<u64>(at, 48), HART_F + 32);
    store<u64>(RUN, load<u64>(at, 56), HART_X + 32);
    store<u32>(at, fpExecute(load<u32>(at)) ? 1 : 0, 12);
    store<u32>(at, load<u32>(RUN, HART_FFLAGS), 4);
    store<u64>(at, load<u64>(RUN, HART_F + 32), 48);
    store<u64>(at, load<u64>(RUN, HART_X + 32), 56);
  }
}

/**
 * Computes `count` cases from address `at` on as the run loop does when HART_FP_FAST is 1. "Legal"
 * is 1 when fp-fast lets the result stand; then it is in f4 or x4.
 */
export function probeFast(at: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++, at += 64) {
    const raw = load<u32>(at);
    const isDone = ((raw >> 25) & 3) == 1 ? fastDouble(at, raw) : fastSingle(at, raw);
    store<u32>(at, isDone ? 1 : 0, 12);
  }
}

function fastDouble(at: usize, raw: u32): bool {
  const a = load<f64>(at, 16);
  const b = load<f64>(at, 24);
  const c = load<f64>(at, 32);
  let result: f64 = 0;
  switch (raw & 0x7f) {
    case 0x43:
      result = fmaFast64(a, b, c);
      break;
    case 0x47:
      result = fmaFast64(a, b, -c);
      break;
    case 0x4b:
      result = fmaFast64(-a, b, c);
      break;
    case 0x4f:
      result = fmaFast64(-a, b, -c);
      break;
    default:
      switch (raw >> 27) {
        case 0x00:
        case 0x01:
          result = raw >> 27 == 0 ? a + b : a - b;
          store<f64>(at, result, 48);
          return isFinite64(result);
        case 0x02:
          result = a * b;
          break;
        case 0x03:
          result = a / b;
          break;
        case 0x0b:
          result = Math.sqrt(a);
          store<f64>(at, result, 48);
          return result == result;
        case 0x08: {
          if (!isBoxed(load<u64>(at, 16))) return false;
          result = <f64>unboxed(load<u64>(at, 16));
          store<f64>(at, result, 48);
          return result == result;
        }
        default:
          return fastConvert(at, raw, a, true);
      }
  }
  store<f64>(at, result, 48);
  return isSafe64(result);
}

/** FCVT between integers and either format; to an integer only towards zero. */
function fastConvert(at: usize, raw: u32, value: f64, isDouble: bool): bool {
  const code = (raw >> 20) & 31;
  const x = load<u64>(at, 40);
  if (raw >> 27 == 0x18) {
    if (((raw >> 12) & 7) != 1 || (code & 1) != 0) return false;
    if (code == 0 ? !fitsWord(value) : !fitsLong(value)) return false;
    store<i64>(at, code == 0 ? <i64>(<i32>value) : <i64>value, 56);
    return true;
  }
  if (raw >> 27 != 0x1a) return false;
  if (isDouble) {
    if (code == 0) store<f64>(at, <f64>(<i32>x), 48);
    else if (code == 1) store<f64>(at, <f64>(<u32>x), 48);
    else store<f64>(at, code == 2 ? <f64>(<i64>x) : <f64>x, 48);
  } else {
    if (code == 0) store<u64>(at, boxed(<f32>(<i32>x)), 48);
    else if (code == 1) store<u64>(at, boxed(<f32>(<u32>x)), 48);
    else store<u64>(at, boxed(code == 2 ? <f32>(<i64>x) : <f32>x), 48);
  }
  return true;
}

function fastSingle(at: usize, raw: u32): bool {
  if (raw >> 27 == 0x1a && (raw & 0x7f) == 0x53) return fastConvert(at, raw, 0, false);
  if (raw >> 27 == 0x08 && (raw & 0x7f) == 0x53) {
    const narrow = <f32>load<f64>(at, 16);
    store<u64>(at, boxed(narrow), 48);
    return isSafe32(narrow);
  }
  // The third register is +0 in the cases of two operands, so it is boxed as well.
  if (!isBoxed(load<u64>(at, 16) & load<u64>(at, 24) & load<u64>(at, 32))) return false;
  const a = unboxed(load<u64>(at, 16));
  const b = unboxed(load<u64>(at, 24));
  const c = unboxed(load<u64>(at, 32));
  let result: f32 = 0;
  switch (raw & 0x7f) {
    case 0x43:
      result = fmaFast32(a, b, c);
      break;
    case 0x47:
      result = fmaFast32(a, b, -c);
      break;
    case 0x4b:
      result = fmaFast32(-a, b, c);
      break;
    case 0x4f:
      result = fmaFast32(-a, b, -c);
      break;
    default:
      switch (raw >> 27) {
        case 0x00:
        case 0x01:
          result = raw >> 27 == 0 ? a + b : a - b;
          store<u64>(at, boxed(result), 48);
          return isFinite32(result);
        case 0x02:
          result = a * b;
          break;
        case 0x03:
          result = a / b;
          break;
        case 0x0b:
          result = Mathf.sqrt(a);
          store<u64>(at, boxed(result), 48);
          return result == result;
        default:
          return fastConvert(at, raw, <f64>a, false);
      }
  }
  store<u64>(at, boxed(result), 48);
  return isSafe32(result);
}
