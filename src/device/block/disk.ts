/**
 * disk: a machine's disk, as captures and forks need it: what changed since a moment, and what it
 * held then.
 *
 * Owns    when each block was last written, from the first mark on.
 * Used by machine/devices.ts, one per writable disk; machine/capture.ts.
 * Holds   a capture costs the guest nothing but, on a disk written in place, a copy of each old
 *         block that it overwrites while somebody still wants it. A write that is under way is in a
 *         capture, wholly or in part, and in the next one: the captured machine does it again.
 */
import type { BlockBackend, MaybePromise } from "./contract.ts";
import {
  BLOCK_BYTES,
  blockCount,
  type FreezableBackend,
  FrozenDisk,
  isFreezable,
} from "./frozen.ts";
import { HistoryBackend } from "./history.ts";
import { OverlayBackend } from "./overlay.ts";
import { BlockStamps } from "./stamps.ts";

/** A moment in the life of one disk. */
export interface DiskMark {
  readonly disk: MachineDisk;
  readonly generation: number;
}

/** Blocks of a disk and where to read them: what a disk is made into. */
export interface SavedDisk {
  /** Blocks of 4096 bytes by number, ascending. */
  readonly blocks: Uint32Array;
  /** One of them into `target`, 4096 bytes. */
  read(block: number, target: Uint8Array): MaybePromise<void>;
}

/** A disk at the moment of a capture. */
export class DiskCapture implements SavedDisk {
  readonly bytes: number;
  readonly isReadOnly: boolean;
  /** `blocks` and zeros are all there is: nothing lies below. */
  readonly isWhole: boolean;
  /** For the next capture: what changes from now on. Null for a disk that is never written. */
  readonly mark: DiskMark | null;
  readonly #frozen: FrozenDisk;
  #blocks: Uint32Array | null;
  #isReleased = false;

  /** `blocks` null: all that the disk holds itself. */
  constructor(frozen: FrozenDisk, mark: DiskMark | null, blocks: Uint32Array | null) {
    this.#frozen = frozen;
    this.#blocks = blocks;
    this.bytes = frozen.bytes;
    this.mark = mark;
    this.isReadOnly = mark === null;
    this.isWhole = mark !== null && blocks === null && frozen.keys() === null;
  }

  /**
   * Those that changed since the mark that the capture was given. Without one all that the disk
   * holds itself: every block, or those written over a base; none of a read-only disk.
   */
  get blocks(): Uint32Array {
    if (this.#blocks !== null) return this.#blocks;
    const all = () => Uint32Array.from({ length: blockCount(this.bytes) }, (_, block) => block);
    const keys = this.isReadOnly ? [] : this.#frozen.keys();
    this.#blocks = keys === null ? all() : Uint32Array.from(keys);
    return this.#blocks;
  }

  read(block: number, target: Uint8Array): MaybePromise<void> {
    return this.#frozen.readBlock(block, target);
  }

  /** A disk of its own that begins as this one; closed by whoever asked for it. */
  open(): OverlayBackend {
    return OverlayBackend.over(this.#frozen.take());
  }

  /** Once is enough; more does no harm. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#frozen.release();
  }
}

/** A writable disk of one machine. */
export class MachineDisk implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly = false;
  readonly #backend: FreezableBackend;
  readonly #stamps = new BlockStamps();
  /** Of the last mark; 0 while there is none. */
  #generation = 0;

  constructor(backend: BlockBackend) {
    this.#backend = isFreezable(backend) ? backend : new HistoryBackend(backend);
    this.bytes = backend.bytes;
  }

  /** As it is now; `since`: only what changed after that, when it is a mark of this disk. */
  capture(since: DiskMark | null = null): DiskCapture {
    const blocks = since?.disk === this ? this.changedSince(since) : null;
    const mark = { disk: this, generation: ++this.#generation };
    return new DiskCapture(this.#backend.freeze(), mark, blocks);
  }

  /** Blocks written since a mark of this disk, ascending. */
  changedSince({ generation }: DiskMark): Uint32Array {
    return this.#stamps.since(generation);
  }

  /** A disk that begins as this one; neither sees what the other writes. */
  fork(): OverlayBackend {
    return OverlayBackend.over(this.#backend.freeze());
  }

  /** Makes blocks what `read` says they hold. */
  patch(blocks: Uint32Array, read: SavedDisk["read"]): MaybePromise<void> {
    const bytes = new Uint8Array(BLOCK_BYTES);
    const step = (from: number): MaybePromise<void> => {
      for (let index = from; index < blocks.length; index++) {
        const block = blocks[index];
        const write = () => {
          const offset = block * BLOCK_BYTES;
          return this.write(offset, bytes.subarray(0, Math.min(BLOCK_BYTES, this.bytes - offset)));
        };
        const late = read(block, bytes);
        const done = late === undefined ? write() : late.then(write);
        if (done !== undefined) return done.then(() => step(index + 1));
      }
    };
    return step(0);
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    return this.#backend.read(offset, target);
  }

  write(offset: number, bytes: Uint8Array): MaybePromise<void> {
    if (bytes.length === 0) return;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + bytes.length - 1) / BLOCK_BYTES);
    this.#stamp(first, last);
    const late = this.#backend.write(offset, bytes);
    // a mark that was set meanwhile does not have it yet, whole
    return late?.then(() => this.#stamp(first, last));
  }

  #stamp(first: number, last: number): void {
    if (this.#generation > 0) this.#stamps.set(first, last, this.#generation);
  }

  flush(): MaybePromise<void> {
    return this.#backend.flush();
  }

  close(): MaybePromise<void> {
    return this.#backend.close();
  }
}

/** A read-only disk at the moment of a capture: it never changes. */
export function captureReadOnly(backend: BlockBackend): DiskCapture {
  const frozen = new FrozenDisk({
    bytes: backend.bytes,
    read: (offset, target) => backend.read(offset, target),
    keys: () => [],
    close: () => {},
  });
  return new DiskCapture(frozen, null, null);
}
