/**
 * describe: a snapshot as lists show it: what is said of it, and its sizes.
 *
 * Used by store.ts.
 * Holds   what is shared is counted once per store, and only while nothing changes.
 */
import type { StoredSnapshot } from "../store-port.ts";
import { PAGE_BYTES } from "./bytes.ts";
import type { Manifest } from "./manifest.ts";
import { NOWHERE } from "./page-columns.ts";
import type { StoreState } from "./state.ts";

const SHARED = NOWHERE - 1;

interface Counted {
  readonly version: number;
  /** Bytes of slots that one snapshot alone points to, by id. */
  readonly unique: ReadonlyMap<string, number>;
  /** What `describe` said, by id. */
  readonly described: Map<string, StoredSnapshot>;
}

const counted = new WeakMap<StoreState, Counted>();

function count(state: StoreState): Counted {
  const known = counted.get(state);
  if (known?.version === state.version) return known;
  const ids = [...state.manifests.keys()];
  const sums = new Float64Array(ids.length);
  const owners = state.owners((held, snapshot) => {
    return held === NOWHERE || held === snapshot ? snapshot : SHARED;
  });
  for (const [number, held] of owners.entries()) {
    if (held === null || held.length === 0) continue;
    const table = state.tableOf(number);
    for (let slot = 0; slot < held.length; slot++) {
      if (held[slot] < SHARED) sums[held[slot]] += table.bytes(slot);
    }
  }
  const unique = new Map(ids.map((id, at) => [id, sums[at]]));
  const now = { version: state.version, unique, described: new Map() };
  counted.set(state, now);
  return now;
}

/** Pages that a snapshot holds itself and that are not zeros. */
function ownPages({ regions }: Manifest): number {
  let pages = 0;
  for (const { segments } of regions.values()) {
    for (const segment of segments) if (segment !== NOWHERE) pages++;
  }
  return pages;
}

/** One that can be used. Throws "not-found", "bad-file". */
export function describe(state: StoreState, id: string): StoredSnapshot {
  const { unique, described } = count(state);
  const known = described.get(id);
  if (known !== undefined) return known;
  const chain = state.chainOf(id);
  const manifest = chain[0];
  const { name, machine, type, parent, createdMs, ticks, instructions, digest } = manifest;
  const { labels, notes, sections, writtenBytes } = manifest;
  const pages = ownPages(manifest);
  const sectionBytes = sections.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const one = {
    ...{ id, name, machine, type, parent, createdMs, ticks, instructions, digest },
    ...{ labels, notes, pages },
    level: chain.length,
    bytes: {
      logical: pages * PAGE_BYTES + sectionBytes,
      unique: unique.get(id) ?? 0,
      onDisk: writtenBytes + (state.fileBytes.get(id) ?? 0),
    },
  };
  described.set(id, one);
  return one;
}
