/**
 * Random operations on 16 machines: 10^5 of them, in campaigns of their own seeds, with a tally.
 */
import { suite } from "uvu";
import { Random, seedOf } from "../helpers/random.ts";
import { runCampaign, type Tally } from "./campaign.ts";

const test = suite("lifecycle/random");
const SEED = seedOf(0x2007);
const CAMPAIGNS = 20;
const OPERATIONS = 5000;

test("10^5 operations lead to no illegal state and leak no frame", async () => {
  const total: Tally = new Map();
  for (let index = 0; index < CAMPAIGNS; index++) {
    const seed = (SEED + index) >>> 0;
    try {
      for (const [name, { done, refused }] of await runCampaign(new Random(seed), OPERATIONS)) {
        const sum = total.get(name) ?? { done: 0, refused: 0 };
        total.set(name, { done: sum.done + done, refused: sum.refused + refused });
      }
    } catch (error) {
      throw new Error(`SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  console.log("operation      done  refused");
  for (const [name, { done, refused }] of total) {
    console.log(`${name.padEnd(12)} ${`${done}`.padStart(6)} ${`${refused}`.padStart(8)}`);
  }
});

test.run();
