/**
 * softfloat-core: what every IEEE 754 operation shares: formats, flags, rounding and packing.
 *
 * Owns    RUN + HART_SOFT_FLAGS, where operations collect the exceptions they raise.
 * Used by isa/softfloat-arith, -fma, -convert, -compare, isa/fp.
 * Holds   a value travels as its bit pattern in a u64 (an f32 in the low half, the high half 0).
 *         The type parameter T is f64 or f32 and only selects constants, so one algorithm serves
 *         both formats.
 *
 *   unpacked finite number = (sign, exponent, significand), exponent biased as in the format but
 *   unbounded:
 *
 *     bit 63              52 kept bits (f64)             11 rounding bits
 *     [1][............................................][G.........S]   f32: 23 and 40
 *
 *   The lowest bit is sticky: it is 1 when anything was lost below it.
 */
import { HART_SOFT_FLAGS, RUN } from "../layout";

/** Rounding modes as RISC-V encodes them (Unprivileged 20.2, table "Rounding mode encoding"). */
export const MODE_RNE: u32 = 0;
export const MODE_RTZ: u32 = 1;
export const MODE_RDN: u32 = 2;
export const MODE_RUP: u32 = 3;
export const MODE_RMM: u32 = 4;

/** Accrued exception flags as fcsr orders them. */
export const FLAG_NX: u32 = 1;
export const FLAG_UF: u32 = 2;
export const FLAG_OF: u32 = 4;
export const FLAG_DZ: u32 = 8;
export const FLAG_NV: u32 = 16;

/** Explicit fraction bits: 52 or 23. */
// @ts-ignore: decorator
@inline
export function fractionBits<T>(): u64 {
  return sizeof<T>() == 8 ? 52 : 23;
}

/** The all-ones exponent: 2047 or 255. */
// @ts-ignore: decorator
@inline
export function exponentMax<T>(): i32 {
  return sizeof<T>() == 8 ? 2047 : 255;
}

/** 1023 or 127. */
// @ts-ignore: decorator
@inline
export function exponentBias<T>(): i32 {
  return sizeof<T>() == 8 ? 1023 : 127;
}

// @ts-ignore: decorator
@inline
export function signMask<T>(): u64 {
  return sizeof<T>() == 8 ? 0x8000000000000000 : 0x80000000;
}

/** The bit that a normal number's significand has above its fraction. */
// @ts-ignore: decorator
@inline
export function hiddenBit<T>(): u64 {
  return <u64>1 << fractionBits<T>();
}

/** Positive infinity. */
// @ts-ignore: decorator
@inline
export function infinity<T>(): u64 {
  return <u64>exponentMax<T>() << fractionBits<T>();
}

/** Unprivileged 20.3: every NaN result is this one. */
// @ts-ignore: decorator
@inline
export function canonicalNan<T>(): u64 {
  return infinity<T>() | (hiddenBit<T>() >> 1);
}

// @ts-ignore: decorator
@inline
export function signOf<T>(bits: u64): u32 {
  return <u32>(bits >> (sizeof<T>() == 8 ? 63 : 31));
}

/** The biased exponent field. */
// @ts-ignore: decorator
@inline
export function exponentOf<T>(bits: u64): i32 {
  return <i32>(bits >> fractionBits<T>()) & exponentMax<T>();
}

// @ts-ignore: decorator
@inline
export function magnitudeOf<T>(bits: u64): u64 {
  return bits & (signMask<T>() - 1);
}

// @ts-ignore: decorator
@inline
export function isNan<T>(bits: u64): bool {
  return magnitudeOf<T>(bits) > infinity<T>();
}

/** A NaN whose quiet bit is clear. */
// @ts-ignore: decorator
@inline
export function isSignaling<T>(bits: u64): bool {
  return isNan<T>(bits) && (bits & (hiddenBit<T>() >> 1)) == 0;
}

// @ts-ignore: decorator
@inline
export function withSign<T>(isNegative: u32, magnitude: u64): u64 {
  return (<u64>isNegative << (sizeof<T>() == 8 ? 63 : 31)) | magnitude;
}

/** Collects exceptions of the operation under way. */
// @ts-ignore: decorator
@inline
export function raise(flags: u32): void {
  store<u32>(RUN + HART_SOFT_FLAGS, load<u32>(RUN + HART_SOFT_FLAGS) | flags);
}

/** Result of an invalid operation: raises NV, returns the canonical NaN. */
export function invalid<T>(): u64 {
  raise(FLAG_NV);
  return canonicalNan<T>();
}

/** Result of a two-operand operation of which at least one operand is a NaN. */
export function nanResult<T>(a: u64, b: u64): u64 {
  if (isSignaling<T>(a) || isSignaling<T>(b)) raise(FLAG_NV);
  return canonicalNan<T>();
}

/** Exact zero from a sum of opposite signs: -0 when rounding down, else +0 (IEEE 754 6.3). */
// @ts-ignore: decorator
@inline
export function cancelledZero<T>(mode: u32): u64 {
  return mode == MODE_RDN ? signMask<T>() : 0;
}

/** value >> count for any count >= 0, with what is lost ORed into the lowest bit. */
// @ts-ignore: decorator
@inline
export function shiftRightSticky(value: u64, count: u32): u64 {
  if (count == 0) return value;
  if (count > 63) return <u64>(value != 0);
  return (value >> count) | <u64>(value << (64 - count) != 0);
}

/** The high 64 bits of a 64 x 64 bit product; the low ones are plain a * b. */
// @ts-ignore: decorator
@inline
export function multiplyHigh(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const middle = aHigh * bLow + ((aLow * bLow) >> 32);
  const other = aLow * bHigh + (middle & 0xffffffff);
  return aHigh * bHigh + (middle >> 32) + (other >> 32);
}

/**
 * What is added below the last kept bit before truncation, so that truncation rounds: nothing, half
 * a unit, or a unit less one. `mask` covers the bits rounded away.
 */
// @ts-ignore: decorator
@inline
export function roundingIncrement(mode: u32, isNegative: u32, mask: u64): u64 {
  if (mode == MODE_RNE || mode == MODE_RMM) return (mask >> 1) + 1;
  if (mode == MODE_RTZ) return 0;
  return (mode == MODE_RDN) == (isNegative != 0) ? mask : 0;
}

/**
 * Rounds an unpacked number (significand with bit 63 set, lowest bit sticky) and packs it, raising
 * OF, UF and NX as needed. The exponent may lie far outside the format's range.
 */
export function roundPack<T>(isNegative: u32, exponent: i32, significand: u64, mode: u32): u64 {
  const drop = 63 - fractionBits<T>();
  const mask = (<u64>1 << drop) - 1;
  const increment = roundingIncrement(mode, isNegative, mask);
  let underflow: u32 = 0;
  if (exponent <= 0) {
    // Unprivileged 20.4: tininess is detected after rounding, as if the exponent were unbounded; so
    // a number just below the smallest normal is not tiny when its full-width significand would
    // carry out.
    if (exponent < 0 || significand + increment >= significand) underflow = FLAG_UF;
    significand = shiftRightSticky(significand, 1 - exponent);
    exponent = 1;
  }
  const lost = significand & mask;
  let kept = (significand >> drop) + ((lost + increment) >> drop);
  if (lost == (mask >> 1) + 1 && mode == MODE_RNE) kept &= ~1; // a tie goes to even
  // The hidden bit in `kept` adds the 1 that was taken from the exponent, and a carry adds another.
  const packed = (<u64>(exponent - 1) << fractionBits<T>()) + kept;
  if (exponent >= exponentMax<T>() || packed >= infinity<T>()) {
    raise(FLAG_OF | FLAG_NX);
    return withSign<T>(isNegative, increment == 0 ? infinity<T>() - 1 : infinity<T>());
  }
  if (lost != 0) raise(FLAG_NX | underflow);
  return withSign<T>(isNegative, packed);
}
