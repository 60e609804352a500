/**
 * page-bits: a set of pages as it is on the wire: one bit for each page of the machine, lowest
 * first.
 *
 * Used by postcopy-source.ts, postcopy-target.ts, source-rounds.ts.
 */
import { VmError } from "../errors.ts";

/** Pages of a machine. */
export class PageBits {
  readonly bytes: Uint8Array;
  readonly #pages: number;
  #count = 0;

  /** `bytes`: as it came, for a machine of so many pages. Throws "bad-file". */
  constructor(pages: number, bytes: Uint8Array | null = null) {
    this.#pages = pages;
    this.bytes = bytes?.slice() ?? new Uint8Array(Math.ceil(pages / 8));
    if (this.bytes.length !== Math.ceil(pages / 8)) {
      const text = `${this.bytes.length} bytes of page bits for a machine of ${pages} pages`;
      throw new VmError("bad-file", text);
    }
    const spare = pages % 8;
    if (spare > 0 && this.bytes[this.bytes.length - 1] >>> spare !== 0) {
      throw new VmError("bad-file", `page bits behind the last of ${pages} pages`);
    }
    for (const byte of this.bytes) {
      for (let bits = byte; bits !== 0; bits &= bits - 1) this.#count++;
    }
  }

  get count(): number {
    return this.#count;
  }

  has(page: number): boolean {
    return page < this.#pages && (this.bytes[page >>> 3] & (1 << (page & 7))) !== 0;
  }

  add(page: number): void {
    if (this.has(page)) return;
    this.bytes[page >>> 3] |= 1 << (page & 7);
    this.#count++;
  }

  delete(page: number): void {
    if (!this.has(page)) return;
    this.bytes[page >>> 3] &= ~(1 << (page & 7));
    this.#count--;
  }

  /** The first `most` of them from `from` on, ascending. */
  next(from: number, most: number): Uint32Array {
    const found = new Uint32Array(Math.min(most, this.#count));
    let count = 0;
    for (let page = from; page < this.#pages && count < found.length; page++) {
      if ((page & 7) === 0 && this.bytes[page >>> 3] === 0) page += 7;
      else if (this.has(page)) found[count++] = page;
    }
    return found.subarray(0, count);
  }

  /** Runs of pages that follow each other: first and count. */
  *runs(): Generator<readonly [first: number, count: number]> {
    for (let page = 0; page < this.#pages; page++) {
      if (!this.has(page)) continue;
      const first = page;
      while (this.has(page + 1)) page++;
      yield [first, page + 1 - first];
    }
  }
}
