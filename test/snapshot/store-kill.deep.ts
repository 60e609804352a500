/**
 * store-kill: 200 processes killed in the middle of their work on one store.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seedOf } from "../helpers/random.ts";
import { killCampaign } from "./kill-kit.ts";

const test = suite("snapshot/store-kill (deep)");

test("200 kills, and nothing that was durable is lost", async () => {
  const seed = seedOf(200);
  const folder = mkdtempSync(join(tmpdir(), "rivulet-kill-"));
  try {
    const tally = await killCampaign(folder, 200, seed);
    console.log(`SEED=${seed}: ${JSON.stringify(tally)}`);
    assert.is(tally.kills, 200);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
