/**
 * codec: what is done to whole pages: zero test and hash. (Delta and LZ4 come with snapshots.)
 *
 * Used by machine.ts (state digest).
 */

/** True when all 4096 bytes at `at` (8-byte aligned) are zero. */
export function pageIsZero(at: usize): bool {
  for (let end = at + 4096; at < end; at += 64) {
    const low = v128.or(v128.load(at), v128.load(at, 16));
    const high = v128.or(v128.load(at, 32), v128.load(at, 48));
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
