/**
 * shelf: captures that are kept in memory: COW snapshots that are nowhere else, and those of
 * durable ones, for a revert that reads nothing.
 *
 * Owns    the captures it was given, until it gives them back or drops them.
 * Used by manager.ts.
 * Holds   what is nowhere else is never dropped here; the rest goes, oldest first, when there are
 *         too many or frames run short.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { Snapshot } from "./contract.ts";
import type { AbsentPage } from "./write-behind.ts";

/** A snapshot in memory. */
export interface Kept {
  readonly snapshot: Snapshot;
  readonly capture: MachineCapture;
  /** Pages of RAM that may differ from the parent, or from `via`; null for all. */
  readonly ram: Uint32Array | null;
  /** What `ram` is counted from, where that is not the parent: a snapshot that stands on it. */
  readonly via: string | null;
  /** The machine's disks as they were given, by slot. */
  readonly disks: readonly BlockBackend[];
  /** All that the disks are made of is meant, and not only what changed. */
  readonly isAllOfDisks: boolean;
  /** Reads pages that were not in memory. */
  readonly absent: AbsentPage;
  /** What the caller wants back with a restore: plain JSON. */
  readonly origin: unknown;
  /** False while it is nowhere else. */
  readonly isDurable: boolean;
}

/** Captures by id of their snapshot, oldest first. */
export class Shelf {
  readonly #kept = new Map<string, Kept>();
  readonly #durableMax: number;

  constructor(durableMax: number) {
    this.#durableMax = durableMax;
  }

  has(id: string): boolean {
    return this.#kept.has(id);
  }

  get(id: string): Kept | undefined {
    return this.#kept.get(id);
  }

  /** Those that are nowhere else. */
  get volatile(): readonly Kept[] {
    return [...this.#kept.values()].filter(({ isDurable }) => !isDurable);
  }

  /** Keeps one, in place of an older one of that id; takes the capture over. */
  put(kept: Kept): void {
    const { id } = kept.snapshot;
    const old = this.#kept.get(id);
    if (old !== undefined && old.capture !== kept.capture) old.capture.release();
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    const durable = [...this.#kept.values()].filter(({ isDurable }) => isDurable);
    for (const one of durable.slice(0, Math.max(0, durable.length - this.#durableMax))) {
      this.drop(one.snapshot.id);
    }
  }

  /** It is durable now. */
  made(id: string): void {
    const kept = this.#kept.get(id);
    if (kept !== undefined) this.#kept.set(id, { ...kept, isDurable: true });
  }

  /** Changes what is said of one that is nowhere else; false when it is not here, or durable. */
  amend(id: string, change: Partial<Snapshot>): boolean {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.isDurable) return false;
    this.#kept.set(id, { ...kept, snapshot: { ...kept.snapshot, ...change } });
    return true;
  }

  drop(id: string): void {
    this.#kept.get(id)?.capture.release();
    this.#kept.delete(id);
  }

  /** Drops the oldest that is durable; false when there is none. */
  shed(): boolean {
    const oldest = [...this.#kept.values()].find(({ isDurable }) => isDurable);
    if (oldest !== undefined) this.drop(oldest.snapshot.id);
    return oldest !== undefined;
  }

  /** Drops all, also what is nowhere else. */
  clear(): void {
    for (const id of [...this.#kept.keys()]) this.drop(id);
  }
}
