/**
 * softfloat-convert: between floating point formats, and between them and integers.
 *
 * Used by isa/fp.
 * Holds   a value out of an integer's range saturates as Unprivileged 20.7, table "Domains of
 *         float-to-integer conversions and behavior for invalid inputs", says (a NaN counts as plus
 *         infinity), and raises NV alone.
 */
import { leftExponent, leftSignificand } from "./softfloat-arith";
import {
  canonicalNan,
  exponentBias,
  FLAG_NV,
  FLAG_NX,
  infinity,
  isNan,
  magnitudeOf,
  nanResult,
  raise,
  roundingIncrement,
  roundPack,
  shiftRightSticky,
  signMask,
  signOf,
} from "./softfloat-core";

/** An unsigned 64-bit magnitude with a sign of its own, as a T. */
// @ts-ignore: decorator
@inline
function fromMagnitude<T>(isNegative: u32, magnitude: u64, mode: u32): u64 {
  if (magnitude == 0) return 0;
  const shift = <i32>clz(magnitude);
  return roundPack<T>(isNegative, exponentBias<T>() + 63 - shift, magnitude << shift, mode);
}

export function softFromUnsigned<T>(value: u64, mode: u32): u64 {
  return fromMagnitude<T>(0, value, mode);
}

export function softFromSigned<T>(value: i64, mode: u32): u64 {
  return value < 0 ? fromMagnitude<T>(1, 0 - value, mode) : fromMagnitude<T>(0, value, mode);
}

/**
 * To an integer of 32 or 64 bits, signed or not: the sign-extended register value, also for an
 * unsigned word (Unprivileged 20.7: FCVT.WU sign-extends its 32-bit result).
 */
// @ts-ignore: decorator
@inline
function toInteger<T>(bits: u64, isSigned: bool, is64: bool, mode: u32): u64 {
  const isNegative: u32 = isNan<T>(bits) ? 0 : signOf<T>(bits);
  const magnitude = magnitudeOf<T>(bits);
  // The largest magnitude on this side of zero.
  const positiveMax = u64.MAX_VALUE >> ((is64 ? 0 : 32) + (isSigned ? 1 : 0));
  const limit: u64 = isNegative == 0 ? positiveMax : isSigned ? positiveMax + 1 : 0;
  if (magnitude == 0) return 0;
  const exponent = leftExponent<T>(magnitude) - exponentBias<T>();
  let integer: u64 = 0;
  let isInexact = false;
  let isOut = exponent > 63;
  if (!isOut) {
    const significand = leftSignificand<T>(magnitude);
    if (exponent == 63) {
      integer = significand;
    } else {
      // Half a unit or more becomes the top bit of `lost`, everything below it its sticky lowest
      // bit.
      let lost: u64;
      if (exponent < 0) {
        lost = shiftRightSticky(significand, -1 - exponent);
      } else {
        lost = significand << (exponent + 1);
        integer = significand >> (63 - exponent);
      }
      isInexact = lost != 0;
      const increment = roundingIncrement(mode, isNegative, u64.MAX_VALUE);
      const isTie = lost == 0x8000000000000000 && mode == 0;
      if (isTie) integer += integer & 1;
      else integer += <u64>(lost + increment < lost); // the carry out of the lost part
    }
    isOut = integer > limit;
  }
  let result: u64;
  if (isOut) {
    raise(FLAG_NV);
    result = isNegative != 0 ? 0 - limit : limit;
  } else {
    if (isInexact) raise(FLAG_NX);
    result = isNegative != 0 ? 0 - integer : integer;
  }
  return is64 ? result : <u64>(<i64>(<i32>result));
}

export function softToWord<T>(bits: u64, mode: u32): u64 {
  return toInteger<T>(bits, true, false, mode);
}

export function softToUnsignedWord<T>(bits: u64, mode: u32): u64 {
  return toInteger<T>(bits, false, false, mode);
}

export function softToLong<T>(bits: u64, mode: u32): u64 {
  return toInteger<T>(bits, true, true, mode);
}

export function softToUnsignedLong<T>(bits: u64, mode: u32): u64 {
  return toInteger<T>(bits, false, true, mode);
}

/** FCVT.S.D: narrows with rounding. */
export function softNarrow(bits: u64, mode: u32): u64 {
  const magnitude = magnitudeOf<f64>(bits);
  const isNegative = signOf<f64>(bits);
  if (magnitude > infinity<f64>()) {
    nanResult<f64>(bits, bits);
    return canonicalNan<f32>();
  }
  const sign = <u64>isNegative << 31;
  if (magnitude == infinity<f64>()) return sign | infinity<f32>();
  if (magnitude == 0) return sign;
  const exponent = leftExponent<f64>(magnitude) - exponentBias<f64>() + exponentBias<f32>();
  return roundPack<f32>(isNegative, exponent, leftSignificand<f64>(magnitude), mode);
}

/** FCVT.D.S: always exact. */
export function softWiden(bits: u64): u64 {
  if (isNan<f32>(bits)) {
    nanResult<f32>(bits, bits);
    return canonicalNan<f64>();
  }
  return reinterpret<u64>(<f64>reinterpret<f32>(<u32>bits));
}

/** The value's negative, whatever it is. */
// @ts-ignore: decorator
@inline
export function negated<T>(bits: u64): u64 {
  return bits ^ signMask<T>();
}
