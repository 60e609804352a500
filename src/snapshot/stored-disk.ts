/**
 * stored-disk: a disk whose blocks are those of a snapshot in the store, read when they are asked
 * for; below them another disk, or zeros.
 *
 * Used by back.ts: the restored machine writes over it (device/block/overlay.ts).
 * Holds   a block is checked against its hash before the guest gets it: a read that fails is the
 *         guest's I/O error.
 */
import type { BlockBackend, MaybePromise } from "../device/block/contract.ts";
import { BLOCK_BYTES } from "../device/block/frozen.ts";
import { VmError } from "../errors.ts";
import type { StoreReader } from "./store-port.ts";

/** What a stored disk is made of. */
export interface StoredParts {
  readonly bytes: number;
  readonly reader: StoreReader;
  /** Of the disk in the snapshot's machine. */
  readonly slot: number;
  /** What a block holds that the snapshot does not; null for zeros. Closed with this one. */
  readonly below: BlockBackend | null;
  /** Hears of the end. */
  onClose(): void;
}

/** A disk in a store. */
export class StoredDisk implements BlockBackend {
  readonly isReadOnly = true;
  readonly bytes: number;
  readonly #parts: StoredParts;

  constructor(parts: StoredParts) {
    this.#parts = parts;
    this.bytes = parts.bytes;
  }

  /** What lies below; null for zeros. */
  get below(): BlockBackend | null {
    return this.#parts.below;
  }

  /** Blocks that the snapshot has, ascending. */
  get blocks(): Uint32Array {
    return this.#parts.reader.pages(this.#parts.slot + 1);
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    const { below } = this.#parts;
    const late = below === null ? void target.fill(0) : below.read(offset, target);
    if (late !== undefined) return late.then(() => this.#cover(offset, target, 0));
    return this.#cover(offset, target, 0);
  }

  /** Puts the snapshot's blocks over `target`, from byte `from` of it on. */
  #cover(offset: number, target: Uint8Array, from: number): MaybePromise<void> {
    const { reader, slot } = this.#parts;
    const block = new Uint8Array(BLOCK_BYTES);
    for (let at = from; at < target.length; ) {
      const inBlock = (offset + at) % BLOCK_BYTES;
      const next = Math.min(target.length, at + BLOCK_BYTES - inBlock);
      const place = target.subarray(at, next);
      const put = (isThere: boolean) => {
        if (isThere) place.set(block.subarray(inBlock, inBlock + place.length));
      };
      const found = reader.read(slot + 1, Math.floor((offset + at) / BLOCK_BYTES), block);
      if (found instanceof Promise) {
        return found.then((isThere) => {
          put(isThere);
          return this.#cover(offset, target, next);
        });
      }
      put(found);
      at = next;
    }
  }

  /** Throws "io": writes go to what lies over it. */
  write(offset: number, bytes: Uint8Array): never {
    throw new VmError("io", `write of ${bytes.length} bytes at ${offset} to a disk of a snapshot`);
  }

  /** Nothing was written. */
  flush(): void {}

  close(): MaybePromise<void> {
    this.#parts.onClose();
    return this.#parts.below?.close();
  }
}
