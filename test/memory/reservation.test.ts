/**
 * reservation: LR and SC are atomic between harts and against DMA, whatever the quantum and however
 * the run is cut.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HART_RESERVATION } from "../../assembly/layout.ts";
import { makeCore } from "../mmu/core.ts";
import { emitEnd, finish, makeGuest, RAM } from "./guest.ts";

const test = suite("memory/reservation");
const core = await makeCore();
const COUNTER = RAM + 0x8000;
const ROUNDS = 100;

for (const harts of [2, 4, 8]) {
  test(`${harts} harts count together by LR and SC and lose nothing, at every quantum`, () => {
    for (const quantum of [1, 2, 3, 4, 5, 7, 13, 100]) {
      for (const slice of [undefined, 1, 3]) {
        const machine = makeGuest(
          core,
          (a) => {
            a.li("s0", COUNTER);
            a.li("s1", ROUNDS);
            a.csrr("s2", "mhartid");
            // harts must not stay in step, or at some quanta none ever gets through
            a.label("again");
            a.lrD("t0", "s0");
            a.addi("t0", "t0", 1);
            a.scD("t1", "t0", "s0");
            a.bnez("t1", "lost");
            a.addi("s1", "s1", -1);
            a.bnez("s1", "again");
            a.addi("t2", "s0", 8);
            a.li("t3", 1);
            a.amoaddD("zero", "t3", "t2");
            a.label("wait");
            a.ld("t3", "t2", 0);
            a.li("t4", harts);
            a.bne("t3", "t4", "wait");
            emitEnd(a);
            // below a quantum of three no SC succeeds: an AMO does the same there
            a.label("lost");
            a.addi("s3", "s3", 1);
            a.li("t5", 5);
            a.bltu("s3", "t5", "again");
            a.li("s3", 0);
            a.li("t0", 1);
            a.amoaddD("zero", "t0", "s0");
            a.addi("s1", "s1", -1);
            a.bnez("s1", "again");
            a.addi("t2", "s0", 8);
            a.li("t3", 1);
            a.amoaddD("zero", "t3", "t2");
            a.j("wait");
          },
          { harts, quantum },
        );
        finish(machine, slice);
        const sum = machine.memory.readU64(COUNTER);
        assert.is(sum, BigInt(harts * ROUNDS), `quantum ${quantum}, slices of ${slice}`);
        machine.dispose();
      }
    }
  });
}

test("DMA to the page between LR and SC makes the SC fail; to another page it does not", () => {
  for (const [offset, expected] of [
    [0, 1n],
    [0xff8, 1n],
    [0x1000, 0n],
  ] as const) {
    const machine = makeGuest(core, (a) => {
      a.li("s0", COUNTER);
      a.lrD("t0", "s0");
      a.label("here");
      a.scD("a0", "t0", "s0");
      emitEnd(a);
    });
    const hart = machine.harts[0];
    for (let step = 0; step < 10 && hart.get64(HART_RESERVATION) === (1n << 64n) - 1n; step++)
      machine.run(1);
    machine.memory.writeU64(COUNTER + offset, 5n);
    finish(machine);
    assert.is(hart.x(10), expected, `DMA at +${offset}`);
    machine.dispose();
  }
});

test.run();
