/**
 * track: which pages of a machine changed since some snapshot: a dirty log of the core, and what
 * was taken from it and is in no snapshot yet.
 *
 * Owns    one of the machine's eight dirty logs.
 * Used by history.ts: one track for the chain, one for the last full snapshot.
 * Holds   a page leaves the track only when a snapshot with it is durable, or when the machine
 *         became what the snapshot is; a failed or cancelled one loses nothing.
 */

import type { DirtyLog } from "../core/dirty-log.ts";
import type { MachineView } from "../core/machine-view.ts";

const NONE = new Uint32Array(0);

/** Both lists, ascending and without doubles, as one. */
export function union(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const all = new Uint32Array(a.length + b.length);
  let count = 0;
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const left = i < a.length ? a[i] : Number.POSITIVE_INFINITY;
    const right = j < b.length ? b[j] : Number.POSITIVE_INFINITY;
    all[count++] = Math.min(left, right);
    if (left <= right) i++;
    if (right <= left) j++;
  }
  return all.subarray(0, count);
}

/** Batches, each ascending and behind the one before, as one list of its own. */
export function gather(batches: Iterable<Uint32Array>): Uint32Array {
  const copies: Uint32Array[] = [];
  let count = 0;
  for (const batch of batches) {
    copies.push(batch.slice());
    count += batch.length;
  }
  const all = new Uint32Array(count);
  let at = 0;
  for (const copy of copies) {
    all.set(copy, at);
    at += copy.length;
  }
  return all;
}

/** Pages of RAM that changed since the reference. */
export class ChangeTrack {
  readonly #log: DirtyLog;
  #taken: Uint32Array = NONE;

  constructor(view: MachineView) {
    this.#log = view.openLog();
  }

  /** Pages that `take` would give now. */
  get count(): number {
    return this.#taken.length + this.#log.count;
  }

  /** Every page that changed since the reference, ascending. They stay in the track. */
  take(): Uint32Array {
    this.#taken = union(this.#taken, gather(this.#log.take()));
    return this.#taken;
  }

  /** The pages of the last `take` are in a durable snapshot, which is the reference now. */
  settle(): void {
    this.#taken = NONE;
  }

  /** The machine differs from a new reference by `pages` and by nothing else. */
  restart(pages: Uint32Array = NONE): void {
    for (const _batch of this.#log.take()); // marked clean as they are taken
    this.#taken = pages;
  }

  /** The reference differs by these, too. */
  add(pages: Uint32Array): void {
    this.#taken = union(this.#taken, pages);
  }

  close(): void {
    this.#log.close();
  }
}
