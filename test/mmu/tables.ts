/**
 * tables: page tables of a rig's address spaces, built in the reference's memory.
 *
 * Used by the suites of this folder.
 * Holds   call `rig.loadAll()` after building: the machine's memory is written once, at the end.
 */
import { PTE, type Reference } from "./reference.ts";

/** satp.MODE by levels. */
export const SV39 = 8;
export const SV48 = 9;
export const SV57 = 10;
export type SatpMode = typeof SV39 | typeof SV48 | typeof SV57;

const POINTER = PTE.V;
/** Flags of leaves, accessed and dirty, so that no walk changes them. */
export const RWX = PTE.V | PTE.R | PTE.W | PTE.X | PTE.A | PTE.D;
export const RW = PTE.V | PTE.R | PTE.W | PTE.A | PTE.D;
export const RX = PTE.V | PTE.R | PTE.X | PTE.A;
export const READ_ONLY = PTE.V | PTE.R | PTE.A;
export const EXECUTE_ONLY = PTE.V | PTE.X | PTE.A;
export const USER = PTE.U;

/** A page-table entry. */
export const entryOf = (physical: bigint, flags: bigint): bigint => (physical >> 2n) | flags;

/** Hands out pages of the reference's memory for tables. */
export class TablePages {
  readonly reference: Reference;
  #next: bigint;

  constructor(reference: Reference, first: bigint) {
    this.reference = reference;
    this.#next = first;
  }

  take(): bigint {
    const page = this.#next;
    this.#next += 4096n;
    return page;
  }
}

/** One address space. */
export class Space {
  readonly mode: SatpMode;
  readonly root: bigint;
  readonly #pages: TablePages;

  constructor(pages: TablePages, mode: SatpMode) {
    this.#pages = pages;
    this.mode = mode;
    this.root = pages.take();
  }

  get levels(): number {
    return this.mode - 5;
  }

  /** Lowest address bit that must equal all above it. */
  get bits(): bigint {
    return BigInt(12 + 9 * this.levels);
  }

  get satp(): bigint {
    return (BigInt(this.mode) << 60n) | (this.root >> 12n);
  }

  /**
   * Address of the entry for `va` at `level` (0 the last), with the tables above it made as needed.
   */
  entryAddress(va: bigint, level: number): bigint {
    let table = this.root;
    for (let at = this.levels - 1; ; at--) {
      const entry = table + ((va >> BigInt(12 + 9 * at)) & 511n) * 8n;
      if (at === level) return entry;
      const old = this.#pages.reference.read64(entry);
      if (old !== 0n) table = (old >> 10n) << 12n;
      else {
        table = this.#pages.take();
        this.#pages.reference.write(entry, 8, entryOf(table, POINTER));
      }
    }
  }

  /** Maps `va` to `physical` at `level`: 4 KiB, 2 MiB, 1 GiB ... */
  map(va: bigint, physical: bigint, flags: bigint, level = 0): void {
    this.#pages.reference.write(this.entryAddress(va, level), 8, entryOf(physical, flags));
  }

  /** Maps `count` pages. */
  mapPages(va: bigint, physical: bigint, count: number, flags: bigint): void {
    for (let page = 0n; page < BigInt(count); page++) {
      this.map(va + page * 4096n, physical + page * 4096n, flags);
    }
  }

  /** Makes the table behind the entry for `va` at `level` the page `table`. */
  point(va: bigint, level: number, table: bigint): void {
    this.#pages.reference.write(this.entryAddress(va, level), 8, entryOf(table, POINTER));
  }
}
