/**
 * fp-fast: floating point on the host's own arithmetic, for the run loop while HART_FP_FAST is 1.
 *
 * Used by the run loop inline, and by isa/fp-host, which adds the inexact flag.
 * Holds   FP_FAST = FS is Dirty, frm is RNE, NX is already accrued. The host rounds to nearest even
 *         and keeps no flags, so its result stands exactly when the instruction can raise nothing
 *         but NX and its result is no NaN (the host's NaN is not the canonical one). Everything
 *         else goes to fpExecute. An instruction whose static rm field is neither RNE nor DYN must
 *         go there too.
 *
 *   operation           the host's result r stands when
 *   add, sub            isFinite*(r): a tiny sum is exact, so zero and subnormals raise nothing
 *   mul, div, fma       isSafe*(r): 2 * smallest normal <= |r| < infinity. That excludes NV, DZ, OF
 *                       and UF: zero may be an underflow, and the smallest normal may be the
 *                       rounding of a number that is tiny, hence the factor 2
 *   sqrt                r == r: a root neither overflows nor underflows, and that of -0 is -0
 *   fcvt.s.d            isSafe32(r)
 *   fcvt.d.s            r == r
 *   min, max            neither operand is a NaN: the host orders -0 below +0 as RISC-V does
 *   feq, flt, fle       neither operand is a NaN (a true comparison proves that by itself)
 *   fcvt.w.d, .w.s      |a| < 2^31, for RTZ; other modes go to fpExecute
 *   fcvt.l.d, .l.s      |a| < 2^63, for RTZ
 *   fcvt.{s,d}.{w,wu,l,lu}  always (RNE); fcvt.d.w and .wu are exact in any mode
 *
 *   A single is fast only when every operand is NaN-boxed: isBoxed(a & b & c). Its result is stored
 *   with boxed().
 */

/** High half of a NaN-boxed single. */
const BOX: u64 = 0xffffffff00000000;

/** Whether a sum or difference may stand. */
// @ts-ignore: decorator
@inline
export function isFinite64(result: f64): bool {
  return abs<f64>(result) < Infinity;
}

// @ts-ignore: decorator
@inline
export function isFinite32(result: f32): bool {
  return abs<f32>(result) < <f32>Infinity;
}

/** Whether a product, quotient or fused result may stand: exponent field 2 to 2046. */
// @ts-ignore: decorator
@inline
export function isSafe64(result: f64): bool {
  return (reinterpret<u64>(result) << 1) - (<u64>2 << 53) < <u64>2045 << 53;
}

/** Exponent field 2 to 254. */
// @ts-ignore: decorator
@inline
export function isSafe32(result: f32): bool {
  return (reinterpret<u32>(result) << 1) - (<u32>2 << 24) < <u32>253 << 24;
}

/** Whether all registers that were ANDed together hold NaN-boxed singles. */
// @ts-ignore: decorator
@inline
export function isBoxed(registers: u64): bool {
  return registers >= BOX;
}

/** Register value of a single. */
// @ts-ignore: decorator
@inline
export function boxed(value: f32): u64 {
  return BOX | <u64>reinterpret<u32>(value);
}

/** The single in a register that isBoxed accepted. */
// @ts-ignore: decorator
@inline
export function unboxed(register: u64): f32 {
  return reinterpret<f32>(<u32>register);
}

/** Whether fcvt.w.* towards zero may use the host's truncation. */
// @ts-ignore: decorator
@inline
export function fitsWord(value: f64): bool {
  return abs<f64>(value) < 2147483648.0;
}

/** Whether fcvt.l.* towards zero may use the host's truncation. */
// @ts-ignore: decorator
@inline
export function fitsLong(value: f64): bool {
  return abs<f64>(value) < 9223372036854775808.0;
}

/**
 * a * b + c in single precision, rounded once to nearest even; NaN when this cannot say. The result
 * stands when isSafe32 accepts it.
 *
 * The product of two 24-bit significands is exact in an f64, so the sum is rounded twice: to 53
 * bits, then to 24. By monotonicity that goes wrong only when the first rounding lands on the
 * middle between two singles.
 */
// @ts-ignore: decorator
@inline
export function fmaFast32(a: f32, b: f32, c: f32): f32 {
  const sum = <f64>a * <f64>b + <f64>c;
  if ((reinterpret<u64>(sum) & 0x1fffffff) == 0x10000000) return <f32>NaN;
  return <f32>sum;
}

/**
 * a * b + c in double precision, rounded once to nearest even; NaN when this cannot say. The result
 * stands when isSafe64 accepts it.
 *
 *   a * b = product + low           exactly (Dekker)
 *   product + c = sum + error       exactly (Knuth)
 *   rest ~ error + low              within half a unit in its last place
 *
 * a * b + c = sum + error + low lies between sum + (rest less a few units) and sum + (rest plus a
 * few units). When those two round to the same double, so does everything between. When they do
 * not, the sum of the two parts is still the answer if one of `error` and `low` is 0, because then
 * `rest` is exact.
 *
 * A product below 2^-900 might lose `low`; an overflow inside gives NaN or infinity, which equal
 * nothing here or are turned down by isSafe64.
 */
// @ts-ignore: decorator
@inline
export function fmaFast64(a: f64, b: f64, c: f64): f64 {
  const product = a * b;
  if (!(abs<f64>(product) > 1.1830521861667747e-271)) return NaN;
  const scaledA = a * 134217729.0;
  const scaledB = b * 134217729.0;
  const aHigh = scaledA - (scaledA - a);
  const bHigh = scaledB - (scaledB - b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  const low = aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
  const sum = product + c;
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  const rest = error + low;
  const above = sum + rest * 1.0000000000000009;
  const below = sum + rest * 0.9999999999999991;
  if (above == below) return above;
  return error == 0.0 || low == 0.0 ? sum + rest : NaN;
}
