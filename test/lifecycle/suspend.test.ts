/**
 * Suspending, checkpoints and what comes back from them: the same machine, bit by bit.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Machine,
  MemoryStore,
  SnapshotManager,
  SnapshotStateStore,
  type StateStore,
  VmLifecycleManager,
} from "../../src/node.ts";
import { MemoryStore as SnapshotsInMemory } from "../snapshot/memory-store.ts";
import { endHosts, refusal, simHost, turns, worker } from "./life.ts";

const test = suite("lifecycle/suspend");
test.after.each(endHosts);

const BUDGET = 300_000;
const RAM = 0x8000_0000;

/** Runs to an instruction, and says what the machine is there. */
async function digestAt(machine: Machine, instructions: number): Promise<string> {
  await machine.run(instructions - machine.instructions);
  const page = new Uint8Array(4096);
  // what is still to come comes now
  for (let at = 0; at < machine.config.memoryBytes; at += 4096)
    machine.view.memory.read(RAM + at, page);
  return machine.stateDigest();
}

test("a suspended machine holds no page, and goes on as if nothing had been", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host, { run: async () => ({ kind: "stopped" }) });
  const undisturbed = worker(host);
  await undisturbed.boot();
  const expected = await digestAt(undisturbed, 4 * BUDGET);
  const machine = worker(host);
  await manager.start(machine);
  for (let round = 1; round <= 3; round++) {
    await machine.run(round * BUDGET - machine.instructions);
    const used = machine.view.frames;
    const free = host.stats().framesFree;
    await manager.suspend(machine);
    assert.is(machine.state, "suspended");
    // the root of its empty table
    assert.is(machine.view.frames, 1);
    assert.is(host.stats().framesFree - free, used - 1);
    const { keptIn, keptBytes } = manager.state(machine);
    assert.is(keptIn, "memory");
    assert.ok(keptBytes > 0);
    await refusal(() => machine.stateDigest(), "bad-state");
    await manager.resume(machine, { isPaused: round === 2 });
    assert.is(machine.state, round === 2 ? "paused" : "running");
    assert.is(manager.state(machine).keptIn, null);
    if (round === 2) await manager.resume(machine);
    assert.ok(machine.view.frames < used, "its pages come when they are touched");
  }
  assert.is(await digestAt(machine, 4 * BUDGET), expected);
});

test("a run under way survives a suspension", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host);
  const alone = worker(host);
  await alone.boot();
  const expected = await digestAt(alone, 30_000_000);
  alone.dispose();
  const machine = worker(host);
  await machine.boot();
  const run = machine.run(30_000_000);
  await turns(6);
  await manager.suspend(machine);
  const { instructions } = machine;
  await turns(60);
  assert.is(machine.instructions, instructions, "it stands still");
  await manager.resume(machine);
  assert.equal(await run, { kind: "budget" });
  assert.is(await digestAt(machine, 30_000_000), expected);
});

test("a store that fails leaves the machine running, and nothing kept", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host);
  const machine = worker(host);
  await manager.start(machine);
  const free = () => host.stats().framesFree;
  const broken: StateStore = {
    where: "nowhere",
    isApart: true,
    keep: async () => {
      throw new Error("disk full");
    },
  };
  const before = free();
  const error = await manager.suspend(machine, { store: broken }).catch((thrown) => thrown);
  assert.is(error.message, "disk full");
  assert.is(machine.state, "running");
  assert.ok(Math.abs(free() - before) < 32);
  const { instructions } = machine;
  await turns(40);
  assert.ok(machine.instructions > instructions, "it runs on");
  assert.is(manager.state(machine).keptIn, null);
});

test("what is kept of a suspended machine goes with it", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host);
  const memory = new MemoryStore(host.platform);
  for (const end of ["dispose", "terminate", "resume"] as const) {
    let drops = 0;
    const counting: StateStore = {
      where: "memory",
      isApart: true,
      keep: async (one, options) => {
        const kept = await memory.keep(one, options);
        const { awake, revert, make } = kept;
        const drop = async () => void drops++;
        return {
          bytes: kept.bytes,
          awake: awake.bind(kept),
          revert: revert.bind(kept),
          make: make.bind(kept),
          drop,
        };
      },
    };
    const machine = worker(host);
    await manager.start(machine);
    await manager.suspend(machine, { store: counting });
    assert.is(drops, 0);
    if (end === "dispose") machine.dispose();
    else await manager[end](machine);
    assert.is(drops, 1, end);
    machine.dispose();
    assert.is(drops, 1, end);
  }
});

test("a cancelled suspension leaves the machine running", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host);
  const machine = worker(host, { memoryBytes: "8M" });
  await manager.start(machine);
  await turns(20);
  const going = manager.suspend(machine, { onProgress: () => void machine.jobs.cancel() });
  await refusal(() => going, "aborted");
  assert.is(machine.state, "running");
  assert.is(machine.jobs.current, null);
});

for (const where of ["frames", "memory"] as const) {
  test(`a checkpoint in ${where} is gone back to, again and again, here and elsewhere`, async () => {
    const [host, other] = [await simHost(), await simHost()];
    const quiet = { run: async () => ({ kind: "stopped" }) as const };
    const manager = new VmLifecycleManager(host, quiet);
    const store = where === "memory" ? new MemoryStore(host.platform) : undefined;
    const free = host.stats().framesFree;
    const machine = worker(host);
    await manager.start(machine);
    await machine.run(BUDGET);
    const checkpoint = await manager.checkpoint(machine, { name: "here", store });
    assert.is(checkpoint.facts.where, where);
    assert.is(checkpoint.facts.instructions, BUDGET);
    assert.ok(checkpoint.bytes > 0);
    await refusal(() => manager.checkpoint(machine, { name: "here" }), "bad-argument");
    const expected = await digestAt(machine, 2 * BUDGET);
    for (let round = 0; round < 2; round++) {
      const back = await manager.restore(checkpoint, { into: machine });
      assert.is(back.isNew, false);
      assert.is(machine.instructions, BUDGET);
      assert.is(await digestAt(machine, 2 * BUDGET), expected);
    }
    for (const target of [host, other]) {
      const into = { host: target, name: "twin", identity: "same" } as const;
      const { machine: twin, isNew } = await manager.restore(checkpoint, into);
      assert.ok(isNew);
      assert.equal([twin.name, twin.state], ["twin", "paused"]);
      twin.resume();
      assert.is(await digestAt(twin, 2 * BUDGET), expected);
      twin.dispose();
    }
    assert.equal(manager.checkpoints(), [checkpoint]);
    await checkpoint.release();
    assert.equal(manager.checkpoints(), []);
    await refusal(() => manager.restore(checkpoint, { into: machine }), "disposed");
    machine.dispose();
    assert.is(host.stats().framesFree, free, "a frame was leaked");
    assert.equal(host.machines, []);
  });
}

test("through a store of snapshots: suspended, woken as it is touched, gone back to", async () => {
  const host = await simHost();
  const snapshots = new SnapshotManager(new SnapshotsInMemory(), { host });
  const store = new SnapshotStateStore(snapshots, host, "a store");
  const run = async () => ({ kind: "stopped" }) as const;
  const manager = new VmLifecycleManager(host, { run, store });
  const machine = worker(host);
  await manager.start(machine);
  await machine.run(BUDGET);
  const checkpoint = await manager.checkpoint(machine, { name: "on-disk", store });
  const expected = await digestAt(machine, 2 * BUDGET);
  await manager.restore(checkpoint, { into: machine });
  assert.is(machine.instructions, BUDGET);
  const used = machine.view.frames;
  await manager.suspend(machine);
  assert.is(manager.state(machine).keptIn, "a store");
  assert.equal(
    snapshots.list().map(({ name }) => name),
    ["on-disk", "suspended"],
  );
  // its empty table, and the logs of what it writes
  assert.ok(machine.view.frames < used / 2, `${machine.view.frames} of ${used} frames`);
  await manager.resume(machine);
  assert.is(await digestAt(machine, 2 * BUDGET), expected);
  const { machine: twin } = await manager.restore(checkpoint, { host, identity: "same" });
  twin.resume();
  assert.is(await digestAt(twin, 2 * BUDGET), expected);
  await snapshots.quiet();
  await checkpoint.release();
  await turns(40);
  assert.equal(snapshots.list(), [], "what nobody reads any more is removed");
});

test("a terminated machine is restored as another incarnation, paused", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host);
  const machine = worker(host);
  await manager.start(machine);
  await using checkpoint = await manager.checkpoint(machine);
  await manager.terminate(machine);
  assert.is(machine.view.frames, 1);
  await manager.restore(checkpoint, { into: machine });
  assert.equal([machine.state, machine.incarnation], ["paused", 2]);
  await manager.resume(machine);
  const { instructions } = machine;
  await turns(40);
  assert.ok(machine.instructions > instructions);
});

test("what waits for memory is suspended, and others get its frames", async () => {
  const host = await simHost({ arenaBytes: 16 * 1024 * 1024 });
  const manager = new VmLifecycleManager(host);
  const total = host.stats().framesFree * 4096;
  const memoryBytes = Math.floor(total / 2 / 4096) * 4096 + 64 * 4096;
  const first = worker(host, { name: "first", memoryBytes, reserve: true });
  const second = worker(host, { name: "second", memoryBytes, reserve: true });
  await manager.start(first);
  const begun = manager.start(second);
  await turns(200);
  assert.is(second.state, "created");
  await manager.suspend(first);
  await begun;
  assert.is(second.state, "running");
  assert.is(first.state, "suspended");
});

test.run();
