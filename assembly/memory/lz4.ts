/**
 * lz4: the LZ4 block format, for pages and other pieces of up to 64 KiB.
 *
 * Used by pages.ts.
 * Holds   nothing is read outside the source or written outside the target, whatever the source
 *         holds; bytes at the target behind what was decoded may have been written, within it.
 *
 *   block     sequence ... sequence, the last one without a match
 *   sequence  token │ more literals │ literals │ offset u16 │ more match     token: literals << 4 | match - 4
 *   more      when the token's four bits are 15: bytes that are added, up to the first below 255
 *
 * End of block (what every encoder of the format keeps): the last five bytes are literals, and no
 * match begins in the last twelve.
 */
import { LZ4_PIECE_BYTES_MAX, LZ4_TABLE_BYTES } from "../layout";

const MATCH_MIN: u32 = 4;
const LAST_LITERALS: u32 = 5;
/** From where on no match begins, counted from the end. */
const MATCH_LIMIT: u32 = 12;
/** 2^32 divided by the golden ratio: spreads neighbouring values. */
const MULTIPLIER: u32 = 0x9e3779b1;
/** LZ4_TABLE_BYTES is two bytes for each. */
const HASH_BITS: u32 = 11;
/** After 2^6 positions without a match every second one is tried, and so on. */
const SKIP_SHIFT: u32 = 6;
/** What one copy of a vector may write past its end. */
const SLACK: u32 = 16;

// @ts-ignore: decorator
@inline
function slotOf(table: usize, four: u32): usize {
  return table + ((<usize>((four * MULTIPLIER) >> (32 - HASH_BITS))) << 1);
}

/** How many bytes at `first` and `second` are equal, before `end` of `first`. */
// @ts-ignore: decorator
@inline
function equalBytes(first: usize, second: usize, end: usize): u32 {
  const begin = first;
  for (; first + 8 <= end; first += 8, second += 8) {
    const differing = load<u64>(first) ^ load<u64>(second);
    if (differing != 0) return <u32>(first - begin) + (<u32>ctz(differing) >> 3);
  }
  while (first < end && load<u8>(first) == load<u8>(second)) {
    first++;
    second++;
  }
  return <u32>(first - begin);
}

/** Bytes that a length takes beside its four bits. */
// @ts-ignore: decorator
@inline
function moreBytes(length: u32): u32 {
  return length < 15 ? 0 : (length - 15) / 255 + 1;
}

/** Writes those; returns the address behind them. */
// @ts-ignore: decorator
@inline
function morePut(at: usize, length: u32): usize {
  if (length < 15) return at;
  let rest = length - 15;
  for (; rest >= 255; rest -= 255) store<u8>(at++, 255);
  store<u8>(at, <u8>rest);
  return at + 1;
}

/** Copies `count` bytes, which do not overlap; past them up to SLACK bytes of both may be touched. */
// @ts-ignore: decorator
@inline
function copyLoosely(target: usize, source: usize, count: u32): void {
  const end = target + count;
  do {
    v128.store(target, v128.load(source));
    target += 16;
    source += 16;
  } while (target < end);
}

/** Copies `count` bytes, which do not overlap, and no more. (No call: one costs the loop its registers.) */
// @ts-ignore: decorator
@inline
function copyExactly(target: usize, source: usize, count: u32): void {
  const end = target + count;
  for (; target + 8 <= end; target += 8, source += 8) store<u64>(target, load<u64>(source));
  for (; target < end; target++, source++) store<u8>(target, load<u8>(source));
}

/**
 * Writes a sequence: the literals [from, from + count), then a match of `match` bytes more than
 * four. Returns the address behind it; 0 when it does not fit before `last`.
 */
// @ts-ignore: decorator
@inline
function sequencePut(
  out: usize,
  last: usize,
  from: usize,
  count: u32,
  end: usize,
  offset: u32,
  match: u32,
): usize {
  const size = 3 + moreBytes(count) + count + moreBytes(match);
  if (<usize>size > last - out) return 0;
  store<u8>(out, <u8>((min<u32>(count, 15) << 4) | min<u32>(match, 15)));
  out = morePut(out + 1, count);
  if (<usize>(count + SLACK) <= last - out && <usize>(count + SLACK) <= end - from) {
    copyLoosely(out, from, count);
  } else {
    copyExactly(out, from, count);
  }
  out += count;
  store<u16>(out, <u16>offset);
  return morePut(out + 2, match);
}

/** The last literals, which have no match behind them; bytes of the block, 0 when they do not fit. */
function blockEnd(target: usize, out: usize, last: usize, from: usize, count: u32): u32 {
  if (<usize>(1 + moreBytes(count) + count) > last - out) return 0;
  store<u8>(out, <u8>(min<u32>(count, 15) << 4));
  out = morePut(out + 1, count);
  memory.copy(out, from, count);
  return <u32>(out - target) + count;
}

/**
 * Compresses `bytes` (1 to 65536) at `source` into at most `limit` bytes at `target`. Returns how
 * many; 0 when they are not enough. `table`: LZ4_TABLE_BYTES to work in.
 */
export function lz4Compress(source: usize, bytes: u32, target: usize, limit: u32, table: usize): u32 {
  if (bytes == 0 || bytes > <u32>LZ4_PIECE_BYTES_MAX) return 0;
  // u16 positions: 0 stands for none and for the first alike, which is compared as any other
  memory.fill(table, 0, LZ4_TABLE_BYTES);
  const end = source + bytes;
  const last = target + limit;
  let out = target;
  let anchor = source;
  if (bytes > MATCH_LIMIT) {
    const matchEnd = end - LAST_LITERALS;
    const begins = end - MATCH_LIMIT;
    let at = source + 1;
    while (at <= begins) {
      let match: usize = 0;
      let tries: u32 = 1 << SKIP_SHIFT;
      do {
        const four = load<u32>(at);
        const slot = slotOf(table, four);
        const candidate = source + load<u16>(slot);
        store<u16>(slot, <u16>(at - source));
        if (load<u32>(candidate) == four) {
          match = candidate;
          break;
        }
        at += tries++ >> SKIP_SHIFT;
      } while (at <= begins);
      if (match == 0) break;
      while (at > anchor && match > source && load<u8>(at - 1) == load<u8>(match - 1)) {
        at--;
        match--;
      }
      const more = equalBytes(at + MATCH_MIN, match + MATCH_MIN, matchEnd);
      const literals = <u32>(at - anchor);
      out = sequencePut(out, last, anchor, literals, end, <u32>(at - match), more);
      if (out == 0) return 0;
      at += MATCH_MIN + more;
      anchor = at;
      // a position inside the match, so that a period is found again at once
      if (at <= begins) store<u16>(slotOf(table, load<u32>(at - 2)), <u16>(at - 2 - source));
    }
  }
  return blockEnd(target, out, last, anchor, <u32>(end - anchor));
}

/**
 * Copies a match of `count` bytes that begins `offset` before `out`; with 16 bytes of room behind
 * it. While the stretch behind `out` repeats in less than a vector, what was copied doubles it.
 */
// @ts-ignore: decorator
@inline
function matchCopyLoosely(out: usize, offset: u32, count: u32): void {
  const end = out + count;
  const from = out - offset;
  while (offset < 16) {
    v128.store(out, v128.load(from));
    out += offset;
    if (out >= end) return;
    offset <<= 1;
  }
  do {
    v128.store(out, v128.load(out - offset));
    out += 16;
  } while (out < end);
}

function matchCopyExactly(out: usize, offset: u32, count: u32): void {
  const end = out + count;
  for (; out < end; out++) store<u8>(out, load<u8>(out - offset));
}

/**
 * Decompresses the block of `bytes` at `source` into at most `limit` bytes at `target`. Returns how
 * many there are; 0 for a block that is none, or that holds more.
 */
export function lz4Decompress(source: usize, bytes: u32, target: usize, limit: u32): u32 {
  const end = source + bytes;
  const last = target + limit;
  let out = target;
  while (source < end) {
    const token: u32 = load<u8>(source++);
    let count = token >> 4;
    if (count != 15 && end - source >= SLACK + 2 && last - out >= SLACK) {
      // most literals: few, and not the last ones
      v128.store(out, v128.load(source));
      out += count;
      source += count;
    } else {
      if (count == 15) {
        let more: u32;
        do {
          // a length beyond the target ends it, so nothing overflows
          if (source >= end || count > limit) return 0;
          more = load<u8>(source++);
          count += more;
        } while (more == 255);
      }
      if (<usize>count > end - source || <usize>count > last - out) return 0;
      if (<usize>(count + SLACK) <= end - source && <usize>(count + SLACK) <= last - out) {
        copyLoosely(out, source, count);
      } else {
        copyExactly(out, source, count);
      }
      out += count;
      source += count;
      if (source == end) return <u32>(out - target);
      if (end - source < 2) return 0;
    }

    const offset: u32 = load<u16>(source);
    source += 2;
    if (offset == 0 || <usize>offset > out - target) return 0;
    count = (token & 15) + MATCH_MIN;
    if (count != 15 + MATCH_MIN && offset >= 16 && last - out >= 2 * SLACK) {
      // most matches: 18 bytes at most
      v128.store(out, v128.load(out - offset));
      v128.store(out, v128.load(out - offset, 16), 16);
      out += count;
      continue;
    }
    if (count == 15 + MATCH_MIN) {
      let more: u32;
      do {
        if (source >= end || count > limit) return 0;
        more = load<u8>(source++);
        count += more;
      } while (more == 255);
    }
    if (<usize>count > last - out) return 0;
    if (<usize>(count + SLACK) <= last - out) matchCopyLoosely(out, offset, count);
    else matchCopyExactly(out, offset, count);
    out += count;
  }
  return 0;
}
