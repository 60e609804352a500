/**
 * history: any disk that can be frozen: what a frozen copy still shows is kept when it is about to
 * be overwritten.
 *
 * Owns    the old contents of blocks that were written since a frozen copy was made.
 * Used by disk.ts, for disks that are written in place, such as files.
 * Holds   the disk itself always has the latest and stays where it is; a frozen copy finds an old
 *         block by its number and generation, however many copies there are; nothing is kept while
 *         there is none.
 *
 *   generation    1          2               3          now
 *   frozen        A ──────── B ───────────── C
 *   block 7            w1 kept for A     w2 kept for B        what C shows is on the disk
 */
import type { BlockBackend, MaybePromise } from "./contract.ts";
import { BLOCK_BYTES, type FreezableBackend, FrozenDisk } from "./frozen.ts";
import { BlockStamps } from "./stamps.ts";

/** What a block held for the views of generations above `from`, up to `to`. */
interface Version {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

/** A disk written in place of which frozen copies can be had. */
export class HistoryBackend implements FreezableBackend {
  readonly bytes: number;
  readonly isReadOnly: boolean;
  readonly #backend: BlockBackend;
  /** Of the newest frozen copy; a write bears the generation in which it came. */
  #generation = 0;
  /** Generations of the copies that are still read, ascending. */
  #views: number[] = [];
  readonly #stamps = new BlockStamps();
  readonly #versions = new Map<number, Version[]>();

  constructor(backend: BlockBackend) {
    this.#backend = backend;
    this.bytes = backend.bytes;
    this.isReadOnly = backend.isReadOnly;
  }

  /** Old blocks that are kept: for figures and tests. */
  get keptBlocks(): number {
    let count = 0;
    for (const versions of this.#versions.values()) count += versions.length;
    return count;
  }

  freeze(): FrozenDisk {
    const generation = ++this.#generation;
    this.#views.push(generation);
    return new FrozenDisk({
      bytes: this.bytes,
      read: (offset, target) => this.#readAs(generation, offset, target),
      keys: () => null,
      close: () => this.#forget(generation),
    });
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    return this.#backend.read(offset, target);
  }

  write(offset: number, bytes: Uint8Array): MaybePromise<void> {
    if (this.#views.length === 0 || bytes.length === 0) return this.#backend.write(offset, bytes);
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + bytes.length - 1) / BLOCK_BYTES);
    const late = this.#keep(first, last);
    if (late === undefined) {
      this.#stamps.set(first, last, this.#generation);
      return this.#backend.write(offset, bytes);
    }
    const copy = bytes.slice();
    return late.then(() => this.write(offset, copy)); // another copy may have been made meanwhile
  }

  /** Keeps what some frozen copy shows of blocks `first` to `last`. */
  #keep(first: number, last: number): MaybePromise<void> {
    for (let block = first; block <= last; block++) {
      const from = this.#stamps.of(block);
      if ((this.#views.at(-1) ?? 0) <= from || this.#isKept(block)) continue;
      const offset = block * BLOCK_BYTES;
      const bytes = new Uint8Array(Math.min(BLOCK_BYTES, this.bytes - offset));
      const late = this.#backend.read(offset, bytes);
      const to = this.#generation;
      if (late === undefined) this.#addVersion(block, { from, to, bytes });
      else return late.then(() => this.#addVersion(block, { from, to, bytes }));
    }
  }

  #isKept(block: number): boolean {
    return this.#versions.get(block)?.at(-1)?.to === this.#generation;
  }

  #addVersion(block: number, version: Version): void {
    const versions = this.#versions.get(block);
    if (versions === undefined) this.#versions.set(block, [version]);
    else versions.push(version);
  }

  #readAs(generation: number, offset: number, target: Uint8Array): MaybePromise<void> {
    const isOld = this.#coverOld(generation, offset, target);
    if (isOld) return;
    const late = this.#backend.read(offset, target);
    if (late === undefined) this.#coverOld(generation, offset, target);
    // what was written meanwhile was kept before it was
    else return late.then(() => void this.#coverOld(generation, offset, target));
  }

  /** Puts what was kept for a generation over `target`. True when that is all of it. */
  #coverOld(generation: number, offset: number, target: Uint8Array): boolean {
    const end = offset + target.length;
    let isAll = true;
    for (let at = offset; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const next = Math.min(end, (block + 1) * BLOCK_BYTES);
      const bytes = this.#kept(block, generation);
      const from = at - block * BLOCK_BYTES;
      if (bytes === null) isAll = false;
      else target.set(bytes.subarray(from, from + next - at), at - offset);
      at = next;
    }
    return isAll;
  }

  #kept(block: number, generation: number): Uint8Array | null {
    const versions = this.#versions.get(block);
    if (versions === undefined) return null;
    let low = 0;
    let high = versions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (versions[middle].to < generation) low = middle + 1;
      else high = middle;
    }
    const version = versions[low];
    return version !== undefined && version.from < generation ? version.bytes : null;
  }

  /** A frozen copy is not read any more: what was kept for it alone goes. */
  #forget(generation: number): void {
    this.#views = this.#views.filter((view) => view !== generation);
    if (this.#views.length === 0) {
      this.#versions.clear();
      this.#stamps.clear();
      return;
    }
    const isSeen = ({ from, to }: Version) => this.#views.some((view) => view > from && view <= to);
    for (const [block, versions] of this.#versions) {
      if (!versions.some(({ from, to }) => generation > from && generation <= to)) continue;
      const kept = versions.filter(isSeen);
      if (kept.length === 0) this.#versions.delete(block);
      else this.#versions.set(block, kept);
    }
  }

  flush(): MaybePromise<void> {
    return this.#backend.flush();
  }

  close(): MaybePromise<void> {
    return this.#backend.close();
  }
}
