/**
 * loader: copies what a boot plan names into guest memory, waiting for frames where there are too
 * few.
 *
 * Used by machine.ts, at boot and at every reboot.
 * Holds   memory is all zeros before, so that only what the files hold is written, and bss costs no
 *         frame; other machines get their turns meanwhile, so that a guest that reboots in a loop
 *         holds nobody up.
 */
import type { MemoryView } from "../core/memory-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import type { BootPlan } from "./boot.ts";

/** Bytes written or reserved between two looks at whether frames ran out. */
const STEP_BYTES = 65536;
/** Bytes after which others get their turn: about a millisecond. */
const BREATH_BYTES = 4 << 20;

/** What loading needs of its machine. */
export interface LoaderHost {
  /** Settles when it is worth trying again: true, or false when loading is given up. */
  moreFrames(): Promise<boolean>;
  /** Lets everybody else have a turn. False: loading is given up. */
  breathe(): Promise<boolean>;
}

/** Takes every frame of RAM. False when it was given up. */
export async function reserveMemory(memory: MemoryView, host: LoaderHost): Promise<boolean> {
  for (let at = RAM_BASE; at < memory.end; at += STEP_BYTES) {
    const bytes = Math.min(STEP_BYTES, memory.end - at);
    while (!memory.reserve(at, bytes)) if (!(await host.moreFrames())) return false;
    if ((at - RAM_BASE) % BREATH_BYTES === 0 && !(await host.breathe())) return false;
  }
  return true;
}

/** Writes every piece of the plan. False when it was given up. */
export async function loadPlan(
  memory: MemoryView,
  plan: BootPlan,
  host: LoaderHost,
): Promise<boolean> {
  for (const load of plan.loads) {
    for (let at = 0; at < load.bytes.length; at += STEP_BYTES) {
      const piece = load.bytes.subarray(at, at + STEP_BYTES);
      while (!memory.write(load.address + at, piece)) if (!(await host.moreFrames())) return false;
      if (at % BREATH_BYTES === 0 && !(await host.breathe())) return false;
    }
  }
  return true;
}
