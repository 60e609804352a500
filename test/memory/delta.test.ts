/**
 * delta: what one page makes of another, beside a reader of the format that knows nothing of the
 * writer; bounds; and deltas that are none.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DELTA_MAP_BYTES, DELTA_TOO_LONG } from "../../assembly/layout.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { Bench, PAGE, sameBytes } from "./pages.ts";

const test = suite("memory/delta");
const SEED = seedOf(43);
const bench = await Bench.create();
const { exports } = bench;

/** Encodes into `limit` bytes with guards around; null when they are not enough. */
function encode(base: Uint8Array, page: Uint8Array, limit: number): Uint8Array | null {
  bench.reset();
  const old = bench.piece(PAGE);
  const fresh = bench.lastPiece(PAGE);
  const target = bench.piece(limit, 5);
  const map = bench.piece(DELTA_MAP_BYTES);
  old.bytes.set(base);
  fresh.bytes.set(page);
  const count = exports.deltaEncode(old.at, fresh.at, target.at, limit, map.at) | 0;
  bench.check();
  if (count === DELTA_TOO_LONG) return null;
  assert.ok(count >= 0 && count <= limit, `${count} bytes of ${limit}`);
  return target.bytes.slice(0, count);
}

/** Applies with guards around; null when it is refused, and then nothing may have changed. */
function apply(base: Uint8Array, delta: Uint8Array): Uint8Array | null {
  bench.reset();
  const page = bench.piece(PAGE, 3);
  const source = bench.lastPiece(delta.length);
  page.bytes.set(base);
  source.bytes.set(delta);
  const isDone = exports.deltaApply(page.at, source.at, delta.length) !== 0;
  bench.check();
  if (!isDone) sameBytes(page.bytes, base, "a page after a refused delta");
  return isDone ? page.bytes.slice() : null;
}

/** The format as delta.ts draws it, read byte by byte; null when it is none. */
function readDelta(base: Uint8Array, delta: Uint8Array): Uint8Array | null {
  const page = base.slice();
  const bytes = [...delta];
  const take = () => {
    const low = bytes.shift();
    if (low === undefined || low < 128) return low;
    const high = bytes.shift();
    return high === undefined ? undefined : low - 128 + high * 128;
  };
  for (let at = 0; bytes.length > 0; ) {
    const skip = take();
    const less = take();
    if (skip === undefined || less === undefined) return null;
    at += skip;
    for (let left = less + 1; left > 0; left--) {
      const change = bytes.shift();
      if (change === undefined || at >= PAGE) return null;
      page[at++] ^= change;
    }
  }
  return page;
}

function changed(base: Uint8Array, random: Random): Uint8Array {
  const page = base.slice();
  const kind = random.below(6);
  if (kind === 0) for (let n = random.below(8); n > 0; n--) page[random.below(PAGE)] ^= 255;
  if (kind === 1) for (let n = random.below(300); n > 0; n--) page[random.below(PAGE)]++;
  if (kind >= 2 && kind <= 4) {
    for (let n = random.between(1, 4); n > 0; n--) {
      const first = random.below(PAGE);
      const end = Math.min(PAGE, first + random.pick([1, 2, 3, 16, 17, 127, 128, 129, 1000]));
      for (let at = first; at < end; at++) page[at] = random.chance(3) ? page[at] : random.u32();
    }
  }
  if (kind === 5) for (let at = random.below(4); at < PAGE; at += random.between(1, 5)) page[at]++;
  return page;
}

function somePage(random: Random): Uint8Array {
  return Uint8Array.from({ length: PAGE }, () => (random.chance(30) ? 0 : random.u32()));
}

test("a delta makes the new page of the old, and the old of the new", () => {
  const random = new Random(SEED);
  for (let round = 0; round < 400; round++) {
    const what = `SEED=${SEED}, round ${round}`;
    const base = somePage(random);
    const page = changed(base, random);
    const delta = encode(base, page, 2 * PAGE);
    if (delta === null) throw new Error(`${what}: two pages are not enough`);
    sameBytes(apply(base, delta) ?? base, page, what);
    sameBytes(apply(page, delta) ?? page, base, `${what}, back`);
    sameBytes(readDelta(base, delta) ?? base, page, `${what}, by the reader`);
  }
});

test("equal pages give an empty delta, whatever the room; an empty delta changes nothing", () => {
  const page = somePage(new Random(SEED + 1));
  assert.is(encode(page, page, 0)?.length, 0);
  assert.is(encode(page, page, 100)?.length, 0);
  sameBytes(apply(page, new Uint8Array()) ?? new Uint8Array(), page, "empty delta");
});

test("sizes: a changed byte costs three, skip and count two bytes from 128 on, gaps of two are kept", () => {
  const base = new Uint8Array(PAGE);
  const sizeOf = (changes: readonly number[]) => {
    const page = base.slice();
    for (const at of changes) page[at] = 1;
    return encode(base, page, 2 * PAGE)?.length;
  };
  const span = (first: number, count: number) => Array.from({ length: count }, (_, n) => first + n);
  assert.is(sizeOf([0]), 3);
  assert.is(sizeOf([127]), 3);
  assert.is(sizeOf([128]), 4);
  assert.is(sizeOf([4095]), 4);
  assert.is(sizeOf(span(0, 128)), 130);
  assert.is(sizeOf(span(0, 129)), 132);
  assert.is(sizeOf(span(0, PAGE)), PAGE + 3);
  assert.is(sizeOf([10, 13]), 2 + 4);
  assert.is(sizeOf([10, 14]), 3 + 3);
});

test("a limit is kept to the byte", () => {
  const random = new Random(SEED + 2);
  for (let round = 0; round < 40; round++) {
    const base = somePage(random);
    const page = changed(base, random);
    const whole = encode(base, page, 2 * PAGE);
    if (whole === null || whole.length === 0) continue;
    sameBytes(encode(base, page, whole.length) ?? base, whole, `SEED=${SEED}, round ${round}`);
    for (const less of [1, 2, 17, whole.length]) {
      if (less > whole.length) continue;
      assert.is(encode(base, page, whole.length - less), null, `SEED=${SEED}, round ${round}`);
    }
  }
});

test("no delta is longer than two pages", () => {
  const base = new Uint8Array(PAGE);
  for (const step of [1, 2, 3, 4, 5, 6]) {
    const page = base.slice();
    for (let at = 0; at < PAGE; at += step) page[at] = 1;
    assert.ok(encode(base, page, 2 * PAGE) !== null, `every ${step} bytes`);
  }
});

test("what is no delta is refused, what is one is what the reader says, and nothing leaves the page", () => {
  const random = new Random(SEED + 3);
  const tally = { taken: 0, refused: 0 };
  for (let round = 0; round < 4000; round++) {
    const base = somePage(random.fork(round % 8));
    let delta: Uint8Array;
    if (round % 2 === 0) {
      delta = Uint8Array.from({ length: random.below(40) }, () => random.u32());
    } else {
      delta = encode(base, changed(base, random), 2 * PAGE) ?? new Uint8Array();
      delta = delta.slice(0, random.chance(50) ? random.below(delta.length + 1) : delta.length);
      for (let n = random.below(3); n > 0 && delta.length > 0; n--) {
        delta[random.below(delta.length)] = random.u32();
      }
    }
    const meant = readDelta(base, delta);
    const got = apply(base, delta);
    const what = `SEED=${SEED}, round ${round}, delta ${Buffer.from(delta).toString("hex")}`;
    if (meant === null || got === null) assert.is(got, meant, what);
    else sameBytes(got, meant, what);
    tally[got === null ? "refused" : "taken"]++;
  }
  assert.ok(tally.taken > 200 && tally.refused > 200, JSON.stringify(tally));
});

test.run();
