/**
 * block-blob: a disk in a Blob, for instance in a File that the user chose.
 *
 * Used by disk-source.ts and embedders.
 * Holds   the Blob is never written: put an OverlayBackend in front of it for a guest that writes.
 *         Nothing of it is kept in memory.
 */
import { type BlockBackend, checkDiskBytes } from "../../device/block/contract.ts";
import { VmError } from "../../errors.ts";

/** The contents of a Blob, read as they are asked for. */
export class BlobBackend implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly = true;
  readonly #blob: Blob;

  /** Throws "bad-file" when its size is not one of a disk. */
  constructor(blob: Blob) {
    const name = (blob as Partial<File>).name;
    this.bytes = checkDiskBytes(blob.size, name === undefined ? "the blob" : `disk ${name}`);
    this.#blob = blob;
  }

  /** Rejects with "io" when the file behind the Blob has changed or gone. */
  async read(offset: number, target: Uint8Array): Promise<void> {
    const piece = this.#blob.slice(offset, offset + target.length);
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await piece.arrayBuffer());
    } catch (cause) {
      const text = `${target.length} bytes at ${offset} of a blob cannot be read`;
      throw new VmError("io", `${text}: its file has changed or gone`, { cause });
    }
    if (bytes.length !== target.length) {
      throw new VmError("io", `the blob gave ${bytes.length} of ${target.length} bytes`);
    }
    target.set(bytes);
  }

  /** Throws "io": whoever shows this disk to a guest has told it that it is read-only. */
  write(offset: number, bytes: Uint8Array): never {
    throw new VmError("io", `write of ${bytes.length} bytes at ${offset} to a read-only blob`);
  }

  /** Nothing was written. */
  flush(): void {}

  /** Nothing is held. */
  close(): void {}
}
