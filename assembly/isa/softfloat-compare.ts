/**
 * softfloat-compare: order, minimum and maximum, classification.
 *
 * Used by isa/fp.
 * Holds   nothing here rounds; NV is the only exception raised.
 */
import {
  canonicalNan,
  exponentMax,
  exponentOf,
  FLAG_NV,
  isNan,
  isSignaling,
  magnitudeOf,
  raise,
  signMask,
  signOf,
} from "./softfloat-core";

/** A key that orders numbers as signed integers: -0 comes right below +0. */
// @ts-ignore: decorator
@inline
function orderKey<T>(bits: u64): i64 {
  const magnitude = <i64>magnitudeOf<T>(bits);
  return signOf<T>(bits) != 0 ? ~magnitude : magnitude;
}

/** FEQ is quiet: only a signaling NaN raises NV (Unprivileged 20.8). */
export function softEqual<T>(a: u64, b: u64): bool {
  if (isNan<T>(a) || isNan<T>(b)) {
    if (isSignaling<T>(a) || isSignaling<T>(b)) raise(FLAG_NV);
    return false;
  }
  return a == b || magnitudeOf<T>(a | b) == 0;
}

/** FLT raises NV for any NaN. */
export function softLess<T>(a: u64, b: u64): bool {
  if (isNan<T>(a) || isNan<T>(b)) {
    raise(FLAG_NV);
    return false;
  }
  return orderKey<T>(a) < orderKey<T>(b) && magnitudeOf<T>(a | b) != 0;
}

/** FLE raises NV for any NaN. */
export function softLessEqual<T>(a: u64, b: u64): bool {
  if (isNan<T>(a) || isNan<T>(b)) {
    raise(FLAG_NV);
    return false;
  }
  return orderKey<T>(a) <= orderKey<T>(b) || magnitudeOf<T>(a | b) == 0;
}

/**
 * minimumNumber or maximumNumber of IEEE 754-2019: a number wins over a NaN, and -0 is less than
 * +0.
 */
export function softPick<T>(a: u64, b: u64, isMaximum: bool): u64 {
  if (isSignaling<T>(a) || isSignaling<T>(b)) raise(FLAG_NV);
  if (isNan<T>(a)) return isNan<T>(b) ? canonicalNan<T>() : b;
  if (isNan<T>(b)) return a;
  return (orderKey<T>(a) < orderKey<T>(b)) != isMaximum ? a : b;
}

/** FCLASS: one bit of ten (Unprivileged 20.9). */
export function softClassify<T>(bits: u64): u64 {
  if (isNan<T>(bits)) return isSignaling<T>(bits) ? 1 << 8 : 1 << 9;
  const magnitude = magnitudeOf<T>(bits);
  const exponent = exponentOf<T>(bits);
  // Distance from zero: 0 zero, 1 subnormal, 2 normal, 3 infinite.
  let step: u32 = <u32>(magnitude != 0);
  if (exponent != 0) step = exponent == exponentMax<T>() ? 3 : 2;
  return <u64>1 << (signOf<T>(bits) != 0 ? 3 - step : 4 + step);
}

/** FSGNJ, FSGNJN, FSGNJX (0, 1, 2): the magnitude of a under a sign made from both. */
// @ts-ignore: decorator
@inline
export function softSignInject<T>(a: u64, b: u64, kind: u32): u64 {
  const sign = kind == 0 ? b : kind == 1 ? ~b : a ^ b;
  return magnitudeOf<T>(a) | (sign & signMask<T>());
}
