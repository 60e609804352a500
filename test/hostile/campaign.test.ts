/**
 * The campaign's first programs; campaign.deep.ts runs thousands.
 *
 * SEED=... reruns one; PROGRAMS=... makes it longer.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seedOf } from "../helpers/random.ts";
import { Campaign, freshTally } from "./campaign.ts";

const test = suite("hostile/campaign");
const SEED = seedOf(20_261_127);
const PROGRAMS = Number(process.env["PROGRAMS"] ?? 200);

test(`${PROGRAMS} hostile programs harm nobody and say how they ended`, async () => {
  const campaign = new Campaign(freshTally(SEED));
  const { tally } = campaign;
  while (tally.programs < PROGRAMS) await campaign.step();
  console.log(`SEED=${SEED}: ${campaign.report()}`);
  assert.equal(tally.failures, [], `SEED=${SEED}`);
  assert.ok(Object.keys(tally.endings).length >= 5, "they end in many ways");
  assert.ok(tally.features.length > 300, `${tally.features.length} features`);
});

test.run();
