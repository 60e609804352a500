/**
 * Long jobs: the table job x operation, turns, cancellation.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { JobDesk as Desk } from "../../src/machine/jobs.ts";
import {
  JOB_KINDS,
  JOB_OPERATIONS,
  type JobDesk,
  jobRule,
  type StateStore,
  VmLifecycleManager,
} from "../../src/node.ts";
import { endHosts, refusal, simHost, turns, worker } from "./life.ts";

const test = suite("lifecycle/jobs");
test.after.each(endHosts);

/** The table, written down a second time: a allowed, q queued, r refused, in the order below. */
const ORDER =
  "pause resume reset reboot fork limits snapshot checkpoint suspend restore migration postcopy";
const RULES: Record<string, string> = {
  snapshot: "aaaaaaqqqqqq",
  checkpoint: "aaaaaaqqqqqq",
  suspend: "rrrrrarrrrrr",
  restore: "rrrrrarrrrrr",
  migration: "aarrraqqqrrr",
  postcopy: "aarrrarrrrrr",
};

test("each of the 72 pairs is allowed, queued or refused, and a refusal says why", async () => {
  assert.is(JOB_OPERATIONS.join(" "), ORDER);
  for (const kind of JOB_KINDS) {
    for (const [index, operation] of JOB_OPERATIONS.entries()) {
      const rule = jobRule(kind, operation);
      assert.is(rule.kind[0], RULES[kind][index], `${operation} during a ${kind}`);
      const desk = new Desk("web");
      const job = await desk.begin(kind);
      if (rule.kind === "refused") {
        const error = await refusal(() => desk.admit(operation), "busy");
        assert.ok(error.message.includes(rule.why) && error.message.includes(kind), error.message);
      } else {
        let isIn = false;
        const admitted = desk.admit(operation).then(() => {
          isIn = true;
        });
        await turns(4);
        assert.is(isIn, rule.kind === "allowed");
        job.end();
        await admitted;
      }
      job.end();
      await desk.admit(operation);
    }
  }
});

test("jobs that wait have their turns one by one", async () => {
  const desk: JobDesk = new Desk("web");
  const order: number[] = [];
  let under = 0;
  const work = async (index: number) => {
    const job = await desk.begin("snapshot");
    assert.is(++under, 1, "two at once");
    await turns(3);
    under--;
    order.push(index);
    job.end();
  };
  await Promise.all(Array.from({ length: 8 }, (_, index) => work(index)));
  assert.equal(order.toSorted(), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.is(desk.current, null);
  assert.is(desk.waitingCount, 0);
});

test("one that waits can be taken back, and the end of the machine ends all", async () => {
  const desk = new Desk("web");
  const job = await desk.begin("checkpoint");
  const abort = new AbortController();
  const waiting = refusal(() => desk.begin("snapshot", abort.signal), "aborted");
  await turns(2);
  abort.abort();
  await waiting;
  assert.is(desk.waitingCount, 0);
  const left = refusal(() => desk.begin("suspend"), "disposed");
  await turns(2);
  desk.close();
  await left;
  assert.ok(job.isCancelled);
  await refusal(() => job.check(), "aborted");
});

test("what a machine may do while its checkpoint is written is told by the table", async () => {
  const host = await simHost();
  const manager = new VmLifecycleManager(host);
  const machine = worker(host);
  await manager.start(machine);
  let written = () => {};
  const slow: StateStore = {
    where: "slowly",
    isApart: true,
    keep: async (_machine, { onProgress }) => {
      onProgress?.(0.5);
      await new Promise<void>((resolve) => {
        written = resolve;
      });
      const refuse = async () => Promise.reject(new Error("not asked for"));
      return { bytes: 1, awake: refuse, revert: refuse, make: refuse, drop: async () => {} };
    },
  };
  const first = manager.checkpoint(machine, { name: "first", store: slow });
  await turns(10);
  assert.equal(machine.jobs.current, { kind: "checkpoint", done: 0.5, isCancelled: false });
  const second = manager.checkpoint(machine, { name: "second" });
  await turns(4);
  assert.is(machine.jobs.waitingCount, 1);
  await manager.pause(machine);
  await manager.resume(machine);
  for (const child of await manager.fork(machine)) child.dispose();
  written();
  assert.is((await first).name, "first");
  assert.is((await second).name, "second");
  assert.equal(
    manager.checkpoints(machine.name).map(({ name }) => name),
    ["first", "second"],
  );
  await manager.close();
});

test("taken back right behind the call, a job begins as cancelled", async () => {
  const desk = new Desk("web");
  const abort = new AbortController();
  const begun = desk.begin("restore", abort.signal);
  abort.abort();
  const job = await begun;
  assert.ok(job.isCancelled);
  await refusal(() => job.check(), "aborted");
});

test.run();
