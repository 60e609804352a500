/**
 * pool: demand zero, overcommit, the pause of a machine that finds no frame, reset, disposal, and
 * decode chunks that run out; the invariants after each.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EXIT_MEMORY, MACHINE_TURN } from "../../assembly/layout.ts";
import type { Assembler } from "../../src/asm/index.ts";
import type { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { makeCore } from "../mmu/core.ts";
import { digestOf, emitEnd, finish, makeGuest, RAM, runGuest } from "./guest.ts";
import { brokenInvariants } from "./invariants.ts";

const test = suite("memory/pool");
const MEBIBYTE = 1024 * 1024;
const GIBIBYTE_PAGES = 262_144;
/** Frames that hold tables and code beside the pages touched. */
const FEW = 4;

function sound(core: Core, ...machines: MachineView[]): void {
  assert.equal(brokenInvariants(core, machines), []);
}

/** Reads or writes one doubleword of each of `pages` pages from the second MiB on. */
function toucher(pages: number, isWrite: boolean): (a: Assembler) => void {
  return (a) => {
    const again = a.fresh("again");
    a.li("s0", RAM + MEBIBYTE);
    a.li("s1", pages);
    a.li("s2", 4096);
    a.label(again);
    if (isWrite) a.sd("s1", "s0", 16);
    else {
      a.ld("t0", "s0", 16);
      a.or("s3", "s3", "t0");
    }
    a.add("s0", "s0", "s2");
    a.addi("s1", "s1", -1);
    a.bnez("s1", again);
    emitEnd(a);
  };
}

test("a guest of 1 GiB that touches 100 MB takes 100 MB of frames and the tables of them", async () => {
  const core = await makeCore(256 * MEBIBYTE);
  const before = core.framesFree;
  const pages = 25_600;
  const machine = makeGuest(core, toucher(pages, true), { ramPages: GIBIBYTE_PAGES });
  finish(machine);
  const leaves = Math.ceil((pages + 256) / 512);
  assert.ok(machine.frames >= pages + leaves, `${machine.frames} frames`);
  assert.ok(machine.frames <= pages + leaves + FEW, `${machine.frames} frames`);
  assert.is(core.framesFree, before - machine.frames);
  sound(core, machine);
  machine.dispose();
  assert.is(core.framesFree, before);
  sound(core);
});

test("reading all of 1 GiB takes no frame", async () => {
  const core = await makeCore();
  const build = toucher(GIBIBYTE_PAGES - 512, false);
  const machine = makeGuest(core, build, { ramPages: GIBIBYTE_PAGES });
  finish(machine);
  assert.is(machine.harts[0].x(19), 0n);
  assert.ok(machine.frames <= FEW, `${machine.frames} frames`);
  sound(core, machine);
});

test("two overcommitted machines: the second stops at an instruction, goes on when the first is gone, and never knows", async () => {
  const core = await makeCore(32 * MEBIBYTE);
  const pages = Math.floor(core.framesTotal * 0.6);
  const options = { ramPages: pages + 512 };
  const first = makeGuest(core, toucher(pages, true), options);
  const second = makeGuest(core, toucher(pages, true), options);
  finish(first);
  const digest = digestOf(first);
  const slots = first.slots;
  assert.is(runGuest(second, 1000), EXIT_MEMORY);
  assert.is(core.framesFree, 0);
  const stopped = [second.slots, second.retired, second.harts[0].pc, digestOf(second)];
  for (let turn = 0; turn < 5; turn++) {
    assert.is(second.run(1000), EXIT_MEMORY);
    assert.equal([second.slots, second.retired, second.harts[0].pc, digestOf(second)], stopped);
  }
  sound(core, first, second);
  first.dispose();
  sound(core, second);
  finish(second, 777);
  assert.is(second.slots, slots);
  assert.is(digestOf(second), digest);
  second.dispose();
  assert.is(core.framesFree, core.framesTotal);
  sound(core);
});

/** Instructions that may be the first to write a page; s0 is its address. */
const FIRST_STORES: readonly [name: string, emit: (a: Assembler) => void][] = [
  ["sb", (a) => a.sb("s4", "s0", 0)],
  ["fsd", (a) => a.fsd("fa0", "s0", 8)],
  ["c.sd", (a) => a.cSd("a0", "s0", 8)],
  ["a store across two pages", (a) => a.sd("s4", "s0", -3)],
  ["amoadd.d", (a) => a.amoaddD("s5", "s4", "s0")],
  [
    "sc.d",
    (a) => {
      a.lrD("s5", "s0");
      a.scD("s5", "s4", "s0");
    },
  ],
  ["cbo.zero", (a) => a.cboZero("s0")],
];

for (const [name, emit] of FIRST_STORES) {
  test(`${name} that finds no frame is executed again as if for the first time`, async () => {
    const build = (a: Assembler) => {
      a.li("t0", 0x2000);
      a.csrs("mstatus", "t0");
      a.li("s0", RAM + 3 * MEBIBYTE);
      a.li("s4", 0x1234_5678);
      a.mv("a0", "s4");
      a.fcvtDL("fa0", "s4");
      emit(a);
      a.csrr("s6", "instret");
      emitEnd(a);
    };
    const core = await makeCore(16 * MEBIBYTE);
    const undisturbed = makeGuest(core, build);
    finish(undisturbed);
    const digest = digestOf(undisturbed);
    undisturbed.dispose();
    const machine = makeGuest(core, build);
    const hog = MachineView.create(core, { ramPages: 8192, harts: 1, quantum: 1 });
    for (let page = 0; core.framesFree > 0; page++) hog.memory.reserve(RAM + page * 4096, 1);
    assert.is(hog.memory.reserve(RAM + 8191 * 4096, 1), false);
    // the leaf, the page, and the second page if there is one: frames come one at a time
    assert.is(runGuest(machine), EXIT_MEMORY, "without a frame");
    const pc = machine.harts[0].pc;
    const taken = machine.retired;
    assert.is(runGuest(machine, 3), EXIT_MEMORY);
    assert.is(machine.harts[0].pc, pc);
    assert.is(machine.retired, taken);
    sound(core, machine, hog);
    hog.dispose();
    finish(machine, 2);
    assert.is(digestOf(machine), digest);
    sound(core, machine);
  });
}

test("DMA that finds no frame changes nothing", async () => {
  const core = await makeCore(16 * MEBIBYTE);
  const machine = MachineView.create(core, { ramPages: 8192, harts: 1, quantum: 1 });
  let page = 0;
  while (machine.memory.writeU64(RAM + page * 4096, BigInt(page))) page++;
  assert.is(core.framesFree, 0);
  assert.is(machine.memory.readU64(RAM + page * 4096), 0n);
  assert.is(machine.memory.readU64(RAM + (page - 1) * 4096), BigInt(page - 1));
  assert.throws(() => MachineView.create(core, { ramPages: 8192, harts: 1, quantum: 1 }));
  sound(core, machine);
  machine.dispose();
  assert.is(core.framesFree, core.framesTotal);
});

test("reset: RAM is zero, harts as new, frames given back, time goes on", async () => {
  const core = await makeCore();
  const machine = makeGuest(core, toucher(200, true), { harts: 2 });
  runGuest(machine, 5000);
  const slots = machine.slots;
  assert.ok(machine.reset());
  assert.is(machine.frames, 1);
  assert.is(machine.slots, slots);
  assert.is(machine.memory.readU64(RAM), 0n);
  const fresh = MachineView.create(core, { ramPages: 1024, harts: 2, quantum: 1000 });
  for (const hart of machine.harts) {
    assert.equal(hart.stateBytes().slice(), fresh.harts[hart.id].stateBytes().slice());
  }
  sound(core, machine, fresh);
});

test("a reset, a disposal and a new machine beside one that runs leave its translations coherent", async () => {
  const core = await makeCore();
  const spin = (a: Assembler) => {
    const again = a.fresh("again");
    a.li("s0", RAM + MEBIBYTE);
    a.csrr("s1", "mhartid");
    a.li("s3", 7);
    a.label(again);
    a.ld("s2", "s0", 0);
    // hart 0 writes when the host has set s4
    a.beqz("s4", again);
    a.sd("s3", "s0", 0);
    a.j(again);
  };
  const turn = (machine: MachineView, hart: number) => {
    machine.set32(MACHINE_TURN, hart);
    machine.run(50);
  };
  const disturbances: ((other: MachineView) => void)[] = [
    (other) => void other.reset(),
    (other) => other.dispose(),
    () => MachineView.create(core, { ramPages: 64, harts: 8, quantum: 5 }).dispose(),
    (other) => other.flush(3),
    (other) => other.sync(),
    (other) => void other.memory.writeU64(RAM, 1n),
  ];
  for (const disturb of disturbances) {
    const machine = makeGuest(core, spin, { harts: 2, quantum: 1_000_000 });
    const other = makeGuest(core, spin);
    for (const hart of [1, 0]) turn(machine, hart);
    assert.is(machine.harts[1].x(18), 0n);
    disturb(other);
    machine.harts[0].setX(20, 1n);
    turn(machine, 0);
    turn(machine, 1);
    assert.is(machine.harts[1].x(18), 7n, "the other hart sees the write");
    machine.dispose();
    if (disturb !== disturbances[1]) other.dispose();
    sound(core);
  }
});

/**
 * 90 pages of code that call each other in a ring, `rounds` times, each rewriting an instruction
 * two pages on.
 */
function ring(pages: number, rounds: number, isRewriting: boolean): (a: Assembler) => void {
  return (a) => {
    a.li("s1", rounds);
    a.li("s2", 0);
    a.li("s3", 0x0015_0513); // addi a0, a0, 1
    a.j("page0");
    for (let page = 0; page < pages; page++) {
      a.padTo(RAM + (page + 1) * 4096);
      a.label(`page${page}`);
      if (isRewriting) {
        a.la("t0", `slot${(page + 2) % pages}`);
        a.sw("s3", "t0", 0);
      }
      a.align(4);
      a.label(`slot${page}`);
      a.addi("a0", "a0", 2);
      a.slli("t1", "s2", 1);
      a.xor("s2", "t1", "a0");
      if (page < pages - 1) a.tail(`page${page + 1}`);
    }
    a.addi("s1", "s1", -1);
    a.beqz("s1", "over");
    a.tail("page0");
    a.label("over");
    emitEnd(a);
  };
}

for (const isRewriting of [false, true]) {
  test(`more code pages than decode chunks${isRewriting ? ", rewriting each other" : ""}`, async () => {
    const [pages, rounds] = [90, 30];
    const build = ring(pages, rounds, isRewriting);
    const small = makeGuest(await makeCore(16 * MEBIBYTE), build);
    const large = makeGuest(await makeCore(512 * MEBIBYTE), build);
    finish(small);
    finish(large);
    assert.is(digestOf(small), digestOf(large));
    const expected = isRewriting ? pages * rounds + 2 : 2 * pages * rounds;
    assert.is(Number(small.harts[0].x(10)), expected);
    const [few, many] = [small, large].map((machine) => machine.counters.pagesDecoded);
    assert.ok(few >= pages * rounds * 0.9, `${few} pages decoded with 16 chunks`);
    if (!isRewriting) assert.ok(many < 2 * pages, `${many} pages decoded with 255 chunks`);
    sound(small.core, small);
    sound(large.core, large);
  });
}

test.run();
