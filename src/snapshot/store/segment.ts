/**
 * segment: a file of pages, each once, that is never changed: its slots are found, read and
 * checked.
 *
 * Used by store.ts, reader.ts, care.ts, transfer.ts; segment-writer.ts makes them.
 * Holds   no page is given out whose hash is not that in the table; the table, with the head, is
 *         under the digest in the tail, which manifests repeat. Slots lie one behind the other, so
 *         that every byte of the file belongs to something that is checked.
 *
 *   head 4096 ─ slots' bytes ─ table: 24 bytes for each slot ─ tail 64
 *   slot in the table   hash, 16 ─ bytes u32: 4096, or fewer of LZ4 ─ check u32: of these, else 0
 */
import { VmError } from "../../errors.ts";
import type { StoreFile } from "../../platform/contract.ts";
import {
  type Digest,
  digestOf,
  fromHex,
  PAGE_BYTES,
  readExact,
  sameBytes,
  toHex,
} from "./bytes.ts";
import type { PageHash } from "./page-hash.ts";

export const HEAD_BYTES = 4096;
export const TAIL_BYTES = 64;
export const SLOT_BYTES = 24;
/** 32-bit words of a slot in the table: four of hash, its bytes, its check. */
export const SLOT_WORDS = 6;
const KEY_BYTES = 16;
const FORMAT = 1;
const MAGIC = new TextEncoder().encode("RIVSEGMT");
/** Slots of one segment; a file must have room for as many anyway. */
const SLOTS_MAX = 1 << 26;

/** What a segment's tail says. */
export interface SegmentFacts {
  readonly slots: number;
  readonly dataBytes: number;
  /** SHA-256 of head, table and tail. */
  readonly digest: Uint8Array;
}

/** The head: whose pages these are, and under which key. */
export function encodeHead(id: string, key: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  head.set(MAGIC);
  view.setUint32(8, FORMAT, true);
  view.setUint32(12, PAGE_BYTES, true);
  head.set(fromHex(id), 16);
  head.set(key, 32);
  return head;
}

/** The tail, over a head and a table. */
export function encodeTail(
  head: Uint8Array,
  table: Uint8Array,
  dataBytes: number,
  digestBy: Digest,
): { readonly tail: Uint8Array<ArrayBuffer>; readonly digest: Uint8Array } {
  const tail = new Uint8Array(TAIL_BYTES);
  const view = new DataView(tail.buffer);
  tail.set(MAGIC);
  view.setUint32(8, FORMAT, true);
  view.setUint32(12, table.length / SLOT_BYTES, true);
  view.setBigUint64(16, BigInt(dataBytes), true);
  const digest = digestBy(head, table, tail.subarray(0, 32));
  tail.set(digest, 32);
  return { tail, digest };
}

/** What a tail says of a file; its digest is not looked at yet. Throws "bad-file". */
export function decodeTail(tail: Uint8Array, fileBytes: number, what: string): SegmentFacts {
  const refuse = (why: string): never => {
    throw new VmError("bad-file", `${what} ${why}`);
  };
  if (!sameBytes(tail.subarray(0, 8), MAGIC)) refuse("is no segment: it does not end as one");
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  const format = view.getUint32(8, true);
  if (format !== FORMAT) {
    throw new VmError("unsupported", `${what} has format ${format}: this version reads ${FORMAT}`);
  }
  const slots = view.getUint32(12, true);
  const dataBytes = Number(view.getBigUint64(16, true));
  const isWhole = HEAD_BYTES + dataBytes + slots * SLOT_BYTES + TAIL_BYTES === fileBytes;
  if (!isWhole || slots > SLOTS_MAX) {
    refuse(`has ${fileBytes} bytes, and says ${slots} slots of ${dataBytes} bytes`);
  }
  if (view.getBigUint64(24, true) !== 0n) refuse("is damaged: its tail's padding is not zero");
  return { slots, dataBytes, digest: tail.slice(32) };
}

/** `decodeTail` of a file. Throws "bad-file". */
export function readTail(file: StoreFile, what: string): SegmentFacts {
  const tail = readExact(file, file.bytes - TAIL_BYTES, TAIL_BYTES, what);
  return decodeTail(tail, file.bytes, what);
}

/** Key of a segment. Throws "bad-file" when the head is none, or of another segment. */
function keyOf(head: Uint8Array, id: string, what: string): Uint8Array {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const isOurs =
    sameBytes(head.subarray(0, 8), MAGIC) &&
    view.getUint32(8, true) === FORMAT &&
    view.getUint32(12, true) === PAGE_BYTES &&
    toHex(head.subarray(16, 32)) === id;
  if (!isOurs) throw new VmError("bad-file", `${what} does not begin as a segment, or as another`);
  return head.slice(32, 32 + KEY_BYTES);
}

/** Slots of one segment, in memory. */
export class SlotTable {
  readonly count: number;
  readonly key: Uint8Array;
  /** SLOT_WORDS for each. */
  readonly words: Uint32Array;
  readonly #offsets: Float64Array;

  /** Of slots one behind the other. */
  constructor(words: Uint32Array, key: Uint8Array) {
    this.words = words;
    this.key = key;
    this.count = words.length / SLOT_WORDS;
    this.#offsets = new Float64Array(this.count + 1);
    this.#offsets[0] = HEAD_BYTES;
    for (let slot = 0; slot < this.count; slot++) {
      this.#offsets[slot + 1] = this.#offsets[slot] + this.bytes(slot);
    }
  }

  /** Of the slot in the file. */
  bytes(slot: number): number {
    return this.words[slot * SLOT_WORDS + 4];
  }

  offset(slot: number): number {
    return this.#offsets[slot];
  }

  /** True when the page has the hash that the table gives the slot. */
  hasHash(slot: number, hash: Uint32Array): boolean {
    const { words } = this;
    const at = slot * SLOT_WORDS;
    return (
      words[at] === hash[0] &&
      words[at + 1] === hash[1] &&
      words[at + 2] === hash[2] &&
      words[at + 3] === hash[3]
    );
  }
}

/** What a segment is made of beside its slots' bytes. */
export interface SegmentFrame {
  readonly head: Uint8Array;
  readonly table: Uint8Array<ArrayBuffer>;
  readonly tail: Uint8Array;
}

/** Checks head and table against the digest; `id` null: of any segment. Throws "bad-file". */
export function decodeTable(
  { head, table, tail }: SegmentFrame,
  facts: SegmentFacts,
  id: string | null,
  what: string,
): SlotTable {
  if (!sameBytes(digestOf(head, table, tail.subarray(0, 32)), facts.digest)) {
    throw new VmError("bad-file", `${what} is damaged: its digest is not that of its table`);
  }
  const key = keyOf(head, id ?? toHex(head.subarray(16, 32)), what);
  const made = new SlotTable(new Uint32Array(table.buffer), key);
  for (let slot = 0; slot < made.count; slot++) {
    const bytes = made.bytes(slot);
    const check = made.words[slot * SLOT_WORDS + 5];
    if (bytes < 1 || bytes > PAGE_BYTES || (bytes === PAGE_BYTES && check !== 0)) {
      throw new VmError("bad-file", `${what}: slot ${slot} of ${bytes} bytes is none`);
    }
  }
  if (made.offset(made.count) !== HEAD_BYTES + facts.dataBytes) {
    throw new VmError("bad-file", `${what}: its slots do not fill it`);
  }
  return made;
}

/** `decodeTable` of a file. Throws "bad-file". */
export function readTable(
  file: StoreFile,
  facts: SegmentFacts,
  id: string,
  what: string,
): SlotTable {
  const tableAt = HEAD_BYTES + facts.dataBytes;
  const table = readExact(file, tableAt, facts.slots * SLOT_BYTES, what);
  const head = readExact(file, 0, HEAD_BYTES, what);
  const tail = readExact(file, tableAt + table.length, TAIL_BYTES, what);
  return decodeTable({ head, table, tail }, facts, id, what);
}

function refusePage(what: string, offset: number): never {
  throw new VmError("bad-file", `${what}: the page at ${offset} is not what was written there`);
}

/** Checks the bytes of a slot that are fewer than a page, and makes the page of them. */
function decodeBlock(
  block: Uint8Array,
  table: SlotTable,
  slot: number,
  target: Uint8Array,
  hash: PageHash,
): boolean {
  const isAsWritten = hash.checkOf(block) === table.words[slot * SLOT_WORDS + 5];
  return isAsWritten && hash.decompress(block, target);
}

/**
 * Makes the page of a slot's bytes and checks it. Throws "bad-file" for one that is not what was
 * written; `target` then holds nothing of use.
 */
export function decodeSlot(
  stored: Uint8Array,
  table: SlotTable,
  slot: number,
  target: Uint8Array,
  hash: PageHash,
  what: string,
): void {
  if (stored.length === PAGE_BYTES) target.set(stored);
  else if (!decodeBlock(stored, table, slot, target, hash)) refusePage(what, table.offset(slot));
  if (!table.hasHash(slot, hash.hash(target))) refusePage(what, table.offset(slot));
}

/** `decodeSlot` of a file, a whole page without a copy. Throws "bad-file", "io". */
export function readSlot(
  file: StoreFile,
  table: SlotTable,
  slot: number,
  target: Uint8Array,
  hash: PageHash,
  what: string,
): void {
  const offset = table.offset(slot);
  const bytes = table.bytes(slot);
  if (bytes !== PAGE_BYTES) {
    decodeSlot(readExact(file, offset, bytes, what), table, slot, target, hash, what);
    return;
  }
  const isThere = file.read(offset, target) === PAGE_BYTES;
  if (!isThere || !table.hasHash(slot, hash.hash(target))) refusePage(what, offset);
}
