/**
 * genes: the pieces that hostile programs of the campaign are made of, each a few instructions that
 * do something no good guest does, and the programs made from a list of them.
 *
 * Used by campaign.ts.
 * Holds   a gene is its kind and a seed, so that a program is a list of numbers that can be kept,
 *         cut and mixed. Whatever a gene does, the next one runs: traps go there.
 *
 *   s0 playground │ s1 hart │ s11 where traps go │ t0-t6 free
 */
import { Assembler, elf64, encode, INSTRUCTIONS, type Reg } from "../../src/asm/index.ts";
import { imageProgram, KERNEL, RAM, UART } from "../helpers/guest-program.ts";
import { Random } from "../helpers/random.ts";
import { slotBase } from "./rings.ts";

export const PLAYGROUND = RAM + 0x300000;
const PLAYGROUND_BYTES = 0x40000;
const CLINT = 0x200_0000;
const CODE = PLAYGROUND + PLAYGROUND_BYTES;

/** One piece of a program: [kind, seed]. */
export type Gene = readonly [kind: number, seed: number];

/** What a gene is written with. */
interface Pen {
  readonly a: Assembler;
  readonly random: Random;
  /** M-mode on bare hardware, or S-mode over the built-in SBI. */
  readonly mode: "m" | "s";
  readonly slots: number;
}

const WILD: readonly bigint[] = [
  ...[0n, 1n, 2n, 8n, 255n, 4095n, 4096n, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, 1n << 52n],
  ...[1n << 53n, 1n << 56n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 8n, (1n << 64n) - 1n],
  ...[BigInt(RAM - 1), BigInt(RAM), BigInt(RAM + (8 << 20)), BigInt(PLAYGROUND), BigInt(UART)],
];

const DEVICES: readonly (readonly [base: number, reach: number])[] = [
  [0x10_1000, 0x20],
  [0x10_2000, 0x20],
  [CLINT, 0x40],
  [CLINT + 0x4000, 0x40],
  [CLINT + 0xbff0, 0x20],
  [0xc00_0000, 0x200],
  [0xc00_1000, 0x20],
  [0xc00_2000, 0x400],
  [0xc20_0000, 0x8000],
  [UART, 0x10],
];

function inPlayground(random: Random): bigint {
  const at = PLAYGROUND + random.below(PLAYGROUND_BYTES);
  return BigInt(random.chance(90) ? at - (at % 8) : at);
}

function anyValue(random: Random): bigint {
  return random.weighted<() => bigint>([
    [3, () => random.pick(WILD)],
    [3, () => inPlayground(random)],
    [2, () => BigInt(random.below(16))],
    [2, () => random.u64()],
    [1, () => 1n << BigInt(random.below(64))],
  ])();
}

function anyAddress(random: Random, slots: number): bigint {
  return random.weighted<() => bigint>([
    [4, () => inPlayground(random)],
    [3, () => random.pick(WILD)],
    [
      4,
      () => {
        const [base, reach] = random.pick(DEVICES);
        return BigInt(base + random.below(reach));
      },
    ],
    [3, () => BigInt(slotBase(random.below(slots)) + random.below(0x110))],
    [1, () => random.u64()],
  ])();
}

const STORES = ["sb", "sh", "sw", "sd"] as const;
const LOADS = ["lb", "lhu", "lw", "lwu", "ld"] as const;
const AMOS = ["amoaddD", "amoswapW", "amomaxuD", "amoandW"] as const;

function touch({ a, random, slots }: Pen): void {
  for (let count = random.between(1, 6); count > 0; count--) {
    a.li("t0", anyAddress(random, slots));
    a.li("t1", anyValue(random));
    const kind = random.below(10);
    if (kind < 5) a.emit(random.pick(STORES), "t1", "t0", 0);
    else if (kind < 8) a.emit(random.pick(LOADS), "t1", "t0", 0);
    else if (kind === 8) a.emit(random.pick(AMOS), "t2", "t1", "t0");
    else a.cboZero("t0");
  }
}

function put(a: Assembler, base: number, offset: number, value: bigint | number): void {
  a.li("t0", base + offset);
  a.li("t1", value);
  a.sw("t1", "t0", 0);
}

/** The right dance, or nearly, with queues where chance has them. */
function bringUp({ a, random, slots }: Pen): void {
  const base = slotBase(random.below(slots));
  const steps: (() => void)[] = [0, 1, 3].map((status) => () => put(a, base, 0x70, status));
  steps.push(() => put(a, base, 0x24, 1));
  steps.push(() => put(a, base, 0x20, 1));
  steps.push(() => put(a, base, 0x24, 0));
  steps.push(() => put(a, base, 0x20, random.pick([0, 0x1000_0000, 0x3000_0000, 0x3000_0002])));
  steps.push(() => put(a, base, 0x70, 11));
  for (let queue = 0; queue < random.between(1, 4); queue++) {
    steps.push(() => put(a, base, 0x30, queue));
    steps.push(() => put(a, base, 0x38, 2 ** random.below(9)));
    for (const offset of [0x80, 0x90, 0xa0]) {
      const at = random.chance(90) ? inPlayground(random) : random.pick(WILD);
      steps.push(() => put(a, base, offset, at & 0xffff_ffffn));
      if (random.chance(20)) steps.push(() => put(a, base, offset + 4, at >> 32n));
    }
    steps.push(() => put(a, base, 0x44, 1));
  }
  steps.push(() => put(a, base, 0x70, 15));
  if (random.chance(30)) steps.splice(random.below(steps.length), 1);
  for (const step of steps) step();
}

/** A queue of its own with random descriptors, offered and announced. */
function ring({ a, random, slots }: Pen): void {
  const base = slotBase(random.below(slots));
  const queue = random.below(4);
  const at = PLAYGROUND + random.below(8) * 0x4000;
  const store = (address: number, value: bigint) => {
    a.li("t0", address);
    a.li("t1", value);
    a.sd("t1", "t0", 0);
  };
  put(a, base, 0x30, queue);
  put(a, base, 0x44, 0);
  put(a, base, 0x38, 2 ** random.between(1, 8));
  for (const [offset, by] of [
    [0x80, 0],
    [0x90, 0x1000],
    [0xa0, random.chance(85) ? 0x2000 : random.pick([0, 0x1000])],
  ] as const) {
    put(a, base, offset, BigInt(at + by));
    put(a, base, offset + 4, 0);
  }
  for (let index = 0; index < random.between(1, 5); index++) {
    const bytes = random.pick([0n, 1n, 8n, 16n, 512n, 4096n, 0x10_0000n, 0xffff_ffffn]);
    const flags = BigInt(random.pick([0, 1, 2, 3, 1, 3, 4, 5, 7]));
    store(at + 16 * index, random.chance(80) ? inPlayground(random) : anyValue(random));
    const next = BigInt(random.chance(80) ? index + 1 : random.below(300));
    store(at + 16 * index + 8, bytes | (flags << 32n) | (next << 48n));
  }
  const ahead = BigInt(random.pick([1, 1, 2, 16, 255, 0x8000]));
  store(at + 0x1000, (ahead << 16n) | (BigInt(random.below(4)) << 32n));
  put(a, base, 0x44, 1);
  put(a, base, 0x50, queue);
  if (random.chance(30)) put(a, base, 0x70, random.pick([0, 15, 64]));
}

const MACHINE_CSRS = [
  ...["mstatus", "mie", "mip", "medeleg", "mideleg", "menvcfg", "mcounteren", "satp", "pmpcfg0"],
  ...["pmpaddr0", "pmpaddr1", "mscratch", "mcountinhibit", "minstret", "mcycle", "stimecmp"],
] as const;
const SUPERVISOR_CSRS = [
  ...["sstatus", "sie", "sip", "satp", "scounteren", "senvcfg", "stimecmp", "sscratch"],
] as const;

function control({ a, random, mode }: Pen): void {
  for (let count = random.between(1, 4); count > 0; count--) {
    const csr = random.pick(mode === "m" ? MACHINE_CSRS : SUPERVISOR_CSRS);
    a.li("t1", anyValue(random));
    if (csr === "satp" && random.chance(70)) {
      a.li("t1", (BigInt(random.between(8, 10)) << 60n) | (inPlayground(random) >> 12n));
    }
    a.emit(random.pick(["csrrw", "csrrs", "csrrc"]), "t2", csr as "mscratch", "t1");
  }
}

/** An entry of a page table: to the playground, itself, a device, or nonsense. */
function tables({ a, random, mode }: Pen): void {
  const table = PLAYGROUND + random.below(8) * 4096;
  for (let count = random.between(1, 6); count > 0; count--) {
    const to = random.chance(70) ? PLAYGROUND + random.below(64) * 4096 : Number(UART);
    const flags = random.pick([1, 1, 1, 0xcf, 0xdf, 0xc7, 0x0f, 0x17, 0x05]);
    const entry = (BigInt(to / 4096) << 10n) | BigInt(flags);
    a.li("t0", table + random.below(6) * 8);
    a.li("t1", random.chance(90) ? entry : random.u64());
    a.sd("t1", "t0", 0);
  }
  if (mode !== "m") return;
  a.li("t1", (BigInt(random.between(8, 10)) << 60n) | BigInt(table / 4096));
  a.csrw("satp", "t1");
  a.li("t1", 0x20800);
  a.csrs("mstatus", "t1");
  for (let count = random.between(1, 4); count > 0; count--) {
    a.li("t0", random.chance(70) ? random.below(6) * 4096 : random.pick(WILD));
    a.emit(random.pick(["ld", "lb"]), "t2", "t0", 0);
    a.emit(random.pick(STORES), "t2", "t0", 0);
  }
}

const NAMES = Object.keys(INSTRUCTIONS).length;

/** Writes code somewhere, often where another hart runs, and jumps there. */
function code({ a, random }: Pen): void {
  const at = CODE + random.below(64) * random.pick([2, 4, 64]);
  for (let count = random.between(1, 5); count > 0; count--) {
    const word = random.weighted<() => number>([
      [4, () => encode("addi", "t2", "t2", random.between(-9, 9))],
      [2, () => random.u32()],
      [2, () => random.pick([encode("wfi"), encode("ebreak"), encode("mret"), 0, NAMES])],
      [2, () => encode("jal", "zero", random.between(-8, 8) * 4)],
    ])();
    a.li("t0", at + 4 * count - 4);
    a.li("t1", word);
    a.emit(random.pick(["sw", "sw", "sh"]), "t1", "t0", 0);
  }
  if (random.chance(40)) a.fenceI();
  a.li("t0", at);
  a.la("ra", "wayBack");
  if (random.chance(80)) a.jr("t0");
}

function jump({ a, random, slots }: Pen): void {
  a.li("t0", anyAddress(random, slots));
  a.la("ra", "wayBack");
  a.jr("t0");
}

function wait({ a, random, mode }: Pen): void {
  a.csrr("t1", "time");
  a.addi("t1", "t1", random.between(-5, 500));
  if (mode === "s") a.csrw("stimecmp", "t1");
  else {
    a.slli("t0", "s1", 3);
    a.li("t2", CLINT + 0x4000);
    a.add("t0", "t0", "t2");
    a.sd("t1", "t0", 0);
  }
  a.li("t1", random.chance(80) ? -1 : 0);
  a.csrw(mode === "m" ? "mie" : "sie", "t1");
  if (random.chance(30)) a.csrsi(mode === "m" ? "mstatus" : "sstatus", mode === "m" ? 8 : 2);
  a.wfi();
}

function interrupt({ a, random, mode }: Pen): void {
  a.li("t1", 1);
  a.li("t0", CLINT + 4 * random.below(8));
  if (mode === "m") a.sw("t1", "t0", 0);
  else a.csrsi("sip", 2);
}

/** Another privilege for the rest of the gene; the trap that ends it comes back. */
function descend(pen: Pen): void {
  const { a, random, mode } = pen;
  const inside = a.fresh("inside");
  a.la("t0", inside);
  if (mode === "m") {
    a.csrw("mepc", "t0");
    a.li("t1", 0x1800);
    a.csrc("mstatus", "t1");
    a.li("t1", random.pick([0, 0x800, 0x800]));
    a.csrs("mstatus", "t1");
    a.mret();
  } else {
    a.csrw("sepc", "t0");
    a.csrci("sstatus", 0);
    a.sret();
  }
  a.label(inside);
  if (random.chance(50)) touch(pen);
  a.ecall();
}

function call({ a, random }: Pen): void {
  const extensions = [0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x4442434e, 0x53525354];
  for (const register of ["a0", "a1", "a2", "a3"] as const satisfies readonly Reg[]) {
    a.li(register, anyValue(random));
  }
  if (random.chance(40)) a.li("a0", random.below(9));
  if (random.chance(40)) a.la("a1", "entry");
  a.li("a7", random.chance(95) ? random.pick(extensions) : random.u32());
  a.li("a6", random.below(5));
  a.ecall();
}

function fences({ a, random }: Pen): void {
  for (let count = random.between(1, 20); count > 0; count--) {
    if (random.chance(60)) a.sfenceVma("zero", "zero");
    else a.fenceI();
  }
}

function flood({ a, random }: Pen): void {
  const again = a.fresh("again");
  a.li("t0", UART);
  a.li("t1", random.between(10, 3000));
  a.label(again);
  a.sb("t1", "t0", 0);
  a.addi("t1", "t1", -1);
  a.bnez("t1", again);
}

/** A page after the other is written. */
function eat({ a, random }: Pen): void {
  const again = a.fresh("again");
  a.li("t0", RAM + 0x400000);
  a.li("t1", RAM + 0x400000 + random.between(1, 900) * 4096);
  a.li("t2", 4096);
  a.label(again);
  a.sd("t1", "t0", 0);
  a.add("t0", "t0", "t2");
  a.bltu("t0", "t1", again);
}

function finish({ a, random }: Pen): void {
  a.li("t0", 0x10_0000);
  a.li("t1", random.pick([0x7777, 0x7777, 0x5555, 0x1_3333, 0x1234, 0]));
  if (random.chance(40)) a.emit(random.pick(["sw", "sh", "sd"]), "t1", "t0", 0);
}

function host({ a, random }: Pen): void {
  a.la("t0", "tohost");
  a.li("t1", BigInt.asUintN(64, anyValue(random) << 1n));
  if (random.chance(20)) a.ori("t1", "t1", 1);
  if (random.chance(50)) a.sd("t1", "t0", 0);
}

/** The kinds of genes by name. */
export const GENES: readonly (readonly [
  name: string,
  weight: number,
  write: (pen: Pen) => void,
])[] = [
  ["touch", 10, touch],
  ["bring-up", 8, bringUp],
  ["ring", 10, ring],
  ["control", 6, control],
  ["tables", 6, tables],
  ["code", 8, code],
  ["jump", 4, jump],
  ["wait", 3, wait],
  ["interrupt", 3, interrupt],
  ["descend", 5, descend],
  ["call", 8, call],
  ["fences", 3, fences],
  ["flood", 1, flood],
  ["eat", 2, eat],
  ["finish", 1, finish],
  ["host", 1, host],
];

/** A gene by weight. */
export function drawGene(random: Random): Gene {
  const kind = random.weighted(GENES.map(([, weight], index) => [weight, index] as const));
  return [kind, random.u32()];
}

function emitBody(pen: Omit<Pen, "random">, genes: readonly Gene[]): void {
  const { a, mode } = pen;
  const [tvec, epc] = mode === "m" ? (["mtvec", "mepc"] as const) : (["stvec", "sepc"] as const);
  a.label("entry");
  if (mode === "m") a.csrr("s1", "mhartid");
  else a.mv("s1", "a0");
  a.li("s0", PLAYGROUND);
  a.la("t0", "handler");
  a.csrw(tvec, "t0");
  if (mode === "m") {
    a.li("t0", -1);
    a.csrw("pmpaddr0", "t0");
    a.csrwi("pmpcfg0", 0x1f);
    a.csrw("menvcfg", "t0");
    a.csrw("mcounteren", "t0");
  }
  for (const [index, [kind, seed]] of genes.entries()) {
    a.label(`gene${index}`);
    a.la("s11", index + 1 < genes.length ? `gene${index + 1}` : "gene0");
    GENES[kind][2]({ ...pen, random: new Random(seed) });
  }
  a.la("s11", "gene0");
  a.label("wayBack");
  a.jr("s11");
  a.alignCode(4);
  a.label("handler");
  a.csrw(epc, "s11");
  a.li("t6", mode === "m" ? 0x3800 : 0x2100);
  a.csrs(mode === "m" ? "mstatus" : "sstatus", "t6");
  if (mode === "m") {
    a.li("t6", 0x20000);
    a.csrc("mstatus", "t6");
    a.csrw("mie", "zero");
    a.csrw("mideleg", "zero");
    a.csrw("medeleg", "zero");
    a.mret();
  } else {
    a.csrw("sie", "zero");
    a.sret();
  }
  a.align(64);
  a.label("tohost");
  a.space(64);
}

/** The program of a list of genes: an ELF for M-mode, or an Image for S-mode. */
export function writeProgram(genes: readonly Gene[], mode: "m" | "s", slots: number): Uint8Array {
  if (mode === "s") return imageProgram((a) => emitBody({ a, mode, slots }, genes));
  const a = new Assembler({ base: KERNEL });
  emitBody({ a, mode, slots }, genes);
  const { bytes, symbols } = a.assemble();
  return elf64({ entry: KERNEL, segments: [{ address: KERNEL, bytes }], symbols });
}
