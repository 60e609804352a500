/**
 * page-hashes: what every page of a machine hashes to, and one sum over all of them: both ends of
 * a migration keep such a list while pages go over, so that comparing them takes no time at the
 * end.
 *
 * Owns    16 bytes for each page of RAM.
 * Used by source-memory.ts, target-memory.ts.
 * Holds   equal sums are equal memory, unless somebody who knows the session's key wants otherwise
 *         (who sends a machine may send any). A page that is zero, or of which nothing is known,
 *         counts as nothing.
 */

const WORDS = 4;
/** Odd, and unlike each other: a page's place counts, and the place of each word in it. */
const PLACES = Uint32Array.of(0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f);

function mixed(word: number, page: number, lane: number): number {
  let value = Math.imul(word ^ Math.imul(page + 1, PLACES[lane]), 0x85eb_ca6b);
  value ^= value >>> 15;
  value = Math.imul(value, 0xc2b2_ae35);
  return (value ^ (value >>> 13)) >>> 0;
}

/** Hashes of the pages of one machine. */
export class PageHashes {
  readonly #words: Uint32Array;
  readonly #isSet: Uint8Array;
  /** Of 32 bits each, modulo 2^32. */
  readonly #sums = new Uint32Array(WORDS);

  constructor(pages: number) {
    this.#words = new Uint32Array(pages * WORDS);
    this.#isSet = new Uint8Array(pages);
  }

  #count(page: number, sign: 1 | -1): void {
    for (let lane = 0; lane < WORDS; lane++) {
      // each sum sees two words, so that no word alone decides one
      const word = this.#words[page * WORDS + lane];
      const next = this.#words[page * WORDS + ((lane + 1) % WORDS)];
      this.#sums[lane] += sign * mixed(word ^ Math.imul(next, 0x9e37_79b1), page, lane);
    }
  }

  /** The page hashes to the four words of `hashes` from `at` on. */
  set(page: number, hashes: Uint32Array, at: number): void {
    if (this.#isSet[page] !== 0) this.#count(page, -1);
    for (let lane = 0; lane < WORDS; lane++) this.#words[page * WORDS + lane] = hashes[at + lane];
    this.#isSet[page] = 1;
    this.#count(page, 1);
  }

  /** The page is zero, or unknown. */
  clear(page: number): void {
    if (this.#isSet[page] === 0) return;
    this.#count(page, -1);
    this.#isSet[page] = 0;
  }

  /** True when the page is known to hash to that. */
  is(page: number, hashes: Uint32Array, at: number): boolean {
    if (this.#isSet[page] === 0) return false;
    for (let lane = 0; lane < WORDS; lane++) {
      if (this.#words[page * WORDS + lane] !== hashes[at + lane]) return false;
    }
    return true;
  }

  /** False: it is zero, or nothing is known of it. */
  has(page: number): boolean {
    return this.#isSet[page] !== 0;
  }

  /** Its four words, into `target` from `at` on. */
  read(page: number, target: Uint32Array, at: number): void {
    for (let lane = 0; lane < WORDS; lane++) target[at + lane] = this.#words[page * WORDS + lane];
  }

  /** 16 bytes over all pages. */
  sum(): Uint8Array {
    return new Uint8Array(this.#sums.slice().buffer);
  }
}
