/**
 * codec: what is done to whole pages: zero test, fold into a digest, keyed hash. Delta and LZ4 have
 * files of their own.
 *
 * Used by machine.ts (state digest), pages.ts.
 */
import { dirtyMark } from "./dirty";

// @ts-ignore: decorator
@inline
function or4(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.or(v128.or(a, b), v128.or(c, d));
}

/** True when all 4096 bytes at `at` are zero. */
export function pageIsZero(at: usize): bool {
  // 128 bytes a round: with less than that the loop itself is seen
  for (let end = at + 4096; at < end; at += 128) {
    const low = or4(v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48));
    const high = or4(v128.load(at, 64), v128.load(at, 80), v128.load(at, 96), v128.load(at, 112));
    if (v128.any_true(v128.or(low, high))) return false;
  }
  return true;
}

/** True when the pages at `a` and at `b` hold the same 4096 bytes. */
export function pageIsSame(a: usize, b: usize): bool {
  for (let end = a + 4096; a < end; a += 64, b += 64) {
    const low = v128.or(
      v128.xor(v128.load(a), v128.load(b)),
      v128.xor(v128.load(a, 16), v128.load(b, 16)),
    );
    const high = v128.or(
      v128.xor(v128.load(a, 32), v128.load(b, 32)),
      v128.xor(v128.load(a, 48), v128.load(b, 48)),
    );
    if (v128.any_true(v128.or(low, high))) return false;
  }
  return true;
}

// Odd constants with no structure: the first 64 bits of the fractional parts of sqrt(2), sqrt(3),
// sqrt(5), sqrt(7), made odd.
const K0: u64 = 0x6a09e667f3bcc909;
const K1: u64 = 0xbb67ae8584caa73b;
const K2: u64 = 0x3c6ef372fe94f82b;
const K3: u64 = 0xa54ff53a5f1d36f1;

/** Spreads every input bit over the word; a bijection. */
// @ts-ignore: decorator
@inline
function mix(value: u64): u64 {
  value = (value ^ (value >> 32)) * K1;
  value = (value ^ (value >> 29)) * K3;
  return value ^ (value >> 32);
}

/**
 * Absorbs one word into a lane; for a fixed lane a bijection of the word, for a fixed word one of
 * the lane.
 */
// @ts-ignore: decorator
@inline
function absorb(lane: u64, word: u64): u64 {
  return rotl<u64>((lane ^ word) * K0, 29) + K2;
}

/**
 * Folds the page at `at`, which is guest page `page`, into the four lanes at `lanes`. Not
 * cryptographic: two different states collide by accident only.
 */
export function pageFold(lanes: usize, page: u32, at: usize): void {
  let a = K0 ^ page;
  let b = K1 ^ page;
  let c = K2 ^ page;
  let d = K3 ^ page;
  for (let end = at + 4096; at < end; at += 32) {
    a = absorb(a, load<u64>(at));
    b = absorb(b, load<u64>(at, 8));
    c = absorb(c, load<u64>(at, 16));
    d = absorb(d, load<u64>(at, 24));
  }
  store<u64>(lanes, absorb(load<u64>(lanes), mix(a + rotl<u64>(c, 17))));
  store<u64>(lanes, absorb(load<u64>(lanes, 8), mix(b + rotl<u64>(d, 31))), 8);
  store<u64>(lanes, absorb(load<u64>(lanes, 16), mix(c ^ rotl<u64>(b, 43))), 16);
  store<u64>(lanes, absorb(load<u64>(lanes, 24), mix(d ^ rotl<u64>(a, 11))), 24);
}

/** Two sums into one: a bijection of either while the other stays. */
// @ts-ignore: decorator
@inline
function sumsMix(first: u64, second: u64, key: u64): u64 {
  return mix(mix(first ^ key) + rotl<u64>(second, 23));
}

// @ts-ignore: decorator
@inline
function laneSum(sums: v128): u64 {
  return i64x2.extract_lane(sums, 0) + i64x2.extract_lane(sums, 1);
}

/** Adds the products of one pass over 32 bytes, `low` and `high`, each under its words of key. */
// @ts-ignore: decorator
@inline
function pass(sums: v128, low: v128, high: v128, keyLow: v128, keyHigh: v128): v128 {
  const a = i32x4.add(low, keyLow);
  const b = i32x4.add(high, keyHigh);
  const products = i64x2.add(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b));
  return i64x2.add(sums, products);
}

/**
 * 128-bit hash of the page at `at` to `target`, under the HASH_KEY_BYTES of key at `key`.
 *
 * NH, the universal hash inside UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, CRYPTO 1999), four
 * times with the key shifted by 32 bytes each (Toeplitz): a sum of products of 32-bit words, each
 * with a word of key added. For any two different pages one pass sums to the same with probability
 * 2^-32 over the key, all four with 2^-128; so whoever chooses the pages without knowing the key
 * (or seeing hashes under it) finds no collision. Whoever knows the key finds as many as they like:
 * it is not a cryptographic hash. Folding 256 bits of sums into 128 adds what chance adds.
 */
export function pageHash(at: usize, key: usize, target: usize): void {
  let first = i64x2.splat(0);
  let second = i64x2.splat(0);
  let third = i64x2.splat(0);
  let fourth = i64x2.splat(0);
  let words = key;
  for (let end = at + 4096; at < end; at += 32, words += 32) {
    const low = v128.load(at);
    const high = v128.load(at, 16);
    first = pass(first, low, high, v128.load(words), v128.load(words, 16));
    second = pass(second, low, high, v128.load(words, 32), v128.load(words, 48));
    third = pass(third, low, high, v128.load(words, 64), v128.load(words, 80));
    fourth = pass(fourth, low, high, v128.load(words, 96), v128.load(words, 112));
  }
  store<u64>(target, sumsMix(laneSum(first), laneSum(second), load<u64>(key)));
  store<u64>(target, sumsMix(laneSum(third), laneSum(fourth), load<u64>(key, 8)), 8);
}

/** Hashes of `count` pages at `at` to `target`, 16 bytes each. */
export function pagesHash(at: usize, count: u32, key: usize, target: usize): void {
  for (let index: u32 = 0; index < count; index++) {
    pageHash(at + ((<usize>index) << 12), key, target + ((<usize>index) << 4));
  }
}

/** Of `count` pages at `at`, marks those that are not zero as page `first`, `first` + 1, ... */
export function pagesMarkNonZero(at: usize, count: u32, base: usize, summary: usize, first: u32): void {
  for (let index: u32 = 0; index < count; index++) {
    if (!pageIsZero(at + ((<usize>index) << 12))) dirtyMark(base, summary, first + index);
  }
}
