/**
 * Law 0 on the sequences of the differential tests: any split of the budget, with translations and
 * decoded code dropped at random points, gives the same digest. One hart; four harts that share out
 * the sequences; four harts that run the same ones over each other, so that all they do is a race.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtCore, createCore } from "../differential/rivulet.ts";
import { ALONE, type Sharing } from "../differential/runner.ts";
import { seedOf } from "../helpers/random.ts";
import { runPrograms } from "./lockstep.ts";

const test = suite("law0/sequences");
const SEED = seedOf(1_000);
const PROGRAMS = 24;

async function checkPrograms(sharing: Sharing): Promise<void> {
  const wasm = builtCore();
  const cores = [await createCore(wasm), await createCore(wasm)] as const;
  const { stretches, slots, difference } = runPrograms(cores, SEED, PROGRAMS, sharing);
  const kind = `${sharing.harts} harts${sharing.isEach ? " over each other" : ""}`;
  console.log(`${kind}: ${stretches} stretches, ${slots} slots`);
  assert.is(difference, "", `SEED=${SEED}`);
  assert.ok(stretches >= PROGRAMS, "every program ran");
}

test("one hart: splits and flushes change nothing", () => checkPrograms(ALONE));
test("four harts with sequences of their own: splits and flushes change nothing", () =>
  checkPrograms({ harts: 4, isEach: false }));
test("four harts over each other's state: splits and flushes change nothing", () =>
  checkPrograms({ harts: 4, isEach: true }));

test.run();
