/**
 * bytes: small things that every file of a store needs: digests, comparisons, whole files.
 *
 * Used by store/.
 * Holds   nothing is allocated for a size that a file claims but does not have.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { VmError } from "../../errors.ts";
import type { StoreDirectory, StoreFile } from "../../platform/contract.ts";

/** Lower-case hexadecimal, and back. */
export { bytesToHex as toHex, hexToBytes as fromHex };

/** Bytes of a SHA-256. */
export const DIGEST_BYTES = 32;
export const PAGE_BYTES = 4096;

/** SHA-256 of `pieces`, one after the other. */
export type Digest = (...pieces: readonly Uint8Array[]) => Uint8Array;

/** It on any host; large files are written with the platform's own, where it has one. */
export function digestOf(...pieces: readonly Uint8Array[]): Uint8Array {
  const hash = sha256.create();
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

/** True when both hold the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Exactly `bytes` bytes from `offset`. Throws "bad-file" when there are fewer. */
export function readExact(
  file: StoreFile,
  offset: number,
  bytes: number,
  what: string,
): Uint8Array<ArrayBuffer> {
  if (bytes < 0 || offset < 0 || offset + bytes > file.bytes) {
    const given = `${bytes} bytes are said to be at ${offset}`;
    throw new VmError("bad-file", `${what} is cut short: ${given} of ${file.bytes}`);
  }
  const target = new Uint8Array(bytes);
  if (file.read(offset, target) !== bytes) {
    throw new VmError("bad-file", `${what} is cut short while it is read`);
  }
  return target;
}

/** All of a file that has at most `limit` bytes. Throws "bad-file", "not-found", "io". */
export function readWhole(
  directory: StoreDirectory,
  path: string,
  limit: number,
): Uint8Array<ArrayBuffer> {
  const file = directory.open(path);
  try {
    if (file.bytes > limit) {
      throw new VmError("bad-file", `${path} has ${file.bytes} bytes; accepted are ${limit}`);
    }
    return readExact(file, 0, file.bytes, path);
  } finally {
    file.close();
  }
}

/** The text of an error, for reports. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
