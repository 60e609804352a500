/**
 * block: the disks that need no host: memory, copy-on-write overlay, read-only.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type BlockBackend, checkDiskBytes } from "../../src/device/block/contract.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { OverlayBackend } from "../../src/device/block/overlay.ts";
import { ReadOnlyBackend } from "../../src/device/block/read-only.ts";
import { VmError } from "../../src/errors.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("device/block");

const SECTOR = 512;
/** Not a multiple of the overlay's cluster: the last one is short. */
const DISK_BYTES = 27 * SECTOR;

function noise(bytes: number, random: Random): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => random.below(256));
}

/** The same disk, but every answer comes later. */
function late(base: BlockBackend): BlockBackend {
  return {
    bytes: base.bytes,
    isReadOnly: base.isReadOnly,
    read: async (offset, target) => base.read(offset, target),
    write: async (offset, bytes) => base.write(offset, bytes),
    flush: async () => base.flush(),
    close: async () => base.close(),
  };
}

async function contents(disk: BlockBackend): Promise<Uint8Array> {
  const all = new Uint8Array(disk.bytes);
  await disk.read(0, all);
  return all;
}

for (const isLate of [false, true]) {
  test(`an overlay over a ${isLate ? "late" : "prompt"} disk equals a plain copy`, async () => {
    const seed = seedOf(17);
    const random = new Random(seed);
    const original = noise(DISK_BYTES, random);
    const plain = new MemoryBackend(original.slice());
    const overlay = new OverlayBackend(isLate ? late(plain) : plain);
    const model = original.slice();
    for (let step = 0; step < 300; step++) {
      const first = random.below(27);
      const count = random.below(28 - first);
      if (random.chance(50)) {
        const bytes = noise(count * SECTOR, random);
        model.set(bytes, first * SECTOR);
        await overlay.write(first * SECTOR, bytes);
      } else {
        const target = new Uint8Array(count * SECTOR);
        await overlay.read(first * SECTOR, target);
        const expected = model.slice(first * SECTOR, (first + count) * SECTOR);
        assert.equal(target, expected, `step ${step}, SEED=${seed}`);
      }
      if (random.chance(2)) await overlay.flush();
    }
    assert.equal(await contents(overlay), model, `SEED=${seed}`);
    assert.equal(await contents(plain), original, "the base is untouched");
    const rebuilt = original.slice();
    let end = 0;
    for (const { offset, bytes } of overlay.delta()) {
      assert.ok(offset >= end && offset + bytes.length <= DISK_BYTES, "in order, inside the disk");
      end = offset + bytes.length;
      rebuilt.set(bytes, offset);
    }
    assert.equal(rebuilt, model, "base and delta make the disk");
  });
}

test("an overlay holds only the clusters that were written", () => {
  const overlay = new OverlayBackend(new MemoryBackend(new Uint8Array(1 << 20)));
  assert.equal([...overlay.delta()], []);
  overlay.write(0, new Uint8Array(0));
  assert.equal([...overlay.delta()], [], "an empty write writes nothing");
  overlay.write(
    9 * SECTOR,
    Uint8Array.from({ length: SECTOR }, () => 9),
  );
  overlay.write((1 << 20) - SECTOR, new Uint8Array(SECTOR).fill(7));
  const delta = [...overlay.delta()];
  assert.equal(
    delta.map(({ offset, bytes }) => [offset, bytes.length]),
    [
      [4096, 4096],
      [(1 << 20) - 4096, 4096],
    ],
  );
});

test("an overlay whose base cannot be read keeps nothing half", () => {
  let isBroken = true;
  const disk = new MemoryBackend(new Uint8Array(1 << 14).fill(5));
  const base: BlockBackend = {
    bytes: disk.bytes,
    isReadOnly: true,
    read(offset, target) {
      if (isBroken) throw new VmError("io", "gone");
      disk.read(offset, target);
    },
    write: () => assert.unreachable("the base is never written"),
    flush: () => {},
    close: () => {},
  };
  const overlay = new OverlayBackend(base);
  assert.throws(() => overlay.write(SECTOR, new Uint8Array(SECTOR)), /gone/);
  assert.equal([...overlay.delta()], []);
  isBroken = false;
  const target = new Uint8Array(SECTOR);
  overlay.read(SECTOR, target);
  assert.is(target[0], 5);
});

test("a read-only disk reads what its base holds, and refuses writes", () => {
  const bytes = noise(DISK_BYTES, new Random(3));
  const disk = new ReadOnlyBackend(new MemoryBackend(bytes.slice()));
  assert.is(disk.isReadOnly, true);
  assert.is(disk.bytes, DISK_BYTES);
  const target = new Uint8Array(SECTOR);
  disk.read(SECTOR, target);
  assert.equal(target, bytes.slice(SECTOR, 2 * SECTOR));
  assert.throws(
    () => disk.write(0, target),
    (error: unknown) => error instanceof VmError && error.code === "io",
  );
});

test("sizes that no disk has are refused with what is accepted", () => {
  for (const bytes of [0, 1, 511, 513, -512, Number.NaN, 2 ** 60]) {
    assert.throws(
      () => checkDiskBytes(bytes, "disk x.img"),
      (error: unknown) =>
        error instanceof VmError && error.code === "bad-file" && /multiples/.test(error.message),
      String(bytes),
    );
  }
  assert.is(checkDiskBytes(SECTOR, "disk"), SECTOR);
});

test.run();
