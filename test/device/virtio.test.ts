/**
 * virtio: transport, queues, block, console and entropy, driven as a driver does it, well and
 * badly.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext, RAM_BASE } from "../../src/contract/fake-context.ts";
import type { BlockBackend } from "../../src/device/block/contract.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { OverlayBackend } from "../../src/device/block/overlay.ts";
import type { Device } from "../../src/device/contract.ts";
import { VirtioBlk } from "../../src/device/virtio/blk.ts";
import { VirtioConsole } from "../../src/device/virtio/console.ts";
import { VirtioRng } from "../../src/device/virtio/rng.ts";
import {
  FEATURE_EVENT_INDEX,
  FEATURE_INDIRECT,
  FEATURE_VERSION_1,
} from "../../src/device/virtio/transport.ts";
import { Random } from "../helpers/random.ts";
import { INDIRECT, NEXT, VirtioDriver, WRITE } from "../helpers/virtio-driver.ts";

const test = suite("device/virtio");

const FLUSH = 1n << 9n;
const READ_ONLY = 1n << 5n;
const NEEDS_RESET = 64;
const SECTOR = 512;

function driverOf(device: Device, features = FEATURE_VERSION_1 | FLUSH): VirtioDriver {
  const context = new FakeContext();
  device.attach(context);
  const driver = new VirtioDriver(device, context);
  driver.start(device.kind === "virtio-console" ? 2 : 1, features);
  return driver;
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  return bytes;
}

function disk(bytes: number): Uint8Array {
  const random = new Random(5);
  return Uint8Array.from({ length: bytes }, () => random.u32() & 0xff);
}

/** Runs one request to its end: status byte, data read, bytes that the device says it wrote. */
function request(driver: VirtioDriver, type: number, sector: number, data: number | Uint8Array) {
  const status = driver.room(1);
  const room = typeof data === "number" ? driver.room(data) : driver.give(data);
  const chain = [driver.give(header(type, sector)), ...(room.bytes > 0 ? [room] : []), status];
  const head = driver.submit(0, chain);
  driver.context.advance(driver.device, driver.context.ticks + 1_000_000);
  const [done] = driver.completed(0);
  assert.is(done?.head, head, "the request came back");
  return { status: driver.contents(status)[0], data: driver.contents(room), written: done.written };
}

test("says what it is, and offers version 1 and no legacy", () => {
  const device = new VirtioBlk({ backend: new MemoryBackend(disk(8 * SECTOR)), slot: 3 });
  device.attach(new FakeContext());
  assert.is(device.base, 0x10004000);
  assert.is(device.irq, 4);
  assert.equal(
    [0, 4, 8].map((at) => device.read(at, 4)),
    [0x74726976, 2, 2],
  );
  device.write(0x14, 4, 1);
  assert.is(device.read(0x10, 4) & 1, 1, "VERSION_1");
  assert.is(device.read(0xb0, 4), 0xffffffff, "no shared memory");
  assert.is(device.read(0x100, 4), 8, "capacity in sectors");
});

test("slots from 8 on have the numbers behind QEMU's", () => {
  const device = new VirtioRng({ slot: 9 });
  assert.is(device.base, 0x1000a000);
  assert.is(device.irq, 37);
});

test("does not accept features that it did not offer, nor a driver without VERSION_1", () => {
  for (const features of [FEATURE_VERSION_1 | (1n << 11n), FLUSH]) {
    const device = new VirtioBlk({ backend: new MemoryBackend(disk(SECTOR)) });
    device.attach(new FakeContext());
    device.write(0x70, 4, 3);
    for (const half of [0, 1]) {
      device.write(0x24, 4, half);
      device.write(0x20, 4, Number((features >> BigInt(32 * half)) & 0xffffffffn));
    }
    device.write(0x70, 4, 11);
    assert.is(device.read(0x70, 4), 3, "FEATURES_OK was not taken");
  }
});

test("a read completes after its modelled latency, with data, status and one interrupt", () => {
  const contents = disk(64 * SECTOR);
  const driver = driverOf(new VirtioBlk({ backend: new MemoryBackend(contents) }));
  const status = driver.room(1);
  const room = driver.room(2 * SECTOR);
  driver.submit(0, [driver.give(header(0, 7)), room, status]);
  assert.equal(driver.completed(0), [], "not at once");
  assert.is(driver.context.alarmTicks, 500 + Math.ceil((2 * SECTOR) / 100));
  driver.context.advance(driver.device, 10_000);
  assert.equal(driver.completed(0), [{ head: 0, written: 2 * SECTOR + 1 }]);
  assert.equal(driver.contents(room), contents.slice(7 * SECTOR, 9 * SECTOR));
  assert.is(driver.contents(status)[0], 0);
  assert.is(driver.context.irq, true);
  assert.is(driver.register(0x60), 1);
  driver.setRegister(0x64, 1);
  assert.is(driver.context.irq, false);
});

test("writes, flushes and identifies", () => {
  const contents = disk(64 * SECTOR);
  const driver = driverOf(new VirtioBlk({ backend: new MemoryBackend(contents), id: "disk-a" }));
  const data = disk(3 * SECTOR).reverse();
  assert.is(request(driver, 1, 5, data).status, 0);
  assert.equal(contents.slice(5 * SECTOR, 8 * SECTOR), data);
  assert.is(request(driver, 4, 0, 0).status, 0);
  const id = request(driver, 8, 0, 20);
  assert.is(new TextDecoder().decode(id.data).replace(/\0+$/, ""), "disk-a");
  assert.is(request(driver, 99, 0, SECTOR).status, 2, "unsupported");
});

test("a disk counts what was asked of it, and shows its queue", () => {
  const backend = new MemoryBackend(disk(8 * SECTOR));
  const device = new VirtioBlk({ backend });
  const driver = driverOf(device);
  request(driver, 0, 0, 2 * SECTOR);
  request(driver, 1, 1, disk(SECTOR));
  request(driver, 4, 0, 0);
  request(driver, 0, 100, SECTOR);
  const { figures, queues = [], registers } = device.inspect();
  const done = { reads: 1, readBytes: 2 * SECTOR, writes: 1, writtenBytes: SECTOR };
  const rest = { flushes: 1, errors: 1, capacityBytes: 8 * SECTOR, pendingRequests: 0 };
  assert.equal(figures, { ...done, ...rest });
  const [{ isReady, servedIndex, usedIndex }] = queues;
  assert.equal([isReady, servedIndex, usedIndex], [true, 4, 4]);
  const status = registers.find(({ name }) => name === "Status");
  assert.is(status?.value, driver.register(0x70));
});

test("every access outside the disk is an I/O error and touches nothing", () => {
  const contents = disk(8 * SECTOR);
  const before = contents.slice();
  const driver = driverOf(new VirtioBlk({ backend: new MemoryBackend(contents) }));
  for (const sector of [8, 7.0, 2 ** 40, 2 ** 50]) {
    assert.is(request(driver, 1, sector, disk(2 * SECTOR)).status, 1, `write at ${sector}`);
    assert.is(request(driver, 0, sector, 2 * SECTOR).status, 1, `read at ${sector}`);
  }
  assert.is(request(driver, 0, 0, 100).status, 1, "not whole sectors");
  assert.equal(contents, before);
});

test("a read-only disk says so and refuses writes", () => {
  const contents = disk(8 * SECTOR);
  const before = contents.slice();
  const backend = new MemoryBackend(contents, { isReadOnly: true });
  const driver = driverOf(new VirtioBlk({ backend }), FEATURE_VERSION_1 | READ_ONLY);
  assert.is(request(driver, 1, 0, disk(SECTOR).fill(1)).status, 1);
  assert.equal(contents, before);
});

test("an overlay keeps writes to itself", () => {
  const contents = disk(40 * SECTOR);
  const before = contents.slice();
  const overlay = new OverlayBackend(new MemoryBackend(contents, { isReadOnly: true }));
  const driver = driverOf(new VirtioBlk({ backend: overlay }));
  const random = new Random(9);
  const model = contents.slice();
  for (let round = 0; round < 100; round++) {
    const sector = random.below(39);
    const count = 1 + random.below(Math.min(12, 40 - sector));
    if (random.below(2) === 0) {
      const data = Uint8Array.from({ length: count * SECTOR }, () => random.u32() & 0xff);
      model.set(data, sector * SECTOR);
      assert.is(request(driver, 1, sector, data).status, 0);
    } else {
      const { data } = request(driver, 0, sector, count * SECTOR);
      assert.equal(data, model.slice(sector * SECTOR, (sector + count) * SECTOR));
    }
    if (round % 4 === 0) driver.start(1, FEATURE_VERSION_1 | FLUSH);
  }
  assert.equal(contents, before, "the base is untouched");
  const whole = before.slice();
  for (const { offset, bytes } of overlay.delta()) whole.set(bytes, offset);
  assert.equal(whole, model, "base and delta make the disk");
});

test("a backend that fails is an I/O error for the guest", () => {
  const fails = () => {
    throw new Error("gone");
  };
  const backend: BlockBackend = {
    bytes: 8 * SECTOR,
    isReadOnly: false,
    read: fails,
    write: fails,
    flush: fails,
    close: () => {},
  };
  const driver = driverOf(new VirtioBlk({ backend }));
  assert.is(request(driver, 0, 0, SECTOR).status, 1);
  assert.is(request(driver, 1, 0, disk(SECTOR)).status, 1);
  assert.is(request(driver, 4, 0, 0).status, 1);
});

test("a late backend holds machine time, and a reset meanwhile drops its answer", async () => {
  let answer: () => void = () => {};
  const backend: BlockBackend = {
    bytes: 8 * SECTOR,
    isReadOnly: false,
    read: (_offset, target) =>
      new Promise((resolve) => {
        answer = () => {
          target.fill(7);
          resolve();
        };
      }),
    write: () => {},
    flush: () => {},
    close: () => {},
  };
  const driver = driverOf(new VirtioBlk({ backend }));
  const room = driver.room(SECTOR);
  driver.submit(0, [driver.give(header(0, 0)), room, driver.room(1)]);
  driver.context.advance(driver.device, 10_000);
  assert.is(driver.context.holds.length, 1);
  assert.equal(driver.completed(0), []);
  answer();
  await driver.context.holds[0];
  assert.equal(driver.completed(0), [{ head: 0, written: SECTOR + 1 }]);
  assert.is(driver.contents(room)[0], 7);
  driver.submit(0, [driver.give(header(0, 0)), driver.room(SECTOR), driver.room(1)]);
  driver.context.advance(driver.device, 20_000);
  driver.context.memory.bytes.fill(0, 0, 0x4000);
  driver.start(1, FEATURE_VERSION_1 | FLUSH);
  answer();
  await driver.context.holds[1];
  assert.equal(driver.completed(0), [], "the old session's answer is gone");
});

test("requests wait while frames are short, and go on with retry", () => {
  const driver = driverOf(new VirtioBlk({ backend: new MemoryBackend(disk(8 * SECTOR)) }));
  driver.context.memory.hasFrames = false;
  driver.submit(0, [driver.give(header(0, 0)), driver.room(SECTOR), driver.room(1)]);
  driver.context.advance(driver.device, 10_000);
  assert.equal(driver.completed(0), []);
  driver.context.memory.hasFrames = true;
  driver.device.retry();
  driver.context.advance(driver.device, 20_000);
  assert.is(driver.completed(0).length, 1);
});

test("indirect chains work when taken, and are a fault when not", () => {
  const contents = disk(8 * SECTOR);
  const take = FEATURE_VERSION_1 | FEATURE_INDIRECT;
  for (const [features, isFine] of [
    [take, true],
    [FEATURE_VERSION_1, false],
  ] as const) {
    const driver = driverOf(new VirtioBlk({ backend: new MemoryBackend(contents) }), features);
    const room = driver.room(SECTOR);
    driver.submit(0, [driver.give(header(0, 1)), room, driver.room(1)], true);
    driver.context.advance(driver.device, 10_000);
    assert.is(driver.completed(0).length, isFine ? 1 : 0);
    assert.is((driver.register(0x70) & NEEDS_RESET) === 0, isFine);
    if (isFine) assert.equal(driver.contents(room), contents.slice(SECTOR, 2 * SECTOR));
  }
});

test("EVENT_IDX: interrupts come only when the index passes used_event", () => {
  const features = FEATURE_VERSION_1 | FEATURE_EVENT_INDEX;
  const driver = driverOf(new VirtioRng(), features);
  driver.setU16(driver.available(0) + 4 + 2 * driver.size, 2); // tell me after the third
  for (let round = 0; round < 3; round++) {
    driver.submit(0, [driver.room(8)]);
    assert.is(driver.context.irq, round === 2, `after ${round + 1}`);
  }
  assert.is(driver.u16(driver.used(0) + 4 + 8 * driver.size), 3, "avail_event follows");
});

test("entropy fills what it is given, and no more than a page at a time", () => {
  const driver = driverOf(new VirtioRng(), FEATURE_VERSION_1);
  const room = driver.room(10_000);
  driver.submit(0, [room]);
  assert.equal(driver.completed(0), [{ head: 0, written: 4096 }]);
  assert.is(driver.contents(room)[4096], 0xee);
  assert.is.not(driver.contents(room)[0], 0xee);
});

test("the console prints, and delivers input as buffers come", () => {
  let printed = "";
  const device = new VirtioConsole({
    output: (bytes) => {
      printed += new TextDecoder().decode(bytes);
    },
  });
  const context = new FakeContext();
  device.attach(context);
  assert.is(device.inputRoom, 0, "no driver yet");
  const driver = new VirtioDriver(device, context);
  driver.start(2, FEATURE_VERSION_1);
  driver.submit(1, [
    driver.give(new TextEncoder().encode("hello ")),
    driver.give(Uint8Array.of(33)),
  ]);
  assert.is(printed, "hello !");
  device.offer(new TextEncoder().encode("abcdef"));
  assert.equal(driver.completed(0), []);
  const [first, second] = [driver.room(4), driver.room(4)];
  driver.submit(0, [first]);
  driver.submit(0, [second]);
  assert.equal(
    driver.completed(0).map(({ written }) => written),
    [4, 2],
  );
  assert.is(new TextDecoder().decode(driver.contents(first)), "abcd");
});

/** Each breaks one rule of the queue. */
const CRIMES: Record<string, (driver: VirtioDriver) => void> = {
  "a chain that loops": (driver) => {
    const at = driver.descriptors(0);
    driver.describe(at, RAM_BASE + 0x50000, 16, NEXT, 1);
    driver.describe(at + 16, RAM_BASE + 0x50000, 16, NEXT, 0);
    driver.offer(0, 0);
  },
  "a head outside the queue": (driver) => driver.offer(0, 999),
  "a next outside the queue": (driver) => {
    driver.describe(driver.descriptors(0), RAM_BASE, 16, NEXT, 200);
    driver.offer(0, 0);
  },
  "a buffer outside RAM": (driver) => {
    driver.describe(driver.descriptors(0), 0x10000000, 16, WRITE, 0);
    driver.offer(0, 0);
  },
  "a buffer of 4 GiB": (driver) => {
    driver.describe(driver.descriptors(0), RAM_BASE, 0xffffffff, WRITE, 0);
    driver.offer(0, 0);
  },
  "an indirect table nowhere": (driver) => {
    driver.describe(driver.descriptors(0), 0x40000000, 32, INDIRECT, 0);
    driver.offer(0, 0);
  },
  "an indirect table of odd size": (driver) => {
    driver.describe(driver.descriptors(0), RAM_BASE, 17, INDIRECT, 0);
    driver.offer(0, 0);
  },
  "an indirect table in itself": (driver) => {
    driver.describe(RAM_BASE + 0x60000, RAM_BASE + 0x60000, 16, INDIRECT, 0);
    driver.describe(driver.descriptors(0), RAM_BASE + 0x60000, 16, INDIRECT, 0);
    driver.offer(0, 0);
  },
  "readable behind writable": (driver) => {
    driver.describe(driver.descriptors(0), RAM_BASE + 0x50000, 16, NEXT | WRITE, 1);
    driver.describe(driver.descriptors(0) + 16, RAM_BASE + 0x51000, 16, 0, 0);
    driver.offer(0, 0);
  },
  "an available index far ahead": (driver) => {
    driver.setU16(driver.available(0) + 2, 1000);
    driver.setRegister(0x50, 0);
  },
  "rings outside RAM": (driver) => {
    driver.setRegister(0x44, 0);
    driver.setRegister(0xa0, 0x1000);
    driver.setRegister(0x44, 1);
    driver.setRegister(0x50, 0);
  },
};

for (const [crime, commit] of Object.entries(CRIMES)) {
  test(`${crime} asks for a reset, and a reset heals`, () => {
    const features = FEATURE_VERSION_1 | FEATURE_INDIRECT;
    const driver = driverOf(
      new VirtioBlk({ backend: new MemoryBackend(disk(8 * SECTOR)) }),
      features,
    );
    commit(driver);
    driver.context.advance(driver.device, 1_000_000);
    assert.is(driver.register(0x70) & NEEDS_RESET, NEEDS_RESET);
    assert.is(driver.register(0x60) & 2, 2, "a configuration interrupt says so");
    driver.submit(0, [driver.give(header(0, 0)), driver.room(SECTOR), driver.room(1)]);
    driver.context.advance(driver.device, 2_000_000);
    driver.start(1, features);
    driver.context.memory.bytes.fill(0, 0, 0x4000);
    assert.is(request(new VirtioDriverAgain(driver).fresh(), 0, 0, SECTOR).status, 0);
  });
}

/** A second driver over the same device. */
class VirtioDriverAgain {
  readonly #old: VirtioDriver;
  constructor(old: VirtioDriver) {
    this.#old = old;
  }
  fresh(): VirtioDriver {
    const driver = new VirtioDriver(this.#old.device, this.#old.context);
    driver.start(1, FEATURE_VERSION_1);
    return driver;
  }
}

test("random rings never throw, hang or leave RAM", () => {
  const seed = Number(process.env.SEED ?? 3);
  const random = new Random(seed);
  for (let round = 0; round < 400; round++) {
    const device =
      round % 2 === 0
        ? new VirtioBlk({ backend: new MemoryBackend(disk(8 * SECTOR)) })
        : new VirtioConsole({ output: () => {} });
    const driver = driverOf(device, FEATURE_VERSION_1 | FEATURE_INDIRECT);
    const { bytes } = driver.context.memory;
    for (let at = 0; at < 0x8000; at += 1 + random.below(3)) {
      bytes[at] = random.below(3) === 0 ? random.u32() & 0xff : random.below(3);
    }
    for (let step = 0; step < 20; step++) {
      driver.offer(random.below(2) % (device.kind === "virtio-blk" ? 1 : 2), random.below(20));
      if (random.below(4) === 0) driver.context.advance(device, driver.context.ticks + 5000);
      assert.ok(device.save().bytes.length < 1 << 16, `seed ${seed}`);
    }
  }
});

test.run();
