/**
 * postcopy: a machine runs at the target before its memory is there: it waits for what it touches,
 * and is, in the end and at every moment, what it would have been.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Machine,
  MigrationManager,
  type MigrationSession,
  type SourceSession,
  TargetSession,
  VmError,
} from "../../src/node.ts";
import { scribblingHost } from "../snapshot/scribbler.ts";
import { PipeDoor } from "./pipe.ts";

const test = suite("migration/postcopy");

/** A process of its own. */
async function makeEnd(door: PipeDoor, name: string, onArrived = () => {}) {
  const { host, start } = await scribblingHost();
  const arrivals: Machine[] = [];
  const sessions: TargetSession[] = [];
  const arrived = (machine: Machine, session: MigrationSession) => {
    arrivals.push(machine);
    if (session instanceof TargetSession) sessions.push(session);
    onArrived();
  };
  const manager = await MigrationManager.create({ host, door, arrived });
  await manager.listen(`pipe:${name}`);
  return { host, start, manager, arrivals, sessions };
}

/** Pages that the guest has written since the last round, at least, when it is switched over. */
const LEFT_MIN = 300;

/** A machine that has just begun to run at the target; no page leaves the source. */
async function halfway() {
  const door = new PipeDoor();
  const from = await makeEnd(door, "a");
  const to = await makeEnd(door, "b", () => session.bandwidth.hold());
  const machine = await from.start({ name: "mover" });
  const here = machine.run();
  const session = await from.manager.start(machine, "pipe:b", { downtimeLimitMs: 10_000 });
  session.bandwidth.hold();
  const { yieldToEventLoop } = from.host.platform;
  while (session.phase === "init") await yieldToEventLoop();
  session.bandwidth.goOn();
  while (session.progress.ram.dirtySyncCount === 0) await yieldToEventLoop();
  session.bandwidth.hold();
  while (session.progress.ram.remaining < LEFT_MIN * 4096) await yieldToEventLoop();
  session.convergence.postcopy();
  session.bandwidth.goOn();
  while (to.arrivals.length === 0) await from.host.platform.yieldToEventLoop();
  const [moved] = to.arrivals;
  const twin = await from.start({ name: "twin" });
  await twin.run(moved.instructions);
  const end = async () => {
    door.isDown = false;
    await from.manager.close();
    await to.manager.close();
    from.host.dispose();
    to.host.dispose();
  };
  return { door, from, to, session, machine, moved, arriving: to.sessions[0], twin, here, end };
}

type Halfway = Awaited<ReturnType<typeof halfway>>;

/** The link breaks while pages are still there, and stays so. */
function breakLink({ door, session }: Halfway): void {
  assert.is(session.status, "postcopy-active");
  door.isDown = true;
  door.cut();
  session.bandwidth.goOn();
}

async function until(session: SourceSession | TargetSession, status: string): Promise<void> {
  for await (const now of session.updates(1)) if (now.status === status) return;
  throw new Error(`it never was ${status}: ${session.status}`);
}

test("it runs there while pages come, and is bit by bit what it would have been", async () => {
  const { to, session, moved, arriving, twin, end } = await halfway();
  assert.is(arriving.result, null);
  assert.ok(arriving.progress.ram.remaining >= LEFT_MIN * 4096);
  session.bandwidth.goOn();
  const run = moved.run(3_000_000);
  assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
  assert.equal(await arriving.ended, { kind: "completed", machine: "at-target" });
  await run;
  await twin.run(3_000_000);
  assert.is(moved.stateDigest(), twin.stateDigest());
  assert.is(arriving.progress.ram.remaining, 0);
  await to.host.platform.yieldToEventLoop();
  assert.is(moved.jobs.current, null);
  assert.equal([to.manager.sessions, moved.state], [[], "running"]);
  await end();
});

test("a link that breaks leaves the guest waiting; recover goes on from either end", async () => {
  for (const side of ["source", "target"] as const) {
    const half = await halfway();
    const { door, session, moved, arriving, twin, machine, end } = half;
    breakLink(half);
    await until(session, "postcopy-paused");
    await until(arriving, "postcopy-paused");
    const run = moved.run(3_000_000);
    assert.is(machine.state, "migration-source");
    await assertRejects(() => (side === "source" ? session : arriving).recover(), "io");
    door.isDown = false;
    if (side === "source") await session.recover();
    else await arriving.recover();
    assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
    await run;
    await twin.run(3_000_000);
    assert.is(moved.stateDigest(), twin.stateDigest());
    await end();
  }
});

async function assertRejects(work: () => unknown, code: string): Promise<void> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is((error as VmError).code, code, (error as Error).message);
    return;
  }
  throw new Error(`nothing was thrown instead of "${code}"`);
}

test("with the target abandoned the source goes on from the switch-over, and the target ends", async () => {
  const half = await halfway();
  const { door, session, moved, arriving, twin, machine, here, end } = half;
  await assertRejects(() => session.recover({ isAbandoning: true }), "bad-state");
  breakLink(half);
  await until(session, "postcopy-paused");
  const switched = moved.instructions;
  const lost = moved.run(3_000_000);
  await session.recover({ isAbandoning: true });
  const result = await session.ended;
  assert.is(result.kind, "taken-back");
  assert.is(machine.state, "running");
  machine.stop();
  await here;
  await twin.run(machine.instructions - switched);
  assert.is(machine.stateDigest(), twin.stateDigest());
  // the dead one was not dead: it has to hear that it is not the machine any more
  door.isDown = false;
  await arriving.recover().catch(() => {});
  const end2 = await arriving.ended;
  assert.is(end2.kind, "lost", JSON.stringify(end2));
  assert.match(end2.kind === "lost" ? end2.reason : "", /pages of mover are lost/);
  assert.is(moved.state, "terminated");
  await lost;
  await end();
});

test("a source that has nothing of it any more takes the machine along", async () => {
  const half = await halfway();
  const { door, moved, arriving, end } = half;
  breakLink(half);
  await until(arriving, "postcopy-paused");
  const lost = moved.run(3_000_000);
  // as after a restart without its state
  const other = await makeEnd(door, "a");
  door.isDown = false;
  await arriving.recover();
  assert.is((await arriving.ended).kind, "lost");
  await lost;
  assert.is(moved.state, "terminated");
  await other.manager.close();
  other.host.dispose();
  await end();
});

test("while pages are elsewhere it is not copied, moved or put away, but may be paused", async () => {
  const half = await halfway();
  const { from, moved, session, arriving, door, end } = half;
  breakLink(half);
  await until(arriving, "postcopy-paused");
  for (const what of ["fork", "snapshot", "checkpoint", "suspend", "migration"] as const) {
    const rule = moved.jobs.rule(what);
    assert.is(rule.kind, "refused", what);
  }
  await assertRejects(() => half.to.manager.start(moved, "pipe:a"), "busy");
  await assertRejects(() => moved.fork(1), "busy");
  moved.pause("lunch");
  moved.resume();
  assert.throws(() => session.cancel(), /is committed: it cannot be cancelled/);
  door.isDown = false;
  await session.recover();
  await session.ended;
  await arriving.ended;
  await from.host.platform.yieldToEventLoop();
  assert.is(moved.jobs.current, null);
  await end();
});

test("a machine that ends at the target needs no more pages", async () => {
  const { session, moved, arriving, end } = await halfway();
  moved.dispose();
  session.bandwidth.goOn();
  assert.equal(await arriving.ended, { kind: "completed", machine: "at-target" });
  assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
  await end();
});

test("the policy turns to it when the guest writes faster than the link takes it", async () => {
  const door = new PipeDoor();
  const [from, to] = [await makeEnd(door, "a"), await makeEnd(door, "b")];
  const machine = await from.start({ name: "mover" });
  void machine.run();
  const options = { policy: "postcopy", timeoutMs: 0, downtimeLimitMs: 20 } as const;
  const session = await from.manager.start(machine, "pipe:b", { ...options, bandwidth: 8e6 });
  assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
  const [moved] = to.arrivals;
  const twin = await from.start({ name: "twin" });
  await twin.run(moved.instructions);
  assert.is(moved.stateDigest(), twin.stateDigest());
  await from.manager.close();
  await to.manager.close();
  from.host.dispose();
  to.host.dispose();
});

test.run();
