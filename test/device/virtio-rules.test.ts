/**
 * virtio-rules: one test per rule of virtio 1.2 that a wrong device would break without any other
 * test noticing: each broken rule stands alone in a request that is otherwise fine.
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
import {
  FEATURE_EVENT_INDEX,
  FEATURE_INDIRECT,
  FEATURE_VERSION_1,
} from "../../src/device/virtio/transport.ts";
import { INDIRECT, NEXT, VirtioDriver, WRITE } from "../helpers/virtio-driver.ts";

const test = suite("device/virtio-rules");

const SECTOR = 512;
const NEEDS_RESET = 64;
const FLUSH = 1n << 9n;
const RAM_BYTES = 4 << 20;

function drive(device: Device, features = FEATURE_VERSION_1 | FEATURE_INDIRECT) {
  const context = new FakeContext(new FlatMemory(RAM_BYTES));
  device.attach(context);
  const driver = new VirtioDriver(device, context);
  driver.start(device.kind === "virtio-console" ? 2 : 1, features);
  return { device, context, driver };
}

const isBroken = (driver: VirtioDriver) => (driver.register(0x70) & NEEDS_RESET) !== 0;

function header(type: number, sector = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(8, sector, true);
  return bytes;
}

// ---- the queue: an entropy request is one writable buffer: nothing else can be wrong with it ----

test("a head behind the queue's end is refused though a descriptor lies there", () => {
  const { driver } = drive(new VirtioRng());
  const { gpa, bytes } = driver.room(8);
  driver.describe(driver.descriptors(0) + 16 * 20, gpa, bytes, WRITE, 0);
  driver.offer(0, 20);
  assert.is(isBroken(driver), true);
});

test("a next behind the queue's end is refused though a descriptor lies there", () => {
  const { driver } = drive(new VirtioRng());
  const { gpa, bytes } = driver.room(8);
  driver.describe(driver.descriptors(0), gpa, bytes, WRITE | NEXT, 20);
  driver.describe(driver.descriptors(0) + 16 * 20, gpa, bytes, WRITE, 0);
  driver.offer(0, 0);
  assert.is(isBroken(driver), true);
});

test("more requests than the queue holds are refused though each is fine", () => {
  const { driver } = drive(new VirtioRng());
  const { gpa, bytes } = driver.room(8);
  driver.describe(driver.descriptors(0), gpa, bytes, WRITE, 0);
  driver.setU16(driver.available(0) + 2, driver.size + 1);
  driver.setRegister(0x50, 0);
  assert.is(isBroken(driver), true);
});

test("an indirect table inside an indirect table is refused though it would end", () => {
  const { driver } = drive(new VirtioRng());
  const { gpa, bytes } = driver.room(8);
  const [outer, inner] = [driver.allocate(16), driver.allocate(16)];
  driver.describe(inner, gpa, bytes, WRITE, 0);
  driver.describe(outer, inner, 16, INDIRECT, 0);
  driver.describe(driver.descriptors(0), outer, 16, INDIRECT, 0);
  driver.offer(0, 0);
  assert.is(isBroken(driver), true);
});

test("a writable buffer outside RAM is refused, not waited for", () => {
  for (const gpa of [0x1000_0000, RAM_BASE + RAM_BYTES - 4, 2 ** 32 * 5, 2 ** 52]) {
    const { driver } = drive(new VirtioRng());
    driver.describe(driver.descriptors(0), gpa, 8, WRITE, 0);
    driver.offer(0, 0);
    assert.is(isBroken(driver), true, `at 0x${gpa.toString(16)}`);
  }
});

test("NO_INTERRUPT in the available ring keeps the line low", () => {
  const { driver, context } = drive(new VirtioRng());
  driver.setU16(driver.available(0), 1);
  driver.submit(0, [driver.room(8)]);
  assert.is(driver.completed(0).length, 1);
  assert.is(context.irq, false);
  driver.setU16(driver.available(0), 0);
  driver.submit(0, [driver.room(8)]);
  assert.is(context.irq, true);
});

for (const features of [FEATURE_VERSION_1, FEATURE_VERSION_1 | FEATURE_EVENT_INDEX]) {
  const how = features === FEATURE_VERSION_1 ? "without" : "with";
  test(`indices run over 65535 ${how} EVENT_IDX`, () => {
    const { driver, context } = drive(new VirtioRng(), features);
    const { gpa, bytes } = driver.room(1);
    driver.describe(driver.descriptors(0), gpa, bytes, WRITE, 0);
    const event = driver.available(0) + 4 + 2 * driver.size;
    for (let index = 0; index < 66_000; index++) {
      driver.setU16(event, index & 0xffff); // tell me of this one
      driver.offer(0, 0);
      assert.is(context.irq, true, `request ${index}`);
      driver.setRegister(0x64, 1);
    }
    assert.is(driver.u16(driver.used(0) + 2), 66_000 & 0xffff);
  });
}

// ---- the transport ----

test("acknowledging one cause leaves the line high for the other", () => {
  const { driver, context } = drive(new VirtioRng());
  driver.submit(0, [driver.room(8)]);
  driver.offer(0, 999);
  assert.is(driver.register(0x60), 3);
  driver.setRegister(0x64, 1);
  assert.is(context.irq, true);
  driver.setRegister(0x64, 2);
  assert.is(context.irq, false);
});

test("features cannot change once they are taken", () => {
  const { driver } = drive(new VirtioRng(), FEATURE_VERSION_1);
  driver.setRegister(0x24, 0);
  driver.setRegister(0x20, Number(FEATURE_INDIRECT));
  const kept = driver.device.save().bytes;
  driver.setRegister(0x20, 0);
  assert.equal(driver.device.save().bytes, kept);
  const table = driver.allocate(16);
  const { gpa, bytes } = driver.room(8);
  driver.describe(table, gpa, bytes, WRITE, 0);
  driver.describe(driver.descriptors(0), table, 16, INDIRECT, 0);
  driver.offer(0, 0);
  assert.is(isBroken(driver), true, "indirect was not negotiated");
});

test("the configuration's generation moves with what it announces", () => {
  const { driver } = drive(new VirtioRng());
  const before = driver.register(0xfc);
  driver.offer(0, 999);
  assert.is.not(driver.register(0xfc), before);
});

// ---- the disk ----

test("requests are served one behind the other: each waits for those before it", () => {
  const { device, context, driver } = drive(
    new VirtioBlk({ backend: new MemoryBackend(new Uint8Array(64 * SECTOR)) }),
    FEATURE_VERSION_1 | FLUSH,
  );
  const times: number[] = [];
  for (const sectors of [1, 4, 2]) {
    const room = driver.room(sectors * SECTOR);
    driver.submit(0, [driver.give(header(0)), room, driver.room(1)]);
  }
  for (let tick = 0; tick < 3000; tick++) {
    context.advance(device, tick);
    for (const _ of driver.completed(0)) times.push(tick);
  }
  // 500 ticks and one for every 100 bytes, each
  assert.equal(times, [506, 506 + 521, 506 + 521 + 511]);
});

test("a request larger than the device's limit is an I/O error though the disk is larger", () => {
  const asked: number[] = [];
  const backend: BlockBackend = {
    bytes: 1 << 30,
    isReadOnly: false,
    read: (_offset, target) => void asked.push(target.length),
    write: (_offset, bytes) => void asked.push(bytes.length),
    flush: () => {},
    close: () => {},
  };
  for (const type of [0, 1]) {
    const { device, context, driver } = drive(new VirtioBlk({ backend }));
    const count = 18; // MiB
    const data = driver.allocate(1 << 20);
    const table = driver.allocate(16 * (count + 2));
    const status = driver.room(1);
    driver.describe(table, driver.give(header(type)).gpa, 16, NEXT, 1);
    for (let index = 1; index <= count; index++) {
      const flags = type === 0 ? NEXT | WRITE : NEXT;
      driver.describe(table + 16 * index, data, 1 << 20, flags, index + 1);
    }
    driver.describe(table + 16 * (count + 1), status.gpa, 1, WRITE, 0);
    driver.describe(driver.descriptors(0), table, 16 * (count + 2), INDIRECT, 0);
    driver.offer(0, 0);
    context.advance(device, 10_000_000);
    assert.is(driver.contents(status)[0], 1);
    assert.equal(driver.completed(0), [{ head: 0, written: 1 }]);
  }
  assert.equal(asked, [], "the backend was not asked");
});

test("without FLUSH every write is made durable, with it the driver says when", () => {
  for (const [features, expected] of [
    [FEATURE_VERSION_1, "write flush"],
    [FEATURE_VERSION_1 | FLUSH, "write"],
  ] as const) {
    const calls: string[] = [];
    const backend: BlockBackend = {
      bytes: 8 * SECTOR,
      isReadOnly: false,
      read: () => {},
      write: () => void calls.push("write"),
      flush: () => void calls.push("flush"),
      close: () => {},
    };
    const { device, context, driver } = drive(new VirtioBlk({ backend }), features);
    driver.submit(0, [driver.give(header(1)), driver.give(new Uint8Array(512)), driver.room(1)]);
    context.advance(device, 10_000);
    assert.is(calls.join(" "), expected);
  }
});

test("an answer to the session before is not taken for one of this session", async () => {
  const asked: { target: Uint8Array; answer: () => void }[] = [];
  const backend: BlockBackend = {
    bytes: 8 * SECTOR,
    isReadOnly: false,
    read: (_offset, target) =>
      new Promise((resolve) => {
        asked.push({ target, answer: resolve });
      }),
    write: () => {},
    flush: () => {},
    close: () => {},
  };
  const { device, context, driver } = drive(new VirtioBlk({ backend }));
  driver.submit(0, [driver.give(header(0)), driver.room(SECTOR), driver.room(1)]);
  context.advance(device, 10_000);
  driver.context.memory.bytes.fill(0, 0, 0x4000);
  driver.start(1, FEATURE_VERSION_1);
  asked[0].target.fill(1);
  asked[0].answer();
  await context.holds[0];
  const room = driver.room(SECTOR);
  driver.submit(0, [driver.give(header(0, 1)), room, driver.room(1)]);
  context.advance(device, 20_000);
  assert.is(asked.length, 2, "the backend is asked again");
  asked[1].target.fill(2);
  asked[1].answer();
  await context.holds[1];
  assert.is(driver.contents(room)[0], 2);
});

test("a header split over buffers and a status behind data in one buffer are understood", () => {
  const contents = Uint8Array.from({ length: 8 * SECTOR }, (_, index) => index & 0xff);
  const { device, context, driver } = drive(
    new VirtioBlk({ backend: new MemoryBackend(contents) }),
  );
  const whole = header(0, 3);
  const room = driver.room(SECTOR + 1);
  const [first, second] = [driver.give(whole.slice(0, 5)), driver.give(whole.slice(5))];
  driver.submit(0, [first, second, room]);
  context.advance(device, 10_000);
  assert.equal(driver.completed(0), [{ head: 0, written: SECTOR + 1 }]);
  const got = driver.contents(room);
  assert.equal(got.slice(0, SECTOR), contents.slice(3 * SECTOR, 4 * SECTOR));
  assert.is(got[SECTOR], 0);
});

// ---- the console ----

test("output of one request has a limit", () => {
  let printed = 0;
  const { driver } = drive(new VirtioConsole({ output: (bytes) => (printed += bytes.length) }));
  const big = driver.allocate(1 << 20);
  driver.describe(driver.descriptors(1), big, 1 << 20, 0, 0);
  driver.offer(1, 0);
  assert.is(printed, 1 << 20);
  driver.describe(driver.descriptors(1), big, (1 << 20) + 1, 0, 0);
  driver.offer(1, 0);
  assert.is(isBroken(driver), true);
  assert.is(printed, 1 << 20);
});

test("buffers that come ask the sender for more", () => {
  const sender = [..."hello"].map((letter) => letter.charCodeAt(0));
  const device: VirtioConsole = new VirtioConsole({
    output: () => {},
    onInputRoom: () => {
      const count = Math.min(device.inputRoom, sender.length);
      device.offer(Uint8Array.from(sender.splice(0, count)));
    },
  });
  const { driver } = drive(device);
  const room = driver.room(8);
  driver.submit(0, [room]);
  assert.is(driver.completed(0)[0]?.written, 5);
});

test.run();
