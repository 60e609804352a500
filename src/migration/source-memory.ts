/**
 * source-memory: sends pages of a retained root: each as zeros, as nothing at all (the target has
 * it), as a delta, compressed, or as it is.
 *
 * Owns    the list of what the target has, by hash.
 * Used by source.ts.
 * Holds   pages are sent from where they are: the root is not released before `send` resolves.
 *         What is in the list was sent; the target has it when it has acknowledged the round.
 */
import type { PageCodec } from "../core/page-codec.ts";
import type { RetainedRoot } from "../core/root.ts";
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { Channel } from "./channel.ts";
import { PageHashes } from "./page-hashes.ts";
import { EntryWriter, KIND_DELTA, KIND_LZ4, KIND_RAW, KIND_ZERO } from "./page-message.ts";

const PAGE_BYTES = 4096;
const SURVEY_PAGES = 64;
/** Messages on their way at a time: enough that the link never waits for us. */
const FLIGHTS_MAX = 3;
/** A delta, or a compressed page, that is longer is not worth it. */
const SHORT_BYTES = 3072;
/** Of so many tries in a row this many must have been worth it, or a while is tried no more. */
const TRIES = 64;
const WORTH_MIN = 8;
const REST_PAGES = 2048;
/** Links slower than this wait longer for a page than the codec takes for it. */
const SLOW_BYTES_PER_MS = 100_000;

/** What was sent. */
export interface MemoryCounts {
  /** Bytes of pages on the wire. */
  bytes: number;
  /** Pages sent as they are. */
  normal: number;
  /** Sent as zeros. */
  zero: number;
  /** Not sent, as the target has them. */
  same: number;
  delta: number;
  lz4: number;
}

/** Tries something for as long as it is worth it. */
class Trial {
  #tries = 0;
  #worth = 0;
  #rest = 0;

  get isDue(): boolean {
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  tell(wasWorth: boolean): void {
    if (wasWorth) this.#worth++;
    if (++this.#tries < TRIES) return;
    if (this.#worth < WORTH_MIN) this.#rest = REST_PAGES;
    this.#tries = 0;
    this.#worth = 0;
  }
}

/** What a sender needs. */
export interface PageSenderParts {
  readonly platform: Platform;
  readonly channel: Channel;
  readonly codec: PageCodec;
  readonly bandwidth: Bandwidth;
  readonly ramPages: number;
  /** What the guest has had of this host so far, ms: a link is not slow because of that. */
  readonly usedMs: () => number;
  /** Where it is counted; by default anew. */
  readonly counts?: MemoryCounts;
  /** The target has none of the pages, and takes them for absent, not for zeros. */
  readonly isAbsent?: boolean;
}

/** Sends the pages of one machine. */
export class PageSender {
  readonly hashes: PageHashes;
  readonly counts: MemoryCounts;
  readonly #parts: PageSenderParts;
  readonly #zeroHash: Uint32Array;
  readonly #writer = new EntryWriter();
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  /** Where the last piece ends in the arena; 0 when it is not of there. */
  #end = 0;
  #flights: Promise<void>[] = [];
  /** Since bytes left last: waited for the link; what the guest had had by then. */
  #waitedMs = 0;
  #usedMs: number;
  readonly #deltas = new Trial();
  readonly #packs = new Trial();

  constructor(parts: PageSenderParts) {
    this.#parts = parts;
    this.#usedMs = parts.usedMs();
    this.counts = parts.counts ?? { bytes: 0, normal: 0, zero: 0, same: 0, delta: 0, lz4: 0 };
    this.hashes = new PageHashes(parts.ramPages);
    const hash = parts.codec.hash(new Uint8Array(PAGE_BYTES)).slice();
    this.#zeroHash = new Uint32Array(hash.buffer);
  }

  /**
   * Sends what of `pages`, ascending, the target does not have. `base`: the root that was sent
   * before, for deltas. Resolves when all has left. Throws "aborted" by `check`, "io".
   */
  async send(
    root: RetainedRoot,
    base: RetainedRoot | null,
    pages: Uint32Array,
    check: () => void,
  ): Promise<void> {
    try {
      for (let at = 0; at < pages.length; at += SURVEY_PAGES) {
        const some = pages.subarray(at, at + SURVEY_PAGES);
        const isMore = this.#survey(root, base, some);
        if (!isMore) continue;
        await this.#flush();
        check();
      }
      await this.#flush();
    } finally {
      // what is on its way reads pages of the root
      await Promise.allSettled(this.#flights);
    }
    await Promise.all(this.#flights);
    this.#flights = [];
  }

  /** Adds some pages; true when a message is full. */
  #survey(root: RetainedRoot, base: RetainedRoot | null, pages: Uint32Array): boolean {
    const { addresses, hashes } = root.survey(pages, this.#parts.codec.hashKey);
    if (addresses.length < pages.length) {
      throw new VmError("bad-state", `page ${pages[addresses.length]} is not in memory`);
    }
    for (let index = 0; index < pages.length; index++) {
      const [page, address, hash] = [pages[index], addresses[index], index * 4];
      if (address === 0 || this.#isZeroHash(hashes, hash)) this.#addZero(page);
      else if (this.hashes.is(page, hashes, hash)) this.counts.same++;
      else this.#addPage(root, base, page, address, hashes, hash);
    }
    // no page of a message is longer than a page
    return this.#writer.lacks(SURVEY_PAGES);
  }

  #isZeroHash(hashes: Uint32Array, at: number): boolean {
    for (let lane = 0; lane < 4; lane++) {
      if (hashes[at + lane] !== this.#zeroHash[lane]) return false;
    }
    return true;
  }

  #addZero(page: number): void {
    if (!this.hashes.has(page) && this.#parts.isAbsent !== true) return; // the target's is zero
    this.hashes.clear(page);
    this.counts.zero++;
    if (this.#writer.extendZeros(page)) return;
    this.#writer.add({ page, kind: KIND_ZERO, length: 1 }, null);
  }

  #addPage(
    root: RetainedRoot,
    base: RetainedRoot | null,
    page: number,
    address: number,
    hashes: Uint32Array,
    at: number,
  ): void {
    const bytes = root.memory.subarray(address, address + PAGE_BYTES);
    const short = this.#delta(base, page, bytes) ?? this.#pack(bytes);
    this.hashes.set(page, hashes, at);
    if (short === null) {
      this.#writer.add({ page, kind: KIND_RAW, length: PAGE_BYTES }, hashes, at);
      this.#addRaw(root.memory, address);
      this.counts.normal++;
      return;
    }
    const { kind, data } = short;
    this.#writer.add({ page, kind, length: data.length }, hashes, at);
    this.#pieces.push(data.slice());
    this.#end = 0;
    this.#pieceBytes += data.length;
    if (kind === KIND_DELTA) this.counts.delta++;
    else this.counts.lz4++;
  }

  #delta(
    base: RetainedRoot | null,
    page: number,
    bytes: Uint8Array,
  ): { kind: number; data: Uint8Array } | null {
    if (base === null || !this.hashes.has(page) || !this.#deltas.isDue) return null;
    const old = base.page(page);
    if (old === null) return null;
    const data = this.#parts.codec.delta(old, bytes, SHORT_BYTES);
    this.#deltas.tell(data !== null);
    return data === null || data.length === 0 ? null : { kind: KIND_DELTA, data };
  }

  #pack(bytes: Uint8Array): { kind: number; data: Uint8Array } | null {
    if (!this.#parts.bandwidth.isSlow(SLOW_BYTES_PER_MS) || !this.#packs.isDue) return null;
    const data = this.#parts.codec.compress(bytes, SHORT_BYTES);
    this.#packs.tell(data !== null);
    return data === null ? null : { kind: KIND_LZ4, data };
  }

  /** Pages that stand one behind the other go as one piece. */
  #addRaw(memory: Uint8Array, address: number): void {
    this.#pieceBytes += PAGE_BYTES;
    if (this.#end === address) {
      const last = this.#pieces.length - 1;
      const begin = address - this.#pieces[last].length;
      this.#pieces[last] = memory.subarray(begin, address + PAGE_BYTES);
    } else this.#pieces.push(memory.subarray(address, address + PAGE_BYTES));
    this.#end = address + PAGE_BYTES;
  }

  async #flush(): Promise<void> {
    if (this.#writer.isEmpty) return;
    const { channel, bandwidth } = this.#parts;
    const control = this.#writer.take();
    const data = this.#pieces;
    const bytes = control.length + this.#pieceBytes;
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#end = 0;
    this.counts.bytes += bytes;
    const { platform, usedMs } = this.#parts;
    await bandwidth.take(bytes);
    const [beganMs, usedBefore] = [platform.monotonicMs(), usedMs()];
    while (this.#flights.length >= FLIGHTS_MAX) await this.#flights[0];
    const waitedMs = platform.monotonicMs() - beganMs - (usedMs() - usedBefore);
    this.#waitedMs += Math.max(0, waitedMs);
    const flight: Promise<void> = channel.send("pages", control, { data }).then(() => {
      this.#flights = this.#flights.filter((one) => one !== flight);
      const nowUsed = usedMs();
      bandwidth.left(bytes, this.#waitedMs, nowUsed - this.#usedMs);
      this.#usedMs = nowUsed;
      this.#waitedMs = 0;
    });
    flight.catch(() => {}); // whoever waits for it, or for the next one, is told
    this.#flights.push(flight);
  }
}
