/**
 * page-codec: what is done to pages on their way to a file or to another host: zero test, hash,
 * delta, LZ4. See assembly/memory/codec.ts, delta.ts and lz4.ts for the formats.
 *
 * Owns    an instance of pages.wasm.
 * Used by snapshot/, migration/ and programs.
 * Holds   what comes from outside (a block, a delta) is checked while it is read: it is refused, or
 *         it fits. An answer that is a view is good until the next call.
 *
 *   memory   1024 key ─ map ─ table ─ source ─ base ─ output
 */
import { shake128 } from "@noble/hashes/sha3.js";
import {
  DELTA_MAP_BYTES,
  DELTA_TOO_LONG,
  FRAME_BYTES,
  HASH_BYTES,
  HASH_KEY_BYTES,
  LZ4_PIECE_BYTES_MAX,
  LZ4_TABLE_BYTES,
} from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import { PagesModule, type PagesSource } from "./pages-module.ts";

const KEY_BYTES = 16;
const KEY = 1024;
const MAP = KEY + HASH_KEY_BYTES;
const TABLE = MAP + DELTA_MAP_BYTES;
const SOURCE = TABLE + LZ4_TABLE_BYTES;
const SOURCE_PAGES = LZ4_PIECE_BYTES_MAX / FRAME_BYTES;
const BASE = SOURCE + LZ4_PIECE_BYTES_MAX;
const OUTPUT = BASE + FRAME_BYTES;
/** The longest block that decodes to LZ4_PIECE_BYTES_MAX bytes: one run of literals. */
const BLOCK_BYTES_MAX = LZ4_PIECE_BYTES_MAX + Math.ceil(LZ4_PIECE_BYTES_MAX / 255) + 16;
const MEMORY_BYTES = OUTPUT + BLOCK_BYTES_MAX;

/** What `PageCodec.create` may be told. */
export interface PageCodecOptions {
  /** 16 secret bytes that the hash depends on; by default all zero, which is no secret. */
  readonly key?: Uint8Array;
}

function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 0) return;
  throw new VmError("bad-argument", `a limit of ${limit} bytes: accepted are whole numbers from 0`);
}

/** Zero test, hash, delta and LZ4 of pages of 4096 bytes. */
export class PageCodec {
  readonly #module: PagesModule;

  private constructor(module: PagesModule, key: Uint8Array) {
    this.#module = module;
    // The hash wants 4192 random bytes; an extendable-output function gives them for 16.
    module.u8.set(shake128(key, { dkLen: HASH_KEY_BYTES }), KEY);
  }

  /** A codec. Throws "bad-argument" for a key that is not 16 bytes. */
  static async create(options: PageCodecOptions & { platform: PagesSource }): Promise<PageCodec> {
    const key = options.key ?? new Uint8Array(KEY_BYTES);
    if (key.length !== KEY_BYTES) {
      throw new VmError("bad-argument", `a key of ${key.length} bytes: accepted are ${KEY_BYTES}`);
    }
    return new PageCodec(await PagesModule.create(options.platform, MEMORY_BYTES), key);
  }

  /** What the hash makes of the key, HASH_KEY_BYTES of it: a view that nobody changes. */
  get hashKey(): Uint8Array {
    return this.#module.u8.subarray(KEY, KEY + HASH_KEY_BYTES);
  }

  #placePage(page: Uint8Array, at: number): void {
    if (page.length !== FRAME_BYTES) {
      const accepted = `accepted are ${FRAME_BYTES}`;
      throw new VmError("bad-argument", `a page of ${page.length} bytes: ${accepted}`);
    }
    this.#module.u8.set(page, at);
  }

  #output(bytes: number): Uint8Array {
    return this.#module.u8.subarray(OUTPUT, OUTPUT + bytes);
  }

  /** True when all 4096 bytes are zero. */
  isZero(page: Uint8Array): boolean {
    this.#placePage(page, SOURCE);
    return this.#module.exports.pageIsZero(SOURCE) !== 0;
  }

  /**
   * The page's hash under the codec's key: 16 bytes, a view. Two pages that were chosen without
   * knowing the key hash to the same with a probability of about 2^-128; whoever knows the key
   * makes as many as they like, so compare the pages where that matters.
   */
  hash(page: Uint8Array): Uint8Array {
    this.#placePage(page, SOURCE);
    this.#module.exports.pageHash(SOURCE, KEY, OUTPUT);
    return this.#output(HASH_BYTES);
  }

  /** The hashes of the pages that `pages` holds, one after the other, to `target`. */
  hashAll(pages: Uint8Array, target: Uint8Array): void {
    const count = pages.length / FRAME_BYTES;
    if (!Number.isInteger(count) || target.length !== count * HASH_BYTES) {
      const given = `${pages.length} bytes of pages, ${target.length} of hashes`;
      const accepted = `accepted are ${FRAME_BYTES} and ${HASH_BYTES} for each page`;
      throw new VmError("bad-argument", `${given}: ${accepted}`);
    }
    const { exports, u8 } = this.#module;
    for (let page = 0; page < count; page += SOURCE_PAGES) {
      const some = Math.min(SOURCE_PAGES, count - page);
      u8.set(pages.subarray(page * FRAME_BYTES, (page + some) * FRAME_BYTES), SOURCE);
      exports.pagesHash(SOURCE, some, KEY, OUTPUT);
      target.set(this.#output(some * HASH_BYTES), page * HASH_BYTES);
    }
  }

  /**
   * What makes `page` of `base`, a view; empty when they are equal, null when it would be longer
   * than `limit` bytes.
   */
  delta(base: Uint8Array, page: Uint8Array, limit: number = FRAME_BYTES - 1): Uint8Array | null {
    checkLimit(limit);
    this.#placePage(page, SOURCE);
    this.#placePage(base, BASE);
    // no delta is longer than two pages: a record has at most one byte of head for one of page
    const most = Math.min(limit, 2 * FRAME_BYTES);
    const bytes = this.#module.exports.deltaEncode(BASE, SOURCE, OUTPUT, most, MAP) | 0;
    return bytes === DELTA_TOO_LONG ? null : this.#output(bytes);
  }

  /**
   * Makes the new page of the old one in place; false, and nothing changed, when `delta` is not a
   * delta of any page.
   */
  applyDelta(page: Uint8Array, delta: Uint8Array): boolean {
    this.#placePage(page, SOURCE);
    const { exports, u8 } = this.#module;
    if (delta.length > BLOCK_BYTES_MAX) return false;
    u8.set(delta, OUTPUT);
    if (exports.deltaApply(SOURCE, OUTPUT, delta.length) === 0) return false;
    page.set(u8.subarray(SOURCE, SOURCE + FRAME_BYTES));
    return true;
  }

  /**
   * The LZ4 block of `bytes`, 1 to 65536 of them, a view; null when it would be longer than
   * `limit` bytes (by default, when it would not be shorter than what it holds).
   */
  compress(bytes: Uint8Array, limit: number = bytes.length - 1): Uint8Array | null {
    if (bytes.length < 1 || bytes.length > LZ4_PIECE_BYTES_MAX) {
      const accepted = `accepted are 1 to ${LZ4_PIECE_BYTES_MAX}`;
      throw new VmError("bad-argument", `${bytes.length} bytes to compress: ${accepted}`);
    }
    checkLimit(limit);
    const { exports, u8 } = this.#module;
    u8.set(bytes, SOURCE);
    const most = Math.min(limit, BLOCK_BYTES_MAX);
    const count = exports.lz4Compress(SOURCE, bytes.length, OUTPUT, most, TABLE) >>> 0;
    return count === 0 ? null : this.#output(count);
  }

  /**
   * Decompresses an LZ4 block that holds exactly as many bytes as `target` has, 65536 at most;
   * false, and nothing changed, when it is none or holds fewer or more.
   */
  decompress(block: Uint8Array, target: Uint8Array): boolean {
    const limit = target.length;
    if (limit > LZ4_PIECE_BYTES_MAX) {
      const accepted = `accepted are at most ${LZ4_PIECE_BYTES_MAX}`;
      throw new VmError("bad-argument", `${limit} bytes to decompress: ${accepted}`);
    }
    if (limit === 0 || block.length > BLOCK_BYTES_MAX) return false;
    const { exports, u8 } = this.#module;
    u8.set(block, OUTPUT);
    if (exports.lz4Decompress(OUTPUT, block.length, SOURCE, limit) >>> 0 !== limit) return false;
    target.set(u8.subarray(SOURCE, SOURCE + limit));
    return true;
  }
}
