/**
 * difference: in which pages and sections two snapshots differ.
 *
 * Used by store.ts.
 * Holds   pages at one place are the same, and pages of different hashes are not; nothing is read.
 */
import type { StoreDifference } from "../store-port.ts";
import { sameBytes } from "./bytes.ts";
import { columnsOf, isSamePlace, NOWHERE, regionNumbers, walkBoth } from "./page-columns.ts";
import { SLOT_WORDS } from "./segment.ts";
import type { StoreState } from "./state.ts";

function haveSameHash(state: StoreState, places: readonly (readonly [number, number])[]): boolean {
  const [[first, firstSlot], [second, secondSlot]] = places;
  if (first === NOWHERE || second === NOWHERE) return false;
  const { words } = state.tableOf(second);
  const at = secondSlot * SLOT_WORDS;
  return state.tableOf(first).hasHash(firstSlot, words.subarray(at, at + 4));
}

/** How `to` differs from `from`. Throws "not-found", "bad-file". */
export function differenceOf(state: StoreState, from: string, to: string): StoreDifference {
  const [before] = state.chainOf(from);
  const [after] = state.chainOf(to);
  const a = state.resolve(from);
  const b = state.resolve(to);
  const regions: Uint32Array[] = [];
  for (const region of regionNumbers(a, b)) {
    const [mine, other] = [columnsOf(a, region), columnsOf(b, region)];
    const pages: number[] = [];
    walkBoth(mine, other, (page, atA, atB) => {
      if (isSamePlace(mine, atA, other, atB)) return;
      const places = [
        atA < 0 ? ([NOWHERE, 0] as const) : ([mine.segments[atA], mine.slots[atA]] as const),
        atB < 0 ? ([NOWHERE, 0] as const) : ([other.segments[atB], other.slots[atB]] as const),
      ];
      if (!haveSameHash(state, places)) pages.push(page);
    });
    while (regions.length < region) regions.push(new Uint32Array(0));
    regions.push(Uint32Array.from(pages));
  }
  const names = new Set([...before.sections, ...after.sections].map(({ name }) => name));
  const sections = [...names].filter((name) => {
    const [one, other] = [before, after].map(({ sections: all }) => {
      return all.find((section) => section.name === name);
    });
    if (one === undefined || other === undefined) return true;
    return one.version !== other.version || !sameBytes(one.bytes, other.bytes);
  });
  return { regions, sections };
}
