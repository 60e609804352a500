/**
 * page-message: pages and disk blocks on the wire: what describes them, and their bytes behind it.
 *
 * Used by source-memory.ts, source-disks.ts, target-memory.ts, target-disks.ts.
 * Holds   what is read is hostile: every number is checked against the machine before it is used.
 *
 *   control bytes u32 ─ entries u32 ─ then each 24 bytes:
 *   page or block u32 ─ length u24 ─ kind (blocks: disk slot) u8 ─ hash, 16 bytes
 *
 *   zero    `length` pages from this one on are zeros; no bytes follow, the hash is zero
 *   raw     4096 bytes follow; of a disk's last block it may be fewer
 *   delta   against what the target has: assembly/memory/delta.ts
 *   lz4     a block of LZ4 that makes 4096 bytes
 */
import { VmError } from "../errors.ts";
import { BATCH_PAGES, PAGE_ENTRY_BYTES } from "./wire.ts";

export const KIND_ZERO = 0;
export const KIND_RAW = 1;
export const KIND_DELTA = 2;
export const KIND_LZ4 = 3;
const PAGE_BYTES = 4096;
const HEAD_BYTES = 8;
const LENGTH_MAX = 0xff_ffff;

/** One page, run of zero pages, or block. */
export interface PageEntry {
  readonly page: number;
  /** One of KIND_*; of a block its disk's slot. */
  readonly kind: number;
  /** Bytes that follow; of KIND_ZERO pages. */
  readonly length: number;
}

/** Puts entries together. */
export class EntryWriter {
  readonly #bytes = new Uint8Array(HEAD_BYTES + BATCH_PAGES * PAGE_ENTRY_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  #count = 0;

  /** True when so many more do not fit. */
  lacks(count: number): boolean {
    return this.#count + count > BATCH_PAGES;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** `hash`: four words from `at` on. */
  add(entry: PageEntry, hash: Uint32Array | null, at = 0): void {
    const word = (HEAD_BYTES + this.#count++ * PAGE_ENTRY_BYTES) / 4;
    this.#words[word] = entry.page;
    this.#words[word + 1] = (entry.kind << 24) | entry.length;
    for (let lane = 0; lane < 4; lane++) this.#words[word + 2 + lane] = hash?.[at + lane] ?? 0;
  }

  /** The run of zeros that ended with the page before `page` goes on. False when there is none. */
  extendZeros(page: number): boolean {
    if (this.#count === 0) return false;
    const word = (HEAD_BYTES + (this.#count - 1) * PAGE_ENTRY_BYTES) / 4;
    const length = this.#words[word + 1];
    if (length >>> 24 !== KIND_ZERO || this.#words[word] + length !== page) return false;
    if (length === LENGTH_MAX) return false;
    this.#words[word + 1] = length + 1;
    return true;
  }

  /** The control part; the writer begins anew. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, HEAD_BYTES + this.#count * PAGE_ENTRY_BYTES);
    const words = new Uint32Array(bytes.buffer);
    words[0] = bytes.length;
    words[1] = this.#count;
    this.#count = 0;
    return bytes;
  }
}

/** Entries of a control part; `hashes` has six words each, of which the last four are the hash. */
export interface Entries {
  readonly list: readonly PageEntry[];
  readonly words: Uint32Array;
}

/** Where the hash of entry `index` begins in `words`. */
export function hashAt(index: number): number {
  return (HEAD_BYTES + index * PAGE_ENTRY_BYTES) / 4 + 2;
}

function refuse(why: string): never {
  throw new VmError("bad-file", `the other end of the migration sent ${why}`);
}

/** What a control part lists. Throws "bad-file" when that is not what the message is. */
export function readEntries(control: Uint8Array, dataBytes: number): Entries {
  const own = control.slice(); // aligned
  const words = new Uint32Array(own.buffer, 0, own.length >> 2);
  const count = words[1];
  if (count > BATCH_PAGES || own.length !== HEAD_BYTES + count * PAGE_ENTRY_BYTES) {
    refuse(`${count} pages described in ${own.length} bytes`);
  }
  const list: PageEntry[] = [];
  for (let index = 0; index < count; index++) {
    const at = hashAt(index) - 2;
    list.push({ page: words[at], kind: words[at + 1] >>> 24, length: words[at + 1] & LENGTH_MAX });
  }
  if (dataBytes > BATCH_PAGES * PAGE_BYTES) refuse(`${dataBytes} bytes of pages at once`);
  return { list, words };
}

/** Throws "bad-file" unless these are pages of a RAM of so many. */
export function checkPages({ list }: Entries, ramPages: number, dataBytes: number): void {
  let sum = 0;
  for (const { page, kind, length } of list) {
    if (page >= ramPages) refuse(`page ${page} of ${ramPages}`);
    const isZero = kind === KIND_ZERO;
    const isFine =
      (isZero && length >= 1 && length <= ramPages - page) ||
      (kind === KIND_RAW && length === PAGE_BYTES) ||
      ((kind === KIND_DELTA || kind === KIND_LZ4) && length >= 1 && length < PAGE_BYTES);
    if (!isFine) refuse(`page ${page} of kind ${kind} with length ${length}`);
    if (!isZero) sum += length;
  }
  if (sum !== dataBytes) refuse(`pages of ${sum} bytes in ${dataBytes}`);
}

/** Throws "bad-file" unless these are blocks of the machine's disks. */
export function checkBlocks(
  { list }: Entries,
  disks: readonly { readonly bytes: number }[],
  dataBytes: number,
): void {
  let sum = 0;
  for (const { page: block, kind: slot, length } of list) {
    const bytes = disks[slot]?.bytes ?? 0;
    const expected = Math.min(PAGE_BYTES, bytes - block * PAGE_BYTES);
    if (expected <= 0) refuse(`block ${block} of disk ${slot}, which has ${bytes} bytes`);
    if (length !== expected && length !== 0) refuse(`block ${block} with ${length} bytes`);
    sum += length;
  }
  if (sum !== dataBytes) refuse(`blocks of ${sum} bytes in ${dataBytes}`);
}
