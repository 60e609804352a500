/**
 * memory: a disk in memory.
 *
 * Owns    its bytes. Used by tests, embedders, and as the base of an overlay.
 */
import { type BlockBackend, checkDiskBytes } from "./contract.ts";

/** A disk whose contents are the given bytes, in place. */
export class MemoryBackend implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly: boolean;
  readonly #contents: Uint8Array;

  constructor(contents: Uint8Array, options: { readonly isReadOnly?: boolean } = {}) {
    this.bytes = checkDiskBytes(contents.length, "the disk");
    this.isReadOnly = options.isReadOnly ?? false;
    this.#contents = contents;
  }

  read(offset: number, target: Uint8Array): void {
    target.set(this.#contents.subarray(offset, offset + target.length));
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#contents.set(bytes, offset);
  }

  /** Memory is as durable as it gets. */
  flush(): void {}

  /** Nothing is held. */
  close(): void {}
}
