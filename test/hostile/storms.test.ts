/**
 * storms: guests that do one costly thing without end: resets, traps, waits, timers, fences, page
 * tables, memory, SBI and HTIF calls with wild arguments. Each ends by its budget or by a typed
 * result, and the neighbour does not notice.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EXIT_BUDGET } from "../../assembly/layout.ts";
import type { Assembler, Reg } from "../../src/asm/index.ts";
import type { MachineConfig, RunResult } from "../../src/node.ts";
import {
  elfProgram,
  emitHang,
  FINISHER,
  imageProgram,
  KERNEL,
  RAM,
  smallHost,
  UART,
} from "../helpers/guest-program.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { besiege } from "./yard.ts";

const test = suite("hostile/storms");
const SEED = seedOf(20_261_125);
const CLINT = 0x200_0000;

interface Storm {
  readonly config: MachineConfig;
  readonly instructions?: number;
  readonly accepted: readonly RunResult["kind"][];
}

const elf = (build: (a: Assembler) => void, more: MachineConfig = {}): MachineConfig => ({
  kernel: elfProgram(build),
  ...more,
});
const image = (build: (a: Assembler) => void, more: MachineConfig = {}): MachineConfig => ({
  kernel: imageProgram(build),
  memoryBytes: "8M",
  ...more,
});

/** A loop around `body`. */
const forever =
  (body: (a: Assembler) => void, before: (a: Assembler) => void = () => {}) =>
  (a: Assembler): void => {
    before(a);
    a.label("forever");
    body(a);
    a.j("forever");
  };

/** Traps are stepped over. */
function emitStepOver(a: Assembler): void {
  a.la("t0", "stepOver");
  a.csrw("mtvec", "t0");
  a.j("behind");
  a.alignCode(4);
  a.label("stepOver");
  a.csrr("t6", "mepc");
  a.addi("t6", "t6", 4);
  a.csrw("mepc", "t6");
  a.mret();
  a.label("behind");
}

/** Takes every interrupt, and comes back to where it was. */
function emitTakeAll(a: Assembler, mie: number): void {
  a.la("t0", "taken");
  a.csrw("mtvec", "t0");
  a.li("t0", mie);
  a.csrw("mie", "t0");
  a.csrsi("mstatus", 8);
  a.j("behind");
  a.alignCode(4);
  a.label("taken");
  a.mret();
  a.label("behind");
}

function emitStore(a: Assembler, address: number, value: number | bigint): void {
  a.li("t0", address);
  a.li("t1", value);
  a.sd("t1", "t0", 0);
}

const reset = (value: number) => (a: Assembler) => {
  a.li("t0", FINISHER);
  a.li("t1", value);
  a.sw("t1", "t0", 0);
};

/** Page tables are built, used and thrown away: each round maps a page of its own. */
function emitTableChurn(a: Assembler): void {
  const tables = RAM + 0x10000;
  a.li("s0", tables);
  // root → middle → leaf, and the leaf's entry 0 changes with every round
  for (const [at, to] of [
    [tables, tables + 0x1000],
    [tables + 0x1000, tables + 0x2000],
  ] as const) {
    emitStore(a, at, BigInt(to / 4096) * 1024n + 1n);
  }
  a.li("s1", (8n << 60n) | BigInt(tables / 4096));
  a.li("t0", -1);
  a.csrw("pmpaddr0", "t0");
  a.csrwi("pmpcfg0", 0x1f);
  a.li("t0", 0x20800);
  a.csrs("mstatus", "t0"); // loads and stores as S-mode does
  a.csrw("satp", "s1");
  a.li("s2", RAM / 4096 + 0x40);
}

function emitChurn(a: Assembler): void {
  a.slli("t0", "s2", 10);
  a.addi("t0", "t0", 0xc7);
  a.li("t1", 0x20800);
  a.csrc("mstatus", "t1");
  a.li("t2", RAM + 0x12000);
  a.sd("t0", "t2", 0);
  a.csrs("mstatus", "t1");
  a.sfenceVma("zero", "zero");
  a.sd("s2", "zero", 0);
  a.addi("s2", "s2", 1);
  a.li("t1", RAM / 4096 + 0x1f0);
  a.bltu("s2", "t1", "forever");
  a.li("s2", RAM / 4096 + 0x40);
  a.csrw("satp", "s1");
}

const STORMS: Record<string, Storm> = {
  "a reset as the first thing": {
    config: elf(reset(0x7777)),
    ...{ instructions: 1500, accepted: ["budget"] },
  },
  "an SBI reset as the first thing": {
    config: image((a) => {
      a.li("a7", 0x53525354);
      a.li("a6", 0);
      a.li("a0", 1);
      a.li("a1", 0);
      a.ecall();
    }),
    ...{ instructions: 1500, accepted: ["budget"] },
  },
  "memory filled, then a reset": {
    config: elf(
      (a) => {
        a.li("t0", RAM + 0x2000);
        a.li("t1", RAM + (8 << 20));
        a.li("t2", 4096);
        a.label("fill");
        a.sd("t0", "t0", 0);
        a.add("t0", "t0", "t2");
        a.bltu("t0", "t1", "fill");
        reset(0x7777)(a);
        emitHang(a);
      },
      { memoryBytes: "8M" },
    ),
    ...{ instructions: 400_000, accepted: ["budget"] },
  },
  "a trap handler outside RAM": {
    config: elf((a) => {
      a.csrw("mtvec", "zero");
      a.ecall();
    }),
    accepted: ["trap-loop"],
  },
  "a trap handler that traps": {
    config: elf((a) => {
      a.la("t0", "here");
      a.csrw("mtvec", "t0");
      a.alignCode(4);
      a.label("here");
      a.ecall();
    }),
    accepted: ["trap-loop"],
  },
  "traps without end that step on": {
    config: elf(forever((a) => a.ecall(), emitStepOver)),
    ...{ instructions: 2_000_000, accepted: ["budget"] },
  },
  "waits that end at once": {
    config: elf(
      forever(
        (a) => a.wfi(),
        (a) => {
          emitStore(a, CLINT + 0x4000, 0);
          a.li("t0", 0x80);
          a.csrw("mie", "t0");
        },
      ),
    ),
    accepted: ["budget"],
  },
  "waits for the next tick, on eight harts": {
    config: elf(
      forever(
        (a) => {
          a.csrr("t0", "time");
          a.addi("t0", "t0", 1);
          a.sd("t0", "s0", 0);
          a.wfi();
        },
        (a) => {
          a.csrr("s0", "mhartid");
          a.slli("s0", "s0", 3);
          a.li("t0", CLINT + 0x4000);
          a.add("s0", "s0", "t0");
          a.li("t0", 0x80);
          a.csrw("mie", "t0");
        },
      ),
      { harts: 8, quantum: 32 },
    ),
    accepted: ["budget"],
  },
  "a timer that is always due": {
    config: elf(
      forever(
        (a) => a.addi("t0", "t0", 1),
        (a) => {
          emitStore(a, CLINT + 0x4000, 0);
          emitTakeAll(a, 0x80);
        },
      ),
    ),
    accepted: ["budget", "trap-loop"],
  },
  "a software interrupt that is never taken back": {
    config: elf(
      forever(
        (a) => a.nop(),
        (a) => {
          emitStore(a, CLINT, 1);
          emitTakeAll(a, 8);
        },
      ),
      { harts: 4 },
    ),
    accepted: ["budget", "trap-loop"],
  },
  "fences without end": {
    config: elf(
      forever((a) => {
        for (let count = 0; count < 16; count++) a.sfenceVma("zero", "zero");
        a.fenceI();
      }),
    ),
    accepted: ["budget"],
  },
  "satp written without end": {
    config: elf(
      forever((a) => {
        a.csrw("satp", "t0");
        a.csrw("pmpaddr3", "t1");
        a.addi("t1", "t1", 1);
      }),
      { harts: 8 },
    ),
    ...{ instructions: 300_000, accepted: ["budget"] },
  },
  "page tables churned": {
    config: elf(forever(emitChurn, emitTableChurn)),
    ...{ instructions: 1_000_000, accepted: ["budget"] },
  },
  "an interrupt controller reprogrammed without end": {
    config: elf(
      forever(
        (a) => {
          a.sw("t1", "t0", 40);
          a.sw("t1", "s0", 0);
          a.sw("t1", "s1", 0);
          a.lw("t2", "s1", 4);
          a.sw("t2", "s1", 4);
          a.addi("t1", "t1", 1);
        },
        (a) => {
          a.li("t0", 0xc00_0000);
          a.li("s0", 0xc00_2000);
          a.li("s1", 0xc20_0000);
        },
      ),
      { harts: 8 },
    ),
    ...{ instructions: 1_000_000, accepted: ["budget"] },
  },
  "the port printing without end": {
    config: elf(
      forever(
        (a) => a.sb("t0", "t0", 0),
        (a) => a.li("t0", UART),
      ),
    ),
    ...{ instructions: 1_000_000, accepted: ["budget"] },
  },
};

for (const [what, { config, instructions, accepted }] of Object.entries(STORMS)) {
  test(`${what}: bounded, and said`, async () => {
    await besiege({
      ...{ ...config, instructions: instructions ?? 3_000_000, accepted },
      inspect: ({ machine }) => {
        const { framesUsed } = machine.stats();
        const most = machine.config.ramPages + machine.config.ramPages / 512 + 2;
        assert.ok(framesUsed <= most, `${framesUsed} frames`);
      },
    });
  });
}

test("a machine that takes all memory waits alone; the others run to their ends", async () => {
  const eat = (a: Assembler) => {
    a.li("t0", RAM + 0x1000);
    a.li("t1", RAM + (60 << 20));
    a.li("t2", 4096);
    a.label("eat");
    a.sd("t0", "t0", 0);
    a.add("t0", "t0", "t2");
    a.bltu("t0", "t1", "eat");
    emitHang(a);
  };
  let reasons = "";
  await besiege({
    ...{ kernel: elfProgram(eat), memoryBytes: "20M", arenaBytes: 24 << 20 },
    ...{ instructions: 50_000_000, accepted: ["stopped"] },
    during: async (machine) => {
      machine.on("state", ({ to, reason }) => (reasons += `${to} ${reason};`));
      for (let turn = 0; turn < 100_000 && machine.reason !== "memory"; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      machine.stop();
    },
  });
  assert.match(reasons, /paused memory/);
});

/** Instructions that cost a hundred times what others do, each alone in a loop. */
const COSTLY: Record<string, (a: Assembler) => void> = {
  "reads of the time": forever((a) => a.csrr("t0", "time")),
  "atomic operations": forever(
    (a) => a.amoaddD("t1", "t1", "t0"),
    (a) => a.li("t0", RAM + 0x10000),
  ),
  "stores across pages": forever(
    (a) => a.sd("t1", "t0", -4),
    (a) => a.li("t0", RAM + 0x10000),
  ),
  "writes of satp": forever((a) => a.csrw("satp", "t0")),
  "stores into the code that runs": forever(
    (a) => a.sw("t1", "t0", 0),
    (a) => {
      a.la("t0", "forever");
      a.lw("t1", "t0", 0);
    },
  ),
};

for (const [what, build] of Object.entries(COSTLY)) {
  test(`${what} make a slice shorter`, async () => {
    const host = await smallHost();
    const machine = host.createMachine({ kernel: elfProgram(build), memoryBytes: "2M" });
    await machine.boot();
    await machine.run(1000);
    const before = machine.view.slots;
    assert.is(machine.view.run(1_000_000), EXIT_BUDGET);
    const slots = machine.view.slots - before;
    assert.ok(slots < 100_000, `${slots} slots at a time`);
    host.dispose();
  });
}

// ---- SBI and HTIF ----

/** Numbers that hurt: nothing, one, all ones, edges of RAM, of words and of the address space. */
const WILD: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 7n, 8n, 63n, 64n, 255n, 4096n, 0x7fff_ffffn, 0x8000_0000n],
  ...[0xffff_ffffn, 0x1_0000_0000n, 1n << 52n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n],
  ...[0xffff_ffff_ffff_f000n, 0xffff_ffff_ffff_fff8n, (1n << 64n) - 2n, (1n << 64n) - 1n],
  ...[BigInt(KERNEL), BigInt(KERNEL + 1), BigInt(RAM - 1), BigInt(RAM + (8 << 20) - 4)],
  ...[BigInt(RAM + (8 << 20)), BigInt(RAM + 0x400000), BigInt(UART), 0x5555n],
];
const EXTENSIONS = [0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x53525354, 0x4442434e];

function emitWildCalls(a: Assembler, random: Random, calls: number): void {
  a.la("t0", "away");
  a.csrw("stvec", "t0");
  a.mv("s1", "a0");
  for (let call = 0; call < calls; call++) {
    const extension = random.chance(95) ? random.pick(EXTENSIONS) : random.u32();
    for (const register of ["a0", "a1", "a2", "a3", "a4", "a5"] as const satisfies Reg[]) {
      a.li(register, random.pick(WILD));
    }
    // a reset of a valid kind, and a hart that stops itself, are for the end
    let number = random.below(6);
    if (extension === 0x48534d && (number === 1 || random.chance(80))) number = 2;
    a.csrwi("stimecmp", 0); // ends a suspension
    a.csrwi("sie", 0);
    a.li("t0", 0x20);
    a.csrw("sie", "t0");
    if (extension === 0x53525354) a.li("a0", 5n + random.u64() / 2n);
    if (extension === 0x48534d && random.chance(40)) {
      a.li("a0", random.below(5));
      a.la("a1", "begun");
    }
    a.li("a7", extension);
    a.li("a6", random.chance(90) ? number : random.pick(WILD));
    a.ecall();
  }
  a.label("stop");
  a.li("a7", 0x48534d);
  a.li("a6", 1);
  a.ecall();
  a.label("begun"); // a hart that was started rings about and stops
  for (let ring = 0; ring < 4; ring++) {
    a.li("a0", -1);
    a.li("a1", -1);
    a.li("a7", 0x735049);
    a.li("a6", 0);
    a.ecall();
  }
  a.j("stop");
  a.alignCode(4);
  a.label("away");
  a.csrr("t0", "sepc");
  a.addi("t0", "t0", 4);
  a.csrw("sepc", "t0");
  a.sret();
}

let wildCalls = 0;
for (let round = 0; round < 8; round++) {
  test(`SBI calls with wild arguments, ${round}`, async () => {
    const random = new Random(SEED + round);
    const kernel = imageProgram((a) => emitWildCalls(a, random, 2000));
    await besiege({
      ...{ kernel, harts: 4, memoryBytes: "8M", instructions: 2_000_000 },
      accepted: ["idle", "budget", "trap-loop"],
      inspect: ({ machine }) => {
        wildCalls += machine.stats().exits.sbi;
      },
    });
  });
}

test("the calls were made", () => assert.ok(wildCalls > 8000, `SEED=${SEED}: ${wildCalls} calls`));

test("harts started, stopped and woken without end", async () => {
  await besiege({
    ...{ memoryBytes: "8M", harts: 8, instructions: 400_000, accepted: ["budget"] },
    kernel: imageProgram((a) => {
      a.label("start");
      for (let hart = 1; hart < 8; hart++) {
        a.li("a0", hart);
        a.la("a1", "other");
        a.li("a7", 0x48534d);
        a.li("a6", 0);
        a.ecall();
      }
      a.j("start");
      a.label("other");
      a.li("a7", 0x48534d);
      a.li("a6", 1);
      a.ecall();
    }),
  });
});

for (const [where, fromhost] of [
  ["in RAM", null],
  ["outside RAM", 0x1000],
  ["at the end of the address space", (1n << 64n) - 8n],
  ["over tohost", "tohost"],
] as const) {
  test(`wild HTIF commands, fromhost ${where}`, async () => {
    const random = new Random(SEED);
    const kernel = elfProgram((a) => {
      a.la("s0", "tohost");
      a.la("s1", "words");
      for (let command = 0; command < 1500; command++) {
        for (let word = 0; word < 4; word++) {
          const likely = word === 0 ? 64 : word === 1 ? 1 : null;
          a.li("t0", likely !== null && random.chance(70) ? likely : random.pick(WILD));
          a.sd("t0", "s1", 8 * word);
        }
        const device = random.chance(60) ? 0 : random.below(4);
        a.li("t0", (BigInt(device) << 56n) | (BigInt(random.below(3)) << 48n));
        const kind = random.below(3);
        if (kind === 0) a.add("t0", "t0", "s1");
        else {
          a.li("t1", (random.pick(WILD) & 0xffff_ffff_fffen) >> BigInt(kind));
          a.andi("t1", "t1", -2);
          a.or("t0", "t0", "t1");
        }
        a.sd("t0", "s0", 0);
      }
      a.li("t0", 0x2b);
      a.sd("t0", "s0", 0);
      emitHang(a);
      a.align(64);
      a.label("tohost");
      if (fromhost === "tohost") a.label("fromhost");
      a.space(8);
      if (fromhost === null) a.label("fromhost");
      else if (typeof fromhost !== "string") a.define("fromhost", fromhost);
      a.space(8);
      a.label("words");
      a.space(64);
    });
    await besiege({
      ...{ kernel, htif: true, instructions: 300_000, accepted: ["htif", "budget"] },
      inspect: ({ result }) => {
        if (fromhost !== "tohost") assert.equal(result, { kind: "htif", code: 0x15 });
      },
    });
  });
}

test.run();
