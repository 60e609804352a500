/**
 * code: code that is changed while it runs: by itself, under another name, by another hart, by DMA;
 * hot code, code just behind the store, code across two pages. The next fetch executes what memory
 * holds, with or without FENCE.I.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HART_MEDELEG, HART_SATP, MACHINE_TURN } from "../../assembly/layout.ts";
import { type Assembler, encode, type Reg } from "../../src/asm/index.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { makeCore } from "../mmu/core.ts";
import { digestOf, emitEnd, finish, type GuestOptions, makeGuest, RAM } from "./guest.ts";
import { brokenInvariants } from "./invariants.ts";

const test = suite("memory/code");
const core = await makeCore();

/**
 * Runs a program in one piece and in pieces of a few slots; the ends must be the same. Returns a
 * register of hart 0.
 */
function run(build: (a: Assembler) => void, register: number, options?: GuestOptions): number {
  const whole = makeGuest(core, build, options);
  finish(whole);
  assert.equal(brokenInvariants(core, [whole]), []);
  const digest = digestOf(whole);
  const result = Number(whole.harts[0].x(register));
  whole.dispose();
  for (const slice of [1, 2, 7]) {
    const pieces = makeGuest(core, build, options);
    finish(pieces, slice);
    assert.is(digestOf(pieces), digest, `in pieces of ${slice}`);
    pieces.dispose();
  }
  return result;
}

const addi = (register: Reg, value: number) => encode("addi", register, register, value);

/** How a word of code is written. */
type Writer = (a: Assembler, word: Reg, at: Reg) => void;
const WRITERS: readonly [name: string, write: Writer][] = [
  ["sw", (a, word, at) => a.sw(word, at, 0)],
  [
    "two halfwords",
    (a, word, at) => {
      a.sh(word, at, 0);
      a.srli("t3", word, 16);
      a.sh("t3", at, 2);
    },
  ],
  [
    "bytes",
    (a, word, at) => {
      for (let byte = 0; byte < 4; byte++) {
        a.srli("t3", word, byte * 8);
        a.sb("t3", at, byte);
      }
    },
  ],
  ["amoswap.w", (a, word, at) => a.amoswapW("zero", word, at)],
  [
    "sc.w",
    (a, word, at) => {
      a.lrW("t3", at);
      a.scW("t3", word, at);
      a.add("a7", "a7", "t3");
    },
  ],
];

for (const [name, write] of WRITERS) {
  for (const fence of [false, true]) {
    test(`${name}${fence ? " and fence.i" : ""}: the instruction behind the store is the new one`, () => {
      const build = (a: Assembler) => {
        a.li("s1", 50);
        a.li("a0", 0);
        a.la("s2", "patch");
        a.label("again");
        // an odd round adds 1, an even one 100
        a.li("t1", addi("a0", 1));
        a.li("t2", addi("a0", 100));
        a.andi("t4", "s1", 1);
        a.bnez("t4", "odd");
        a.mv("t1", "t2");
        a.label("odd");
        write(a, "t1", "s2");
        if (fence) a.fenceI();
        a.align(4);
        a.label("patch");
        a.addi("a0", "a0", 0);
        a.addi("s1", "s1", -1);
        a.bnez("s1", "again");
        emitEnd(a);
      };
      assert.is(run(build, 10), 25 * 101);
    });
  }
}

test("neighbours that share a turn of the run loop: the first store writes the second instruction", () => {
  // sd, sd; sd, addi; sd, mv: pairs that the decoder joins
  const seconds = [
    encode("sd", "t1", "s2", 0),
    encode("addi", "a1", "a1", 1),
    encode("addi", "a1", "a2", 0),
  ];
  for (const second of seconds) {
    for (const parity of [0, 1]) {
      const build = (a: Assembler) => {
        a.la("s2", "pair");
        a.li("t1", (BigInt(addi("a0", 5)) << 32n) | BigInt(encode("sd", "t1", "s2", 0)));
        a.align(8);
        if (parity === 1) a.u32(0x13, 0x13);
        a.label("pair");
        a.sd("t1", "s2", 0);
        a.u32(second >>> 0);
        emitEnd(a);
      };
      assert.is(run(build, 10), 5);
    }
  }
});

/** A subroutine that is hot before it is changed; `place` says where it goes. */
function hotPatch(place: (a: Assembler) => void, change: (a: Assembler) => void) {
  return (a: Assembler) => {
    a.li("a0", 0);
    a.la("s2", "patch");
    a.li("s4", 3);
    a.label("outer");
    a.li("s1", 300);
    a.label("again");
    a.call("patch");
    a.addi("s1", "s1", -1);
    a.bnez("s1", "again");
    change(a);
    a.addi("s4", "s4", -1);
    a.bnez("s4", "outer");
    emitEnd(a);
    place(a);
    a.label("patch");
    a.addi("a0", "a0", 1);
    a.ret();
  };
}

const grow = (a: Assembler) => {
  // the immediate doubles: 1, 2, 4
  a.lw("t1", "s2", 0);
  a.srli("t2", "t1", 20);
  a.slli("t2", "t2", 20);
  a.add("t1", "t1", "t2");
  a.sw("t1", "s2", 0);
};

test("hot code in the same page", () => {
  assert.is(
    run(
      hotPatch((a) => a.align(4), grow),
      10,
    ),
    300 * 7,
  );
});

test("hot code in another page", () => {
  assert.is(
    run(
      hotPatch((a) => a.padTo(RAM + 0x3000), grow),
      10,
    ),
    300 * 7,
  );
});

test("hot code across two pages: its second half is changed", () => {
  // the upper halfword, in the second page, holds the immediate
  const upper = (a: Assembler) => {
    a.lhu("t1", "s2", 2);
    a.andi("t2", "t1", -16);
    a.add("t1", "t1", "t2");
    a.sh("t1", "s2", 2);
  };
  const place = (a: Assembler) => a.padTo(RAM + 0x2ffe);
  assert.is(run(hotPatch(place, upper), 10), 300 * 7);
  assert.is(run(hotPatch(place, grow), 10), 300 * 7, "by a store across both");
});

test("a 32-bit instruction becomes two of 16 bits, and back", () => {
  const build = (a: Assembler) => {
    a.li("a0", 0);
    a.la("s2", "patch");
    a.li("t1", addi("a0", 100));
    a.li("t2", (encode("cAddi", "a0", 2) << 16) | encode("cAddi", "a0", 1));
    a.li("s1", 40);
    a.label("again");
    a.mv("t3", "t1");
    a.mv("t1", "t2");
    a.mv("t2", "t3");
    a.sw("t1", "s2", 0);
    a.align(4);
    a.label("patch");
    a.nop();
    a.addi("s1", "s1", -1);
    a.bnez("s1", "again");
    emitEnd(a);
  };
  assert.is(run(build, 10), 20 * 103);
});

test("a jump into the middle of an instruction, before and after it is changed", () => {
  const build = (a: Assembler) => {
    a.li("a0", 0);
    a.la("s2", "patch");
    a.li("s1", 20);
    a.label("again");
    a.call("patch");
    a.jalr("ra", "s2", 2);
    a.addi("s1", "s1", -1);
    a.bnez("s1", "again");
    a.li("t1", encode("cAddi", "a0", 9));
    a.beqz("s3", "change");
    emitEnd(a);
    a.label("change");
    a.sh("t1", "s2", 2);
    a.li("s3", 1);
    a.li("s1", 20);
    a.j("again");
    a.align(4);
    a.label("patch");
    // lui s5 with a c.addi a0, 3 in its upper half; then that alone
    a.u32(((encode("cAddi", "a0", 3) << 16) | (21 << 7) | 0x37) >>> 0);
    a.ret();
  };
  assert.is(run(build, 10), 20 * 3 + 20 * 9);
});

test("a page that the hart writes, runs and writes again, with what it wrote by still cached", () => {
  const build = (a: Assembler) => {
    a.li("a0", 0);
    a.li("s2", RAM + 0x4000);
    a.li("t1", addi("a0", 1));
    a.li("t2", encode("jalr", "zero", "ra", 0));
    a.li("s1", 30);
    a.label("again");
    a.sw("t1", "s2", 0);
    a.sw("t2", "s2", 4);
    a.jalr("ra", "s2");
    // the same page by the same name, at once
    a.lui("t3", 0x100);
    a.add("t1", "t1", "t3");
    a.sw("t1", "s2", 0);
    a.jalr("ra", "s2");
    a.addi("s1", "s1", -1);
    a.bnez("s1", "again");
    emitEnd(a);
  };
  // 1, 2, 2, 3, 3 ... 30, 30, 31
  assert.is(run(build, 10), 30 * 31 + 30);
});

test("cbo.zero over decoded code: what was there is illegal now", () => {
  const build = (a: Assembler) => {
    a.la("t0", "trap");
    a.csrw("mtvec", "t0");
    a.la("s2", "patch");
    a.call("patch");
    a.call("patch");
    a.cboZero("s2");
    a.call("patch");
    emitEnd(a);
    a.align(4);
    a.label("trap");
    a.csrr("a1", "mcause");
    a.slli("a0", "a0", 4);
    a.or("a0", "a0", "a1");
    a.csrw("mepc", "ra");
    a.mret();
    a.padTo(RAM + 0x1000);
    a.label("patch");
    a.addi("a0", "a0", 1);
    a.ret();
  };
  assert.is(run(build, 10), 0x22);
});

test("another hart changes code that this hart runs, in the same page and across pages", () => {
  for (const at of [RAM + 0x1000, RAM + 0x1ffe]) {
    for (const quantum of [1, 3, 50, 1000]) {
      const build = (a: Assembler) => {
        a.csrr("t0", "mhartid");
        a.la("s2", "patch");
        a.bnez("t0", "writer");
        a.label("again");
        a.call("patch");
        a.beqz("a0", "again");
        emitEnd(a);
        a.label("writer");
        a.li("s1", 400);
        a.label("delay");
        a.addi("s1", "s1", -1);
        a.bnez("s1", "delay");
        a.lhu("t1", "s2", 2);
        a.li("t2", 0x0010);
        a.or("t1", "t1", "t2");
        a.sh("t1", "s2", 2);
        a.label("rest");
        a.j("rest");
        a.padTo(at);
        a.label("patch");
        a.addi("a0", "a0", 0);
        a.ret();
      };
      assert.is(run(build, 10, { harts: 2, quantum }), 1);
    }
  }
});

test("DMA into running code: the next instruction fetched is the new one", () => {
  for (const at of [RAM + 0x40, RAM + 0x1000, RAM + 0x1ffe]) {
    const machine = makeGuest(core, (a) => {
      a.la("s2", "patch");
      a.label("again");
      a.call("patch");
      a.j("again");
      a.padTo(at);
      a.label("patch");
      a.addi("a0", "a0", 1);
      a.ret();
    });
    const calls = () => machine.harts[0].x(10);
    for (let round = 1; round <= 20; round++) {
      machine.run(500 + round);
      const word = new Uint8Array(4);
      new DataView(word.buffer).setUint32(0, addi("a0", round), true);
      // both doors: a whole page's write and, where it crosses, one page after the other
      assert.ok(machine.memory.write(at, word));
      const before = calls();
      while (machine.harts[0].pc !== BigInt(at)) machine.run(1);
      machine.run(1);
      assert.is(calls() - before, BigInt(round));
    }
    assert.equal(brokenInvariants(core, [machine]), []);
    machine.dispose();
  }
});

test("code under two names: a store to one changes the other, and a remapped page is other code", () => {
  const machine = aliasMachine();
  const hart = machine.harts[0];
  const at = (va: bigint) => {
    hart.pc = va;
    hart.setX(10, 0n);
    machine.run(1);
    return hart.x(10);
  };
  const store = (va: bigint, word: number) => {
    // the store is at the start of RAM: sw a2, 0(a1)
    hart.pc = BigInt(RAM);
    hart.setX(11, va);
    hart.setX(12, BigInt(word));
    machine.run(1);
  };
  const [one, other] = [0x4000_0000n, 0x4010_0000n];
  for (let round = 1; round < 30; round++) {
    assert.is(at(one), at(other));
    store(round % 2 === 0 ? one : other, addi("a0", round));
    assert.is(at(one), BigInt(round));
    assert.is(at(other), BigInt(round));
  }
  // the entry for `other` leads to the page behind from now on
  hart.pc = BigInt(RAM) + 4n;
  hart.setX(11, 0x8004_2000n + 0x100n * 8n);
  hart.setX(12, ((0x8003_1000n >> 12n) << 10n) | 0xcfn);
  machine.run(1);
  assert.is(at(other), 77n);
  assert.is(at(one), 29n);
  assert.equal(brokenInvariants(core, [machine]), []);
  machine.dispose();
});

/**
 * S-mode, Sv39: RAM at its own address, and two names for a page of code at +0x30000; the page
 * behind adds 77.
 */
function aliasMachine(): MachineView {
  const machine = makeGuest(core, (a) => {
    a.sw("a2", "a1", 0);
    a.sd("a2", "a1", 0);
    a.padTo(RAM + 0x30000);
    a.u32(addi("a0", 1));
    a.padTo(RAM + 0x31000);
    a.u32(addi("a0", 77));
  });
  const entry = (physical: number, flags: number) => (BigInt(physical) >> 2n) | BigInt(flags);
  const put = (address: number, value: bigint) => machine.memory.writeU64(address, value);
  put(RAM + 0x40000 + 2 * 8, entry(RAM, 0xcf));
  put(RAM + 0x40000 + 8, entry(RAM + 0x41000, 1));
  put(RAM + 0x41000, entry(RAM + 0x42000, 1));
  put(RAM + 0x42000, entry(RAM + 0x30000, 0xcf));
  put(RAM + 0x42000 + 0x100 * 8, entry(RAM + 0x30000, 0xcf));
  const hart = machine.harts[0];
  hart.privilege = 1;
  hart.set64(HART_SATP, (8n << 60n) | BigInt((RAM + 0x40000) / 4096));
  hart.set64(HART_MEDELEG, 0n);
  machine.set32(MACHINE_TURN, 0);
  machine.sync();
  return machine;
}

test.run();
