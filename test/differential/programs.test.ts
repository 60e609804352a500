/**
 * Random programs, here and in QEMU 7.2: registers, floating-point registers and flags, CSRs,
 * every trap's cause, value, pc and mstatus, data and page tables are equal byte for byte.
 *
 * SEED=n runs another campaign. A disagreement prints the seed of its batch and the cell's code.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { INSTRUCTIONS, type InstructionName } from "../../src/asm/index.ts";
import { QEMU, testNeeding } from "../helpers/need.ts";
import { seedOf } from "../helpers/random.ts";
import { buildBatch, roundRobin } from "./batch.ts";
import { BATCH_CELLS, Campaign, TURNS } from "./campaign.ts";
import { CLASS_NAMES } from "./cell.ts";
import { FLOAT_OPERATIONS } from "./float.ts";
import { runInQemu } from "./qemu.ts";
import { builtCore, createCore } from "./rivulet.ts";

const test = suite("differential/programs");
const SEED = seedOf(20_26);
const BATCHES = 32;
const SEQUENCES_MIN = 10_000;
const CLASS_MIN = 1_000;
/** QEMU 7.2 has no Zicboz. */
const NEVER_EMITTED: readonly InstructionName[] = ["cboZero"];

testNeeding(test, [QEMU], "QEMU gives the same results twice", () => {
  const batch = buildBatch(SEED, roundRobin(TURNS, BATCH_CELLS));
  assert.is(Buffer.compare(runInQemu(batch), runInQemu(batch)), 0, `seed ${SEED}`);
});

testNeeding(test, [QEMU], "10,000 random sequences end as they do in QEMU", async () => {
  const campaign = new Campaign(await createCore(builtCore()), SEED);
  for (let batch = 0; batch < BATCHES; batch++) campaign.step();
  const { coverage, sequences, pagedOrTrapped, instructions } = campaign;
  console.log(`seed ${SEED}: ${sequences} sequences, ${instructions} instructions generated`);
  console.log(`${pagedOrTrapped} sequences with paging or traps`);
  console.log(coverage.table(FLOAT_OPERATIONS));
  assert.is(campaign.report(), "", `SEED=${SEED}: a sequence differs`);
  assert.ok(sequences >= SEQUENCES_MIN, `${sequences} sequences`);
  assert.ok(pagedOrTrapped * 2 >= sequences, `${pagedOrTrapped} of ${sequences} paged or trapped`);
  for (const name of CLASS_NAMES) {
    assert.ok((coverage.sequences.get(name) ?? 0) >= CLASS_MIN, `${name} has too few sequences`);
  }
  const names = Object.keys(INSTRUCTIONS) as InstructionName[];
  const emitted = names.filter((name) => !NEVER_EMITTED.includes(name));
  assert.equal(coverage.missingInstructions(emitted), [], "instructions never emitted");
  assert.equal(coverage.missingFloat(FLOAT_OPERATIONS), [], "empty cells of the table");
  assert.equal(coverage.missingTraps(), [], "traps that never occurred");
});

test.run();
