/**
 * keep: chains folded, flattened, pruned and removed under a machine that stands on them: what
 * stays holds the same, and what comes next holds what lies between.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Machine,
  MemoryDirectory,
  nodePlatform,
  SnapshotManager,
  SnapshotStore,
  type SnapshotStorePort,
  type VmError,
} from "../../src/node.ts";
import { MemoryStore } from "./memory-store.ts";
import { scribblingHost } from "./scribbler.ts";

const test = suite("snapshot/keep");
const STEP = 20_000;

type Work = (manager: SnapshotManager, machine: Machine, store: SnapshotStorePort) => Promise<void>;

/** Over the plain store and over the real one. */
async function withChain(levels: number, work: Work): Promise<void> {
  const platform = nodePlatform();
  await withStore(new MemoryStore(), levels, work);
  await withStore(await SnapshotStore.open(new MemoryDirectory(), { platform }), levels, work);
}

async function withStore(store: SnapshotStorePort, levels: number, work: Work): Promise<void> {
  const { host, start } = await scribblingHost();
  const manager = new SnapshotManager(store, { host });
  const machine = await start({ name: "web" });
  for (let level = 0; level < levels; level++) {
    await machine.run(STEP);
    await manager.create(machine, { name: `s${level}` });
  }
  await work(manager, machine, store);
  await manager.close();
  await store.close();
  host.dispose();
}

async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return `${(error as VmError).code}: ${(error as Error).message}`;
  }
  return "none";
}

/** Every snapshot that is there can be gone back to, from the store, and is what it was. */
async function checkAll(manager: SnapshotManager, machine: Machine): Promise<void> {
  for (const { id, digest, name } of manager.list()) {
    manager.forgetFrames();
    await manager.revert(machine, id);
    assert.is(machine.stateDigest(), digest, name);
  }
}

const names = (manager: SnapshotManager) =>
  manager.list().map(({ name, type }) => `${name} ${type}`);

test("a snapshot takes its parent's place, and a machine that stood on that stands on it", async () => {
  await withChain(4, async (manager, machine) => {
    const [, s1, s2] = manager.list();
    await manager.revert(machine, s1.id);
    await machine.run(STEP);
    const merged = await manager.merge(s2.id);
    assert.equal([merged.name, merged.level], ["s2", 2]);
    assert.is(manager.current(machine)?.id, s2.id);
    const next = await manager.create(machine, { name: "next" });
    assert.equal([next.type, next.parent], ["incremental", s2.id]);
    assert.equal(names(manager), [
      "s0 full",
      "s2 incremental",
      "s3 incremental",
      "next incremental",
    ]);
    await checkAll(manager, machine);
  });
});

test("a whole chain becomes one full snapshot", async () => {
  await withChain(5, async (manager, machine) => {
    const { id } = manager.find("s4");
    const merged = await manager.merge(id, { isAll: true });
    assert.equal([merged.type, merged.level, merged.parent], ["full", 1, null]);
    await machine.run(STEP);
    assert.is((await manager.create(machine, { type: "differential" })).parent, id);
    await checkAll(manager, machine);
    const none = /^bad-state: web\/s4 builds on nothing/;
    assert.match(await refusal(() => manager.merge(id)), none);
  });
});

test("into the child; a fork of the chain is refused until one stands alone", async () => {
  await withChain(3, async (manager, machine) => {
    const [s0, s1] = manager.list();
    await manager.revert(machine, s0.id);
    await machine.run(STEP);
    const branch = await manager.create(machine, { name: "branch" });
    const two = /^busy: web\/s0 cannot go: web\/branch build on it, too/;
    assert.match(await refusal(() => manager.merge(s1.id)), two);
    const many = /^bad-state: web\/s0 has 2 children: one is accepted/;
    assert.match(await refusal(() => manager.merge(s0.id, { into: "child" })), many);
    const flat = await manager.flatten(branch.id);
    assert.equal([flat.type, flat.parent], ["full", null]);
    const kept = await manager.merge(s0.id, { into: "child" });
    assert.equal([kept.name, kept.type], ["s1", "full"]);
    await checkAll(manager, machine);
  });
});

test("what others build on goes only with them; what a machine stood on leaves it on the parent", async () => {
  await withChain(4, async (manager, machine) => {
    const [, s1, s2] = manager.list();
    assert.match(await refusal(() => manager.remove(s1.id)), /^busy: web\/s1: web\/s2 build on it/);
    await machine.run(STEP);
    assert.equal(await manager.remove(s2.id, { isWithChildren: true }), ["web/s3", "web/s2"]);
    assert.is(manager.current(machine)?.id, s1.id);
    const next = await manager.create(machine, { name: "next" });
    assert.is(next.parent, s1.id);
    await checkAll(manager, machine);
    await manager.remove(manager.list()[0].id, { isWithChildren: true });
    assert.is(manager.current(machine), null);
    assert.is((await manager.create(machine)).type, "full");
  });
});

test("prune folds the old into the young, spares what is labelled, and can be asked before", async () => {
  await withChain(6, async (manager, machine) => {
    const s1 = manager.find("s1");
    await manager.annotate(s1.id, { labels: { keep: "yes", gone: "x" }, notes: "spare me" });
    await manager.annotate(s1.id, { labels: { gone: "" } });
    assert.equal(manager.get(s1.id).labels, { keep: "yes" });
    assert.is(manager.get(s1.id).notes, "spare me");
    const old = ["web/s0", "web/s2", "web/s3"];
    assert.equal(await manager.prune({ keep: 2, isDryRun: true }), old);
    assert.is(manager.list().length, 6);
    assert.equal(await manager.prune({ keep: 2 }), old);
    assert.equal(names(manager), ["s1 full", "s4 incremental", "s5 incremental"]);
    assert.match(await refusal(() => manager.prune({ keep: 0 })), /^bad-argument: .*from 1/);
    await checkAll(manager, machine);
  });
});

test("a cow that is nowhere else is renamed, labelled and removed in memory", async () => {
  await withChain(1, async (manager, machine, store) => {
    const { id } = await manager.create(machine, { type: "cow", name: "quick" });
    assert.is((await manager.rename(id, "fast")).name, "fast");
    assert.equal((await manager.annotate(id, { labels: { a: "b" } })).labels, { a: "b" });
    assert.match(await refusal(() => manager.rename(id, "s0")), /^bad-argument: .*web has one/);
    await machine.run(STEP);
    assert.equal(await manager.remove(id), ["web/fast"]);
    assert.is(store.list().length, 1);
    assert.is(manager.current(machine)?.name, "s0");
    await manager.create(machine, { name: "next" });
    await checkAll(manager, machine);
  });
});

test("contents, differences and what would refuse a restore can be asked", async () => {
  await withChain(2, async (manager, machine, store) => {
    const [s0, s1] = manager.list();
    const { ramPages, sections, shape } = await manager.contents(s1.id);
    assert.ok(ramPages > 0 && sections.some(({ name }) => name === "core"));
    assert.is(shape.harts, 1);
    const { ram, disks } = await manager.diff(s0.id, s1.id);
    assert.ok(ram.length > 0);
    assert.equal(disks, []);
    assert.equal((await manager.inspect(s1.id)).problems, []);
    if (!(store instanceof MemoryStore)) return;
    const held = await store.reader(s1.id);
    (held.sections as unknown as object[]).pop();
    const { isRestorable, problems } = await manager.inspect(s1.id);
    assert.is(isRestorable, false);
    assert.match(problems.join(), /section "snapshot" is missing/);
    assert.is(machine.state, "running");
  });
});

test.run();
