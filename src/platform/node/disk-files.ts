/**
 * disk-files: files that are disks, while no machine has them open: looked at, made, made larger or
 * smaller, copied.
 *
 * Used by src/cli.ts and guest-store.ts.
 * Holds   a disk is there whole or not at all, also when the process is killed while it makes one;
 *         what was there before stays until then. Zeros take no room unless that is asked for.
 */
import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { type FileHandle, link, open, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { VmError } from "../../errors.ts";
import { draftOf } from "./files.ts";

/** A disk's file. */
export interface DiskFileFacts {
  /** The same for two paths exactly when they lead to one file. */
  readonly id: string;
  readonly bytes: number;
  /** Room that it takes; less than `bytes` where the file has holes. */
  readonly allocatedBytes: number;
  readonly modifiedMs: number;
}

/** How a disk's file is made. */
export interface DiskFileOptions {
  /** Takes its room now, so that writes cannot fail later for lack of it. */
  readonly isPreallocated?: boolean;
  readonly isReplacing?: boolean;
  readonly signal?: AbortSignal;
  onPercent?(percent: number): void;
}

const CHUNK_BYTES = 1 << 20;
const BLOCK_BYTES = 512n; // st_blocks counts these, whatever the file system
const REASONS: Record<string, string> = {
  EACCES: "permission denied",
  EDQUOT: "the quota is used up",
  EEXIST: "it is there already",
  EFBIG: "the file system has no files of that size",
  EINVAL: "the file system has no files of that size",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file or folder",
  ENOSPC: "no space is left",
  ENOTDIR: "a part of the path is no folder",
  EROFS: "the file system is read-only",
};

function failure(path: string, cause: unknown): VmError {
  if (cause instanceof VmError) return cause;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  return new VmError("io", `disk ${path}: ${REASONS[code] ?? message}`, { cause });
}

function checkAbort(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new VmError("io", "aborted");
}

/** What is at `path`. Throws VmError "bad-file" unless it is a file. */
export async function diskFileFacts(path: string): Promise<DiskFileFacts> {
  let found: BigIntStats;
  try {
    found = await stat(path, { bigint: true });
  } catch (cause) {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    const reason = REASONS[code] ?? message;
    throw new VmError("bad-file", `disk ${path}: ${reason}; a file is accepted`, { cause });
  }
  if (!found.isFile()) throw new VmError("bad-file", `disk ${path}: not a file`);
  return {
    id: `${found.dev}:${found.ino}`,
    bytes: Number(found.size),
    allocatedBytes: Number(found.blocks * BLOCK_BYTES),
    modifiedMs: Number(found.mtimeMs),
  };
}

/** Throws "bad-file" when something is at `path` that may not be replaced. */
async function checkPlace(path: string, isReplacing: boolean): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found === null) return;
  if (!found.isFile()) throw new VmError("bad-file", `disk ${path}: it is there and not a file`);
  if (isReplacing) return;
  throw new VmError("bad-file", `disk ${path}: it is there already; --force replaces it`);
}

async function checkRoom(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new VmError("io", `disk ${path}: ${bytes} bytes are wanted, ${free} are free`);
}

async function writeZeros(file: FileHandle, from: number, to: number, options: DiskFileOptions) {
  const zeros = new Uint8Array(CHUNK_BYTES);
  for (let at = from; at < to; at += CHUNK_BYTES) {
    checkAbort(options.signal);
    await writeAll(file, zeros.subarray(0, Math.min(CHUNK_BYTES, to - at)), at);
    options.onPercent?.(((at - from) / (to - from)) * 100);
  }
  await file.datasync();
  options.onPercent?.(100);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** Gives a finished draft its name. */
async function publish(draft: string, path: string, isReplacing: boolean): Promise<void> {
  if (isReplacing) {
    await rename(draft, path);
    return;
  }
  try {
    await link(draft, path); // refuses, other than rename, when somebody was quicker
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      throw new VmError("bad-file", `disk ${path}: it is there already; --force replaces it`);
    }
    await rename(draft, path); // a file system without links
    return;
  }
  await rm(draft);
}

/**
 * Makes a disk of `bytes` zeros at `path`. Throws VmError "bad-file" when something is there that
 * may not be replaced, "io" when it cannot be made, "io" too when the signal is aborted.
 */
export async function createDiskFile(
  path: string,
  bytes: number,
  options: DiskFileOptions,
): Promise<void> {
  const isReplacing = options.isReplacing ?? false;
  const draft = draftOf(path);
  try {
    await checkPlace(path, isReplacing);
    if (options.isPreallocated) await checkRoom(path, bytes);
    const file = await open(draft, "w");
    try {
      await file.truncate(bytes);
      if (options.isPreallocated) await writeZeros(file, 0, bytes, options);
    } finally {
      await file.close();
    }
    await publish(draft, path, isReplacing);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {});
    throw failure(path, cause);
  }
}

/** Makes the disk at `path` larger, with zeros, or smaller. Throws VmError "bad-file" or "io". */
export async function resizeDiskFile(path: string, bytes: number): Promise<void> {
  await diskFileFacts(path);
  try {
    const file = await open(path, "r+");
    try {
      await file.truncate(bytes);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw failure(path, cause);
  }
}

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** Copies `bytes` bytes, leaving holes for zeros; the hash of all of them. */
async function copyContents(
  source: FileHandle,
  target: FileHandle,
  bytes: number,
  options: Pick<DiskFileOptions, "signal" | "onPercent">,
): Promise<string> {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < bytes; ) {
    checkAbort(options.signal);
    const { bytesRead } = await source.read(chunk, 0, Math.min(CHUNK_BYTES, bytes - at), at);
    if (bytesRead === 0) throw new VmError("io", `it shrank below ${bytes} bytes while copied`);
    const piece = chunk.subarray(0, bytesRead);
    hash.update(piece);
    if (!piece.equals(ZEROS.subarray(0, bytesRead))) await writeAll(target, piece, at);
    at += bytesRead;
    options.onPercent?.((at / bytes) * 100);
  }
  await target.truncate(bytes);
  return hash.digest("hex");
}

/**
 * Copies a disk to a place where nothing is; what is zero in it takes no room in the copy. Returns
 * size and hash. Throws VmError "bad-file" or "io".
 */
export async function copyDiskFile(
  from: string,
  to: string,
  options: Pick<DiskFileOptions, "signal" | "onPercent"> = {},
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const { bytes } = await diskFileFacts(from);
  const handles: FileHandle[] = [];
  try {
    handles.push(await open(from, "r"), await open(to, "wx"));
    const [source, target] = handles;
    return { bytes, sha256: await copyContents(source, target, bytes, options) };
  } catch (cause) {
    throw failure(from, cause);
  } finally {
    for (const handle of handles) await handle.close();
  }
}
