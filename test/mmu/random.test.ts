/**
 * random: long random sequences of accesses, edits of tables, code and PMP, DMA, and changes of
 * context by two harts in three address spaces that share tables; every step is compared with the
 * reference, all of memory at the end.
 *
 * SEED=... reruns a campaign; STEPS=... sets its length.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { makeCore } from "./core.ts";
import { KIND_NAMES, type KindName } from "./instructions.ts";
import { ADUE, CBZE, MASK, MSTATUS, PTE, RAM } from "./reference.ts";
import type { Mode, Rig, Step } from "./rig.ts";
import { entryOf, READ_ONLY, RW, RWX, RX, type Space, SV39, SV48, SV57, USER } from "./tables.ts";
import {
  DATA,
  DATA_PAGES,
  makeSpace,
  makeWorld,
  markOf,
  NEGATIVE,
  SUPERPAGE,
  TABLES,
  WINDOW,
  WINDOW_FAR,
  ZEROS,
} from "./world.ts";

const test = suite("mmu/random");
const STEPS = Number(process.env["STEPS"] ?? 4_000);
const CAMPAIGNS = 8;
const seed = seedOf(39_48_57);
const core = await makeCore();
const MODES: readonly Mode[] = ["M", "S", "U", "M as S", "M as U", "S", "M as S"];

/** What a campaign chooses from. */
interface Field {
  readonly rig: Rig;
  readonly random: Random;
  readonly spaces: readonly Space[];
  /** Virtual pages of data. */
  readonly pages: readonly bigint[];
  /** Physical addresses of the entries that lead to them. */
  readonly entries: readonly bigint[];
  /** All tables as they were at first. */
  readonly tables: Uint8Array;
}

/** Bytes of tables that the spaces take up. */
const TABLES_BYTES = 96 * 4096;

function makeField(random: Random): Field {
  const { rig, space, pages } = makeWorld(core, SV39, 2);
  const spaces = [space, makeSpace(pages, SV48), makeSpace(pages, SV57), makeSpace(pages, SV39)];
  // the windows of two spaces are the same table, and that table is mapped in a third place
  const table = space.entryAddress(WINDOW, 0) & ~0xfffn;
  spaces[1].point(WINDOW, 1, table);
  spaces[3].point(WINDOW, 1, table);
  spaces[3].point(0x7020_0000n, 1, table);
  const virtual = [
    ...Array.from({ length: 8 }, (_, index) => WINDOW + BigInt(index) * 4096n),
    ...Array.from({ length: 4 }, (_, index) => WINDOW_FAR + BigInt(index) * 4096n),
    SUPERPAGE,
    SUPERPAGE + 0x3000n,
    NEGATIVE,
    0x7020_0000n,
  ];
  const entries = new Set<bigint>();
  for (const one of spaces) {
    for (const va of virtual) {
      const lowest = va >= SUPERPAGE && va < WINDOW_FAR ? 1 : 0;
      for (let level = lowest; level < one.levels; level++) {
        // the entry above the windows also leads to RAM's own addresses: too many steps would fault
        // behind it
        if (level > 1 && !random.chance(10)) continue;
        entries.add(one.entryAddress(va & ((1n << one.bits) - 1n), level));
      }
    }
  }
  rig.loadAll();
  for (const hart of [1, 0]) {
    rig.turn(hart);
    rig.step("M", { kind: "pmpaddr2", operand: 0x3f_ffff_ffff_ffffn });
  }
  const first = Number(TABLES - RAM);
  const tables = rig.reference.ram.slice(first, first + TABLES_BYTES);
  return { rig, random, spaces, pages: virtual, entries: [...entries], tables };
}

const FLAGS = [
  RWX,
  RWX,
  RW,
  RX,
  READ_ONLY,
  RWX | USER,
  RW | USER,
  RWX & ~(PTE.A | PTE.D),
  RWX & ~PTE.D,
  PTE.V | PTE.X | PTE.A,
  PTE.V | PTE.W,
  PTE.V,
  0n,
  RWX & ~PTE.V,
];

/** An entry as some operating system might write it, or a bad one. */
function drawEntry({ random, entries }: Field): bigint {
  const target = random.weighted([
    [12, DATA + BigInt(random.below(DATA_PAGES)) * 4096n],
    [2, ZEROS + BigInt(random.below(16)) * 4096n],
    [1, random.pick(entries) & ~0xfffn],
    [1, DATA],
    [1, 0x1000_0000n],
  ] as const);
  const reserved = random.chance(3) ? 1n << 60n : 0n;
  return entryOf(target, random.pick(FLAGS)) | reserved;
}

/**
 * An address for a mode: data by its virtual names, RAM by its own, entries of tables, nonsense.
 */
function drawAddress(field: Field, mode: Mode): bigint {
  const { random } = field;
  const page = random.pick(field.pages);
  const offset = random.weighted([
    [4, BigInt(random.below(512) * 8)],
    [2, BigInt(random.below(16) * 8)],
    [1, BigInt(random.below(4096))],
    [1, BigInt(random.between(4089, 4095))],
  ] as const);
  const isBare = mode === "M" || field.rig.state.satp === 0n;
  return random.weighted([
    [isBare ? 1 : 14, page + offset],
    [3, random.pick(field.entries)],
    [1, random.pick(field.entries) - BigInt(random.below(8))],
    [isBare ? 10 : 1, DATA + BigInt(random.below(DATA_PAGES)) * 4096n + offset],
    [1, ZEROS + BigInt(random.below(16)) * 4096n + offset],
    [1, random.u64()],
  ] as const);
}

const ACCESSES: readonly KindName[] = KIND_NAMES.slice(0, KIND_NAMES.indexOf("sfence"));

function drawAccess(field: Field, mode: Mode): Step {
  const { random } = field;
  const kind = random.weighted([
    [5, "ld"],
    [5, "sd"],
    [5, random.pick(ACCESSES)],
  ] as const);
  let address = drawAddress(field, mode);
  if (random.chance(70)) address &= ~7n;
  const isEntry = field.entries.includes(address & ~7n);
  const operand = random.weighted([
    [isEntry ? 10 : 2, drawEntry(field)],
    [3, markOf(random.below(32))],
    [1, random.u64()],
  ] as const);
  return { kind, address: address & MASK, operand };
}

const OPEN = 0x1fn << 16n;

/** A CSR write or a fence. */
function drawControl(field: Field): Step {
  const { random } = field;
  const piece = DATA + BigInt(random.below(8)) * 4096n + BigInt(random.below(8)) * 512n;
  return random.weighted<Step>([
    [3, { kind: "satp", operand: random.pick(field.spaces).satp }],
    [1, { kind: "satp", operand: 0n }],
    [3, { kind: "mstatusSet", operand: random.pick([MSTATUS.SUM, MSTATUS.MXR]) }],
    [3, { kind: "mstatusClear", operand: random.pick([MSTATUS.SUM, MSTATUS.MXR]) }],
    [1, { kind: "menvcfg", operand: random.chance(70) ? CBZE | ADUE : CBZE }],
    [2, { kind: "pmpaddr0", operand: (piece >> 2n) | BigInt(random.pick([0, 7, 63, 0x3ff])) }],
    [1, { kind: "pmpaddr1", operand: (piece >> 2n) + BigInt(random.below(2048)) }],
    [2, { kind: "pmpcfg0", operand: OPEN }],
    [2, { kind: "pmpcfg0", operand: OPEN | BigInt(random.pick([0x18, 0x19, 0x1b, 0x1d, 0x10])) }],
    [1, { kind: "pmpcfg0", operand: OPEN | (BigInt(random.pick([8, 9, 11, 13])) << 8n) }],
    [1, { kind: "sfence", address: random.pick(field.pages) }],
    [1, { kind: "sfenceAll" }],
  ]);
}

/** A few accesses to one page and its neighbours in the TLB, most of them hits. */
function dwell(field: Field, mode: Mode): void {
  const { rig, random } = field;
  const page = drawAddress(field, mode) & ~0xfffn;
  for (let count = random.between(2, 6); count > 0; count--) {
    const address = page + BigInt(random.below(512) * 8);
    const operand = markOf(random.below(32));
    const kind = random.pick(["ld", "sd", "ld", "lbu", "sw"] as const);
    rig.step(mode, { kind, address, operand }, { kind: "ld", address });
  }
}

/** One thing that happens. */
function happen(field: Field): void {
  const { rig, random } = field;
  if (random.chance(15)) rig.turn(random.below(2));
  const mode = random.pick(MODES);
  const what = random.below(100);
  if (what < 20) rig.step(mode, drawAccess(field, mode));
  else if (what < 40) dwell(field, mode);
  else if (what < 62) rig.step(mode, drawAccess(field, mode), drawAccess(field, mode));
  else if (what < 74) {
    // an edit, and the page looked at in the same turn
    const address = random.pick(field.entries);
    const kind = random.pick(["sd", "sd", "amoswapD", "amoandD", "sw", "sb", "cboZero"] as const);
    const look = random.pick(["ld", "sd", "lbu", "amoaddW"] as const);
    const at = random.pick(field.pages) + BigInt(random.below(512) * 8);
    rig.step(
      mode,
      { kind, address, operand: drawEntry(field) },
      { kind: look, address: at, operand: markOf(random.below(32)) },
    );
  } else if (what < 80) rig.step("M", drawControl(field));
  else if (what < 83) rig.step("S", drawControl(field), drawAccess(field, "S"));
  else if (what < 93) {
    const at = random.pick(["M", "S", "U"] as const);
    rig.jump(at, drawAddress(field, at));
  } else if (what < 96) rig.load64(random.pick(field.entries), drawEntry(field));
  else if (what < 98) {
    rig.load64(DATA + BigInt(random.below(DATA_PAGES * 512)) * 8n, markOf(random.below(32)));
  } else if (what < 99) restore(field);
  else rig.flush(random.between(1, 3));
}

/** Makes the tables good again, so that a campaign does not end up faulting only. */
function restore({ rig, random, tables }: Field): void {
  rig.note(() => "the tables are restored");
  for (let at = 0; at < tables.length; at += 4096) {
    if (random.chance(10)) continue;
    const page = tables.subarray(at, at + 4096);
    const first = Number(TABLES - RAM) + at;
    const now = rig.reference.ram.subarray(first, first + 4096);
    if (page.some((byte, index) => byte !== now[index])) rig.load(TABLES + BigInt(at), page);
  }
}

for (let campaign = 0; campaign < CAMPAIGNS; campaign++) {
  test(`campaign ${campaign}: ${STEPS} random steps do what the reference does`, () => {
    const made = makeField(new Random((Math.imul(seed, 1009) + campaign) >>> 0));
    const { rig } = made;
    const label = `SEED=${seed}, campaign ${campaign}`;
    rig.note(() => label);
    try {
      for (let step = 0; step < STEPS; step++) {
        happen(made);
        if (step % 500 === 499) rig.compareAll();
      }
      rig.compareAll();
      const { slowExits, tlbFills } = rig.machine.counters;
      const share = `${rig.steps} steps, ${rig.traps} traps, ${slowExits} slow, ${tlbFills} fills`;
      console.log(`${label}: ${share}`);
      const isUseful = rig.traps < rig.steps * 0.7 && slowExits < rig.steps * 0.75;
      assert.ok(isUseful, `most steps fault or none hits the TLB: ${share}`);
    } catch (error) {
      console.log(`SEED=${seed}, campaign ${campaign}, step ${rig.steps}`);
      throw error;
    } finally {
      rig.dispose();
    }
  });
}

test.run();
