/**
 * wording: pieces of sentences that errors are made of.
 *
 * Used by session.ts, call.ts, main.ts, fleet.ts and the families.
 */

/** Words that are mistaken for each other differ in so many letters. */
const SLIPS_MAX = 2;

/** Letters to add, leave out, replace or swap with their neighbour on the way from `a` to `b`. */
function slips(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, at) => at)];
  for (let row = 1; row <= a.length; row++) {
    const next = [row];
    for (let at = 1; at <= b.length; at++) {
      const isSame = a[row - 1] === b[at - 1];
      next[at] = Math.min(last[at] + 1, next[at - 1] + 1, last[at - 1] + (isSame ? 0 : 1));
      const isSwapped = row > 1 && at > 1 && a[row - 1] === b[at - 2] && a[row - 2] === b[at - 1];
      if (isSwapped) next[at] = Math.min(next[at], before[at - 2] + 1);
    }
    [before, last] = [last, next];
  }
  return last[b.length];
}

/** The candidate that `word` may be meant for: a letter or, in long words, two off; or null. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.min(SLIPS_MAX, Math.floor((word.length + 1) / 3)) + 1;
  for (const candidate of candidates) {
    const count = slips(word, candidate);
    if (count < least) [best, least] = [candidate, count];
  }
  return best;
}

/** "there is web", "there are web, db"; `none` when there is nothing. */
export function thereAre(names: readonly string[], none = "there is none"): string {
  if (names.length === 0) return none;
  return `there ${names.length === 1 ? "is" : "are"} ${names.join(", ")}`;
}
