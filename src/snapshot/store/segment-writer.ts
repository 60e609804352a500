/**
 * segment-writer: writes a segment: pages one behind the other through large buffers, then the
 * table and the tail.
 *
 * Owns    the file until `finish` or `drop`.
 * Used by writer.ts, compact.ts, transfer.ts.
 * Holds   the caller goes on while buffers are written, until BUFFERS_MAX of them wait, and what is
 *         written is on its way to the disk before the last sync wants it there. A write that
 *         failed is thrown by the next call, and by `finish`.
 */
import { VmError } from "../../errors.ts";
import type { StoreFile } from "../../platform/contract.ts";
import { type Digest, PAGE_BYTES, readExact } from "./bytes.ts";
import type { PageHash } from "./page-hash.ts";
import { encodeHead, encodeTail, HEAD_BYTES, SLOT_WORDS, SlotTable } from "./segment.ts";

const BUFFER_BYTES = 1 << 20;
const BUFFERS_MAX = 4;
/** After as many a sync is begun, beside the rest. */
const BUFFERS_PER_SYNC = 4;

/** How pages are kept. */
export type Compression = "none" | "lz4";

/** What a segment is made with. */
export interface SegmentOptions {
  readonly file: StoreFile;
  readonly id: string;
  readonly key: Uint8Array;
  readonly hash: PageHash;
  readonly compress: Compression;
  readonly digest: Digest;
}

/** A segment that is whole. */
export interface FinishedSegment {
  readonly table: SlotTable;
  readonly digest: Uint8Array;
  /** Of the file. */
  readonly bytes: number;
  /** Its bytes are durable when it resolves; the file is closed then, whatever comes of it. */
  readonly synced: Promise<void>;
}

interface Flight {
  readonly offset: number;
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly bytes: number;
}

/** A segment that is being written. */
export class SegmentWriter {
  readonly #options: SegmentOptions;
  readonly #head: Uint8Array<ArrayBuffer>;
  #words = new Uint32Array(256 * SLOT_WORDS);
  #slots = 0;
  readonly #offsets: number[] = [];
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(BUFFER_BYTES);
  /** Where the buffer's first byte goes. */
  #offset = 0;
  #used = 0;
  readonly #flights = new Map<Flight, Promise<void>>();
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #failure: { readonly error: unknown } | null = null;
  #flushes = 0;
  #sync: Promise<void> | null = null;

  constructor(options: SegmentOptions) {
    this.#options = options;
    this.#head = encodeHead(options.id, options.key);
    this.#put(this.#head);
  }

  get slots(): number {
    return this.#slots;
  }

  /** To be awaited before the next page: enough is on its way. */
  get pressure(): Promise<void> | undefined {
    if (this.#flights.size < BUFFERS_MAX) return undefined;
    return this.#flights.values().next().value;
  }

  /** Adds a page that has that hash; returns its slot. Throws what a write before threw. */
  append(page: Uint8Array, hash: Uint32Array): number {
    this.#check();
    if ((this.#slots + 1) * SLOT_WORDS > this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    const at = this.#slots * SLOT_WORDS;
    this.#words.set(hash, at);
    const block = this.#options.compress === "lz4" ? this.#options.hash.compress(page) : null;
    const stored = block ?? page;
    this.#words[at + 4] = stored.length;
    this.#words[at + 5] = block === null ? 0 : this.#options.hash.checkOf(block);
    if (this.#used + stored.length > BUFFER_BYTES) this.#flush();
    this.#offsets.push(this.#offset + this.#used);
    this.#put(stored);
    return this.#slots++;
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** The buffer has room for it. */
  #put(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #flush(): void {
    if (this.#used === 0) return;
    const flight = { offset: this.#offset, buffer: this.#buffer, bytes: this.#used };
    const written = this.#options.file.write(
      flight.offset,
      flight.buffer.subarray(0, flight.bytes),
    );
    const settled = written
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#flights.delete(flight);
        this.#spare.push(flight.buffer);
      });
    this.#flights.set(flight, settled);
    if (++this.#flushes % BUFFERS_PER_SYNC === 0) this.#syncBehind();
    this.#offset += this.#used;
    this.#buffer = this.#spare.pop() ?? new Uint8Array(BUFFER_BYTES);
    this.#used = 0;
  }

  /** The page of a slot that was appended, wherever it is by now. */
  read(slot: number, target: Uint8Array): void {
    const bytes = this.#words[slot * SLOT_WORDS + 4];
    const stored = this.#find(this.#offsets[slot], bytes);
    if (bytes === PAGE_BYTES) target.set(stored);
    else if (!this.#options.hash.decompress(stored, target)) {
      throw new VmError("io", `slot ${slot} cannot be read back`);
    }
  }

  #find(offset: number, bytes: number): Uint8Array {
    const current = { offset: this.#offset, buffer: this.#buffer, bytes: this.#used };
    for (const { offset: first, buffer, bytes: held } of [current, ...this.#flights.keys()]) {
      if (offset < first || offset + bytes > first + held) continue;
      return buffer.subarray(offset - first, offset - first + bytes);
    }
    return readExact(this.#options.file, offset, bytes, "the segment that is being written");
  }

  /** One at a time; `finish` syncs what it leaves. */
  #syncBehind(): void {
    this.#sync ??= this.#options.file
      .sync()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#sync = null;
      });
  }

  async #settle(): Promise<void> {
    while (this.#flights.size > 0) await Promise.all([...this.#flights.values()]);
    await this.#sync;
  }

  /** Writes what is left; the file is synced and closed beside what the caller does next. */
  async finish(): Promise<FinishedSegment> {
    this.#flush();
    const words = this.#words.slice(0, this.#slots * SLOT_WORDS);
    const table = new Uint8Array(words.buffer);
    const dataBytes = this.#offset - HEAD_BYTES;
    const { tail, digest } = encodeTail(this.#head, table, dataBytes, this.#options.digest);
    const end = new Uint8Array(table.length + tail.length);
    end.set(table);
    end.set(tail, table.length);
    const written = this.#options.file.write(this.#offset, end);
    try {
      await this.#settle();
    } finally {
      await written;
    }
    this.#check();
    const synced = this.#options.file.sync().finally(() => this.#options.file.close());
    synced.catch(() => {}); // whoever finishes the rest is told
    const made = new SlotTable(words, this.#options.key);
    return { table: made, digest, bytes: this.#offset + end.length, synced };
  }

  /** Waits for what is on its way and closes the file: nothing of it is wanted. */
  async drop(): Promise<void> {
    await this.#settle();
    this.#options.file.close();
  }
}
