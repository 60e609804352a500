/**
 * Privilege at work: programs that change mode, trap, delegate, get interrupted and meet PMP, with
 * every trap logged. The same image runs here and in QEMU, against one written expectation.
 *
 *   a scenario   M: set-up ─ mret ─► mode under test: steps ─ ecall with a7 = 1 ─► M: read the log
 *   log entry {cause | previous privilege << 8 | VIA_S, value | slot of a vectored handler << 56}
 */
import type { Assembler, Reg } from "../../src/asm/index.ts";
import { type IsaProgram, WINDOW } from "../isa/program.ts";
import { isaSuite } from "../isa/suite.ts";

const U = 0;
const S = 1;
const M = 3;
const INTERRUPT = 1n << 63n;
/** Marks an entry that the S-mode handler wrote. */
const VIA_S = 0x10000n;
const CLINT_MSIP = 0x2000000;
const CLINT_MTIMECMP = 0x2004000;
const COUNTERS = 7;
const TVM_TW_TSR = 0x700000;

const ILLEGAL = {
  mret: 0x30200073,
  sret: 0x10200073,
  wfi: 0x10500073,
  sfenceVma: 0x12000073,
  csrrSatp: 0x18002573,
  csrwSatp: 0x18051073,
  csrrSstatus: 0x10002573,
  csrrMstatus: 0x30002573,
  csrrCycle: 0xc0002573,
  csrrTime: 0xc0102573,
  csrrFcsr: 0x00302573,
  csrwMhartid: 0xf1451073,
  fmvXD: 0xe2000553,
  nothing: 0xffffffff,
};

/** Registers that the log is read into; s8 to s11 and s7 are the handlers' own. */
const READ: readonly Reg[] = [
  ...([
    "a0",
    "a1",
    "a2",
    "a3",
    "a4",
    "a5",
    "a6",
    "a7",
    "t0",
    "t1",
    "t2",
    "t3",
    "t4",
    "t5",
  ] as const),
  ...(["t6", "s4", "s5", "s6", "ra", "gp", "tp", "s7", "s8", "s9"] as const),
];

/**
 * Logs, then: interrupt, disable it; fetch fault, go to ra; ECALL with a7 = 1, leave; else skip.
 */
function machineHandler(a: Assembler): void {
  a.alignCode(256);
  a.label("collect");
  // A vectored entry leaves its return address in s7; entry c returns to 4 * (c + 1).
  for (let cause = 0; cause < 16; cause++) a.jal("s7", "collected");
  a.label("collected");
  a.la("s8", "collect");
  a.sub("s7", "s7", "s8");
  a.srli("s7", "s7", 2);
  a.addi("s7", "s7", -1);
  a.slli("s7", "s7", 56);
  a.csrr("s8", "mstatus");
  a.srli("s8", "s8", 11);
  a.andi("s8", "s8", 3);
  a.slli("s8", "s8", 8);
  a.csrr("s9", "mcause");
  a.add("s8", "s8", "s9");
  a.sd("s8", "s11", 0);
  a.csrr("s8", "mtval");
  a.add("s8", "s8", "s7");
  a.sd("s8", "s11", 8);
  a.addi("s11", "s11", 16);
  a.bltz("s9", "collectedInterrupt");
  a.csrr("s8", "mepc");
  a.addi("s8", "s8", 4);
  a.csrw("mepc", "s8");
  a.addi("s8", "s9", -1);
  a.beqz("s8", "collectedFetch");
  a.addi("s8", "s9", -8);
  a.sltiu("s8", "s8", 4);
  a.beqz("s8", "collectedDone");
  a.addi("s8", "a7", -1);
  a.bnez("s8", "collectedDone");
  a.li("s8", 0x1800);
  a.csrs("mstatus", "s8");
  a.csrw("mepc", "s10");
  a.label("collectedDone");
  a.mret();
  a.label("collectedFetch");
  a.csrw("mepc", "ra");
  a.mret();
  a.label("collectedInterrupt");
  a.li("s8", 1);
  a.sll("s8", "s8", "s9");
  a.csrc("mie", "s8");
  a.mret();
}

function supervisorHandler(a: Assembler): void {
  a.alignCode(256);
  a.label("collectS");
  for (let cause = 0; cause < 16; cause++) a.jal("s7", "collectedS");
  a.label("collectedS");
  a.la("s8", "collectS");
  a.sub("s7", "s7", "s8");
  a.srli("s7", "s7", 2);
  a.addi("s7", "s7", -1);
  a.slli("s7", "s7", 56);
  a.csrr("s8", "sstatus");
  a.andi("s8", "s8", 0x100);
  a.csrr("s9", "scause");
  a.add("s8", "s8", "s9");
  a.li("s9", VIA_S);
  a.add("s8", "s8", "s9");
  a.csrr("s9", "scause");
  a.sd("s8", "s11", 0);
  a.csrr("s8", "stval");
  a.add("s8", "s8", "s7");
  a.sd("s8", "s11", 8);
  a.addi("s11", "s11", 16);
  a.bltz("s9", "collectedInterruptS");
  a.csrr("s8", "sepc");
  a.addi("s8", "s8", 4);
  a.csrw("sepc", "s8");
  a.sret();
  a.label("collectedInterruptS");
  a.li("s8", 1);
  a.sll("s8", "s8", "s9");
  a.csrc("sie", "s8");
  a.sret();
}

type Entry = readonly [cause: bigint, value?: bigint];

interface Scenario {
  readonly mode: number;
  /** Adds to the handlers' addresses: 1 makes them vectored. */
  readonly vectored?: number;
  readonly setup?: (a: Assembler) => void;
  readonly steps: (a: Assembler) => void;
  readonly log: readonly Entry[];
}

let scenarios = 0;

/** One scenario as one block, whose results are the length of the log and then its entries. */
function scenario(program: IsaProgram, title: string, plan: Scenario): void {
  const number = scenarios++;
  const [enter, done] = [`enter${number}`, `done${number}`];
  const entries: Entry[] = [...plan.log];
  if (plan.mode !== M) entries.push([plan.mode === U ? 8n : 9n | (BigInt(S) << 8n)]);
  const words = entries.flatMap(([cause, value]) => [cause, value ?? 0n]);
  const registers = READ.slice(0, words.length);
  if (registers.length < words.length) throw new RangeError(`${title}: the log is too long`);
  program.once(
    title,
    ["s11", ...registers],
    (a) => {
      for (const [csr, handler] of [
        ["mtvec", "collect"],
        ["stvec", "collectS"],
      ] as const) {
        a.la("t0", handler, plan.vectored ?? 0);
        a.csrw(csr, "t0");
      }
      a.la("s10", done);
      a.mv("s11", "s3");
      a.li("a7", 0);
      plan.setup?.(a);
      if (plan.mode !== M) {
        a.li("t0", 0x1800);
        a.csrc("mstatus", "t0");
        a.li("t0", plan.mode << 11);
        a.csrs("mstatus", "t0");
        a.la("t0", enter);
        a.csrw("mepc", "t0");
        a.mret();
        a.label(enter);
      }
      plan.steps(a);
      if (plan.mode !== M) {
        a.li("a7", 1);
        a.ecall();
      }
      a.label(done);
      for (const csr of ["mie", "mip", "medeleg", "mideleg", "mstatus"] as const) a.csrwi(csr, 0);
      a.csrwi("mcounteren", COUNTERS);
      a.csrwi("scounteren", COUNTERS);
      a.la("t0", "trap");
      a.csrw("mtvec", "t0");
      a.sub("s11", "s11", "s3");
      registers.forEach((register, index) => {
        a.ld(register, "s3", 8 * index);
      });
    },
    [BigInt(words.length * 8), ...words],
  );
}

/** The value that an illegal instruction reports, and its entry when it came from `mode`. */
const illegal = (mode: number, name: keyof typeof ILLEGAL): Entry => [
  2n | (BigInt(mode) << 8n),
  BigInt(ILLEGAL[name]),
];

function words(a: Assembler, names: readonly (keyof typeof ILLEGAL)[]): void {
  for (const name of names) a.u32(ILLEGAL[name]);
}

function legality(program: IsaProgram): void {
  const inUser = [
    "csrrSstatus",
    "csrrSatp",
    "mret",
    "sret",
    "wfi",
    "sfenceVma",
    "nothing",
  ] as const;
  scenario(program, "user may not", {
    mode: U,
    steps: (a) => words(a, inUser),
    log: inUser.map((name) => illegal(U, name)),
  });
  scenario(program, "supervisor may unless gated", {
    mode: S,
    steps: (a) => {
      words(a, ["csrrSatp", "sfenceVma", "csrrSstatus", "csrrMstatus", "mret", "csrrCycle"]);
    },
    log: [illegal(S, "csrrMstatus"), illegal(S, "mret")],
  });
  const gated = ["sfenceVma", "csrrSatp", "csrwSatp", "wfi", "sret"] as const;
  scenario(program, "gates: TVM, TW, TSR", {
    mode: S,
    setup: (a) => {
      a.li("t0", TVM_TW_TSR);
      a.csrs("mstatus", "t0");
    },
    steps: (a) => words(a, gated),
    log: gated.map((name) => illegal(S, name)),
  });
  for (const [first, second] of [
    [0, COUNTERS],
    [COUNTERS, 0],
  ] as const) {
    scenario(program, `counters ${first} ${second} are closed to user mode`, {
      mode: U,
      setup: (a) => {
        a.csrwi("mcounteren", first);
        a.csrwi("scounteren", second);
      },
      steps: (a) => words(a, ["csrrCycle", "csrrTime"]),
      log: [illegal(U, "csrrCycle"), illegal(U, "csrrTime")],
    });
  }
  scenario(program, "floating point needs FS", {
    mode: U,
    steps: (a) => words(a, ["csrrFcsr", "fmvXD"]),
    log: [illegal(U, "csrrFcsr"), illegal(U, "fmvXD")],
  });
  scenario(program, "machine mode may not either", {
    mode: M,
    steps: (a) => words(a, ["csrwMhartid", "nothing"]),
    log: [illegal(M, "csrwMhartid"), illegal(M, "nothing")],
  });
}

/** Sets the bits of a CSR, from M-mode. */
function setBits(
  a: Assembler,
  csr: "mideleg" | "medeleg" | "mie" | "mip" | "mstatus",
  bits: number,
): void {
  a.li("t0", bits);
  a.csrs(csr, "t0");
}

const taken = (cause: number, from: number, slot = 0): Entry => [
  INTERRUPT | BigInt(cause) | (BigInt(from) << 8n),
  BigInt(slot) << 56n,
];
const takenByS = (cause: number, from: number, slot = 0): Entry => [
  taken(cause, from)[0] + VIA_S,
  BigInt(slot) << 56n,
];

/** MSIP and MTIP pending from the CLINT; what the SBI would set too. */
function raiseMachine(a: Assembler): void {
  a.li("t0", CLINT_MSIP);
  a.li("t1", 1);
  a.sw("t1", "t0");
  a.li("t0", CLINT_MTIMECMP);
  a.sd("zero", "t0");
}

function lowerMachine(a: Assembler): void {
  a.li("t0", CLINT_MSIP);
  a.sw("zero", "t0");
  a.li("t0", CLINT_MTIMECMP);
  a.li("t1", -1);
  a.sd("t1", "t0");
}

function delegation(program: IsaProgram): void {
  scenario(program, "exceptions go to S when delegated, but not from M", {
    mode: U,
    setup: (a) => {
      setBits(a, "medeleg", 0x4);
      words(a, ["nothing"]);
    },
    steps: (a) => words(a, ["nothing", "mret"]),
    log: [
      illegal(M, "nothing"),
      [2n + VIA_S, BigInt(ILLEGAL.nothing)],
      [2n + VIA_S, BigInt(ILLEGAL.mret)],
    ],
  });
  scenario(program, "delegated from S to S", {
    mode: S,
    setup: (a) => setBits(a, "medeleg", 0x4),
    steps: (a) => words(a, ["nothing"]),
    log: [[2n + 0x100n + VIA_S, BigInt(ILLEGAL.nothing)]],
  });
}

function interrupts(program: IsaProgram): void {
  for (const vectored of [0, 1]) {
    const at = (cause: number) => (vectored === 1 ? cause : 0);
    scenario(program, `interrupts of M in their order, vectored ${vectored}`, {
      mode: M,
      vectored,
      setup: (a) => {
        raiseMachine(a);
        setBits(a, "mip", 0x222);
        setBits(a, "mie", 0xaaa);
      },
      steps: (a) => {
        a.csrsi("mstatus", 8);
        lowerMachine(a);
      },
      log: [3, 7, 9, 1, 5].map((cause) => taken(cause, M, at(cause))),
    });
    scenario(program, `interrupts of S in their order, vectored ${vectored}`, {
      mode: S,
      vectored,
      setup: (a) => {
        setBits(a, "mideleg", 0x222);
        setBits(a, "mip", 0x222);
        setBits(a, "mie", 0x222);
        setBits(a, "mstatus", 8); // what is delegated never interrupts M
        a.nop();
      },
      steps: (a) => a.csrsi("sstatus", 2),
      log: [9, 1, 5].map((cause) => takenByS(cause, S, at(cause))),
    });
  }
  scenario(program, "interrupts of S ignore SIE in user mode", {
    mode: U,
    setup: (a) => {
      setBits(a, "mideleg", 0x2);
      setBits(a, "mip", 0x2);
      setBits(a, "mie", 0x2);
    },
    steps: (a) => a.nop(),
    log: [takenByS(1, U)],
  });
  scenario(program, "interrupts of M ignore MIE below it, and go before those of S", {
    mode: S,
    setup: (a) => {
      setBits(a, "mideleg", 0x2);
      setBits(a, "mip", 0x22);
      setBits(a, "mie", 0x22);
      setBits(a, "mstatus", 0x20); // SPIE is not SIE
    },
    steps: (a) => a.csrsi("sstatus", 2),
    log: [taken(5, S), takenByS(1, S)],
  });
  scenario(program, "wfi wakes for what mie enables even when nothing is taken", {
    mode: M,
    setup: raiseMachine,
    steps: (a) => {
      setBits(a, "mie", 0x80);
      a.wfi();
      lowerMachine(a);
    },
    log: [],
  });
}

function supervisorTimer(program: IsaProgram): void {
  scenario(program, "stimecmp drives STIP", {
    mode: S,
    setup: (a) => {
      a.li("t0", -1);
      a.csrw("stimecmp", "t0");
      a.li("t0", 1n << 63n);
      a.csrs("menvcfg", "t0");
      setBits(a, "mideleg", 0x20);
      setBits(a, "mie", 0x20);
    },
    steps: (a) => {
      a.csrsi("sstatus", 2);
      a.csrw("stimecmp", "zero"); // due: the handler disables it
      a.nop();
      a.csrr("t0", "sip");
      a.li("t1", -1);
      a.csrw("stimecmp", "t1");
      a.csrr("t1", "sip");
      a.sd("t0", "s11", 0);
      a.sd("t1", "s11", 8);
      a.addi("s11", "s11", 16);
    },
    log: [takenByS(5, S), [0x20n, 0n]],
  });
  program.once(
    "stimecmp is put away",
    ["zero"],
    (a) => {
      a.li("t0", 1n << 63n);
      a.csrc("menvcfg", "t0");
      a.csrwi("mip", 0);
    },
    [0n],
  );
}

const PROTECTED = WINDOW + 0x1000;
const SPLIT = WINDOW + 0x2000;

function protection(program: IsaProgram): void {
  const steps = (a: Assembler) => {
    a.li("a1", PROTECTED);
    a.li("a2", SPLIT);
    a.lw("a0", "a1"); // R
    a.sw("a0", "a1", 8);
    a.jalr("ra", "a1", 16);
    a.ld("a0", "a2"); // half of it is NA4 without rights
    a.lw("a0", "a2");
    a.lw("a0", "a2", 4);
    a.sw("a0", "a2", 8);
  };
  const regions = (a: Assembler, lock: number) => {
    a.li("t0", (PROTECTED >>> 2) + 0x1ff); // NAPOT, 4 KiB
    a.csrw("pmpaddr0", "t0");
    a.li("t0", (SPLIT + 4) >>> 2);
    a.csrw("pmpaddr1", "t0");
    a.li("t0", -1);
    a.csrw("pmpaddr2", "t0");
    a.li("t0", 0x1f1019 | lock);
    a.csrw("pmpcfg0", "t0");
  };
  const faults = (mode: number): Entry[] =>
    (
      [
        [7, PROTECTED + 8],
        [1, PROTECTED + 16],
        [5, SPLIT],
        [5, SPLIT + 4],
      ] as const
    ).map(([cause, value]) => [BigInt(cause | (mode << 8)), BigInt(value)]);
  for (const mode of [U, S]) {
    const setup = (a: Assembler) => regions(a, 0);
    scenario(program, `protection below M, mode ${mode}`, {
      mode,
      setup,
      steps,
      log: faults(mode),
    });
  }
  // last, because it cannot be taken back
  scenario(program, "protection binds M when locked", {
    mode: M,
    setup: (a) => regions(a, 0x8080),
    steps: (a) => {
      steps(a);
      regions(a, 0); // ignored
      a.sw("a0", "a1", 8);
    },
    log: [...faults(M), [7n | (BigInt(M) << 8n), BigInt(PROTECTED + 8)]],
  });
}

function build(program: IsaProgram): void {
  program.once(
    "handlers are in place and PMP opens everything",
    ["zero"],
    (a) => {
      a.j("placed");
      machineHandler(a);
      supervisorHandler(a);
      a.label("placed");
      a.li("t0", -1);
      a.csrw("pmpaddr0", "t0");
      a.li("t0", 0x1f);
      a.csrw("pmpcfg0", "t0");
      a.csrwi("mcounteren", COUNTERS);
      a.csrwi("scounteren", COUNTERS);
      a.csrwi("mstatus", 0);
    },
    [0n],
  );
  legality(program);
  delegation(program);
  interrupts(program);
  supervisorTimer(program);
  protection(program);
}

const test = isaSuite("hart/scenario", build, {
  // QEMU 7.2 without AIA takes the lowest number first, against Privileged 3.1.9.
  qemuErrs: (title) => title.includes("in their order"),
});

test.run();
