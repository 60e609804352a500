/**
 * inspect: what a snapshot is made of, and why it cannot be restored.
 *
 * Used by store.ts.
 * Holds   nothing is changed, and no page is read; verify does that.
 */
import { VmError } from "../../errors.ts";
import { reasonOf } from "./bytes.ts";
import { type Manifest, segmentsOf } from "./manifest.ts";
import { NOWHERE } from "./page-columns.ts";
import type { StoreState } from "./state.ts";
import type { Parcel } from "./transfer.ts";

/** What was found out about a snapshot. */
export interface Findings {
  readonly id: string;
  /** Null when its manifest cannot be read. */
  readonly name: string | null;
  /** The chain, from the snapshot to its first, as far as it is there. */
  readonly chain: readonly string[];
  readonly sections: readonly {
    readonly name: string;
    readonly version: number;
    readonly bytes: number;
  }[];
  /** Pages by region: what it holds itself, of which some are zeros. */
  readonly regions: readonly {
    readonly region: number;
    readonly pages: number;
    readonly zeros: number;
  }[];
  /** Segments that its own pages are in. */
  readonly segments: readonly {
    readonly id: string;
    readonly bytes: number;
    readonly problem: string | null;
  }[];
  /** Why it cannot be restored; none when it can, as far as can be told without its pages. */
  readonly problems: readonly string[];
}

type Parts = Pick<Findings, "sections" | "regions">;

function partsOf({ sections, regions }: Manifest): Parts {
  return {
    sections: sections.map(({ name, version, bytes }) => ({ name, version, bytes: bytes.length })),
    regions: [...regions].map(([region, { pages, segments }]) => {
      const zeros = segments.reduce((sum, one) => sum + (one === NOWHERE ? 1 : 0), 0);
      return { region, pages: pages.length, zeros };
    }),
  };
}

/** Of a snapshot in a store. Throws "not-found". */
export function inspectSnapshot(state: StoreState, id: string): Findings {
  const manifest = state.manifests.get(id);
  if (manifest === undefined) {
    const damage = state.unreadable.find((one) => one.id === id);
    if (damage === undefined) throw new VmError("not-found", `snapshot ${id} is not there`);
    const none = { chain: [], sections: [], regions: [], segments: [] };
    return { id, name: null, ...none, problems: [damage.why] };
  }
  const problems: string[] = [];
  const chain: Manifest[] = [];
  try {
    chain.push(...state.chainOf(id));
  } catch (error) {
    problems.push(reasonOf(error));
    chain.push(manifest);
  }
  const used = new Set(chain.flatMap(({ regions }) => segmentsOf(regions)));
  for (const number of used) {
    try {
      state.tableOf(number);
    } catch (error) {
      problems.push(reasonOf(error));
    }
  }
  const segments = segmentsOf(manifest.regions).map((number) => {
    const { id: segment, bytes, problem } = state.segments[number];
    return { id: segment, bytes, problem };
  });
  const ids = chain.map((one) => one.id);
  return { id, name: manifest.name, chain: ids, ...partsOf(manifest), segments, problems };
}

/** Of an exported file. */
export function inspectParcel({ manifest, table, source }: Parcel): Findings {
  const problems: string[] = [];
  for (const [region, { pages, slots }] of manifest.regions) {
    const at = slots.findIndex((slot) => slot >= table.count);
    if (at >= 0) problems.push(`page ${pages[at]} of region ${region} is nowhere in the file`);
  }
  const { id, name } = manifest;
  const segments = [{ id, bytes: source.bytes, problem: null }];
  return { id, name, chain: [id], ...partsOf(manifest), segments, problems };
}
