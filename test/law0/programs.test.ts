/**
 * Law 0 on random programs: any split of the budget, with translations and decoded code dropped at
 * random points, gives the same digest. One hart; four harts that share out the sequences; four
 * harts that run the same sequences over each other, so that whatever they do is a race.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildBatch, roundRobin } from "../differential/batch.ts";
import { CLASS_NAMES } from "../differential/cell.ts";
import { builtCore, createCore } from "../differential/rivulet.ts";
import { ALONE, type Sharing } from "../differential/runner.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { type LockstepOptions, runLockstep } from "./lockstep.ts";

const test = suite("law0/programs");
const SEED = seedOf(1_000);
const PROGRAMS = 24;
const CELLS = 45;
const STRETCH_SLOTS = 4_000;
const STRETCHES_MAX = 40;

async function checkPrograms(sharing: Sharing): Promise<void> {
  const { harts, isEach } = sharing;
  const random = new Random(SEED + harts * 10 + (isEach ? 1 : 0));
  const wasm = builtCore();
  const cores = [await createCore(wasm), await createCore(wasm)] as const;
  let slots = 0;
  let stretches = 0;
  for (let program = 0; program < PROGRAMS; program++) {
    const batchSeed = random.u32();
    const batch = buildBatch(batchSeed, roundRobin(CLASS_NAMES, CELLS), undefined, sharing);
    const options: LockstepOptions = {
      harts,
      quantum: random.pick([1, 7, 100, 1_000, 10_000]),
      stretchSlots: STRETCH_SLOTS,
      stretchesMax: STRETCHES_MAX,
    };
    const outcome = runLockstep(cores, batch, random.fork(), options);
    const what = `SEED=${SEED}, batch seed ${batchSeed}, quantum ${options.quantum}`;
    assert.is(outcome.difference, "", what);
    slots += outcome.slots;
    stretches += outcome.stretches;
  }
  console.log(
    `${harts} harts${isEach ? " over each other" : ""}: ${stretches} stretches, ${slots} slots`,
  );
  assert.ok(stretches >= PROGRAMS, "every program ran");
}

test("one hart: splits and flushes change nothing", () => checkPrograms(ALONE));
test("four harts with sequences of their own: splits and flushes change nothing", () =>
  checkPrograms({ harts: 4, isEach: false }));
test("four harts over each other's state: splits and flushes change nothing", () =>
  checkPrograms({ harts: 4, isEach: true }));

test.run();
