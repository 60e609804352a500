/**
 * store-directory: a store's files in a folder of the file system.
 *
 * Owns    the folder while it is locked (store-lock.ts); everything in it is of its user alone.
 * Used by src/node.ts, src/cli.ts.
 * Holds   reads happen at once, writes and syncs beside the event loop. A folder is synced by a
 *         descriptor of its own; where the system has no such thing, names are as durable as it
 *         makes them.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, type Stats } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { VmError } from "../../errors.ts";
import type { StoreDirectory, StoreFile, StoreLock } from "../contract.ts";
import { lockFolder } from "./store-lock.ts";

const REASONS: Record<string, string> = {
  EACCES: "permission denied",
  EDQUOT: "the quota is used up",
  EEXIST: "there is a file of that name",
  EFBIG: "the file system has no files of that size",
  EISDIR: "it is a folder",
  EMFILE: "too many files are open",
  ENOENT: "there is no such file or folder",
  ENOSPC: "no space is left",
  ENOTDIR: "a part of the path is no folder",
  EROFS: "the file system is read-only",
};
const LOCK = "lock";

function failure(path: string, cause: unknown): VmError {
  if (cause instanceof VmError) return cause;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const kind = code === "ENOENT" ? "not-found" : "io";
  return new VmError(kind, `${path}: ${REASONS[code] ?? message}`, { cause });
}

async function doing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw failure(path, cause);
  }
}

function readAt(path: string, descriptor: number, offset: number, target: Uint8Array): number {
  let done = 0;
  try {
    while (done < target.length) {
      const got = readSync(descriptor, target, done, target.length - done, offset + done);
      if (got === 0) break;
      done += got;
    }
  } catch (cause) {
    throw failure(path, cause);
  }
  return done;
}

/** A file that is only read. */
class ReadFile implements StoreFile {
  readonly #path: string;
  readonly #descriptor: number;
  #isClosed = false;

  constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  get bytes(): number {
    return fstatSync(this.#descriptor).size;
  }

  read(offset: number, target: Uint8Array): number {
    if (this.#isClosed) throw new VmError("io", `${this.#path} is closed`);
    return readAt(this.#path, this.#descriptor, offset, target);
  }

  async write(): Promise<void> {
    throw new VmError("io", `${this.#path} was opened to be read`);
  }

  writev(): Promise<void> {
    return this.write();
  }

  async sync(): Promise<void> {}

  close(): void {
    if (!this.#isClosed) closeSync(this.#descriptor);
    this.#isClosed = true;
  }
}

/** A file that is written. */
class WriteFile implements StoreFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #bytes = 0;
  #isClosed = false;

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  get bytes(): number {
    return this.#bytes;
  }

  read(offset: number, target: Uint8Array): number {
    return readAt(this.#path, this.#handle.fd, offset, target);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await doing(this.#path, async () => {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          done,
          bytes.length - done,
          offset + done,
        );
        done += bytesWritten;
      }
    });
    this.#bytes = Math.max(this.#bytes, offset + bytes.length);
  }

  async writev(offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    const { bytesWritten } = await doing(this.#path, () => this.#handle.writev(pieces, offset));
    let at = 0;
    // the system took a part of them: the rest follows, which is rare, one by one
    for (let left = bytesWritten; at < pieces.length && left >= pieces[at].length; at++) {
      left -= pieces[at].length;
    }
    let done = pieces.slice(0, at).reduce((sum, { length }) => sum + length, 0);
    for (const piece of pieces.slice(at)) {
      const skip = Math.max(0, bytesWritten - done);
      await this.write(offset + done + skip, piece.subarray(skip));
      done += piece.length;
    }
    this.#bytes = Math.max(this.#bytes, offset + bytes);
  }

  sync(): Promise<void> {
    return doing(this.#path, () => this.#handle.datasync());
  }

  close(): void {
    if (!this.#isClosed) this.#handle.close().catch(() => {}); // written and synced, or not wanted
    this.#isClosed = true;
  }
}

/** Opens a file to read, for an import. Throws "not-found", "io". */
export function openStoreFile(path: string): StoreFile {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (cause) {
    throw failure(path, cause);
  }
  let found: Stats;
  try {
    found = fstatSync(descriptor);
  } catch (cause) {
    closeSync(descriptor);
    throw failure(path, cause);
  }
  if (found.isFile()) return new ReadFile(path, descriptor);
  closeSync(descriptor);
  throw new VmError("io", `${path}: it is no file`);
}

/** Makes an empty file, for an export, in place of any that is there; readable by its user. */
export async function createStoreFile(path: string): Promise<StoreFile> {
  return doing(path, async () => new WriteFile(path, await open(path, "w+", 0o600)));
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return; // a folder cannot be opened there
  await doing(path, async () => {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw failure(path, cause);
  }
}

/** False when somebody else made it. */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw failure(path, cause);
    return false;
  }
}

class NodeDirectory implements StoreDirectory {
  readonly name: string;

  constructor(path: string) {
    this.name = path;
  }

  #path(inside: string): string {
    return inside === "" ? this.name : join(this.name, inside);
  }

  async lock(): Promise<StoreLock> {
    await this.prepare(LOCK);
    return lockFolder(this.#path(LOCK), this.name);
  }

  async prepare(folder: string): Promise<void> {
    const path = this.#path(folder);
    if (await makeFolder(path)) await syncFolder(this.name);
  }

  list(folder: string): string[] {
    try {
      const entries = readdirSync(this.#path(folder), { withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    } catch (cause) {
      throw failure(this.#path(folder), cause);
    }
  }

  open(path: string): StoreFile {
    return openStoreFile(this.#path(path));
  }

  create(path: string): Promise<StoreFile> {
    return createStoreFile(this.#path(path));
  }

  async rename(from: string, to: string): Promise<void> {
    await doing(this.#path(from), () => rename(this.#path(from), this.#path(to)));
  }

  async remove(path: string): Promise<void> {
    await doing(this.#path(path), () => rm(this.#path(path), { force: true }));
  }

  sync(folder: string): Promise<void> {
    return syncFolder(this.#path(folder));
  }
}

/** What `openStoreDirectory` may be told. */
export interface StoreDirectoryOptions {
  /** Make the folder, and those above it, when it is not there. Default true. */
  readonly create?: boolean;
}

/** A folder for a store. Throws "not-found", "io". */
export async function openStoreDirectory(
  path: string,
  options: StoreDirectoryOptions = {},
): Promise<StoreDirectory> {
  const full = resolve(path);
  if (options.create !== false) {
    const missing: string[] = [];
    for (let at = full; !(await isThere(at)); at = dirname(at)) missing.push(at);
    // one by one: Node's own way of making all of them never ends below /proc
    for (const folder of missing.toReversed()) {
      if (await makeFolder(folder)) await syncFolder(dirname(folder));
    }
  }
  const found = await doing(full, () => stat(full));
  const why = options.create === false ? "it is no folder" : REASONS.EEXIST;
  if (!found.isDirectory()) throw new VmError("io", `${path}: ${why}`);
  return new NodeDirectory(full);
}
