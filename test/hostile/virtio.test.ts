/**
 * virtio: drivers that break every rule of the queues, on a real machine with a neighbour: the
 * device asks for a reset or does what it can, and serves the next driver as if nothing had been.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { RAM } from "../helpers/guest-program.ts";
import { DISK_KINDS, DISKS } from "./disks.ts";
import { type Descriptor, INDIRECT, NEEDS_RESET, NEXT, Rings, VERSION_1, WRITE } from "./rings.ts";
import { FREE, Script } from "./script.ts";
import { besiege } from "./yard.ts";

const test = suite("hostile/virtio");
const [DISK, ENTROPY, CONSOLE] = [0, 1, 2];
const RAM_END = RAM + (2 << 20);
const BUFFER = RAM + 0x100000;
const TABLE = RAM + 0xc0000;
const SECTOR = 512;
/** Descriptors behind the indirect one in the longest chain. */
const CHAIN_MAX = 1023;

const disk = () => new MemoryBackend(new Uint8Array(64 * SECTOR));

/** What a test does to the entropy source, as its driver. */
type Crime = (rings: Rings) => void;

/** A chain in descriptors 0 ... of queue 0, exactly as given. */
const exact =
  (...descriptors: readonly Descriptor[]): Crime =>
  (rings) => {
    rings.start(1);
    for (const [index, descriptor] of descriptors.entries()) {
      rings.describe(rings.descriptors(0), index, descriptor);
    }
    rings.offer(0);
  };

/** Head 0 is an indirect descriptor over the given table. */
const indirect =
  (bytes: number, ...descriptors: readonly Descriptor[]): Crime =>
  (rings) => {
    rings.start(1);
    for (const [index, descriptor] of descriptors.entries())
      rings.describe(TABLE, index, descriptor);
    rings.describe(rings.descriptors(0), 0, { gpa: TABLE, bytes, flags: INDIRECT });
    rings.offer(0);
  };

/** Queue 0 lies elsewhere; one good request is offered. */
const placed =
  (place: Parameters<Rings["place"]>[1]): Crime =>
  (rings) => {
    rings.negotiate();
    rings.script.store(8, rings.available(0), 1 << 16);
    rings.place(0, place);
    rings.register(0x70, 15);
    rings.register(0x50, 0);
  };

const REFUSED: Record<string, Crime> = {
  "a descriptor that is its own next": exact({
    gpa: BUFFER,
    bytes: 8,
    flags: WRITE | NEXT,
    next: 0,
  }),
  "two descriptors in a circle": exact(
    { gpa: BUFFER, bytes: 8, flags: WRITE | NEXT, next: 1 },
    { gpa: BUFFER, bytes: 8, flags: WRITE | NEXT, next: 0 },
  ),
  "a buffer below RAM": exact({ gpa: 0x1000, bytes: 8, flags: WRITE }),
  "a buffer in a device": exact({ gpa: 0x1000_1070, bytes: 4, flags: WRITE }),
  "a buffer that begins in RAM and ends behind it": exact({
    ...{ gpa: RAM_END - 4, bytes: 8, flags: WRITE },
  }),
  "a buffer at 2^63": exact({ gpa: 1n << 63n, bytes: 8, flags: WRITE }),
  "a buffer that wraps round the address space": exact({ gpa: -8n, bytes: 16, flags: WRITE }),
  "a buffer of 4 GiB less one": exact({ gpa: BUFFER, bytes: 0xffff_ffff, flags: WRITE }),
  "a buffer of no bytes": exact({ gpa: BUFFER, bytes: 0, flags: WRITE }),
  "a readable buffer behind a writable one": exact(
    { gpa: BUFFER, bytes: 8, flags: WRITE | NEXT, next: 1 },
    { gpa: BUFFER, bytes: 8 },
  ),
  "an indirect table outside RAM": exact({ gpa: RAM_END, bytes: 16, flags: INDIRECT }),
  "an indirect table in a device": exact({ gpa: 0x1000_0000, bytes: 16, flags: INDIRECT }),
  "an indirect table of no bytes": indirect(0, { gpa: BUFFER, bytes: 8, flags: WRITE }),
  "an indirect table of 15 bytes": indirect(15, { gpa: BUFFER, bytes: 8, flags: WRITE }),
  "an indirect table of nearly 4 GiB": indirect(0xffff_fff0, {
    gpa: BUFFER,
    bytes: 8,
    flags: WRITE,
  }),
  "an indirect table that goes on in the ring": exact(
    { gpa: TABLE, bytes: 16, flags: INDIRECT | NEXT, next: 1 },
    { gpa: BUFFER, bytes: 8, flags: WRITE },
  ),
  "an indirect table inside itself": indirect(16, { gpa: TABLE, bytes: 16, flags: INDIRECT }),
  "a circle in an indirect table": indirect(
    32,
    { gpa: BUFFER, bytes: 8, flags: WRITE | NEXT, next: 1 },
    { gpa: BUFFER, bytes: 8, flags: WRITE | NEXT, next: 0 },
  ),
  "an available index far ahead": (rings) => {
    rings.start(1);
    rings.chain(0, { gpa: BUFFER, bytes: 8, flags: WRITE });
    rings.script.store(2, rings.available(0) + 2, 0x8000);
    rings.register(0x50, 0);
  },
  "a used ring outside RAM": placed({ used: BigInt(RAM_END) }),
  "a used ring across the end of RAM": placed({ used: BigInt(RAM_END - 64) }),
  "a used ring at 2^64 less a page": placed({ used: (1n << 64n) - 4096n }),
  "an available ring outside RAM": placed({ available: 0x1000n }),
  "descriptors outside RAM": placed({ descriptors: (1n << 53n) + 4096n }),
  "a queue of 0": (rings) => {
    rings.negotiate();
    rings.place(0, { size: 0 });
  },
  "a queue of 3": (rings) => {
    rings.negotiate();
    rings.place(0, { size: 3 });
  },
  "a queue of 2^31": (rings) => {
    rings.negotiate();
    rings.place(0, { size: 2 ** 31 });
  },
};

/** Nothing wrong is done that the device could see, or the guest harms only itself. */
const SURVIVED: Record<string, Crime> = {
  "queues at odd addresses": placed({
    ...{ descriptors: BigInt(FREE + 1), available: BigInt(FREE + 0x2003) },
    used: BigInt(FREE + 0x4005),
  }),
  "a used ring over the available ring": (rings) => {
    rings.negotiate();
    rings.script.store(8, rings.available(0), 1 << 16);
    rings.chain(0, { gpa: BUFFER, bytes: 8, flags: WRITE });
    rings.place(0, { used: BigInt(rings.available(0)) });
    rings.register(0x70, 15);
    for (let round = 0; round < 20; round++) rings.register(0x50, 0);
  },
  "buffers over the ring that they are in": (rings) => {
    rings.start(1);
    rings.chain(0, { gpa: rings.available(0), bytes: 520, flags: WRITE });
    for (let round = 0; round < 20; round++) rings.offer(0);
  },
  "a status out of order": (rings) => {
    for (const status of [4, 8, 12, 15, 64, 128, 255, 7, 11, 0xffff_ffff]) {
      rings.register(0x70, status);
      rings.place(0);
      rings.register(0x50, 0);
    }
  },
  "notices for queues that are not there": (rings) => {
    rings.start(1);
    for (const queue of [1, 2, 255, 0x8000_0000, 0xffff_ffff]) {
      rings.register(0x50, queue);
      rings.register(0x30, queue);
      rings.register(0x44, 1);
      rings.register(0x80, 1);
    }
  },
  "a queue taken away and given back": (rings) => {
    rings.start(1);
    rings.chain(0, { gpa: BUFFER, bytes: 64, flags: WRITE });
    for (let round = 0; round < 8; round++) {
      rings.offer(0);
      rings.register(0x30, 0);
      rings.register(0x44, 0);
      rings.register(0x50, 0);
      rings.place(0, { size: 2 ** round });
    }
  },
};

/** A new driver asks for 8 bytes and gets them. */
function askProperly(rings: Rings): number {
  rings.start(1);
  rings.chain(0, { gpa: BUFFER + 0x1000, bytes: 8, flags: WRITE });
  rings.offer(0);
  return rings.returned(0);
}

for (const [isRefused, crimes] of [
  [true, REFUSED],
  [false, SURVIVED],
] as const) {
  for (const [what, crime] of Object.entries(crimes)) {
    test(`${what}: ${isRefused ? "refused" : "survived"}, and the next driver is served`, async () => {
      const script = new Script();
      const rings = new Rings(script, ENTROPY);
      crime(rings);
      const status = rings.status();
      const returned = askProperly(rings);
      await besiege({
        ...{ kernel: script.program(), disks: [disk()], instructions: 1_000_000 },
        accepted: ["poweroff"],
        inspect: ({ machine: { view } }) => {
          const needsReset = (Script.answer(view, status) & NEEDS_RESET) !== 0n;
          if (isRefused) assert.is(needsReset, true, "the device asks for a reset");
          assert.is(Script.answer(view, returned), 1n, "the next driver's request came back");
        },
      });
    });
  }
}

test("the disk is reset in the midst of a request, and asked again", async () => {
  const script = new Script();
  const rings = new Rings(script, DISK);
  const ask = () => {
    rings.start(1);
    script.store(8, BUFFER, 0).store(8, BUFFER + 8, 0);
    const data = { gpa: BUFFER + 0x1000, bytes: 4 * SECTOR, flags: WRITE };
    rings.chain(0, { gpa: BUFFER, bytes: 16 }, data, { gpa: BUFFER + 64, bytes: 1, flags: WRITE });
    rings.offer(0);
  };
  for (let round = 0; round < 10; round++) {
    ask();
    script.spin(1 + 500 * round);
    rings.register(0x70, 0);
  }
  ask();
  script.spin(20_000);
  const returned = rings.returned(0);
  await besiege({
    ...{ kernel: script.program(), disks: [disk()], instructions: 1_000_000 },
    accepted: ["poweroff"],
    inspect: ({ machine }) => assert.is(Script.answer(machine.view, returned), 1n),
  });
});

test("requests for a disk that make no sense are I/O errors or a reset", async () => {
  const script = new Script();
  const rings = new Rings(script, DISK);
  const statuses: number[] = [];
  for (const type of [0, 1, 4, 8, 2, 0xffff_ffff]) {
    for (const sector of [0n, 63n, 64n, (1n << 44n) - 1n, 1n << 44n, (1n << 64n) - 1n]) {
      rings.start(1);
      script
        .store(8, BUFFER, type)
        .store(8, BUFFER + 8, sector)
        .store(1, BUFFER + 64, 0xee);
      const flags = type === 1 ? 0 : WRITE;
      const data = { gpa: BUFFER + 0x1000, bytes: sector === 0n ? 513 : 2 * SECTOR, flags };
      rings.chain(0, { gpa: BUFFER, bytes: 16 }, data, {
        gpa: BUFFER + 64,
        bytes: 1,
        flags: WRITE,
      });
      rings.offer(0);
      script.spin(10_000);
      if (type < 2) statuses.push(script.load(1, BUFFER + 64));
    }
  }
  await besiege({
    ...{ kernel: script.program(), disks: [disk()], instructions: 10_000_000 },
    accepted: ["poweroff"],
    inspect: ({ machine }) => {
      for (const step of statuses) assert.is(Script.answer(machine.view, step), 1n);
    },
  });
});

for (const kind of DISK_KINDS) {
  test(`a disk that is ${kind}: every request comes back, with data or an error`, async () => {
    const script = new Script();
    const rings = new Rings(script, DISK);
    rings.start(1);
    const statuses: number[] = [];
    for (let request = 0; request < 24; request++) {
      const isWrite = request % 3 === 2;
      script.store(8, BUFFER, isWrite ? 1 : request % 3 === 1 ? 4 : 0);
      script.store(8, BUFFER + 8, request).store(1, BUFFER + 64, 0xee);
      const data = { gpa: BUFFER + 0x1000, bytes: SECTOR, flags: isWrite ? 0 : WRITE };
      const status = { gpa: BUFFER + 64, bytes: 1, flags: WRITE };
      rings.chain(0, { gpa: BUFFER, bytes: 16 }, data, status);
      rings.offer(0);
      script.spin(20_000);
      statuses.push(script.load(1, BUFFER + 64));
    }
    await besiege({
      ...{ kernel: script.program(), disks: [DISKS[kind]()], instructions: 5_000_000 },
      accepted: ["poweroff"],
      inspect: ({ machine }) => {
        const seen = statuses.map((step) => Number(Script.answer(machine.view, step)));
        assert.ok(
          seen.every((status) => status <= 1),
          seen.join(" "),
        );
        if (kind === "sound" || kind === "late") assert.ok(!seen.includes(1), seen.join(" "));
        if (kind === "failing") assert.ok(seen.filter((status) => status === 1).length >= 16);
      },
    });
  });
}

/** A table of `count` descriptors of one byte each, put there by the test instead of the guest. */
function longTable(count: number, flags: number): Uint8Array {
  const bytes = new Uint8Array(16 * count);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) {
    const isLast = index === count - 1;
    view.setBigUint64(16 * index, BigInt(BUFFER + index), true);
    view.setUint32(16 * index + 8, 1, true);
    view.setUint16(16 * index + 12, flags | (isLast ? 0 : NEXT), true);
    view.setUint16(16 * index + 14, index + 1, true);
  }
  return bytes;
}

/** Floods with 256 requests of the longest chain per notice, `notices` times. */
function longChains(slot: number, queue: number, queues: number, notices: number): Uint8Array {
  const script = new Script();
  script.bytes(TABLE, longTable(CHAIN_MAX, slot === ENTROPY ? WRITE : 0));
  const rings = new Rings(script, slot);
  rings.start(queues);
  rings.describe(rings.descriptors(queue), 0, {
    gpa: TABLE,
    bytes: 16 * CHAIN_MAX,
    flags: INDIRECT,
  });
  for (let notice = 0; notice < notices; notice++) rings.offer(queue, 0, 256);
  return script.program();
}

for (const [what, slot, queue, queues] of [
  ["entropy", ENTROPY, 0, 1],
  ["console output", CONSOLE, 1, 2],
] as const) {
  test(`chains as long as they may be, as many as fit, again and again: ${what}`, async () => {
    const { slices } = await besiege({
      ...{ kernel: longChains(slot, queue, queues, 4), instructions: 1_000_000 },
      ...{ disks: [disk()], consoleDevice: "virtio", accepted: ["poweroff"] },
      // the work is spread over slices; requests alone would have fitted into one
      inspect: ({ workMax }) => assert.ok(workMax < 6_000_000, `${workMax} of work in a slice`),
    });
    assert.ok(slices > 100, `${slices} slices`);
  });
}

test("256 MiB of console output in one notice arrive whole, in bounded slices", async () => {
  const script = new Script();
  const rings = new Rings(script, CONSOLE);
  const bytes = 1 << 20;
  for (const [at, byte] of [
    [0, 0x61],
    [bytes - 1, 0x7a],
  ] as const) {
    script.store(1, FREE + 0x40000 + at, byte);
  }
  rings.start(2, VERSION_1);
  rings.chain(1, { gpa: FREE + 0x40000, bytes });
  rings.offer(1, 0, 256);
  const returned = rings.returned(1);
  let [printed, firsts, lasts] = [0, 0, 0];
  await besiege({
    ...{ kernel: script.program(), instructions: 1_000_000, disks: [disk()], reserve: true },
    ...{ consoleDevice: "virtio", accepted: ["poweroff"] },
    during: (machine) => {
      machine.console.onOutput((piece) => {
        printed += piece.length;
        for (const byte of [piece[0], piece[piece.length - 1]]) {
          if (byte === 0x61) firsts++;
          if (byte === 0x7a) lasts++;
        }
      });
    },
    inspect: ({ machine, workMax }) => {
      assert.is(Script.answer(machine.view, returned), 256n);
      assert.ok(workMax < 6_000_000, `${workMax} of work in a slice`);
    },
  });
  assert.equal([printed, firsts, lasts], [256 * bytes, 256, 256]);
});

test.run();
