/**
 * fork: law 2: whatever a child does, its parent stays what it would have been; children are other
 * machines, exact ones are the same; disks, names, limits, frames.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type BlockBackend,
  type Host,
  type Machine,
  type MachineConfig,
  MemoryBackend,
  OverlayBackend,
  type VmError,
} from "../../src/node.ts";
import { DISK_SECTORS, emitDiskGuest } from "../helpers/disk-guest.ts";
import { elfProgram, emitHang, RAM, smallHost } from "../helpers/guest-program.ts";
import { HostTime } from "../helpers/host-time.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("machine/fork");
const SEED = seedOf(20_261_123);
const DISK_BYTES = DISK_SECTORS * 512;
const GENID = 0x10_2000;

const makeDisk = () => new MemoryBackend(new Uint8Array(DISK_BYTES));

async function booted(host: Host, config: MachineConfig): Promise<Machine> {
  const machine = host.createMachine({ memoryBytes: "4M", ...config });
  await machine.boot();
  return machine;
}

async function run(machine: Machine, instructions: number): Promise<void> {
  assert.is((await machine.run(instructions)).kind, "budget");
}

function contentsOf(disk: BlockBackend): Uint8Array {
  const all = new Uint8Array(disk.bytes);
  disk.read(0, all);
  return all;
}

const generationOf = (machine: Machine) => machine.devices.bus.find(GENID)?.save().bytes.join();

async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as VmError).code;
  }
  return assert.unreachable("it was taken") as never;
}

const DISKS: Record<string, () => BlockBackend> = {
  "in place": makeDisk,
  overlay: () => new OverlayBackend(makeDisk()),
};

for (const [kind, make] of Object.entries(DISKS)) {
  test(`law 2, disk ${kind}: forks of forks that diverge leave the parent what it was`, async () => {
    const random = new Random(SEED);
    const host = await smallHost({ machinesMax: 12 });
    const config = { kernel: elfProgram(emitDiskGuest), seed: 7 };
    const [disk, plainDisk] = [make(), make()];
    const parent = await booted(host, { ...config, disks: [disk] });
    const plain = await booted(host, { ...config, disks: [plainDisk] });
    const children: Machine[] = [];
    for (let round = 0; round < 30; round++) {
      const length = random.between(1, 8000);
      await run(plain, length);
      const whole = parent.run(length);
      if (random.chance(50)) {
        // in the midst of the parent's run
        await new Promise((resolve) => setImmediate(resolve));
        children.push(...(await parent.fork(1)));
      }
      assert.is((await whole).kind, "budget");
      if (random.chance(40)) children.push(...(await random.pick([parent, ...children]).fork(1)));
      for (const child of children) {
        child.view.memory.write(RAM + 0x20_0000, Uint8Array.of(random.below(256)));
        child.view.harts[0].setX(20, random.u64());
        await run(child, random.between(1, 8000));
      }
      while (children.length > 6) children.splice(random.below(children.length), 1)[0].dispose();
      const where = `SEED=${SEED}, round ${round}`;
      assert.is(parent.stateDigest(), plain.stateDigest(), where);
      assert.equal(contentsOf(disk), contentsOf(plainDisk), `${where}: the disk`);
    }
    host.dispose();
  });
}

test("an exact child is the parent, bit by bit, for as long as both run alike", async () => {
  const host = await smallHost();
  const parent = await booted(host, { kernel: elfProgram(emitDiskGuest), disks: [makeDisk()] });
  await run(parent, 12_345);
  parent.console.write("typed and not taken");
  const [child] = await parent.fork(1, { exact: true });
  assert.is(child.stateDigest(), parent.stateDigest());
  assert.is(generationOf(child), generationOf(parent));
  assert.is(child.console.inputPending, parent.console.inputPending);
  for (const machine of [child, parent]) await run(machine, 50_000);
  assert.is(child.stateDigest(), parent.stateDigest());
});

test("children have generation ids and random numbers of their own, and replay alike", async () => {
  const draw = async () => {
    const host = await smallHost({ machinesMax: 8 });
    const parent = await booted(host, { kernel: elfProgram(emitHang), seed: 3 });
    await run(parent, 1000);
    const all = [parent, ...(await parent.fork(3)), ...(await parent.fork(1))];
    all.push(...(await all[1].fork(1)));
    const pending = all.map((machine) => machine.devices.bus.find(0xc00_0000)?.read(0x1000, 4));
    const ids = all.map(generationOf);
    host.dispose();
    return { ids, pending };
  };
  const { ids, pending } = await draw();
  assert.is(new Set(ids).size, ids.length, "no two alike");
  assert.equal(pending, [0, ...Array(5).fill(1 << 12)], "children are told by interrupt 12");
  assert.equal((await draw()).ids, ids, "the same program forks the same children");
});

test("a child under the host's clock draws from the host", async () => {
  const host = await smallHost();
  const parent = await booted(host, { kernel: elfProgram(emitHang), clock: "host" });
  const children = await parent.fork(2);
  assert.is(new Set([parent, ...children].map(generationOf)).size, 3);
});

test("state, names and console: ready when the parent is, paused when it is paused", async () => {
  const host = await smallHost({ machinesMax: 8 });
  const parent = await booted(host, {
    name: "a",
    kernel: elfProgram(emitDiskGuest),
    disks: [makeDisk()],
  });
  await run(parent, 5000);
  const [one, two] = await parent.fork(2);
  assert.equal([one.name, one.state, two.name], ["a-1", "running", "a-2"]);
  parent.pause();
  const [left, right] = await parent.fork(2, { names: ["left", "right"] });
  assert.equal([left.name, left.state, right.name], ["left", "paused", "right"]);
  let text = "";
  one.console.onOutput((bytes) => (text += String.fromCharCode(...bytes)));
  await run(one, 60_000);
  assert.ok(text.length > 1, "it prints on its own console");
});

test("what cannot be: no booted guest, no room, wrong numbers; then there is no child", async () => {
  const host = await smallHost({ machinesMax: 3 });
  const machine = host.createMachine({ memoryBytes: "4M", kernel: elfProgram(emitHang) });
  assert.is(await refusal(() => machine.fork()), "bad-state");
  await machine.boot();
  const { framesFree } = host.stats();
  assert.is(await refusal(() => machine.fork(0)), "bad-argument");
  assert.is(await refusal(() => machine.fork(2, { names: ["x"] })), "bad-argument");
  assert.is(await refusal(() => machine.fork(3)), "limit");
  assert.is(await refusal(() => machine.fork(1, { clock: "jump" })), "bad-argument");
  assert.is(host.machines.length, 1);
  assert.is(host.stats().framesFree, framesFree);
});

test("a child costs a frame, and children give everything back", async () => {
  const host = await smallHost({ machinesMax: 20 });
  const free = host.stats().framesFree;
  const parent = await booted(host, { kernel: elfProgram(emitDiskGuest), disks: [makeDisk()] });
  await run(parent, 30_000);
  const before = host.stats().framesFree;
  const children = await parent.fork(10);
  assert.is(before - host.stats().framesFree, 10);
  for (const child of children) await run(child, 3000);
  parent.dispose();
  for (const child of children) await run(child, 3000);
  for (const child of children) child.dispose();
  assert.is(host.stats().framesFree, free);
});

test("disks are free when machine, forks and captures are gone", async () => {
  const host = await smallHost({ machinesMax: 8 });
  const parent = await booted(host, { kernel: elfProgram(emitDiskGuest), disks: [makeDisk()] });
  await run(parent, 3000);
  let isFree = false;
  void parent.disksFree().then(() => (isFree = true));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const [child] = await parent.fork();
  const [grandchild] = await child.fork();
  const capture = child.capture();
  const copy = await host.createFrom(capture);
  for (const gone of [parent, child, grandchild]) gone.dispose();
  capture.release();
  await turn();
  assert.is(isFree, false, "a machine made from the capture reads them");
  copy.resume();
  await run(copy, 20_000);
  copy.dispose();
  copy.dispose();
  await turn();
  assert.is(isFree, true);
});

test("clock jump: machine time catches up with the host, no timer is left out", async () => {
  const time = new HostTime();
  const host = await smallHost({ platform: time });
  // wakes every 100 ms and counts in s0
  const kernel = elfProgram((a) => {
    a.li("s0", 0);
    a.li("s1", 0x200_4000);
    a.li("s2", 0x200_bff8);
    a.li("t0", 0x80);
    a.csrs("mie", "t0");
    a.ld("s3", "s2", 0);
    a.label("again");
    a.li("t0", 1_000_000);
    a.add("s3", "s3", "t0");
    a.sd("s3", "s1", 0);
    a.label("wait");
    a.wfi();
    a.ld("t1", "s2", 0);
    a.bltu("t1", "s3", "wait");
    a.addi("s0", "s0", 1);
    a.j("again");
  });
  const machine = await booted(host, { kernel, clock: "host" });
  const stopAt = async (one: Machine, wakes: number) => {
    const running = one.run();
    while (one.view.harts[0].xNumber(8) < wakes) await time.pass(10);
    one.stop();
    await running;
  };
  await stopAt(machine, 5);
  const capture = machine.capture();
  const ticks = machine.stats().ticks;
  time.sleep(3_600_000);
  const resumed = await host.createFrom(capture);
  const jumped = await host.createFrom(capture, {}, { clock: "jump" });
  for (const one of [resumed, jumped]) one.resume();
  assert.ok(Math.abs(resumed.stats().ticks - ticks) < 1000, "time stood still meanwhile");
  machine.pause();
  await time.pass(60_000);
  const [late] = await machine.fork(1, { clock: "jump" });
  late.resume();
  await stopAt(late, 600);
  const begin = time.wallMs();
  await stopAt(jumped, 36_000);
  assert.ok(time.wallMs() - begin < 3000, "in no time");
  const behindMs = 3_600_000 - (jumped.stats().ticks - ticks) / 10_000;
  assert.ok(Math.abs(behindMs) < 3000, `${behindMs} ms behind`);
  assert.ok(jumped.view.harts[0].xNumber(8) < 36_050, "each timer came once");
});

test.run();
