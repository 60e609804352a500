/**
 * Random operations on 16 machines, shortly: `npm run test:deep` does 10^5 of them.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { runCampaign } from "./campaign.ts";

const test = suite("lifecycle/random");
const SEED = seedOf(0x11fe);
const OPERATIONS = 1500;

test("no operation leads to an illegal state or leaks a frame", async () => {
  try {
    const tally = await runCampaign(new Random(SEED), OPERATIONS);
    for (const [name, { done, refused }] of tally) {
      const count = name === "cancelled" || name === "vetoed" ? refused : done;
      assert.ok(count > 0, `${name} was never done`);
    }
  } catch (error) {
    throw new Error(`SEED=${SEED}: ${(error as Error).message}`, { cause: error });
  }
});

test.run();
