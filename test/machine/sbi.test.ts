/**
 * sbi: a supervisor calls every extension with good and bad arguments; answers are read from its
 * memory.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import type { RunResult } from "../../src/node.ts";
import {
  collectOutput,
  emitHang,
  emitPoweroff,
  emitSbi,
  emitStoreAnswer,
  imageProgram,
  KERNEL,
  smallHost,
} from "../helpers/guest-program.ts";

const test = suite("machine/sbi");

const BASE = 0x10;
const TIME = 0x54494d45;
const IPI = 0x735049;
const RFENCE = 0x52464e43;
const HSM = 0x48534d;
const SRST = 0x53525354;
const DBCN = 0x4442434e;
const ANSWERS = 0x8030_0000;
const NOT_SUPPORTED = -2n;
const INVALID_PARAM = -3n;
const INVALID_ADDRESS = -5n;
const ALREADY_AVAILABLE = -6n;
const BUDGET = 5_000_000;

interface Call {
  readonly extension: number;
  readonly call: number;
  readonly args: readonly bigint[];
  readonly error: bigint;
  readonly value?: bigint;
}

const call = (
  extension: number,
  number: number,
  args: readonly bigint[],
  error: bigint,
  value?: bigint,
): Call => ({ extension, call: number, args, error, value });

interface Outcome {
  readonly result: RunResult;
  readonly output: string;
  /** The pair of doublewords number `index` that the guest stored. */
  answer(index: number): [bigint, bigint];
}

async function run(
  build: (a: Assembler) => void,
  given: { harts?: number; input?: string } = {},
): Promise<Outcome> {
  const host = await smallHost();
  const kernel = imageProgram(build);
  const harts = given.harts ?? 1;
  const machine = host.createMachine({ kernel, memoryBytes: "8M", harts, noReboot: true });
  const output = collectOutput(machine);
  if (given.input !== undefined) machine.console.write(given.input);
  await machine.boot();
  const result = await machine.run(BUDGET);
  const memory = machine.view.memory;
  const answer = (index: number): [bigint, bigint] => {
    const low = BigInt.asIntN(64, memory.readU64(ANSWERS + index * 16) ?? -99n);
    return [low, memory.readU64(ANSWERS + index * 16 + 8) ?? -99n];
  };
  return { result, output: output.text, answer };
}

async function check(calls: readonly Call[], harts = 1): Promise<void> {
  const outcome = await run(
    (a) => {
      calls.forEach((one, index) => {
        emitSbi(a, one.extension, one.call, ...one.args);
        emitStoreAnswer(a, ANSWERS + index * 16);
      });
      emitPoweroff(a);
    },
    { harts },
  );
  assert.equal(outcome.result, { kind: "poweroff", code: 0 });
  calls.forEach((one, index) => {
    const name = `call ${index}: 0x${one.extension.toString(16)} ${one.call}`;
    const [error, value] = outcome.answer(index);
    assert.is(error, one.error, name);
    if (one.value !== undefined) assert.is(value, one.value, name);
  });
}

test("BASE", async () => {
  await check([
    call(BASE, 0, [], 0n, 0x0200_0000n),
    call(BASE, 1, [], 0n, 0x52564cn),
    ...[BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN].map((id) => call(BASE, 3, [BigInt(id)], 0n, 1n)),
    call(BASE, 3, [0n], 0n, 0n),
    call(BASE, 3, [0x504d55n], 0n, 0n),
    call(BASE, 3, [-1n], 0n, 0n),
    call(BASE, 4, [], 0n, 0n),
    call(BASE, 7, [], NOT_SUPPORTED),
    call(0x99, 0, [], NOT_SUPPORTED),
    call(1, 0, [65n], NOT_SUPPORTED),
  ]);
});

test("hart masks", async () => {
  for (const extension of [IPI, RFENCE]) {
    await check(
      [
        call(extension, 0, [0b11n, 0n], 0n),
        call(extension, 0, [0n, 0n], 0n),
        call(extension, 0, [0n, -1n], 0n),
        call(extension, 0, [1n, 1n], 0n),
        call(extension, 0, [0b100n, 0n], INVALID_PARAM),
        call(extension, 0, [1n, 2n], INVALID_PARAM),
        call(extension, 0, [1n, 0x7fff_ffff_ffff_ffffn], INVALID_PARAM),
        call(extension, 9, [], NOT_SUPPORTED),
      ],
      2,
    );
  }
});

test("HSM answers", async () => {
  await check(
    [
      call(HSM, 2, [0n], 0n, 0n),
      call(HSM, 2, [1n], 0n, 1n),
      call(HSM, 2, [2n], INVALID_PARAM),
      call(HSM, 2, [-1n], INVALID_PARAM),
      call(HSM, 0, [0n, BigInt(KERNEL), 0n], ALREADY_AVAILABLE),
      call(HSM, 0, [2n, BigInt(KERNEL), 0n], INVALID_PARAM),
      call(HSM, 0, [1n, 0x1000n, 0n], INVALID_ADDRESS),
      call(HSM, 0, [1n, -2n, 0n], INVALID_ADDRESS),
      call(HSM, 0, [1n, BigInt(KERNEL) + 1n, 0n], INVALID_ADDRESS),
      call(HSM, 3, [0x8000_0000n, 0n, 0n], INVALID_ADDRESS),
      call(HSM, 3, [5n, 0n, 0n], INVALID_PARAM),
      call(HSM, 3, [0x1000_0000n, 0n, 0n], NOT_SUPPORTED),
      call(HSM, 4, [], NOT_SUPPORTED),
    ],
    2,
  );
});

test("SRST refuses what is reserved", async () => {
  await check([
    call(SRST, 0, [3n, 0n], INVALID_PARAM),
    call(SRST, 0, [0n, 2n], INVALID_PARAM),
    call(SRST, 0, [0xf000_0000n, 0n], INVALID_PARAM),
    call(SRST, 1, [0n, 0n], NOT_SUPPORTED),
  ]);
});

test("SRST ends the machine", async () => {
  const ends = async (kind: bigint, reason: bigint) => {
    const outcome = await run((a) => {
      emitSbi(a, SRST, 0, kind, reason);
      emitHang(a);
    });
    return outcome.result;
  };
  assert.equal(await ends(0n, 0n), { kind: "poweroff", code: 0 });
  assert.equal(await ends(0n, 1n), { kind: "poweroff", code: 1 });
  assert.equal(await ends(1n, 0n), { kind: "reboot" });
  assert.equal(await ends(2n, 0n), { kind: "reboot" });
});

test("DBCN writes, and refuses what is not RAM", async () => {
  const ram = 0x8000_0000n;
  const end = ram + (8n << 20n);
  const outcome = await run((a) => {
    a.la("s0", "text");
    a.li("a0", 5);
    a.mv("a1", "s0");
    a.li("a2", 0);
    a.li("a7", DBCN);
    a.li("a6", 0);
    a.ecall();
    emitStoreAnswer(a, ANSWERS);
    emitSbi(a, DBCN, 2, 0x121n);
    emitStoreAnswer(a, ANSWERS + 16);
    const bad: [bigint, bigint, bigint][] = [
      [1n, 0x1000_0000n, 0n],
      [1n, ram, 1n],
      [2n, end - 1n, 0n],
      [-1n, ram, 0n],
      [1n, -1n, 0n],
      [0x8000_0000n, ram, 0n],
    ];
    bad.forEach((args, index) => {
      emitSbi(a, DBCN, index % 2, ...args);
      emitStoreAnswer(a, ANSWERS + 32 + index * 16);
    });
    emitPoweroff(a);
    a.label("text");
    a.ascii("hello");
  });
  assert.is(outcome.output, "hello!");
  assert.equal(outcome.answer(0), [0n, 5n]);
  assert.equal(outcome.answer(1), [0n, 0n]);
  for (let index = 2; index < 8; index++) assert.is(outcome.answer(index)[0], INVALID_PARAM);
});

test("DBCN moves part of a long buffer", async () => {
  const outcome = await run((a) => {
    emitSbi(a, DBCN, 0, 0x10_0000n, BigInt(KERNEL), 0n);
    emitStoreAnswer(a, ANSWERS);
    emitPoweroff(a);
  });
  const [error, value] = outcome.answer(0);
  assert.is(error, 0n);
  assert.ok(value > 0n && value <= 0x10_0000n, String(value));
});

test("DBCN reads what was typed, and nothing when there is nothing", async () => {
  const buffer = BigInt(ANSWERS) + 0x100n;
  const outcome = await run(
    (a) => {
      emitSbi(a, DBCN, 1, 4n, buffer, 0n);
      emitStoreAnswer(a, ANSWERS);
      emitSbi(a, DBCN, 1, 100n, buffer + 4n, 0n);
      emitStoreAnswer(a, ANSWERS + 16);
      emitSbi(a, DBCN, 1, 100n, buffer, 0n);
      emitStoreAnswer(a, ANSWERS + 32);
      emitSbi(a, DBCN, 0, 6n, buffer, 0n);
      emitPoweroff(a);
    },
    { input: "typed." },
  );
  assert.equal(outcome.answer(0), [0n, 4n]);
  assert.equal(outcome.answer(1), [0n, 2n]);
  assert.equal(outcome.answer(2), [0n, 0n]);
  assert.is(outcome.output, "typed.");
});

/** Waits for a doubleword of memory to become non-zero. */
function emitAwait(a: Assembler, label: string): void {
  const here = a.fresh("await");
  a.la("t0", label);
  a.label(here);
  a.ld("t1", "t0", 0);
  a.beqz("t1", here);
}

test("a started hart begins as told, stops, and can be started again", async () => {
  const outcome = await run(
    (a) => {
      for (let round = 0; round < 2; round++) {
        a.la("a1", "second");
        a.li("a0", 1);
        a.li("a2", 0x1234 + round);
        a.li("a7", HSM);
        a.li("a6", 0);
        a.ecall();
        emitAwait(a, "flag");
        a.sd("zero", "t0", 0);
        const waiting = a.fresh("stopping");
        a.label(waiting);
        emitSbi(a, HSM, 2, 1n);
        a.li("t0", 1);
        a.bne("a1", "t0", waiting);
      }
      emitPoweroff(a);
      a.align(4);
      a.label("second");
      a.csrr("t2", "satp");
      a.la("t0", "flag");
      a.li("t1", ANSWERS);
      a.sd("a0", "t1", 0);
      a.sd("a1", "t1", 8);
      a.sd("t2", "t1", 16);
      a.csrr("t2", "sstatus");
      a.andi("t2", "t2", 2);
      a.sd("t2", "t1", 24);
      // translation goes on, identically, so that the next start has something to switch off
      a.la("t3", "table");
      a.srli("t3", "t3", 12);
      a.li("t4", 8n << 60n);
      a.or("t3", "t3", "t4");
      a.csrw("satp", "t3");
      a.sfenceVma("zero", "zero");
      a.csrsi("sstatus", 2);
      a.li("t3", 1);
      a.sd("t3", "t0", 0);
      emitSbi(a, HSM, 1);
      a.li("t1", ANSWERS);
      a.sd("t1", "t1", 32);
      emitHang(a);
      a.align(4096);
      a.label("table");
      a.u64(0, 0, (0x8000_0000n >> 2n) | 0xcfn); // one leaf of 1 GiB over RAM
      a.align(4096);
      a.label("flag");
      a.space(8);
    },
    { harts: 2 },
  );
  assert.equal(outcome.result, { kind: "poweroff", code: 0 });
  assert.equal(outcome.answer(0), [1n, 0x1235n]);
  assert.equal(outcome.answer(1), [0n, 0n]);
  assert.equal(outcome.answer(2), [0n, 0n], "hart_stop returned");
});

test("an IPI ends another hart's wait", async () => {
  const outcome = await run(
    (a) => {
      a.la("a1", "second");
      a.li("a0", 1);
      a.li("a7", HSM);
      a.li("a6", 0);
      a.ecall();
      emitAwait(a, "ready");
      emitSbi(a, IPI, 0, 0b10n, 0n);
      emitAwait(a, "woken");
      emitPoweroff(a);
      a.align(4);
      a.label("second");
      a.csrsi("sie", 2);
      a.la("t0", "ready");
      a.li("t1", 1);
      a.sd("t1", "t0", 0);
      a.wfi();
      a.csrr("t2", "sip");
      a.andi("t2", "t2", 2);
      a.la("t0", "woken");
      a.sd("t2", "t0", 0);
      emitHang(a);
      a.align(8);
      a.label("ready");
      a.space(8);
      a.label("woken");
      a.space(8);
    },
    { harts: 2 },
  );
  assert.equal(outcome.result, { kind: "poweroff", code: 0 });
});

test("the timer ends a wait at its time; setting it far off clears it", async () => {
  const outcome = await run((a) => {
    a.li("t0", 0x20);
    a.csrs("sie", "t0");
    a.csrr("a0", "time");
    a.li("t0", 50_000);
    a.add("s1", "a0", "t0");
    a.mv("a0", "s1");
    a.li("a7", TIME);
    a.li("a6", 0);
    a.ecall();
    a.wfi();
    a.csrr("a0", "time");
    a.sub("a0", "a0", "s1");
    a.csrr("a1", "sip");
    emitStoreAnswer(a, ANSWERS);
    emitSbi(a, TIME, 0, -1n);
    a.csrr("a1", "sip");
    emitStoreAnswer(a, ANSWERS + 16);
    emitPoweroff(a);
  });
  const [late, pending] = outcome.answer(0);
  assert.ok(late >= 0n && late < 10n, `woken ${late} ticks late`);
  assert.is(pending & 0x20n, 0x20n);
  assert.is(outcome.answer(1)[1] & 0x20n, 0n);
});

test("a suspended hart resumes where it was told", async () => {
  const outcome = await run((a) => {
    a.li("t0", 0x20);
    a.csrs("sie", "t0");
    a.csrr("a0", "time");
    a.addi("a0", "a0", 1000);
    a.li("a7", TIME);
    a.li("a6", 0);
    a.ecall();
    emitSbi(a, HSM, 3, 0n);
    emitStoreAnswer(a, ANSWERS);
    a.csrr("a0", "time");
    a.addi("a0", "a0", 1000);
    a.li("a7", TIME);
    a.li("a6", 0);
    a.ecall();
    a.la("a1", "resumed");
    a.li("a0", 0x8000_0000);
    a.li("a2", 77);
    a.li("a7", HSM);
    a.li("a6", 3);
    a.ecall();
    emitHang(a);
    a.align(4);
    a.label("resumed");
    emitStoreAnswer(a, ANSWERS + 16);
    emitPoweroff(a);
  });
  assert.equal(outcome.result, { kind: "poweroff", code: 0 });
  assert.equal(outcome.answer(0), [0n, 0n]);
  assert.equal(outcome.answer(1), [0n, 77n]);
});

test.run();
