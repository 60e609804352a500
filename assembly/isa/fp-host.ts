/**
 * fp-host: add, multiply, divide, fma and integer conversions on the host's arithmetic, with the
 * inexact flag.
 *
 * Used by isa/fp: programs that compute with small integers never set NX, so they never reach
 *         HART_FP_FAST.
 * Holds   a host result is used only where fp-fast's table lets it stand; whether it is inexact is
 *         then decided exactly. All else is handed to softfloat.
 *
 *   add   TwoSum (Knuth) finds the rounding error, exactly, for subnormals too
 *   mul   f32: the product is exact in f64. f64: the product of the significands has as many bits
 *         as its exponent says, less the zeros at its end; it is exact when 53 are enough
 *   div   exact when quotient * divisor is an exact product
 *   fma   f32: the product is exact in f64, the sum's error known. f64: an exact product plus an
 *         addend is a sum; any other is left to softfloat, and only until NX is set for good
 */
import { fitsLong, isFinite32, isFinite64, isSafe32, isSafe64 } from "./fp-fast";
import { softAdd, softDivide, softMultiply } from "./softfloat-arith";
import {
  softFromSigned,
  softFromUnsigned,
  softToLong,
  softToUnsignedLong,
  softToUnsignedWord,
  softToWord,
} from "./softfloat-convert";
import { exponentOf, FLAG_NX, hiddenBit, MODE_RNE, MODE_RTZ, raise } from "./softfloat-core";
import { softFma } from "./softfloat-fma";

/**
 * Whether the normal doubles a and b have a product that is itself a double; `product` is its
 * rounding, and safe.
 */
// @ts-ignore: decorator
@inline
function isExactProduct(a: u64, b: u64, product: u64): bool {
  const zeros = ctz(a | hiddenBit<f64>()) + ctz(b | hiddenBit<f64>());
  // 1.0 * 1.0: three exponents of 1023, and a product of significands of 105 bits.
  const length = exponentOf<f64>(product) - exponentOf<f64>(a) - exponentOf<f64>(b) + 1023 + 105;
  return length - <i32>zeros <= 53;
}

/** a + b, rounded to nearest even. */
// @ts-ignore: decorator
@inline
export function nearestAdd<T>(a: u64, b: u64): u64 {
  if (sizeof<T>() == 8) {
    const x = reinterpret<f64>(a);
    const y = reinterpret<f64>(b);
    const sum = x + y;
    const part = sum - x;
    const error = x - (sum - part) + (y - part);
    if (isFinite64(sum) && isFinite64(error)) {
      if (error != 0) raise(FLAG_NX);
      return reinterpret<u64>(sum);
    }
  } else {
    const x = reinterpret<f32>(<u32>a);
    const y = reinterpret<f32>(<u32>b);
    const sum = x + y;
    const part = sum - x;
    const error = x - (sum - part) + (y - part);
    if (isFinite32(sum) && isFinite32(error)) {
      if (error != 0) raise(FLAG_NX);
      return reinterpret<u32>(sum);
    }
  }
  return softAdd<T>(a, b, MODE_RNE);
}

/** a * b, rounded to nearest even. */
// @ts-ignore: decorator
@inline
export function nearestMultiply<T>(a: u64, b: u64): u64 {
  if (sizeof<T>() == 8) {
    const product = reinterpret<f64>(a) * reinterpret<f64>(b);
    if (isSafe64(product) && exponentOf<f64>(a) != 0 && exponentOf<f64>(b) != 0) {
      const bits = reinterpret<u64>(product);
      if (!isExactProduct(a, b, bits)) raise(FLAG_NX);
      return bits;
    }
  } else {
    const exact = <f64>reinterpret<f32>(<u32>a) * <f64>reinterpret<f32>(<u32>b);
    const product = <f32>exact;
    if (isSafe32(product)) {
      if (<f64>product != exact) raise(FLAG_NX);
      return reinterpret<u32>(product);
    }
  }
  return softMultiply<T>(a, b, MODE_RNE);
}

/** a / b, rounded to nearest even. */
// @ts-ignore: decorator
@inline
export function nearestDivide<T>(a: u64, b: u64): u64 {
  if (sizeof<T>() == 8) {
    const dividend = reinterpret<f64>(a);
    const divisor = reinterpret<f64>(b);
    const quotient = dividend / divisor;
    if (isSafe64(quotient) && isSafe64(dividend) && exponentOf<f64>(b) != 0) {
      const bits = reinterpret<u64>(quotient);
      // quotient * divisor is less than a unit from the dividend: if it is a double, it is that
      // one.
      if (!isExactProduct(bits, b, a)) raise(FLAG_NX);
      return bits;
    }
  } else {
    const dividend = reinterpret<f32>(<u32>a);
    const divisor = reinterpret<f32>(<u32>b);
    const quotient = dividend / divisor;
    if (isSafe32(quotient)) {
      if (<f64>quotient * <f64>divisor != <f64>dividend) raise(FLAG_NX);
      return reinterpret<u32>(quotient);
    }
  }
  return softDivide<T>(a, b, MODE_RNE);
}

/** a * b + c, rounded once to nearest even. */
// @ts-ignore: decorator
@inline
export function nearestFma<T>(a: u64, b: u64, c: u64): u64 {
  if (sizeof<T>() == 8) {
    const product = reinterpret<f64>(a) * reinterpret<f64>(b);
    if (isSafe64(product) && exponentOf<f64>(a) != 0 && exponentOf<f64>(b) != 0) {
      const bits = reinterpret<u64>(product);
      if (isExactProduct(a, b, bits)) return nearestAdd<f64>(bits, c);
    }
  } else {
    const product = <f64>reinterpret<f32>(<u32>a) * <f64>reinterpret<f32>(<u32>b);
    const addend = <f64>reinterpret<f32>(<u32>c);
    const sum = product + addend;
    const result = <f32>sum;
    // On the middle between two singles the sum may owe its place to its own rounding (fmaFast32).
    if (isSafe32(result) && (reinterpret<u64>(sum) & 0x1fffffff) != 0x10000000) {
      const part = sum - product;
      const error = product - (sum - part) + (addend - part);
      if (<f64>result != sum || error != 0) raise(FLAG_NX);
      return reinterpret<u32>(result);
    }
  }
  return softFma<T>(a, b, c, MODE_RNE);
}

/** The value of any T, exactly. */
// @ts-ignore: decorator
@inline
function valueOf<T>(bits: u64): f64 {
  return sizeof<T>() == 8 ? reinterpret<f64>(bits) : <f64>reinterpret<f32>(<u32>bits);
}

/** Whether a 64-bit integer is within the format that rs2 names. */
// @ts-ignore: decorator
@inline
function isInRange(integer: i64, code: u32): bool {
  if (code == 0) return integer == <i64>(<i32>integer);
  if (code == 1) return integer >> 32 == 0;
  return code == 2 || integer >= 0;
}

/** To the integer format that rs2 names: 0 W, 1 WU, 2 L, 3 LU; the register value. */
// @ts-ignore: decorator
@inline
export function convertToInteger<T>(bits: u64, code: u32, mode: u32): u64 {
  const value = valueOf<T>(bits);
  if (fitsLong(value)) {
    const integer = <i64>value;
    const isWhole = <f64>integer == value;
    if (isWhole || mode == MODE_RTZ) {
      if (isInRange(integer, code)) {
        if (!isWhole) raise(FLAG_NX);
        return code == 1 ? <u64>(<i64>(<i32>integer)) : <u64>integer;
      }
    }
  }
  if (code == 0) return softToWord<T>(bits, mode);
  if (code == 1) return softToUnsignedWord<T>(bits, mode);
  if (code == 2) return softToLong<T>(bits, mode);
  return softToUnsignedLong<T>(bits, mode);
}

/** From the integer format that rs2 names. */
// @ts-ignore: decorator
@inline
export function convertFromInteger<T>(register: u64, code: u32, mode: u32): u64 {
  let value = <i64>register;
  if (code == 0) value = <i64>(<i32>register);
  else if (code == 1) value = <i64>(register & 0xffffffff);
  else if (code == 3 && value < 0) return softFromUnsigned<T>(register, mode);
  // A magnitude that fits in the significand converts exactly.
  const limit: i64 = <i64>hiddenBit<T>() << 1;
  if (value < limit && value > -limit) {
    return sizeof<T>() == 8 ? reinterpret<u64>(<f64>value) : <u64>reinterpret<u32>(<f32>value);
  }
  return softFromSigned<T>(value, mode);
}
