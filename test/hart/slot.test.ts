/**
 * slot: what one machine does to the translations of the slot must not reach another machine, which
 * owns them.
 *
 * The guest has two harts. Hart 1 builds page tables with plain stores, so that its TLB may hold
 * write tags for their frames; hart 0 walks the tables; hart 1 then maps another page. Meanwhile
 * the host resets a machine beside it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Assembler } from "../../src/asm/index.ts";
import type { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { makeCore } from "../mmu/core.ts";

const test = suite("hart/slot");

const RAM = 0x80000000;
const QUANTUM = 1000;
/** Enough for both harts to reach the loop in which they wait for each other or for the host. */
const SLOTS = 40 * QUANTUM;
/** mstatus: MPRV, and MPP = S. */
const AS_SUPERVISOR = 0x20800;
const MPRV = 0x20000;
const POINTER = 0x01;
const LEAF = 0xcf;
/** Virtual address under test: entry 4 of the last table. */
const TESTED = 4 * 4096;

/** Stores the entry that makes slot `index` of `table` name the page at `page`. */
function emitEntry(a: Assembler, table: string, index: number, page: string, flags: number): void {
  a.la("t0", page);
  a.srli("t0", "t0", 2);
  a.ori("t0", "t0", flags);
  a.la("t1", table);
  a.sd("t0", "t1", index * 8);
}

/** Waits until doubleword `index` of the flags is set. */
function emitWait(a: Assembler, index: number): void {
  const wait = a.fresh("wait");
  a.label(wait);
  a.ld("t0", "s3", index * 8);
  a.beqz("t0", wait);
}

function emitRaise(a: Assembler, index: number): void {
  a.li("t0", 1);
  a.sd("t0", "s3", index * 8);
}

/** Loads from TESTED through the page tables. */
function emitTranslatedLoad(a: Assembler, rd: "a0" | "a1"): void {
  a.li("t0", AS_SUPERVISOR);
  a.csrs("mstatus", "t0");
  a.li("t1", TESTED);
  a.ld(rd, "t1");
  a.li("t0", MPRV);
  a.csrc("mstatus", "t0");
}

function guest(): Uint8Array {
  const a = new Assembler({ base: RAM });
  a.li("t0", 0x3f_ffff_ffff_ffffn); // PMP: everything is open to S-mode
  a.csrw("pmpaddr0", "t0");
  a.li("t0", 0x1f);
  a.csrw("pmpcfg0", "t0");
  a.la("s3", "flags");
  a.csrr("t0", "mhartid");
  a.bnez("t0", "builder");
  emitWait(a, 0);
  a.la("t0", "root");
  a.srli("t0", "t0", 12);
  a.li("t1", 8n << 60n);
  a.or("t0", "t0", "t1");
  a.csrw("satp", "t0");
  emitTranslatedLoad(a, "a0");
  emitRaise(a, 1);
  emitWait(a, 2);
  emitTranslatedLoad(a, "a1");
  a.label("end");
  a.j("end");
  a.label("builder");
  emitEntry(a, "root", 0, "middle", POINTER);
  emitEntry(a, "middle", 0, "last", POINTER);
  emitEntry(a, "last", 4, "first", LEAF);
  emitWait(a, 1);
  emitEntry(a, "last", 4, "second", LEAF);
  emitRaise(a, 2);
  a.j("end");
  a.align(4096);
  for (const page of ["root", "middle", "last", "first", "second", "flags"]) {
    a.label(page);
    a.u64(page === "first" ? 111 : page === "second" ? 222 : 0);
    a.space(4096 - 8);
  }
  const { bytes, symbols } = a.assemble();
  flags = Number(symbols.get("flags"));
  return bytes;
}

let flags = 0;

function place(core: Core, program: Uint8Array, harts: number): MachineView {
  const machine = MachineView.create(core, { ramPages: 256, harts, quantum: QUANTUM });
  assert.ok(machine.memory.write(RAM, program));
  for (const hart of machine.harts) hart.pc = BigInt(RAM);
  machine.sync();
  return machine;
}

const hang = () => Uint8Array.of(0x6f, 0, 0, 0);

/**
 * What hart 0 reads through the tables before and after the change, with `between` while both harts
 * wait.
 */
async function readings(between: (core: Core, neighbour: MachineView) => void): Promise<bigint[]> {
  const core = await makeCore();
  const neighbour = place(core, hang(), 1);
  neighbour.run(QUANTUM);
  const machine = place(core, guest(), 2);
  machine.run(SLOTS);
  between(core, neighbour);
  assert.ok(machine.memory.writeU64(flags, 1n));
  machine.run(SLOTS);
  const [hart] = machine.harts;
  return [hart.x(10), hart.x(11)];
}

test("a new mapping is seen when the machine is alone", async () => {
  assert.equal(await readings(() => {}), [111n, 222n]);
});

test("a neighbour's reset leaves no stale translation", async () => {
  const seen = await readings((_core, neighbour) => {
    assert.ok(neighbour.reset());
  });
  assert.equal(seen, [111n, 222n]);
});

test("a neighbour's end, flush, sync and run leave no stale translation", async () => {
  const acts: ((core: Core, neighbour: MachineView) => void)[] = [
    (_core, neighbour) => neighbour.dispose(),
    (_core, neighbour) => neighbour.flush(3),
    (_core, neighbour) => neighbour.sync(),
    (_core, neighbour) => void neighbour.run(QUANTUM),
    (_core, neighbour) => void neighbour.memory.writeU64(RAM, 0n),
  ];
  for (const act of acts) assert.equal(await readings(act), [111n, 222n]);
});

test("a machine whose neighbour ended goes on, and the frames serve the next one", async () => {
  const core = await makeCore();
  const neighbour = place(core, hang(), 1);
  const machine = place(core, guest(), 2);
  machine.run(SLOTS);
  neighbour.dispose();
  const next = place(core, hang(), 1);
  next.run(QUANTUM);
  assert.ok(machine.memory.writeU64(flags, 1n));
  machine.run(SLOTS);
  assert.equal([machine.harts[0].x(10), machine.harts[0].x(11)], [111n, 222n]);
  assert.equal(next.harts[0].pc, BigInt(RAM));
});

test.run();
