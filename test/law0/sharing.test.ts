/**
 * sharing: law 0 and law 2 over random programs whose pages are retained, logged, forked, taken
 * back, taken away and brought back at random points: the guest comes to the same digests as one
 * that is left alone.
 *
 * SEED=... reruns one campaign; PROGRAMS=... makes it longer or shorter.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MachineView } from "../../src/core/machine-view.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { brokenInvariants } from "../memory/invariants.ts";
import { makeCore } from "../mmu/core.ts";
import { RAM_PAGES } from "./image.ts";
import { drawProgram, type RandomProgram } from "./program.ts";
import { Sharer, type ShareTally } from "./sharer.ts";
import { digestOf, runTo, WHOLE } from "./split.ts";

const test = suite("law0/sharing");
const PROGRAMS = Number(process.env["PROGRAMS"] ?? 120);
const CHECKPOINTS = 4;
const seed = seedOf(4_230_625);
const core = await makeCore(64 * 1024 * 1024, 8);
const tally: ShareTally = {};

function make({ shape, pieces, entry }: RandomProgram): MachineView {
  const { harts, quantum } = shape;
  const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts, quantum });
  for (const { address, bytes } of pieces) machine.memory.write(address, bytes);
  for (const hart of machine.harts) hart.pc = entry;
  machine.sync();
  return machine;
}

function check(number: number): void {
  const random = new Random((seed + Math.imul(number, 0x9e3779b1)) >>> 0);
  const program = drawProgram(random);
  const [alone, shared] = [make(program), make(program)];
  const length = random.between(800, 6000) * Math.min(program.shape.harts, 4);
  const sharer = new Sharer(random, Math.ceil((2 * length) / random.between(3, 60)), tally);
  sharer.others = [alone];
  try {
    for (let checkpoint = 1; checkpoint <= CHECKPOINTS; checkpoint++) {
      const what = `program ${number}, SEED=${seed}, checkpoint ${checkpoint}`;
      const target = checkpoint * length;
      const ends = [runTo(alone, target, WHOLE), runTo(shared, target, sharer)];
      sharer.bringAll(shared);
      assert.is(ends[1], ends[0], what);
      assert.is(digestOf(shared), digestOf(alone), what);
      sharer.check(shared);
      if (ends[0] !== "budget") break;
    }
  } finally {
    sharer.end();
    alone.dispose();
    shared.dispose();
  }
  assert.equal(brokenInvariants(core, []), []);
  assert.is(core.framesFree, core.framesTotal);
}

const GROUP = 20;
for (let first = 0; first < PROGRAMS; first += GROUP) {
  const last = Math.min(first + GROUP, PROGRAMS);
  test(`programs ${first} to ${last - 1} do not notice what becomes of their pages`, () => {
    for (let number = first; number < last; number++) check(number);
  });
}

test("the campaign did everything often", () => {
  console.log(`SEED=${seed}: ${JSON.stringify(tally)}`);
  if (PROGRAMS < 40) return;
  for (const what of ["roots", "logs", "harvests", "forks", "reverts", "taken away", "brought"]) {
    assert.ok((tally[what] ?? 0) > 100, `${what}: ${tally[what]}`);
  }
});

test.run();
