/**
 * memory-view: guest physical memory for devices, the loader and the debugger; one door, page by
 * page, into the core.
 *
 * Used by everything that reads or writes guest RAM from outside the hart. Satisfies GuestMemory of
 *         device/contract.ts.
 * Holds   an address that the core returned is used before the core is called again: the next call
 *         may move the page.
 */
import { FRAME_BYTES, FRAME_SHIFT } from "../../assembly/layout.ts";
import type { Core } from "./instance.ts";

/** Guest physical address of the first byte of RAM, as on QEMU's virt. */
export const RAM_BASE = 0x8000_0000;

/** Guest RAM of one machine. */
export class MemoryView {
  /** First address behind RAM. */
  readonly end: number;
  readonly #core: Core;
  readonly #machine: number;

  constructor(core: Core, machine: number, ramPages: number) {
    this.#core = core;
    this.#machine = machine;
    this.end = RAM_BASE + ramPages * FRAME_BYTES;
  }

  /** True when [gpa, gpa + bytes) lies wholly in RAM. */
  contains(gpa: number, bytes: number): boolean {
    return gpa >= RAM_BASE && bytes >= 0 && gpa + bytes <= this.end;
  }

  /** Copies out of the guest; false, and nothing copied, when any byte lies outside RAM. */
  read(gpa: number, target: Uint8Array): boolean {
    if (!this.contains(gpa, target.length)) return false;
    for (let done = 0; done < target.length; ) {
      const from = gpa + done;
      const inPage = from % FRAME_BYTES;
      const count = Math.min(FRAME_BYTES - inPage, target.length - done);
      const page = this.#core.exports.pageRead(this.#machine, from / FRAME_BYTES) >>> 0;
      target.set(this.#core.u8.subarray(page + inPage, page + inPage + count), done);
      done += count;
    }
    return true;
  }

  /**
   * Copies into the guest; false, and nothing copied, when any byte lies outside RAM or frames ran
   * out.
   */
  write(gpa: number, bytes: Uint8Array): boolean {
    if (bytes.length > FRAME_BYTES - (gpa % FRAME_BYTES) && !this.reserve(gpa, bytes.length)) {
      return false;
    }
    if (!this.contains(gpa, bytes.length)) return false;
    for (let done = 0; done < bytes.length; ) {
      const to = gpa + done;
      const inPage = to % FRAME_BYTES;
      const count = Math.min(FRAME_BYTES - inPage, bytes.length - done);
      const page = this.#core.exports.pageWrite(this.#machine, to / FRAME_BYTES) >>> 0;
      if (page === 0) return false;
      this.#core.u8.set(bytes.subarray(done, done + count), page + inPage);
      done += count;
    }
    return true;
  }

  /**
   * Makes [gpa, gpa + bytes) writable without another frame; false when that is outside RAM or
   * frames ran out.
   */
  reserve(gpa: number, bytes: number): boolean {
    if (!this.contains(gpa, bytes)) return false;
    const last = (gpa + bytes - 1) / FRAME_BYTES;
    for (let gfn = Math.floor(gpa / FRAME_BYTES); gfn <= last; gfn++) {
      if (this.#core.exports.pageWrite(this.#machine, gfn) >>> 0 === 0) return false;
    }
    return true;
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
