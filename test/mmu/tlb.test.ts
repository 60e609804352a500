/**
 * tlb: no address hits an empty TLB: loads, stores and fetches at every edge of the address space,
 * in every mode, after every kind of flush, do what a walk says.
 *
 * The suite is DESIGN.md section 3's: a wrong invalid tag is a guest's way into the host's memory.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeCore } from "./core.ts";
import { STUBS_BYTES } from "./instructions.ts";
import { ADUE, CBZE, MSTATUS, RAM } from "./reference.ts";
import { type Mode, Rig, type Step } from "./rig.ts";
import {
  EXECUTE_ONLY,
  READ_ONLY,
  RW,
  RWX,
  RX,
  type SatpMode,
  Space,
  SV39,
  SV48,
  SV57,
  TablePages,
  USER,
} from "./tables.ts";

const test = suite("mmu/tlb");
const RAM_PAGES = 2048;
const DATA = RAM + 0x20_0000n;
const TABLES = RAM + 0x10_0000n;
const STUB_PAGES = STUBS_BYTES / 4096;
const USER_STUBS = 0x1000_0000n;
const MODES: readonly Mode[] = ["M", "S", "U", "M as S", "M as U"];
const LOADS = ["lbu", "lhu", "lwu", "ld"] as const;
const STORES = ["sb", "sh", "sw", "sd"] as const;

/**
 * Addresses whose neighbourhood is tried: ends, canonical edges of each format, ends of RAM and of
 * device space.
 */
const EDGES: readonly bigint[] = [
  0n,
  1n << 63n,
  0x1000n,
  0x10_0000n,
  0x1000_0000n,
  RAM,
  RAM + BigInt(RAM_PAGES) * 4096n,
  1n << 32n,
  ...[38n, 47n, 56n].flatMap((bit) => [1n << bit, -(1n << bit), 1n << (bit + 1n)]),
];
const OFFSETS = Array.from({ length: 17 }, (_, index) => BigInt(index - 8));
/** Fewer, where every edge is tried in every space and mode once more. */
const OFFSETS_FEW = [-8n, -7n, -3n, -1n, 0n, 4n, 7n];

/** A way to empty the TLB, or part of it. */
interface Flush {
  readonly name: string;
  run(rig: Rig): void;
}

const inM = (rig: Rig, ...steps: Step[]) => {
  for (const step of steps) rig.step("M", step);
};
const OPEN = 0x1fn;

/** A PMP write that changes something and leaves everything open, and one that changes it back. */
function writePmp(rig: Rig): void {
  inM(rig, { kind: "pmpaddr1", operand: 0x1234n }, { kind: "pmpaddr1", operand: 0n });
}

const FLUSHES: readonly Flush[] = [
  { name: "machineFlush 1", run: (rig) => rig.flush(1) },
  { name: "machineFlush 2", run: (rig) => rig.flush(2) },
  { name: "machineFlush 3", run: (rig) => rig.flush(3) },
  {
    name: "a satp write",
    run: (rig) => inM(rig, { kind: "satp", operand: rig.state.satp }),
  },
  { name: "sfence.vma", run: (rig) => inM(rig, { kind: "sfenceAll" }) },
  { name: "a PMP write", run: writePmp },
  {
    name: "MXR on and off",
    run: (rig) =>
      inM(
        rig,
        { kind: "mstatusSet", operand: MSTATUS.MXR },
        { kind: "mstatusClear", operand: MSTATUS.MXR },
      ),
  },
  {
    name: "SUM toggled",
    run: (rig) => {
      const kind = (rig.state.mstatus & MSTATUS.SUM) === 0n ? "mstatusSet" : "mstatusClear";
      inM(rig, { kind, operand: MSTATUS.SUM });
    },
  },
  {
    name: "ADUE off and on",
    run: (rig) =>
      inM(rig, { kind: "menvcfg", operand: CBZE }, { kind: "menvcfg", operand: CBZE | ADUE }),
  },
  { name: "nothing", run: () => {} },
];

/**
 * Every kind of page at the edges of a space: what is there must be reached, what is not must
 * fault.
 */
function mapEdges(space: Space): void {
  const top = 1n << space.bits;
  const half = top >> 1n;
  const flags = [RWX, RW, READ_ONLY, EXECUTE_ONLY, RX, RWX | USER, RW | USER];
  space.mapPages(0n, DATA, 1, RWX | USER);
  space.mapPages(half - 0x1000n, DATA + 0x1000n, 1, RW);
  space.mapPages(top - half, DATA + 0x2000n, 1, RWX);
  space.mapPages(top - 0x1000n, DATA + 0x3000n, 1, RWX);
  flags.forEach((flag, index) => {
    space.map(0x4000n + BigInt(index) * 0x1000n, DATA + BigInt(4 + index) * 0x1000n, flag);
  });
  space.map(0x20_0000n, DATA, RWX, 1);
}

function makeSpace(rig: Rig, mode: SatpMode, pages: TablePages): Space {
  const space = new Space(pages, mode);
  space.mapPages(RAM, RAM, STUB_PAGES, RWX);
  space.mapPages(USER_STUBS, RAM, STUB_PAGES, RWX | USER);
  mapEdges(space);
  rig.stubs = (at) => (at === "U" && rig.state.satp !== 0n ? USER_STUBS : RAM);
  return space;
}

/** Pages that hold c.li a0, 1, so that a fetch anywhere in them can be told from a trap. */
function fillData(rig: Rig): void {
  const page = new Uint8Array(4096);
  for (let at = 0; at < 4096; at += 2) page.set([0x05, 0x45], at);
  for (let index = 0n; index < 16n; index++) rig.load(DATA + index * 4096n, page);
}

const core = await makeCore();
const rigs: Rig[] = [];

/**
 * A rig of one hart with an address space of that format. One core serves all: a machine must not
 * see what others left.
 */
function makeRig(satpMode: SatpMode | 0): Rig {
  for (const rig of rigs.splice(0)) rig.dispose();
  const rig = new Rig(core, { ramPages: RAM_PAGES });
  rigs.push(rig);
  fillData(rig);
  if (satpMode !== 0) {
    const space = makeSpace(rig, satpMode, new TablePages(rig.reference, TABLES));
    rig.loadAll();
    inM(rig, { kind: "satp", operand: space.satp });
  }
  return rig;
}

/**
 * Loads and stores of every size at `va`, with a value that a wrong hit would leave behind, and a
 * jump there.
 */
function tryAddress(
  rig: Rig,
  mode: Mode,
  va: bigint,
  before: () => void,
  isEverySize = true,
): void {
  for (const kind of isEverySize ? LOADS : LOADS.slice(2)) {
    before();
    rig.step(mode, { kind, address: va });
  }
  for (const kind of isEverySize ? STORES : STORES.slice(2)) {
    before();
    // stores keep c.li a0, 1 where it was, so that the jumps still find it
    const operand = (va & 1n) === 0n ? 0x4505_4505_4505_4505n : 0x0545_0545_0545_0545n;
    rig.step(mode, { kind, address: va, operand });
  }
  if (mode === "M as S" || mode === "M as U") return;
  before();
  rig.jump(mode, va);
}

const SPACES = [
  ["bare", 0],
  ["Sv39", SV39],
  ["Sv48", SV48],
  ["Sv57", SV57],
] as const;

for (const [name, satpMode] of SPACES) {
  for (const mode of MODES) {
    test(`${name}, ${mode}: every edge on an empty TLB`, () => {
      const rig = makeRig(satpMode);
      for (const edge of EDGES) {
        for (const offset of OFFSETS) tryAddress(rig, mode, edge + offset, () => rig.flush(3));
      }
      rig.compareAll();
      assert.ok(rig.steps > 2000 && rig.traps > 500, `${rig.steps} steps, ${rig.traps} traps`);
    });
  }
}

for (const flush of FLUSHES) {
  test(`every edge after ${flush.name}`, () => {
    for (const [, satpMode] of SPACES) {
      const rig = makeRig(satpMode);
      for (const mode of MODES) {
        for (const edge of EDGES) {
          // one flush, then filled entries stand beside empty ones
          flush.run(rig);
          for (const offset of OFFSETS_FEW) {
            tryAddress(rig, mode, edge + offset, () => {}, false);
          }
        }
      }
      rig.compareAll();
    }
  });
}

test("no page number of the first 4 MiB, nor its mirror images, hits its slot of an empty TLB", () => {
  for (const [, satpMode] of SPACES) {
    const rig = makeRig(satpMode);
    for (const mode of MODES) {
      rig.flush(3);
      for (let page = 16n; page < 1040n; page++) {
        if (page % 64n === 0n) rig.flush(3);
        const high = page % 3n === 0n ? 1n << 63n : page % 3n === 1n ? ~0n << 48n : 0n;
        rig.step(mode, { kind: "ld", address: high | (page << 12n) });
        rig.step(mode, { kind: "sd", address: high | (page << 12n), operand: page });
      }
    }
    rig.compareAll();
  }
});

test("accesses that hit the TLB are what the edges are compared with: most steps in RAM take no slow path", () => {
  const rig = makeRig(SV39);
  const before = rig.machine.counters.slowExits;
  for (let round = 0n; round < 100n; round++) {
    rig.step("S", { kind: "ld", address: 0x20_0000n + round * 8n });
    rig.step("S", { kind: "sd", address: 0x20_2000n + round * 8n, operand: round });
  }
  const slow = rig.machine.counters.slowExits - before;
  assert.ok(slow <= 4, `${slow} of 200 accesses left the hot loop`);
});

test("what the hot loop hits depends on the regime: U, S, S with SUM and M keep their own rights", () => {
  const rig = makeRig(SV39);
  const pages = Array.from({ length: 8 }, (_, index) => BigInt(index) * 0x1000n + 0x4000n);
  // every setting of the two bits follows every other
  for (const setting of [0, 1, 3, 2, 0, 3, 1, 2, 3, 0, 2, 1, 0]) {
    for (const [bit, operand] of [MSTATUS.SUM, MSTATUS.MXR].entries()) {
      inM(rig, { kind: (setting >> bit) & 1 ? "mstatusSet" : "mstatusClear", operand });
    }
    for (const mode of MODES) {
      for (const address of pages) {
        rig.step(mode, { kind: "ld", address }, { kind: "sd", address: address + 64n });
      }
    }
  }
  rig.compareAll();
});

test("a PMP that opens nothing to S and U holds at every edge", () => {
  for (const config of [OPEN & ~4n, OPEN & ~2n, OPEN & ~1n & ~2n, 0n]) {
    const rig = makeRig(SV39);
    inM(rig, { kind: "pmpcfg0", operand: config });
    for (const mode of MODES) {
      for (const edge of EDGES) tryAddress(rig, mode, edge + 4n, () => {});
    }
    rig.compareAll();
  }
});

test.run();
