/**
 * disk: a disk of a remote machine: where its bytes come from, as data, and what becomes of writes.
 *
 * Used by protocol.ts, serve-machine.ts and src/browser.ts.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import { MemoryBackend } from "../device/block/memory.ts";
import { OverlayBackend } from "../device/block/overlay.ts";
import { ReadOnlyBackend } from "../device/block/read-only.ts";
import { VmError } from "../errors.ts";

/** A disk. `Base` is what else than bytes the world over there can open. */
export interface RemoteDisk<Base = unknown> {
  /** Bytes are a disk in memory. */
  readonly source: Uint8Array | Base;
  /** What the guest writes stays in the worker's memory ("cow", the default) or is refused. */
  readonly mode?: "cow" | "ro";
}

/** Makes the disk. Throws "bad-config", "bad-file" and what `openBase` throws. */
export async function openRemoteDisk(
  { source, mode = "cow" }: RemoteDisk,
  openBase: (source: unknown) => Promise<BlockBackend>,
): Promise<BlockBackend> {
  if (mode !== "cow" && mode !== "ro") {
    throw new VmError("bad-config", `disk mode "${String(mode)}": accepted are cow, ro`);
  }
  const base = source instanceof Uint8Array ? new MemoryBackend(source) : await openBase(source);
  return mode === "ro" ? new ReadOnlyBackend(base) : new OverlayBackend(base);
}
