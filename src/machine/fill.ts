/**
 * fill: makes the RAM of a machine what a retained root holds.
 *
 * Used by capture.ts.
 */
import type { MachineView } from "../core/machine-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import type { RetainedRoot } from "../core/root.ts";
import { VmError } from "../errors.ts";

const PAGE_BYTES = 4096;

function write(view: MachineView, page: number, bytes: Uint8Array): void {
  if (view.memory.write(RAM_BASE + page * PAGE_BYTES, bytes)) return;
  const text = `RAM page ${page} cannot be written: ${view.core.framesFree} frames are free`;
  throw new VmError("no-memory", text);
}

/** Copies pages between two hosts. */
function copyAcross(view: MachineView, root: RetainedRoot): void {
  const own = view.retainRoot();
  try {
    const zeros = new Uint8Array(PAGE_BYTES);
    for (const batch of own.pages()) {
      for (const page of batch.slice()) if (root.page(page) === null) write(view, page, zeros);
    }
    for (const batch of root.pages()) {
      for (const page of batch.slice()) write(view, page, root.page(page) ?? zeros);
    }
  } finally {
    own.release();
  }
}

/** By remapping where both are of one host. Throws "no-memory", "not-found" (an absent page). */
export function fillFromRoot(view: MachineView, root: RetainedRoot): void {
  if (root.core === view.core) view.revertTo(root);
  else copyAcross(view, root);
}
