/**
 * host: what a guest, a disk or a reader could do to the host through time: answers that never come
 * or come after the machine is gone, waits that `stop` has to end, output that nobody takes.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/index.ts";
import type { BlockBackend } from "../../src/device/block/contract.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { TIME_END_TICKS } from "../../src/machine/clock.ts";
import { type Host, type Machine, VmError } from "../../src/node.ts";
import {
  elfProgram,
  emitHang,
  emitPoweroff,
  FINISHER,
  RAM,
  smallHost,
  UART,
} from "../helpers/guest-program.ts";
import { Random } from "../helpers/random.ts";
import { INDIRECT, NEXT, Rings, WRITE } from "./rings.ts";
import { FREE, Script } from "./script.ts";
import { besiege, heapBytes } from "./yard.ts";

const test = suite("hostile/host");
const SECTOR = 512;
const BUFFER = RAM + 0x100000;
const LONG = 1_000_000_000;

/** Turns of the event loop, so that everything that can happen has happened. */
async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const TURNS_MAX = 100_000;

/** Turns of the event loop until `isSo`; a slice may be short on a host that is busy. */
async function until(isSo: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX && !isSo(); turn++) await settle(1);
  assert.ok(isSo(), what);
}

/** A disk whose answers come when the test says so. */
function lateDisk() {
  const answers: (() => void)[] = [];
  const late = () => new Promise<void>((resolve) => answers.push(resolve));
  const backend: BlockBackend = {
    ...{ bytes: 64 * SECTOR, isReadOnly: false, close: () => {} },
    read: async (_offset, target) => {
      await late();
      target.fill(0x77);
    },
    write: late,
    flush: late,
  };
  return { answers, backend };
}

/** A guest that reads four sectors and ends. */
function reader(): Uint8Array {
  const script = new Script();
  const rings = new Rings(script, 0);
  rings.start(1);
  const data = { gpa: BUFFER, bytes: 4 * SECTOR, flags: WRITE };
  const status = { gpa: BUFFER - 8, bytes: 1, flags: WRITE };
  rings.chain(0, { gpa: FREE + 0x30000, bytes: 16 }, data, status);
  rings.offer(0);
  script.spin(20_000);
  return script.program();
}

async function boot(host: Host, kernel: Uint8Array, more = {}): Promise<Machine> {
  const machine = host.createMachine({ kernel, memoryBytes: "2M", ...more });
  await machine.boot();
  return machine;
}

test("a disk that answers when its machine is gone reaches nobody", async () => {
  const { answers, backend } = lateDisk();
  const host = await smallHost();
  const machine = await boot(host, reader(), { disks: [backend] });
  const running = machine.run(LONG);
  await until(() => answers.length === 1, "the disk was asked");
  machine.dispose();
  assert.equal(await running, { kind: "stopped" });
  // takes the place that the first one had in the core and asks for the same, of another disk
  const other = lateDisk();
  const heir = await boot(host, reader(), { disks: [other.backend] });
  const inheriting = heir.run(LONG);
  await until(() => other.answers.length === 1, "the other disk was asked");
  heir.stop();
  await inheriting;
  const before = heir.stateDigest();
  for (const answer of answers) answer();
  await settle();
  assert.is(heir.stateDigest(), before);
  host.dispose();
});

test("stop ends a run that waits for a disk that never answers; the answer still counts", async () => {
  const { answers, backend } = lateDisk();
  const host = await smallHost();
  const machine = await boot(host, reader(), { disks: [backend] });
  for (let round = 0; round < 3; round++) {
    const running = machine.run(LONG);
    await until(() => answers.length === 1, "the disk was asked");
    await settle();
    machine.stop();
    assert.equal(await running, { kind: "stopped" });
  }
  assert.is(answers.length, 1, "the disk is asked once");
  answers[0]();
  assert.equal(await machine.run(LONG), { kind: "poweroff", code: 0 });
  assert.is(machine.view.memory.readU64(BUFFER + 3 * SECTOR), 0x7777_7777_7777_7777n);
  host.dispose();
});

test("a listener may dispose of the machine that it hears", async () => {
  const host = await smallHost();
  const print = (a: Assembler) => {
    a.li("t0", UART);
    a.label("again");
    for (let count = 0; count < 100; count++) a.sb("t0", "t0", 0);
    a.j("again");
  };
  for (let round = 0; round < 5; round++) {
    const machine = await boot(host, elfProgram(print));
    machine.console.onOutput(() => machine.dispose());
    assert.equal(await machine.run(LONG), { kind: "stopped" });
    await settle();
    const { framesFree, framesTotal, machines } = host.stats();
    assert.equal([framesFree, machines], [framesTotal, 0]);
  }
  host.dispose();
});

test("who hears of a machine's end may dispose of it once more", async () => {
  const host = await smallHost();
  const heir = await boot(host, elfProgram(flood), { reserve: true });
  for (let round = 0; round < 5; round++) {
    const machine = await boot(host, elfProgram(flood));
    machine.on("end", () => machine.dispose());
    machine.on("state", () => machine.state === "terminated" && machine.dispose());
    const running = machine.run(LONG);
    await settle(2);
    machine.dispose();
    assert.equal(await running, { kind: "stopped" });
  }
  const held = heir.stats().framesUsed;
  const { framesFree, framesTotal } = host.stats();
  assert.is(framesFree, framesTotal - held);
  assert.equal(await heir.run(1000), { kind: "budget" });
  host.dispose();
});

test("stop ends a reboot that waits for frames, and the next run goes on with it", async () => {
  const host = await smallHost({ arenaBytes: 24 << 20 });
  const script = new Script();
  script.store(4, FINISHER, 0x7777);
  const kernel = script.program();
  const rebooting = await boot(host, kernel, { reserve: true, memoryBytes: "6M" });
  // takes every frame that the reset gives back, before the reload can
  const greedy = await boot(host, elfProgram(eater), { memoryBytes: "16M" });
  const eating = greedy.run();
  const running = rebooting.run(LONG);
  await until(() => rebooting.reason === "memory", "it lacks frames");
  rebooting.stop();
  assert.equal(await running, { kind: "stopped" });
  const again = rebooting.run(5000);
  await settle();
  greedy.dispose();
  assert.equal(await eating, { kind: "stopped" });
  assert.equal(await again, { kind: "budget" });
  assert.ok(rebooting.stats().reboots > 1);
  host.dispose();
});

/** Writes to one page after the other, for ever. */
function eater(a: Assembler): void {
  a.li("t0", RAM + 0x1000);
  a.li("t1", RAM + (16 << 20));
  a.li("t2", 4096);
  a.label("eat");
  a.sd("t0", "t0", 0);
  a.add("t0", "t0", "t2");
  a.bltu("t0", "t1", "eat");
  a.li("t0", RAM + 0x1000);
  a.j("eat");
}

test("times that a guest jumps to stay exact: nothing comes after 14 years", async () => {
  for (const wanted of [2n ** 52n, 2n ** 52n + 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    const host = await smallHost();
    const kernel = elfProgram((a) => {
      a.li("t0", 0x2004000);
      a.li("t1", wanted);
      a.sd("t1", "t0", 0);
      a.li("t1", 0x80);
      a.csrw("mie", "t1");
      a.wfi();
      emitPoweroff(a);
    });
    const machine = await boot(host, kernel);
    const { kind } = await machine.run(LONG);
    assert.is(kind, wanted <= BigInt(TIME_END_TICKS) ? "poweroff" : "idle", String(wanted));
    assert.ok(machine.stats().ticks <= TIME_END_TICKS + 100);
    host.dispose();
  }
});

test("clock alarms set again and again end at the end of time", async () => {
  const script = new Script();
  const [clock, controller] = [0x10_1000, 0xc00_0000];
  script.store(4, clock + 0x10, 1);
  script.store(4, controller + 4 * 11, 1).store(4, controller + 0x2000, 1 << 11);
  for (const offset of [0x0c, 0x08]) script.store(4, clock + offset, 0xffff_ffff);
  script.wait().store(4, clock + 0x1c, 1);
  script.load(4, controller + 0x20_0004);
  script.store(4, controller + 0x20_0004, 11).again(100);
  const kernel = script.program();
  await besiege({
    ...{ kernel, instructions: LONG, accepted: ["idle", "poweroff"] },
    inspect: ({ machine }) => {
      const { ticks } = machine.stats();
      assert.ok(ticks > TIME_END_TICKS / 2 && ticks <= TIME_END_TICKS + 1000, `${ticks} ticks`);
    },
  });
});

// ---- output and input that pile up ----

/** Prints without end. */
const flood = (a: Assembler): void => {
  a.li("t0", UART);
  a.label("flood");
  for (let count = 0; count < 64; count++) a.sb("t0", "t0", 0);
  a.addi("t0", "t0", 0);
  a.j("flood");
};

test("output that nobody listens to keeps its end, and no more of it", async () => {
  const host = await smallHost();
  const machine = await boot(host, elfProgram(flood));
  const before = await heapBytes();
  await machine.run(6_000_000);
  const grown = (await heapBytes()) - before;
  assert.ok(grown < 2 << 20, `${grown} bytes are kept`);
  let kept = 0;
  machine.console.onOutput((bytes) => (kept += bytes.length));
  assert.ok(kept > 900_000 && kept <= 1 << 20, `${kept} bytes of output`);
  host.dispose();
});

test("a reader that falls behind holds the machine, loses nothing, and lets go at its end", async () => {
  const host = await smallHost();
  const machine = await boot(host, elfProgram(flood));
  const output = machine.console[Symbol.asyncIterator]();
  const first = output.next();
  const running = machine.run(8_000_000);
  await first;
  await until(() => machine.devices.hub.isHeld, "the reader holds the machine");
  const held = machine.instructions;
  assert.ok(held < 2_000_000, `${held} instructions while nobody reads`);
  await settle(300);
  assert.is(machine.instructions, held, "it waits");
  let total = (await first).value?.length ?? 0;
  let isOver = false;
  void running.finally(() => (isOver = true));
  while (!isOver) {
    const next = await Promise.race([output.next(), running.then(() => null)]);
    if (next !== null) total += next.value?.length ?? 0;
  }
  assert.equal(await running, { kind: "budget" });
  assert.ok(total > machine.stats().exits.mmio - (1 << 20), `${total} bytes`);
  host.dispose();
});

test("a reader that leaves lets the machine go on", async () => {
  const host = await smallHost();
  const machine = await boot(host, elfProgram(flood));
  const running = machine.run(4_000_000);
  for await (const bytes of machine.console) {
    await settle(100);
    if (bytes.length > 0) break;
  }
  assert.equal(await running, { kind: "budget" });
  host.dispose();
});

test("a flood of single bytes of input costs its length", async () => {
  const host = await smallHost();
  const echo = (a: Assembler) => {
    a.li("t0", UART);
    a.label("poll");
    a.lbu("t1", "t0", 5);
    a.andi("t1", "t1", 1);
    a.beqz("t1", "poll");
    a.lbu("t1", "t0", 0);
    a.addi("s0", "s0", 1);
    a.j("poll");
  };
  const machine = await boot(host, elfProgram(echo));
  const bytes = 200_000;
  for (let count = 0; count < bytes; count++) machine.console.write(new Uint8Array(1));
  await machine.run(20 * bytes);
  assert.is(machine.view.harts[0].x(8), BigInt(bytes));
  assert.is(machine.console.inputPending, 0);
  host.dispose();
});

// ---- work that does not fit into a slice ----

test("what one notice leads to is the same in however many slices it is done", async () => {
  const script = new Script();
  const table = RAM + 0xc0000;
  for (let index = 0; index < 200; index++) {
    const last = index === 199;
    const rings = new Rings(script, 1);
    rings.describe(table, index, {
      ...{ gpa: BUFFER + 8 * index, bytes: 8, flags: WRITE | (last ? 0 : NEXT), next: index + 1 },
    });
  }
  const entropy = new Rings(script, 1);
  entropy.start(1);
  entropy.describe(entropy.descriptors(0), 0, { gpa: table, bytes: 3200, flags: INDIRECT });
  const console = new Rings(script, 2, FREE + 0x10000);
  console.start(2);
  console.chain(1, { gpa: BUFFER, bytes: 50_000 });
  for (let round = 0; round < 3; round++) {
    entropy.offer(0, 0, 256);
    console.offer(1, 0, 256);
  }
  const kernel = script.program();
  const more = {
    ...{ disks: [new MemoryBackend(new Uint8Array(8 * SECTOR))], consoleDevice: "virtio" },
  };
  const host = await smallHost();
  const digests: string[] = [];
  for (const seed of [0, 1, 2]) {
    const random = new Random(seed);
    const machine = await boot(host, kernel, more);
    let printed = 0;
    machine.console.onOutput((bytes) => (printed += bytes.length));
    let end: string = "budget";
    for (let pieces = 0; end === "budget" && pieces < 10_000; pieces++) {
      const running = machine.run(seed === 0 ? LONG : random.between(1, 200));
      // stopped between two pieces of work, it goes on there
      if (seed === 2 && random.chance(30)) machine.stop();
      end = (await running).kind;
      if (end === "stopped") end = "budget";
    }
    assert.is(end, "poweroff");
    assert.is(printed, 3 * 256 * 50_000);
    digests.push(machine.stateDigest());
    machine.dispose();
  }
  assert.equal(new Set(digests).size, 1);
  host.dispose();
});

// ---- files ----

test("thousands of headers over one symbol table cost no more than one", async () => {
  const sections = 60_000;
  const symbols = 40_000;
  const base = elfProgram(emitHang);
  const [names, table] = [base.length, base.length + 256];
  const headers = table + symbols * 24;
  const file = new Uint8Array(headers + sections * 64);
  file.set(base);
  file.fill(0x41, names, names + 255);
  const view = new DataView(file.buffer);
  const section = (index: number, type: number, at: number, bytes: number) => {
    view.setUint32(headers + 64 * index + 4, type, true);
    view.setBigUint64(headers + 64 * index + 24, BigInt(at), true);
    view.setBigUint64(headers + 64 * index + 32, BigInt(bytes), true);
  };
  section(0, 3, names, 256);
  for (let index = 1; index < sections; index++) section(index, 2, table, symbols * 24);
  view.setBigUint64(40, BigInt(headers), true);
  view.setUint16(58, 64, true);
  view.setUint16(60, sections, true);
  const host = await smallHost();
  const machine = await boot(host, file);
  assert.equal(await machine.run(1000), { kind: "budget" });
  host.dispose();
});

test("a host that ran out of machines or memory says so, and goes on", async () => {
  const host = await smallHost({ machinesMax: 2 });
  const [one, other] = [await boot(host, elfProgram(flood)), await boot(host, elfProgram(flood))];
  assert.throws(
    () => host.createMachine({ kernel: elfProgram(flood) }),
    (error: unknown) => error instanceof VmError && error.code === "limit",
  );
  assert.equal(await Promise.all([one.run(1000), other.run(1000)]), [
    { kind: "budget" },
    { kind: "budget" },
  ]);
  host.dispose();
});

test.run();
