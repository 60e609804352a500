/**
 * store-crash: the campaign with many different losses for each crash, and its tally.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { campaign, DEEDS, failures, type Tally } from "./crash-kit.ts";

const test = suite("snapshot/store-crash (deep)");
const SEED = seedOf(22);
const LOSSES = 40;

test(`every deed, each crash with ${LOSSES} different losses`, async () => {
  console.log(`SEED=${SEED}`);
  const all: Tally = { crashes: 0, kept: 0, openings: 0 };
  let failed = 0;
  for (const [index, deed] of DEEDS.entries()) {
    const tally: Tally = { crashes: 0, kept: 0, openings: 0 };
    await campaign(deed, LOSSES, new Random(SEED + index), tally);
    failed += await failures(deed);
    const text = `${tally.crashes} crashes, ${tally.openings} openings`;
    console.log(`${deed.title.padEnd(32)} ${text}, done in ${tally.kept}`);
    for (const key of ["crashes", "kept", "openings"] as const) all[key] += tally[key];
  }
  console.log(`all: ${JSON.stringify(all)}; ${failed} steps that failed`);
  assert.ok(all.openings > 5000);
});

test.run();
