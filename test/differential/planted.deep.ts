/**
 * Every planted bug, one after the other: each must be told from QEMU by random programs.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { QEMU, testNeeding } from "../helpers/need.ts";
import { seedOf } from "../helpers/random.ts";
import { MUTATIONS } from "./mutations.ts";
import { Hunt } from "./planted.ts";
import { builtCore } from "./rivulet.ts";

const test = suite("differential/planted-all");
const SEED = seedOf(7);
const BATCHES = 30;
const MUTATIONS_MIN = 20;

const hunt = new Hunt(SEED);

test("there are twenty bugs to plant", () => {
  assert.ok(MUTATIONS.length >= MUTATIONS_MIN);
});

testNeeding(test, [QEMU], "the sound core passes the batches of the hunt", async () => {
  const { batches, evidence } = await hunt.run(builtCore(), BATCHES);
  assert.is(batches, 0, `SEED=${SEED}: ${evidence}`);
});

for (const mutation of MUTATIONS) {
  testNeeding(test, [QEMU], `caught: ${mutation.title}`, async () => {
    const { batches, evidence } = await hunt.hunt(mutation, BATCHES);
    console.log(`${mutation.title}: batch ${batches}, ${evidence}`);
    assert.ok(batches > 0, `SEED=${SEED}: ${evidence}`);
  });
}

test.run();
