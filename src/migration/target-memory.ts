/**
 * target-memory: puts pages that arrive where they belong.
 *
 * Owns    the list of what every page hashes to.
 * Used by target.ts.
 * Holds   a page is checked against its hash when it is there; one that is not what was sent ends
 *         the migration. Nothing but the RAM of a machine that does not run is written.
 */
import type { MachineView } from "../core/machine-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import type { PageCodec } from "../core/page-codec.ts";
import { VmError } from "../errors.ts";
import type { DataSink } from "./channel.ts";
import { takeOffer } from "./offer.ts";
import { PageHashes } from "./page-hashes.ts";
import {
  checkPages,
  type Entries,
  hashAt,
  KIND_LZ4,
  KIND_RAW,
  KIND_ZERO,
  type PageEntry,
  readEntries,
} from "./page-message.ts";

const PAGE_BYTES = 4096;
const SURVEY_PAGES = 64;
const ZEROS = new Uint8Array(PAGE_BYTES);

/** Takes the pages of one machine. */
export class PageReceiver {
  readonly hashes: PageHashes;
  /** Bytes of pages that have come. */
  bytes = 0;
  readonly #view: MachineView;
  readonly codec: PageCodec;
  readonly #scratch = new Uint8Array(PAGE_BYTES);
  readonly #page = new Uint8Array(PAGE_BYTES);

  /** True while pages of an ancestor may be offered: until the first round is over. */
  hasOffers: boolean;

  constructor(view: MachineView, codec: PageCodec, hasOffers: boolean) {
    this.#view = view;
    this.hasOffers = hasOffers;
    this.codec = codec;
    this.hashes = new PageHashes(view.ramPages);
  }

  /** Where the data of one message go. Throws "bad-file" for what cannot be. */
  begin(control: Uint8Array, dataBytes: number): DataSink {
    const entries = readEntries(control, dataBytes);
    checkPages(entries, this.#view.ramPages, dataBytes);
    this.bytes += control.length + dataBytes;
    for (const entry of entries.list) if (entry.kind === KIND_ZERO) this.#zero(entry);
    const full = entries.list.filter(({ kind }) => kind !== KIND_ZERO);
    let [index, filled] = [0, 0];
    return {
      data: (bytes) => {
        for (let at = 0; at < bytes.length; ) {
          const entry = full[index];
          const some = bytes.subarray(at, at + entry.length - filled);
          this.#put(entry, filled, some);
          at += some.length;
          filled += some.length;
          if (filled < entry.length) return;
          index++;
          filled = 0;
        }
      },
      end: () => this.#check(entries),
    };
  }

  /** What of an offer is here, as an answer. Throws "bad-file". */
  offer(body: Uint8Array): Uint8Array {
    if (!this.hasOffers) {
      throw new VmError("bad-file", "the source offered pages: nothing is here that they could be");
    }
    return takeOffer(body, this.#view, this.codec.hashKey, this.hashes);
  }

  /** Of an ancestor's pages those that were neither offered nor sent are zeros. */
  roundEnd(): void {
    if (!this.hasOffers) return;
    this.hasOffers = false;
    for (const batch of this.#view.lendRoot().pages()) {
      for (const page of batch.slice()) if (!this.hashes.has(page)) this.#write(page, 0, ZEROS);
    }
  }

  #write(page: number, offset: number, bytes: Uint8Array): void {
    if (this.#view.memory.write(RAM_BASE + page * PAGE_BYTES + offset, bytes)) return;
    const text = `page ${page} cannot be placed: ${this.#view.core.framesFree} frames are free`;
    throw new VmError("no-memory", text);
  }

  #zero({ page, length }: PageEntry): void {
    for (let one = page; one < page + length; one++) {
      if (!this.hashes.has(one)) continue;
      this.#write(one, 0, ZEROS);
      this.hashes.clear(one);
    }
  }

  #put(entry: PageEntry, filled: number, bytes: Uint8Array): void {
    if (entry.kind === KIND_RAW) {
      this.#write(entry.page, filled, bytes);
      return;
    }
    this.#scratch.set(bytes, filled);
    if (filled + bytes.length < entry.length) return;
    const data = this.#scratch.subarray(0, entry.length);
    const page = this.#page;
    if (entry.kind === KIND_LZ4) {
      if (!this.codec.decompress(data, page)) this.#refuse(entry.page, "does not decompress");
    } else {
      if (!this.#view.memory.read(RAM_BASE + entry.page * PAGE_BYTES, page)) {
        this.#refuse(entry.page, "is not here");
      }
      if (!this.codec.applyDelta(page, data)) this.#refuse(entry.page, "has a delta that is none");
    }
    this.#write(entry.page, 0, page);
  }

  #refuse(page: number, why: string): never {
    throw new VmError("bad-file", `page ${page} that the other end of the migration sent ${why}`);
  }

  /** Every page that came is what was sent. */
  #check({ list, words }: Entries): void {
    const root = this.#view.lendRoot();
    const asked = new Uint32Array(SURVEY_PAGES);
    const places = new Uint32Array(SURVEY_PAGES);
    let count = 0;
    const survey = () => {
      const { addresses, hashes } = root.survey(asked.subarray(0, count), this.codec.hashKey);
      for (let index = 0; index < count; index++) {
        const [page, at] = [asked[index], places[index]];
        const isSame = (lane: number) => hashes[index * 4 + lane] === words[at + lane];
        const isHere = index < addresses.length && addresses[index] !== 0;
        if (!isHere || !isSame(0) || !isSame(1) || !isSame(2) || !isSame(3)) {
          this.#refuse(page, "is not what it was there");
        }
        this.hashes.set(page, words, at);
      }
      count = 0;
    };
    for (const [index, { page, kind }] of list.entries()) {
      if (kind === KIND_ZERO) continue;
      asked[count] = page;
      places[count++] = hashAt(index);
      if (count === SURVEY_PAGES) survey();
    }
    if (count > 0) survey();
  }
}
