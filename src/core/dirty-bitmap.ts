/**
 * dirty-bitmap: a set of page numbers as one bit each, on its own: in a memory that no machine
 * knows. What a machine has written is in its own logs (dirty-log.ts), which are made of the same.
 *
 * Owns    an instance of pages.wasm.
 * Used by whoever keeps a set of pages beside a machine: migration rounds, snapshots, programs.
 * Holds   page numbers are below `pages`; bits past the last stay 0.
 *
 *   memory   1024 batch ─ staging ─ summary ─ words
 */
import { FRAME_BYTES } from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import { PagesModule, type PagesSource } from "./pages-module.ts";

/** Most pages of one bitmap: 4 TiB of them. */
const PAGES_MAX = 2 ** 30;
const BATCH = 1024;
/** Page numbers of one batch. */
const BATCH_MAX = 4096;
const STAGING = BATCH + 4 * BATCH_MAX;
const STAGING_BYTES = 65536;
const SUMMARY = STAGING + STAGING_BYTES;

/** A set of page numbers, 0 ... `pages` - 1. */
export class DirtyBitmap {
  readonly pages: number;
  readonly #module: PagesModule;
  /** Words of 64 pages. */
  readonly #words: number;
  readonly #base: number;

  private constructor(module: PagesModule, pages: number, words: number, base: number) {
    this.#module = module;
    this.pages = pages;
    this.#words = words;
    this.#base = base;
  }

  /** A bitmap of `pages` pages (1 to 2^30), none marked. Throws "bad-argument" or "no-memory". */
  static async create(pages: number, options: { platform: PagesSource }): Promise<DirtyBitmap> {
    if (!Number.isInteger(pages) || pages < 1 || pages > PAGES_MAX) {
      const accepted = `accepted are whole numbers from 1 to ${PAGES_MAX}`;
      throw new VmError("bad-argument", `a bitmap of ${pages} pages: ${accepted}`);
    }
    const words = Math.ceil(pages / 64);
    // a bit for each 64 words, and whole vectors
    const summaryBytes = Math.ceil(words / 4096) * 8;
    const base = SUMMARY + Math.ceil(summaryBytes / 16) * 16;
    const module = await PagesModule.create(options.platform, base + words * 8);
    return new DirtyBitmap(module, pages, words, base);
  }

  #checkRange(first: number, count: number): void {
    const isInside = Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 0;
    if (isInside && first + count <= this.pages) return;
    const given = count === 1 ? `page ${first}` : `${count} pages from page ${first} on`;
    throw new VmError("bad-argument", `${given}: accepted are 0 to ${this.pages - 1}`);
  }

  /** Marks a page. */
  mark(page: number): void {
    this.#checkRange(page, 1);
    this.#module.exports.dirtyMark(this.#base, SUMMARY, page);
  }

  /** Marks `count` pages from `first` on. */
  markRange(first: number, count: number): void {
    this.#checkRange(first, count);
    this.#module.exports.dirtyMarkRange(this.#base, SUMMARY, first, count);
  }

  /**
   * Of the pages that `bytes` holds (a multiple of 4096), marks those that are not all zeros: page
   * `first` is the first one.
   */
  markNonZero(first: number, bytes: Uint8Array): void {
    if (bytes.length % FRAME_BYTES !== 0) {
      const accepted = `accepted are multiples of ${FRAME_BYTES}`;
      throw new VmError("bad-argument", `${bytes.length} bytes of pages: ${accepted}`);
    }
    this.#checkRange(first, bytes.length / FRAME_BYTES);
    const { exports, u8 } = this.#module;
    for (let done = 0; done < bytes.length; done += STAGING_BYTES) {
      const piece = bytes.subarray(done, done + STAGING_BYTES);
      u8.set(piece, STAGING);
      const count = piece.length / FRAME_BYTES;
      const page = first + done / FRAME_BYTES;
      exports.pagesMarkNonZero(STAGING, count, this.#base, SUMMARY, page);
    }
  }

  /** True when the page is marked. */
  test(page: number): boolean {
    this.#checkRange(page, 1);
    return this.#module.exports.dirtyTest(this.#base, page) !== 0;
  }

  /** Pages that are marked. */
  get count(): number {
    return this.#module.exports.dirtyCount(this.#base, this.#words) >>> 0;
  }

  /**
   * Takes the marked pages, ascending, in batches, and marks them clean as they are taken. A batch
   * is a view of the bitmap's memory: use it before anything else of the bitmap is called. A caller
   * that stops early leaves the rest marked; a page that is marked meanwhile behind the last one
   * taken waits for the next `take`.
   */
  *take(): Generator<Uint32Array> {
    const { exports, u32 } = this.#module;
    const limit = BATCH_MAX;
    for (let word = 0; ; ) {
      const count =
        exports.dirtyHarvest(this.#base, SUMMARY, this.#words, word, BATCH, limit) >>> 0;
      if (count === 0) return;
      const batch = u32.subarray(BATCH / 4, BATCH / 4 + count);
      word = Math.floor(batch[count - 1] / 64);
      yield batch;
      if (count < BATCH_MAX) return;
    }
  }

  /** Marks every page clean. */
  clear(): void {
    this.#module.u8.fill(0, SUMMARY, this.#base + this.#words * 8);
  }

  /** Marks whatever is marked in `other`, too. */
  merge(other: DirtyBitmap): void {
    this.#combine(other, this.#module.exports.dirtyMerge);
  }

  /** Marks clean whatever is marked in `other`. */
  subtract(other: DirtyBitmap): void {
    this.#combine(other, this.#module.exports.dirtySubtract);
  }

  /** `run` over all words, with the other's copied to staging piece by piece. */
  #combine(other: DirtyBitmap, run: PagesModule["exports"]["dirtyMerge"]): void {
    if (other.pages !== this.pages) {
      const text = `a bitmap of ${other.pages} pages with one of ${this.pages}`;
      throw new VmError("bad-argument", `${text}: they must be of one size`);
    }
    // a piece is two words of the summary
    for (let word = 0; word < this.#words; word += STAGING_BYTES / 8) {
      const count = Math.min(STAGING_BYTES / 8, this.#words - word);
      const from = other.#base + word * 8;
      this.#module.u8.set(other.#module.u8.subarray(from, from + count * 8), STAGING);
      run(this.#base + word * 8, SUMMARY + word / 512, STAGING, count);
    }
  }
}
