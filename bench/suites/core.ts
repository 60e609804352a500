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
import { FRAME_BYTES, HART_SATP } from "../../assembly/layout.ts";
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

/**
 * Sv39 tables at the start of RAM: root, one middle table, `leaves` leaves; virtual page v maps to
 * page v of RAM.
 */
function buildTables(machine: MachineView, leaves: number): void {
  const entry = (page: number, flags: number) =>
    BigInt((RAM_BASE / FRAME_BYTES + page) * 1024 + flags);
  machine.memory.writeU64(RAM_BASE, entry(1, 1));
  for (let leaf = 0; leaf < leaves; leaf++) {
    machine.memory.writeU64(RAM_BASE + FRAME_BYTES + leaf * 8, entry(2 + leaf, 1));
    for (let at = 0; at < 512; at++) {
      // Valid, readable, writable, accessed, dirty.
      machine.memory.writeU64(
        RAM_BASE + (2 + leaf) * FRAME_BYTES + at * 8,
        entry(leaf * 512 + at, 0xc7),
      );
    }
  }
}

/** The same walk over a flat copy of RAM. */
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

const SATP_SV39 = 8n << 60n;
const WALK_LEAVES = 8;

function walkCase(core: Core): Case[] {
  const machine = MachineView.create(core, { ramPages: RAM_PAGES, harts: 1, quantum: 1000 });
  buildTables(machine, WALK_LEAVES);
  const hart = machine.harts[0];
  hart.set64(HART_SATP, SATP_SV39 | BigInt(RAM_BASE / FRAME_BYTES));
  hart.privilege = PRIV_S;
  machine.sync();
  const bytes = new Uint8Array((2 + WALK_LEAVES) * FRAME_BYTES);
  machine.memory.read(RAM_BASE, bytes);
  const ram = new DataView(bytes.buffer);
  const pages = WALK_LEAVES * 512;
  for (let page = 0; page < pages; page++) {
    if (core.exports.machineTranslate(machine.address, 0, page * FRAME_BYTES, 0) !== 1) {
      throw new Error(`page ${page} does not translate`);
    }
    const found = (machine.exitAddress - RAM_BASE) / FRAME_BYTES;
    if (found !== walk(ram, page)) throw new Error(`page ${page}: ${found}, ${walk(ram, page)}`);
  }
  return [
    {
      name: "sv39 walk",
      unit: "M/s",
      amount: pages / 1e6,
      rival: "typescript",
      ours: () => {
        for (let page = 0; page < pages; page++) {
          sink.value ^= core.exports.machineTranslate(machine.address, 0, page * FRAME_BYTES, 0);
        }
      },
      theirs: () => {
        for (let page = 0; page < pages; page++) sink.value ^= walk(ram, page);
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
    "sv39 walk": walkCase,
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
