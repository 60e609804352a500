/**
 * manager: snapshots of a guest that writes all over its memory, in a store on a simulated disk:
 * law 1 through files for every type, what fails loses nothing, one operation at a time.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { KIND_BASE } from "../../assembly/layout.ts";
import {
  type Host,
  type Machine,
  type Pager,
  SnapshotManager,
  type VmError,
} from "../../src/node.ts";
import { LazyImage } from "../../src/snapshot/image.ts";
import { Pace } from "../../src/snapshot/throttle.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { MemoryStore } from "./memory-store.ts";
import { scribblingHost } from "./scribbler.ts";

const test = suite("snapshot/manager");
const STEP = 200_000;
const seed = seedOf(7_101);

interface Bench {
  readonly host: Host;
  readonly store: MemoryStore;
  readonly manager: SnapshotManager;
  readonly machine: Machine;
  start(name: string): Promise<Machine>;
}

async function withManager(work: (bench: Bench) => Promise<void>): Promise<void> {
  const { host, start } = await scribblingHost();
  const store = new MemoryStore();
  const manager = new SnapshotManager(store, { host });
  try {
    const machine = await start({ name: "web" });
    await work({ host, store, manager, machine, start: (name) => start({ name }) });
    await manager.close();
  } finally {
    host.dispose();
  }
}

async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return `${(error as VmError).code}: ${(error as Error).message}`;
  }
  return "none";
}

/** What the machine comes to in `count` instructions more. */
async function after(machine: Machine, count: number): Promise<string> {
  await machine.run(count);
  return machine.stateDigest();
}

const forget = (manager: SnapshotManager) => manager.forgetFrames();

for (const isRemapped of [true, false]) {
  const how = isRemapped ? "by remapping" : "from the store";
  test(`a machine reverted ${how} to any level does again what it did`, async () => {
    await withManager(async ({ manager, machine }) => {
      const random = new Random(seed);
      const digests: string[] = [];
      for (const type of ["full", "incremental", "incremental", "differential", "incremental"]) {
        await machine.run(random.between(1, STEP));
        const made = await manager.create(machine, { type: type as "full" });
        assert.is(made.digest, machine.stateDigest(), type);
        digests.push(await after(machine, STEP));
      }
      const all = manager.list();
      for (const index of [4, 1, 3, 0, 2, 2]) {
        if (!isRemapped) forget(manager);
        const done = await manager.revert(machine, all[index].id);
        assert.is(done.isRemapped, isRemapped);
        assert.is(machine.stateDigest(), all[index].digest, `SEED=${seed} ${all[index].name}`);
        assert.is(await after(machine, STEP), digests[index], `SEED=${seed} ${all[index].name}`);
      }
    });
  });
}

test("a machine that runs is captured at one moment, and what it does meanwhile is the next's", async () => {
  await withManager(async ({ manager, machine, store }) => {
    const run = machine.run();
    const made: string[] = [];
    for (let level = 0; level < 4; level++) {
      const { id, digest, pauseMs, totalMs } = await manager.create(machine);
      assert.ok(digest !== null && pauseMs <= totalMs);
      made.push(id);
    }
    machine.stop();
    await run;
    assert.equal(
      manager.list().map(({ type, parent }) => [type, parent]),
      made.map((_, at) => [at === 0 ? "full" : "incremental", at === 0 ? null : made[at - 1]]),
    );
    for (const id of made) {
      if (made.indexOf(id) % 2 === 0) forget(manager);
      await manager.revert(machine, id);
      assert.is(machine.stateDigest(), manager.get(id).digest);
    }
    assert.is(store.list().length, 4);
  });
});

test("a snapshot restored elsewhere is the machine, exactly or with an identity of its own", async () => {
  await withManager(async ({ manager, machine }) => {
    await machine.run(STEP);
    await manager.create(machine, { origin: { any: ["thing"] } });
    await machine.run(STEP);
    const { id, digest } = await manager.create(machine, { name: "second" });
    const end = await after(machine, STEP);
    for (const lazy of [false, true]) {
      const {
        machine: copy,
        pages,
        isLazy,
      } = await manager.restore(id, {
        name: "copy",
        identity: "same",
        lazy,
      });
      assert.is(isLazy, lazy);
      assert.ok(pages > 100);
      assert.is(copy.state, "paused");
      if (!lazy) assert.is(copy.stateDigest(), digest);
      copy.resume();
      await copy.run(STEP);
      await allHere(copy);
      assert.is(copy.stateDigest(), end, `lazy: ${lazy}`);
      assert.is(manager.current(copy)?.id, id);
      copy.dispose();
    }
    const { machine: other } = await manager.restore(id, { name: "other" });
    assert.is.not(other.stateDigest(), digest, "random numbers of its own");
  });
});

/** Waits until nothing of the machine is in the store any more. */
async function allHere(machine: Machine): Promise<void> {
  const { view } = machine;
  for (let page = 0; page < view.ramPages; page++) {
    const bound = 10_000;
    for (let turn = 0; view.pageKind(page) === KIND_BASE && turn < bound; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test("what was touched first is read first the next time", async () => {
  await withManager(async ({ manager, machine, store }) => {
    await machine.run(STEP);
    const { id } = await manager.create(machine);
    store.isSlow = true;
    const first = await manager.restore(id, { name: "first", lazy: true });
    first.machine.resume();
    await first.machine.run(1000);
    await allHere(first.machine);
    await manager.quiet();
    const touched = store.workingSets.get(id) as Uint32Array;
    assert.ok(touched.length > 0);
    store.isSlow = false;
    store.asked.length = 0;
    await manager.restore(id, { name: "second", lazy: true });
    await manager.quiet();
    assert.equal(store.asked.slice(0, touched.length), [...touched]);
  });
});

test("a machine that is still read from the store can be kept, by every type", async () => {
  await withManager(async ({ manager, machine, store }) => {
    await machine.run(STEP);
    const { id, digest } = await manager.create(machine);
    store.isSlow = true;
    const made: string[] = [];
    for (const type of ["full", "incremental", "cow"] as const) {
      const { machine: copy } = await manager.restore(id, {
        ...{ name: `copy-${type}`, identity: "same", lazy: true },
      });
      made.push((await manager.create(copy, { name: type, type })).id);
      copy.dispose();
    }
    await manager.quiet();
    store.isSlow = false;
    for (const one of made) {
      const { machine: copy } = await manager.restore(one, { name: "again", identity: "same" });
      assert.is(copy.stateDigest(), digest, manager.get(one).name);
      copy.dispose();
    }
  });
});

test("a machine that is changed by others is told as busy", async () => {
  await withManager(async ({ manager, machine }) => {
    const { id } = await manager.create(machine);
    const job = await machine.jobs.begin("migration");
    assert.match(await refusal(() => manager.create(machine)), /^busy: /);
    const late = manager.revert(machine, id);
    assert.match(await refusal(() => late), /^busy: /);
    job.end();
    await manager.revert(machine, id);
    assert.is(machine.jobs.current, null);
  });
});

test("a snapshot that fails or is cancelled gives nothing up: the next one holds it all", async () => {
  await withManager(async ({ manager, machine, store }) => {
    await machine.run(STEP);
    await manager.create(machine, { name: "base" });
    await machine.run(STEP);
    store.writesLeft = 5;
    assert.match(await refusal(() => manager.create(machine)), /^io: /);
    store.writesLeft = Number.POSITIVE_INFINITY;
    assert.is(manager.list().length, 1, "nothing of it is there");
    assert.is(manager.jobs[0].state, "failed");
    await machine.run(1000);
    const cancelled = manager.create(machine, { name: "never" });
    assert.is(await manager.cancel(machine), "create");
    assert.match(await refusal(() => cancelled), /^aborted: /);
    assert.is(manager.jobs[0].state, "cancelled");
    await machine.run(1000);
    const { id, digest, type } = await manager.create(machine, { name: "never" });
    assert.is(type, "incremental");
    await machine.run(STEP);
    forget(manager);
    await manager.revert(machine, id);
    assert.is(machine.stateDigest(), digest);
  });
});

test("the first snapshot may fail, too", async () => {
  await withManager(async ({ manager, machine, store }) => {
    store.writesLeft = 0;
    assert.match(await refusal(() => manager.create(machine)), /^io: /);
    store.writesLeft = Number.POSITIVE_INFINITY;
    const more = { type: "incremental" } as const;
    assert.match(
      await refusal(() => manager.create(machine, more)),
      /^bad-state: .*full one first/,
    );
    assert.is((await manager.create(machine)).type, "full");
  });
});

test("a revert that cannot read a page leaves the machine as it was", async () => {
  await withManager(async ({ manager, machine, store }) => {
    const { id } = await manager.create(machine);
    await machine.run(STEP);
    const { id: second } = await manager.create(machine);
    const before = machine.stateDigest();
    forget(manager);
    store.unreadable.add(`${id}:0`);
    assert.match(await refusal(() => manager.revert(machine, id)), /^bad-file: /);
    assert.is(machine.stateDigest(), before);
    assert.is(manager.current(machine)?.id, second);
    store.unreadable.clear();
    await manager.revert(machine, id);
    assert.is(manager.current(machine)?.id, id);
  });
});

test("a revert needs no room for another machine, and two at once take turns", async () => {
  const { host, start } = await scribblingHost({ machinesMax: 2 });
  const manager = new SnapshotManager(new MemoryStore(), { host });
  const machines = [await start({ name: "one" }), await start({ name: "two" })];
  for (const machine of machines) await manager.create(machine, { name: "base" });
  for (const machine of machines) await machine.run(STEP);
  forget(manager);
  const back = machines.map((machine) => {
    return manager.revert(machine, manager.find("base", machine.name).id);
  });
  for (const { snapshot } of await Promise.all(back)) {
    const machine = machines.find(({ name }) => name === snapshot.machine) as Machine;
    assert.is(machine.stateDigest(), snapshot.digest);
  }
  await manager.close();
  host.dispose();
});

test("one operation at a time: the second caller is told what is under way", async () => {
  await withManager(async ({ manager, machine }) => {
    const first = manager.create(machine, { name: "first" });
    const busy = /^busy: .*create of first is under way; wait for its end, or cancel it$/;
    assert.match(await refusal(() => manager.create(machine)), busy);
    const { id } = await first;
    const [a, b] = [manager.revert(machine, id), manager.revert(machine, id)];
    const results = await Promise.allSettled([a, b]);
    assert.equal(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  });
});

test("cow costs a root, goes back at once, and is written when another one builds on it", async () => {
  await withManager(async ({ manager, machine, store }) => {
    await machine.run(STEP);
    const cow = await manager.create(machine, { type: "cow", name: "quick" });
    assert.is(cow.isInMemory, true);
    assert.is(store.list().length, 0);
    const end = await after(machine, STEP);
    await manager.revert(machine, cow.id);
    assert.is(await after(machine, STEP), end);
    const second = await manager.create(machine, { type: "cow", name: "second" });
    await machine.run(STEP);
    const third = await manager.create(machine, { name: "third" });
    assert.equal(
      store.list().map(({ name, type }) => [name, type]),
      [
        ["quick", "full"],
        ["second", "incremental"],
        ["third", "incremental"],
      ],
    );
    assert.is(third.parent, second.id);
    forget(manager);
    for (const { id } of [third, cow, second]) {
      await manager.revert(machine, id);
      const { digest } = manager.get(id);
      assert.is(machine.stateDigest(), digest);
    }
  });
});

test("a chain is 32 levels long at most; the error says what helps", async () => {
  await withManager(async ({ manager, machine }) => {
    for (let level = 1; level <= 32; level++) {
      await machine.run(100);
      const made = await manager.create(machine, { digest: false });
      assert.is(made.level, level);
    }
    const why = /^limit: web\/snap-32 is number 32 of its chain, of 32 at most: merge/;
    assert.match(await refusal(() => manager.create(machine)), why);
    assert.is((await manager.create(machine, { type: "full" })).level, 1);
  });
});

test("differential ones stand on the full one, whatever was reverted to between", async () => {
  await withManager(async ({ manager, machine }) => {
    await machine.run(STEP);
    const base = await manager.create(machine, { name: "base" });
    await machine.run(1000);
    const first = await manager.create(machine);
    await machine.run(1000);
    const other = await manager.create(machine, { type: "full", name: "other" });
    await manager.revert(machine, first.id);
    await machine.run(1000);
    const made = await manager.create(machine, { type: "differential" });
    assert.is(made.parent, base.id);
    const digest = machine.stateDigest();
    forget(manager);
    for (const [id, expected] of [
      [other.id, other.digest],
      [made.id, digest],
    ] as const) {
      await manager.revert(machine, id);
      assert.is(machine.stateDigest(), expected);
    }
  });
});

test("frames run short: those of durable snapshots are given back, and the guest goes on", async () => {
  const { host, start } = await scribblingHost({ arenaBytes: 24 << 20 });
  const manager = new SnapshotManager(new MemoryStore(), { host });
  const machine = await start({ name: "web" });
  const digests = new Map<string, string | null>();
  for (let level = 0; level < 6; level++) {
    const { id, digest } = await manager.create(machine);
    digests.set(id, digest);
    assert.equal(await machine.run(STEP), { kind: "budget" }, "never out of memory");
  }
  const retained = manager.list().filter(({ isRetained }) => isRetained).length;
  assert.ok(retained < 6, `${retained} are still in memory`);
  for (const [id, digest] of digests) {
    await manager.revert(machine, id);
    assert.is(machine.stateDigest(), digest);
  }
  await manager.close();
  host.dispose();
});

test("a machine that is suspended is not gone back with: its memory is elsewhere", async () => {
  await withManager(async ({ manager, machine }) => {
    await machine.run(STEP);
    const { id } = await manager.create(machine);
    using capture = machine.capture();
    await machine.suspend(async () => {});
    assert.match(await refusal(() => manager.revert(machine, id)), /^bad-state: .*suspended/);
    assert.match(await refusal(() => machine.adopt(capture)), /^bad-state: .*suspended/);
    assert.is(machine.state, "suspended");
  });
});

test("a revert for which no dirty log is left changes nothing", async () => {
  await withManager(async ({ manager, machine, start }) => {
    await machine.run(STEP);
    const { id } = await manager.create(machine);
    const other = await start("other");
    await other.run(1000);
    const before = other.stateDigest();
    const logs = Array.from({ length: 8 }, () => other.view.openLog());
    assert.match(await refusal(() => manager.revert(other, id)), /^limit: /);
    assert.is(other.stateDigest(), before);
    for (const log of logs) log.close();
    await manager.revert(other, id);
    assert.is(other.stateDigest(), machine.stateDigest());
  });
});

test("who reads a machine's memory from behind leaves another pager's pages alone", async () => {
  await withManager(async ({ host, manager, machine }) => {
    await machine.run(STEP);
    const { id } = await manager.create(machine);
    const image = new LazyImage(await manager.store.reader(id), () => {});
    using capture = machine.capture();
    const { shape, sections, wallMs } = capture;
    const fill = (view: Machine["view"]) => void image.spread(view);
    const first = await host.createFrom({ shape, sections, wallMs, fill }, { name: "first" });
    first.setPager(image);
    const [copy] = await first.fork(); // the image stays open as long as one needs it
    const pager: Pager = { read: (_, target) => void target.fill(7), close: () => {} };
    copy.setPager(pager);
    const pace = new Pace(host.platform, {}, "reading");
    assert.ok(await image.fill(copy, image.pages, pace, () => false));
    copy.pages.done(image);
    assert.ok(copy.pages.has(pager));
    const absent = Array.from({ length: copy.view.ramPages }, (_, page) => page).filter((page) => {
      return copy.view.pageKind(page) === KIND_BASE;
    });
    assert.ok(absent.length > 500, `${absent.length} are absent`);
    assert.is(copy.pages.bring(absent[3]), "here");
    const bytes = new Uint8Array(8);
    assert.ok(copy.view.memory.read(0x8000_0000 + absent[3] * 4096, bytes));
    assert.equal([...bytes], [7, 7, 7, 7, 7, 7, 7, 7]);
    copy.dispose();
    first.dispose();
  });
});

test.run();
