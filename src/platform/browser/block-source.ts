/**
 * block-source: a disk that only a browser can open, by what names it: a Blob or a URL.
 *
 * Used by src/browser-worker.ts.
 */
import type { BlockBackend } from "../../device/block/contract.ts";
import { VmError } from "../../errors.ts";
import { BlobBackend } from "./block-blob.ts";
import { openUrlDisk } from "./block-url.ts";

/** Opens a Blob or a URL as a read-only disk. Throws "bad-config", and what the backends throw. */
export async function openBlockSource(source: unknown): Promise<BlockBackend> {
  if (source instanceof Blob) return new BlobBackend(source);
  if (typeof source === "string") return openUrlDisk(source);
  const accepted = "a Uint8Array, a Blob or a URL is accepted";
  throw new VmError("bad-config", `disk source of type ${typeof source}: ${accepted}`);
}
