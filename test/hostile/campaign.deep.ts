/**
 * Thousands of hostile programs. The campaign is a file: stopped at any time, the next run goes on
 * behind the last finished batch. One with another SEED starts anew.
 *
 *   SEED=n          which campaign; default 1
 *   PROGRAMS=n      how many in all; default 10,000
 *   CAMPAIGN=path   the file; default dist/.info/hostile-campaign.json
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seedOf } from "../helpers/random.ts";
import { Campaign, freshTally, type Tally } from "./campaign.ts";

const test = suite("hostile/campaign");
const SEED = seedOf(1);
const PROGRAMS = Number(process.env["PROGRAMS"] ?? 10_000);
const FILE =
  process.env["CAMPAIGN"] ??
  fileURLToPath(new URL("../../.info/hostile-campaign.json", import.meta.url));
const REPORT_EVERY = 500;

function readTally(): Tally {
  try {
    const found = JSON.parse(readFileSync(FILE, "utf8")) as Tally;
    return found.seed === SEED ? found : freshTally(SEED);
  } catch {
    return freshTally(SEED);
  }
}

function writeTally(tally: Tally): void {
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(`${FILE}.new`, JSON.stringify(tally));
  renameSync(`${FILE}.new`, FILE);
}

test(`${PROGRAMS} hostile programs harm nobody and say how they ended`, async () => {
  const campaign = new Campaign(readTally());
  const { tally } = campaign;
  while (tally.programs < PROGRAMS && tally.failures.length === 0) {
    await campaign.step();
    writeTally(tally);
    if (tally.programs % REPORT_EVERY === 0) console.log(campaign.report());
  }
  console.log(campaign.report());
  console.log(`tally in ${FILE}`);
  assert.equal(tally.failures, [], `SEED=${SEED}`);
});

test.run();
