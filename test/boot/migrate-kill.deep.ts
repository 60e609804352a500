/**
 * migrate-kill: 100 moves of a Debian between processes, killed and cut at random moments.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { moveCampaign } from "./migrate-kit.ts";

const test = suite("boot/migrate-kill (deep)");
const MOVES = 100;

test(`${MOVES} moves: never two, and no number of either log is lost`, async () => {
  const seed = seedOf(100);
  const folder = mkdtempSync(join(tmpdir(), "rivulet-move-"));
  try {
    const tally = await moveCampaign(folder, MOVES, new Random(seed));
    console.log(`SEED=${seed}: ${JSON.stringify(tally)}`);
    const moves = Object.values(tally).reduce((sum, count) => sum + count, 0);
    assert.is(moves, MOVES);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
