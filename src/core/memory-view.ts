/**
 * memory-view: guest physical memory for devices, the loader and the debugger; one door, page by
 * page, into the core.
 *
 * Used by everything that reads or writes guest RAM from outside the hart. Satisfies GuestMemory of
 *         device/contract.ts.
 * Holds   an address that the core returned is used before the core is called again: the next call
 *         may move the page.
 */
import { FRAME_BYTES, FRAME_SHIFT, NO_FRAME, NOT_HERE } from "../../assembly/layout.ts";
import type { Core } from "./instance.ts";

/** Guest physical address of the first byte of RAM, as on QEMU's virt. */
export const RAM_BASE = 0x8000_0000;
const RAM_GFN = RAM_BASE / FRAME_BYTES;

/** Guest RAM of one machine. */
export class MemoryView {
  /** First address behind RAM. */
  readonly end: number;
  /**
   * Asked for RAM page `page` when it is not here: true when it has arrived. Without an answer, or
   * with false, the call fails.
   */
  bringPage: ((page: number) => boolean) | null = null;
  readonly #core: Core;
  readonly #machine: number;
  #isAbsent = false;

  constructor(core: Core, machine: number, ramPages: number) {
    this.#core = core;
    this.#machine = machine;
    this.end = RAM_BASE + ramPages * FRAME_BYTES;
  }

  /** True when [gpa, gpa + bytes) lies wholly in RAM. */
  contains(gpa: number, bytes: number): boolean {
    return gpa >= RAM_BASE && bytes >= 0 && gpa + bytes <= this.end;
  }

  /**
   * Copies out of the guest; false when any byte lies outside RAM (nothing is copied then) or in a
   * page that is absent and does not come at once: `isAbsent` says so.
   */
  read(gpa: number, target: Uint8Array): boolean {
    this.#isAbsent = false;
    if (!this.contains(gpa, target.length)) return false;
    for (let done = 0; done < target.length; ) {
      const from = gpa + done;
      const inPage = from % FRAME_BYTES;
      const count = Math.min(FRAME_BYTES - inPage, target.length - done);
      const page = this.#page(this.#core.exports.pageRead, from);
      if (page === 0) return false;
      target.set(this.#core.u8.subarray(page + inPage, page + inPage + count), done);
      done += count;
    }
    return true;
  }

  /**
   * Copies into the guest; false, and nothing copied, when any byte lies outside RAM, in a page
   * that is absent, or frames ran out.
   */
  write(gpa: number, bytes: Uint8Array): boolean {
    if (bytes.length > FRAME_BYTES - (gpa % FRAME_BYTES) && !this.reserve(gpa, bytes.length)) {
      return false;
    }
    this.#isAbsent = false;
    if (!this.contains(gpa, bytes.length)) return false;
    for (let done = 0; done < bytes.length; ) {
      const to = gpa + done;
      const inPage = to % FRAME_BYTES;
      const count = Math.min(FRAME_BYTES - inPage, bytes.length - done);
      const page = this.#page(this.#core.exports.pageWrite, to);
      if (page === 0) return false;
      this.#core.u8.set(bytes.subarray(done, done + count), page + inPage);
      done += count;
    }
    return true;
  }

  /**
   * Makes [gpa, gpa + bytes) writable without another frame; false when that is outside RAM, a page
   * is absent, or frames ran out.
   */
  reserve(gpa: number, bytes: number): boolean {
    this.#isAbsent = false;
    if (!this.contains(gpa, bytes)) return false;
    const last = (gpa + bytes - 1) / FRAME_BYTES;
    for (let gfn = Math.floor(gpa / FRAME_BYTES); gfn <= last; gfn++) {
      if (this.#page(this.#core.exports.pageWrite, gfn * FRAME_BYTES) === 0) return false;
    }
    return true;
  }

  /** True when the last call failed for a page that is not here: the machine's `exitPage`. */
  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  /** Address of the page that holds `gpa`, asked for with pageRead or pageWrite; 0 for none. */
  #page(ask: (machine: number, gfn: number) => number, gpa: number): number {
    const gfn = gpa / FRAME_BYTES;
    let page = ask(this.#machine, gfn) >>> 0;
    if (page === NOT_HERE && this.bringPage?.(Math.floor(gfn) - RAM_GFN) === true) {
      page = ask(this.#machine, gfn) >>> 0;
    }
    this.#isAbsent = page === NOT_HERE;
    return this.#isAbsent ? NO_FRAME : page;
  }

  /** A doubleword, or null outside RAM. */
  readU64(gpa: number): bigint | null {
    const bytes = new Uint8Array(8);
    if (!this.read(gpa, bytes)) return null;
    return new DataView(bytes.buffer).getBigUint64(0, true);
  }

  /** Stores a doubleword; false outside RAM or when frames ran out. */
  writeU64(gpa: number, value: bigint): boolean {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return this.write(gpa, bytes);
  }

  /** Number of the page that holds `gpa`. */
  static gfnOf(gpa: number): number {
    return Math.floor(gpa / 2 ** FRAME_SHIFT);
  }
}
