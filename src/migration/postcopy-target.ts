/**
 * postcopy-target: pages of a machine that runs here already and are still where it came from: its
 * pager asks for them, and takes the others as they come.
 *
 * Used by target.ts.
 * Holds   a page is checked against its hash before the machine gets it, and arrives once: what the
 *         guest has written since is never overwritten. A link that is over leaves the guest where
 *         it next waits for a page; nothing is lost by that.
 */
import { KIND_REMOTE } from "../../assembly/layout.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { PageCodec } from "../core/page-codec.ts";
import { VmError } from "../errors.ts";
import type { Pager } from "../machine/pager.ts";
import type { DataSink } from "./channel.ts";
import { PageBits } from "./page-bits.ts";
import {
  checkPages,
  hashAt,
  KIND_LZ4,
  KIND_RAW,
  KIND_ZERO,
  type PageEntry,
  readEntries,
} from "./page-message.ts";

const PAGE_BYTES = 4096;
/** Pages asked for along with one that the guest waits for: in front of it, and from it on. */
const AHEAD = 4;
const BEHIND = 28;

/** What the pages need of their session. */
export interface RemoteOwner {
  readonly view: MachineView;
  readonly codec: PageCodec;
  /** Asks the source for pages, the first of them first. */
  fetch(pages: readonly number[]): void;
  /** There was no frame for some that have come: they have to be sent again. */
  short(): void;
  /** Every page is here, or nobody needs them any more. */
  over(): void;
}

/** Somebody who waits for a page. */
interface Wait {
  readonly target: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The absent pages of one machine. */
export class RemotePages implements Pager {
  /** Times that the guest, or a device, had to wait. */
  faults = 0;
  /** Bytes of pages that have come. */
  bytes = 0;
  readonly missing: PageBits;
  readonly #owner: RemoteOwner;
  readonly #waits = new Map<number, Wait[]>();
  readonly #asked = new Set<number>();
  #isOver = false;
  #failure: VmError | null = null;

  /** `bits`: one for each page that stays where it is. Throws "bad-file". */
  constructor(owner: RemoteOwner, bits: Uint8Array) {
    this.#owner = owner;
    this.missing = new PageBits(owner.view.ramPages, bits);
  }

  /** Makes them absent. Throws "no-memory". */
  spread(): void {
    const { view } = this.#owner;
    for (const [first, count] of this.missing.runs()) {
      if (view.pagesLeave(first, count, KIND_REMOTE, first) === count) continue;
      throw new VmError("no-memory", "no frame is free for the tables of a machine that arrives");
    }
  }

  /** The machine does not come yet: what was absent is zeros, and comes with a later round. */
  undo(): void {
    this.#isOver = true;
    const { view } = this.#owner;
    for (const [first, count] of this.missing.runs()) {
      for (let page = first; page < first + count; page++) view.pageArrive(page, null);
    }
  }

  /** For the machine: a page that the guest, or a device, wants now. */
  read(page: number, target: Uint8Array): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.faults++;
    return new Promise((resolve, reject) => {
      const waits = this.#waits.get(page) ?? [];
      this.#waits.set(page, [...waits, { target, resolve, reject }]);
      if (!this.#asked.has(page)) this.#ask(page);
    });
  }

  /** What lies around it is wanted soon. */
  #ask(page: number): void {
    const pages = [page];
    for (let near = Math.max(0, page - AHEAD); near < page + BEHIND; near++) {
      if (near !== page && this.missing.has(near) && !this.#asked.has(near)) pages.push(near);
    }
    for (const one of pages) this.#asked.add(one);
    this.#owner.fetch(pages);
  }

  /** There is a link again: what was asked for over the old one has to be asked for once more. */
  askAgain(): void {
    this.#asked.clear();
    for (const page of [...this.#waits.keys()]) if (!this.#asked.has(page)) this.#ask(page);
  }

  /** Where the data of one message go. Throws "bad-file" for what cannot be. */
  begin(control: Uint8Array, dataBytes: number): DataSink {
    const { list, words } = readEntries(control, dataBytes);
    checkPages({ list, words }, this.#owner.view.ramPages, dataBytes);
    this.bytes += control.length + dataBytes;
    const data = new Uint8Array(dataBytes);
    let filled = 0;
    return {
      data: (bytes) => {
        data.set(bytes, filled);
        filled += bytes.length;
      },
      end: () => {
        let at = 0;
        for (const [index, entry] of list.entries()) {
          if (entry.kind === KIND_ZERO) this.#zeros(entry);
          else {
            const bytes = this.#bytesOf(entry, data.subarray(at, at + entry.length));
            this.#checkHash(entry.page, bytes, words, hashAt(index));
            this.#arrive(entry.page, bytes);
            at += entry.length;
          }
        }
        this.#look();
      },
    };
  }

  #zeros({ page, length }: PageEntry): void {
    for (let one = page; one < page + length; one++) this.#arrive(one, null);
  }

  #bytesOf({ page, kind }: PageEntry, data: Uint8Array): Uint8Array {
    if (kind === KIND_RAW) return data;
    const bytes = new Uint8Array(PAGE_BYTES);
    const isRead = kind === KIND_LZ4 && this.#owner.codec.decompress(data, bytes);
    if (!isRead) throw new VmError("bad-file", `page ${page} of the source does not decompress`);
    return bytes;
  }

  #checkHash(page: number, bytes: Uint8Array, words: Uint32Array, at: number): void {
    const hash = new Uint32Array(this.#owner.codec.hash(bytes).slice().buffer);
    if (hash.every((word, lane) => word === words[at + lane])) return;
    throw new VmError("bad-file", `page ${page} is not what it was at the source`);
  }

  #arrive(page: number, bytes: Uint8Array | null): void {
    if (!this.missing.has(page)) return;
    const { view } = this.#owner;
    const isAbsent = view.pageKind(page) === KIND_REMOTE;
    if (isAbsent && !view.pageArrive(page, bytes)) {
      // no frame: whoever waits tries with the bytes; the others are asked for again at the end
      this.#settle(page, bytes);
      this.#asked.delete(page);
      this.#owner.short();
      return;
    }
    this.missing.delete(page);
    this.#settle(page, bytes);
  }

  #settle(page: number, bytes: Uint8Array | null): void {
    const waits = this.#waits.get(page) ?? [];
    this.#waits.delete(page);
    for (const { target, resolve } of waits) {
      if (bytes === null) target.fill(0);
      else target.set(bytes);
      resolve();
    }
  }

  /** Pages that have come without us noticing are here, too. */
  #look(): void {
    if (this.missing.count > 0 || this.#isOver) return;
    this.#isOver = true;
    this.#owner.over();
  }

  /** The source is gone with what it had: whoever waits is told. */
  fail(reason: string): void {
    this.#isOver = true;
    this.#failure = new VmError("io", reason);
    for (const waits of this.#waits.values()) {
      for (const { reject } of waits) reject(this.#failure);
    }
    this.#waits.clear();
  }

  /** The machine needs no page any more: it has all, or has ended. */
  close(): void {
    if (this.#isOver) return;
    this.fail("the machine has ended");
    this.#owner.over();
  }
}

/** The message that asks for pages: the guest waits for the first of them. */
export function fetchBody(pages: readonly number[]): Uint8Array {
  const words = Uint32Array.from([pages.length, ...pages]);
  return new Uint8Array(words.buffer);
}
