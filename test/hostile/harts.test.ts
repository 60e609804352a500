/**
 * harts: code that other harts overwrite while it runs, jumps to where nothing is, page tables that
 * lead to themselves, to devices and nowhere, and every address at which a TLB could be wrong.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Assembler, encode } from "../../src/asm/index.ts";
import type { Machine } from "../../src/node.ts";
import { elfProgram, emitHang, emitPoweroff, RAM, UART } from "../helpers/guest-program.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { besiege } from "./yard.ts";

const test = suite("hostile/harts");
const SEED = seedOf(20_261_126);
const TABLES = RAM + 0x10000;
const MODES = { sv39: [8n, 3], sv48: [9n, 4], sv57: [10n, 5] } as const;
const [V, R, W, X, U, A, D] = [1n, 2n, 4n, 8n, 16n, 64n, 128n];
const RWX = V | R | W | X | A | D;

// ---- code ----

/** Harts 1 and up run a page of code that all harts rewrite. */
function rewriters(random: Random, hasFence: boolean): Uint8Array {
  const harmless = () => encode("addi", "t2", "t2", random.between(-2048, 2047));
  const wild = [0, 0xffff_ffff, 0x9002_9002, encode("ebreak"), encode("ecall"), encode("wfi")];
  return elfProgram((a) => {
    a.la("t0", "handler");
    a.csrw("mtvec", "t0");
    a.csrr("s0", "mhartid");
    a.la("s1", "target");
    a.li("s3", 0x1234_5677);
    a.add("s3", "s3", "s0");
    a.label("round");
    for (let store = 0; store < 12; store++) {
      a.slli("t0", "s3", 13);
      a.xor("s3", "s3", "t0");
      a.srli("t0", "s3", 7);
      a.xor("s3", "s3", "t0");
      a.andi("t0", "s3", 0x7fe);
      a.add("t0", "t0", "s1");
      a.li("t1", random.chance(80) ? harmless() : random.pick(wild));
      a.emit(random.pick(["sw", "sw", "sh", "sb"]), "t1", "t0", 0);
      if (hasFence) a.fenceI();
      if (random.chance(20)) a.cboZero("t0");
      if (random.chance(50)) a.jalr("ra", "s1");
    }
    a.jalr("ra", "s1");
    a.j("round");
    a.alignCode(4);
    a.label("handler"); // back to whoever called
    a.la("t3", "round");
    a.csrw("mepc", "t3");
    a.csrwi("mie", 0);
    a.mret();
    a.align(4096);
    a.label("target");
    for (let index = 0; index < 512; index++) a.u32(harmless());
    a.ret();
    a.space(2048);
  });
}

for (const harts of [2, 3, 8]) {
  for (const hasFence of [true, false]) {
    test(`${harts} harts overwrite what they run, ${hasFence ? "with" : "without"} fence.i`, async () => {
      const kernel = rewriters(new Random(SEED + harts), hasFence);
      const digests: string[] = [];
      for (const quantum of [50, 50, 1000]) {
        await besiege({
          ...{ kernel, harts, quantum, instructions: 400_000 },
          // a hart that waits with nothing enabled is its own end
          accepted: ["budget", "idle", "trap-loop"],
          inspect: ({ machine }) => void digests.push(machine.stateDigest()),
        });
      }
      assert.is(digests[0], digests[1], "the same twice");
    });
  }
}

// ---- addresses ----

/** Edges of every address format, of RAM and of devices, and their neighbours. */
function edges(): bigint[] {
  const centres = [0n, 1n << 63n, BigInt(RAM), BigInt(RAM + (2 << 20)), 1n << 32n, 1n << 56n];
  for (const bits of [38n, 39n, 47n, 48n, 56n, 57n]) centres.push(1n << bits, -(1n << bits));
  for (const device of [0x1000, 0x10_0000, 0x200_0000, 0xc00_0000, UART, 0x1000_1000]) {
    centres.push(BigInt(device));
  }
  const near = [-4096n, -8n, -4n, -2n, -1n, 0n, 1n, 2n, 4n, 4088n, 4095n];
  return centres.flatMap((centre) => near.map((by) => BigInt.asUintN(64, centre + by)));
}

/** What is done at each address; `t0` holds it. Each may trap and is at most two instructions. */
const TOUCHES: readonly ((a: Assembler) => void)[] = [
  (a) => a.ld("t1", "t0", 0),
  (a) => a.lb("t1", "t0", 0),
  (a) => a.sb("t1", "t0", 0),
  (a) => a.sd("t1", "t0", 0),
  (a) => a.amoaddD("t1", "t1", "t0"),
  (a) => a.lrW("t1", "t0"),
  (a) => a.cboZero("t0"),
  (a) => a.jalr("ra", "t0"),
];

/** Traps come back behind the touch: s11 says where. */
function emitTouching(a: Assembler, addresses: readonly bigint[], between: () => void): void {
  for (const address of addresses) {
    a.li("t0", address);
    for (const touch of TOUCHES) {
      const behind = a.fresh("behind");
      a.la("s11", behind);
      touch(a);
      a.label(behind);
      between();
    }
  }
}

function emitHandler(a: Assembler): void {
  a.alignCode(4);
  a.label("handler");
  a.csrw("mepc", "s11");
  a.addi("s10", "s10", 1);
  a.mret();
}

/** Traps are counted in s10. */
function sawTraps(machine: Machine, least: number): void {
  const traps = machine.view.harts[0].x(26);
  assert.ok(traps >= BigInt(least), `${traps} traps`);
}

/** Tables at TABLES: entry 0 of each leads to the next, entry 2 of the second last maps RAM. */
function emitTables(a: Assembler, levels: number, root: (table: number) => bigint[]): void {
  for (let level = 0; level < levels; level++) {
    const table = TABLES + 4096 * level;
    for (const [index, entry] of root(table).entries()) {
      a.li("t0", table + 8 * index);
      a.li("t1", entry);
      a.sd("t1", "t0", 0);
    }
  }
}

const pointer = (to: number) => (BigInt(to / 4096) << 10n) | V;
const leaf = (to: number | bigint, flags = RWX) => ((BigInt(to) >> 12n) << 10n) | flags;

/** S-mode code would need pages of its own: M-mode looks through S-mode's eyes (MPRV). */
function emitMode(a: Assembler, mode: bigint): void {
  a.li("t0", -1);
  a.csrw("pmpaddr0", "t0");
  a.csrwi("pmpcfg0", 0x1f);
  a.li("t0", (mode << 60n) | BigInt(TABLES / 4096));
  a.csrw("satp", "t0");
  a.li("t0", 0x20800);
  a.csrs("mstatus", "t0");
}

test("every edge of every address format, on an empty TLB and after flushes, untranslated", async () => {
  for (const seed of [0, 1]) {
    const random = new Random(seed);
    await besiege({
      ...{ instructions: 5_000_000, accepted: ["poweroff"] },
      inspect: ({ machine }) => sawTraps(machine, 500),
      kernel: elfProgram((a) => {
        a.la("t2", "handler");
        a.csrw("mtvec", "t2");
        // what lies in RAM's first page is the program: it is left alone
        const addresses = edges().filter((at) => at < BigInt(RAM) || at > BigInt(RAM + 0x80000));
        const harmless = addresses.filter((at) => at < 0x10_0000n || at >= 0x10_1000n);
        emitTouching(a, harmless, () => {
          if (random.chance(20)) a.sfenceVma("zero", "zero");
          if (random.chance(10)) a.csrwi("satp", 0);
        });
        emitPoweroff(a);
        emitHandler(a);
      }),
    });
  }
});

/** Tables worth being afraid of, as the entries of each level's table. */
const TABLES_OF: Record<string, (table: number) => bigint[]> = {
  "that lead to themselves": (table) => [pointer(table), pointer(table), leaf(table)],
  "that lead to devices": () => [pointer(UART), leaf(UART), leaf(0x200_0000), leaf(0xc00_0000)],
  "that lead outside RAM": () => [pointer(0x1000), pointer(RAM + (2 << 20)), leaf(1n << 55n)],
  "with reserved bits": (table) => [
    ...[pointer(table) | (1n << 54n), pointer(table) | (1n << 63n), leaf(RAM) | (1n << 61n)],
    ...[leaf(RAM, V | W | A | D), pointer(table) | A, pointer(table) | U, leaf(RAM + 4096)],
  ],
  "that were never written": () => [pointer(RAM + 0x100000), pointer(RAM + 0x101000)],
  "that map each other writable": (table) => [
    ...[pointer(table + 4096), leaf(TABLES), leaf(TABLES + 4096), leaf(table)],
    ...[leaf(TABLES, RWX | U), leaf(RAM)],
  ],
  "of all ones": () => Array(8).fill((1n << 64n) - 1n),
};

for (const [name, [mode, levels]] of Object.entries(MODES)) {
  for (const [what, root] of Object.entries(TABLES_OF)) {
    test(`${name}: page tables ${what}`, async () => {
      const random = new Random(SEED);
      const low = [0n, 8n, 16n, 24n].flatMap((entry) =>
        [12n, 21n, 30n, 39n, 48n].map((shift) => entry << (shift - 3n)),
      );
      const addresses = [...edges().filter(() => random.chance(25)), ...low, ...low];
      await besiege({
        ...{ instructions: 3_000_000, accepted: ["poweroff"] },
        inspect: ({ machine }) => sawTraps(machine, 200),
        kernel: elfProgram((a) => {
          a.la("t2", "handler");
          a.csrw("mtvec", "t2");
          emitTables(a, levels, root);
          emitMode(a, mode);
          emitTouching(a, addresses, () => {
            if (random.chance(10)) emitMode(a, mode);
            if (random.chance(10)) a.sfenceVma("zero", "zero");
          });
          a.li("t0", 0x20800);
          a.csrc("mstatus", "t0");
          emitPoweroff(a);
          emitHandler(a);
        }),
      });
    });
  }
}

test("S-mode runs on tables that it takes from under its own feet", async () => {
  await besiege({
    ...{ instructions: 1_000_000, accepted: ["trap-loop", "budget"] },
    kernel: elfProgram((a) => {
      a.la("t2", "handler");
      a.csrw("mtvec", "t2");
      a.li("t0", TABLES + 16); // 0x80000000 to itself, 1 GiB
      a.li("t1", leaf(RAM));
      a.sd("t1", "t0", 0);
      emitMode(a, 8n);
      a.la("t0", "supervisor");
      a.csrw("mepc", "t0");
      a.mret();
      a.label("supervisor");
      a.li("t0", TABLES + 16);
      a.sd("zero", "t0", 0);
      a.nop();
      emitHang(a);
      a.alignCode(4);
      a.label("handler"); // the tables come back, and it goes on where it was
      a.li("t3", TABLES + 16);
      a.li("t4", leaf(RAM));
      a.li("t5", 0x20000);
      a.csrc("mstatus", "t5");
      a.sd("t4", "t3", 0);
      a.la("t3", "supervisor");
      a.csrw("mepc", "t3");
      a.mret();
    }),
  });
});

test("jumps to nowhere end in the handler, from every privilege", async () => {
  for (const privilege of [0, 1, 3]) {
    await besiege({
      ...{ instructions: 300_000, accepted: ["budget"] },
      kernel: elfProgram((a) => {
        a.la("t2", "handler");
        a.csrw("mtvec", "t2");
        a.la("s0", "list");
        a.label("handler");
        a.ld("t0", "s0", 0);
        a.addi("s0", "s0", 8);
        a.bnez("t0", "go");
        a.la("s0", "list");
        a.j("handler");
        a.label("go");
        a.csrw("mepc", "t0");
        a.li("t1", 0x1800);
        a.csrc("mstatus", "t1");
        a.li("t1", privilege << 11);
        a.csrs("mstatus", "t1");
        a.mret();
        a.align(8);
        a.label("list");
        for (const edge of edges()) {
          if (edge !== 0n && (edge < BigInt(RAM) || edge >= BigInt(RAM + (2 << 20)))) a.u64(edge);
        }
        a.u64(0);
      }),
    });
  }
});

test.run();
