/**
 * softfloat-fma: a * b + c rounded once, in all five rounding modes, flags included.
 *
 * Used by isa/fp.
 * Holds   the product is exact in 128 bits and the sum keeps its sticky bit below every bit that
 *         can matter.
 *
 *   bit 127   126                  64 63                   0
 *       [0]   [1 . . . product high ] [ product low  0 . . 0 ]    at least 20 zeros at the end
 *       [0]   [1 . . . addend  0 . .] [ 0                    ]    then one of them is shifted right
 */
import { leftExponent, leftSignificand } from "./softfloat-arith";
import {
  cancelledZero,
  canonicalNan,
  exponentBias,
  FLAG_NV,
  infinity,
  invalid,
  isNan,
  isSignaling,
  magnitudeOf,
  multiplyHigh,
  raise,
  roundPack,
  shiftRightSticky,
  signOf,
  withSign,
} from "./softfloat-core";

/** What an infinity or a NaN among the operands gives. */
function fmaSpecial<T>(a: u64, b: u64, c: u64): u64 {
  const left = magnitudeOf<T>(a);
  const right = magnitudeOf<T>(b);
  // Unprivileged 20.6: infinity times zero is invalid even when the addend is a quiet NaN.
  if ((left == infinity<T>() && right == 0) || (left == 0 && right == infinity<T>())) {
    return invalid<T>();
  }
  if (isNan<T>(a) || isNan<T>(b) || isNan<T>(c)) {
    if (isSignaling<T>(a) || isSignaling<T>(b) || isSignaling<T>(c)) raise(FLAG_NV);
    return canonicalNan<T>();
  }
  if (left != infinity<T>() && right != infinity<T>()) return c;
  const isNegative = signOf<T>(a) ^ signOf<T>(b);
  if (magnitudeOf<T>(c) == infinity<T>() && signOf<T>(c) != isNegative) return invalid<T>();
  return withSign<T>(isNegative, infinity<T>());
}

/**
 * Rounds the 128-bit sum high:low, whose bit 126 weighs what a leading bit with that exponent does.
 */
// @ts-ignore: decorator
@inline
function roundWide<T>(isNegative: u32, exponent: i32, high: u64, low: u64, mode: u32): u64 {
  if (high == 0) {
    if (low == 0) return cancelledZero<T>(mode);
    high = low;
    low = 0;
    exponent -= 64;
  }
  const shift = clz(high);
  if (shift != 0) {
    high = (high << shift) | (low >> (64 - shift));
    low <<= shift;
  }
  return roundPack<T>(isNegative, exponent + 1 - <i32>shift, high | <u64>(low != 0), mode);
}

/** a * b + c. */
export function softFma<T>(a: u64, b: u64, c: u64, mode: u32): u64 {
  const left = magnitudeOf<T>(a);
  const right = magnitudeOf<T>(b);
  const addend = magnitudeOf<T>(c);
  if (left >= infinity<T>() || right >= infinity<T>() || addend >= infinity<T>()) {
    return fmaSpecial<T>(a, b, c);
  }
  const isNegative = signOf<T>(a) ^ signOf<T>(b);
  const isOpposite = isNegative != signOf<T>(c);
  if (left == 0 || right == 0) {
    return addend == 0 && isOpposite ? cancelledZero<T>(mode) : c;
  }
  const x = leftSignificand<T>(left) >> 1;
  const y = leftSignificand<T>(right);
  let exponent = leftExponent<T>(left) + leftExponent<T>(right) - exponentBias<T>() + 1;
  let high = multiplyHigh(x, y);
  let low = x * y;
  if (high >> 62 == 0) {
    high = (high << 1) | (low >> 63);
    low <<= 1;
    exponent--;
  }
  if (addend == 0) return roundWide<T>(isNegative, exponent, high, low, mode);

  let addHigh = leftSignificand<T>(addend) >> 1;
  let addLow: u64 = 0;
  const distance = exponent - leftExponent<T>(addend);
  if (distance >= 0) {
    if (distance < 64) {
      if (distance != 0) addLow = addHigh << (64 - distance);
      addHigh >>= distance;
    } else {
      // 53 bits at the top of 64: nothing is lost until the distance passes 64 + 10.
      addLow = shiftRightSticky(addHigh, distance - 64);
      addHigh = 0;
    }
  } else {
    exponent -= distance;
    const count = -distance;
    if (count < 64) {
      low = (low >> count) | (high << (64 - count)) | stickyBelow(low, count);
      high >>= count;
    } else {
      low = shiftRightSticky(high, count - 64) | <u64>(low != 0);
      high = 0;
    }
  }
  if (!isOpposite) {
    const sum = low + addLow;
    return roundWide<T>(isNegative, exponent, high + addHigh + <u64>(sum < low), sum, mode);
  }
  if (high > addHigh || (high == addHigh && low >= addLow)) {
    high = high - addHigh - <u64>(low < addLow);
    return roundWide<T>(isNegative, exponent, high, low - addLow, mode);
  }
  high = addHigh - high - <u64>(addLow < low);
  return roundWide<T>(isNegative ^ 1, exponent, high, addLow - low, mode);
}

/** 1 when any of the lowest `count` bits (0 to 63) is set. */
// @ts-ignore: decorator
@inline
function stickyBelow(value: u64, count: u32): u64 {
  return <u64>((value & ((<u64>1 << count) - 1)) != 0);
}
