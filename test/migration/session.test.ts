/**
 * session: a machine moves while it runs, and is the same machine at the other end.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Machine,
  MemoryBackend,
  type MigrateOptions,
  MigrationManager,
  type MigrationOptions,
  type SourceSession,
} from "../../src/node.ts";
import { scribblingHost } from "../snapshot/scribbler.ts";
import { PipeDoor } from "./pipe.ts";

const test = suite("migration/session");

/** A process of its own. */
async function makeEnd(door: PipeDoor, name: string, options: Partial<MigrationOptions> = {}) {
  const { host, start } = await scribblingHost();
  const arrivals: Machine[] = [];
  const arrived = (machine: Machine) => void arrivals.push(machine);
  const manager = await MigrationManager.create({ host, door, arrived, ...options });
  await manager.listen(`pipe:${name}`);
  const end = async () => {
    await manager.close();
    host.dispose();
  };
  return { host, start, manager, arrivals, end };
}

async function two(options: Partial<MigrationOptions> = {}) {
  const door = new PipeDoor();
  const [from, to] = [await makeEnd(door, "a"), await makeEnd(door, "b", options)];
  const end = async () => {
    await from.end();
    await to.end();
  };
  return { from, to, end };
}

/** Sends a machine and waits for the end of it. */
async function send(
  manager: MigrationManager,
  machine: Machine,
  options: MigrateOptions = {},
  address = "pipe:b",
): Promise<SourceSession> {
  const session = await manager.start(machine, address, options);
  await session.ended;
  return session;
}

test("a machine that runs goes to another host, bit by bit what it would have been", async () => {
  const { from, to, end } = await two();
  const machine = await from.start({ name: "mover" });
  const run = machine.run();
  const session = await send(from.manager, machine);
  assert.equal(session.result, { kind: "completed", machine: "at-target" });
  assert.is(machine.state, "terminated");
  assert.is(machine.reason, "migrated");
  assert.is((await run).kind, "stopped");
  const [moved] = to.arrivals;
  assert.is(moved.state, "running");
  const twin = await from.start({ name: "twin" });
  await twin.run(moved.instructions);
  assert.is(moved.stateDigest(), twin.stateDigest());
  await moved.run(1_000_000);
  await twin.run(1_000_000);
  assert.is(moved.stateDigest(), twin.stateDigest());
  const { status, ram, downtimeMs } = session.progress;
  assert.is(status, "completed");
  assert.ok(ram.normal > 1000 && ram.dirtySyncCount >= 2, JSON.stringify(ram));
  assert.ok(downtimeMs !== null && downtimeMs > 0);
  const phases = session.timeline.map(({ phase }) => phase);
  assert.equal(
    [...new Set(phases)],
    ["init", "copy-memory", "copy-device-state", "transfer-active", "resume-target", "cleanup"],
  );
  assert.equal([from.manager.sessions, to.manager.sessions], [[], []]);
  assert.is(from.manager.history.length, 1);
  await end();
});

test("a machine that comes back brings only what it has changed since", async () => {
  const { from, to, end } = await two();
  const machine = await from.start({ name: "mover" });
  await machine.run(3_000_000);
  const first = await send(from.manager, machine);
  const [moved] = to.arrivals;
  // a few pages
  await moved.run(500);
  const back = await send(to.manager, moved, {}, "pipe:a");
  assert.equal(back.result, { kind: "completed", machine: "at-target" });
  const [again] = from.arrivals;
  assert.ok(first.progress.ram.normal > 1000);
  assert.ok(back.progress.ram.normal < 200, `${back.progress.ram.normal} pages came back`);
  const twin = await from.start({ name: "twin" });
  await twin.run(3_000_500);
  assert.is(again.stateDigest(), twin.stateDigest());
  await again.run(1_000_000);
  // and there once more: what the host has of it is older now
  const third = await send(from.manager, again);
  assert.equal(third.result, { kind: "completed", machine: "at-target" });
  await twin.run(1_000_000);
  assert.is(to.arrivals[1].stateDigest(), twin.stateDigest());
  await end();
});

test("a paused machine arrives paused, with its name and its console", async () => {
  const { from, to, end } = await two();
  const machine = await from.start({ name: "sleeper" });
  await machine.run(100_000);
  machine.pause("lunch");
  const digest = machine.stateDigest();
  await send(from.manager, machine, { name: "guest" });
  const [moved] = to.arrivals;
  assert.equal([moved.name, moved.state], ["guest", "paused"]);
  assert.is(moved.stateDigest(), digest);
  await end();
});

test("carried disks come along: what was there, and what was written meanwhile", async () => {
  const disk = new MemoryBackend(new Uint8Array(3 * 4096 + 512));
  const { from, to, end } = await two({ arrive: () => ({ disks: [disk] }) });
  const source = new Uint8Array(3 * 4096 + 512);
  source.fill(1, 0, 4096);
  source.fill(3, 3 * 4096);
  const machine = await from.start({ disks: [new MemoryBackend(source)] });
  const session = await from.manager.start(machine, "pipe:b");
  // before the first round, or behind it: both are right
  await machine.devices.disks[0].write(4096, new Uint8Array(512).fill(2));
  await session.ended;
  assert.equal(session.result, { kind: "completed", machine: "at-target" });
  const read = new Uint8Array(3 * 4096 + 512);
  disk.read(0, read);
  assert.equal([...new Set(read.subarray(0, 4096))], [1]);
  assert.is(read[4096], 2);
  assert.equal([...new Set(read.subarray(2 * 4096, 3 * 4096))], [0]);
  assert.equal([...new Set(read.subarray(3 * 4096))], [3]);
  assert.is(to.arrivals.length, 1);
  await end();
});

const REFUSED: readonly (readonly [
  title: string,
  arrive: Partial<MigrationOptions>,
  MigrateOptions,
  RegExp,
])[] = [
  [
    "a target that does not want it",
    {
      arrive: () => {
        throw new Error("no room at the inn");
      },
    },
    {},
    /no room at the inn/,
  ],
  ["a shared disk that is not there", {}, { disks: "shared" }, /disk 0 .* is shared/],
  [
    "a disk of another size",
    { arrive: () => ({ disks: [new MemoryBackend(new Uint8Array(512))] }) },
    {},
    /512 bytes here, and 8192 at the source/,
  ],
];
for (const [title, target, options, reason] of REFUSED) {
  test(`refused, and the machine runs on: ${title}`, async () => {
    const { from, to, end } = await two(target);
    const machine = await from.start({ disks: [new MemoryBackend(new Uint8Array(8192))] });
    const { result } = await send(from.manager, machine, options);
    assert.is(result?.kind, "refused");
    assert.match((result as { reason: string }).reason, reason);
    assert.is(machine.state, "running");
    assert.is((await machine.run(1000)).kind, "budget");
    assert.equal(to.host.machines, []);
    assert.equal([from.manager.sessions, to.manager.sessions], [[], []]);
    await end();
  });
}

test("nobody there: refused, and the machine runs on", async () => {
  const { from, end } = await two();
  const machine = await from.start();
  const { result } = await send(from.manager, machine, {}, "pipe:nobody");
  assert.is(result?.kind, "refused");
  assert.is(machine.state, "running");
  await end();
});

test("cancelled at any time before the commit, the machine runs on as if nothing had been", async () => {
  const { from, to, end } = await two();
  for (const phase of ["init", "copy-memory", "copy-device-state"]) {
    const machine = await from.start({ name: `mover-${phase}` });
    await machine.run(2_000_000);
    const run = machine.run();
    const session = await from.manager.start(machine, "pipe:b");
    while (session.phase !== phase) await from.host.platform.yieldToEventLoop();
    session.cancel("changed my mind");
    const result = await session.ended;
    assert.equal(result, { kind: "cancelled", machine: "at-source", reason: "changed my mind" });
    assert.is(machine.state, "running", phase);
    machine.stop();
    await run;
    const twin = await from.start({ name: `twin-${phase}` });
    await twin.run(machine.instructions);
    assert.is(machine.stateDigest(), twin.stateDigest(), phase);
    machine.dispose();
    twin.dispose();
  }
  for (let turn = 0; turn < 50; turn++) await from.host.platform.yieldToEventLoop();
  assert.equal(to.host.machines, []);
  await end();
});

test("a switch-over that would not keep the limit is not made", async () => {
  const { from, end } = await two();
  const machine = await from.start();
  void machine.run();
  const { result } = await send(from.manager, machine, {
    downtimeLimitMs: 0.001,
    policy: "cancel",
    timeoutMs: 200,
  });
  assert.is(result?.kind, "failed");
  assert.match((result as { reason: string }).reason, /did not converge/);
  assert.is(machine.state, "running");
  await end();
});

test("sessions beyond the limit are refused; a machine moves once at a time", async () => {
  const door = new PipeDoor();
  const from = await makeEnd(door, "a", { sessionsMax: 1 });
  const to = await makeEnd(door, "b");
  const [one, two] = [await from.start({ name: "one" }), await from.start({ name: "two" })];
  void one.run();
  const first = await from.manager.start(one, "pipe:b");
  try {
    await from.manager.start(two, "pipe:b");
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /1 migrations are under way/);
  }
  try {
    await from.manager.start(one, "pipe:b");
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /moves to another host|1 migrations/);
  }
  await first.ended;
  await from.end();
  await to.end();
});

test.run();
