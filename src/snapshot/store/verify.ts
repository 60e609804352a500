/**
 * verify: reads again what is on disk and says what is not as it was written.
 *
 * Used by store.ts.
 * Holds   files are read afresh, nothing that is known in memory is believed; one error is no end.
 */
import { VmError } from "../../errors.ts";
import type { Pace } from "../throttle.ts";
import { PAGE_BYTES, reasonOf, sameBytes } from "./bytes.ts";
import { segmentsOf } from "./manifest.ts";
import { NOWHERE, type Regions } from "./page-columns.ts";
import { readSlot, readTable, readTail } from "./segment.ts";
import { SEGMENT_ENDING, SEGMENTS, type Segment, type StoreState } from "./state.ts";

const SLOTS_PER_LOOK = 64;

/** What `verify` found. */
export interface Verification {
  /** Snapshots that were looked at. */
  readonly snapshots: number;
  /** Different pages that were read. */
  readonly pages: number;
  readonly bytes: number;
  /** Of those looked at, which cannot be restored as they were. */
  readonly affected: readonly string[];
  /** What is wrong, one line each; none when all is well. */
  readonly problems: readonly string[];
}

/** Marks of the slots that are needed, by segment. */
type Wanted = Map<number, Uint8Array>;

/** Reads segments and keeps what is bad. */
class Inspection {
  readonly problems: string[] = [];
  /** Slots that cannot be had, by segment; null for all of them. */
  readonly bad = new Map<number, Set<number> | null>();
  pages = 0;
  bytes = 0;
  readonly #state: StoreState;
  readonly #pace: Pace;

  constructor(state: StoreState, pace: Pace) {
    this.#state = state;
    this.#pace = pace;
  }

  async segment(segment: Segment, wanted: Uint8Array, isWhole: boolean, total: number) {
    const { path, id, number } = segment;
    try {
      const file = this.#state.directory.open(path);
      try {
        const facts = readTail(file, path);
        if (!sameBytes(facts.digest, segment.digest)) {
          throw new VmError("bad-file", `${path} is not the one that its snapshots were made with`);
        }
        const table = readTable(file, facts, id, path);
        if (!sameBytes(table.key, this.#state.key)) {
          throw new VmError("bad-file", `${path} was written for another store`);
        }
        const page = new Uint8Array(PAGE_BYTES);
        const most = Math.max(table.count, wanted.length);
        for (let slot = 0; slot < most; slot++) {
          const isDead = !isWhole || slot >= table.count;
          if (isDead && wanted[slot] !== 1) continue;
          try {
            if (slot >= table.count) throw new VmError("bad-file", `${path} has no slot ${slot}`);
            readSlot(file, table, slot, page, this.#state.hash, path);
            this.pages++;
            this.bytes += table.bytes(slot);
          } catch (error) {
            this.#badSlot(number, slot, error);
          }
          if (slot % SLOTS_PER_LOOK !== 0) continue;
          if (this.#pace.isDue(SLOTS_PER_LOOK * PAGE_BYTES)) {
            await this.#pace.breathe("reading pages", this.pages, total);
          }
        }
      } finally {
        file.close();
      }
    } catch (error) {
      if (error instanceof VmError && error.code === "aborted") throw error;
      this.problems.push(reasonOf(error));
      this.bad.set(number, null);
    }
  }

  #badSlot(number: number, slot: number, error: unknown): void {
    this.problems.push(reasonOf(error));
    const slots = this.bad.get(number) ?? new Set();
    slots.add(slot);
    this.bad.set(number, slots);
  }

  /** True when some page of these cannot be had. */
  touches(regions: Regions): boolean {
    for (const { segments, slots } of regions.values()) {
      for (let at = 0; at < segments.length; at++) {
        const bad = this.bad.get(segments[at]);
        if (bad === null || bad?.has(slots[at])) return true;
      }
    }
    return false;
  }
}

function wantedBy(state: StoreState, ids: readonly string[]): Wanted {
  const wanted: Wanted = new Map();
  for (const id of ids) {
    for (const { segments, slots } of state.resolve(id).values()) {
      for (let at = 0; at < segments.length; at++) {
        const slot = slots[at];
        if (segments[at] === NOWHERE) continue;
        let marks = wanted.get(segments[at]) ?? new Uint8Array(0);
        if (slot >= marks.length) {
          const larger = new Uint8Array(Math.max(2 * marks.length, slot + 1));
          larger.set(marks);
          marks = larger;
          wanted.set(segments[at], marks);
        }
        marks[slot] = 1;
      }
    }
  }
  return wanted;
}

/** Adds segments that nothing points to, or only what is damaged. */
function addSegments(state: StoreState, wanted: Wanted): void {
  const add = (number: number) => wanted.set(number, wanted.get(number) ?? new Uint8Array(0));
  const named = new Map(state.segments.map(({ id, number }) => [id, number]));
  for (const name of state.directory.list(SEGMENTS)) {
    const number = named.get(name.slice(0, -SEGMENT_ENDING.length));
    // one without a digest is being written
    if (number !== undefined && state.segments[number].digest.length > 0) add(number);
  }
  for (const { regions } of state.manifests.values()) {
    for (const number of segmentsOf(regions)) add(number);
  }
}

/** Reads a chain's manifests again. */
function checkManifests(state: StoreState, ids: Iterable<string>, inspection: Inspection) {
  const bad = new Set<string>();
  for (const id of ids) {
    try {
      const { manifest } = state.readManifest(id);
      if (manifest.content !== state.manifests.get(id)?.content) {
        throw new VmError("bad-file", `the manifest of ${id} is another one than it was`);
      }
    } catch (error) {
      bad.add(id);
      inspection.problems.push(reasonOf(error));
    }
  }
  return bad;
}

/** Verifies snapshots and all that they build on; `ids` null: the whole store. */
export async function verifySnapshots(
  state: StoreState,
  ids: readonly string[] | null,
  pace: Pace,
): Promise<Verification> {
  const inspection = new Inspection(state, pace);
  const all = ids ?? [...state.manifests.keys()];
  const chains = new Map<string, readonly string[]>();
  const affected = new Set<string>();
  for (const id of all) {
    try {
      chains.set(
        id,
        state.chainOf(id).map((one) => one.id),
      );
    } catch (error) {
      if (ids !== null && !state.manifests.has(id)) throw error;
      affected.add(id);
      inspection.problems.push(`snapshot ${id}: ${reasonOf(error)}`);
    }
  }
  const sound = [...chains.keys()];
  const badFiles = checkManifests(state, new Set([...chains.values()].flat()), inspection);
  const wanted = wantedBy(state, sound);
  const isWhole = ids === null;
  if (isWhole) addSegments(state, wanted);
  let total = 0;
  for (const [number, marks] of wanted) {
    if (isWhole) total += state.segments[number].table?.count ?? 0;
    else total += marks.reduce((sum, mark) => sum + mark, 0);
  }
  await pace.breathe("reading pages", 0, total);
  for (const [number, marks] of wanted) {
    await inspection.segment(state.segments[number], marks, isWhole, total);
  }
  for (const id of sound) {
    const isBad = chains.get(id)?.some((one) => badFiles.has(one));
    if (isBad === true || inspection.touches(state.resolve(id))) affected.add(id);
  }
  if (ids === null)
    for (const { file, why } of state.unreadable) {
      inspection.problems.push(why.startsWith(file) ? why : `${file}: ${why}`);
    }
  const { pages, bytes, problems } = inspection;
  return { snapshots: all.length, pages, bytes, affected: [...affected], problems };
}
