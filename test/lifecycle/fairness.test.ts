/**
 * Who gets how much of a host, counted in instructions on a modelled clock: busy machines by their
 * weights, capped ones no more than their caps, sleepers at once.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Host, type Machine, nodePlatform, VmError } from "../../src/node.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import { endHosts, simHost, turns, worker } from "./life.ts";

const test = suite("lifecycle/fairness");
test.after.each(endHosts);

const wasm = await nodePlatform().loadCore();
/** Instructions that the modelled host runs in a millisecond. */
const RATE = 10_000;

/** Time passes by what guests retire, and by `idleMs` when they do not. */
class ModelPlatform extends SimPlatform {
  machines: readonly Machine[] = [];
  #counted = 0;

  override monotonicMs(): number {
    const retired = this.machines.reduce((sum, { view }) => sum + view.retired, 0);
    this.advance((retired - this.#counted) / RATE);
    this.#counted = retired;
    return super.monotonicMs();
  }
}

async function busy(
  count: number,
): Promise<{ machines: Machine[]; host: Host; time: ModelPlatform }> {
  const time = new ModelPlatform(wasm);
  const host = await simHost({ platform: time });
  const machines = Array.from({ length: count }, (_, index) => worker(host, { name: `m${index}` }));
  for (const machine of machines) await machine.boot();
  time.machines = machines;
  return { machines, host, time };
}

/** Lets all of them run until so much time has passed; timers fire when everybody is capped. */
async function runFor(machines: readonly Machine[], time: ModelPlatform, ms: number) {
  const end = time.monotonicMs() + ms;
  const runs = machines.map((machine) => machine.run());
  for (let round = 0; time.monotonicMs() < end && round < 1_000_000; round++) {
    const { slices } = totals(machines);
    await turns(4);
    // nobody may run: only time helps
    if (totals(machines).slices === slices && time.nextTimerMs !== null) {
      time.advance(time.nextTimerMs);
    }
  }
  for (const machine of machines) machine.stop();
  await Promise.all(runs);
}

function totals(machines: readonly Machine[]): { slices: number; instructions: number } {
  return machines.reduce(
    (sum, { share, instructions }) => ({
      slices: sum.slices + share.slices,
      instructions: sum.instructions + instructions,
    }),
    { slices: 0, instructions: 0 },
  );
}

const partOf = (machine: Machine, all: readonly Machine[]) =>
  machine.instructions / totals(all).instructions;

test("each of 16 busy machines retires at least 0.9/16 of the total", async () => {
  const { machines, time } = await busy(16);
  await runFor(machines, time, 3000);
  for (const machine of machines) {
    assert.ok(
      partOf(machine, machines) >= 0.9 / 16,
      `${machine.name}: ${partOf(machine, machines)}`,
    );
  }
});

test("weights divide the host", async () => {
  const { machines, time } = await busy(4);
  const weights = [100, 200, 300, 400];
  for (const [index, weight] of weights.entries()) machines[index].share.weight = weight;
  await runFor(machines, time, 4000);
  for (const [index, weight] of weights.entries()) {
    const [part, due] = [partOf(machines[index], machines), weight / 1000];
    assert.ok(Math.abs(part - due) < 0.1 * due, `weight ${weight} got ${part}`);
  }
});

test("a cap holds on an idle host and on a busy one, and what is left is the others'", async () => {
  for (const others of [0, 3]) {
    const { machines, time } = await busy(1 + others);
    machines[0].share.capPercent = 10;
    const beganMs = time.monotonicMs();
    await runFor(machines, time, 4000);
    const percent = (100 * machines[0].share.usedMs) / (time.monotonicMs() - beganMs);
    assert.ok(percent > 8.5 && percent < 11.5, `${percent} % beside ${others}`);
    assert.ok(machines[0].share.cappedMs > 1000);
    for (const other of machines.slice(1)) {
      assert.ok(partOf(other, machines) > 0.27, `${partOf(other, machines)}`);
      assert.is(other.share.cappedMs, 0);
    }
    endHosts();
  }
});

test("one that slept neither starves the others nor waits for long", async () => {
  const { machines, time } = await busy(3);
  const [late, ...others] = machines;
  await runFor(others, time, 2000);
  const before = late.share.waitedMs;
  await runFor(machines, time, 600);
  const got = late.instructions / RATE;
  assert.ok(got > 0.9 * 200 && got < 1.2 * 200, `${got} ms of 600`);
  assert.ok(late.share.slices > 0 && late.share.waitedMs - before < 600);
});

test("accounting adds up: what ran is what passed", async () => {
  const { machines, time } = await busy(5);
  const beganMs = time.monotonicMs();
  await runFor(machines, time, 1000);
  const passed = time.monotonicMs() - beganMs;
  const used = machines.reduce((sum, { share }) => sum + share.usedMs, 0);
  assert.ok(Math.abs(used - passed) < 0.02 * passed, `${used} of ${passed} ms`);
  for (const { share } of machines) {
    const { usedMs, waitedMs, slices } = share.counts;
    assert.ok(usedMs + waitedMs <= passed * 1.02 && slices > 0);
    // a slice is what others have to wait for
    assert.ok(usedMs / slices <= 8, `${usedMs / slices} ms a slice`);
  }
});

test("weights and caps out of range are refused", async () => {
  const { machines } = await busy(1);
  const { share } = machines[0];
  for (const weight of [0, -1, 1.5, 10_001, Number.NaN]) {
    assert.throws(
      () => (share.weight = weight),
      (error: unknown) => error instanceof VmError,
    );
  }
  for (const cap of [0, 101, Number.NaN]) {
    assert.throws(() => (share.capPercent = cap), /accepted are 1 to 100 and null/);
  }
});

test("one whose cap is taken away does not make up for it at the others' cost", async () => {
  const { machines, time } = await busy(2);
  const [capped, other] = machines;
  capped.share.capPercent = 1;
  await runFor(machines, time, 4000);
  capped.share.capPercent = null;
  const before = other.instructions;
  await runFor(machines, time, 400);
  const got = (other.instructions - before) / RATE;
  assert.ok(got > 0.9 * 200, `${got} ms of 400`);
});

test.run();
