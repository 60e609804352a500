/**
 * pager: brings pages that are not in memory: those of a machine that was restored and runs before
 * its memory is read.
 *
 * Owns    the machine's pager, shared with its forks, until the last of them lets go.
 * Used by run-loop.ts, when the guest or a device needs such a page; machine.ts.
 * Holds   a page arrives whole or not at all, and where it was is checked before it is asked for:
 *         what a late answer is for may be here already by another way.
 */
import { KIND_FRAME, KIND_ZERO } from "../../assembly/layout.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { MaybePromise } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";

/** Where absent pages come from. */
export interface Pager {
  /**
   * Fills `target`, 4096 bytes, with the page in `slot` (as `view.pagesLeave` was told); at once
   * when it can. Throws, or rejects with, VmError "io" or "bad-file".
   */
  read(slot: number, target: Uint8Array): MaybePromise<void>;
  /** Nobody asks any more. */
  close(): void;
}

/** "here", or "short" of a frame. */
export type Brought = "here" | "short";

const PAGE_BYTES = 4096;

/** A pager and how many use it: machines, and captures of which pages are with it. */
export class SharedPager {
  readonly pager: Pager;
  #users = 1;

  constructor(pager: Pager) {
    this.pager = pager;
  }

  /** One more user. */
  take(): this {
    this.#users++;
    return this;
  }

  /** One less; the last one closes it. */
  drop(): void {
    if (--this.#users === 0) this.pager.close();
  }
}

/** The absent pages of one machine. */
export class PageDesk {
  readonly #view: MachineView;
  #shared: SharedPager | null = null;
  /** Pages on their way, by number. */
  readonly #pending = new Map<number, Promise<Brought>>();

  constructor(view: MachineView) {
    this.#view = view;
  }

  /** Takes `pager` in the place of the one before, which is closed when no fork uses it. */
  set(pager: Pager | null): void {
    this.#shared?.drop();
    this.#shared = pager === null ? null : new SharedPager(pager);
    this.#view.memory.bringPage = pager === null ? null : (page) => this.bringNow(page);
  }

  /** True while absent pages come from this one. */
  has(pager: Pager): boolean {
    return this.#shared?.pager === pager;
  }

  /** Nothing is with this pager alone any more: it goes, unless another one took its place. */
  done(pager: Pager): void {
    if (this.has(pager)) this.set(null);
  }

  /** For a capture, which drops it: what is absent there comes from here, whatever is set later. */
  lend(): SharedPager | null {
    return this.#shared?.take() ?? null;
  }

  /** The machine has become what was captured with `shared`. */
  install(shared: SharedPager | null): void {
    const taken = shared?.take() ?? null;
    this.set(null);
    this.#shared = taken;
    if (taken !== null) this.#view.memory.bringPage = (page) => this.bringNow(page);
  }

  /** This machine is a copy of `other`: what is absent there comes from the same place. */
  share(other: PageDesk): void {
    if (other.#shared === null) return;
    this.#shared = other.#shared.take();
    this.#view.memory.bringPage = (page) => this.bringNow(page);
  }

  /** True when the page is here now: its pager had it at once. */
  bringNow(page: number): boolean {
    try {
      const brought = this.bring(page);
      if (brought === "here") return true;
      if (brought !== "short") brought.catch(() => {}); // asked for again, and told, by the loop
    } catch {
      // as above
    }
    return false;
  }

  /** Brings a page, at once when its pager can. Throws, or rejects, when it cannot be had. */
  bring(page: number): Brought | Promise<Brought> {
    if (this.#isHere(page)) return "here";
    const pending = this.#pending.get(page);
    if (pending !== undefined) return pending;
    const slot = this.#view.pageSlot(page);
    if (this.#shared === null) {
      throw new VmError("bad-state", `page ${page} is not in memory, and there is no pager`);
    }
    const bytes = new Uint8Array(PAGE_BYTES);
    const late = this.#shared.pager.read(slot, bytes);
    if (late === undefined) return this.#arrive(page, bytes);
    const coming = late
      .then(() => {
        // it may have come by another way, or have become another one, or the machine gone
        const isWanted = this.#shared !== null && !this.#isHere(page);
        return isWanted && this.#view.pageSlot(page) === slot ? this.#arrive(page, bytes) : "here";
      })
      .finally(() => this.#pending.delete(page));
    this.#pending.set(page, coming);
    return coming;
  }

  #isHere(page: number): boolean {
    const kind = this.#view.pageKind(page);
    return kind === KIND_ZERO || kind === KIND_FRAME;
  }

  #arrive(page: number, bytes: Uint8Array): Brought {
    return this.#view.pageArrive(page, bytes) ? "here" : "short";
  }

  /** The machine goes away. */
  close(): void {
    this.set(null);
  }
}
