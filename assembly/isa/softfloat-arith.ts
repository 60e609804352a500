/**
 * softfloat-arith: add, subtract, multiply, divide and square root in all five rounding modes,
 * flags included.
 *
 * Used by isa/fp, for whatever the host's own arithmetic cannot answer.
 * Holds   operands and results are bit patterns (softfloat-core); exceptions are ORed into
 *         HART_SOFT_FLAGS.
 */
import {
  cancelledZero,
  exponentBias,
  exponentMax,
  exponentOf,
  FLAG_DZ,
  fractionBits,
  hiddenBit,
  infinity,
  invalid,
  isNan,
  magnitudeOf,
  multiplyHigh,
  nanResult,
  raise,
  roundPack,
  shiftRightSticky,
  signOf,
  withSign,
} from "./softfloat-core";

/** a + b. */
export function softAdd<T>(a: u64, b: u64, mode: u32): u64 {
  if (magnitudeOf<T>(a) < magnitudeOf<T>(b)) {
    const swap = a;
    a = b;
    b = swap;
  }
  // |a| >= |b| from here on, with a NaN above everything.
  const magnitude = magnitudeOf<T>(a);
  const isOpposite = signOf<T>(a) != signOf<T>(b);
  if (magnitude >= infinity<T>()) {
    if (isNan<T>(a)) return nanResult<T>(a, b);
    return isOpposite && magnitudeOf<T>(b) == magnitude ? invalid<T>() : a;
  }
  if (magnitudeOf<T>(b) == 0) {
    return magnitude == 0 && isOpposite ? cancelledZero<T>(mode) : a;
  }
  // Leading bit of a at 62, so that the sum cannot carry out of 64 bits.
  const lift = 62 - fractionBits<T>();
  let exponentA = exponentOf<T>(a);
  let exponentB = exponentOf<T>(b);
  let large = magnitude & (hiddenBit<T>() - 1);
  let small = b & (hiddenBit<T>() - 1);
  if (exponentA != 0) large |= hiddenBit<T>();
  else exponentA = 1;
  if (exponentB != 0) small |= hiddenBit<T>();
  else exponentB = 1;
  large <<= lift;
  small = shiftRightSticky(small << lift, exponentA - exponentB);
  const sum = isOpposite ? large - small : large + small;
  if (sum == 0) return cancelledZero<T>(mode);
  const shift = <i32>clz(sum);
  return roundPack<T>(signOf<T>(a), exponentA + 1 - shift, sum << shift, mode);
}

/** Significand of a finite nonzero number with its leading bit moved to bit 63. */
// @ts-ignore: decorator
@inline
export function leftSignificand<T>(magnitude: u64): u64 {
  const fraction = magnitude & (hiddenBit<T>() - 1);
  if (magnitude >= hiddenBit<T>()) return (fraction | hiddenBit<T>()) << (63 - fractionBits<T>());
  return fraction << clz(fraction);
}

/** Biased exponent that belongs to leftSignificand: below 1 for a subnormal. */
// @ts-ignore: decorator
@inline
export function leftExponent<T>(magnitude: u64): i32 {
  if (magnitude >= hiddenBit<T>()) return <i32>(magnitude >> fractionBits<T>());
  return 1 + (63 - <i32>fractionBits<T>()) - <i32>clz(magnitude);
}

/** a * b. */
export function softMultiply<T>(a: u64, b: u64, mode: u32): u64 {
  const isNegative = signOf<T>(a) ^ signOf<T>(b);
  const left = magnitudeOf<T>(a);
  const right = magnitudeOf<T>(b);
  if (left >= infinity<T>() || right >= infinity<T>()) {
    if (isNan<T>(a) || isNan<T>(b)) return nanResult<T>(a, b);
    return left == 0 || right == 0 ? invalid<T>() : withSign<T>(isNegative, infinity<T>());
  }
  if (left == 0 || right == 0) return withSign<T>(isNegative, 0);
  const x = leftSignificand<T>(left);
  const y = leftSignificand<T>(right);
  let exponent = leftExponent<T>(left) + leftExponent<T>(right) - exponentBias<T>() + 1;
  // Each factor has at least 11 zeros at its end, the product 22: the shift below loses nothing.
  let product = multiplyHigh(x, y) | <u64>(x * y != 0);
  if (<i64>product >= 0) {
    product <<= 1;
    exponent--;
  }
  return roundPack<T>(isNegative, exponent, product, mode);
}

/** a / b. */
export function softDivide<T>(a: u64, b: u64, mode: u32): u64 {
  const isNegative = signOf<T>(a) ^ signOf<T>(b);
  const left = magnitudeOf<T>(a);
  const right = magnitudeOf<T>(b);
  if (isNan<T>(a) || isNan<T>(b)) return nanResult<T>(a, b);
  if (left == infinity<T>()) {
    return right == left ? invalid<T>() : withSign<T>(isNegative, infinity<T>());
  }
  if (right == infinity<T>()) return withSign<T>(isNegative, 0);
  if (right == 0) {
    if (left == 0) return invalid<T>();
    raise(FLAG_DZ);
    return withSign<T>(isNegative, infinity<T>());
  }
  if (left == 0) return withSign<T>(isNegative, 0);
  let x = leftSignificand<T>(left) >> 11;
  const y = leftSignificand<T>(right) >> 11;
  let exponent = leftExponent<T>(left) - leftExponent<T>(right) + exponentBias<T>();
  if (x < y) {
    x <<= 1;
    exponent--;
  }
  // 1 <= x / y < 2, and the host's quotient is within half of 2^-52: as an integer it is the floor
  // or one more, and the remainder, smaller than y, survives the wrap at 64 bits.
  let quotient = <u64>((<f64>x / <f64>y) * 4503599627370496.0);
  let remainder = (x << 52) - quotient * y;
  if (<i64>remainder < 0) {
    quotient--;
    remainder += y;
  }
  let significand = quotient << 11;
  // There are no ties: quotient and a half has 54 significant bits, and so would x.
  if (remainder != 0) significand |= remainder << 1 > y ? 0x401 : 1;
  return roundPack<T>(isNegative, exponent, significand, mode);
}

/** Square root. */
export function softSqrt<T>(a: u64, mode: u32): u64 {
  const magnitude = magnitudeOf<T>(a);
  if (isNan<T>(a)) return nanResult<T>(a, a);
  if (magnitude == 0) return a; // IEEE 754 5.4.1: the root of -0 is -0
  if (signOf<T>(a) != 0) return invalid<T>();
  if (magnitude == infinity<T>()) return a;
  let x = leftSignificand<T>(magnitude) >> 11;
  let exponent = leftExponent<T>(magnitude) - exponentBias<T>();
  if ((exponent & 1) != 0) {
    x <<= 1;
    exponent--;
  }
  // root = sqrt(x * 2^52) lies in [2^52, 2^53); the host's is the floor or one more, as above.
  let root = <u64>Math.sqrt(<f64>x * 4503599627370496.0);
  let remainder = (x << 52) - root * root;
  if (<i64>remainder < 0) {
    root--;
    remainder += (root << 1) + 1;
  }
  let significand = root << 11;
  // (root + 1/2)^2 = root^2 + root + 1/4 is no integer, so there are no ties.
  if (remainder != 0) significand |= remainder > root ? 0x401 : 1;
  return roundPack<T>(0, (exponent >> 1) + exponentBias<T>(), significand, mode);
}
