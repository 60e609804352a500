/**
 * page-hash: the 128-bit hash of pages under the key of a segment, and LZ4 of single pages.
 *
 * Owns    a PageCodec under that key, and two pages of scratch.
 * Used by segment.ts, segment-writer.ts, writer.ts.
 * Holds   the hash finds candidates and damage, and proves nothing to somebody who knows the key:
 *         pages are taken for the same only once they were compared.
 */
import { PageCodec } from "../../core/page-codec.ts";
import type { PagesSource } from "../../core/pages-module.ts";
import { PAGE_BYTES } from "./bytes.ts";

/** A block is kept when it saves an eighth of the page; else the page as it is. */
const BLOCK_BYTES_MAX = PAGE_BYTES - PAGE_BYTES / 8;

/** Hash, LZ4 and back, of one key. */
export class PageHash {
  readonly #codec: PageCodec;
  readonly #padded = new Uint8Array(PAGE_BYTES);
  readonly #block = new Uint8Array(PAGE_BYTES);
  #words = new Uint32Array(4);

  private constructor(codec: PageCodec) {
    this.#codec = codec;
  }

  /** `key` is 16 bytes. */
  static async create(platform: PagesSource, key: Uint8Array): Promise<PageHash> {
    return new PageHash(await PageCodec.create({ platform, key }));
  }

  /** What others need to hash as this does. */
  get key(): Uint8Array {
    return this.#codec.hashKey;
  }

  /** The hash as four words of 32 bits, lowest bytes first: a view, good until the next call. */
  hash(page: Uint8Array): Uint32Array {
    const { buffer, byteOffset } = this.#codec.hash(page);
    // the codec answers in one place, always: the view of it is made once
    if (this.#words.buffer !== buffer || this.#words.byteOffset !== byteOffset) {
      this.#words = new Uint32Array(buffer as ArrayBuffer, byteOffset, 4);
    }
    return this.#words;
  }

  /** True when both pages hold the same bytes: no delta leads from one to the other. */
  areSame(a: Uint8Array, b: Uint8Array): boolean {
    return this.#codec.delta(a, b, 0) !== null;
  }

  /** What covers the bytes of a block: a word of the hash of a page that begins with it. */
  checkOf(block: Uint8Array): number {
    this.#padded.fill(0);
    this.#padded.set(block);
    return this.hash(this.#padded)[0];
  }

  /** The page as an LZ4 block, good until the next call of this; null when it saves too little. */
  compress(page: Uint8Array): Uint8Array | null {
    const block = this.#codec.compress(page, BLOCK_BYTES_MAX);
    if (block === null) return null;
    this.#block.set(block);
    return this.#block.subarray(0, block.length);
  }

  /** False when the block does not hold a page. */
  decompress(block: Uint8Array, page: Uint8Array): boolean {
    return this.#codec.decompress(block, page);
  }
}
