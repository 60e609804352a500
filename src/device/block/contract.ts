/**
 * contract: what a disk's bytes come from. Implemented here (memory, overlay, read-only) and in
 * platform/ (files).
 *
 * Owns    the type and what sizes a disk may have. Used by virtio/blk.ts, machine/config.ts.
 * Holds   offsets and lengths are multiples of 512 inside `bytes`; the caller checks them. An
 *         operation either happens wholly or throws (or rejects); the guest is then told of an I/O
 *         error.
 */
import { VmError } from "../../errors.ts";

/** A promise, or the value at once: a backend that is quick answers without one. */
export type MaybePromise<T> = T | Promise<T>;

/** Size of a sector in every address and length. */
export const SECTOR_BYTES = 512;

/** A disk's contents. */
export interface BlockBackend {
  /** Size; a multiple of 512; fixed. */
  readonly bytes: number;
  readonly isReadOnly: boolean;
  /** Fills `target` from `offset`. */
  read(offset: number, target: Uint8Array): MaybePromise<void>;
  /** Writes `bytes` at `offset`; they are the caller's again once it is done. */
  write(offset: number, bytes: Uint8Array): MaybePromise<void>;
  /** What was written is durable once it is done. */
  flush(): MaybePromise<void>;
  /** No more calls come. */
  close(): MaybePromise<void>;
}

/** Throws "bad-file" unless `bytes` is a possible size of a disk. */
export function checkDiskBytes(bytes: number, what: string): number {
  if (Number.isSafeInteger(bytes) && bytes > 0 && bytes % SECTOR_BYTES === 0) return bytes;
  const text = `${what} has ${bytes} bytes; accepted are multiples of ${SECTOR_BYTES} from ${SECTOR_BYTES}`;
  throw new VmError("bad-file", text);
}
