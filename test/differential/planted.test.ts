/**
 * The comparison with QEMU is trusted because it catches what is planted: here one bug of the
 * floating point, one of the page tables, one of the self-modifying code. All of them:
 * `npm run test:deep -- planted`.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { QEMU, testNeeding } from "../helpers/need.ts";
import { seedOf } from "../helpers/random.ts";
import { fitsSource, MUTATIONS, mutationNamed } from "./mutations.ts";
import { Hunt } from "./planted.ts";
import { builtCore } from "./rivulet.ts";

const test = suite("differential/planted");
const SEED = seedOf(7);
const BATCHES = 6;
const PLANTED = [
  "RMM rounds a tie to even",
  "a misaligned superpage translates",
  "a store into the middle of decoded code is missed",
];

const hunt = new Hunt(SEED);

test("every bug still fits the source", () => {
  for (const mutation of MUTATIONS) assert.ok(fitsSource(mutation), mutation.title);
});

testNeeding(test, [QEMU], "the sound core passes the batches of the hunt", async () => {
  const { batches, evidence } = await hunt.run(builtCore(), BATCHES);
  assert.is(batches, 0, `SEED=${SEED}: ${evidence}`);
});

for (const title of PLANTED) {
  testNeeding(test, [QEMU], `caught: ${title}`, async () => {
    const { batches, evidence } = await hunt.hunt(mutationNamed(title), BATCHES);
    assert.ok(batches > 0, `SEED=${SEED}: ${evidence}`);
  });
}

test.run();
