/**
 * stage: a machine's RAM as a snapshot has it, put together beside the machine while it runs on, so
 * that the change itself is a remap.
 *
 * Used by manager.ts, to revert to a snapshot whose frames are gone.
 * Holds   the machine is not touched: a page that cannot be read ends the work and nothing else.
 */
import { type MachineShape, MachineView } from "../core/machine-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import type { RetainedRoot } from "../core/root.ts";
import { VmError } from "../errors.ts";
import type { StoreReader } from "./store-port.ts";
import type { Pace } from "./throttle.ts";
import { RAM_REGION } from "./write-behind.ts";

const PAGE_BYTES = 4096;
const STRIDE = 64;
const ZEROS = new Uint8Array(PAGE_BYTES);

/** What is put together. */
export interface Staging {
  /** The machine as it is: pages that stay are shared with it. */
  readonly view: MachineView;
  readonly shape: MachineShape;
  readonly reader: StoreReader;
  /** Tells in which pages the machine may differ now; null when that is not known. */
  readonly pages: (() => Uint32Array) | null;
  /** Gives frames back that are kept without need; false when there are none. */
  shed(): boolean;
}

async function fill(
  target: MachineView,
  { reader, shed }: Staging,
  pages: Uint32Array,
  pace: Pace,
): Promise<void> {
  const bytes = new Uint8Array(PAGE_BYTES);
  for (const [index, page] of pages.entries()) {
    let isThere = reader.read(RAM_REGION, page, bytes);
    if (isThere instanceof Promise) isThere = await isThere;
    while (!target.memory.write(RAM_BASE + page * PAGE_BYTES, isThere ? bytes : ZEROS)) {
      if (shed()) continue;
      throw new VmError("no-memory", "no frame is free for the pages of the snapshot");
    }
    if (index % STRIDE === STRIDE - 1 && pace.isDue(STRIDE * PAGE_BYTES)) {
      await pace.breathe("reading memory", index, pages.length);
    }
  }
}

/**
 * All pages of the snapshot as a root, which the caller releases. Throws "no-memory" when frames or
 * machine blocks ran out, "aborted", and what the store does.
 */
export async function stageRoot(staging: Staging, pace: Pace): Promise<RetainedRoot> {
  const { view, shape, reader } = staging;
  const isKnown = staging.pages !== null;
  const beside = isKnown ? MachineView.fork(view) : MachineView.create(view.core, shape);
  // at the moment of the fork: what the machine writes afterwards is not in it
  const pages = staging.pages?.() ?? reader.pages(RAM_REGION);
  try {
    await fill(beside, staging, pages, pace);
    return beside.retainRoot();
  } finally {
    beside.dispose();
  }
}
