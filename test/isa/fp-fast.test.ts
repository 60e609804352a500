/**
 * fp-fast: whenever the host's arithmetic is allowed to stand, it equals fpExecute bit for bit and
 * the instruction raises no flag but NX; and it stands for nearly all ordinary numbers.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FloatCases, register } from "../helpers/float-cases.ts";
import { KINDS, NX } from "../helpers/float-reference.ts";
import { OPERATIONS, type Operation } from "./fp-operations.ts";
import { FpProbe, type ProbeCase } from "./fp-probe.ts";

const seed = Number(process.env.SEED ?? 7041776);
const RANDOM_CASES = 6000;
const TRAP_CASES = 6000;

const test = suite("isa/fp-fast");
const probe = new FpProbe();

const roundedToNearest = OPERATIONS.filter((operation) => operation.isRounded);

function instruction(operation: Operation, f: bigint[], x: bigint): ProbeCase {
  // The host truncates, so conversions to integers are fast in RTZ; the rest in RNE.
  const mode = operation.target === null ? 1 : 0;
  const image = (i: number): bigint => register(operation.source, f[i] ?? 0n);
  return {
    raw: (operation.raw | (mode << 12)) >>> 0,
    flags: 0,
    frm: 0,
    f: [image(0), image(1), image(2)],
    x,
  };
}

/** Operands of any kind, among them numbers at the borders of the format. */
function anyOperands(cases: FloatCases, operation: Operation): bigint[] {
  const format = operation.source;
  if (operation.target !== null && operation.arity === 1 && cases.below(2) === 0) {
    return [format.name === "d" ? cases.narrowTrap() : cases.squareTrap(format)];
  }
  const f: bigint[] = [];
  for (let i = 0; i < operation.arity; i++) {
    const kind = cases.below(3) === 0 ? KINDS[cases.below(KINDS.length)] : "normal";
    f.push(cases.value(format, kind, f[0] ?? null));
  }
  return f;
}

function trapOperands(cases: FloatCases, operation: Operation): bigint[] {
  const format = operation.source;
  const name = operation.name.split(".")[0];
  if (operation.arity < 2) return anyOperands(cases, operation);
  if (operation.arity === 2) {
    if (name === "fadd" || name === "fsub") return cases.sumTrap(format);
    return name === "fdiv" ? cases.quotientTrap(format) : cases.productTrap(format);
  }
  if (cases.below(2) === 0) return cases.tinyTrap(format);
  const [a, b] = cases.productTrap(format);
  return [a, b, cases.addendTrap(format, a, b)];
}

/** Ordinary numbers: between 2^-20 and 2^20, random significands. */
function plainOperands(cases: FloatCases, operation: Operation): bigint[] {
  const format = operation.source;
  const f: bigint[] = [];
  for (let i = 0; i < operation.arity; i++) {
    const field = format.bias + BigInt(cases.below(40) - 20);
    const fraction = cases.wide() & ((1n << format.fraction) - 1n);
    const sign = operation.name.startsWith("fsqrt") ? 0n : BigInt(cases.below(2));
    f.push((sign << (format.bits - 1n)) | (field << format.fraction) | fraction);
  }
  return f;
}

function compare(operation: Operation, list: ProbeCase[]): number {
  const fast = probe.runFast(list);
  const slow = probe.run(list);
  let stood = 0;
  for (let i = 0; i < list.length; i++) {
    if (!fast[i].isLegal) continue;
    stood++;
    const same = fast[i].f === slow[i].f && fast[i].x === slow[i].x;
    if (same && slow[i].isLegal && (slow[i].flags & ~NX) === 0) continue;
    const hex = (value: bigint): string => value.toString(16);
    const operands = [...list[i].f, list[i].x].map(hex);
    assert.unreachable(
      `${operation.name} of ${operands}: fast f ${hex(fast[i].f)} x ${hex(fast[i].x)}, exact ` +
        `f ${hex(slow[i].f)} x ${hex(slow[i].x)} flags ${slow[i].flags} (SEED=${seed})`,
    );
  }
  return stood;
}

for (const operation of roundedToNearest) {
  test(`${operation.name} stands only where it is exact`, () => {
    const cases = new FloatCases(seed ^ operation.raw);
    const list: ProbeCase[] = [];
    for (let i = 0; i < RANDOM_CASES; i++) {
      list.push(instruction(operation, anyOperands(cases, operation), cases.integer()));
    }
    for (let i = 0; i < TRAP_CASES; i++) {
      list.push(instruction(operation, trapOperands(cases, operation), cases.integer()));
    }
    compare(operation, list);
  });

  const isUnsignedTarget = operation.target === null && operation.name.includes("u.");
  if (isUnsignedTarget) continue; // has no fast form
  test(`${operation.name} stands for ordinary numbers`, () => {
    const cases = new FloatCases(seed + operation.raw);
    const list: ProbeCase[] = [];
    for (let i = 0; i < 2000; i++) {
      list.push(instruction(operation, plainOperands(cases, operation), cases.integer()));
    }
    const stood = compare(operation, list);
    assert.ok(stood >= 1990, `${stood} of 2000 (SEED=${seed})`);
  });
}

test.run();
