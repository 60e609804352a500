/**
 * Float cases: seeded operands that reach the corners of IEEE 754 arithmetic.
 *
 * Used by test/isa/fp-*.
 * Holds   the same seed gives the same cases on any machine.
 */
import {
  add,
  convert,
  DOUBLE,
  decode,
  divide,
  type Format,
  type Kind,
  multiply,
  negate,
  SINGLE,
} from "./float-reference.ts";

const BOX = 0xffffffff00000000n;

/** Exponent field of a bit pattern. */
function fieldOf(format: Format, bits: bigint): number {
  return Number((bits >> format.fraction) & ((1n << (format.bits - 1n - format.fraction)) - 1n));
}

/** The register image of a value: a single is NaN-boxed. */
export function register(format: Format, bits: bigint): bigint {
  return format.name === "s" ? bits | BOX : bits;
}

export class FloatCases {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) | 1;
  }

  /** 32 random bits (xorshift32). */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }

  below(count: number): number {
    return this.next() % count;
  }

  wide(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }

  /** Fraction bits with long runs of equal bits as likely as random ones. */
  fraction(width: bigint): bigint {
    const all = (1n << width) - 1n;
    const some = BigInt(this.below(Number(width)));
    switch (this.below(8)) {
      case 0:
        return 0n;
      case 1:
        return all;
      case 2:
        return 1n << some;
      case 3:
        return (all << some) & all;
      case 4:
        return all >> some;
      case 5:
        return ((1n << some) + BigInt(this.below(4))) & all;
      default:
        return this.wide() & all;
    }
  }

  /** A value of a kind and random sign; a normal one often close to the exponent of `near`. */
  value(format: Format, kind: Kind, near: bigint | null = null): bigint {
    const most = Number((1n << (format.bits - 1n - format.fraction)) - 1n);
    const quietBit = 1n << (format.fraction - 1n);
    const sign = BigInt(this.below(2)) << (format.bits - 1n);
    const fraction = this.fraction(format.fraction);
    const special = sign | (BigInt(most) << format.fraction);
    switch (kind) {
      case "zero":
        return sign;
      case "infinite":
        return special;
      case "quiet":
        return special | quietBit | fraction;
      case "signaling":
        return special | (fraction & (quietBit - 1n)) | 1n;
      case "subnormal":
        return sign | (fraction === 0n ? 1n : fraction);
      case "normal":
        return sign | (BigInt(this.#field(format, near, most)) << format.fraction) | fraction;
    }
  }

  /** Exponent field of a normal number. */
  #field(format: Format, near: bigint | null, most: number): number {
    const bias = Number(format.bias);
    const width = Number(format.fraction);
    const clamp = (field: number): number => Math.max(1, Math.min(most - 1, field));
    const spread = (count: number): number => this.below(2 * count + 1) - count;
    switch (this.below(8)) {
      case 0:
        return clamp(1 + this.below(3));
      case 1:
        return clamp(most - 1 - this.below(3));
      case 2:
        return clamp(1 + this.below(most));
      case 3:
      case 4:
        return clamp(bias + spread(width + 12));
      case 5:
        return clamp((near === null ? bias : fieldOf(format, near)) + spread(2));
      default:
        return clamp((near === null ? bias : fieldOf(format, near)) + spread(width + 6));
    }
  }

  /** bits moved by up to `count` units in the last place. */
  nudge(bits: bigint, count: number): bigint {
    return bits + BigInt(this.below(2 * count + 1) - count);
  }

  /** Operands whose product lies within a few units of `target`, which is positive. */
  productNear(format: Format, target: bigint): [bigint, bigint] {
    const bias = BigInt(format.bias);
    const field = bias + BigInt(this.below(61) - 30);
    const a = (field << format.fraction) | this.fraction(format.fraction);
    return [a, this.nudge(divide(format, target, a, 0).bits, 2)];
  }

  /**
   * Operands of a product at a border: the smallest normal number (where tininess is decided after
   * rounding), the smallest subnormal, the largest finite number, or the middle between two
   * numbers.
   */
  productTrap(format: Format): [bigint, bigint] {
    const smallest = 1n << format.fraction;
    const largest = (((1n << (format.bits - 1n - format.fraction)) - 1n) << format.fraction) - 1n;
    switch (this.below(5)) {
      case 0:
        return this.productNear(format, smallest);
      case 1:
        return this.productNear(format, BigInt(1 + this.below(6)));
      case 2:
        return this.productNear(format, largest - BigInt(this.below(2)));
      default: {
        // Few significant bits in both: the product often ends on exactly half a unit.
        const half = format.fraction / 2n + 2n;
        const cut = (bits: bigint): bigint => (bits >> half) << half;
        const a = cut(this.value(format, "normal"));
        return [a, cut(this.value(format, "normal"))];
      }
    }
  }

  /** Quotients next to a number or to a middle, and at the borders. */
  quotientTrap(format: Format): [bigint, bigint] {
    const [a, b] = this.productTrap(format);
    return [this.nudge(multiply(format, a, b, 0).bits, 1), b];
  }

  /** Squares, give or take a unit. */
  squareTrap(format: Format): bigint {
    const root = this.value(format, "normal") & ~(this.below(2) === 0 ? 0n : 0xffffn);
    const square = multiply(format, root, root, 0).bits;
    return decode(format, square).kind === "normal" ? this.nudge(square, 1) : root;
  }

  /**
   * Addend for a product that makes the sum cancel, or end next to half a unit: double-rounding
   * traps.
   */
  addendTrap(format: Format, a: bigint, b: bigint): bigint {
    const product = multiply(format, a, b, 0).bits;
    const kind = decode(format, product).kind;
    if (kind !== "normal") return this.value(format, "subnormal");
    switch (this.below(3)) {
      case 0: // all but the last bits of the product cancel
        return this.nudge(negate(format, product), 2);
      case 1: {
        // The product is close to half a unit of the addend.
        const most = fieldOf(format, this.value(format, "infinite")) - 1;
        const shift = Number(format.fraction) + this.below(4) - 1;
        const field = Math.min(most, fieldOf(format, product) + shift);
        const sign = BigInt(this.below(2)) << (format.bits - 1n);
        return sign | (BigInt(field) << format.fraction) | this.fraction(format.fraction);
      }
      default: {
        // The addend is a far smaller number that decides which way a tie of the product goes.
        const shift = 2 * Number(format.fraction) + this.below(70) - 30;
        const field = Math.max(0, fieldOf(format, product) - shift);
        const sign = BigInt(this.below(2)) << (format.bits - 1n);
        return sign | (BigInt(field) << format.fraction) | this.fraction(format.fraction);
      }
    }
  }

  /** Fused operands whose product and sum are both close to the smallest normal number. */
  tinyTrap(format: Format): [bigint, bigint, bigint] {
    const field = BigInt(1 + this.below(3 * Number(format.fraction)));
    const target = (field << format.fraction) | this.fraction(format.fraction);
    const [a, b] = this.productNear(format, target);
    const product = multiply(format, a, b, 0).bits;
    const low = this.wide() & ((1n << BigInt(this.below(Number(format.fraction)))) - 1n);
    return [a, b, negate(format, product) ^ low];
  }

  /** Doubles at the borders of single precision. */
  narrowTrap(): bigint {
    const kind: Kind = this.below(3) === 0 ? "subnormal" : "normal";
    const single = convert(SINGLE, DOUBLE, this.value(SINGLE, kind), 0).bits;
    const border = [0x3810000000000000n, 0x47efffffe0000000n, 0x36a0000000000000n];
    const start = this.below(2) === 0 ? single : border[this.below(3)];
    // The middle between two normal singles is 2^28 units of the double away.
    const step = BigInt(this.below(4)) * (1n << 27n) * (this.below(2) === 0 ? 1n : -1n);
    return this.nudge(start + step, 1);
  }

  /** Numbers around the limits of the integer formats and around halves. */
  integerTrap(format: Format): bigint {
    const bits = BigInt(this.below(66));
    const whole = (1n << bits) - BigInt(this.below(3));
    const numerator = BigInt.asUintN(64, 2n * whole + BigInt(this.below(3) - 1));
    const top = BigInt(Math.max(1, numerator.toString(2).length));
    // numerator / 2, rounded into the format by cutting.
    const cut = top > format.fraction + 1n ? top - format.fraction - 1n : 0n;
    const kept = (numerator >> cut) << cut;
    if (kept === 0n) return this.value(format, "zero");
    const field = format.bias + top - 2n;
    const fraction = ((kept << format.bits) >> (top - 1n)) & ((1n << format.bits) - 1n);
    const sign = BigInt(this.below(2)) << (format.bits - 1n);
    return sign | (field << format.fraction) | (fraction >> (format.bits - format.fraction));
  }

  /** Sums of numbers whose distance puts the smaller one around half a unit of the larger. */
  sumTrap(format: Format): [bigint, bigint] {
    const a = this.value(format, "normal");
    if (this.below(3) === 0) return [a, this.nudge(negate(format, a), 3)];
    const shift = Number(format.fraction) + this.below(5) - 2;
    const field = Math.max(0, fieldOf(format, a) - shift);
    const sign = BigInt(this.below(2)) << (format.bits - 1n);
    const b = sign | (BigInt(field) << format.fraction) | this.fraction(format.fraction);
    return this.below(2) === 0 ? [a, b] : [b, add(format, a, b, 1).bits];
  }

  /** Register images for integer sources: every length, both signs, next to powers of two. */
  integer(): bigint {
    const length = BigInt(this.below(65));
    switch (this.below(3)) {
      case 0:
        return BigInt.asUintN(64, this.wide() >> (64n - length));
      case 1:
        return BigInt.asUintN(64, -(this.wide() >> (64n - length)));
      default:
        return BigInt.asUintN(64, (1n << length) + BigInt(this.below(5) - 2));
    }
  }
}
