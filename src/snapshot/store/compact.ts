/**
 * compact: gives back the room of pages that no snapshot points to any more.
 *
 * Used by store.ts.
 * Holds   pages that are needed are copied, and checked while they are; the old segments go only
 *         when manifests that point to the new ones are durable.
 */
import { VmError } from "../../errors.ts";
import type { Pace } from "../throttle.ts";
import { PAGE_BYTES } from "./bytes.ts";
import type { Manifest } from "./manifest.ts";
import { segmentsOf } from "./manifest.ts";
import { NOWHERE, type PageColumns, type Regions } from "./page-columns.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { SEGMENTS, type Segment, type StoreState } from "./state.ts";

const SLOTS_PER_LOOK = 64;

/** What `compact` did. */
export interface Compaction {
  /** Segments that were written anew. */
  readonly segments: number;
  /** Pages that were copied. */
  readonly pages: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

interface Candidate {
  readonly number: number;
  readonly isLive: Uint8Array;
}

/** Segments of which more than `deadShare` of the bytes are not needed. */
function candidatesOf(state: StoreState, deadShare: number): Candidate[] {
  const found: Candidate[] = [];
  for (const [number, isLive] of state.liveSlots().entries()) {
    if (isLive === null || isLive.length === 0) continue;
    const table = state.tableOf(number);
    let dead = 0;
    for (let slot = 0; slot < isLive.length; slot++) {
      if (isLive[slot] === 0) dead += table.bytes(slot);
    }
    const all = table.offset(table.count) - table.offset(0);
    if (dead > 0 && dead > deadShare * all) found.push({ number, isLive });
  }
  return found;
}

/** Where the pages of the candidates are now. */
type Moves = ReadonlyMap<number, { readonly segment: number; readonly slots: Uint32Array }>;

/** Copies what is needed of one segment into a new one. */
async function rewrite(
  state: StoreState,
  { number, isLive }: Candidate,
  made: Segment,
  pace: Pace,
): Promise<Uint32Array> {
  const { key, hash, compress, digest, directory } = state;
  const file = await directory.create(made.path);
  const writer = new SegmentWriter({ file, id: made.id, key, hash, compress, digest });
  const slots = new Uint32Array(isLive.length).fill(NOWHERE);
  let isFinished = false;
  try {
    const page = new Uint8Array(PAGE_BYTES);
    for (let slot = 0; slot < isLive.length; slot++) {
      if (isLive[slot] === 1) {
        state.readPage(number, slot, page);
        slots[slot] = writer.append(page, hash.hash(page).slice());
        const { pressure } = writer;
        if (pressure !== undefined) await pressure;
      }
      if (slot % SLOTS_PER_LOOK === 0 && pace.isDue(SLOTS_PER_LOOK * PAGE_BYTES)) {
        await pace.breathe("copying pages", slot, isLive.length);
      }
    }
    const finished = await writer.finish();
    isFinished = true;
    state.keepSegment(made, finished);
    await finished.synced;
  } finally {
    if (!isFinished) await writer.drop();
  }
  return slots;
}

function moved(regions: Regions, moves: Moves): Regions {
  const all = new Map<number, PageColumns>();
  for (const [region, { pages, segments, slots }] of regions) {
    const to = { pages, segments: segments.slice(), slots: slots.slice() };
    for (let at = 0; at < pages.length; at++) {
      const move = moves.get(segments[at]);
      if (move === undefined) continue;
      to.segments[at] = move.segment;
      to.slots[at] = move.slots[slots[at]];
    }
    all.set(region, to);
  }
  return all;
}

/** Segments' bytes of the store. */
export function storedBytes(state: StoreState): number {
  return state.segments.reduce((sum, { bytes, isGone }) => sum + (isGone ? 0 : bytes), 0);
}

/** Gives room back. Throws "aborted"; then nothing has changed. Within `alone`. */
export async function compactSegments(
  state: StoreState,
  deadShare: number,
  pace: Pace,
): Promise<Compaction> {
  if (!(deadShare >= 0 && deadShare < 1)) {
    throw new VmError(
      "bad-argument",
      `deadShare ${deadShare}: accepted are numbers from 0 below 1`,
    );
  }
  if (state.unreadable.length > 0) {
    const [{ file }] = state.unreadable;
    const text = `${file} cannot be read, and may need any page`;
    throw new VmError("bad-state", `${text}; accepted once it is removed`);
  }
  await state.collect();
  const bytesBefore = storedBytes(state);
  const candidates = candidatesOf(state, deadShare);
  const moves = new Map<number, { segment: number; slots: Uint32Array }>();
  const made: Segment[] = [];
  let pages = 0;
  try {
    for (const candidate of candidates) {
      const segment = state.reserveSegment();
      made.push(segment);
      const slots = await rewrite(state, candidate, segment, pace);
      moves.set(candidate.number, { segment: segment.number, slots });
      pages += candidate.isLive.reduce((sum, one) => sum + one, 0);
    }
    if (candidates.length > 0) await state.directory.sync(SEGMENTS);
    const write: Manifest[] = [];
    for (const manifest of state.manifests.values()) {
      if (!segmentsOf(manifest.regions).some((number) => moves.has(number))) continue;
      write.push({ ...manifest, regions: moved(manifest.regions, moves) });
    }
    if (write.length > 0) await state.change(write, []);
    for (const { number } of made) state.publish(number);
  } finally {
    state.unpin(made.map(({ number }) => number));
    await state.collect();
  }
  return { segments: candidates.length, pages, bytesBefore, bytesAfter: storedBytes(state) };
}
