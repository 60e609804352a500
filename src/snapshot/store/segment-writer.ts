/**
 * segment-writer: writes a segment: pages one behind the other in large writes, then the table and
 * the tail.
 *
 * Owns    the file until `finish` or `drop`.
 * Used by writer.ts, compact.ts, transfer.ts.
 * Holds   the caller goes on while writes are under way, until FLIGHTS_MAX of them are, and what is
 *         written is on its way to the disk before the last sync wants it there. A write that
 *         failed is thrown by the next call, and by `finish`. Pages that are frozen are written
 *         from where they are.
 */
import { VmError } from "../../errors.ts";
import type { StoreFile } from "../../platform/contract.ts";
import { type Digest, PAGE_BYTES, readExact } from "./bytes.ts";
import type { PageHash } from "./page-hash.ts";
import { encodeHead, encodeTail, HEAD_BYTES, SLOT_WORDS, SlotTable } from "./segment.ts";

/** Of one write, at most. */
const FLIGHT_BYTES = 2 << 20;
/** More would wait for each other: the system writes to a file in turn. */
const FLIGHTS_MAX = 2;
/** When as many are new a sync is begun, beside the rest. */
const FLIGHTS_PER_SYNC = 4;

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

/** What goes to the file in one write. */
interface Flight {
  readonly offset: number;
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

/** A segment that is being written. */
export class SegmentWriter {
  readonly #options: SegmentOptions;
  readonly #head: Uint8Array<ArrayBuffer>;
  #words = new Uint32Array(256 * SLOT_WORDS);
  #slots = 0;
  readonly #offsets: number[] = [];
  /** Where the first byte of the next flight goes. */
  #offset = 0;
  /** Bytes and pieces of the next flight; the last piece may be open still. */
  #held = 0;
  #pieces: Uint8Array[] = [];
  /** Takes bytes that are the caller's again; those in front of #from are in pieces. */
  #buffer: Uint8Array<ArrayBuffer> | null = null;
  #from = 0;
  #used = 0;
  /** Frozen pages that follow each other in memory. */
  #memory: Uint8Array | null = null;
  #runAt = 0;
  #runBytes = 0;
  readonly #flights = new Map<Flight, Promise<void>>();
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #failure: { readonly error: unknown } | null = null;
  /** Flights since the last sync was begun. */
  #unsynced = 0;
  #sync: Promise<void> | null = null;
  /** No sync but the last one is begun any more. */
  #isEnding = false;

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
    if (this.#flights.size < FLIGHTS_MAX) return undefined;
    return this.#flights.values().next().value;
  }

  /**
   * Adds a page that has that hash; returns its slot. The bytes are the caller's again. Throws what
   * a write before threw.
   */
  append(page: Uint8Array, hash: Uint32Array): number {
    this.#check();
    const block = this.#options.compress === "lz4" ? this.#options.hash.compress(page) : null;
    const stored = block ?? page;
    if (this.#held + stored.length > FLIGHT_BYTES) this.#flush();
    const slot = this.#enter(hash, stored.length);
    if (block !== null) this.#words[slot * SLOT_WORDS + 5] = this.#options.hash.checkOf(block);
    this.#put(stored);
    return slot;
  }

  /** As `append`, of a page at an address of `memory` that stays as it is until `finish`. */
  appendFrozen(memory: Uint8Array, at: number, hash: Uint32Array): number {
    if (this.#options.compress !== "none") {
      return this.append(memory.subarray(at, at + PAGE_BYTES), hash);
    }
    this.#check();
    if (this.#held + PAGE_BYTES > FLIGHT_BYTES) this.#flush();
    const slot = this.#enter(hash, PAGE_BYTES);
    if (at !== this.#runAt + this.#runBytes || memory !== this.#memory || this.#runBytes === 0) {
      this.#closePiece();
      this.#memory = memory;
      this.#runAt = at;
    }
    this.#runBytes += PAGE_BYTES;
    this.#held += PAGE_BYTES;
    return slot;
  }

  /** A row of the table for what comes next. */
  #enter(hash: Uint32Array, bytes: number): number {
    if ((this.#slots + 1) * SLOT_WORDS > this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    const at = this.#slots * SLOT_WORDS;
    for (let word = 0; word < 4; word++) this.#words[at + word] = hash[word];
    this.#words[at + 4] = bytes;
    this.#offsets.push(this.#offset + this.#held);
    return this.#slots++;
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** The flight has room for it. */
  #put(bytes: Uint8Array): void {
    if (this.#runBytes > 0) this.#closePiece();
    this.#buffer ??= this.#spare.pop() ?? new Uint8Array(FLIGHT_BYTES);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#held += bytes.length;
  }

  #closePiece(): void {
    if (this.#buffer !== null && this.#used > this.#from) {
      this.#pieces.push(this.#buffer.subarray(this.#from, this.#used));
      this.#from = this.#used;
    }
    if (this.#memory !== null && this.#runBytes > 0) {
      this.#pieces.push(this.#memory.subarray(this.#runAt, this.#runAt + this.#runBytes));
      this.#runBytes = 0;
    }
  }

  #flush(): void {
    if (this.#held === 0) return;
    this.#closePiece();
    const flight = { offset: this.#offset, pieces: this.#pieces, bytes: this.#held };
    const buffer = this.#buffer;
    const settled = this.#options.file
      .writev(flight.offset, flight.pieces)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#flights.delete(flight);
        if (buffer !== null) this.#spare.push(buffer);
      });
    this.#flights.set(flight, settled);
    this.#unsynced++;
    this.#syncBehind();
    this.#offset += this.#held;
    this.#held = 0;
    this.#pieces = [];
    this.#buffer = null;
    this.#from = 0;
    this.#used = 0;
  }

  /** The page of a slot that was appended, wherever it is by now. */
  read(slot: number, target: Uint8Array): void {
    this.#check();
    const bytes = this.#words[slot * SLOT_WORDS + 4];
    const stored = this.#find(this.#offsets[slot], bytes);
    if (bytes === PAGE_BYTES) target.set(stored);
    else if (!this.#options.hash.decompress(stored, target)) {
      throw new VmError("io", `slot ${slot} cannot be read back`);
    }
  }

  #find(offset: number, bytes: number): Uint8Array {
    this.#closePiece();
    const current = { offset: this.#offset, pieces: this.#pieces, bytes: this.#held };
    for (const flight of [current, ...this.#flights.keys()]) {
      let from = offset - flight.offset;
      if (from < 0 || from + bytes > flight.bytes) continue;
      for (const piece of flight.pieces) {
        if (from < piece.length) return piece.subarray(from, from + bytes);
        from -= piece.length;
      }
    }
    return readExact(this.#options.file, offset, bytes, "the segment that is being written");
  }

  /** One at a time, and one behind the other; `finish` syncs what they leave. */
  #syncBehind(): void {
    if (this.#sync !== null || this.#isEnding || this.#unsynced < FLIGHTS_PER_SYNC) return;
    this.#unsynced = 0;
    this.#sync = this.#options.file
      .sync()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#sync = null;
        this.#syncBehind();
      });
  }

  async #settle(): Promise<void> {
    this.#isEnding = true;
    while (this.#flights.size > 0) await Promise.all([...this.#flights.values()]);
    await this.#sync;
  }

  /** Writes what is left; the file is synced and closed beside what the caller does next. */
  async finish(): Promise<FinishedSegment> {
    this.#isEnding = true;
    this.#flush();
    const words = this.#words.slice(0, this.#slots * SLOT_WORDS);
    const table = new Uint8Array(words.buffer);
    const dataBytes = this.#offset - HEAD_BYTES;
    const { tail, digest } = encodeTail(this.#head, table, dataBytes, this.#options.digest);
    const end = new Uint8Array(table.length + tail.length);
    end.set(table);
    end.set(tail, table.length);
    const written = this.#options.file.write(this.#offset, end);
    written.catch(() => {}); // told below, behind what is on its way
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
