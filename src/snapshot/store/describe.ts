/**
 * describe: a snapshot as lists show it: what is said of it, and its sizes.
 *
 * Used by store.ts.
 */
import type { StoredSnapshot } from "../store-port.ts";
import { PAGE_BYTES } from "./bytes.ts";
import type { Manifest } from "./manifest.ts";
import { NOWHERE, type Regions } from "./page-columns.ts";
import type { StoreState } from "./state.ts";
import { UniqueBytes } from "./unique.ts";

interface Known {
  readonly unique: UniqueBytes;
  version: number;
  /** What `describe` said since the store changed last, by id. */
  readonly described: Map<string, StoredSnapshot>;
}

const knownOf = new WeakMap<StoreState, Known>();
const pagesKnown = new WeakMap<Regions, number>();

function known(state: StoreState): Known {
  let found = knownOf.get(state);
  if (found === undefined) {
    found = { unique: new UniqueBytes(state), version: state.version, described: new Map() };
    knownOf.set(state, found);
  }
  if (found.version !== state.version) {
    found.described.clear();
    found.version = state.version;
  }
  return found;
}

/** Pages that a snapshot holds itself and that are not zeros. */
function ownPages({ regions }: Manifest): number {
  const counted = pagesKnown.get(regions);
  if (counted !== undefined) return counted;
  let pages = 0;
  for (const { segments } of regions.values()) {
    for (const segment of segments) if (segment !== NOWHERE) pages++;
  }
  pagesKnown.set(regions, pages);
  return pages;
}

/** One that can be used. Throws "not-found", "bad-file". */
export function describe(state: StoreState, id: string): StoredSnapshot {
  const { unique, described } = known(state);
  const before = described.get(id);
  if (before !== undefined) return before;
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
      unique: unique.of(id),
      onDisk: writtenBytes + (state.fileBytes.get(id) ?? 0),
    },
  };
  described.set(id, one);
  return one;
}
