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

const uniqueBytes = new WeakMap<StoreState, UniqueBytes>();
const pagesKnown = new WeakMap<Regions, number>();

function uniqueOf(state: StoreState): UniqueBytes {
  let unique = uniqueBytes.get(state);
  if (unique === undefined) {
    unique = new UniqueBytes(state);
    uniqueBytes.set(state, unique);
  }
  return unique;
}

/** Pages that a snapshot holds itself and that are not zeros. */
function ownPages({ regions }: Manifest): number {
  const known = pagesKnown.get(regions);
  if (known !== undefined) return known;
  let pages = 0;
  for (const { segments } of regions.values()) {
    for (const segment of segments) if (segment !== NOWHERE) pages++;
  }
  pagesKnown.set(regions, pages);
  return pages;
}

/** One that can be used. Throws "not-found", "bad-file". */
export function describe(state: StoreState, id: string): StoredSnapshot {
  const chain = state.chainOf(id);
  const manifest = chain[0];
  const { name, machine, type, parent, createdMs, ticks, instructions, digest } = manifest;
  const { labels, notes, sections, writtenBytes } = manifest;
  const pages = ownPages(manifest);
  const sectionBytes = sections.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return {
    ...{ id, name, machine, type, parent, createdMs, ticks, instructions, digest },
    ...{ labels, notes, pages },
    level: chain.length,
    bytes: {
      logical: pages * PAGE_BYTES + sectionBytes,
      unique: uniqueOf(state).of(id),
      onDisk: writtenBytes + (state.fileBytes.get(id) ?? 0),
    },
  };
}
