/**
 * hash-index: finds the places of pages by their hash: candidates for a page that is there already.
 *
 * Used by state.ts for all that is in a store, writer.ts for what it wrote itself.
 * Holds   open addressing, at most half full; a place is told only when the caller says that it is
 *         the page's.
 */
import { NOWHERE } from "./page-columns.ts";

const FIRST_ENTRIES = 1024;
/** Of one entry: first word of the hash, second, segment, slot. */
const ENTRY_WORDS = 4;

/** Where a page is. */
export interface Place {
  readonly segment: number;
  readonly slot: number;
}

/** Places by hash. */
export class HashIndex {
  #entries = FIRST_ENTRIES;
  #words = new Uint32Array(FIRST_ENTRIES * ENTRY_WORDS).fill(NOWHERE);
  #count = 0;

  #put(first: number, second: number, segment: number, slot: number): void {
    const words = this.#words;
    let entry = first & (this.#entries - 1);
    while (words[entry * ENTRY_WORDS + 2] !== NOWHERE) entry = (entry + 1) & (this.#entries - 1);
    const at = entry * ENTRY_WORDS;
    words[at] = first;
    words[at + 1] = second;
    words[at + 2] = segment;
    words[at + 3] = slot;
  }

  #grow(): void {
    const old = this.#words;
    this.#entries *= 2;
    this.#words = new Uint32Array(this.#entries * ENTRY_WORDS).fill(NOWHERE);
    for (let at = 0; at < old.length; at += ENTRY_WORDS) {
      if (old[at + 2] !== NOWHERE) this.#put(old[at], old[at + 1], old[at + 2], old[at + 3]);
    }
  }

  /** Adds a place; the same hash may have several. */
  add(first: number, second: number, segment: number, slot: number): void {
    if (++this.#count * 2 > this.#entries) this.#grow();
    this.#put(first, second, segment, slot);
  }

  /** The first place of that hash that `accepts`; null when there is none. */
  find(
    first: number,
    second: number,
    accepts: (segment: number, slot: number) => boolean,
  ): Place | null {
    const words = this.#words;
    for (let entry = first & (this.#entries - 1); ; entry = (entry + 1) & (this.#entries - 1)) {
      const at = entry * ENTRY_WORDS;
      const segment = words[at + 2];
      if (segment === NOWHERE) return null;
      if (words[at] !== first || words[at + 1] !== second) continue;
      const slot = words[at + 3];
      if (accepts(segment, slot)) return { segment, slot };
    }
  }
}
