/**
 * pairs: the run loop's fused operations, compared as text with the two operations that each
 * stands for. The loop is source kept by hand, so nothing else says that they stay the same.
 */
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("hart/pairs");

const sourceOf = (file: string) =>
  readFileSync(new URL(`../../../assembly/hart/${file}`, import.meta.url), "utf8");

const LOOP_BEGIN = "switch (<u32>load<u8>(ip))";
const LOOP_END = "if (why != WHY_LIMIT) break;";
const DONE = "ip+=8;continue;";
const BETWEEN = "ip+=8;if(ip>=limit)continue;";

/** Without comments, white space, blocks and trailing commas. */
const plain = (code: string) =>
  code
    .replace(/\/\/.*/g, "")
    .replace(/[\s{}]+/g, "")
    .replaceAll(",)", ")");

/** Body of each case of the loop's switch. */
function caseBodies(loop: string): ReadonlyMap<string, string> {
  const from = loop.indexOf(LOOP_BEGIN);
  const to = loop.indexOf(LOOP_END);
  assert.ok(from >= 0 && to > from, "the switch is where this test looks for it");
  const [, ...pieces] = loop.slice(from, to).split(/case op\.OP_(\w+):/);
  const bodies = new Map<string, string>();
  for (let index = 0; index < pieces.length; index += 2) {
    bodies.set(pieces[index], plain(pieces[index + 1].split("default:")[0]));
  }
  return bodies;
}

const bodies = caseBodies(sourceOf("run.ts"));
const fused = [...bodies.keys()].filter((name) => name.includes("__"));

function bodyOf(name: string): string {
  const body = bodies.get(name);
  if (body === undefined) throw new Error(`the loop has no case for OP_${name}`);
  return body;
}

/** The second half stands where the first would go on to the next entry, if the budget allows. */
function joined(first: string, second: string): string {
  const at = first.indexOf(DONE);
  assert.ok(at >= 0, "the first half goes on to the next entry");
  return first.slice(0, at) + BETWEEN + second + first.slice(at + DONE.length);
}

test("every pair does what its halves do, with the budget checked in between", () => {
  assert.ok(fused.length > 0);
  for (const name of fused) {
    const [first, second] = name.split("__");
    assert.is(bodyOf(name), joined(bodyOf(first), bodyOf(second)), `OP_${name}`);
  }
});

test("the table names each pair once, by its halves", () => {
  const table = sourceOf("fuse.ts").replace(/\s+/g, " ");
  const rows = [...table.matchAll(/\bpair\( ?op\.OP_(\w+), op\.OP_(\w+), op\.OP_(\w+),? ?\)/g)];
  for (const [, first, second, both] of rows) assert.is(both, `${first}__${second}`);
  const named = rows.map(([, , , both]) => both);
  assert.equal([...named].sort(), [...fused].sort());
});

test("the operations are numbered densely, each has a case, and none is beyond a byte", () => {
  const numbers = [...sourceOf("ops.ts").matchAll(/export const OP_(\w+): u32 = (\d+);/g)];
  assert.equal(
    numbers.map(([, , number]) => Number(number)),
    numbers.map((_, index) => index),
  );
  assert.ok(numbers.length <= 256);
  assert.equal(numbers.map(([, name]) => name).sort(), [...bodies.keys()].sort());
});

test.run();
