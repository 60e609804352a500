/**
 * store-crash: the process is gone before the 1st, 2nd, 3rd ... operation of everything that
 * changes a store, and what was not synced is lost in part.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { campaign, DEEDS, failures, type Tally } from "./crash-kit.ts";

const test = suite("snapshot/store-crash");
const SEED = seedOf(21);
const LOSSES = Number(process.env["LOSSES"] ?? 3);

for (const [index, deed] of DEEDS.entries()) {
  test(`${deed.title}: as a whole or not at all, whatever ends the process`, async () => {
    const tally: Tally = { crashes: 0, kept: 0, openings: 0 };
    try {
      await campaign(deed, LOSSES, new Random(SEED + index), tally);
    } catch (error) {
      throw new Error(`SEED=${SEED}: ${(error as Error).message}`);
    }
    assert.ok(tally.crashes > 3 && tally.kept > 0, JSON.stringify(tally));
  });

  test(`${deed.title}: whichever step fails, the store is whole`, async () => {
    const failed = await failures(deed);
    assert.ok(failed > 0);
  });
}

test.run();
