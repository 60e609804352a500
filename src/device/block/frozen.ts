/**
 * frozen: a disk as it was at one moment, for as long as somebody wants it.
 *
 * Used by disk.ts: captures read it, forks begin as it.
 * Holds   it stays readable until everyone who took it has released it.
 */
import type { BlockBackend, MaybePromise } from "./contract.ts";

/** Bytes in a block: what snapshots and copies of disks count in, as pages of memory. */
export const BLOCK_BYTES = 4096;

/** Blocks of a disk; the last one may be short. */
export function blockCount(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES);
}

/** What a frozen disk reads from. */
export interface FrozenSource {
  readonly bytes: number;
  read(offset: number, target: Uint8Array): MaybePromise<void>;
  /** Blocks that differ from what lies below, ascending; null: nothing lies below. */
  keys(): Iterable<number> | null;
  /** Nobody reads it any more. */
  close(): void;
}

/** A disk that does not change. */
export class FrozenDisk {
  readonly bytes: number;
  readonly #source: FrozenSource;
  #users = 1;

  constructor(source: FrozenSource) {
    this.#source = source;
    this.bytes = source.bytes;
  }

  /** One more user, who releases it. */
  take(): this {
    this.#users++;
    return this;
  }

  release(): void {
    if (--this.#users === 0) this.#source.close();
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    return this.#source.read(offset, target);
  }

  /** Blocks that it holds itself, ascending; null when it holds all of them. */
  keys(): Iterable<number> | null {
    return this.#source.keys();
  }

  /** A block into `target`, 4096 bytes: zeros behind the disk's end. */
  readBlock(block: number, target: Uint8Array): MaybePromise<void> {
    const offset = block * BLOCK_BYTES;
    const count = Math.min(BLOCK_BYTES, this.bytes - offset);
    target.fill(0, count);
    return this.read(offset, target.subarray(0, count));
  }
}

/** A disk of which a frozen copy costs nothing. */
export interface FreezableBackend extends BlockBackend {
  /** What it holds now; writes from now on do not show there. */
  freeze(): FrozenDisk;
}

/** True for a disk that can do it by itself. */
export function isFreezable(backend: BlockBackend): backend is FreezableBackend {
  return "freeze" in backend && typeof backend.freeze === "function";
}
