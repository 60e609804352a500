/**
 * Fp operations: every rounding, converting and comparing instruction of F and D, beside its
 * reference.
 *
 * Used by test/isa/fp-*.
 */
import * as float from "../helpers/float-reference.ts";
import { DOUBLE, DZ, type Format, NV, NX, OF, SINGLE, UF } from "../helpers/float-reference.ts";

export interface Operation {
  name: string;
  /** Encoding with sources f1, f2, f3 or x1, destination 4 and rm 0. */
  raw: number;
  /** Format of the floating point sources. */
  source: Format;
  /** Number of them; 0 when the source is x1. */
  arity: 0 | 1 | 2 | 3;
  /** Format of the result, or null for an integer register. */
  target: Format | null;
  /** Whether rm is a rounding mode. */
  isRounded: boolean;
  /** Every flag that some operands make it raise. */
  flags: number[];
  /** What it must give; `mode` is resolved. */
  expect(f: bigint[], x: bigint, mode: number): float.Outcome;
}

const FORMATS = [SINGLE, DOUBLE];
const SOURCES = (1 << 15) | (4 << 7);

/** Encodes an OP-FP instruction. */
export function encode(funct5: number, format: Format, rs2: number, rm = 0): number {
  const fmt = format === DOUBLE ? 1 : 0;
  return ((funct5 << 27) | (fmt << 25) | (rs2 << 20) | (rm << 12) | SOURCES | 0x53) >>> 0;
}

function arithmetic(format: Format): Operation[] {
  const make = (
    name: string,
    funct5: number,
    flags: number[],
    expect: (a: bigint, b: bigint, mode: number) => float.Outcome,
  ): Operation => ({
    name: `f${name}.${format.name}`,
    raw: encode(funct5, format, name === "sqrt" ? 0 : 2),
    source: format,
    arity: name === "sqrt" ? 1 : 2,
    target: format,
    isRounded: true,
    flags,
    expect: (f, _x, mode) => expect(f[0], f[1], mode),
  });
  return [
    make("add", 0, [NX, OF, NV], (a, b, mode) => float.add(format, a, b, mode)),
    make("sub", 1, [NX, OF, NV], (a, b, mode) => {
      return float.add(format, a, float.negate(format, b), mode);
    }),
    make("mul", 2, [NX, UF, OF, NV], (a, b, mode) => float.multiply(format, a, b, mode)),
    make("div", 3, [NX, UF, OF, DZ, NV], (a, b, mode) => float.divide(format, a, b, mode)),
    make("sqrt", 11, [NX, NV], (a, _b, mode) => float.squareRoot(format, a, mode)),
  ];
}

/** FMADD a*b+c, FMSUB a*b-c, FNMSUB -a*b+c, FNMADD -a*b-c. */
function fused(format: Format): Operation[] {
  const fmt = format === DOUBLE ? 1 : 0;
  return ["madd", "msub", "nmsub", "nmadd"].map((name, index) => ({
    name: `f${name}.${format.name}`,
    raw: ((3 << 27) | (fmt << 25) | (2 << 20) | SOURCES | (0x43 + 4 * index)) >>> 0,
    source: format,
    arity: 3,
    target: format,
    isRounded: true,
    flags: [NX, UF, OF, NV],
    expect: (f, _x, mode) => {
      const a = index >= 2 ? float.negate(format, f[0]) : f[0];
      const c = index === 1 || index === 3 ? float.negate(format, f[2]) : f[2];
      return float.fma(format, a, f[1], c, mode);
    },
  }));
}

function integers(format: Format): Operation[] {
  const operations: Operation[] = [];
  for (const [code, integer] of float.INTEGERS.entries()) {
    operations.push({
      name: `fcvt.${integer.name}.${format.name}`,
      raw: encode(0x18, format, code),
      source: format,
      arity: 1,
      target: null,
      isRounded: true,
      flags: [NX, NV],
      expect: (f, _x, mode) => float.toInteger(format, f[0], code, mode),
    });
    operations.push({
      name: `fcvt.${format.name}.${integer.name}`,
      raw: encode(0x1a, format, code),
      source: format,
      arity: 0,
      target: format,
      isRounded: true,
      flags: format === DOUBLE && integer.bits === 32 ? [] : [NX],
      expect: (_f, x, mode) => float.fromInteger(format, x, code, mode),
    });
  }
  return operations;
}

function unrounded(format: Format): Operation[] {
  const pairs = (
    name: string,
    funct5: number,
    funct3: number,
    expect: (a: bigint, b: bigint) => float.Outcome,
    isInteger: boolean,
  ): Operation => ({
    name: `${name}.${format.name}`,
    raw: encode(funct5, format, 2, funct3),
    source: format,
    arity: 2,
    target: isInteger ? null : format,
    isRounded: false,
    flags: name.startsWith("fsgnj") ? [] : [NV],
    expect: (f) => expect(f[0], f[1]),
  });
  const inject = (pickSign: (a: bigint, b: bigint) => bigint) => (a: bigint, b: bigint) => {
    const mask = 1n << (format.bits - 1n);
    return { bits: (a & (mask - 1n)) | (pickSign(a, b) & mask), flags: 0 };
  };
  return [
    pairs(
      "fsgnj",
      4,
      0,
      inject((_a, b) => b),
      false,
    ),
    pairs(
      "fsgnjn",
      4,
      1,
      inject((_a, b) => ~b),
      false,
    ),
    pairs(
      "fsgnjx",
      4,
      2,
      inject((a, b) => a ^ b),
      false,
    ),
    pairs("fmin", 5, 0, (a, b) => float.pick(format, a, b, false), false),
    pairs("fmax", 5, 1, (a, b) => float.pick(format, a, b, true), false),
    pairs("fle", 0x14, 0, (a, b) => float.compare(format, a, b, 0), true),
    pairs("flt", 0x14, 1, (a, b) => float.compare(format, a, b, 1), true),
    pairs("feq", 0x14, 2, (a, b) => float.compare(format, a, b, 2), true),
    {
      name: `fclass.${format.name}`,
      raw: encode(0x1c, format, 0, 1),
      source: format,
      arity: 1,
      target: null,
      isRounded: false,
      flags: [],
      expect: (f) => float.classify(format, f[0]),
    },
  ];
}

function between(from: Format, to: Format): Operation {
  return {
    name: `fcvt.${to.name}.${from.name}`,
    raw: encode(0x08, to, from === DOUBLE ? 1 : 0),
    source: from,
    arity: 1,
    target: to,
    isRounded: true,
    flags: from === DOUBLE ? [NX, UF, OF, NV] : [NV],
    expect: (f, _x, mode) => float.convert(from, to, f[0], mode),
  };
}

/** All of them; the moves (FMV) are tested with the encodings. */
export const OPERATIONS: Operation[] = [
  ...FORMATS.flatMap(arithmetic),
  ...FORMATS.flatMap(fused),
  between(DOUBLE, SINGLE),
  between(SINGLE, DOUBLE),
  ...FORMATS.flatMap(integers),
  ...FORMATS.flatMap(unrounded),
];
