/**
 * sim: a million schedules of faults. It goes on where the last one stopped: the number of the next
 * run is kept beside what was built, until all are done.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seedOf } from "../helpers/random.ts";
import { runCampaign, type Tally } from "./campaign.ts";

const test = suite("migration/sim (deep)");
const RUNS = Number(process.env["RUNS"] ?? 1_000_000);
const PART = 10_000;
const STATE = new URL("../../.info/migration-sim.json", import.meta.url);

interface Progress {
  readonly first: number;
  readonly done: number;
  readonly tally: Tally;
}

function load(first: number): Progress {
  try {
    const found = JSON.parse(readFileSync(STATE, "utf8")) as Progress;
    if (found.first === first && found.done < RUNS) return found;
  } catch {
    // none, or of another campaign
  }
  return { first, done: 0, tally: {} };
}

test(`never two, in ${RUNS} schedules`, async () => {
  let progress = load(seedOf(1_000_000));
  mkdirSync(fileURLToPath(new URL(".", STATE)), { recursive: true });
  while (progress.done < RUNS) {
    const { first, done } = progress;
    const count = Math.min(PART, RUNS - done);
    const part = await runCampaign(first + done, count);
    const tally: Record<string, number> = { ...progress.tally };
    for (const [outcome, times] of Object.entries(part)) {
      tally[outcome] = (tally[outcome] ?? 0) + times;
    }
    progress = { first, done: done + count, tally };
    writeFileSync(STATE, JSON.stringify(progress));
    console.log(`SEED=${first}, ${progress.done} schedules: ${JSON.stringify(tally)}`);
  }
  rmSync(STATE, { force: true });
  const sum = Object.values(progress.tally).reduce((total, times) => total + times, 0);
  assert.is(sum, RUNS);
});

test.run();
