/**
 * virtio-limits: what virtio devices owe a machine whose guest, backend or host misbehaves: bounded
 * work, nothing written behind a reset's back, nothing done outside a session, requests under way
 * carried over.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext, FlatMemory, RAM_BASE } from "../../src/contract/fake-context.ts";
import type { BlockBackend } from "../../src/device/block/contract.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import type { Device } from "../../src/device/contract.ts";
import { VirtioBlk } from "../../src/device/virtio/blk.ts";
import { VirtioConsole } from "../../src/device/virtio/console.ts";
import { VirtioRng } from "../../src/device/virtio/rng.ts";
import { FEATURE_INDIRECT, FEATURE_VERSION_1 } from "../../src/device/virtio/transport.ts";
import { VmError } from "../../src/errors.ts";
import { INDIRECT, NEXT, VirtioDriver, WRITE } from "../helpers/virtio-driver.ts";

const test = suite("device/virtio-limits");

const SECTOR = 512;
const NEEDS_RESET = 64;
const FEATURES = FEATURE_VERSION_1 | FEATURE_INDIRECT;
const RAM_BYTES = 1 << 20;
const [IN, OUT, GET_ID] = [0, 1, 8];

/** RAM that counts what it is asked to make writable. */
class CountingMemory extends FlatMemory {
  reserved = 0;

  override reserve(gpa: number, bytes: number): boolean {
    this.reserved += bytes;
    return super.reserve(gpa, bytes);
  }
}

function drive<D extends Device>(device: D, memory = new FlatMemory(RAM_BYTES)) {
  const context = new FakeContext(memory);
  device.attach(context);
  const driver = new VirtioDriver(device, context);
  driver.start(device.kind === "virtio-console" ? 2 : 1, FEATURES);
  return { device, context, driver, memory };
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(8, sector, true);
  return bytes;
}

/** Offers an indirect chain: `first`, then 1000 descriptors that each span all of RAM. */
function offerWholeRam(driver: VirtioDriver, queue: number, first: Uint8Array | null): void {
  const count = 1000;
  const table = driver.allocate(16 * count);
  for (let index = 0; index < count; index++) {
    const flags = WRITE | (index < count - 1 ? NEXT : 0);
    driver.describe(table + 16 * index, RAM_BASE, RAM_BYTES, flags, index + 1);
  }
  if (first !== null) {
    const { gpa, bytes } = driver.give(first);
    driver.describe(table, gpa, bytes, NEXT, 1);
  }
  driver.describe(driver.descriptors(queue), table, 16 * count, INDIRECT, 0);
  driver.offer(queue, 0);
}

test("buffers that span RAM a thousand times cost no more than the device's own limit", () => {
  const LIMIT = 64 << 10;
  const disk = () => new VirtioBlk({ backend: new MemoryBackend(new Uint8Array(8 * SECTOR)) });
  const cases: [string, Device, Uint8Array | null][] = [
    ["entropy", new VirtioRng(), null],
    ["read", disk(), header(IN, 0)],
    ["write", disk(), header(OUT, 0)],
    ["identify", disk(), header(GET_ID, 0)],
    ["console input", new VirtioConsole({ output: () => {} }), null],
  ];
  for (const [what, device, first] of cases) {
    const memory = new CountingMemory(RAM_BYTES);
    const { driver, context } = drive(device, memory);
    if (device instanceof VirtioConsole) device.offer(new Uint8Array(100).fill(65));
    memory.reserved = 0;
    offerWholeRam(driver, 0, first);
    context.advance(device, context.ticks + 1_000_000);
    assert.ok(memory.reserved < LIMIT, `${what} reserved ${memory.reserved} bytes`);
  }
});

/** A disk that answers when the test says so. */
function lateDisk() {
  const answers: (() => void)[] = [];
  const backend: BlockBackend = {
    bytes: 8 * SECTOR,
    isReadOnly: false,
    read: (_offset, target) =>
      new Promise((resolve) => {
        answers.push(() => {
          target.fill(0x77);
          resolve();
        });
      }),
    write: () => {},
    flush: () => {},
    close: () => {},
  };
  return { answers, backend };
}

test("what a backend answers after a reset does not reach guest memory", async () => {
  const { answers, backend } = lateDisk();
  const { device, driver, context } = drive(new VirtioBlk({ backend }));
  const room = driver.room(SECTOR);
  const status = driver.room(1);
  driver.submit(0, [driver.give(header(IN, 0)), room, status]);
  context.advance(device, 1_000_000);
  assert.is(answers.length, 1);
  driver.setRegister(0x70, 0);
  const before = context.memory.bytes.slice();
  answers[0]();
  await Promise.all(context.holds);
  assert.equal(context.memory.bytes, before);
});

test("a late answer for which frames are short is kept until there are some", async () => {
  const { answers, backend } = lateDisk();
  const { device, driver, context, memory } = drive(new VirtioBlk({ backend }));
  const room = driver.room(SECTOR);
  driver.submit(0, [driver.give(header(IN, 0)), room, driver.room(1)]);
  context.advance(device, 1_000_000);
  memory.hasFrames = false;
  answers[0]();
  await Promise.all(context.holds);
  assert.equal(driver.completed(0), []);
  memory.hasFrames = true;
  device.retry();
  assert.equal(driver.completed(0), [{ head: 0, written: SECTOR + 1 }]);
  assert.is(driver.contents(room)[SECTOR - 1], 0x77);
  assert.is(answers.length, 1, "the backend was asked once");
});

test("DRIVER_OK without FEATURES_OK starts nothing", () => {
  const device = new VirtioRng();
  const { driver } = drive(device);
  driver.setRegister(0x70, 0);
  driver.setRegister(0x30, 0);
  driver.setRegister(0x38, driver.size);
  driver.setRegister(0x80, driver.descriptors(0));
  driver.setRegister(0x90, driver.available(0));
  driver.setRegister(0xa0, driver.used(0));
  driver.setRegister(0x44, 1);
  driver.setRegister(0x70, 7);
  driver.submit(0, [driver.room(8)]);
  assert.equal(driver.completed(0), []);
});

test("a queue that asked for a reset completes nothing more", () => {
  const backend = new MemoryBackend(new Uint8Array(8 * SECTOR));
  const { device, driver, context } = drive(new VirtioBlk({ backend }));
  driver.submit(0, [driver.give(header(IN, 0)), driver.room(SECTOR), driver.room(1)]);
  driver.offer(0, 999);
  assert.is(driver.register(0x70) & NEEDS_RESET, NEEDS_RESET);
  context.advance(device, 1_000_000);
  assert.equal(driver.completed(0), []);
  driver.setRegister(0x70, 15);
  assert.is(driver.register(0x70) & NEEDS_RESET, NEEDS_RESET, "only a reset takes the bit away");
});

test("a driver cannot set DEVICE_NEEDS_RESET, and live queues keep their addresses", () => {
  const { driver } = drive(new VirtioRng());
  driver.setRegister(0x70, 15 | NEEDS_RESET);
  assert.is(driver.register(0x70), 15);
  driver.setRegister(0x80, 0x1000);
  driver.submit(0, [driver.room(8)]);
  assert.is(driver.completed(0).length, 1);
});

test("a size that is not a power of two, or too large, asks for a reset", () => {
  for (const size of [0, 3, 255, 257, 512, 0xffffffff]) {
    const { driver } = drive(new VirtioRng());
    driver.setRegister(0x44, 0);
    driver.setRegister(0x38, size);
    assert.is(driver.register(0x70) & NEEDS_RESET, NEEDS_RESET, `size ${size}`);
    assert.is(driver.register(0x60) & 2, 2);
  }
});

test("requests under way are carried over: the copy completes them at the same times", () => {
  const contents = Uint8Array.from({ length: 64 * SECTOR }, (_, index) => (index * 31) & 0xff);
  const original = drive(new VirtioBlk({ backend: new MemoryBackend(contents) }));
  const rooms = [0, 1, 2].map((index) => {
    const room = original.driver.room(4 * SECTOR);
    const head = original.driver.give(header(IN, 4 * index));
    original.driver.submit(0, [head, room, original.driver.room(1)]);
    return room;
  });
  original.context.advance(original.device, 700); // between the first and the second
  const copy = new VirtioBlk({ backend: new MemoryBackend(contents) });
  const context = new FakeContext(new FlatMemory(RAM_BYTES));
  copy.attach(context);
  context.ticks = original.context.ticks;
  context.memory.bytes.set(original.context.memory.bytes);
  copy.restore(original.device.save());
  for (let round = 0; round < 10; round++) {
    assert.is(context.alarmTicks, original.context.alarmTicks, `alarm, round ${round}`);
    for (const machine of [original.context, context]) {
      machine.advance(machine === context ? copy : original.device, machine.ticks + 200);
    }
    assert.equal(context.memory.bytes, original.context.memory.bytes, `round ${round}`);
    assert.is(context.irq, original.context.irq);
  }
  assert.is(original.driver.completed(0).length, 3);
  for (const [index, room] of rooms.entries()) {
    const from = 4 * index * SECTOR;
    assert.equal(original.driver.contents(room), contents.slice(from, from + 4 * SECTOR));
  }
});

test("a section with features that this device does not offer is refused", () => {
  const { device } = drive(new VirtioRng());
  const section = device.save();
  const bytes = section.bytes.slice();
  bytes[4 + 1 + 8] |= 2; // a low feature bit, behind tag, status and two selectors
  assert.throws(
    () => device.restore({ ...section, bytes }),
    (error: unknown) => error instanceof VmError && error.code === "bad-section",
  );
  assert.equal(device.save().bytes, section.bytes);
});

test("console input that waits survives a driver's reset, in order", () => {
  const { device, driver } = drive(new VirtioConsole({ output: () => {} }));
  assert.is(device.offer(new TextEncoder().encode("type-ahead")), 10);
  driver.start(2, FEATURES);
  const room = driver.room(16);
  driver.submit(0, [room]);
  assert.is(driver.completed(0)[0].written, 10);
  assert.is(new TextDecoder().decode(driver.contents(room).subarray(0, 10)), "type-ahead");
});

test("console input is refused where it does not fit", () => {
  const { device } = drive(new VirtioConsole({ output: () => {} }));
  assert.is(device.inputRoom, 4096);
  assert.is(device.offer(new Uint8Array(5000)), 4096);
  assert.is(device.inputRoom, 0);
  assert.is(device.offer(new Uint8Array(1)), 0);
});

test.run();
