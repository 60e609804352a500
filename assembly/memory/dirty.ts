/**
 * dirty: a bitmap of pages with a summary, one bit per 64 words.
 *
 * Owns    the words at `base` and the summary words at `summary`; nothing else writes there.
 * Used by memory/log.ts (a machine's dirty logs, in windows of one frame), pages.ts (on its own).
 * Holds   a word with a mark has its summary bit; a summary bit may stand for words without one.
 *         Bits past the last page are never set, so that counts need no masking.
 *
 *   page 69 ──► word 1, bit 5 ──► summary bit 0       word n holds pages 64n ... 64n+63, lowest bit first
 *
 * Words are looked at eight at a time: one test skips 512 clean pages.
 */

/** Words of one summary bit. */
const GROUP_WORDS: u32 = 64;
/** Words that are skipped with one test. */
const BLOCK_WORDS: u32 = 8;

// @ts-ignore: decorator
@inline
function wordAt(base: usize, word: u32): usize {
  return base + ((<usize>word) << 3);
}

/** Address of the summary word that holds a group's bit. */
// @ts-ignore: decorator
@inline
function summaryAt(summary: usize, group: u32): usize {
  return summary + ((<usize>(group >> 6)) << 3);
}

// @ts-ignore: decorator
@inline
function groupMark(summary: usize, group: u32): void {
  const at = summaryAt(summary, group);
  store<u64>(at, load<u64>(at) | (<u64>1 << (group & 63)));
}

// @ts-ignore: decorator
@inline
function groupClear(summary: usize, group: u32): void {
  const at = summaryAt(summary, group);
  store<u64>(at, load<u64>(at) & ~(<u64>1 << (group & 63)));
}

/** True when the eight words at `at` hold no mark. */
// @ts-ignore: decorator
@inline
function blockIsClean(at: usize): bool {
  const low = v128.or(v128.load(at), v128.load(at, 16));
  const high = v128.or(v128.load(at, 32), v128.load(at, 48));
  return !v128.any_true(v128.or(low, high));
}

/** Marks a page. */
export function dirtyMark(base: usize, summary: usize, index: u32): void {
  const at = wordAt(base, index >> 6);
  store<u64>(at, load<u64>(at) | (<u64>1 << (index & 63)));
  groupMark(summary, index >> 12);
}

/** Marks the pages from `first` on, `count` of them. */
export function dirtyMarkRange(base: usize, summary: usize, first: u32, count: u32): void {
  if (count == 0) return;
  const last = first + count - 1;
  const lastWord = last >> 6;
  for (let group = first >> 12; group <= last >> 12; group++) groupMark(summary, group);
  let mask: u64 = ~(<u64>0) << (first & 63);
  for (let word = first >> 6; word <= lastWord; word++) {
    if (word == lastWord) mask &= ~(<u64>0) >> (63 - (last & 63));
    const at = wordAt(base, word);
    store<u64>(at, load<u64>(at) | mask);
    mask = ~(<u64>0);
  }
}

/** True when a page is marked. */
export function dirtyTest(base: usize, index: u32): bool {
  return ((load<u64>(wordAt(base, index >> 6)) >> (index & 63)) & 1) != 0;
}

/** Pages marked in `words` words. */
export function dirtyCount(base: usize, words: u32): u32 {
  let count: u64 = 0;
  let word: u32 = 0;
  for (; word + BLOCK_WORDS <= words; word += BLOCK_WORDS) {
    const at = wordAt(base, word);
    if (blockIsClean(at)) continue;
    count += popcnt(load<u64>(at)) + popcnt(load<u64>(at, 8));
    count += popcnt(load<u64>(at, 16)) + popcnt(load<u64>(at, 24));
    count += popcnt(load<u64>(at, 32)) + popcnt(load<u64>(at, 40));
    count += popcnt(load<u64>(at, 48)) + popcnt(load<u64>(at, 56));
  }
  for (; word < words; word++) count += popcnt(load<u64>(wordAt(base, word)));
  return <u32>count;
}

/** Writes `first` ... `first` + 63 to `at`. */
function numbersPut(at: usize, first: u32): void {
  const four = i32x4.splat(4);
  let numbers = i32x4.add(i32x4.splat(<i32>first), i32x4(0, 1, 2, 3));
  for (let end = at + 256; at < end; at += 64) {
    v128.store(at, numbers);
    numbers = i32x4.add(numbers, four);
    v128.store(at, numbers, 16);
    numbers = i32x4.add(numbers, four);
    v128.store(at, numbers, 32);
    numbers = i32x4.add(numbers, four);
    v128.store(at, numbers, 48);
    numbers = i32x4.add(numbers, four);
  }
}

/**
 * Writes the number of every bit of `bits`, which is not 0, to `at`, four at a time: up to three
 * more entries than bits. The end is guessed wrong less often than with one at a time, which takes
 * 1.7 times as long when a tenth of the pages is marked.
 */
// @ts-ignore: decorator
@inline
function bitsPut(at: usize, first: u32, bits: u64): void {
  do {
    store<u32>(at, first + <u32>ctz(bits));
    bits &= bits - 1;
    store<u32>(at, first + <u32>ctz(bits), 4);
    bits &= bits - 1;
    store<u32>(at, first + <u32>ctz(bits), 8);
    bits &= bits - 1;
    store<u32>(at, first + <u32>ctz(bits), 12);
    bits &= bits - 1;
    at += 16;
  } while (bits != 0);
}

/**
 * The words [word, end), which lie in one group: as dirtyHarvest, without the summary. When fewer
 * than `limit` came out, all of them are clean.
 */
function wordsHarvest(base: usize, word: u32, end: u32, target: usize, limit: u32): u32 {
  let found: u32 = 0;
  while (word < end) {
    let at = wordAt(base, word);
    if ((word & (BLOCK_WORDS - 1)) == 0 && word + BLOCK_WORDS <= end && blockIsClean(at)) {
      word += BLOCK_WORDS;
      continue;
    }
    // the rest of this block of eight
    const stop = min<u32>(end, (word | (BLOCK_WORDS - 1)) + 1);
    for (; word < stop; word++, at += 8) {
      let bits = load<u64>(at);
      if (bits == 0) continue;
      const first = word << 6;
      const out = target + ((<usize>found) << 2);
      if (limit - found < 64) {
        // no room for a full word: one at a time
        for (let next = out; bits != 0 && found < limit; next += 4) {
          store<u32>(next, first + <u32>ctz(bits));
          bits &= bits - 1;
          found++;
        }
        store<u64>(at, bits);
        if (found == limit) return found;
      } else {
        store<u64>(at, 0);
        if (bits == ~(<u64>0)) numbersPut(out, first);
        else bitsPut(out, first, bits);
        found += <u32>popcnt(bits);
      }
    }
  }
  return found;
}

/**
 * Writes the marked pages from word `from` on to `target`, lowest first, and marks them clean; at
 * most `limit`, and the rest stay marked. Returns how many. What lies behind them at `target`, up
 * to `limit` entries, may be overwritten.
 */
export function dirtyHarvest(
  base: usize,
  summary: usize,
  words: u32,
  from: u32,
  target: usize,
  limit: u32,
): u32 {
  let found: u32 = 0;
  for (let group = from >> 6; group << 6 < words; group++) {
    const rest = load<u64>(summaryAt(summary, group)) >> (group & 63);
    if (rest == 0) {
      group |= 63; // on to the next summary word
      continue;
    }
    group += <u32>ctz(rest);
    const begin = group << 6;
    if (begin >= words) break;
    const first = max<u32>(from, begin);
    const end = min<u32>(words, begin + GROUP_WORDS);
    const out = target + ((<usize>found) << 2);
    found += wordsHarvest(base, first, end, out, limit - found);
    if (found == limit) return found;
    if (first == begin) groupClear(summary, group);
  }
  return found;
}

/** Marks whatever is marked in the `words` words at `from`, too. */
export function dirtyMerge(to: usize, toSummary: usize, from: usize, words: u32): void {
  for (let group: u32 = 0; group << 6 < words; group++) {
    const end = min<u32>(words, (group + 1) << 6);
    let word = group << 6;
    let any = i64x2.splat(0);
    for (; word + 2 <= end; word += 2) {
      const more = v128.load(wordAt(from, word));
      const at = wordAt(to, word);
      v128.store(at, v128.or(v128.load(at), more));
      any = v128.or(any, more);
    }
    if (word < end) {
      const more = load<u64>(wordAt(from, word));
      const at = wordAt(to, word);
      store<u64>(at, load<u64>(at) | more);
      any = v128.or(any, i64x2.splat(more));
    }
    if (v128.any_true(any)) groupMark(toSummary, group);
  }
}

/** Marks clean whatever is marked in the `words` words at `from`. */
export function dirtySubtract(to: usize, toSummary: usize, from: usize, words: u32): void {
  for (let group: u32 = 0; group << 6 < words; group++) {
    const end = min<u32>(words, (group + 1) << 6);
    let word = group << 6;
    let any = i64x2.splat(0);
    for (; word + 2 <= end; word += 2) {
      const at = wordAt(to, word);
      const rest = v128.andnot(v128.load(at), v128.load(wordAt(from, word)));
      v128.store(at, rest);
      any = v128.or(any, rest);
    }
    if (word < end) {
      const at = wordAt(to, word);
      const rest = load<u64>(at) & ~load<u64>(wordAt(from, word));
      store<u64>(at, rest);
      any = v128.or(any, i64x2.splat(rest));
    }
    if (!v128.any_true(any)) groupClear(toSummary, group);
  }
}
