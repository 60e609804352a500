/**
 * catalog: snapshots found by name, machine and id; chains; names that are free.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Snapshot } from "../../src/index.ts";
import {
  baseOf,
  chainOf,
  checkName,
  findSnapshot,
  freeName,
  inOrder,
} from "../../src/snapshot/catalog.ts";

const test = suite("snapshot/catalog");

function snapshot(id: string, change: Partial<Snapshot>): Snapshot {
  return {
    ...{ id, name: id, machine: "a", type: "incremental", parent: null, level: 1 },
    ...{ createdMs: 0, ticks: 0, instructions: 0, digest: null, pages: 0 },
    bytes: { logical: 0, unique: 0, onDisk: 0 },
    ...{ labels: {}, notes: "", isInMemory: false, isRetained: false },
    ...change,
  };
}

const ALL = [
  snapshot("aaaa1111", { name: "base", type: "full" }),
  snapshot("aaaa2222", { name: "one", parent: "aaaa1111", level: 2, createdMs: 1 }),
  snapshot("bbbb3333", { name: "base", machine: "b", type: "full", createdMs: 2 }),
  snapshot("aaaa4444", { name: "full2", type: "full", parent: "aaaa2222", level: 3 }),
  snapshot("cccc5555", { name: "tip", parent: "aaaa4444", level: 4, createdMs: 5 }),
];

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
  return "none";
}

test("a name finds its snapshot, of the machine that is meant where it has one", () => {
  assert.is(findSnapshot(ALL, "one").id, "aaaa2222");
  assert.is(findSnapshot(ALL, "base", "a").id, "aaaa1111");
  assert.is(findSnapshot(ALL, "base", "b").id, "bbbb3333");
  assert.is(findSnapshot(ALL, "b/base").id, "bbbb3333");
  assert.is(findSnapshot(ALL, "one", "b").id, "aaaa2222", "another machine's, when it has none");
  assert.match(
    refusal(() => findSnapshot(ALL, "base")),
    /^bad-argument: .*a\/base, b\/base$/,
  );
  assert.match(
    refusal(() => findSnapshot(ALL, "b/one")),
    /^not-found: .*there are a\/base, a\/one/,
  );
  assert.match(
    refusal(() => findSnapshot([], "x")),
    /^not-found: .*there is none/,
  );
});

test("an id is found whole or by its beginning, when that is one's alone", () => {
  assert.is(findSnapshot(ALL, "bbbb3333").name, "base");
  assert.is(findSnapshot(ALL, "cccc55").name, "tip");
  assert.match(
    refusal(() => findSnapshot(ALL, "cccc")),
    /^not-found/,
    "too short",
  );
  const twins = [snapshot("dddd66660", {}), snapshot("dddd66661", {})];
  assert.match(
    refusal(() => findSnapshot(twins, "dddd6666")),
    /^bad-argument/,
  );
});

test("chains go from the first to the one, and to the full one that it stands on", () => {
  const ids = chainOf(ALL, "cccc5555").map(({ id }) => id);
  assert.equal(ids, ["aaaa1111", "aaaa2222", "aaaa4444", "cccc5555"]);
  const base = (all: readonly Snapshot[], id: string) =>
    baseOf((wanted) => all.find((one) => one.id === wanted), id);
  assert.is(base(ALL, "cccc5555"), "aaaa4444");
  assert.is(base(ALL, "aaaa2222"), "aaaa1111");
  assert.is(base(ALL, "nobody"), null);
  const circle = [snapshot("x", { parent: "y" }), snapshot("y", { parent: "x" })];
  assert.is(chainOf(circle, "x").length, 2, "a circle ends");
  assert.is(base(circle, "x"), null);
});

test("lists are oldest first, parents before children of the same moment", () => {
  const order = inOrder([...ALL].reverse()).map(({ id }) => id);
  assert.equal(order, ["aaaa1111", "aaaa4444", "aaaa2222", "bbbb3333", "cccc5555"]);
});

test("names are words, and one machine's only once", () => {
  checkName(ALL, "new", "a");
  checkName(ALL, "one", "b");
  assert.match(
    refusal(() => checkName(ALL, "one", "a")),
    /^bad-argument: .*a has one/,
  );
  for (const wrong of ["", "a b", "-a", "x".repeat(65), "a/b"]) {
    assert.match(
      refusal(() => checkName(ALL, wrong, "a")),
      /^bad-argument: .*1 to 64 letters/,
    );
  }
  assert.is(freeName(ALL, "a"), "snap-1");
  assert.is(freeName([snapshot("1", { name: "snap-1" })], "a"), "snap-2");
});

test.run();
