/**
 * dirty: a bitmap of pages with a summary, one bit per 64 words.
 *
 * Owns    the words at `base` and the summary words at `summary`.
 * Used by memory/log.ts.
 * Holds   a word with a mark has its summary bit; a summary bit may stand for words without one.
 *
 *   page 69 ──► word 1, bit 5 ──► summary bit 0
 */

/** Marks a page. */
export function dirtyMark(base: usize, summary: usize, index: u32): void {
  const at = base + ((<usize>(index >> 6)) << 3);
  store<u64>(at, load<u64>(at) | (<u64>1 << (index & 63)));
  const group = index >> 12;
  const groupAt = summary + ((<usize>(group >> 6)) << 3);
  store<u64>(groupAt, load<u64>(groupAt) | (<u64>1 << (group & 63)));
}

/** True when a page is marked. */
export function dirtyTest(base: usize, index: u32): bool {
  return ((load<u64>(base + ((<usize>(index >> 6)) << 3)) >> (index & 63)) & 1) != 0;
}

/** Pages marked in `words` words. */
export function dirtyCount(base: usize, words: u32): u32 {
  let count: u64 = 0;
  for (let word: u32 = 0; word < words; word++) count += popcnt(load<u64>(base + ((<usize>word) << 3)));
  return <u32>count;
}

/**
 * Writes the marked pages from word `from` on to `target`, lowest first, and marks them clean; at
 * most `limit`. Returns how many.
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
    const groupAt = summary + ((<usize>(group >> 6)) << 3);
    const groupBit: u64 = <u64>1 << (group & 63);
    if ((load<u64>(groupAt) & groupBit) == 0) continue;
    const first = max<u32>(from, group << 6);
    const end = min<u32>(words, (group + 1) << 6);
    for (let word = first; word < end; word++) {
      const at = base + ((<usize>word) << 3);
      let bits = load<u64>(at);
      while (bits != 0) {
        if (found == limit) return found;
        store<u32>(target + ((<usize>found) << 2), (word << 6) + <u32>ctz(bits));
        found++;
        bits &= bits - 1;
        store<u64>(at, bits);
      }
    }
    if (first == group << 6) store<u64>(groupAt, load<u64>(groupAt) & ~groupBit);
  }
  return found;
}
