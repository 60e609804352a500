/**
 * memory: guests that touch more than the host has: the pause with reason `memory`, and what ends
 * it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import { type Host, type Machine, VmError } from "../../src/node.ts";
import {
  elfProgram,
  emitPoweroff,
  imageProgram,
  RAM,
  smallHost,
} from "../helpers/guest-program.ts";

const test = suite("machine/memory");
const MEBIBYTE = 1024 * 1024;
const BUDGET = 50_000_000;

/**
 * Writes one doubleword to each page between two addresses, as often as it is told, reads all of
 * them back, then powers off.
 */
function toucher(start: number, end: number, writes = 1): (a: Assembler) => void {
  return (a) => {
    for (const isWrite of [...Array<boolean>(writes).fill(true), false]) {
      const loop = a.fresh("touch");
      const isFine = a.fresh("fine");
      a.li("s0", start);
      a.li("s1", end);
      a.li("s2", 4096);
      a.label(loop);
      if (isWrite) a.sd("s0", "s0", 8);
      else {
        a.ld("t0", "s0", 8);
        a.beq("t0", "s0", isFine);
        a.u32(0);
        a.label(isFine);
      }
      a.add("s0", "s0", "s2");
      a.bltu("s0", "s1", loop);
    }
    emitPoweroff(a);
  };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * A host whose pool is a few megabytes, and RAM sizes that overcommit it together but not alone.
 */
async function tightHost(): Promise<{ host: Host; memoryBytes: number }> {
  const host = await smallHost({ arenaBytes: 24 * MEBIBYTE });
  const poolBytes = host.stats().framesTotal * 4096;
  const memoryBytes = Math.floor((poolBytes * 0.75) / MEBIBYTE) * MEBIBYTE;
  return { host, memoryBytes };
}

function makeToucher(host: Host, memoryBytes: number, name: string): Machine {
  // the device tree, its room and the info page lie in the last pages
  const end = RAM + memoryBytes - 256 * 1024;
  const kernel = elfProgram(toucher(RAM + 0x1_0000, end));
  return host.createMachine({ kernel, memoryBytes, name });
}

test("overcommitted: the second pauses and goes on when the first is gone", async () => {
  const { host, memoryBytes } = await tightHost();
  const first = makeToucher(host, memoryBytes, "first");
  const second = makeToucher(host, memoryBytes, "second");
  await first.boot();
  await second.boot();
  assert.equal(await first.run(BUDGET), { kind: "poweroff", code: 0 });
  const events: string[] = [];
  second.on("memory", ({ isShort }) => events.push(isShort ? "short" : "fed"));
  second.on("state", ({ to, reason }) => events.push(`${to}:${reason}`));
  const running = second.run(BUDGET);
  await turns(30);
  assert.is(second.state, "paused");
  assert.is(second.reason, "memory");
  assert.ok(host.stats().framesFree < 3, `${host.stats().framesFree} frames free`);
  const at = second.instructions;
  await turns(10);
  assert.is(second.instructions, at);
  first.dispose();
  assert.equal(await running, { kind: "poweroff", code: 0 });
  assert.equal(events.slice(0, 4), ["paused:memory", "short", "fed", "running:memory"]);
});

test("a pause for memory is invisible to the guest", async () => {
  const { host, memoryBytes } = await tightHost();
  const alone = makeToucher(host, memoryBytes, "alone");
  await alone.boot();
  await alone.run(BUDGET);
  const digest = alone.stateDigest();
  const instructions = alone.instructions;
  const second = makeToucher(host, memoryBytes, "second");
  await second.boot();
  const running = second.run(BUDGET);
  await turns(30);
  assert.is(second.reason, "memory");
  alone.dispose();
  await running;
  assert.is(second.instructions, instructions);
  assert.is(second.stateDigest(), digest);
});

test("alone on its host, a machine that cannot go on says so and can be run again", async () => {
  const { host, memoryBytes } = await tightHost();
  const first = makeToucher(host, memoryBytes, "first");
  await first.boot();
  await first.run(BUDGET);
  const second = makeToucher(host, memoryBytes, "second");
  await second.boot();
  const running = second.run(BUDGET);
  await turns(30);
  second.stop();
  assert.equal(await running, { kind: "stopped" });
  assert.is(second.reason, "memory");
  const again = second.run(BUDGET);
  await turns(30);
  assert.is(second.reason, "memory");
  first.dispose();
  assert.equal(await again, { kind: "poweroff", code: 0 });
});

test("pause and resume by the user while memory is short", async () => {
  const { host, memoryBytes } = await tightHost();
  const first = makeToucher(host, memoryBytes, "first");
  const second = makeToucher(host, memoryBytes, "second");
  await first.boot();
  await second.boot();
  await first.run(BUDGET);
  const running = second.run(BUDGET);
  await turns(30);
  second.pause("operator");
  assert.is(second.reason, "operator");
  first.dispose();
  await turns(10);
  assert.is(second.state, "paused");
  assert.is(second.reason, "operator");
  second.resume();
  assert.equal(await running, { kind: "poweroff", code: 0 });
});

const VIRTIO = 0x1000_1000;
const QUEUE = RAM + 0x10_0000;
const FLAG = QUEUE + 0x1000;
/** A page that nobody touches before the device does. */
const TARGET = RAM + 0x18_0000;

/**
 * Sets up the entropy source, waits for FLAG, asks for 64 bytes into TARGET, waits for them, then
 * powers off.
 */
function entropyDriver(a: Assembler): void {
  a.li("s0", VIRTIO);
  const write = (offset: number, value: number) => {
    a.li("t0", value);
    a.sw("t0", "s0", offset);
  };
  write(0x70, 3); // ACKNOWLEDGE, DRIVER
  write(0x24, 1);
  write(0x20, 1); // VERSION_1
  write(0x70, 11);
  write(0x30, 0);
  write(0x38, 8);
  write(0x80, QUEUE);
  write(0x90, QUEUE + 0x100);
  write(0xa0, QUEUE + 0x200);
  write(0x44, 1);
  write(0x70, 15);
  a.li("s1", QUEUE);
  a.li("t0", TARGET);
  a.sd("t0", "s1", 0);
  a.li("t0", 64 + 2 * 2 ** 32); // 64 bytes, WRITE
  a.sd("t0", "s1", 8);
  a.li("t0", 0x1_0000);
  a.sw("t0", "s1", 0x100); // available: index 1, descriptor 0
  a.li("s2", FLAG);
  a.sd("zero", "s2", 0);
  a.label("flag");
  a.ld("t0", "s2", 0);
  a.beqz("t0", "flag");
  write(0x50, 0); // notify
  a.label("used");
  a.lhu("t0", "s1", 0x202);
  a.beqz("t0", "used");
  a.li("t0", TARGET);
  a.ld("t1", "t0", 0);
  a.beqz("t1", "used");
  emitPoweroff(a);
}

test("a device that lacks frames for its DMA pauses the machine and is asked again", async () => {
  const finish = async (isTight: boolean) => {
    const { host, memoryBytes } = await tightHost();
    const kernel = elfProgram(entropyDriver);
    const machine = host.createMachine({ kernel, memoryBytes: 2 * MEBIBYTE });
    await machine.boot();
    assert.equal(await machine.run(20_000), { kind: "budget" });
    const hogs = [1, 2].map((index) => makeToucher(host, memoryBytes, `hog${index}`));
    const runs = [];
    for (const hog of hogs) {
      await hog.boot();
      if (isTight) runs.push(hog.run(BUDGET));
    }
    await turns(isTight ? 60 : 0);
    machine.view.memory.write(FLAG, Uint8Array.of(1));
    const running = machine.run(BUDGET);
    await turns(30);
    if (isTight) {
      assert.is(machine.reason, "memory");
      assert.ok(machine.devices.hub.isStarved);
    }
    for (const hog of hogs) hog.dispose();
    assert.equal(await running, { kind: "poweroff", code: 0 });
    await Promise.all(runs);
    return machine.stateDigest();
  };
  assert.is(await finish(true), await finish(false));
});

test("boot waits for frames that another machine holds", async () => {
  const { host, memoryBytes } = await tightHost();
  const first = makeToucher(host, memoryBytes, "first");
  await first.boot();
  await first.run(BUDGET);
  const bytes = memoryBytes - 4 * MEBIBYTE;
  const initrd = new Uint8Array(bytes).fill(0x5a);
  const kernel = imageProgram(emitPoweroff);
  const second = host.createMachine({ kernel, initrd, memoryBytes });
  const booting = second.boot();
  await turns(10);
  assert.is(second.state, "created");
  first.dispose();
  await booting;
  assert.is(second.state, "running");
  assert.equal(await second.run(BUDGET), { kind: "poweroff", code: 0 });
});

test("reserve takes every frame at boot, and waits when there are too few", async () => {
  const { host, memoryBytes } = await tightHost();
  const kernel = elfProgram(emitPoweroff);
  const first = host.createMachine({ kernel, memoryBytes, reserve: true });
  await first.boot();
  assert.ok(first.stats().framesUsed >= memoryBytes / 4096);
  first.dispose();
  const holder = makeToucher(host, memoryBytes, "holder");
  await holder.boot();
  await holder.run(BUDGET);
  const second = host.createMachine({ kernel, memoryBytes, reserve: true });
  const booting = second.boot().then(
    () => "booted",
    (error) => (error instanceof VmError ? error.code : String(error)),
  );
  await turns(5);
  second.dispose();
  assert.is(await booting, "disposed");
});

test("demand zero: untouched memory costs nothing", async () => {
  const host = await smallHost();
  const kernel = elfProgram(emitPoweroff);
  const machine = host.createMachine({ kernel, memoryBytes: "48M" });
  await machine.boot();
  await machine.run(BUDGET);
  assert.ok(machine.stats().framesUsed < 32, `${machine.stats().framesUsed} frames`);
});

test("the host refuses more machines than it was made for", async () => {
  const host = await smallHost({ machinesMax: 2 });
  const kernel = elfProgram(emitPoweroff);
  host.createMachine({ kernel, memoryBytes: "1M" });
  const second = host.createMachine({ kernel, memoryBytes: "1M" });
  assert.throws(
    () => host.createMachine({ kernel, memoryBytes: "1M" }),
    (error: unknown) => error instanceof VmError && error.code === "limit",
  );
  second.dispose();
  host.createMachine({ kernel, memoryBytes: "1M" });
});

test("what somebody keeps without need comes back before a machine starves", async () => {
  const { host, memoryBytes } = await tightHost();
  const kernel = elfProgram(toucher(RAM + MEBIBYTE, RAM + memoryBytes, 2));
  const machine = host.createMachine({ memoryBytes, kernel });
  await machine.boot();
  await machine.run(4 * (memoryBytes / 4096));
  const root = machine.view.retainRoot();
  let asked = 0;
  const end = host.onShort(() => {
    asked++;
    const isThere = !root.isReleased;
    root.release();
    return isThere;
  });
  assert.is((await machine.run(BUDGET)).kind, "poweroff");
  assert.is(asked, 1);
  end();
  host.dispose();
});

test.run();
