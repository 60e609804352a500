/**
 * break: stops for the debugger: they come exactly where a reference that looks at every slot says,
 * and the guest never notices (law 0), whatever the programs, harts, splits and flushes.
 *
 * SEED=... reruns one campaign; PROGRAMS=... makes it longer or shorter.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  BREAKS_MAX,
  EXIT_BREAK,
  EXIT_BUDGET,
  EXIT_HTIF,
  EXIT_MMIO,
  HART_MSIP,
  HART_SLOTS,
  MACHINE_TOHOST,
  WATCHES_MAX,
} from "../../assembly/layout.ts";
import { Assembler } from "../../src/asm/index.ts";
import { DebugView, type StopEntry, type WatchEntry } from "../../src/core/debug-view.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { DATA, RAM, RAM_PAGES, USER_OFFSET, WINDOW } from "../law0/image.ts";
import { drawProgram, type RandomProgram } from "../law0/program.ts";
import { digestOf, runTo, WHOLE } from "../law0/split.ts";
import { makeCore } from "../mmu/core.ts";
import { type Points, referenceStops, type Stops, serveExit, stopText } from "./stop-reference.ts";

const test = suite("hart/break");
const PROGRAMS = Number(process.env["PROGRAMS"] ?? 60);
const seed = seedOf(20_261_124);
const core = await makeCore();
const tally = { breakpoint: 0, watchpoint: 0, step: 0, ebreak: 0, programs: 0, harts: 0 };

function make({ shape, pieces, entry }: RandomProgram): MachineView {
  const { harts, quantum } = shape;
  const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts, quantum });
  for (const { address, bytes } of pieces) machine.memory.write(address, bytes);
  for (const hart of machine.harts) hart.pc = entry;
  machine.sync();
  return machine;
}

/** Runs to `target` slots in random pieces, with flushes, and writes every stop down. */
function runStopping(machine: MachineView, target: number, random: Random): Stops {
  const debug = new DebugView(machine);
  const stops: string[] = [];
  for (let calls = 0; machine.slots < target; calls++) {
    if (calls > 20 * target) throw new Error("no end");
    const left = target - machine.slots;
    const exit = machine.run(random.chance(50) ? left : Math.min(left, random.between(1, 300)));
    const isOver = serveExit(machine, exit);
    const stop = exit === EXIT_BREAK || exit === EXIT_MMIO ? debug.stop : null;
    if (exit === EXIT_BREAK) assert.ok(stop !== null);
    if (stop !== null) {
      const { cause, hart, address, access = "" } = stop;
      const slots = cause === "watchpoint" ? machine.slots - 1 : machine.slots;
      stops.push(stopText(cause, hart, address, access, slots));
      tally[cause]++;
      if (cause === "breakpoint") debug.passOver(hart);
    }
    if (isOver) return { stops, isOver };
    if (random.chance(10)) machine.flush(random.between(1, 3));
  }
  return { stops, isOver: false };
}

/** Breakpoints in code that runs, and a few elsewhere; watchpoints on data, by all its names. */
function drawPoints(program: RandomProgram, random: Random, target: number): Points {
  const breaks = new Set<bigint>();
  const scout = make(program);
  for (let at = 0; at < target; at += random.between(1, 1 + Math.floor(target / 12))) {
    runTo(scout, at, WHOLE);
    breaks.add(random.pick(scout.harts).pc);
  }
  scout.dispose();
  breaks.add(BigInt(RAM + random.below(2000) * 4));
  const bases = [DATA + 0x800, DATA + 0x800 + USER_OFFSET, WINDOW];
  const kinds = ["read", "write", "access"] as const;
  const watches = Array.from({ length: random.below(5) }, (): WatchEntry => {
    const address = BigInt(random.pick(bases) + random.below(random.pick([0x40, 0x800])));
    return { address, bytes: random.pick([1, 2, 4, 8, 64, 300]), kind: random.pick(kinds) };
  });
  return { breaks: new Set([...breaks].slice(0, BREAKS_MAX)), watches };
}

function check(number: number): void {
  const random = new Random((seed + Math.imul(number, 0x9e3779b1)) >>> 0);
  const program = drawProgram(random);
  const target = random.between(1000, 4000);
  const points = drawPoints(program, random, target);
  const [plain, slow, stopping] = [make(program), make(program), make(program)];
  try {
    new DebugView(stopping).setTables([...points.breaks], points.watches);
    const expected = referenceStops(slow, target, points);
    const found = runStopping(stopping, target, random);
    runTo(plain, target, WHOLE);
    const what = `program ${number}, SEED=${seed}, ${JSON.stringify(program.shape)}`;
    const differs = found.stops.findIndex((stop, index) => stop !== expected.stops[index]);
    if (differs >= 0 || found.stops.length !== expected.stops.length) {
      const at = differs >= 0 ? differs : found.stops.length;
      const [one, other] = [found.stops[at], expected.stops[at]];
      assert.unreachable(`${what}: stop ${at} is ${one}, due was ${other}`);
    }
    const digests = [plain, slow, stopping].map(digestOf);
    if (digests[0] !== digests[2] || digests[0] !== digests[1]) {
      assert.unreachable(`${what}: digests differ: ${digests.join(" ")}`);
    }
    tally.programs++;
    tally.harts += program.shape.harts;
  } finally {
    for (const machine of [plain, slow, stopping]) machine.dispose();
  }
}

const GROUP = 20;
for (let first = 0; first < PROGRAMS; first += GROUP) {
  const last = Math.min(first + GROUP, PROGRAMS);
  test(`programs ${first} to ${last - 1} stop where they are due to, and do not notice`, () => {
    for (let number = first; number < last; number++) check(number);
  });
}

test("the campaign met stops of both kinds, often", () => {
  console.log(`  ${JSON.stringify(tally)}`);
  if (PROGRAMS < 60) return;
  assert.ok(tally.breakpoint > 1000 && tally.watchpoint > 100, JSON.stringify(tally));
});

// ---- one thing at a time ----

interface Rig {
  readonly machine: MachineView;
  readonly debug: DebugView;
  at(label: string): bigint;
}

function rig(build: (a: Assembler) => void, harts = 1): Rig {
  const machine = MachineView.create(core, { ramPages: 256, harts, quantum: 64 });
  const a = new Assembler({ base: RAM });
  build(a);
  const { bytes, symbols } = a.assemble();
  assert.ok(machine.memory.write(RAM, bytes));
  for (const hart of machine.harts) hart.pc = BigInt(RAM);
  machine.sync();
  const at = (label: string) => BigInt(symbols.get(label) ?? Number.NaN);
  return { machine, debug: new DebugView(machine), at };
}

/** Runs until a stop, answering devices with `value`. */
function untilStop({ machine, debug }: Rig, value = 0): StopEntry | null {
  for (let calls = 0; calls < 100; calls++) {
    const exit = machine.run(10_000);
    if (exit === EXIT_MMIO) machine.mmioDone(value, 0, true);
    if (debug.stop !== null) return debug.stop;
    if (exit === EXIT_BUDGET) return null;
  }
  return null;
}

const watch = (address: bigint, bytes: number, kind: WatchEntry["kind"]): WatchEntry => {
  return { address, bytes, kind };
};

test("a breakpoint stops before its instruction, again each time round, and on either half of a pair", () => {
  const it = rig((a) => {
    a.li("t0", 3);
    a.label("loop");
    a.addi("a0", "a0", 1);
    a.label("second");
    a.addi("a1", "a1", 1);
    a.addi("t0", "t0", -1);
    a.bnez("t0", "loop");
    a.label("end");
    a.j("end");
  });
  it.debug.setTables([it.at("loop"), it.at("second")], []);
  const [hart] = it.machine.harts;
  for (const round of [0n, 1n, 2n]) {
    assert.equal(untilStop(it)?.address, it.at("loop"));
    assert.is(hart.x(10), round);
    assert.is(hart.pc, it.at("loop"));
    assert.equal(untilStop(it)?.address, it.at("loop"), "not passed: it stops there again");
    it.debug.passOver(0);
    assert.equal(untilStop(it)?.address, it.at("second"));
    assert.is(hart.x(10), round + 1n);
    assert.is(hart.x(11), round);
    it.debug.passOver(0);
  }
  it.debug.setTables([], []);
  assert.is(untilStop(it), null);
  it.machine.dispose();
});

test("points set while everything is warm count at once, and cleared ones cost nothing", () => {
  const it = rig((a) => {
    a.la("s0", "cell");
    a.label("loop");
    a.addi("a0", "a0", 1);
    a.ld("a1", "s0", 0);
    a.sd("a0", "s0", 0);
    a.j("loop");
    a.align(4096);
    a.label("cell");
    a.u64(0);
  });
  const slowExits = () => it.machine.counters.slowExits;
  it.machine.run(1000);
  it.debug.setTables([it.at("loop")], []);
  assert.is(untilStop(it)?.address, it.at("loop"));
  it.debug.setTables([], []);
  it.machine.run(1000);
  it.debug.setTables([], [watch(it.at("cell"), 8, "read")]);
  assert.is(untilStop(it)?.access, "read");
  it.debug.setTables([], [watch(it.at("cell"), 8, "write")]);
  assert.is(untilStop(it)?.access, "write");
  it.debug.setTables([], []);
  it.machine.run(1000);
  const before = slowExits();
  it.machine.run(100_000);
  assert.is(slowExits(), before);
  it.machine.dispose();
});

test("a pass is used up by one slot, and by no budget", () => {
  const it = rig((a) => {
    a.label("loop");
    a.j("loop");
  });
  it.debug.setTables([it.at("loop")], []);
  for (let round = 0; round < 5; round++) {
    assert.is(it.machine.run(100), EXIT_BREAK);
    assert.is(it.machine.slots, round);
    it.debug.passOver(0);
    assert.is(it.machine.run(0), EXIT_BUDGET);
    assert.is(it.machine.run(1), EXIT_BUDGET);
  }
  it.machine.dispose();
});

test("a breakpoint on an instruction that crosses a page, in a ZERO page, behind a page's end", () => {
  const it = rig((a) => {
    a.j("far");
    a.padTo(RAM + 4094);
    a.label("far");
    a.addi("a0", "a0", 1);
    a.label("next");
    a.addi("a1", "a1", 1);
    a.li("t0", RAM + 0x10000);
    a.jr("t0");
  });
  const zero = BigInt(RAM + 0x10000);
  it.debug.setTables([it.at("far"), it.at("next"), zero], []);
  for (const due of [it.at("far"), it.at("next"), zero]) {
    assert.is(untilStop(it)?.address, due);
    it.debug.passOver(0);
  }
  it.machine.dispose();
});

test("compressed neighbours of a breakpoint run, and it stops on a compressed one", () => {
  const it = rig((a) => {
    a.u16(0x0505); // c.addi a0, 1
    a.label("middle");
    a.u16(0x0585); // c.addi a1, 1
    a.u16(0x0505);
    a.label("end");
    a.u16(0xa001); // c.j .
  });
  it.debug.setTables([it.at("middle"), it.at("middle") + 1n], []);
  assert.is(untilStop(it)?.address, it.at("middle"));
  assert.is(it.machine.harts[0].x(10), 1n);
  it.debug.passOver(0);
  assert.is(untilStop(it), null);
  assert.equal([it.machine.harts[0].x(10), it.machine.harts[0].x(11)], [2n, 1n]);
  it.machine.dispose();
});

test("another machine at the same place in a page does not stop", () => {
  const loop = (a: Assembler) => {
    a.label("loop");
    a.j("loop");
  };
  const [one, other] = [rig(loop), rig(loop)];
  one.debug.setTables([one.at("loop")], []);
  assert.is(untilStop(other), null);
  assert.is(untilStop(one)?.cause, "breakpoint");
  one.machine.dispose();
  assert.is(untilStop(other), null);
  other.machine.dispose();
});

/** One access of each kind to `cell`, with where it is due to be seen. */
const ACCESSES: readonly [string, (a: Assembler) => void, "read" | "write", number][] = [
  ["lb", (a) => a.lb("a0", "s0", 3), "read", 3],
  ["lwu", (a) => a.lwu("a0", "s0", 4), "read", 4],
  ["ld into x0", (a) => a.ld("zero", "s0", 0), "read", 0],
  ["fld", (a) => a.fld("fa0", "s0", 0), "read", 0],
  ["lr", (a) => a.lrD("a0", "s0"), "read", 0],
  ["sb", (a) => a.sb("a0", "s0", 7), "write", 7],
  ["sd", (a) => a.sd("a0", "s0", 0), "write", 0],
  ["fsd", (a) => a.fsd("fa0", "s0", 0), "write", 0],
  ["cbo.zero", (a) => a.cboZero("s0"), "write", 0],
  ["amoadd", (a) => a.amoaddD("a0", "a1", "s0"), "write", 0],
  ["amoswap", (a) => a.amoswapW("a0", "a1", "s0"), "read", 0],
  ["a store into two pages", (a) => a.sd("a0", "s1", -4), "write", 4096 - 64],
  ["a load from two pages", (a) => a.ld("a0", "s1", -4), "read", 4096 - 64],
];

for (const [name, emit, kind, offset] of ACCESSES) {
  test(`${name} stops at a ${kind} watchpoint once it has retired`, () => {
    const it = rig((a) => {
      a.li("t0", 0x6000);
      a.csrs("mstatus", "t0");
      a.li("t0", 0x80);
      a.csrs("menvcfg", "t0");
      a.la("s0", "cell");
      a.la("s1", "end");
      for (let round = 0; round < 3; round++) emit(a); // the first one might have filled the TLB
      a.label("over");
      a.j("over");
      a.padTo(RAM + 4096 + 64);
      a.label("cell");
      a.padTo(RAM + 8192);
      a.label("end");
    });
    const address = it.at("cell") + BigInt(offset);
    it.debug.setTables([], [watch(address, 1, kind)]);
    const [hart] = it.machine.harts;
    for (let round = 3; round > 0; round--) {
      const stop = untilStop(it);
      assert.equal(stop, { cause: "watchpoint", hart: 0, address, access: kind, watch: 0 });
      assert.is(hart.pc, it.at("over") - BigInt(4 * (round - 1)));
    }
    assert.is(untilStop(it), null);
    it.machine.dispose();
  });
}

test("what only shares the page, fails, or faults stops at no watchpoint", () => {
  const it = rig((a) => {
    a.la("s0", "cell");
    a.sd("a0", "s0", 8);
    a.lb("a0", "s0", -1);
    a.scD("a0", "a1", "s0");
    a.lrD("a0", "s0", "");
    a.label("over");
    a.j("over");
    a.align(4096);
    a.u64(0);
    a.label("cell");
    a.u64(0, 0);
  });
  it.debug.setTables([], [watch(it.at("cell"), 8, "write")]);
  assert.is(untilStop(it), null);
  assert.is(it.machine.harts[0].pc, it.at("over"));
  it.machine.dispose();
});

test("a watchpoint on a device's register stops when the device has answered", () => {
  const it = rig((a) => {
    a.li("s0", 0x1000_0000);
    a.lbu("a0", "s0", 5);
    a.label("over");
    a.j("over");
  });
  it.debug.setTables([], [watch(0x1000_0005n, 1, "access")]);
  const stop = untilStop(it, 0x60);
  assert.equal(stop, {
    cause: "watchpoint",
    hart: 0,
    address: 0x1000_0005n,
    access: "read",
    watch: 0,
  });
  assert.is(it.machine.harts[0].x(10), 0x60n);
  assert.is(untilStop(it), null);
  it.machine.dispose();
});

test("a store to tohost that is watched leaves for HTIF with the stop set", () => {
  const it = rig((a) => {
    a.la("s0", "tohost");
    a.sd("s0", "s0", 0);
    a.label("over");
    a.j("over");
    a.align(8);
    a.label("tohost");
    a.u64(0);
  });
  it.machine.setNumber(MACHINE_TOHOST, Number(it.at("tohost")));
  it.debug.setTables([], [watch(it.at("tohost"), 8, "write")]);
  assert.is(it.machine.run(100), EXIT_HTIF);
  assert.is(it.debug.stop?.cause, "watchpoint");
  assert.is(it.machine.run(100), EXIT_BUDGET);
  assert.is(it.debug.stop, null);
  it.machine.dispose();
});

test("a step ends behind one instruction of its hart, while the others run in their turns", () => {
  const harts = 4;
  const it = rig((a) => {
    a.label("loop");
    a.addi("a0", "a0", 1);
    a.j("loop");
  }, harts);
  const hart = it.machine.harts[2];
  for (let count = 1; count <= 200; count++) {
    it.debug.armStep(2);
    const stop = untilStop(it);
    assert.is(stop?.cause, "step");
    assert.is(stop?.hart, 2);
    assert.is(hart.getNumber(HART_SLOTS), count);
    assert.is(stop?.address, hart.pc);
  }
  assert.ok(it.machine.harts[0].retired >= 192);
  const plain = rig((a) => {
    a.label("loop");
    a.addi("a0", "a0", 1);
    a.j("loop");
  }, harts);
  plain.machine.run(it.machine.slots);
  assert.is(digestOf(it.machine), digestOf(plain.machine));
  it.machine.dispose();
  plain.machine.dispose();
});

test("a hart that waits does not step, however long it waits, until it is woken", () => {
  const it = rig((a) => {
    a.csrr("t0", "mhartid");
    a.beqz("t0", "spin");
    a.csrwi("mie", 8);
    a.wfi();
    a.label("behind");
    a.j("behind");
    a.label("spin");
    a.j("spin");
  }, 2);
  it.machine.run(1000);
  const [, waiting] = it.machine.harts;
  assert.ok(waiting.isWaiting);
  it.debug.armStep(1);
  assert.is(it.machine.run(10_000), EXIT_BUDGET);
  assert.is(it.debug.stop, null);
  waiting.set32(HART_MSIP, 1);
  assert.is(untilStop(it)?.cause, "step");
  assert.is(waiting.pc, it.at("behind"));
  it.machine.dispose();
});

test("a step of an instruction that traps ends at the handler's first", () => {
  const it = rig((a) => {
    a.la("t0", "handler");
    a.csrw("mtvec", "t0");
    a.ecall();
    a.align(4);
    a.label("handler");
    a.j("handler");
  });
  for (let count = 0; count < 4; count++) {
    it.debug.armStep(0);
    untilStop(it);
  }
  assert.is(it.machine.harts[0].pc, it.at("handler"));
  assert.is(it.machine.harts[0].retired, 3);
  it.machine.dispose();
});

test("an EBREAK stops only when it is asked for, before it traps, and traps afterwards", () => {
  const build = (a: Assembler) => {
    a.la("t0", "second");
    a.csrw("mtvec", "t0");
    a.ecall(); // traps like one, and is none
    a.align(4);
    a.label("second");
    a.la("t0", "handler");
    a.csrw("mtvec", "t0");
    a.label("here");
    a.ebreak();
    a.align(4);
    a.label("handler");
    a.j("handler");
  };
  const [plain, it] = [rig(build), rig(build)];
  assert.is(untilStop(plain), null);
  it.debug.catchesEbreak = true;
  const stop = untilStop(it);
  assert.equal(stop, { cause: "ebreak", hart: 0, address: it.at("here") });
  it.debug.passOver(0);
  it.machine.run(10_000 - it.machine.slots);
  assert.is(digestOf(it.machine), digestOf(plain.machine));
  plain.machine.dispose();
  it.machine.dispose();
});

test("CSRs are read and written from outside as M-mode would, whatever the hart's mode", () => {
  const it = rig((a) => {
    a.label("loop");
    a.j("loop");
  });
  const [hart] = it.machine.harts;
  hart.privilege = 0;
  it.machine.sync();
  const before = digestOf(it.machine);
  assert.is(it.debug.csrRead(0, 0x301), 0x800000000014112dn);
  assert.is(it.debug.csrRead(0, 0x003), 0n);
  assert.is(it.debug.csrRead(0, 0x7ff), null);
  assert.is(digestOf(it.machine), before);
  assert.ok(it.debug.csrWrite(0, 0x305, 0x8000_0100n));
  assert.is(it.debug.csrRead(0, 0x305), 0x8000_0100n);
  assert.ok(it.debug.csrWrite(0, 0x003, 0xffn));
  assert.is(it.debug.csrRead(0, 0x003), 0xffn);
  assert.is((it.debug.csrRead(0, 0x300) ?? 0n) & 0x6000n, 0n, "FS stays Off");
  assert.ok(it.debug.csrWrite(0, 0xb02, 1000n));
  assert.is(it.debug.csrRead(0, 0xb02), 1000n);
  assert.not(it.debug.csrWrite(0, 0xf14, 5n));
  assert.is(hart.privilege, 0);
  it.machine.dispose();
});

test("tables full of points are kept, and what is cached is told", () => {
  const it = rig((a) => {
    a.la("s0", "cell");
    a.label("loop");
    a.ld("a0", "s0", 0);
    a.sd("a0", "s0", 8);
    a.j("loop");
    a.align(4096);
    a.label("cell");
    a.u64(0, 0);
  });
  const breaks = Array.from({ length: BREAKS_MAX }, (_, index) => BigInt(RAM + 0x4000 + index * 2));
  const watches = Array.from({ length: WATCHES_MAX }, (_, index) => {
    return watch(BigInt(RAM + 0x8000 + index), 1, "access");
  });
  it.debug.setTables([...breaks.slice(1), it.at("loop")], watches);
  assert.is(untilStop(it)?.address, it.at("loop"));
  it.debug.setTables([], []);
  it.machine.run(1000);
  const tlb = it.debug.tlb(0);
  const has = (kind: string, page: bigint) =>
    tlb.some((entry) => entry.kind === kind && entry.page === page && entry.regime === "M");
  assert.ok(
    has("read", it.at("cell")) && has("write", it.at("cell")) && has("execute", BigInt(RAM)),
  );
  assert.is(tlb.length, 3);
  it.machine.dispose();
});

test.run();
