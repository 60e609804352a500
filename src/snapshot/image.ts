/**
 * image: the RAM of a restored machine that is still in the store: read when it is touched, and
 * from behind.
 *
 * Owns    the record of what was touched first.
 * Used by restore.ts; a machine's pager asks it for pages.
 * Holds   a page is checked against its hash before the machine gets it. The pages that were asked
 *         for before they had come are the working set: the next lazy restore reads them first.
 */
import { KIND_BASE } from "../../assembly/layout.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { MaybePromise } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import type { Pager } from "../machine/pager.ts";
import type { StoreReader } from "./store-port.ts";
import type { Pace } from "./throttle.ts";
import { RAM_REGION } from "./write-behind.ts";

const PAGE_BYTES = 4096;
const STRIDE = 64;
/** Pages of a working set that are kept: 64 MiB. */
const WORKING_SET_MAX = 16_384;

/** Ascending numbers as runs: first and count. */
function* runsOf(pages: Uint32Array): Generator<readonly [first: number, count: number]> {
  for (let at = 0; at < pages.length; ) {
    let count = 1;
    while (at + count < pages.length && pages[at + count] === pages[at] + count) count++;
    yield [pages[at], count];
    at += count;
  }
}

/** RAM in the store. */
export class LazyImage implements Pager {
  readonly #reader: StoreReader;
  readonly #onClose: () => void;
  readonly #touched: number[] = [];
  #isClosed = false;

  /** `onClose` hears, once, that the reader is not needed any more. */
  constructor(reader: StoreReader, onClose: () => void) {
    this.#reader = reader;
    this.#onClose = onClose;
  }

  get id(): string {
    return this.#reader.id;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Pages that were wanted first, the last time. */
  get workingSet(): Uint32Array {
    return this.#reader.workingSet;
  }

  /** Pages in the order in which the guest asked for them. */
  get touched(): Uint32Array {
    return Uint32Array.from(this.#touched);
  }

  /** Makes every page of the snapshot absent in a machine whose RAM is all zero. */
  spread(view: MachineView): number {
    const pages = this.#reader.pages(RAM_REGION);
    for (const [first, count] of runsOf(pages)) {
      if (view.pagesLeave(first, count, KIND_BASE, first) === count) continue;
      throw new VmError("no-memory", "no frame is free for the tables of a restored machine");
    }
    return pages.length;
  }

  /** For the machine: a page that the guest, or a device, wants now. */
  read(slot: number, target: Uint8Array): MaybePromise<void> {
    if (this.#touched.length < WORKING_SET_MAX) this.#touched.push(slot);
    return this.fetch(slot, target);
  }

  /** A page's bytes. Rejects with "bad-file" or "io". */
  fetch(page: number, target: Uint8Array): MaybePromise<void> {
    const late = this.#reader.read(RAM_REGION, page, target);
    if (late instanceof Promise) return late.then(() => {});
  }

  /**
   * Reads every page of `pages` that the machine does not have yet, for as long as absent pages
   * come from here. False when frames ran out and `shed` gave none back. Throws as `fetch` does,
   * "aborted".
   */
  async fill(
    machine: Machine,
    pages: Uint32Array,
    pace: Pace,
    shed: () => boolean,
  ): Promise<boolean> {
    const bytes = new Uint8Array(PAGE_BYTES);
    // it may be gone, or have become another one, whose absent pages are elsewhere
    const isOurs = () => !this.#isClosed && machine.pages.has(this);
    for (const [index, page] of pages.entries()) {
      if (!isOurs()) return true;
      const { view } = machine;
      if (view.pageKind(page) === KIND_BASE) {
        const late = this.fetch(page, bytes);
        if (late !== undefined) await late;
        if (late !== undefined && !isOurs()) return true; // the guest may have had it meanwhile
        const isWanted = late === undefined || view.pageKind(page) === KIND_BASE;
        while (isWanted && !view.pageArrive(page, bytes)) if (!shed()) return false;
      }
      if (index % STRIDE === STRIDE - 1 && pace.isDue(STRIDE * PAGE_BYTES)) {
        await pace.breathe("reading memory", index, pages.length);
      }
    }
    return true;
  }

  /** Every page of the snapshot, ascending. */
  get pages(): Uint32Array {
    return this.#reader.pages(RAM_REGION);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose();
  }
}
