/**
 * codec: zero test and keyed hash, beside references written from their definition.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HASH_KEY_BYTES } from "../../assembly/layout.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { Bench, PAGE, type Piece, sameBytes } from "./pages.ts";

const test = suite("memory/codec");
const SEED = seedOf(42);
const bench = await Bench.create();
const { exports } = bench;

function fill(bytes: Uint8Array, random: Random): void {
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.u32();
}

test("a page is zero when all its bits are", () => {
  bench.reset();
  const page = bench.piece(PAGE);
  page.bytes.fill(0);
  assert.is(exports.pageIsZero(page.at), 1);
  for (let bit = 0; bit < PAGE * 8; bit++) {
    page.bytes[bit >> 3] = 1 << (bit & 7);
    if (exports.pageIsZero(page.at) !== 0) assert.unreachable(`bit ${bit} is not looked at`);
    page.bytes[bit >> 3] = 0;
  }
});

test("a scan marks the pages that are not zero", () => {
  bench.reset();
  const random = new Random(SEED);
  const pages = bench.piece(100 * PAGE);
  const base = bench.piece(256);
  const summary = bench.piece(8);
  pages.bytes.fill(0);
  base.bytes.fill(0);
  summary.bytes.fill(0);
  const meant = new Uint8Array(2048);
  for (let page = 0; page < 100; page++) {
    if (random.chance(50)) continue;
    pages.bytes[page * PAGE + random.below(PAGE)] = 1 << random.below(8);
    meant[page + 1000] = 1;
  }
  exports.pagesMarkNonZero(pages.at, 100, base.at, summary.at, 1000);
  for (let page = 0; page < 2048; page++) {
    assert.is(exports.dirtyTest(base.at, page), meant[page], `SEED=${SEED}, page ${page}`);
  }
  bench.check();
});

// ---- the hash, in arithmetic without bounds ----

const WORD = (1n << 64n) - 1n;
const K1 = 0xbb67ae8584caa73bn;
const K3 = 0xa54ff53a5f1d36f1n;

function mix(value: bigint): bigint {
  let mixed = ((value ^ (value >> 32n)) * K1) & WORD;
  mixed = ((mixed ^ (mixed >> 29n)) * K3) & WORD;
  return mixed ^ (mixed >> 32n);
}

const rotated = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & WORD;

/** NH of a page: products of 32-bit words 16 bytes apart, with the key's words added. */
function sumOf(page: DataView, key: DataView, shift: number): bigint {
  let sum = 0n;
  for (let at = 0; at < PAGE; at += 32) {
    for (let lane = 0; lane < 16; lane += 4) {
      const word = (offset: number) => {
        const place = at + lane + offset;
        return BigInt((page.getUint32(place, true) + key.getUint32(place + shift, true)) >>> 0);
      };
      sum = (sum + word(0) * word(16)) & WORD;
    }
  }
  return sum;
}

function hashOf(pageBytes: Uint8Array, keyBytes: Uint8Array): Uint8Array {
  const page = new DataView(pageBytes.slice().buffer);
  const key = new DataView(keyBytes.slice().buffer);
  const [first, second, third, fourth] = [0, 32, 64, 96].map((shift) => sumOf(page, key, shift));
  const fold = (a: bigint, b: bigint, at: number) =>
    mix((mix(a ^ key.getBigUint64(at, true)) + rotated(b, 23n)) & WORD);
  const result = new DataView(new ArrayBuffer(16));
  result.setBigUint64(0, fold(first, second, 0), true);
  result.setBigUint64(8, fold(third, fourth, 8), true);
  return new Uint8Array(result.buffer);
}

interface Hashing {
  readonly page: Piece;
  readonly key: Piece;
  readonly target: Piece;
}

function hashing(random: Random): Hashing {
  bench.reset();
  const made = {
    page: bench.piece(PAGE),
    key: bench.piece(HASH_KEY_BYTES),
    target: bench.piece(16),
  };
  fill(made.key.bytes, random);
  return made;
}

test("hashes are the reference's", () => {
  const random = new Random(SEED + 1);
  for (let round = 0; round < 40; round++) {
    const { page, key, target } = hashing(random);
    const kind = round % 4;
    if (kind === 0) fill(page.bytes, random);
    if (kind === 1) page.bytes.fill(0);
    if (kind === 2) page.bytes.fill(0xff);
    if (kind === 3) page.bytes.fill(0).set([1 << random.below(8)], random.below(PAGE));
    exports.pageHash(page.at, key.at, target.at);
    sameBytes(target.bytes, hashOf(page.bytes, key.bytes), `SEED=${SEED}, round ${round}`);
    bench.check();
  }
});

test("every bit of a page matters, and about half of the hash's bits change with it", () => {
  const random = new Random(SEED + 2);
  const { page, key, target } = hashing(random);
  fill(page.bytes, random);
  const seen = new Set<string>();
  const changes = new Uint32Array(128);
  exports.pageHash(page.at, key.at, target.at);
  const before = target.bytes.slice();
  const bits = PAGE * 8;
  for (let bit = 0; bit < bits; bit++) {
    page.bytes[bit >> 3] ^= 1 << (bit & 7);
    exports.pageHash(page.at, key.at, target.at);
    page.bytes[bit >> 3] ^= 1 << (bit & 7);
    seen.add(String.fromCharCode(...target.bytes));
    for (let at = 0; at < 128; at++) {
      changes[at] += ((target.bytes[at >> 3] ^ before[at >> 3]) >> (at & 7)) & 1;
    }
  }
  assert.is(seen.size, bits);
  // 32768 throws of a coin: seven standard deviations are 2 %
  for (const [at, count] of changes.entries()) {
    assert.ok(Math.abs(count / bits - 0.5) < 0.02, `SEED=${SEED}, bit ${at}: ${count} of ${bits}`);
  }
});

test("pages that differ in two places, or in the order of their words, hash differently", () => {
  const random = new Random(SEED + 3);
  const { page, key, target } = hashing(random);
  const seen = new Set<string>();
  let count = 0;
  const see = () => {
    exports.pageHash(page.at, key.at, target.at);
    seen.add(String.fromCharCode(...target.bytes));
    count++;
  };
  // the pages of a guest: zero but for few bytes
  for (let first = 0; first < 64; first++) {
    for (let second = first + 1; second < 64; second++) {
      page.bytes.fill(0);
      page.bytes[first * 64] = 1;
      page.bytes[second * 64 + 63] = 128;
      see();
    }
  }
  // swapped neighbours, for every pair of 8 bytes
  fill(page.bytes, random);
  const whole = page.bytes.slice();
  for (let at = 0; at + 16 <= PAGE; at += 8) {
    page.bytes.set(whole);
    page.bytes.set(whole.subarray(at, at + 8), at + 8);
    page.bytes.set(whole.subarray(at + 8, at + 16), at);
    see();
  }
  assert.is(seen.size, count);
});

test("another key, another hash; many pages are hashed as each alone", () => {
  const random = new Random(SEED + 4);
  const { page, key, target } = hashing(random);
  const pages = bench.piece(5 * PAGE);
  const hashes = bench.piece(5 * 16);
  fill(pages.bytes, random);
  exports.pagesHash(pages.at, 5, key.at, hashes.at);
  for (let index = 0; index < 5; index++) {
    page.bytes.set(pages.bytes.subarray(index * PAGE, (index + 1) * PAGE));
    exports.pageHash(page.at, key.at, target.at);
    sameBytes(hashes.bytes.slice(index * 16, index * 16 + 16), target.bytes, `page ${index}`);
  }
  bench.check();
  const seen = new Set<string>();
  for (let bit = 0; bit < HASH_KEY_BYTES * 8; bit += 37) {
    key.bytes[bit >> 3] ^= 1 << (bit & 7);
    exports.pageHash(page.at, key.at, target.at);
    key.bytes[bit >> 3] ^= 1 << (bit & 7);
    seen.add(String.fromCharCode(...target.bytes));
  }
  assert.is(seen.size, Math.ceil((HASH_KEY_BYTES * 8) / 37), `SEED=${SEED}`);
});

test.run();
