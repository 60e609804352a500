/**
 * budget: how a run of the core ends: after its slots whatever their number, earlier when the guest
 * makes them dear, and for good when a hart does nothing but trap.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  BARREN_MAX,
  EXIT_BUDGET,
  EXIT_HTIF,
  EXIT_MMIO,
  EXIT_TRAP_LOOP,
  HART_BARREN,
  MACHINE_WORK_MAX,
} from "../../assembly/layout.ts";
import { Assembler } from "../../src/asm/index.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { stateDigest } from "../../src/machine/digest.ts";
import { makeCore } from "../mmu/core.ts";

const test = suite("hart/budget");

const RAM = 0x80000000;
const PAGES = 256;
const NOWHERE = 0x30000000;
const QUANTUM_LARGEST = 0xffff_ffff;
const WORK_MAX = 100_000;

interface Shape {
  readonly harts?: number;
  readonly quantum?: number;
}

async function machineOf(
  build: (a: Assembler) => void,
  { harts = 1, quantum = 1000 }: Shape = {},
): Promise<{ machine: MachineView; symbols: ReadonlyMap<string, number | bigint> }> {
  const core = await makeCore();
  const machine = MachineView.create(core, { ramPages: PAGES, harts, quantum });
  const a = new Assembler({ base: RAM });
  build(a);
  const { bytes, symbols } = a.assemble();
  assert.ok(machine.memory.write(RAM, bytes));
  for (const hart of machine.harts) hart.pc = BigInt(RAM);
  machine.sync();
  return { machine, symbols };
}

const digestOf = (machine: MachineView) =>
  stateDigest(machine, [], { entropyCounter: 0, alarmOf: () => null });

/** Counts to 1000, then stores to `tohost`. */
function counting(a: Assembler): void {
  a.li("t0", 1000);
  a.label("loop");
  a.addi("t0", "t0", -1);
  a.bnez("t0", "loop");
  a.la("t1", "tohost");
  a.label("last");
  a.sd("t1", "t1");
  a.label("end");
  a.j("end");
  a.align(4096);
  a.label("tohost");
  a.u64(0);
}

/**
 * Makes a page data and code by turns: two stores, the second of which may use the TLB, then a
 * call.
 */
function turning(a: Assembler): void {
  a.la("s0", "page");
  a.addi("s1", "s0", 2000);
  a.label("loop");
  a.addi("s2", "s2", 1);
  a.sb("zero", "s1", 0);
  a.sb("zero", "s1", 1);
  a.jalr("ra", "s0");
  a.j("loop");
  a.align(4096);
  a.label("page");
  a.beqz("zero", "out");
  for (let index = 0; index < 1000; index++) a.nop();
  a.label("out");
  a.ret();
}

test("the largest number of slots in the largest quantum", async () => {
  const { machine, symbols } = await machineOf(counting, { quantum: QUANTUM_LARGEST });
  machine.tohost = Number(symbols.get("tohost"));
  machine.sync();
  assert.is(machine.run(QUANTUM_LARGEST), EXIT_HTIF);
  assert.is(machine.retired, machine.slots);
  assert.is(machine.harts[0].x(5), 0n);
  assert.is(machine.harts[0].pc, BigInt(symbols.get("last") ?? 0) + 4n);
  // la is two instructions, as li of 1000 is one
  assert.is(machine.retired, 1 + 2 * 1000 + 2 + 1);
});

test("without a limit a dear run uses every slot", async () => {
  const { machine } = await machineOf(turning, { harts: 2 });
  assert.is(machine.run(20_000), EXIT_BUDGET);
  assert.is(machine.slots, 20_000);
});

test("with a limit it ends early, again and again, and nobody can tell", async () => {
  const slots = 20_000;
  const { machine: whole } = await machineOf(turning, { harts: 2 });
  whole.run(slots);
  const { machine } = await machineOf(turning, { harts: 2 });
  machine.set32(MACHINE_WORK_MAX, WORK_MAX);
  let runs = 0;
  while (machine.slots < slots) {
    const before = machine.slots;
    assert.is(machine.run(slots - before), EXIT_BUDGET);
    assert.ok(machine.slots > before, "a run that used no slot");
    runs++;
  }
  assert.ok(runs > 100, `${runs} runs`);
  assert.is(machine.slots, slots);
  assert.is(digestOf(machine), digestOf(whole));
});

test("a limit of no work at all still leaves a slot to each run", async () => {
  const { machine } = await machineOf(turning, { harts: 2 });
  machine.set32(MACHINE_WORK_MAX, 0);
  for (let run = 1; run <= 500; run++) {
    const before = machine.slots;
    assert.is(machine.run(1000), EXIT_BUDGET);
    assert.ok(machine.slots > before);
  }
});

test("cheap runs end with their slots whatever the limit", async () => {
  const { machine } = await machineOf((a) => {
    a.label("loop");
    a.addi("t0", "t0", 1);
    a.j("loop");
  });
  machine.set32(MACHINE_WORK_MAX, WORK_MAX);
  machine.run(10);
  assert.is(machine.run(1_000_000), EXIT_BUDGET);
  assert.is(machine.slots, 1_000_010);
});

test("a hart whose handler begins with an access that nothing answers ends its machine", async () => {
  const { machine } = await machineOf((a) => {
    a.la("t0", "handler");
    a.csrw("mtvec", "t0");
    a.li("t1", NOWHERE);
    a.align(4);
    a.label("handler");
    a.lw("t2", "t1");
    a.j("handler");
  });
  assert.is(machine.run(100), EXIT_MMIO);
  machine.mmioDone(0, 0, false);
  assert.is(machine.harts[0].get32(HART_BARREN), 1);
  // The counter is set forward instead of trapping a million times.
  machine.harts[0].set32(HART_BARREN, BARREN_MAX - 1);
  assert.is(machine.run(100), EXIT_MMIO);
  machine.mmioDone(0, 0, false);
  assert.is(machine.run(100), EXIT_TRAP_LOOP);
  assert.is(machine.run(100), EXIT_TRAP_LOOP);
});

test("an access that is answered keeps such a hart going", async () => {
  const { machine } = await machineOf((a) => {
    a.li("t1", NOWHERE);
    a.lw("t2", "t1");
    a.lw("t2", "t1");
  });
  assert.is(machine.run(100), EXIT_MMIO);
  machine.harts[0].set32(HART_BARREN, BARREN_MAX - 1);
  machine.mmioDone(7, 0, true);
  assert.is(machine.harts[0].get32(HART_BARREN), 0);
  assert.is(machine.run(100), EXIT_MMIO);
});

test.run();
