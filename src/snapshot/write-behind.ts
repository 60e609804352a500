/**
 * write-behind: writes what a capture holds into the store while the guest runs on.
 *
 * Used by manager.ts.
 * Holds   pages are those of the moment of the capture, whatever the guest writes meanwhile; a page
 *         that was absent then is taken from where the machine itself would take it.
 */
import type { RetainedRoot } from "../core/root.ts";
import type { MaybePromise } from "../device/block/contract.ts";
import type { DiskCapture } from "../device/block/disk.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { PageAgain, StoreWriter } from "./store-port.ts";
import type { Pace } from "./throttle.ts";
import { gather } from "./track.ts";

const PAGE_BYTES = 4096;
/** Pages between two looks at the clock. */
const STRIDE = 64;
/** Region of RAM; disk n is region n + 1. */
export const RAM_REGION = 0;

/** Reads a page of RAM that is not in memory. */
export type AbsentPage = (page: number, target: Uint8Array) => MaybePromise<void>;

/** What of a capture is to be written. */
export interface WritePlan {
  readonly capture: MachineCapture;
  /** Blocks by slot. */
  readonly blocks: readonly Uint32Array[];
  /** Pages of RAM that may differ from the parent; null for all that are not zero. */
  readonly ram: Uint32Array | null;
  readonly absent: AbsentPage;
}

/** A page's bytes under a root, null for zeros; `spare` takes those of one that is absent. */
function pageOf(
  root: RetainedRoot,
  page: number,
  absent: AbsentPage,
  spare: Uint8Array,
): MaybePromise<Uint8Array | null> {
  try {
    return root.page(page);
  } catch (error) {
    if (!(error instanceof VmError && error.code === "not-found")) throw error;
    const late = absent(page, spare);
    return late === undefined ? spare : late.then(() => spare);
  }
}

/** Pages of RAM of a capture that are in memory. */
export function pagesAgain({ root }: MachineCapture): PageAgain {
  return (region, page) => (region === RAM_REGION && root.isHere(page) ? root.page(page) : null);
}

/** Counts pages; lets others work when it is time. */
class Stroke {
  readonly #pace: Pace;
  readonly #total: number;
  #done = 0;

  constructor(pace: Pace, total: number) {
    this.#pace = pace;
    this.#total = total;
  }

  /** To be called for every page; awaits only what it gives back. */
  next(step: string): MaybePromise<void> {
    if (++this.#done % STRIDE !== 0 || !this.#pace.isDue(STRIDE * PAGE_BYTES)) return;
    return this.#pace.breathe(step, this.#done, this.#total);
  }
}

async function writeRam(
  writer: StoreWriter,
  pages: Uint32Array,
  { capture, absent }: WritePlan,
  stroke: Stroke,
): Promise<void> {
  const spare = new Uint8Array(PAGE_BYTES);
  for (const page of pages) {
    let bytes = pageOf(capture.root, page, absent, spare);
    if (bytes instanceof Promise) bytes = await bytes;
    const written =
      bytes === null ? writer.zero(RAM_REGION, page) : writer.page(RAM_REGION, page, bytes);
    if (written !== undefined) await written;
    const breath = stroke.next("writing memory");
    if (breath !== undefined) await breath;
  }
}

async function writeDisk(
  writer: StoreWriter,
  region: number,
  disk: DiskCapture,
  blocks: Uint32Array,
  stroke: Stroke,
): Promise<void> {
  const bytes = new Uint8Array(PAGE_BYTES);
  for (const block of blocks) {
    const late = disk.read(block, bytes);
    if (late !== undefined) await late;
    const written = writer.page(region, block, bytes);
    if (written !== undefined) await written;
    const breath = stroke.next("writing disks");
    if (breath !== undefined) await breath;
  }
}

/** Writes pages, blocks and sections; the caller commits. Throws what the store does, "aborted". */
export async function writeCapture(
  writer: StoreWriter,
  plan: WritePlan,
  pace: Pace,
): Promise<void> {
  const { capture, blocks } = plan;
  const pages = plan.ram ?? gather(capture.root.pages());
  const all = blocks.reduce((sum, { length }) => sum + length, pages.length);
  const stroke = new Stroke(pace, all);
  for (const section of capture.sections) writer.section(section);
  await writeRam(writer, pages, plan, stroke);
  for (const [slot, disk] of capture.disks.entries()) {
    await writeDisk(writer, slot + 1, disk, blocks[slot], stroke);
  }
}
