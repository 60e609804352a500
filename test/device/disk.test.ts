/**
 * Disks that are captured and forked, against plain copies of their contents: random writes,
 * captures, forks of forks, reverts and releases, on disks in place, overlays and late ones.
 *
 * SEED=... reruns it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BlockMap } from "../../src/device/block/block-map.ts";
import type { BlockBackend } from "../../src/device/block/contract.ts";
import { type DiskCapture, MachineDisk } from "../../src/device/block/disk.ts";
import { HistoryBackend } from "../../src/device/block/history.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { OverlayBackend } from "../../src/device/block/overlay.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("device/disk");
const SEED = seedOf(20_261_123);
const SECTOR = 512;
const BLOCK = 4096;
/** The last block is short. */
const DISK_BYTES = 40 * BLOCK + 3 * SECTOR;
const STEPS = 400;

/** A disk that answers when it gets to it. */
class LateBackend extends MemoryBackend {
  override read(offset: number, target: Uint8Array): never {
    return Promise.resolve().then(() => super.read(offset, target)) as never;
  }

  override write(offset: number, bytes: Uint8Array): never {
    const copy = bytes.slice();
    return Promise.resolve().then(() => super.write(offset, copy)) as never;
  }
}

function noise(random: Random, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => random.below(256));
}

async function contentsOf(disk: Pick<BlockBackend, "bytes" | "read">): Promise<Uint8Array> {
  const all = new Uint8Array(disk.bytes);
  await disk.read(0, all);
  return all;
}

/** Element by element takes the assertion library seconds. */
function same(a: Uint8Array, b: Uint8Array, what: string): void {
  assert.ok(Buffer.compare(a, b) === 0, what);
}

async function capturedContents(capture: DiskCapture): Promise<Uint8Array> {
  const blocks = Math.ceil(capture.bytes / BLOCK);
  const all = new Uint8Array(blocks * BLOCK);
  for (let block = 0; block < blocks; block++) {
    await capture.read(block, all.subarray(block * BLOCK, (block + 1) * BLOCK));
  }
  assert.ok(
    all.subarray(capture.bytes).every((byte) => byte === 0),
    "zeros behind the end",
  );
  return all.subarray(0, capture.bytes);
}

interface Kept {
  readonly capture: DiskCapture;
  readonly contents: Uint8Array;
}

/** A disk, what it should hold, and what was kept of it. */
interface Subject {
  readonly disk: MachineDisk;
  readonly model: Uint8Array;
  kept: Kept[];
}

function makeSubject(disk: MachineDisk, model: Uint8Array): Subject {
  return { disk, model: model.slice(), kept: [] };
}

async function writeSome(random: Random, { disk, model }: Subject): Promise<void> {
  const sectors = DISK_BYTES / SECTOR;
  const first = random.below(sectors);
  const count = Math.min(sectors - first, random.chance(70) ? 1 : random.between(1, 40));
  const bytes = noise(random, count * SECTOR);
  await disk.write(first * SECTOR, bytes);
  model.set(bytes, first * SECTOR);
}

/** Blocks that differ between what a capture held and what the disk holds. */
function differing(a: Uint8Array, b: Uint8Array): number[] {
  const blocks: number[] = [];
  for (let at = 0; at < a.length; at += BLOCK) {
    const end = Math.min(at + BLOCK, a.length);
    if (a.subarray(at, end).some((byte, index) => byte !== b[at + index])) blocks.push(at / BLOCK);
  }
  return blocks;
}

async function revert(subject: Subject, { capture, contents }: Kept): Promise<void> {
  const { disk, model } = subject;
  const mark = capture.mark;
  assert.ok(mark !== null);
  const changed = [...disk.changedSince(mark)];
  for (const block of differing(contents, model)) {
    assert.ok(changed.includes(block), `block ${block} changed and is not listed`);
  }
  await disk.patch(Uint32Array.from(changed), (block, target) => capture.read(block, target));
  model.set(contents);
}

async function step(random: Random, subjects: Subject[]): Promise<void> {
  const subject = random.pick(subjects);
  const { disk, model, kept } = subject;
  const what = random.below(100);
  if (what < 55) await writeSome(random, subject);
  else if (what < 70) {
    const since = kept.length > 0 && random.chance(60) ? random.pick(kept) : null;
    const capture = disk.capture(since?.capture.mark ?? null);
    if (since !== null) {
      const listed = [...capture.blocks];
      for (const block of differing(since.contents, model)) assert.ok(listed.includes(block));
      assert.is(capture.isWhole, false);
    }
    kept.push({ capture, contents: model.slice() });
  } else if (what < 78 && subjects.length < 12) {
    subjects.push(makeSubject(new MachineDisk(disk.fork()), model));
  } else if (what < 84 && kept.length > 0) {
    const { capture, contents } = random.pick(kept);
    subjects.push(makeSubject(new MachineDisk(capture.open()), contents));
  } else if (what < 90 && kept.length > 0) await revert(subject, random.pick(kept));
  else if (kept.length > 0) {
    const [gone] = kept.splice(random.below(kept.length), 1);
    gone.capture.release();
    gone.capture.release();
  }
}

async function checkAll(subjects: Subject[], where: string): Promise<void> {
  for (const { disk, model, kept } of subjects) {
    same(await contentsOf(disk), model, `${where}: a disk`);
    for (const { capture, contents } of kept) {
      same(await capturedContents(capture), contents, `${where}: a capture`);
    }
  }
}

const KINDS: Record<string, (contents: Uint8Array) => BlockBackend> = {
  "in place": (contents) => new MemoryBackend(contents),
  overlay: (contents) => new OverlayBackend(new MemoryBackend(contents)),
  "in place, late": (contents) => new LateBackend(contents),
  "overlay, late": (contents) => new OverlayBackend(new LateBackend(contents)),
};

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind}: captures and forks hold what the disk held, whoever writes`, async () => {
    for (let round = 0; round < 4; round++) {
      const random = new Random(SEED + round);
      const contents = noise(random, DISK_BYTES);
      const backend = make(contents);
      const history = backend instanceof OverlayBackend ? null : new HistoryBackend(backend);
      const subjects = [makeSubject(new MachineDisk(history ?? backend), contents)];
      const before = contents.slice();
      for (let count = 0; count < STEPS; count++) {
        await step(random, subjects);
        if (count % 40 === 0) await checkAll(subjects, `SEED=${SEED}, step ${count}`);
      }
      await checkAll(subjects, `SEED=${SEED}, end`);
      for (const { kept } of subjects) for (const { capture } of kept) capture.release();
      for (const { disk } of subjects.slice(1)) await disk.close();
      if (history === null) same(contents, before, "the base is never written");
      else {
        same(contents, subjects[0].model, "a disk in place is where it was");
        assert.is(history.keptBlocks, 0, "nothing is kept for nobody");
      }
    }
  });
}

test("a write that is late and a capture meanwhile: in the next list", async () => {
  let land = () => {};
  const late: BlockBackend = {
    bytes: 4 * BLOCK,
    isReadOnly: false,
    read: (_offset, target) => void target.fill(1),
    write: () => new Promise<void>((resolve) => (land = resolve)),
    flush: () => {},
    close: () => {},
  };
  const disk = new MachineDisk(late);
  const first = disk.capture();
  const writing = disk.write(BLOCK, new Uint8Array(SECTOR));
  await Promise.resolve();
  const second = disk.capture(first.mark);
  land();
  await writing;
  const third = disk.capture(second.mark);
  assert.equal([...second.blocks], [1]);
  assert.equal([...third.blocks], [1]);
  assert.equal([...disk.capture(third.mark).blocks], []);
});

test("what a capture lists without a mark: everything, or what lies over a base", () => {
  const contents = new Uint8Array(8 * BLOCK);
  const inPlace = new MachineDisk(new MemoryBackend(contents)).capture();
  assert.equal([...inPlace.blocks], [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.is(inPlace.isWhole, true);
  const overlay = new MachineDisk(new OverlayBackend(new MemoryBackend(contents)));
  overlay.write(2 * BLOCK, new Uint8Array(SECTOR));
  overlay.write(7 * BLOCK, new Uint8Array(BLOCK));
  const over = overlay.capture();
  overlay.write(0, new Uint8Array(SECTOR));
  assert.equal([...over.blocks], [2, 7]);
  assert.is(over.isWhole, false);
});

test("the base of an overlay is closed by its last user", () => {
  let closed = 0;
  const base = { bytes: BLOCK, read: () => {}, close: () => void closed++ };
  const first = new OverlayBackend(base);
  const frozen = first.freeze();
  const fork = OverlayBackend.over(first.freeze());
  first.close();
  first.close();
  fork.close();
  assert.is(closed, 0);
  frozen.release();
  assert.is(closed, 1);
});

test("a read through a thousand generations of forks asks one map and one base", () => {
  let reads = 0;
  const base = { bytes: 64 * BLOCK, read: () => void reads++, close: () => {} };
  let disk = new MachineDisk(new OverlayBackend(base));
  for (let generation = 0; generation < 1000; generation++) {
    disk.write((generation % 64) * BLOCK, new Uint8Array(BLOCK).fill(generation));
    disk = new MachineDisk(disk.fork());
  }
  const target = new Uint8Array(SECTOR);
  disk.read(63 * BLOCK, target);
  assert.is(target[0], (63 + 64 * 14) & 0xff);
  assert.is(reads, 0, "a block that was written comes from the map");
});

test("copies of a map share what neither has written", () => {
  const map = new BlockMap();
  const bytes = Uint8Array.of(1);
  map.set(5, bytes);
  map.set(600, bytes);
  const copy = map.copy();
  map.set(5, Uint8Array.of(2));
  copy.set(7, bytes);
  assert.is(copy.get(5), bytes);
  assert.is(copy.get(600), map.get(600));
  assert.is(map.get(7), undefined);
  assert.equal([...map.keys()], [5, 600]);
  assert.equal([...copy.keys()], [5, 7, 600]);
});

test.run();
