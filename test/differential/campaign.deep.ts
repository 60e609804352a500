/**
 * A million random sequences against QEMU. The campaign is a file: stopped at any time, the next
 * run goes on behind the last finished batch; it ends when the million is full. One with another
 * SEED starts anew.
 *
 *   SEED=n              which campaign; default 1
 *   SEQUENCES=n         how many in all; default 1,000,000
 *   CAMPAIGN=path       the file; default dist/.info/differential-campaign.json
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { QEMU, testNeeding } from "../helpers/need.ts";
import { seedOf } from "../helpers/random.ts";
import { BATCH_CELLS, Campaign } from "./campaign.ts";
import { FLOAT_OPERATIONS } from "./float.ts";
import { builtCore, createCore } from "./rivulet.ts";

const test = suite("differential/campaign");
const SEED = seedOf(1);
const SEQUENCES = Number(process.env["SEQUENCES"] ?? 1_000_000);
const FILE =
  process.env["CAMPAIGN"] ??
  fileURLToPath(new URL("../../.info/differential-campaign.json", import.meta.url));
const BATCHES = Math.ceil(SEQUENCES / BATCH_CELLS);
const REPORT_EVERY = 20;

/** What the file holds: everything that a later run adds to. */
interface Tally {
  readonly seed: number;
  batches: number;
  sequences: number;
  instructions: number;
  pagedOrTrapped: number;
  /** Batch seed and cell of each disagreement. */
  readonly disagreements: { batchSeed: number; cellSeed: number; className: string }[];
}

function readTally(): Tally {
  const fresh: Tally = {
    ...{ seed: SEED, batches: 0, sequences: 0, instructions: 0, pagedOrTrapped: 0 },
    disagreements: [],
  };
  try {
    const found = JSON.parse(readFileSync(FILE, "utf8")) as Tally;
    return found.seed === SEED ? found : fresh;
  } catch {
    return fresh;
  }
}

function writeTally(tally: Tally): void {
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(`${FILE}.new`, JSON.stringify(tally, null, 1));
  renameSync(`${FILE}.new`, FILE);
}

function add(tally: Tally, campaign: Campaign): void {
  tally.batches++;
  tally.sequences += campaign.sequences;
  tally.instructions += campaign.instructions;
  tally.pagedOrTrapped += campaign.pagedOrTrapped;
  for (const { batchSeed, cell } of campaign.disagreements) {
    tally.disagreements.push({ batchSeed, cellSeed: cell.seed, className: cell.className });
  }
  campaign.sequences = 0;
  campaign.instructions = 0;
  campaign.pagedOrTrapped = 0;
}

testNeeding(test, [QEMU], `${SEQUENCES} random sequences end as they do in QEMU`, async () => {
  const tally = readTally();
  const campaign = new Campaign(await createCore(builtCore()), SEED);
  for (let batch = 0; batch < tally.batches; batch++) campaign.skip();
  while (tally.batches < BATCHES) {
    campaign.step();
    add(tally, campaign);
    for (const { text } of campaign.disagreements.splice(0)) console.log(text);
    writeTally(tally);
    if (tally.batches % REPORT_EVERY !== 0) continue;
    const { sequences, pagedOrTrapped, disagreements } = tally;
    const parts = `${pagedOrTrapped} paged or trapped, ${disagreements.length} differ`;
    console.log(`${sequences} of ${SEQUENCES} sequences: ${parts}`);
  }
  console.log(campaign.coverage.table(FLOAT_OPERATIONS));
  console.log(`tally in ${FILE}`);
  assert.equal(tally.disagreements, [], `SEED=${SEED}`);
  assert.ok(tally.sequences >= SEQUENCES, `${tally.sequences} sequences`);
  assert.ok(
    tally.pagedOrTrapped * 2 >= tally.sequences,
    `${tally.pagedOrTrapped} paged or trapped`,
  );
});

test.run();
