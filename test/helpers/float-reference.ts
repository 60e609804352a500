/**
 * Float reference: IEEE 754 as RISC-V uses it, computed the slow and obvious way with exact BigInt
 * fractions.
 *
 * Used by test/isa/fp-*: the model that the AssemblyScript operations are compared with.
 * Holds   no algorithm is shared with assembly/isa: an operation computes the infinitely precise
 *         result, and one function rounds it by the words of IEEE 754 section 4.3.
 *
 * A value travels as its bit pattern in a bigint; integers as the 64-bit register image.
 */

/** Rounding modes as RISC-V numbers them. */
export const MODES = ["RNE", "RTZ", "RDN", "RUP", "RMM"] as const;
export const NX = 1;
export const UF = 2;
export const OF = 4;
export const DZ = 8;
export const NV = 16;

export interface Format {
  name: "s" | "d";
  /** Width of the encoding. */
  bits: bigint;
  /** Explicit fraction bits. */
  fraction: bigint;
  bias: bigint;
}

export const SINGLE: Format = { name: "s", bits: 32n, fraction: 23n, bias: 127n };
export const DOUBLE: Format = { name: "d", bits: 64n, fraction: 52n, bias: 1023n };

export type Kind = "zero" | "subnormal" | "normal" | "infinite" | "quiet" | "signaling";
export const KINDS: Kind[] = ["zero", "subnormal", "normal", "infinite", "quiet", "signaling"];

/** What an operation gives: the bit pattern or register image, and the flags it raises. */
export interface Outcome {
  bits: bigint;
  flags: number;
}

/** A finite number is (negative ? -1 : 1) * significand * 2^exponent. */
interface Decoded {
  kind: Kind;
  negative: boolean;
  significand: bigint;
  exponent: bigint;
}

/** numerator / denominator * 2^exponent, or its square root; never negative. */
interface Magnitude {
  numerator: bigint;
  denominator: bigint;
  exponent: bigint;
  isRoot: boolean;
}

function allOnes(format: Format): bigint {
  return (1n << (format.bits - 1n - format.fraction)) - 1n;
}

function encodeSign(format: Format, negative: boolean): bigint {
  return negative ? 1n << (format.bits - 1n) : 0n;
}

/** Infinity of a sign. */
export function infinityOf(format: Format, negative: boolean): bigint {
  return encodeSign(format, negative) | (allOnes(format) << format.fraction);
}

/** The canonical NaN. */
export function nanOf(format: Format): bigint {
  return infinityOf(format, false) | (1n << (format.fraction - 1n));
}

export function decode(format: Format, bits: bigint): Decoded {
  const field = (bits >> format.fraction) & allOnes(format);
  const fraction = bits & ((1n << format.fraction) - 1n);
  const negative = bits >> (format.bits - 1n) === 1n;
  const least = 1n - format.bias - format.fraction;
  const number = (kind: Kind, significand: bigint, exponent: bigint): Decoded => {
    return { kind, negative, significand, exponent };
  };
  if (field === allOnes(format)) {
    if (fraction === 0n) return number("infinite", 0n, 0n);
    return number(fraction >> (format.fraction - 1n) === 1n ? "quiet" : "signaling", 0n, 0n);
  }
  if (field === 0n) return number(fraction === 0n ? "zero" : "subnormal", fraction, least);
  return number("normal", fraction | (1n << format.fraction), least + field - 1n);
}

function isNan(value: Decoded): boolean {
  return value.kind === "quiet" || value.kind === "signaling";
}

function nanFlags(...values: Decoded[]): number {
  return values.some((value) => value.kind === "signaling") ? NV : 0;
}

function bitLength(value: bigint): bigint {
  return BigInt(value.toString(2).length);
}

function integerRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << (bitLength(value) / 2n + 1n);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/**
 * Floor of magnitude / 2^quantum, and what is left: 0 nothing, 1 less than half, 2 half, 3 more
 * than half.
 */
function split(real: Magnitude, quantum: bigint): { floor: bigint; rest: 0 | 1 | 2 | 3 } {
  const shift = real.exponent - (real.isRoot ? 2n * quantum : quantum);
  const top = shift > 0n ? real.numerator << shift : real.numerator;
  const bottom = shift < 0n ? real.denominator << -shift : real.denominator;
  const floor = real.isRoot ? integerRoot(top / bottom) : top / bottom;
  // Compare top / bottom with floor and with floor + 1/2, squared for a root.
  const compare = (twice: bigint): number => {
    const left = real.isRoot ? 4n * top : 2n * top;
    const right = (real.isRoot ? twice * twice : twice) * bottom;
    return left < right ? -1 : left > right ? 1 : 0;
  };
  if (compare(2n * floor) === 0) return { floor, rest: 0 };
  const half = compare(2n * floor + 1n);
  return { floor, rest: half < 0 ? 1 : half === 0 ? 2 : 3 };
}

/** IEEE 754 4.3: the integer that floor + rest rounds to. */
function roundInteger(floor: bigint, rest: number, negative: boolean, mode: number): bigint {
  if (rest === 0) return floor;
  switch (MODES[mode]) {
    case "RNE":
      return rest === 3 || (rest === 2 && floor % 2n === 1n) ? floor + 1n : floor;
    case "RTZ":
      return floor;
    case "RDN":
      return negative ? floor + 1n : floor;
    case "RUP":
      return negative ? floor : floor + 1n;
    case "RMM":
      return rest >= 2 ? floor + 1n : floor;
    default:
      throw new Error(`mode ${mode} is none of 0 to 4`);
  }
}

/** The exponent e with 2^e <= magnitude < 2^(e + 1). */
function leadingExponent(real: Magnitude): bigint {
  let guess = bitLength(real.numerator) - bitLength(real.denominator) + real.exponent + 1n;
  if (real.isRoot) guess = guess / 2n + 1n;
  while (split(real, guess).floor === 0n) guess--;
  return guess;
}

/** Rounds a nonzero magnitude into a format. */
function round(format: Format, negative: boolean, real: Magnitude, mode: number): Outcome {
  const leading = leadingExponent(real);
  const least = 1n - format.bias; // exponent of the smallest normal number
  const roundAt = (quantum: bigint): { kept: bigint; isExact: boolean } => {
    const { floor, rest } = split(real, quantum);
    return { kept: roundInteger(floor, rest, negative, mode), isExact: rest === 0 };
  };
  // Tiny after rounding: rounded as if the exponent had no bounds, it lies below the smallest
  // normal number.
  const free = leading - format.fraction;
  const isTiny = free < least && roundAt(free).kept < 1n << (least - free);
  const quantum = leading < least ? least - format.fraction : free;
  const { kept, isExact } = roundAt(quantum);
  const sign = encodeSign(format, negative);
  // kept * 2^quantum >= 2^(bias + 1)
  if (quantum + bitLength(kept) - 1n > format.bias) {
    const isInfinite = roundInteger(0n, 1, negative, mode) === 1n || mode === 0 || mode === 4;
    const bits = infinityOf(format, negative) - (isInfinite ? 0n : 1n);
    return { bits, flags: OF | NX };
  }
  const flags = isExact ? 0 : isTiny ? UF | NX : NX;
  if (kept < 1n << format.fraction) return { bits: sign | kept, flags };
  const carry = bitLength(kept) - format.fraction - 1n;
  const field = quantum + carry + format.fraction + format.bias;
  const fraction = (kept >> carry) - (1n << format.fraction);
  return { bits: sign | (field << format.fraction) | fraction, flags };
}

/** Rounds a signed sum n * 2^exponent; an exact zero takes the sign `zeroNegative`. */
function roundSum(
  format: Format,
  sum: bigint,
  exponent: bigint,
  zeroNegative: boolean,
  mode: number,
): Outcome {
  if (sum === 0n) return { bits: encodeSign(format, zeroNegative), flags: 0 };
  const numerator = sum < 0n ? -sum : sum;
  const real = { numerator, denominator: 1n, exponent, isRoot: false };
  return round(format, sum < 0n, real, mode);
}

function signed(value: Decoded): bigint {
  return value.negative ? -value.significand : value.significand;
}

/** n1 * 2^e1 + n2 * 2^e2 as one integer over the lower exponent. */
function align(n1: bigint, e1: bigint, n2: bigint, e2: bigint): { sum: bigint; exponent: bigint } {
  const exponent = e1 < e2 ? e1 : e2;
  return { sum: (n1 << (e1 - exponent)) + (n2 << (e2 - exponent)), exponent };
}

/**
 * Sign of an exact zero sum of two terms: theirs if they agree, else minus only when rounding down.
 */
function zeroSign(first: boolean, second: boolean, mode: number): boolean {
  return first === second ? first : MODES[mode] === "RDN";
}

export function negate(format: Format, bits: bigint): bigint {
  return bits ^ encodeSign(format, true);
}

export function add(format: Format, a: bigint, b: bigint, mode: number): Outcome {
  const x = decode(format, a);
  const y = decode(format, b);
  if (isNan(x) || isNan(y)) return { bits: nanOf(format), flags: nanFlags(x, y) };
  if (x.kind === "infinite" || y.kind === "infinite") {
    if (x.kind === y.kind && x.negative !== y.negative) return { bits: nanOf(format), flags: NV };
    return { bits: x.kind === "infinite" ? a : b, flags: 0 };
  }
  const { sum, exponent } = align(signed(x), x.exponent, signed(y), y.exponent);
  return roundSum(format, sum, exponent, zeroSign(x.negative, y.negative, mode), mode);
}

/** a * b + c, rounded once. A plain product is the case without c. */
function productPlus(
  format: Format,
  a: bigint,
  b: bigint,
  c: bigint | null,
  mode: number,
): Outcome {
  const x = decode(format, a);
  const y = decode(format, b);
  const z = c === null ? null : decode(format, c);
  const isZeroByInfinity =
    (x.kind === "zero" && y.kind === "infinite") || (x.kind === "infinite" && y.kind === "zero");
  if (isZeroByInfinity) return { bits: nanOf(format), flags: NV };
  if (isNan(x) || isNan(y) || (z !== null && isNan(z))) {
    return { bits: nanOf(format), flags: z === null ? nanFlags(x, y) : nanFlags(x, y, z) };
  }
  const negative = x.negative !== y.negative;
  if (x.kind === "infinite" || y.kind === "infinite") {
    if (z !== null && z.kind === "infinite" && z.negative !== negative) {
      return { bits: nanOf(format), flags: NV };
    }
    return { bits: infinityOf(format, negative), flags: 0 };
  }
  if (z !== null && z.kind === "infinite") return { bits: c as bigint, flags: 0 };
  const product = signed(x) * signed(y);
  const weight = x.exponent + y.exponent;
  if (z === null) return roundSum(format, product, weight, negative, mode);
  const { sum, exponent } = align(product, weight, signed(z), z.exponent);
  return roundSum(format, sum, exponent, zeroSign(negative, z.negative, mode), mode);
}

export function multiply(format: Format, a: bigint, b: bigint, mode: number): Outcome {
  return productPlus(format, a, b, null, mode);
}

export function fma(format: Format, a: bigint, b: bigint, c: bigint, mode: number): Outcome {
  return productPlus(format, a, b, c, mode);
}

export function divide(format: Format, a: bigint, b: bigint, mode: number): Outcome {
  const x = decode(format, a);
  const y = decode(format, b);
  const negative = x.negative !== y.negative;
  if (isNan(x) || isNan(y)) return { bits: nanOf(format), flags: nanFlags(x, y) };
  if (x.kind === y.kind && (x.kind === "infinite" || x.kind === "zero")) {
    return { bits: nanOf(format), flags: NV };
  }
  if (x.kind === "infinite") return { bits: infinityOf(format, negative), flags: 0 };
  if (y.kind === "zero") return { bits: infinityOf(format, negative), flags: DZ };
  if (y.kind === "infinite" || x.kind === "zero") {
    return { bits: encodeSign(format, negative), flags: 0 };
  }
  const exponent = x.exponent - y.exponent;
  const real = { numerator: x.significand, denominator: y.significand, exponent, isRoot: false };
  return round(format, negative, real, mode);
}

export function squareRoot(format: Format, a: bigint, mode: number): Outcome {
  const x = decode(format, a);
  if (isNan(x)) return { bits: nanOf(format), flags: nanFlags(x) };
  if (x.kind === "zero") return { bits: a, flags: 0 };
  if (x.negative) return { bits: nanOf(format), flags: NV };
  if (x.kind === "infinite") return { bits: a, flags: 0 };
  const real = { numerator: x.significand, denominator: 1n, exponent: x.exponent, isRoot: true };
  return round(format, false, real, mode);
}

/** Between the formats; exact when widening. */
export function convert(from: Format, to: Format, a: bigint, mode: number): Outcome {
  const x = decode(from, a);
  if (isNan(x)) return { bits: nanOf(to), flags: nanFlags(x) };
  if (x.kind === "infinite") return { bits: infinityOf(to, x.negative), flags: 0 };
  return roundSum(to, signed(x), x.exponent, x.negative, mode);
}

/** The integer formats as rs2 of FCVT numbers them: W, WU, L, LU. */
export const INTEGERS = [
  { name: "w", least: -(1n << 31n), most: (1n << 31n) - 1n, bits: 32 },
  { name: "wu", least: 0n, most: (1n << 32n) - 1n, bits: 32 },
  { name: "l", least: -(1n << 63n), most: (1n << 63n) - 1n, bits: 64 },
  { name: "lu", least: 0n, most: (1n << 64n) - 1n, bits: 64 },
] as const;

/**
 * To an integer: the register image. Unprivileged 20.7: a NaN counts as plus infinity, and 32 bits
 * are sign-extended.
 */
export function toInteger(format: Format, a: bigint, code: number, mode: number): Outcome {
  const { least, most, bits } = INTEGERS[code];
  const image = (value: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(bits, value));
  const x = decode(format, a);
  if (isNan(x)) return { bits: image(most), flags: NV };
  if (x.kind === "infinite") return { bits: image(x.negative ? least : most), flags: NV };
  if (x.kind === "zero") return { bits: 0n, flags: 0 };
  const { significand: numerator, exponent } = x;
  const { floor, rest } = split({ numerator, denominator: 1n, exponent, isRoot: false }, 0n);
  const rounded = roundInteger(floor, rest, x.negative, mode);
  const integer = x.negative ? -rounded : rounded;
  if (integer < least || integer > most)
    return { bits: image(x.negative ? least : most), flags: NV };
  return { bits: image(integer), flags: rest === 0 ? 0 : NX };
}

/** From a register image. */
export function fromInteger(format: Format, register: bigint, code: number, mode: number): Outcome {
  const { least, bits } = INTEGERS[code];
  const value = least < 0n ? BigInt.asIntN(bits, register) : BigInt.asUintN(bits, register);
  return roundSum(format, value, 0n, false, mode);
}

/** 0 FLE, 1 FLT, 2 FEQ, as funct3 numbers them. */
export function compare(format: Format, a: bigint, b: bigint, which: number): Outcome {
  const x = decode(format, a);
  const y = decode(format, b);
  if (isNan(x) || isNan(y)) return { bits: 0n, flags: which === 2 ? nanFlags(x, y) : NV };
  const order = compareNumbers(x, y);
  const holds = which === 0 ? order <= 0 : which === 1 ? order < 0 : order === 0;
  return { bits: holds ? 1n : 0n, flags: 0 };
}

/** Sign of x - y, with infinities; -0 equals +0. */
function compareNumbers(x: Decoded, y: Decoded): number {
  const rank = (value: Decoded): number => {
    return value.kind !== "infinite" ? 0 : value.negative ? -1 : 1;
  };
  if (rank(x) !== rank(y) || rank(x) !== 0) return rank(x) - rank(y);
  const { sum } = align(signed(x), x.exponent, -signed(y), y.exponent);
  return sum < 0n ? -1 : sum > 0n ? 1 : 0;
}

/** minimumNumber and maximumNumber of IEEE 754-2019 section 9.6. */
export function pick(format: Format, a: bigint, b: bigint, isMaximum: boolean): Outcome {
  const x = decode(format, a);
  const y = decode(format, b);
  const flags = nanFlags(x, y);
  if (isNan(x) && isNan(y)) return { bits: nanOf(format), flags };
  if (isNan(x)) return { bits: b, flags };
  if (isNan(y)) return { bits: a, flags };
  let order = compareNumbers(x, y);
  if (order === 0) order = Number(y.negative) - Number(x.negative);
  return { bits: (isMaximum ? order > 0 : order < 0) ? a : b, flags };
}

/** The FCLASS mask. */
export function classify(format: Format, a: bigint): Outcome {
  const x = decode(format, a);
  const names = ["infinite", "normal", "subnormal", "zero"];
  if (isNan(x)) return { bits: x.kind === "signaling" ? 256n : 512n, flags: 0 };
  const at = names.indexOf(x.kind);
  return { bits: 1n << BigInt(x.negative ? at : 7 - at), flags: 0 };
}
