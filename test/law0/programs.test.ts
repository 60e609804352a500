/**
 * programs: law 0 over random programs: a run in one piece and a run in random pieces, with
 * translations and decoded code thrown away at random points, are the same at every checkpoint.
 *
 * SEED=... reruns one campaign; PROGRAMS=... makes it longer or shorter.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HART_DIGEST_BYTES } from "../../assembly/layout.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { makeCore } from "../mmu/core.ts";
import { CAUSES, countsAddress, RAM_PAGES } from "./image.ts";
import { drawProgram, type RandomProgram } from "./program.ts";
import { digestOf, randomCutter, runTo, type Tally, WHOLE } from "./split.ts";

const test = suite("law0/programs");
const PROGRAMS = Number(process.env["PROGRAMS"] ?? 300);
const CHECKPOINTS = 4;
const seed = seedOf(20_261_123);
const core = await makeCore();

const tally: Tally = { exits: 0, idleJumps: 0, runs: 0 };
const causes = new Float64Array(CAUSES);
let slots = 0;

function make({ shape, pieces, entry }: RandomProgram): MachineView {
  const { harts, quantum } = shape;
  const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts, quantum });
  for (const { address, bytes } of pieces) machine.memory.write(address, bytes);
  for (const hart of machine.harts) hart.pc = entry;
  machine.sync();
  return machine;
}

/** Where two machines differ, for a failure's message. */
function difference(a: MachineView, b: MachineView): string {
  for (const hart of a.harts) {
    const [one, other] = [hart, b.harts[hart.id]].map((view) => view.stateBytes());
    for (let at = 0; at < HART_DIGEST_BYTES; at++) {
      if (one[at] !== other[at]) {
        const where = `${hart.pc.toString(16)} and ${b.harts[hart.id].pc.toString(16)}`;
        return `hart ${hart.id} at field ${at - (at % 8)}, pc ${where}`;
      }
    }
  }
  const [one, other] = [new Uint8Array(4096), new Uint8Array(4096)];
  for (let page = 0; page < RAM_PAGES; page++) {
    const address = 0x8000_0000 + page * 4096;
    a.memory.read(address, one);
    b.memory.read(address, other);
    const at = one.findIndex((byte, index) => byte !== other[index]);
    if (at >= 0) return `memory at ${(address + at).toString(16)}`;
  }
  return "only the machine's own fields";
}

/** Runs one program both ways. */
function check(number: number): void {
  const random = new Random((seed + Math.imul(number, 0x9e3779b1)) >>> 0);
  const program = drawProgram(random);
  const [straight, split] = [make(program), make(program)];
  const length = random.between(800, 6000) * Math.min(program.shape.harts, 4);
  try {
    for (let checkpoint = 1; checkpoint <= CHECKPOINTS; checkpoint++) {
      const target = checkpoint * length;
      const ends = [
        runTo(straight, target, WHOLE, tally),
        runTo(split, target, randomCutter(random, length, random.between(3, 60))),
      ];
      const shape = JSON.stringify(program.shape);
      const what = () =>
        `program ${number}, SEED=${seed}, ${shape}, checkpoint ${target}: ${difference(straight, split)}`;
      if (ends[0] !== ends[1] || digestOf(straight) !== digestOf(split)) assert.unreachable(what());
      if (ends[0] !== "budget") break;
    }
    slots += straight.slots;
    for (const { id } of straight.harts) {
      for (let cause = 0; cause < CAUSES; cause++) {
        causes[cause] += Number(straight.memory.readU64(countsAddress(id) + cause * 8));
      }
    }
  } finally {
    straight.dispose();
    split.dispose();
  }
}

const GROUP = 50;
for (let first = 0; first < PROGRAMS; first += GROUP) {
  const last = Math.min(first + GROUP, PROGRAMS);
  test(`programs ${first} to ${last - 1} do not notice how they are run`, () => {
    for (let number = first; number < last; number++) check(number);
  });
}

test("the campaign met every kind of event", () => {
  const named = [...causes].flatMap((count, cause) =>
    count === 0 ? [] : [`${cause < 32 ? "trap" : "interrupt"} ${cause % 32}: ${count}`],
  );
  console.log(`SEED=${seed}: ${slots} slots, ${tally.idleJumps} idle jumps; ${named.join(", ")}`);
  if (PROGRAMS < 300) return;
  for (const cause of [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 33, 35, 37, 39]) {
    assert.ok(causes[cause] > 50, `cause ${cause} came ${causes[cause]} times`);
  }
  assert.ok(tally.idleJumps > 200, `${tally.idleJumps} idle jumps`);
});

test.run();
