/**
 * program: random guests for law 0: endless bodies, one to three per program, spread over one to
 * eight harts that share data, page tables and code patches.
 *
 * Used by programs.test.ts.
 * Holds   whatever a body does, the program goes on: handlers step over what traps.
 *
 *   s0 data │ s1 window │ s2 last-level table │ s3 CLINT │ s4 patches │ s10 inner count │ s11 hart │ ra way back
 */
import { Assembler, encode, type Reg } from "../../src/asm/index.ts";
import type { Random } from "../helpers/random.ts";
import {
  CLINT,
  CODE_BYTES_MAX,
  DATA,
  drawShape,
  emitEntry,
  emitHandler,
  FLAGS,
  LAST_LEVEL,
  PATCHES,
  RAM,
  type Shape,
  type Start,
  satpOf,
  tables,
  USER_OFFSET,
  WINDOW,
  WINDOW_PAGES,
} from "./image.ts";

/** A program, ready to be put into a machine. */
export interface RandomProgram {
  readonly shape: Shape;
  readonly entry: bigint;
  readonly pieces: readonly { readonly address: number; readonly bytes: Uint8Array }[];
}

const WORK: readonly Reg[] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s5", "s6", "s7"];

/** What a block is written with. */
interface Pen {
  readonly a: Assembler;
  readonly random: Random;
  readonly shape: Shape;
  readonly mode: Start["mode"];
  readonly work: () => Reg;
}

type Block = (pen: Pen) => void;

const ALU = [
  "add",
  "sub",
  "xor",
  "or",
  "and",
  "sltu",
  "mul",
  "mulhu",
  "divu",
  "remu",
  "sll",
  "srl",
  "addw",
  "sraw",
] as const;
const LOADS = ["lb", "lbu", "lh", "lhu", "lw", "lwu", "ld"] as const;
const STORES = ["sb", "sh", "sw", "sd"] as const;

const alu: Block = ({ a, random, work }) => {
  for (let count = random.between(1, 8); count > 0; count--) {
    if (random.chance(40)) a.addi(work(), work(), random.between(-2048, 2047));
    else if (random.chance(20)) a.slli(work(), work(), random.below(64));
    else a.emit(random.pick(ALU), work(), work(), work());
  }
};

/**
 * t0 = base + a work register's value below 2 to the power of `bits`; aligned to `bytes` unless
 * chance has it.
 */
function point({ a, random, work }: Pen, base: Reg, bits: number, bytes: number): void {
  a.slli("t0", work(), 64 - bits);
  a.srli("t0", "t0", 64 - bits);
  if (random.chance(85)) a.andi("t0", "t0", -bytes);
  a.add("t0", "t0", base);
}

const data: Block = (pen) => {
  const { a, random, work } = pen;
  for (let count = random.between(1, 4); count > 0; count--) {
    point(pen, "s0", 16, 8);
    const offset = random.between(-8, 8) * 8;
    if (random.chance(50)) a.emit(random.pick(LOADS), work(), "t0", offset);
    else a.emit(random.pick(STORES), work(), "t0", offset);
  }
};

const windowAccess: Block = (pen) => {
  const { a, random, work } = pen;
  for (let count = random.between(1, 3); count > 0; count--) {
    point(pen, "s1", 17, 8);
    if (random.chance(55)) a.emit(random.pick(LOADS), work(), "t0", 0);
    else if (random.chance(80)) a.emit(random.pick(STORES), work(), "t0", 0);
    else a.amoaddD(work(), work(), "t0");
  }
};

const atomic: Block = (pen) => {
  const { a, random, work } = pen;
  // few addresses, so that harts meet
  point(pen, "s0", 6, 8);
  if (random.chance(40)) {
    a.emit(random.pick(["amoaddD", "amoswapW", "amoxorD", "amomaxuD"]), work(), work(), "t0");
    return;
  }
  a.lrD("t1", "t0");
  for (let count = random.below(6); count > 0; count--) a.addi("t1", "t1", 1);
  if (random.chance(15)) a.csrr(work(), "time");
  a.scD("t2", "t1", "t0");
  a.add("s5", "s5", "t2");
};

const counters: Block = ({ a, random, work }) => {
  for (let count = random.between(1, 3); count > 0; count--) {
    a.csrr("t1", random.pick(["time", "cycle", "instret", "time"]));
    a.add(work(), "t1", work());
    if (random.chance(50)) a.sd("t1", "s0", random.below(200) * 8);
  }
};

/**
 * Changes an entry of the window by one of several kinds of store, and often looks at the page at
 * once.
 */
const edit: Block = ({ a, random, work }) => {
  const page = random.below(WINDOW_PAGES);
  const target = DATA / 4096 + random.below(16);
  const value = BigInt(target) * 1024n + BigInt(random.pick(FLAGS));
  a.li("t1", value);
  if (page > 0) a.addi("t0", "s2", page * 8);
  else a.mv("t0", "s2");
  const how = random.below(6);
  if (how <= 2) a.sd("t1", "t0", 0);
  else if (how === 3) a.amoswapD("t2", "t1", "t0");
  else if (how === 4) a.sb("t1", "t0", 0);
  else a.sw("t1", "t0", 0);
  if (random.chance(10)) a.sfenceVma("zero", "zero");
  a.lui("t2", page);
  a.add("t2", "t2", "s1");
  if (random.chance(50)) a.ld(work(), "t2", random.below(64) * 8);
  if (random.chance(50)) a.sd(work(), "t2", random.below(64) * 8);
};

const armAndWait: Block = ({ a, random, shape, mode }) => {
  a.csrr("t1", "time");
  a.addi("t1", "t1", random.between(1, 200));
  if (mode === "s" && shape.hasSstc && random.chance(50)) a.csrw("stimecmp", "t1");
  else {
    a.slli("t0", "s11", 3);
    a.add("t0", "t0", "s3");
    a.lui("t2", 4);
    a.add("t0", "t0", "t2");
    a.sd("t1", "t0", 0);
  }
  if (random.chance(80)) a.wfi();
};

const interrupt: Block = ({ a, random, shape, mode }) => {
  if (random.chance(70)) {
    a.li("t1", 1);
    a.sw("t1", "s3", random.below(shape.harts) * 4);
  } else if (mode !== "u") a.csrsi(mode === "m" ? "mip" : "sip", 2);
};

const loop: Block = (pen) => {
  const { a, random } = pen;
  const again = a.fresh("again");
  a.li("s10", random.between(2, 40));
  a.label(again);
  const body = random.between(1, 3);
  for (let count = 0; count < body; count++) random.pick([alu, data, alu, atomic])(pen);
  a.addi("s10", "s10", -1);
  a.bnez("s10", again);
};

const skip: Block = (pen) => {
  const { a, random, work } = pen;
  const behind = a.fresh("behind");
  a.emit(random.pick(["beq", "bne", "blt", "bgeu"]), work(), work(), behind);
  random.pick([alu, data, windowAccess])(pen);
  a.label(behind);
};

/** Rewrites an instruction of a patch and calls it; with or without fence.i the new one runs. */
const patch: Block = ({ a, random, work }) => {
  const slot = random.below(64) * 128;
  const word = random.chance(90)
    ? encode("addi", work(), work(), random.between(-2048, 2047))
    : random.pick([0, encode("ebreak"), encode("wfi"), encode("ld", "t2", "s0", 8)]);
  a.li("t1", word);
  a.lui("t0", slot >>> 12);
  a.add("t0", "t0", "s4");
  const at = slot & 0xfff;
  if (at >= 2048) {
    a.addi("t0", "t0", 2047);
    a.addi("t0", "t0", at - 2047);
  } else a.addi("t0", "t0", at);
  a.sw("t1", "t0", random.pick([0, 0, 4]));
  if (random.chance(50)) a.fenceI();
  a.jalr("ra", "t0");
};

const trap: Block = ({ a, random, work }) => {
  const how = random.below(6);
  if (how === 0) a.ecall();
  // no code lies there: the handler comes back to ra
  else if (how === 5) a.jalr("ra", "s3");
  else if (how === 1) a.ebreak();
  else if (how === 2) a.u32(0);
  else if (how === 3) a.csrr(work(), "mvendorid");
  else a.ld(work(), "zero", random.below(16) * 8);
};

/** A device register: leaves the core. */
const device: Block = ({ a, random, work }) => {
  a.li("t0", 0xe00_0000 + random.below(64) * 8);
  a.add("t0", "t0", "s3");
  if (random.chance(60)) a.emit(random.pick(["lbu", "lw", "ld"]), work(), "t0", 0);
  else a.sw(work(), "t0", 0);
};

const float: Block = ({ a, random, work }) => {
  a.fcvtDL("fa0", work());
  a.fcvtDL("fa1", work());
  for (let count = random.between(1, 4); count > 0; count--) {
    a.emit(random.pick(["faddD", "fmulD", "fdivD", "fsubD"]), "fa0", "fa0", "fa1");
  }
  if (random.chance(30)) a.csrrwi("t1", "frm", random.below(6));
  a.csrr("t1", "fflags");
  a.fsd("fa0", "s0", random.below(200) * 8);
  a.fcvtLD("t2", "fa0");
  a.xor("s6", "s6", "t2");
  a.add("s6", "s6", "t1");
};

const zeroBlock: Block = (pen) => {
  point(pen, pen.random.pick(["s0", "s1"]), 16, 64);
  pen.a.cboZero("t0");
};

/** xRET to the next instruction. */
const turnBack: Block = ({ a, mode }) => {
  const next = a.fresh("next");
  if (mode === "u") return;
  a.la("t1", next);
  a.li("t2", mode === "m" ? 0x1800 : 0x100);
  if (mode === "m") {
    a.csrw("mepc", "t1");
    a.csrs("mstatus", "t2");
    a.mret();
  } else {
    a.csrw("sepc", "t1");
    a.csrs("sstatus", "t2");
    a.sret();
  }
  a.label(next);
};

/** CSRs that change what translation or interrupts mean. */
const control: Block = ({ a, random, shape, mode }) => {
  if (mode === "u") return;
  const status = mode === "m" ? "mstatus" : "sstatus";
  const how = random.below(mode === "m" ? 8 : 5);
  a.li("t1", random.pick([1 << 18, 1 << 19, 3 << 18]));
  if (how === 0) a.csrs(status, "t1");
  else if (how === 1) a.csrc(status, "t1");
  else if (how === 2 || how === 3) {
    a.li("t1", random.chance(20) ? 0 : satpOf(shape, random.below(2)));
    a.csrw("satp", "t1");
  } else if (how === 4) a.csrsi(mode === "m" ? "mie" : "sie", 2);
  else if (how === 5) {
    // a piece of a data page that S and U may not write, or a whole one that they may not touch
    a.li("t1", (DATA + random.below(16) * 4096) / 4 + random.pick([0x1ff, 0x0f, 0x21f]));
    a.csrw("pmpaddr0", "t1");
    a.li("t1", random.pick([0x18, 0x19, 0x1b, 0]));
    a.csrw("pmpcfg0", "t1");
  } else if (how === 6) a.csrw("minstret", "s5");
  else a.csrwi("mcountinhibit", random.pick([0, 1, 4, 5]));
};

/** M-mode looks through S's or U's eyes for a moment. */
const lookThrough: Block = (pen) => {
  const { a, random, mode } = pen;
  if (mode !== "m") return;
  a.li("t1", 0x1800);
  a.csrc("mstatus", "t1");
  a.li("t1", (1 << 17) | (random.chance(60) ? 0x800 : 0));
  a.csrs("mstatus", "t1");
  windowAccess(pen);
  a.li("t1", 1 << 17);
  a.csrc("mstatus", "t1");
};

const BLOCKS: readonly (readonly [weight: number, block: Block])[] = [
  [14, alu],
  [14, data],
  [12, windowAccess],
  [8, atomic],
  [6, counters],
  [10, edit],
  [4, armAndWait],
  [4, interrupt],
  [8, loop],
  [6, skip],
  [5, patch],
  [3, trap],
  [2, device],
  [4, float],
  [2, zeroBlock],
  [2, turnBack],
  [4, control],
  [4, lookThrough],
];

/** One endless body; its address. */
function emitBody(pen: Pen): bigint {
  const { a, random, mode } = pen;
  const offset = mode === "u" ? USER_OFFSET : 0;
  a.align(4);
  const start = a.here;
  a.li("s0", DATA + 0x800 + offset);
  a.li("s1", WINDOW);
  a.li("s2", LAST_LEVEL + offset);
  a.li("s3", CLINT + offset);
  a.li("s4", PATCHES + offset);
  for (const register of WORK) {
    a.li(register, random.u64());
    a.add(register, register, "s11");
  }
  const again = a.fresh("body");
  a.label(again);
  for (let count = random.between(6, 40); count > 0; count--) random.weighted(BLOCKS)(pen);
  a.la("t0", again);
  a.jr("t0");
  return start;
}

/** 64 patches of two instructions and a way back. */
function patchBytes(): Uint8Array {
  const a = new Assembler();
  for (let slot = 0; slot < 64; slot++) {
    a.nop();
    a.nop();
    a.ret();
    while (a.length % 128 !== 0) a.u8(0);
  }
  return a.assemble().bytes;
}

/** Draws a program. */
export function drawProgram(random: Random): RandomProgram {
  const shape = drawShape(random);
  const a = new Assembler({ base: RAM });
  a.tail("entry");
  emitHandler(a, "m", shape);
  emitHandler(a, "s", shape);
  const bodies = Array.from({ length: random.between(1, 3) }, (): Start => {
    const mode = random.pick(["m", "m", "s", "s", "u"] as const);
    const work = () => random.pick(WORK);
    return { mode, address: emitBody({ a, random, shape, mode, work }) };
  });
  const starts = Array.from({ length: shape.harts }, (_, hart) => bodies[hart % bodies.length]);
  emitEntry(a, shape, starts);
  const { bytes } = a.assemble();
  if (bytes.length > CODE_BYTES_MAX) throw new Error(`the code is ${bytes.length} bytes long`);
  return {
    shape,
    entry: BigInt(RAM),
    pieces: [
      { address: RAM, bytes },
      { address: PATCHES, bytes: patchBytes() },
      ...tables(shape, random),
    ],
  };
}
