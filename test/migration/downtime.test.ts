/**
 * downtime: what was slow once does not keep a switch-over away for good.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Downtime } from "../../src/migration/downtime.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";

const test = suite("migration/downtime");
const ROUNDS = 60;

function make() {
  const platform = new SimPlatform(new Uint8Array());
  const downtime = new Downtime(platform, () => 0);
  const took = (what: "journal" | "round-trip", ms: number) => {
    return downtime.time(what, async () => platform.advance(ms));
  };
  const rounds = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await took("round-trip", 0.2);
      downtime.tellRound(1, 0.3);
    }
  };
  return { downtime, took, rounds };
}

test("a first round trip that took long", async () => {
  const { downtime, took, rounds } = make();
  await took("round-trip", 400);
  assert.ok(downtime.predict(0, 0) > 200);
  await rounds();
  assert.ok(downtime.predict(0, 0) < 10, `${downtime.predict(0, 0)} ms`);
});

test("a journal that took long when it was made", async () => {
  const { downtime, took, rounds } = make();
  await took("journal", 400);
  assert.ok(downtime.predict(0, 0) > 500);
  await rounds();
  assert.ok(downtime.predict(0, 0) < 60, `${downtime.predict(0, 0)} ms`);
});

test("an attempt that took far longer than it was to", async () => {
  const { downtime, rounds } = make();
  downtime.tellAttempt(10, 600);
  assert.ok(downtime.predict(0, 0) > 500);
  await rounds();
  assert.ok(downtime.predict(0, 0) < 60, `${downtime.predict(0, 0)} ms`);
});

test("a round that stood still", async () => {
  const { downtime, rounds } = make();
  downtime.tellRound(100, 800);
  assert.ok(downtime.predict(10, 0) > 80);
  await rounds();
  assert.ok(downtime.predict(10, 0) < 12, `${downtime.predict(10, 0)} ms`);
});

test("what has to be sent counts, however long nothing was tried", async () => {
  const { downtime, rounds } = make();
  await rounds();
  assert.ok(downtime.predict(100_000, 0) > 400);
});

test.run();
