/**
 * console: typing at a machine: input that waits for a guest, guests that wait for input, on either
 * clock.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import { type Machine, type MachineConfig, nodePlatform } from "../../src/node.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import {
  collectOutput,
  elfProgram,
  emitPoweroff,
  smallHost,
  UART,
} from "../helpers/guest-program.ts";

const test = suite("machine/console");
const PLIC = 0xc00_0000;
const MTIME = 0x200_bff8;
const MTIMECMP = 0x200_4000;
const wasm = await nodePlatform().loadCore();

/** Echoes by receive interrupt through the PLIC, waiting in WFI, until a "q" comes. */
function echoer(a: Assembler): void {
  a.li("s0", UART);
  a.li("s1", PLIC);
  a.li("t0", 1);
  a.sw("t0", "s1", 10 * 4); // priority of source 10
  a.li("s2", PLIC + 0x2000);
  a.li("t0", 1 << 10);
  a.sw("t0", "s2", 0);
  a.li("s2", PLIC + 0x20_0000);
  a.sw("zero", "s2", 0);
  a.sb("t0", "s0", 2);
  a.li("t0", 1);
  a.sb("t0", "s0", 1); // IER: receive
  a.li("t0", 0x800);
  a.csrs("mie", "t0");
  a.label("wait");
  a.wfi();
  a.lw("t2", "s2", 4); // claim
  a.label("drain");
  a.lbu("t0", "s0", 5);
  a.andi("t0", "t0", 1);
  a.beqz("t0", "complete");
  a.lbu("t0", "s0", 0);
  a.sb("t0", "s0", 0);
  a.li("t1", "q".charCodeAt(0));
  a.bne("t0", "t1", "drain");
  emitPoweroff(a);
  a.label("complete");
  a.sw("t2", "s2", 4);
  a.j("wait");
}

/** As `echoer`, but also woken by the timer every `ticks`; prints a dot then. */
function ticker(ticks: number): (a: Assembler) => void {
  return (a) => {
    a.li("s3", MTIME);
    a.li("s4", MTIMECMP);
    a.li("t0", 0x80);
    a.csrs("mie", "t0");
    a.la("t0", "onTick");
    a.csrw("mtvec", "t0");
    a.csrsi("mstatus", 8);
    a.li("s5", ticks);
    a.ld("t0", "s3", 0);
    a.add("t0", "t0", "s5");
    a.sd("t0", "s4", 0);
    echoer(a);
    a.align(4);
    a.label("onTick");
    a.csrr("t3", "mcause");
    a.slli("t3", "t3", 1);
    a.srli("t3", "t3", 1);
    a.li("t4", 7);
    a.beq("t3", "t4", "isTick");
    // an external interrupt: the loop behind WFI serves it, so keep it from coming again here
    a.li("t3", 0x80);
    a.csrc("mstatus", "t3"); // MPIE off: return with interrupts off
    a.mret();
    a.label("isTick");
    a.li("t3", 46);
    a.sb("t3", "s0", 0);
    a.ld("t3", "s3", 0);
    a.add("t3", "t3", "s5");
    a.sd("t3", "s4", 0);
    a.mret();
  };
}

async function booted(
  build: (a: Assembler) => void,
  config: MachineConfig,
): Promise<{ machine: Machine; platform: SimPlatform; output: { readonly text: string } }> {
  const platform = new SimPlatform(wasm);
  const host = await smallHost({ platform });
  const machine = host.createMachine({ ...config, kernel: elfProgram(build), memoryBytes: "2M" });
  const output = collectOutput(machine);
  await machine.boot();
  return { machine, platform, output };
}

async function settle(platform: SimPlatform): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await platform.yieldToEventLoop();
}

test("input written ahead reaches the guest whole, and closed input then is idle", async () => {
  const { machine, output } = await booted(echoer, {});
  machine.console.write("typed before boot was over, longer than any FIFO. ".repeat(20));
  assert.equal(await machine.run(), { kind: "idle" });
  assert.is(output.text, "typed before boot was over, longer than any FIFO. ".repeat(20));
  machine.console.write("more, q");
  assert.equal(await machine.run(), { kind: "poweroff", code: 0 });
  assert.ok(output.text.endsWith("more, q"));
});

test("open input is waited for, on either clock", async () => {
  for (const clock of ["virtual", "host"] as const) {
    const { machine, platform, output } = await booted(echoer, { clock, consoleInput: "open" });
    let isDone = false;
    const running = machine.run().finally(() => (isDone = true));
    await settle(platform);
    assert.not(isDone);
    machine.console.write("ab");
    await settle(platform);
    assert.is(output.text, "ab", clock);
    assert.not(isDone);
    machine.console.write("q");
    assert.equal(await running, { kind: "poweroff", code: 0 });
  }
});

test("closing the input ends a wait for it", async () => {
  const { machine, platform } = await booted(echoer, { consoleInput: "open" });
  const running = machine.run();
  await settle(platform);
  machine.console.closeInput();
  assert.equal(await running, { kind: "idle" });
});

test("with open input, virtual time does not race: a tick a second takes a second", async () => {
  const { machine, platform, output } = await booted(ticker(10_000_000), { consoleInput: "open" });
  const running = machine.run();
  await settle(platform);
  assert.is(output.text, "");
  for (let second = 1; second <= 3; second++) {
    platform.advance(990);
    await settle(platform);
    assert.is(output.text.length, second - 1);
    platform.advance(20);
    await settle(platform);
    assert.is(output.text.length, second);
  }
  machine.console.write("q");
  assert.equal(await running, { kind: "poweroff", code: 0 });
});

test("with input written ahead, virtual time jumps from tick to tick", async () => {
  const { machine, platform, output } = await booted(ticker(10_000_000), {});
  assert.equal(await machine.run(5_000), { kind: "budget" });
  assert.ok(output.text.length > 50, output.text);
  assert.is(platform.monotonicMs(), 0);
});

test("input typed in the middle of a wait moves virtual time by what passed", async () => {
  const { machine, platform } = await booted(ticker(10_000_000), { consoleInput: "open" });
  const running = machine.run();
  await settle(platform);
  platform.advance(400);
  machine.console.write("q");
  assert.equal(await running, { kind: "poweroff", code: 0 });
  const { ticks } = machine.stats();
  assert.ok(ticks >= 4_000_000 && ticks < 4_100_000, `${ticks} ticks`);
});

test.run();
