/**
 * values: operands for random programs: integers at the edges of widths, floating-point numbers by
 * special class, triples whose fused sum nearly cancels.
 *
 * Used by differential/cell.ts (initial registers and constants), differential/float.ts.
 */
import type { Random } from "../helpers/random.ts";

export const FLOAT_CLASSES = [
  "zero",
  "subnormal",
  "least normal",
  "one",
  "normal",
  "halfway",
  "greatest",
  "integer edge",
  "infinity",
  "quiet NaN",
  "signalling NaN",
  "unboxed",
] as const;
/** Special class of an operand; "unboxed" is a single without its upper 32 ones. */
export type FloatClass = (typeof FLOAT_CLASSES)[number];

interface Format {
  readonly bits: bigint;
  readonly fraction: bigint;
  readonly bias: bigint;
}
const FORMATS: Record<"S" | "D", Format> = {
  S: { bits: 32n, fraction: 23n, bias: 127n },
  D: { bits: 64n, fraction: 52n, bias: 1023n },
};

export const ONES_32 = 0xffffffffn;
/** A single as a register holds it. */
export const boxed = (bits: bigint): bigint => (ONES_32 << 32n) | bits;

/** 64 bits: an edge of some width, a short number, or anything. */
export function integerValue(random: Random): bigint {
  const kind = random.below(10);
  if (kind < 2) return random.pick([0n, 1n, 2n, 3n, 5n, 7n, 10n, 31n, 32n, 63n, 64n, 255n]);
  if (kind < 5) {
    const width = random.pick([7n, 8n, 15n, 16n, 31n, 32n, 33n, 62n, 63n, 64n]);
    const near = BigInt(random.between(-2, 2));
    const edge = (1n << width) + near;
    return BigInt.asUintN(64, random.chance(50) ? edge : -edge);
  }
  if (kind < 6) return random.pick([0x5555555555555555n, 0xaaaaaaaaaaaaaaaan, 0xff00ff00ff00ffn]);
  if (kind < 8) return random.u64() >> BigInt(random.below(64));
  return random.u64();
}

/** A run of ones, zeros or a few bits: fractions that make rounding interesting. */
function fractionValue(random: Random, width: bigint): bigint {
  const mask = (1n << width) - 1n;
  const at = BigInt(random.below(Number(width)));
  switch (random.below(5)) {
    case 0:
      return 1n << at;
    case 1:
      return mask ^ ((1n << at) - 1n);
    case 2:
      return (1n << at) - 1n;
    case 3:
      return (random.u64() & mask & ~((1n << at) - 1n)) | BigInt(random.below(2));
    default:
      return random.u64() & mask;
  }
}

function exponentNear(random: Random, format: Format): bigint {
  const limit = 2n * format.bias;
  const wide = BigInt(random.between(1, Number(limit)));
  const near = format.bias + BigInt(random.between(-70, 70));
  return random.chance(70) ? near : wide;
}

function magnitude(random: Random, format: Format, kind: FloatClass): bigint {
  const { fraction, bias } = format;
  const infinity = (2n * bias + 1n) << fraction;
  const quiet = 1n << (fraction - 1n);
  const anyFraction = fractionValue(random, fraction);
  switch (kind) {
    case "zero":
      return 0n;
    case "subnormal":
      return random.pick([1n, 2n, (1n << fraction) - 1n, quiet, anyFraction | 1n]);
    case "least normal":
      return (1n << fraction) + BigInt(random.below(3));
    case "one":
      return (bias << fraction) + random.pick([0n, 1n, 2n, quiet]) - BigInt(random.below(2));
    case "halfway": {
      // integer plus one half, or a number whose last bit alone is beyond a shorter format
      const point = BigInt(random.between(1, Number(fraction) - 1));
      const odd = ((anyFraction >> point) << point) | (1n << (point - 1n));
      return ((bias + fraction - point) << fraction) | odd;
    }
    case "greatest":
      return infinity - 1n - BigInt(random.below(3));
    case "integer edge": {
      const width = random.pick([31n, 32n, 63n, 64n]);
      const steps = BigInt(random.between(-3, 3));
      return ((bias + width) << fraction) + steps;
    }
    case "infinity":
      return infinity;
    case "quiet NaN":
      return infinity | quiet | (random.chance(50) ? 0n : anyFraction);
    case "signalling NaN":
      return infinity | (anyFraction & (quiet - 1n)) | 1n;
    default:
      return (exponentNear(random, format) << fraction) | anyFraction;
  }
}

/** The 64 register bits of a number of that format and class, with a random sign. */
export function floatValue(random: Random, format: "S" | "D", kind: FloatClass): bigint {
  const shape = FORMATS[format];
  const sign = BigInt(random.below(2)) << (shape.bits - 1n);
  if (kind === "unboxed") {
    const low = magnitude(random, FORMATS.S, "normal");
    return BigInt.asUintN(64, ((random.u64() | 1n) << 32n) ^ (1n << 40n)) | low;
  }
  const bits = sign | magnitude(random, shape, kind);
  return format === "S" ? boxed(bits) : bits;
}

/** Numbers of a format as bits and back. */
interface Bits {
  toNumber(bits: bigint): number;
  toBits(value: number): bigint;
}
const VIEW = new DataView(new ArrayBuffer(8));
const BITS: Record<"S" | "D", Bits> = {
  S: {
    toNumber: (bits) => {
      VIEW.setUint32(0, Number(bits & ONES_32));
      return VIEW.getFloat32(0);
    },
    toBits: (value) => {
      VIEW.setFloat32(0, value);
      return BigInt(VIEW.getUint32(0));
    },
  },
  D: {
    toNumber: (bits) => {
      VIEW.setBigUint64(0, bits);
      return VIEW.getFloat64(0);
    },
    toBits: (value) => {
      VIEW.setFloat64(0, value);
      return VIEW.getBigUint64(0);
    },
  },
};
const LEAST_NORMAL = { S: 2 ** -126, D: 2 ** -1022 } as const;
const GREATEST = { S: (2 - 2 ** -23) * 2 ** 127, D: Number.MAX_VALUE } as const;

/**
 * Three operands that belong together, (a, b, c):
 * c is the rounded a * b, negated, a few units off, so that a fused sum leaves what rounding hides;
 * or a * b lies within a few units of the least normal or of the greatest number, c far below;
 * or b is 1 or -1 and c half a unit of a, so that a + c and a * b + c are ties.
 */
export function operandTriple(random: Random, format: "S" | "D"): readonly bigint[] {
  const { toNumber, toBits } = BITS[format];
  const shape = FORMATS[format];
  const kinds = ["one", "normal", "halfway"] as const;
  const magnitudeBits = magnitude(random, shape, random.pick(kinds));
  const a = toNumber(magnitudeBits);
  const near = (value: number): bigint => {
    const off = BigInt(random.pick([0, 0, 0, 1, -1, 2, -2, 64]));
    return BigInt.asUintN(Number(shape.bits), toBits(value) + off);
  };
  const sign = (bits: bigint): bigint =>
    random.chance(50) ? bits : bits ^ (1n << (shape.bits - 1n));
  let others: readonly bigint[];
  switch (random.below(4)) {
    case 0: {
      const b = toNumber(magnitude(random, shape, random.pick(kinds)));
      others = [toBits(b), near(-(a * b))];
      break;
    }
    case 1:
      others = [sign(near(LEAST_NORMAL[format] / a)), sign(BigInt(random.below(3)))];
      break;
    case 2:
      others = [sign(near(GREATEST[format] / a)), sign(toBits(a))];
      break;
    default: {
      const exponent = (magnitudeBits >> shape.fraction) - shape.fraction - 1n;
      const half = exponent > 0n ? exponent << shape.fraction : 1n;
      others = [sign(toBits(1)), sign(half)];
    }
  }
  const bits = [magnitudeBits, ...others];
  return format === "S" ? bits.map(boxed) : bits;
}
