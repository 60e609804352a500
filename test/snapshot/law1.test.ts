/**
 * law1: a guest that writes all over its memory, kept in files at random points by every type of
 * snapshot, goes on as the machines that are made of them do.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seedOf } from "../helpers/random.ts";
import { runCampaign } from "./law1.ts";
import { scribblingHost } from "./scribbler.ts";

const test = suite("snapshot/law1");
const POINTS = Number(process.env["POINTS"] ?? 60);
const seed = seedOf(4_110_823);

for (const harts of [1, 3]) {
  test(`${harts} harts that scribble, ${POINTS} points`, async () => {
    const { host, start } = await scribblingHost();
    const machine = await start({ name: "web", harts });
    const tally = await runCampaign({
      ...{ host, machine, seed, points: POINTS, gap: 40_000, on: 20_000 },
      config: { consoleInput: "closed" },
    });
    console.log(`SEED=${seed}: ${JSON.stringify(tally)}`);
    host.dispose();
    if (POINTS < 60) return;
    for (const what of ["full", "incremental", "differential", "cow", "restored lazily"]) {
      assert.ok(tally[what] > 1, what);
    }
  });
}

test.run();
