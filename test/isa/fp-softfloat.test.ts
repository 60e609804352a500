/**
 * Every rounding, converting and comparing instruction of F and D against the exact reference, for
 * each rounding mode and each combination of operand kinds; then traps made for each operation.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FloatCases, register } from "../helpers/float-cases.ts";
import { DZ, KINDS, type Kind, MODES, NV, NX, OF, UF } from "../helpers/float-reference.ts";
import { OPERATIONS, type Operation } from "./fp-operations.ts";
import { FpProbe, OLD_F, OLD_X, type ProbeCase, type ProbeResult } from "./fp-probe.ts";

const seed = Number(process.env.SEED ?? 20261122);
/**
 * Cases per operation, mode and combination of signed kinds, for up to two operands; one for three.
 */
const PER_COMBINATION = 2;
/** Extra cases per operation and mode: random numbers, and traps. */
const PER_MODE = 700;
const FLAG_NAMES: [string, number][] = [
  ["NX", NX],
  ["UF", UF],
  ["OF", OF],
  ["DZ", DZ],
  ["NV", NV],
];

const test = suite("isa/fp-softfloat");
const probe = new FpProbe();

/** How often each mode, combination and raised flag came up for one operation. */
interface Coverage {
  modes: number[];
  flags: Map<string, number>;
  combinations: Set<string>;
}

interface SignedKind {
  kind: Kind;
  sign: bigint;
}

const SIGNED_KINDS = KINDS.flatMap((kind) => [0n, 1n].map((sign): SignedKind => ({ kind, sign })));

function combinations(operation: Operation): SignedKind[][] {
  let all: SignedKind[][] = [[]];
  for (let i = 0; i < operation.arity; i++) {
    all = all.flatMap((start) => SIGNED_KINDS.map((signed) => [...start, signed]));
  }
  return all;
}

function ofKinds(cases: FloatCases, operation: Operation, kinds: SignedKind[]): bigint[] {
  const format = operation.source;
  const f: bigint[] = [];
  for (const { kind, sign } of kinds) {
    const magnitude = cases.value(format, kind, f[0] ?? null) & ((1n << (format.bits - 1n)) - 1n);
    f.push((sign << (format.bits - 1n)) | magnitude);
  }
  return f;
}

function numbers(cases: FloatCases, operation: Operation): bigint[] {
  const f: bigint[] = [];
  while (f.length < operation.arity) f.push(cases.value(operation.source, "normal", f[0] ?? null));
  return f;
}

/** Operands made to be hard for this operation. */
function trap(cases: FloatCases, operation: Operation): bigint[] {
  const format = operation.source;
  const name = operation.name.split(".")[0];
  if (operation.arity === 3) {
    if (cases.below(4) === 0) return cases.tinyTrap(format);
    const [a, b] = cases.productTrap(format);
    return [a, b, cases.addendTrap(format, a, b)];
  }
  if (name === "fmul") return cases.productTrap(format);
  if (name === "fdiv") return cases.quotientTrap(format);
  if (name === "fsqrt") return [cases.squareTrap(format)];
  if (operation.arity === 2) return cases.sumTrap(format);
  if (operation.target === null) return [cases.integerTrap(format)];
  return operation.arity === 1
    ? [format.name === "d" ? cases.narrowTrap() : cases.integerTrap(format)]
    : [];
}

/** Builds the instruction for operands, half of the time with the mode in frm. */
function instruct(cases: FloatCases, operation: Operation, f: bigint[], mode: number): ProbeCase {
  const isDynamic = operation.isRounded && cases.below(2) === 0;
  const rm = operation.isRounded ? (isDynamic ? 7 : mode) : 0;
  const images = [0, 1, 2].map((i) => register(operation.source, f[i] ?? 0n));
  return {
    raw: (operation.raw | (rm << 12)) >>> 0,
    flags: 0,
    frm: isDynamic ? mode : cases.below(5),
    f: images as [bigint, bigint, bigint],
    x: operation.arity === 0 ? cases.integer() : 0n,
  };
}

function describe(operation: Operation, one: ProbeCase, mode: number): string {
  const hex = (value: bigint): string => value.toString(16).padStart(16, "0");
  const operands = operation.arity === 0 ? hex(one.x) : one.f.slice(0, operation.arity).map(hex);
  return `${operation.name} ${MODES[mode]} of ${operands} (SEED=${seed})`;
}

function check(
  operation: Operation,
  one: ProbeCase,
  f: bigint[],
  mode: number,
  got: ProbeResult,
): number {
  const want = operation.expect(f, one.x, mode);
  const isInteger = operation.target === null;
  const wantF = isInteger ? OLD_F : register(operation.target!, want.bits);
  const wantX = isInteger ? want.bits : OLD_X;
  if (got.isLegal && got.f === wantF && got.x === wantX && got.flags === want.flags)
    return want.flags;
  const show = (x: bigint, result: bigint, flags: number): string => {
    return `x ${x.toString(16)} f ${result.toString(16)} flags ${flags}`;
  };
  assert.unreachable(
    `${describe(operation, one, mode)}: expected ${show(wantX, wantF, want.flags)}, ` +
      `got ${got.isLegal ? "" : "illegal "}${show(got.x, got.f, got.flags)}`,
  );
  return 0;
}

function exercise(cases: FloatCases, operation: Operation, mode: number, coverage: Coverage): void {
  const operands: bigint[][] = [];
  for (const kinds of combinations(operation)) {
    const count = operation.arity === 3 ? 1 : PER_COMBINATION;
    for (let i = 0; i < count; i++) operands.push(ofKinds(cases, operation, kinds));
    coverage.combinations.add(`${kinds.map(({ kind, sign }) => `${sign} ${kind}`)} ${mode}`);
  }
  for (let i = 0; i < PER_MODE; i++) operands.push(numbers(cases, operation));
  for (let i = 0; i < PER_MODE; i++) operands.push(trap(cases, operation));
  const list = operands.map((f) => instruct(cases, operation, f, mode));
  const results = probe.run(list);
  for (let i = 0; i < list.length; i++) {
    const flags = check(operation, list[i], operands[i], mode, results[i]);
    for (const [name, bit] of FLAG_NAMES) {
      const key = `${name} ${mode}`;
      if ((flags & bit) !== 0) coverage.flags.set(key, (coverage.flags.get(key) ?? 0) + 1);
    }
  }
  coverage.modes[mode] += list.length;
}

const rows: string[] = [];
let total = 0;

for (const operation of OPERATIONS) {
  test(`${operation.name} equals the reference in every mode and for every kind of operand`, () => {
    const cases = new FloatCases(seed ^ operation.raw);
    const coverage: Coverage = {
      modes: [0, 0, 0, 0, 0],
      flags: new Map(),
      combinations: new Set(),
    };
    const modes = operation.isRounded ? [0, 1, 2, 3, 4] : [0];
    for (const mode of modes) exercise(cases, operation, mode, coverage);
    const counts = FLAG_NAMES.map(([name]) => {
      return modes.reduce((sum, mode) => sum + (coverage.flags.get(`${name} ${mode}`) ?? 0), 0);
    });
    const columns = [...coverage.modes, ...counts, coverage.combinations.size];
    rows.push(operation.name.padEnd(12) + columns.map((n) => String(n).padStart(7)).join(""));
    total += coverage.modes.reduce((sum, count) => sum + count, 0);
    for (const [name, bit] of FLAG_NAMES) {
      for (const mode of modes) {
        const count = coverage.flags.get(`${name} ${mode}`) ?? 0;
        const isExpected = operation.flags.includes(bit);
        assert.is(
          count > 0,
          isExpected,
          `${operation.name} ${MODES[mode]}: ${name} ${count} times`,
        );
      }
    }
  });
}

test("the coverage table counts every operation, mode, flag and combination of kinds", () => {
  const names = [...MODES, ...FLAG_NAMES.map(([name]) => name), "kinds"];
  console.log(`\n${" ".repeat(12)}${names.map((name) => name.padStart(7)).join("")}`);
  for (const row of rows) console.log(row);
  console.log(`${total} cases, SEED=${seed}`);
  assert.is(rows.length, OPERATIONS.length);
  assert.ok(total > 200_000);
});

test.run();
