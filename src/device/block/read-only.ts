/**
 * read-only: any disk, without its writes.
 *
 * Used by embedders that share one disk among machines.
 * Holds   the disk behind it is never written nor flushed; it is closed with this one.
 */
import { VmError } from "../../errors.ts";
import type { BlockBackend, MaybePromise } from "./contract.ts";

/** The same contents as `base`, not to be written. */
export class ReadOnlyBackend implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly = true;
  readonly #base: BlockBackend;

  constructor(base: BlockBackend) {
    this.#base = base;
    this.bytes = base.bytes;
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    return this.#base.read(offset, target);
  }

  /** Throws "io": whoever shows this disk to a guest has told it that it is read-only. */
  write(offset: number, bytes: Uint8Array): never {
    throw new VmError("io", `write of ${bytes.length} bytes at ${offset} to a read-only disk`);
  }

  /** Nothing was written. */
  flush(): void {}

  close(): MaybePromise<void> {
    return this.#base.close();
  }
}
