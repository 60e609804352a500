/**
 * loader: copies what a boot plan names into guest memory, waiting for frames where there are too
 * few.
 *
 * Used by machine.ts, at boot and at every reboot.
 * Holds   memory is all zeros before, so that only what the files hold is written, and bss costs no
 *         frame.
 */
import type { MemoryView } from "../core/memory-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import type { BootPlan } from "./boot.ts";

/** Bytes written or reserved between two looks at whether frames ran out. */
const STEP_BYTES = 65536;

/** Takes every frame of RAM. `moreFrames` settles when it is worth trying again. */
export async function reserveMemory(
  memory: MemoryView,
  moreFrames: () => Promise<void>,
): Promise<void> {
  for (let at = RAM_BASE; at < memory.end; at += STEP_BYTES) {
    const bytes = Math.min(STEP_BYTES, memory.end - at);
    while (!memory.reserve(at, bytes)) await moreFrames();
  }
}

/** Writes every piece of the plan. `moreFrames` settles when it is worth trying again. */
export async function loadPlan(
  memory: MemoryView,
  plan: BootPlan,
  moreFrames: () => Promise<void>,
): Promise<void> {
  for (const load of plan.loads) {
    for (let at = 0; at < load.bytes.length; at += STEP_BYTES) {
      const piece = load.bytes.subarray(at, at + STEP_BYTES);
      while (!memory.write(load.address + at, piece)) await moreFrames();
    }
  }
}
