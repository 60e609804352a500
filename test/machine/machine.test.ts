/**
 * machine: budgets, the ways a run ends, reboot, pause and stop, events, digest, disposal.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import {
  type Machine,
  type MachineConfig,
  nodePlatform,
  type Platform,
  VmError,
} from "../../src/node.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import {
  collectOutput,
  elfProgram,
  emitHang,
  emitPoweroff,
  FINISHER,
  RAM,
  smallHost,
  UART,
} from "../helpers/guest-program.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("machine/machine");
const CLINT_TIMER = 0x200_4000;
const BUDGET = 10_000_000;
/** Outside every file that is loaded. */
const COUNT = RAM + 0x10_0000;

async function booted(
  build: (a: Assembler) => void,
  config: MachineConfig = {},
  platform: Platform = nodePlatform(),
): Promise<Machine> {
  const host = await smallHost({ platform });
  const kernel = elfProgram(build);
  const machine = host.createMachine({ memoryBytes: "4M", ...config, kernel });
  await machine.boot();
  return machine;
}

function finish(value: number): (a: Assembler) => void {
  return (a) => {
    a.li("t0", FINISHER);
    a.li("t1", value);
    a.sw("t1", "t0", 0);
    emitHang(a);
  };
}

/**
 * Sleeps in WFI until mtime is `ticks` from now, `times` times over, counting in s0, then powers
 * off.
 */
function sleeper(ticks: number, times: number): (a: Assembler) => void {
  return (a) => {
    a.li("s0", 0);
    a.li("s1", CLINT_TIMER);
    a.li("s2", 0x200_bff8);
    a.li("t0", 0x80);
    a.csrs("mie", "t0");
    a.label("again");
    a.ld("t0", "s2", 0);
    a.li("t1", ticks);
    a.add("t0", "t0", "t1");
    a.sd("t0", "s1", 0);
    a.wfi();
    a.addi("s0", "s0", 1);
    a.li("t1", times);
    a.bne("s0", "t1", "again");
    emitPoweroff(a);
  };
}

async function refuses(work: () => unknown, code: string): Promise<void> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, code);
    return;
  }
  assert.unreachable(`accepted, expected ${code}`);
}

test("a budget is exact", async () => {
  const machine = await booted(emitHang);
  let sum = 0;
  for (const budget of [1, 0, 7, 1000, 123_457, 3_000_000]) {
    assert.equal(await machine.run(budget), { kind: "budget" });
    sum += budget;
    assert.is(machine.instructions, sum);
  }
  assert.is(machine.view.harts[0].pc, BigInt(RAM));
});

test("the finisher's codes", async () => {
  assert.equal(await (await booted(finish(0x5555))).run(BUDGET), { kind: "poweroff", code: 0 });
  const failed = await booted(finish(0x002a_3333));
  assert.equal(await failed.run(BUDGET), { kind: "failure", code: 42 });
  assert.is(failed.state, "terminated");
  assert.is(failed.reason, "failure");
  const rebooted = await booted(finish(0x7777), { noReboot: true });
  assert.equal(await rebooted.run(BUDGET), { kind: "reboot" });
});

test("a guest that only traps is ended", async () => {
  const machine = await booted((a) => {
    a.u32(0);
  });
  const result = await machine.run(BUDGET);
  assert.is(result.kind, "trap-loop");
});

test("a wait that nothing can end is idle, and stays so", async () => {
  const machine = await booted((a) => {
    a.csrwi("mie", 0);
    a.wfi();
    emitHang(a);
  });
  assert.equal(await machine.run(BUDGET), { kind: "idle" });
  assert.equal(await machine.run(BUDGET), { kind: "idle" });
  assert.is(machine.state, "running");
});

test("virtual time jumps over a wait without asking the host's clock", async () => {
  const platform = new SimPlatform(await nodePlatform().loadCore());
  const machine = await booted(sleeper(36_000_000_000, 3), {}, platform);
  assert.equal(await machine.run(BUDGET), { kind: "poweroff", code: 0 });
  assert.ok(machine.stats().ticks >= 3 * 36_000_000_000);
  assert.is(platform.monotonicMs(), 0);
});

/**
 * Runs to the end on simulated host time, moving it only when the machine sleeps. Returns the
 * milliseconds slept.
 */
async function runOnHostTime(machine: Machine, platform: SimPlatform): Promise<number> {
  const begin = platform.monotonicMs();
  let isDone = false;
  const running = machine.run().finally(() => (isDone = true));
  for (let turn = 0; turn < 10_000 && !isDone; turn++) {
    const next = platform.nextTimerMs;
    if (next !== null) platform.advance(next);
    await platform.yieldToEventLoop();
  }
  assert.equal(await running, { kind: "poweroff", code: 0 });
  return platform.monotonicMs() - begin;
}

test("host time is slept through", async () => {
  const platform = new SimPlatform(await nodePlatform().loadCore());
  const machine = await booted(sleeper(200_000, 2), { clock: "host" }, platform);
  const ms = await runOnHostTime(machine, platform);
  assert.ok(ms >= 39.9 && ms < 41, `two waits of 20 ms took ${ms} ms`);
});

test("under the host clock no time passes in a pause", async () => {
  const platform = new SimPlatform(await nodePlatform().loadCore());
  const machine = await booted(sleeper(200_000, 2), { clock: "host" }, platform);
  platform.advance(1000);
  const before = machine.stats().ticks;
  machine.pause();
  platform.advance(1000);
  machine.resume();
  assert.is(machine.stats().ticks, before);
  const ms = await runOnHostTime(machine, platform);
  assert.ok(ms < 41, `two waits of 20 ms took ${ms} ms`);
  const { ticks } = machine.stats();
  assert.ok(ticks >= 400_000 && ticks < 410_000, `${ticks} ticks passed for the guest`);
});

test("a reboot runs the same program again, from clean memory, within one run", async () => {
  const machine = await booted((a) => {
    // counts in memory, which a reboot clears, and in mtime, which goes on
    a.li("t0", COUNT);
    a.ld("t1", "t0", 0);
    a.addi("t1", "t1", 1);
    a.sd("t1", "t0", 0);
    a.li("t2", 1);
    a.bne("t1", "t2", "dirty");
    a.li("t0", 0x200_bff8);
    a.ld("t1", "t0", 0);
    a.li("t2", 1000);
    a.bltu("t1", "t2", "again");
    emitPoweroff(a);
    a.label("again");
    a.li("t3", 2000);
    a.label("spin");
    a.addi("t3", "t3", -1);
    a.bnez("t3", "spin");
    finish(0x7777)(a);
    a.label("dirty");
    finish(0x0001_3333)(a);
  });
  const counts: number[] = [];
  machine.on("reboot", ({ count }) => counts.push(count));
  assert.equal(await machine.run(BUDGET), { kind: "poweroff", code: 0 });
  assert.ok(counts.length >= 2, `${counts.length} reboots`);
  assert.equal(
    counts,
    counts.map((_, index) => index + 1),
  );
  assert.is(machine.stats().reboots, counts.length);
});

test("a terminated machine boots again", async () => {
  const machine = await booted(finish(0x5555));
  await machine.run(BUDGET);
  await refuses(() => machine.run(1), "bad-state");
  await machine.boot();
  assert.is(machine.state, "running");
  assert.equal(await machine.run(BUDGET), { kind: "poweroff", code: 0 });
});

test("calls out of turn are refused", async () => {
  const host = await smallHost();
  const machine = host.createMachine({ kernel: elfProgram(emitHang), memoryBytes: "4M" });
  await refuses(() => machine.run(1), "bad-state");
  await refuses(() => machine.pause(), "bad-state");
  await machine.boot();
  await refuses(() => machine.boot(), "bad-state");
  await refuses(() => machine.resume(), "bad-state");
  for (const budget of [-1, 0.5, Number.NaN])
    await refuses(() => machine.run(budget), "bad-argument");
  const running = machine.run();
  await refuses(() => machine.run(1), "busy");
  await refuses(() => machine.stateDigest(), "busy");
  machine.stop();
  assert.equal(await running, { kind: "stopped" });
  machine.dispose();
  machine.dispose();
  await refuses(() => machine.run(1), "disposed");
  await refuses(() => machine.stateDigest(), "disposed");
});

test("pause holds a run, resume lets it go on, stop ends it even when paused", async () => {
  const machine = await booted(emitHang);
  const states: string[] = [];
  machine.on("state", ({ to, reason }) => states.push(`${to}:${reason}`));
  const running = machine.run(50_000_000);
  machine.pause("test");
  const at = machine.instructions;
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.is(machine.instructions, at);
  machine.resume();
  assert.equal(await running, { kind: "budget" });
  assert.is(machine.instructions, 50_000_000);
  machine.pause("again");
  const second = machine.run();
  machine.stop();
  assert.equal(await second, { kind: "stopped" });
  assert.equal(states, ["paused:test", "running:resumed", "paused:again"]);
});

test("the event loop is served while a guest spins", async () => {
  const machine = await booted(emitHang);
  const running = machine.run();
  let turns = 0;
  while (turns < 20) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  machine.stop();
  assert.equal(await running, { kind: "stopped" });
  assert.ok(machine.instructions > 0);
});

test("dispose ends a run and gives the frames back", async () => {
  const host = await smallHost();
  const free = host.stats().framesFree;
  const machine = host.createMachine({ kernel: elfProgram(emitHang), memoryBytes: "4M" });
  await machine.boot();
  const running = machine.run();
  assert.ok(host.stats().framesFree < free);
  machine.dispose();
  assert.equal(await running, { kind: "stopped" });
  assert.is(host.stats().framesFree, free);
  assert.is(host.machines.length, 0);
});

/**
 * Prints, sleeps, computes, and reads its input when the UART's own timer says so: what a run can
 * meet.
 */
function everything(a: Assembler): void {
  a.li("s0", UART);
  a.li("s1", CLINT_TIMER);
  a.li("s2", 0x200_bff8);
  a.li("s3", 0);
  a.li("t0", 0x80);
  a.csrs("mie", "t0");
  a.li("t0", 0xc1);
  a.sb("t0", "s0", 2); // FIFOs on, trigger at 14
  a.li("t0", 1);
  a.sb("t0", "s0", 1); // receive interrupts: fewer than 14 bytes are announced by a time-out
  a.label("round");
  a.li("t0", 300);
  a.label("work");
  a.mul("s3", "s3", "t0");
  a.addi("s3", "s3", 7);
  a.addi("t0", "t0", -1);
  a.bnez("t0", "work");
  // IIR, the first exit since the work began: an alarm that came late would show
  a.lbu("t1", "s0", 2);
  a.add("s3", "s3", "t1");
  a.andi("t1", "t1", 4); // received data, or the time-out
  a.beqz("t1", "sleep");
  a.lbu("t1", "s0", 0);
  a.add("s3", "s3", "t1");
  a.label("sleep");
  a.andi("t1", "s3", 15);
  a.addi("t1", "t1", 65);
  a.sb("t1", "s0", 0);
  a.ld("t0", "s2", 0);
  a.addi("t0", "t0", 177);
  a.csrr("t1", "mhartid");
  a.slli("t1", "t1", 3);
  a.add("t1", "t1", "s1");
  a.sd("t0", "t1", 0);
  a.wfi();
  a.csrr("t1", "mhartid");
  a.slli("t1", "t1", 12);
  a.la("t0", "memory");
  a.add("t0", "t0", "t1");
  a.sd("s3", "t0", 0);
  a.j("round");
  a.align(4096);
  a.label("memory");
}

/**
 * Law 0 (DESIGN.md section 4): any split of a budget, with caches dropped anywhere, gives the same
 * machine.
 */
test("a split budget gives the same digest", async () => {
  const random = new Random(seedOf(20261124));
  for (const harts of [1, 3]) {
    const seed = random.u32();
    const whole = await booted(everything, { harts, quantum: 500, seed });
    const split = await booted(everything, { harts, quantum: 500, seed });
    for (const machine of [whole, split]) machine.console.write("typed at the polling guest");
    for (let stretch = 0; stretch < 6; stretch++) {
      const budget = 20_000 + random.below(60_000);
      assert.equal(await whole.run(budget), { kind: "budget" });
      for (let left = budget; left > 0; ) {
        const piece = Math.min(left, 1 + random.below(random.chance(30) ? 5 : 700));
        assert.equal(await split.run(piece), { kind: "budget" });
        if (random.chance(30)) split.view.flush(1 + random.below(3));
        left -= piece;
      }
      assert.is(split.stateDigest(), whole.stateDigest(), `SEED=${random.seed} stretch ${stretch}`);
    }
    assert.ok(whole.stats().exits.alarm > 3, "the UART's timer hardly ran");
  }
});

test("one bit of memory, one register, one device register: another digest", async () => {
  const machine = await booted(emitHang);
  await machine.run(10);
  const seen = new Set([machine.stateDigest()]);
  assert.is(machine.stateDigest(), [...seen][0]);
  machine.view.memory.write(RAM + 0x10_0000, Uint8Array.of(1));
  seen.add(machine.stateDigest());
  machine.view.harts[0].setX(5, 1n);
  seen.add(machine.stateDigest());
  machine.devices.bus.find(UART)?.write(7, 1, 0x5a);
  seen.add(machine.stateDigest());
  await machine.run(1);
  seen.add(machine.stateDigest());
  assert.is(seen.size, 5);
});

test("output printed before anyone listened is kept", async () => {
  const machine = await booted((a) => {
    a.li("s0", UART);
    for (const letter of "early") {
      a.li("t0", letter.charCodeAt(0));
      a.sb("t0", "s0", 0);
    }
    emitPoweroff(a);
  });
  await machine.run(BUDGET);
  assert.is(collectOutput(machine).text, "early");
  assert.is(collectOutput(machine).text, "");
});

test.run();
