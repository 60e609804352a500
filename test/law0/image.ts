/**
 * image: what is around a random program of law 0: where everything lies, page tables, entry, trap
 * handlers.
 *
 * Used by program.ts, which writes the bodies.
 * Holds   a handler changes no register of the body; after an exception the body goes on behind the
 *         instruction, or at ra when the trap came from outside of the program's own code.
 *
 *   0x80000000 code │ +0x40000 data, 16 pages │ +0x50000 patches, 2 pages │ +0x60000 tables
 *   +0x70000 one page per hart
 */
import type { Assembler, Csr } from "../../src/asm/index.ts";
import type { Random } from "../helpers/random.ts";

export const RAM = 0x8000_0000;
export const RAM_PAGES = 512;
export const CODE_BYTES_MAX = 0x40000;
export const DATA = RAM + 0x40000;
export const DATA_BYTES = 0x10000;
export const PATCHES = RAM + 0x50000;
const TABLES = RAM + 0x60000;
const SAVES = RAM + 0x70000;
export const CLINT = 0x200_0000;
/** Virtual addresses that user mode sees the first two gigabytes of physical memory and RAM at. */
export const USER_OFFSET = 0x1_0000_0000;
/** The window of 32 pages whose last-level entries programs edit. */
export const WINDOW = 8 * 2 ** 30 + 0x1000_0000;
export const WINDOW_PAGES = 32;
/** Last-level table of the window, and the one of the second address space. */
export const LAST_LEVEL = TABLES;
const LAST_LEVEL_OTHER = TABLES + 0x1000;
/** Doublewords of a hart's page: saved registers, then a count per cause, interrupts from 32 on. */
const SAVE_COUNTS = 64;
export const CAUSES = 64;

const RWX = 0xcf;
const USER = 0x10;
const entry = (physical: number, flags: number) => BigInt(physical / 4096) * 1024n + BigInt(flags);

/** The random facts of one program that its surroundings depend on. */
export interface Shape {
  readonly harts: number;
  readonly quantum: number;
  /** satp.MODE: 8, 9 or 10. */
  readonly satpMode: number;
  readonly medeleg: number;
  readonly mideleg: number;
  readonly hasSstc: boolean;
  readonly hasHardwareAd: boolean;
  /** Ticks from one timer interrupt to the next. */
  readonly period: number;
}

/** Draws a shape. */
export function drawShape(random: Random): Shape {
  return {
    harts: random.pick([1, 1, 2, 4, 8]),
    quantum: random.pick([1, 2, 3, 7, 50, 333, 997, 10_000]),
    satpMode: random.pick([8, 8, 9, 10]),
    medeleg: random.pick([0, 0xb3ff, random.u32() & 0xb3ff]),
    mideleg: random.pick([0, 0x222, 0x22, 0x2]),
    hasSstc: random.chance(60),
    hasHardwareAd: random.chance(70),
    period: random.pick([3, 20, 90, 400]),
  };
}

/** satp of address space 0 or 1. */
export function satpOf(shape: Shape, space: number): bigint {
  const root = (TABLES + 0x2000 + space * 0x8000) / 4096;
  return (BigInt(shape.satpMode) << 60n) | BigInt(root);
}

/**
 * Page tables as {address, bytes}: gigapages for devices and RAM, for S and again for U, and the
 * window.
 */
export function tables(shape: Shape, random: Random): { address: number; bytes: Uint8Array }[] {
  const pages = new Map<number, BigUint64Array>();
  const put = (table: number, index: number, value: bigint) => {
    const page = pages.get(table) ?? new BigUint64Array(512);
    page[index] = value;
    pages.set(table, page);
  };
  for (const space of [0, 1]) {
    let table = TABLES + 0x2000 + space * 0x8000;
    for (let level = shape.satpMode - 6; level > 2; level--) {
      put(table, 0, entry(table + 0x1000, 1));
      table += 0x1000;
    }
    put(table, 0, entry(0, RWX));
    put(table, 2, entry(RAM, RWX));
    put(table, 4, entry(0, RWX | USER));
    put(table, 6, entry(RAM, RWX | USER));
    put(table, 8, entry(table + 0x1000, 1));
    const last = random.chance(50) || space === 0 ? LAST_LEVEL : LAST_LEVEL_OTHER;
    put(table + 0x1000, 128, entry(last, 1));
    for (let page = 0; page < WINDOW_PAGES; page++) put(last, page, randomEntry(random));
  }
  return [...pages].map(([address, words]) => ({ address, bytes: new Uint8Array(words.buffer) }));
}

/**
 * Flags that leaves of the window get: all rights, fewer, user or not, accessed and dirty or not,
 * invalid.
 */
export const FLAGS = [
  0xcf, 0xdf, 0xc7, 0xd7, 0x43, 0x53, 0x4b, 0x5b, 0x49, 0x0f, 0x1f, 0x07, 0x4f, 0, 0xc5,
] as const;

function randomEntry(random: Random): bigint {
  const target = random.chance(80)
    ? DATA + random.below(DATA_BYTES / 4096) * 4096
    : random.pick([PATCHES, TABLES, LAST_LEVEL_OTHER, RAM + 0x100000]);
  return entry(target, random.pick(FLAGS));
}

/** Names of the registers that the handlers of M and S differ in. */
const HANDLER_CSRS = {
  m: { scratch: "mscratch", cause: "mcause", epc: "mepc", pending: "mip" },
  s: { scratch: "sscratch", cause: "scause", epc: "sepc", pending: "sip" },
} as const satisfies Record<string, Record<string, Csr>>;

/** Counts the cause in t0 (an interrupt's counts from 32 on); t6 is the hart's page. */
function emitCount(a: Assembler): void {
  a.srli("t1", "t0", 63);
  a.slli("t1", "t1", 5);
  a.andi("t2", "t0", 31);
  a.add("t1", "t1", "t2");
  a.slli("t1", "t1", 3);
  a.add("t1", "t1", "t6");
  a.ld("t2", "t1", SAVE_COUNTS);
  a.addi("t2", "t2", 1);
  a.sd("t2", "t1", SAVE_COUNTS);
}

/** The trap handler of one mode. */
export function emitHandler(a: Assembler, mode: "m" | "s", shape: Shape): void {
  const csr = HANDLER_CSRS[mode];
  const [interrupt, inCode, done] = [a.fresh("interrupt"), a.fresh("inCode"), a.fresh("done")];
  a.align(4);
  a.label(`${mode}Handler`);
  a.csrrw("t6", csr.scratch, "t6");
  (["t0", "t1", "t2"] as const).forEach((register, index) => {
    a.sd(register, "t6", index * 8);
  });
  a.csrr("t0", csr.cause);
  emitCount(a);
  a.bltz("t0", interrupt);
  a.csrr("t1", csr.epc);
  a.slli("t2", "t1", 34);
  a.srli("t2", "t2", 34);
  a.li("t0", CODE_BYTES_MAX);
  a.addi("t1", "t1", 4);
  a.bltu("t2", "t0", inCode);
  a.mv("t1", "ra");
  a.label(inCode);
  a.csrw(csr.epc, "t1");
  a.j(done);
  a.label(interrupt);
  emitInterrupt(a, mode, shape, done);
  a.label(done);
  (["t0", "t1", "t2"] as const).forEach((register, index) => {
    a.ld(register, "t6", index * 8);
  });
  a.csrrw("t6", csr.scratch, "t6");
  if (mode === "m") a.mret();
  else a.sret();
}

/** Takes the reason of the interrupt in t0 away. */
function emitInterrupt(a: Assembler, mode: "m" | "s", shape: Shape, done: string): void {
  const csr = HANDLER_CSRS[mode];
  a.andi("t0", "t0", 31);
  const when = (cause: number, body: () => void) => {
    const other = a.fresh("other");
    a.li("t1", cause);
    a.bne("t0", "t1", other);
    body();
    a.j(done);
    a.label(other);
  };
  when(7, () => {
    a.ld("t1", "t6", 24); // hart number
    a.slli("t1", "t1", 3);
    a.li("t2", CLINT + 0x4000);
    a.add("t1", "t1", "t2");
    a.csrr("t2", "time");
    a.addi("t2", "t2", shape.period);
    a.sd("t2", "t1", 0);
  });
  when(3, () => {
    a.ld("t1", "t6", 24);
    a.slli("t1", "t1", 2);
    a.li("t2", CLINT);
    a.add("t1", "t1", "t2");
    a.sw("zero", "t1", 0);
  });
  when(5, () => {
    if (shape.hasSstc) {
      a.csrr("t1", "time");
      a.addi("t1", "t1", shape.period * 2);
      a.csrw("stimecmp", "t1");
    } else {
      a.li("t1", 0x20);
      a.csrc(mode === "m" ? "mip" : "sie", "t1");
    }
  });
  // software; whatever else it is, off with it
  a.li("t1", 2);
  a.csrc(csr.pending, "t1");
  a.li("t1", 0xa00);
  a.csrc(mode === "m" ? "mie" : "sie", "t1");
}

/** Where a hart's counters are. */
export const countsAddress = (hart: number) => SAVES + hart * 4096 + SAVE_COUNTS;

/** What the harts begin with: the mode of each, and where its body is. */
export interface Start {
  readonly mode: "m" | "s" | "u";
  readonly address: bigint;
}

/** mstatus for each mode before the MRET that enters it: FS initial, interrupts on afterwards. */
const ENTRY_STATUS = { m: 0x3880n, s: 0x28a2n, u: 0x20a2n } as const;

/** The entry: sets everything up, then enters the hart's body. */
export function emitEntry(a: Assembler, shape: Shape, starts: readonly Start[]): void {
  a.label("entry");
  a.csrr("s11", "mhartid");
  a.li("t0", SAVES);
  a.slli("t1", "s11", 12);
  a.add("t0", "t0", "t1");
  a.sd("s11", "t0", 24);
  a.csrw("mscratch", "t0");
  a.csrw("sscratch", "t0");
  const set = (csr: Csr, value: number | bigint) => {
    a.li("t0", value);
    a.csrw(csr, "t0");
  };
  set("pmpaddr15", 0x3f_ffff_ffff_ffffn);
  set("pmpcfg2", 0x1fn << 56n);
  a.la("t0", "mHandler");
  a.csrw("mtvec", "t0");
  a.la("t0", "sHandler");
  a.csrw("stvec", "t0");
  set("medeleg", shape.medeleg);
  set("mideleg", shape.mideleg);
  const ad = shape.hasHardwareAd ? 1n << 61n : 0n;
  set("menvcfg", (shape.hasSstc ? 1n << 63n : 0n) | ad | 0x80n);
  set("senvcfg", 0x80);
  set("mcounteren", 7);
  set("scounteren", 7);
  set("satp", satpOf(shape, 0));
  a.li("t0", CLINT + 0x4000);
  a.slli("t1", "s11", 3);
  a.add("t0", "t0", "t1");
  a.li("t1", shape.period);
  a.sd("t1", "t0", 0);
  set("mie", 0xaaa);
  a.la("t0", "starts");
  a.slli("t1", "s11", 4);
  a.add("t0", "t0", "t1");
  a.ld("t1", "t0", 0);
  a.csrw("mepc", "t1");
  a.ld("t1", "t0", 8);
  a.csrw("mstatus", "t1");
  a.mret();
  a.align(8);
  a.label("starts");
  for (const { mode, address } of starts) {
    a.u64(mode === "u" ? address + BigInt(USER_OFFSET) : address, ENTRY_STATUS[mode]);
  }
}
