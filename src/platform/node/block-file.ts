/**
 * block-file: a disk in a file.
 *
 * Owns    the file descriptor. Used by src/cli.ts for --disk.
 * Holds   the size is what it was when opened: a file that shrinks in use gives I/O errors, never
 *         short data.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { type BlockBackend, checkDiskBytes } from "../../device/block/contract.ts";
import { VmError } from "../../errors.ts";

const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
  EISDIR: "it is a folder",
};

function refuse(path: string, cause: unknown): never {
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const why = REASONS[code] ?? message;
  throw new VmError("bad-file", `disk ${path}: ${why}; a file is accepted`, { cause });
}

class FileBackend implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly: boolean;
  readonly #path: string;
  #descriptor: number;

  constructor(path: string, descriptor: number, bytes: number, isReadOnly: boolean) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.bytes = bytes;
    this.isReadOnly = isReadOnly;
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const got = readSync(this.#descriptor, target, done, target.length - done, offset + done);
      if (got === 0)
        throw new VmError("io", `disk ${this.#path} shrank: no data at ${offset + done}`);
      done += got;
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    if (fstatSync(this.#descriptor).size < this.bytes) {
      throw new VmError("io", `disk ${this.#path} shrank below ${this.bytes} bytes`);
    }
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, offset + done);
    }
  }

  flush(): void {
    if (!this.isReadOnly) fdatasyncSync(this.#descriptor);
  }

  close(): void {
    if (this.#descriptor < 0) return;
    closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}

/** Opens a file as a disk. Throws "bad-file" when it cannot be one. */
export function openBlockFile(path: string, options: { isReadOnly: boolean }): BlockBackend {
  let descriptor: number;
  try {
    descriptor = openSync(path, options.isReadOnly ? "r" : "r+");
  } catch (cause) {
    refuse(path, cause);
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile())
      throw new VmError("bad-file", `disk ${path}: not a file; a file is accepted`);
    const bytes = checkDiskBytes(stat.size, `disk ${path}`);
    return new FileBackend(path, descriptor, bytes, options.isReadOnly);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
