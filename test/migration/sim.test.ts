/**
 * sim: the shipped ends of a migration under faults of every kind, each run from its number.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { LINK_FAULTS, runCampaign, type Tally } from "./campaign.ts";
import { type Faults, type Outcome, runWorld, Scene, World } from "./world.ts";

const test = suite("migration/sim");
const RUNS = 10_000;
/** Far more than a run without faults sends, or writes to a journal. */
const STEPS_MAX = 60;

test("without faults the machine arrives, bit by bit what it was", async () => {
  const scene = await Scene.create();
  const world = new World(scene, {}, new Random(1));
  assert.is(await world.run(), "at-target", world.log.join("\n"));
  scene.dispose();
});

/** Runs with faults at every step, until one comes to its end before the step. */
async function atEveryStep(
  faultsAt: (step: number) => Faults,
  steps: (world: World) => number,
): Promise<Tally> {
  const scene = await Scene.create();
  const tally: Tally = {};
  for (let step = 2; step < STEPS_MAX; step++) {
    const world = new World(scene, faultsAt(step), new Random(step));
    let outcome: Outcome;
    try {
      outcome = await world.run();
    } catch (error) {
      throw new Error(`step ${step}: ${(error as Error).message}\n${world.log.join("\n")}`);
    }
    tally[outcome] = (tally[outcome] ?? 0) + 1;
    if (steps(world) < step) {
      assert.is(outcome, "at-target", `step ${step}, without a fault: ${world.log.join("; ")}`);
      scene.dispose();
      return tally;
    }
  }
  assert.unreachable(`more than ${STEPS_MAX} steps`);
  return tally;
}

for (const [fault, isPostcopy] of LINK_FAULTS.flatMap((one) => [
  [one, false] as const,
  [one, true] as const,
])) {
  const how = isPostcopy ? "post-copy" : "pre-copy";
  test(`${how}, every message: ${fault}; exactly one runs when the ends can talk again`, async () => {
    const tally = await atEveryStep(
      (at) => ({ link: { at, fault }, isPostcopy }),
      (world) => world.sends,
    );
    const classes = Object.keys(tally).filter((one) => one !== "at-target" && one !== "at-source");
    assert.equal(classes, [], JSON.stringify(tally));
  });
}

for (const process of ["a", "b"] as const) {
  const name = process === "a" ? "source" : "target";
  for (const [afterMs, isPostcopy] of [
    [0, false],
    [1, false],
    [0, true],
    [1, true],
  ] as const) {
    const how = isPostcopy ? "post-copy" : "pre-copy";
    test(`${how}, every message: the ${name} is killed, ${afterMs} ms behind it`, async () => {
      const tally = await atEveryStep(
        (at) => ({ kill: { at, process, afterMs }, latencyMs: afterMs, isPostcopy }),
        (world) => world.sends,
      );
      const other = name === "source" ? "target" : "source";
      assert.not.ok(`zero: ${other} was killed` in tally, JSON.stringify(tally));
    });
  }
  for (const isPostcopy of [false, true]) {
    test(`${isPostcopy ? "post-copy" : "pre-copy"}, every step of the ${name}'s journal fails`, async () => {
      const tally = await atEveryStep(
        (at) => ({ disk: { process, at }, isPostcopy }),
        (world) => world.operations[process],
      );
      const faults = Object.keys(tally).filter((one) => one !== "at-target" && one !== "at-source");
      assert.equal(faults, [], JSON.stringify(tally));
    });
  }
}

test(`never two, in ${RUNS} runs with faults of several kinds at once`, async () => {
  const tally = await runCampaign(seedOf(1), process.env["SEED"] === undefined ? RUNS : 1);
  console.log(JSON.stringify(tally));
  if (process.env["SEED"] !== undefined) return;
  const all: readonly Outcome[] = [
    "at-target",
    "at-source",
    "taken-back",
    "zero: source was killed",
    "zero: target was killed",
  ];
  for (const outcome of all) assert.ok((tally[outcome] ?? 0) > 0, `no run ended ${outcome}`);
});

test("a run that is told to be wrong is found to be", async () => {
  const scene = await Scene.create();
  let message = "";
  try {
    await runWorld(scene, { isTwin: true, latencyMs: 20 }, new Random(1));
  } catch (error) {
    message = (error as Error).message;
  }
  assert.match(message, /two machines run/);
  scene.dispose();
});

test.run();
