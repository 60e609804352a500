/**
 * postcopy-source: after the switch-over of a post-copy: the pages that stayed here, sent to where
 * the machine runs: those that its guest waits for first, then the others.
 *
 * Used by source.ts.
 * Holds   nothing is sent before the target has said, over this very link, what it lacks. All pages
 *         stay here until it has every one of them, whatever becomes of the link.
 *
 *   FETCH    pages u32 ─ page numbers u32 each: the guest waits for the first of them
 *   MISSING  a bit for each page of the machine
 */
import type { PageCodec } from "../core/page-codec.ts";
import type { RetainedRoot } from "../core/root.ts";
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { Channel } from "./channel.ts";
import { PageBits } from "./page-bits.ts";
import { type MemoryCounts, PageSender } from "./source-memory.ts";
import { FETCH_PAGES } from "./wire.ts";

/** Pages that are sent before it is looked again whether the guest waits for others. */
const CHUNK_PAGES = 64;

/** What a server is made with. */
export interface PageServerParts {
  readonly platform: Platform;
  /** Of the switch-over. */
  readonly root: RetainedRoot;
  readonly ramPages: number;
  readonly codec: PageCodec;
  readonly bandwidth: Bandwidth;
  readonly counts: MemoryCounts;
  /** To the target; null while there is no link. */
  readonly channel: () => Channel | null;
  readonly paused: (isPaused: boolean) => void;
}

/** Serves the pages of one machine. */
export class PageServer {
  /** Messages in which the target asked for pages that its guest waits for. */
  requests = 0;
  readonly #parts: PageServerParts;
  #missing: PageBits;
  #asked: number[] = [];
  /** Over which link the target has said what it lacks. */
  #channel: Channel | null = null;
  #sender: PageSender | null = null;
  #next = 0;
  #isTargetGone = false;
  #outcome: "complete" | "taken" | null = null;
  #wake: () => void = () => {};

  /** `left`: the pages that the target has not. */
  constructor(parts: PageServerParts, left: Uint32Array) {
    this.#parts = parts;
    this.#missing = new PageBits(parts.ramPages);
    for (const page of left) this.#missing.add(page);
  }

  /** Pages that the target lacks, as far as is known here. */
  get missing(): PageBits {
    return this.#missing;
  }

  /** What the target says about pages. Throws "bad-file". */
  message(name: "missing" | "fetch" | "complete", body: Uint8Array): void {
    if (name === "complete") this.#outcome ??= "complete";
    else if (name === "fetch") this.#fetch(body);
    else this.#begin(body);
    this.#wake();
  }

  #fetch(body: Uint8Array): void {
    const words = new DataView(body.buffer, body.byteOffset, body.length);
    const count = body.length < 4 ? 0 : words.getUint32(0, true);
    if (count < 1 || count > FETCH_PAGES || body.length !== 4 + count * 4) {
      throw new VmError("bad-file", `the target asked for pages in ${body.length} bytes`);
    }
    this.requests++;
    for (let index = 0; index < count; index++) {
      const page = words.getUint32(4 + index * 4, true);
      if (page >= this.#parts.ramPages) throw new VmError("bad-file", `there is no page ${page}`);
      // others that were sent meanwhile are on their way; the first may have had no frame there
      if (index === 0) this.#missing.add(page);
      if (this.#missing.has(page)) this.#asked.push(page);
    }
  }

  #begin(body: Uint8Array): void {
    const channel = this.#parts.channel();
    if (channel === null) return;
    this.#missing = new PageBits(this.#parts.ramPages, body);
    this.#channel = channel;
    this.#asked = [];
    this.#next = 0;
    const { platform, codec, bandwidth, ramPages, counts } = this.#parts;
    const parts = { platform, channel, codec, bandwidth, ramPages, counts };
    this.#sender = new PageSender({ ...parts, usedMs: () => 0, isAbsent: true });
  }

  /** The target's process has ended, and what ran in it: nobody will ask for pages. */
  restarted(): void {
    this.#isTargetGone = true;
    this.#channel = null;
    this.#wake();
  }

  /** The link has come or gone. */
  linkChanged(): void {
    this.#wake();
  }

  /** The operator takes the machine back. */
  take(): void {
    this.#outcome ??= "taken";
    this.#wake();
  }

  /** Until the target has every page, or the operator has taken the machine. */
  async run(): Promise<"complete" | "taken"> {
    while (this.#outcome === null) {
      const isUp = this.#channel !== null && this.#parts.channel() === this.#channel;
      this.#parts.paused(this.#isTargetGone || this.#parts.channel() === null);
      if (!isUp || this.#missing.count === 0) await this.#stir();
      else await this.#sendSome(this.#sender as PageSender);
    }
    this.#parts.paused(false);
    return this.#outcome;
  }

  #stir(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #sendSome(sender: PageSender): Promise<void> {
    const missing = this.#missing;
    const wanted = this.#asked.splice(0, CHUNK_PAGES).filter((page) => missing.has(page));
    const pages = wanted.length > 0 ? ascending(wanted) : this.#following();
    for (const page of pages) missing.delete(page);
    try {
      await sender.send(this.#parts.root, null, pages, () => {});
    } catch (error) {
      // a link that is over is told, and the target says again what it lacks
      if (!(error instanceof VmError) || error.code !== "io") throw error;
      this.#channel = null;
    }
  }

  /** From where the stream has come to on; the guest's next ones are likely behind the last. */
  #following(): Uint32Array {
    let pages = this.#missing.next(this.#next, CHUNK_PAGES);
    if (pages.length === 0) pages = this.#missing.next(0, CHUNK_PAGES);
    this.#next = (pages[pages.length - 1] ?? 0) + 1;
    return pages;
  }
}

function ascending(pages: readonly number[]): Uint32Array {
  return Uint32Array.from(new Set(pages)).sort();
}
