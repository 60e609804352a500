/**
 * suites/core: the data plane's own pieces, in one process, beside plain TypeScript doing the same
 * job.
 *
 * Used by run.
 * Holds   `benchmark` times each side for a moment per round, in turns; the answers of both sides
 *         are compared before anything is timed. Nothing is promised: these figures say why a piece
 *         is in AssemblyScript.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Benchmark from "benchmark";
import { FRAME_BYTES, HART_PMPADDR, HART_PMPCFG, HART_SATP } from "../../assembly/layout.ts";
import { Assembler } from "../../src/asm/index.ts";
import { PRIV_S } from "../../src/core/hart-view.ts";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { RAM_BASE } from "../../src/core/memory-view.ts";
import { type Plan, rounds } from "../plan.ts";
import type { Progress } from "../progress.ts";
import { type CaseResult, summarise } from "../report.ts";
import { ROOT } from "../toolchain.ts";

const RAM_PAGES = 16384;
const PAGES = 4096;
const MIB = 1024 * 1024;
const SECONDS_PER_TURN = 0.05;
/** Of the data TLB in the core, one regime. */
const TLB_SLOTS = 1024;

/** Where results go, so that no turn is optimised away. */
const sink = { value: 0 };

/** One case: a turn of ours and of the rival, `amount` units of work each. */
interface Case {
  name: string;
  unit: string;
  amount: number;
  rival: string;
  ours: () => void;
  theirs: () => void;
}

/**
 * The hash that a TypeScript author would write: four 32-bit lanes, one multiplication per word.
 */
function hashPage(words: Uint32Array, lanes: Uint32Array): void {
  let [a, b, c, d] = lanes;
  for (let at = 0; at < words.length; at += 4) {
    a = Math.imul(a ^ words[at], 0x9e3779b1);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b ^ words[at + 1], 0x85ebca77);
    b = (b << 13) | (b >>> 19);
    c = Math.imul(c ^ words[at + 2], 0xc2b2ae3d);
    c = (c << 13) | (c >>> 19);
    d = Math.imul(d ^ words[at + 3], 0x27d4eb2f);
    d = (d << 13) | (d >>> 19);
  }
  lanes.set([a, b, c, d]);
}

const LEAF_FLAGS = 0xcf; // valid, readable, writable, executable, accessed, dirty
const POINTER_FLAGS = 1;
const LEAVES = 8;
const MAPPED = LEAVES * 512;
/** Page of RAM that holds the code; virtual page v maps to page v of RAM. */
const CODE_PAGE = 2 + LEAVES;

/** Sv39 tables at the start of RAM: root, one middle table, the leaves. */
function buildTables(machine: MachineView): void {
  const entry = (page: number, flags: number) =>
    BigInt((RAM_BASE / FRAME_BYTES + page) * 1024 + flags);
  machine.memory.writeU64(RAM_BASE, entry(1, POINTER_FLAGS));
  for (let leaf = 0; leaf < LEAVES; leaf++) {
    const table = RAM_BASE + (2 + leaf) * FRAME_BYTES;
    machine.memory.writeU64(RAM_BASE + FRAME_BYTES + leaf * 8, entry(2 + leaf, POINTER_FLAGS));
    for (let at = 0; at < 512; at++) {
      machine.memory.writeU64(table + at * 8, entry(leaf * 512 + at, LEAF_FLAGS));
    }
  }
}

/** A loop in S-mode that loads from every mapped page in turn: four times what the TLB holds. */
function buildSweep(machine: MachineView): void {
  const a = new Assembler({ base: CODE_PAGE * FRAME_BYTES });
  a.li("a1", FRAME_BYTES);
  a.li("a2", MAPPED * FRAME_BYTES);
  a.label("sweep");
  a.li("a0", 0);
  a.label("next");
  a.ld("a3", "a0", 0);
  a.add("a0", "a0", "a1");
  a.bltu("a0", "a2", "next");
  a.j("sweep");
  machine.memory.write(RAM_BASE + CODE_PAGE * FRAME_BYTES, a.assemble().bytes);
  const hart = machine.harts[0];
  hart.pc = BigInt(CODE_PAGE * FRAME_BYTES);
  hart.privilege = PRIV_S;
  hart.set64(HART_SATP, (8n << 60n) | BigInt(RAM_BASE / FRAME_BYTES));
  hart.set64(HART_PMPCFG, 0x1fn); // entry 0: all addresses, readable, writable, executable
  hart.set64(HART_PMPADDR, (1n << 54n) - 1n);
  machine.sync();
}

/** The same walk over a flat copy of RAM: page of RAM that a virtual page maps to, or -1. */
function walk(ram: DataView, virtualPage: number): number {
  let table = 0;
  for (let level = 2; level >= 0; level--) {
    const index = (virtualPage >>> (9 * level)) & 511;
    const low = ram.getUint32(table + index * 8, true);
    const high = ram.getUint32(table + index * 8 + 4, true);
    if ((low & 1) === 0) return -1;
    const page = high * 0x400000 + (low >>> 10) - RAM_BASE / FRAME_BYTES;
    if ((low & 0xe) !== 0) return page;
    table = page * FRAME_BYTES;
  }
  return -1;
}

const SLOTS_PER_PAGE = 3;

/** Three instructions and a TLB miss per page, beside a bare walk, a TLB entry and the load. */
function missCase(core: Core): Case[] {
  const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts: 1, quantum: 1_000_000 });
  buildTables(machine);
  buildSweep(machine);
  const bytes = new Uint8Array(MAPPED * FRAME_BYTES);
  machine.memory.read(RAM_BASE, bytes);
  const ram = new DataView(bytes.buffer);
  const tags = new Int32Array(TLB_SLOTS).fill(-1);
  const pages = new Int32Array(TLB_SLOTS);
  for (let page = 0; page < MAPPED; page++) {
    if (walk(ram, page) !== page) throw new Error(`page ${page} walks to ${walk(ram, page)}`);
  }
  const before = machine.counters.tlbFills;
  machine.run(10 * SLOTS_PER_PAGE * MAPPED);
  const fills = machine.counters.tlbFills - before;
  if (fills < 9 * MAPPED) throw new Error(`${fills} TLB fills in ten sweeps of ${MAPPED} pages`);
  return [
    {
      name: "tlb miss",
      unit: "M/s",
      amount: MAPPED / 1e6,
      rival: "typescript",
      ours: () => {
        machine.run(SLOTS_PER_PAGE * MAPPED);
      },
      theirs: () => {
        for (let page = 0; page < MAPPED; page++) {
          const slot = page % TLB_SLOTS;
          if (tags[slot] !== page) {
            pages[slot] = walk(ram, page);
            tags[slot] = page;
          }
          sink.value ^= ram.getUint32(pages[slot] * FRAME_BYTES, true);
        }
      },
    },
  ];
}

function digestCases(core: Core): Case[] {
  const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts: 1, quantum: 1000 });
  const bytes = new Uint8Array(PAGES * FRAME_BYTES);
  const words = new Uint32Array(bytes.buffer);
  for (let at = 0, x = 1; at < words.length; at++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    words[at] = x;
  }
  machine.memory.write(RAM_BASE, bytes);
  const lanes = new Uint32Array(4);
  const ours = () => core.exports.machineDigestPages(machine.address);
  const amount = bytes.length / MIB;
  const common = { unit: "MiB/s", amount, ours };
  return [
    {
      ...common,
      name: "page digest",
      rival: "typescript",
      theirs: () => {
        for (let page = 0; page < PAGES; page++) {
          hashPage(words.subarray(page * 1024, page * 1024 + 1024), lanes);
        }
      },
    },
    {
      ...common,
      name: "page digest, strong",
      rival: "node sha256",
      theirs: () => {
        createHash("sha256").update(bytes).digest();
      },
    },
  ];
}

function firstTouchCase(core: Core): Case[] {
  return [
    {
      name: "first touch",
      unit: "M/s",
      amount: PAGES / 1e6,
      rival: "typescript",
      ours: () => {
        const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts: 1, quantum: 1000 });
        for (let page = 0; page < PAGES; page++) {
          const at = core.exports.pageWrite(machine.address, RAM_BASE / FRAME_BYTES + page) >>> 0;
          core.u8[at] = page;
        }
        machine.dispose();
      },
      theirs: () => {
        const kept = new Map<number, Uint8Array>();
        for (let page = 0; page < PAGES; page++) {
          const bytes = new Uint8Array(FRAME_BYTES);
          bytes[0] = page;
          kept.set(page, bytes);
        }
        sink.value ^= kept.size;
      },
    },
  ];
}

function perSecond(name: string, turn: () => void): number {
  const timed = new Benchmark(name, turn, { maxTime: SECONDS_PER_TURN, minSamples: 2 });
  timed.run({ async: false });
  if (timed.error !== undefined) throw new Error(`${name}: ${String(timed.error)}`);
  return timed.hz;
}

/** Runs the cases that `plan.only` picks. */
export async function coreSuite(plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const wasm = readFileSync(join(ROOT, "dist/machine.wasm"));
  const core = await Core.create(wasm, { arenaBytes: 512 * MIB, machinesMax: 4 });
  const makers = {
    "page digest": digestCases,
    "tlb miss": missCase,
    "first touch": firstTouchCase,
  };
  const cases = Object.entries(makers)
    .filter(([name]) => plan.only.test(name))
    .flatMap(([, make]) => make(core))
    .map((one) => ({ ...one, values: [] as number[], rivalValues: [] as number[] }));
  for (const round of rounds(plan, () => performance.now())) {
    for (const one of cases) {
      progress.show(`core: round ${round + 1} of ${plan.pairs}`, one.name);
      const first = round % 2 === 0;
      if (first) one.values.push(one.amount * perSecond(one.name, one.ours));
      one.rivalValues.push(one.amount * perSecond(`${one.name}, ${one.rival}`, one.theirs));
      if (!first) one.values.push(one.amount * perSecond(one.name, one.ours));
    }
  }
  progress.done();
  return cases.map(({ name, unit, rival, values, rivalValues }) =>
    summarise({
      suite: "core",
      case: name,
      unit,
      values,
      rival,
      rivalValues,
      ratios: values.map((value, round) => value / rivalValues[round]),
      isMoreBetter: true,
    }),
  );
}
