/**
 * write-behind: writes what a capture holds into the store while the guest runs on.
 *
 * Used by manager.ts.
 * Holds   pages are those of the moment of the capture, whatever the guest writes meanwhile; a page
 *         that was absent then is taken from where the machine itself would take it.
 */
import { SURVEY_MAX } from "../../assembly/layout.ts";
import type { MaybePromise } from "../device/block/contract.ts";
import type { DiskCapture } from "../device/block/disk.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { StoreWriter } from "./store-port.ts";
import type { Pace } from "./throttle.ts";
import { gather } from "./track.ts";

const PAGE_BYTES = 4096;
/** Pages between two looks at the clock: what a survey takes. */
const STRIDE = SURVEY_MAX;
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

/** Counts pages; lets others work when it is time. */
class Stroke {
  readonly #pace: Pace;
  readonly #total: number;
  #done = 0;
  #looked = 0;

  constructor(pace: Pace, total: number) {
    this.#pace = pace;
    this.#total = total;
  }

  /** To be called for all pages; awaits only what it gives back. */
  next(step: string, pages = 1): MaybePromise<void> {
    this.#done += pages;
    const since = this.#done - this.#looked;
    if (since < STRIDE) return;
    this.#looked = this.#done;
    if (this.#pace.isDue(since * PAGE_BYTES)) {
      return this.#pace.breathe(step, this.#done, this.#total);
    }
  }
}

async function writeRam(
  writer: StoreWriter,
  pages: Uint32Array,
  { capture, absent }: WritePlan,
  stroke: Stroke,
): Promise<void> {
  const spare = new Uint8Array(PAGE_BYTES);
  for (let at = 0; at < pages.length; ) {
    let taken = writer.frozen(RAM_REGION, pages.subarray(at, at + STRIDE), capture.root);
    if (taken instanceof Promise) taken = await taken;
    if (taken === 0) {
      // it is not in memory
      await absent(pages[at], spare);
      await writer.page(RAM_REGION, pages[at], spare);
      taken = 1;
    }
    at += taken;
    const breath = stroke.next("writing memory", taken);
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
