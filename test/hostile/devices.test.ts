/**
 * devices: random values to every register of every device for 10^8 instructions, from four harts
 * at once; and the same with the finisher, whose end must be said each time.
 *
 * SEED=... reruns one; INSTRUCTIONS=... makes it longer or shorter.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler, Reg } from "../../src/asm/index.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { elfProgram } from "../helpers/guest-program.ts";
import { seedOf } from "../helpers/random.ts";
import { slotBase } from "./rings.ts";
import { besiege } from "./yard.ts";

const test = suite("hostile/devices");
const SEED = seedOf(20_261_124);
const INSTRUCTIONS = Number(process.env["INSTRUCTIONS"] ?? 100_000_000);
const PLAYGROUND = 0x8010_0000;
const FINISHER = 0x10_0000;

/** What is poked: where it begins and which bits of an offset count. */
const TARGETS: readonly (readonly [base: number, mask: number])[] = [
  [slotBase(0), 0x1ff],
  [slotBase(0), 0x7f],
  [slotBase(1), 0xff],
  [slotBase(3), 0xff],
  [slotBase(2), 0x1ff],
  [slotBase(2), 0x7f],
  [0x0c00_0000, 0x3fff],
  [0x0c20_0000, 0xffff],
  [0x1000_0000, 0x1f],
  [0x10_1000, 0x1f],
  [0x200_0000, 0xffff],
  [0x200_4000, 0x1f],
  [PLAYGROUND, 0xffff],
  [PLAYGROUND, 0x7fff],
  [0x10_2000, 0x1f],
  [slotBase(4), 0xf_ffff], // slots without a device, and what lies behind them
];

/** s0 = the next number of the hart's stream (xorshift). */
function emitDraw(a: Assembler): void {
  for (const [shift, amount] of [
    ["slli", 13],
    ["srli", 7],
    ["slli", 17],
  ] as const) {
    a.emit(shift, "t0", "s0", amount);
    a.xor("s0", "s0", "t0");
  }
}

/** t3 = a value of one of four kinds: any, a byte, an address of the playground, small. */
function emitValue(a: Assembler): void {
  const [kinds, end] = [a.fresh("kinds"), a.fresh("end")];
  a.srli("t3", "s0", 5);
  a.srli("t0", "s0", 50);
  a.andi("t0", "t0", 3);
  a.slli("t0", "t0", 4);
  a.la("t1", kinds);
  a.add("t1", "t1", "t0");
  a.jr("t1");
  a.alignCode(16);
  a.label(kinds);
  a.j(end);
  a.alignCode(16);
  a.andi("t3", "t3", 255);
  a.j(end);
  a.alignCode(16);
  a.and("t3", "t3", "s7");
  a.add("t3", "t3", "s6");
  a.j(end);
  a.alignCode(16);
  a.andi("t3", "t3", 15);
  a.label(end);
}

/** A virtio device is made live, its queues somewhere in the playground. */
function emitBringUp(a: Assembler, slot: number, queues: number): void {
  a.li("t4", slotBase(slot));
  const put = (offset: number, value: number | Reg) => {
    if (typeof value === "number") a.li("t0", value);
    a.sw(typeof value === "number" ? "t0" : value, "t4", offset);
  };
  for (const status of [0, 1, 3]) put(0x70, status);
  put(0x24, 1);
  put(0x20, 1);
  put(0x24, 0);
  put(0x20, slot >= 2 ? 0x3000_0002 : 0x3000_0000);
  put(0x70, 11);
  for (let queue = 0; queue < queues; queue++) {
    put(0x30, queue);
    put(0x38, 2 ** (queue + 2));
    for (const offset of [0x80, 0x90, 0xa0]) {
      emitDraw(a);
      a.and("t3", "s0", "s7");
      a.add("t3", "t3", "s6");
      put(offset, "t3");
    }
    put(0x44, 1);
  }
  put(0x70, 15);
}

/** One access: somewhere in one of TARGETS, mostly aligned, of one of eight kinds. */
function emitPoke(a: Assembler): void {
  emitDraw(a);
  a.srli("t0", "s0", 8);
  a.andi("t0", "t0", 15);
  a.slli("t0", "t0", 4);
  a.add("t0", "t0", "s2");
  a.ld("t1", "t0", 0);
  a.ld("t2", "t0", 8);
  a.srli("t4", "s0", 20);
  a.and("t4", "t4", "t2");
  a.slli("t0", "s0", 3);
  a.bltz("t0", "crooked");
  a.andi("t4", "t4", -4);
  a.label("crooked");
  a.add("t4", "t4", "t1");
  emitValue(a);
  a.srli("t0", "s0", 3);
  a.andi("t0", "t0", 7);
  a.slli("t0", "t0", 3);
  a.la("t1", "accesses");
  a.add("t1", "t1", "t0");
  a.jr("t1");
  a.alignCode(8);
  a.label("accesses");
  const accesses = [
    ...[() => a.sb("t3", "t4", 0), () => a.sh("t3", "t4", 0), () => a.sw("t3", "t4", 0)],
    ...[() => a.sd("t3", "t4", 0), () => a.lb("t3", "t4", 0), () => a.lw("t3", "t4", 0)],
    ...[() => a.ld("t3", "t4", 0), () => a.sw("t3", "t4", 0)],
  ];
  for (const access of accesses) {
    access();
    a.j("poked");
  }
  a.label("poked");
}

/** The poker; with `target` it pokes that place too, now and then. */
function poker(seed: number, target: number | null): Uint8Array {
  return elfProgram((a) => {
    a.la("t0", "handler");
    a.csrw("mtvec", "t0");
    a.csrr("s1", "mhartid");
    a.li("s0", (BigInt(seed) << 20n) ^ 0x5_1234_5671n); // another start for every seed
    a.addi("t0", "s1", 1);
    a.mul("s0", "s0", "t0");
    a.la("s2", "targets");
    a.li("s6", PLAYGROUND);
    a.li("s7", 0xfff8);
    a.label("bringUp");
    emitBringUp(a, 0, 1);
    emitBringUp(a, 1, 1);
    emitBringUp(a, 2, 4);
    emitBringUp(a, 3, 4);
    a.li("s3", 300);
    a.label("poke");
    emitPoke(a);
    a.addi("s3", "s3", -1);
    a.bnez("s3", "poke");
    a.csrw("mie", "s0");
    if (target !== null) emitLastPoke(a, target);
    a.j("bringUp");
    a.alignCode(4);
    a.label("handler");
    a.csrw("mscratch", "t0");
    a.csrw("mie", "zero");
    a.csrr("t0", "mcause");
    a.bltz("t0", "back");
    a.csrr("t0", "mepc");
    a.addi("t0", "t0", 4);
    a.csrw("mepc", "t0");
    a.label("back");
    a.csrr("t0", "mscratch");
    a.mret();
    a.align(16);
    a.label("targets");
    for (const [base, mask] of TARGETS) a.u64(base, mask);
  });
}

/** One value in eight goes to the finisher. */
function emitLastPoke(a: Assembler, target: number): void {
  a.srli("t0", "s0", 30);
  a.andi("t0", "t0", 7);
  a.bnez("t0", "bringUp");
  a.la("t0", "endings");
  a.srli("t1", "s0", 33);
  a.andi("t1", "t1", 12);
  a.add("t0", "t0", "t1");
  a.lw("t1", "t0", 0);
  a.li("t0", target);
  a.sw("t1", "t0", 0);
  a.j("bringUp");
  a.align(4);
  a.label("endings");
  a.u32(0x5555, 0x7777, 0x12343333, 0x1234);
}

test(`${INSTRUCTIONS} instructions of random values to every register, from four harts`, async () => {
  await besiege({
    ...{ kernel: poker(SEED, null), harts: 4, instructions: INSTRUCTIONS, consoleDevice: "virtio" },
    ...{ disks: [new MemoryBackend(new Uint8Array(1 << 16))], agent: true },
    accepted: ["budget"],
    inspect: ({ machine, workMax }) => {
      const { exits, core } = machine.stats();
      const parts = `${exits.mmio} accesses, ${core.traps} traps, ${exits.alarm} alarms`;
      console.log(`SEED=${SEED}: ${parts}, at most ${workMax} of work in a slice`);
      assert.ok(exits.mmio > INSTRUCTIONS / 100, `${exits.mmio} accesses`);
    },
  });
});

test("random values to the finisher too: each end is said", async () => {
  const kinds = new Map<string, number>();
  for (let round = 0; round < 40; round++) {
    await besiege({
      ...{ kernel: poker(SEED + round, FINISHER), harts: 2, instructions: 300_000 },
      ...{ noReboot: round % 2 === 0, consoleDevice: "virtio" },
      ...{ disks: [new MemoryBackend(new Uint8Array(1 << 16))], agent: true },
      accepted: ["budget", "poweroff", "failure", "reboot"],
      inspect: ({ result, machine }) => {
        const kind = machine.stats().reboots > 0 ? "rebooted" : result.kind;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        const isEnd = result.kind !== "budget";
        assert.is(machine.state, isEnd ? "terminated" : "running", `SEED=${SEED + round}`);
        if (result.kind === "failure") assert.is(result.code, 0x1234);
      },
    });
  }
  console.log(JSON.stringify([...kinds]));
  for (const kind of ["poweroff", "failure", "reboot", "rebooted"])
    assert.ok(kinds.has(kind), kind);
});

test.run();
