/**
 * pages: DirtyBitmap and PageCodec from the front door, as a program without a machine uses them.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DirtyBitmap, PageCodec, VmError } from "../../src/node.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("core/pages");
const SEED = seedOf(45);
const PAGE = 4096;

function refuses(work: () => unknown, text: RegExp): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, "bad-argument");
    assert.match(error.message, text);
    return;
  }
  assert.unreachable(`accepted, expected ${text}`);
}

async function refusesLater(work: () => Promise<unknown>, text: RegExp): Promise<void> {
  let outcome: () => unknown = () => null;
  try {
    await work();
  } catch (error) {
    outcome = () => {
      throw error;
    };
  }
  refuses(outcome, text);
}

function taken(bitmap: DirtyBitmap): number[] {
  const pages: number[] = [];
  for (const batch of bitmap.take()) pages.push(...batch);
  return pages;
}

/** Throws at the first difference: assert.equal would print every number. */
function samePages(got: readonly number[], meant: Iterable<number>, what: string): void {
  const pages = [...meant].sort((a, b) => a - b);
  const at = pages.findIndex((page, index) => page !== got[index]);
  if (at >= 0) assert.is(got[at], pages[at], `${what}: number ${at}`);
  assert.is(got.length, pages.length, what);
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.u32());
}

test("a bitmap beside a set of numbers, over several pieces of its staging", async () => {
  const random = new Random(SEED);
  for (const pages of [1, 63, 64, 65, 100_000, 1_500_001]) {
    const [first, second] = [await DirtyBitmap.create(pages), await DirtyBitmap.create(pages)];
    const [one, two] = [new Set<number>(), new Set<number>()];
    for (let n = 0; n < 3000; n++) {
      const page = random.below(pages);
      const [bitmap, set] = random.chance(50) ? [first, one] : [second, two];
      bitmap.mark(page);
      set.add(page);
      const other = random.below(pages);
      assert.is(first.test(other), one.has(other));
    }
    const begin = random.below(pages);
    const count = random.between(0, Math.min(pages - begin, 10_000));
    second.markRange(begin, count);
    for (let page = begin; page < begin + count; page++) two.add(page);
    const what = `SEED=${SEED}, ${pages} pages`;
    first.merge(second);
    assert.is(first.count, new Set([...one, ...two]).size, what);
    first.subtract(second);
    const rest = [...one].filter((page) => !two.has(page));
    assert.is(first.count, rest.length, what);
    samePages(taken(first), rest, what);
    assert.is(first.count, 0);
    samePages(taken(second), two, what);
  }
});

test("a caller that stops early leaves the rest; what is marked behind it waits", async () => {
  const bitmap = await DirtyBitmap.create(20_000);
  bitmap.markRange(0, 20_000);
  for (const batch of bitmap.take()) {
    assert.is(batch.length, 4096);
    assert.is(batch[4095], 4095);
    bitmap.mark(7);
    break;
  }
  assert.is(bitmap.count, 20_000 - 4096 + 1);
  assert.is(taken(bitmap)[1], 4096);
  bitmap.markRange(100, 200);
  bitmap.clear();
  assert.is(bitmap.count, 0);
  assert.equal(taken(bitmap), []);
});

test("pages that are not zero are marked", async () => {
  const bitmap = await DirtyBitmap.create(1000);
  const bytes = new Uint8Array(40 * PAGE);
  for (const page of [0, 15, 16, 39]) bytes[page * PAGE + page] = 1;
  bitmap.markNonZero(5, bytes);
  assert.equal(taken(bitmap), [5, 20, 21, 44]);
});

test("numbers that a bitmap does not take", async () => {
  for (const pages of [0, -1, 1.5, Number.NaN, 2 ** 30 + 1]) {
    await refusesLater(() => DirtyBitmap.create(pages), /accepted are whole numbers from 1 to/);
  }
  const bitmap = await DirtyBitmap.create(100);
  for (const page of [-1, 100, 0.5, Number.NaN, 2 ** 32]) {
    refuses(() => bitmap.mark(page), /page .*: accepted are 0 to 99/);
    refuses(() => bitmap.test(page), /accepted are 0 to 99/);
  }
  refuses(() => bitmap.markRange(50, 51), /51 pages from page 50 on: accepted are 0 to 99/);
  refuses(() => bitmap.markRange(50, -1), /accepted/);
  refuses(() => bitmap.markNonZero(99, new Uint8Array(2 * PAGE)), /accepted are 0 to 99/);
  refuses(() => bitmap.markNonZero(0, new Uint8Array(5)), /multiples of 4096/);
  const larger = await DirtyBitmap.create(101);
  refuses(() => bitmap.merge(larger), /of one size/);
  refuses(() => bitmap.subtract(larger), /of one size/);
  assert.is(bitmap.count, 0);
});

test("a page through the codec and back", async () => {
  const codec = await PageCodec.create();
  const random = new Random(SEED + 1);
  const base = randomBytes(random, PAGE).map((byte) => byte & 3);
  const page = base.slice();
  page[17] ^= 1;
  page.fill(9, 2000, 2100);
  assert.is(codec.isZero(page), false);
  assert.is(codec.isZero(new Uint8Array(PAGE)), true);

  const delta = codec.delta(base, page)?.slice();
  assert.ok(delta !== undefined && delta.length < 110);
  const copy = base.slice();
  assert.ok(codec.applyDelta(copy, delta));
  assert.equal(copy, page);
  assert.is(codec.delta(base, page, 50), null);
  assert.is(codec.delta(page, page)?.length, 0);
  assert.not(codec.applyDelta(copy, Uint8Array.of(1, 9)));
  assert.equal(copy, page);
  assert.not(codec.applyDelta(copy, new Uint8Array(1 << 20)));

  const block = codec.compress(page)?.slice();
  assert.ok(block !== undefined && block.length < PAGE);
  const target = new Uint8Array(PAGE);
  assert.ok(codec.decompress(block, target));
  assert.equal(target, page);
  for (const length of [0, 1, PAGE - 1, PAGE + 1]) {
    const other = new Uint8Array(length).fill(7);
    assert.not(codec.decompress(block, other), `into ${length} bytes`);
    assert.ok(other.every((byte) => byte === 7));
  }
  assert.not(codec.decompress(new Uint8Array(1 << 20), target));
  assert.not(codec.decompress(new Uint8Array(), target));
});

test("noise is not compressed, unless there is room; pieces go up to 64 KiB", async () => {
  const codec = await PageCodec.create();
  const noise = randomBytes(new Random(SEED + 2), 65536);
  assert.is(codec.compress(noise), null);
  assert.is(codec.compress(noise, 100), null);
  const block = codec.compress(noise, 1 << 20)?.slice();
  assert.ok(block !== undefined && block.length > noise.length);
  const target = new Uint8Array(noise.length);
  assert.ok(codec.decompress(block, target));
  assert.equal(target, noise);
  refuses(() => codec.compress(new Uint8Array()), /accepted are 1 to 65536/);
  refuses(() => codec.compress(new Uint8Array(65537)), /accepted are 1 to 65536/);
  refuses(() => codec.compress(noise, -1), /a limit of -1 bytes/);
  refuses(() => codec.decompress(block, new Uint8Array(65537)), /at most 65536/);
  refuses(() => codec.delta(noise, noise), /a page of 65536 bytes: accepted are 4096/);
  refuses(() => codec.hash(new Uint8Array(5)), /a page of 5 bytes/);
});

test("hashes depend on the key and the page alone, many at once as one by one", async () => {
  const random = new Random(SEED + 3);
  const key = randomBytes(random, 16);
  const [codec, same, other] = await Promise.all([
    PageCodec.create({ key }),
    PageCodec.create({ key: key.slice() }),
    PageCodec.create(),
  ]);
  const pages = randomBytes(random, 37 * PAGE);
  const hashes = new Uint8Array(37 * 16);
  codec.hashAll(pages, hashes);
  for (let page = 0; page < 37; page++) {
    const bytes = pages.subarray(page * PAGE, (page + 1) * PAGE);
    assert.equal(same.hash(bytes), hashes.slice(page * 16, page * 16 + 16), `page ${page}`);
    assert.not.equal(other.hash(bytes), same.hash(bytes));
  }
  refuses(() => codec.hashAll(pages, new Uint8Array(16)), /16 of hashes/);
  refuses(() => codec.hashAll(pages.subarray(1), hashes), /bytes of pages/);
  await refusesLater(() => PageCodec.create({ key: new Uint8Array(8) }), /a key of 8 bytes/);
});

test("the hash of a known page under the key of zeros is what it was when stores were written with it", async () => {
  const codec = await PageCodec.create();
  const page = Uint8Array.from({ length: PAGE }, (_, at) => (at * 7 + (at >> 8)) & 255);
  assert.is(Buffer.from(codec.hash(page)).toString("hex"), "d02910cbaaedb87ed938d68f21441cb4");
});

test.run();
