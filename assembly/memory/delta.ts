/**
 * delta: what changed between two versions of a page, byte by byte.
 *
 * Used by pages.ts.
 * Holds   a delta that deltaApply refuses has changed nothing; what it takes never reaches outside
 *         the page or the delta.
 *
 *   delta    record record ...                    ends with its last byte; none at all for equal pages
 *   record   skip │ count - 1 │ count bytes       bytes that stay │ bytes that change │ old XOR new
 *   number   0-127 in one byte; else 128 + its low 7 bits, then the 5 bits above
 */
import { DELTA_MAP_BYTES, DELTA_TOO_LONG, FRAME_BYTES } from "../layout";

const PAGE_BYTES: u32 = FRAME_BYTES;
/** Words of the map of bytes that differ, one bit each. */
const MAP_WORDS: u32 = 64;
/** An equal stretch this short costs less inside a record than a record of its own. */
const GAP_MAX: u32 = 2;
/** Two numbers. */
const HEAD_BYTES_MAX: u32 = 4;

/** A bit for each of 16 bytes that differ. */
// @ts-ignore: decorator
@inline
function differing(first: v128, second: v128): u64 {
  return <u64>(i8x16.bitmask(i8x16.eq(first, second)) ^ 0xffff);
}

/** A bit for each byte in which the pages differ, to the 64 words at `map`. */
function mapMake(base: usize, page: usize, map: usize): void {
  for (let end = map + DELTA_MAP_BYTES; map < end; map += 8, base += 64, page += 64) {
    let bits = differing(v128.load(base), v128.load(page));
    bits |= differing(v128.load(base, 16), v128.load(page, 16)) << 16;
    bits |= differing(v128.load(base, 32), v128.load(page, 32)) << 32;
    bits |= differing(v128.load(base, 48), v128.load(page, 48)) << 48;
    store<u64>(map, bits);
  }
}

/** First byte from `from` on whose bit is set (`flip` 0) or clear (`flip` -1); PAGE_BYTES for none. */
// @ts-ignore: decorator
@inline
function mapNext(map: usize, from: u32, flip: u64): u32 {
  if (from >= PAGE_BYTES) return PAGE_BYTES;
  let word = from >> 6;
  let bits = ((load<u64>(map + ((<usize>word) << 3)) ^ flip) >> (from & 63)) << (from & 63);
  while (bits == 0) {
    if (++word == MAP_WORDS) return PAGE_BYTES;
    bits = load<u64>(map + ((<usize>word) << 3)) ^ flip;
  }
  return (word << 6) + <u32>ctz(bits);
}

/** Writes a number below 4096; returns the address behind it. */
// @ts-ignore: decorator
@inline
function numberPut(at: usize, value: u32): usize {
  if (value < 128) {
    store<u8>(at, <u8>value);
    return at + 1;
  }
  store<u8>(at, <u8>(value | 128));
  store<u8>(at, <u8>(value >> 7), 1);
  return at + 2;
}

/** `count` bytes of `first` XOR `second` to `target`. */
function xorPut(target: usize, first: usize, second: usize, count: u32): void {
  const end = target + count;
  for (; target + 16 <= end; target += 16, first += 16, second += 16) {
    v128.store(target, v128.xor(v128.load(first), v128.load(second)));
  }
  for (; target < end; target++, first++, second++) {
    store<u8>(target, load<u8>(first) ^ load<u8>(second));
  }
}

/**
 * Writes what makes the page at `page` of the one at `base` to `target`, in `limit` bytes at most.
 * Returns how many; 0 for equal pages, DELTA_TOO_LONG when that is not enough. `map`:
 * DELTA_MAP_BYTES to work in.
 */
export function deltaEncode(base: usize, page: usize, target: usize, limit: u32, map: usize): u32 {
  mapMake(base, page, map);
  const last = target + limit;
  let out = target;
  let done: u32 = 0;
  let first = mapNext(map, 0, 0);
  while (first != PAGE_BYTES) {
    let end = mapNext(map, first, -1);
    let next = mapNext(map, end, 0);
    while (next - end <= GAP_MAX && next != PAGE_BYTES) {
      end = mapNext(map, next, -1);
      next = mapNext(map, end, 0);
    }
    const count = end - first;
    if (<usize>(count + HEAD_BYTES_MAX) > last - out) {
      const head = <u32>(first - done >= 128) + <u32>(count - 1 >= 128) + 2;
      if (<usize>(count + head) > last - out) return DELTA_TOO_LONG;
    }
    out = numberPut(out, first - done);
    out = numberPut(out, count - 1);
    xorPut(out, base + first, page + first, count);
    out += count;
    done = end;
    first = next;
  }
  return <u32>(out - target);
}

/** Changes `count` bytes of the page at `at` by those at `delta`; both have 16 bytes more. */
// @ts-ignore: decorator
@inline
function xorIn(at: usize, delta: usize, count: u32): void {
  const end = at + (count & ~15);
  for (; at < end; at += 16, delta += 16) {
    v128.store(at, v128.xor(v128.load(at), v128.load(delta)));
  }
  const places = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const isChanged = i8x16.lt_s(places, i8x16.splat(<i8>(count & 15)));
  v128.store(at, v128.xor(v128.load(at), v128.and(v128.load(delta), isChanged)));
}

/**
 * Applies records from `delta` to `end`, up to the first that reaches outside the page or behind
 * `end`; returns where that one begins, or `end`.
 */
function recordsApply(page: usize, delta: usize, end: usize): usize {
  const pageEnd = page + PAGE_BYTES;
  // up to here 16 bytes may be taken at a time; a page, a delta may have nothing behind it
  const pageRoom = pageEnd - 16;
  const room = end - 16;
  while (delta < end) {
    let at = delta;
    let skip: u32 = load<u8>(at++);
    if (skip > 127) {
      if (at == end) return delta;
      skip = (skip & 127) | ((<u32>load<u8>(at++)) << 7);
    }
    if (at == end) return delta;
    let count: u32 = load<u8>(at++);
    if (count > 127) {
      if (at == end) return delta;
      count = (count & 127) | ((<u32>load<u8>(at++)) << 7);
    }
    count++;
    page += skip;
    const pageNext = page + count;
    const next = at + count;
    if (pageNext <= pageRoom && next <= room) xorIn(page, at, count);
    else if (pageNext > pageEnd || next > end) return delta;
    else xorPut(page, page, at, count);
    page = pageNext;
    delta = next;
  }
  return delta;
}

/** Makes the new page of the one at `page`; false, and nothing changed, for a delta that is none. */
export function deltaApply(page: usize, delta: usize, bytes: u32): bool {
  const end = delta + bytes;
  const reached = recordsApply(page, delta, end);
  if (reached == end) return true;
  recordsApply(page, delta, reached); // once more: what was changed is changed back
  return false;
}
