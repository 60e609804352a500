/**
 * unique: how many bytes of a store one snapshot alone points to.
 *
 * Owns    who points to which slot, as of the last time that it was asked.
 * Used by describe.ts.
 * Holds   snapshots that came since are added, at the cost of their own pages; after any other
 *         change it begins anew.
 */
import { NOWHERE, type Regions } from "./page-columns.ts";
import type { StoreState } from "./state.ts";

/** Owner of a slot that several snapshots point to. */
const SHARED = NOWHERE - 1;

/** What each snapshot of a store holds alone. */
export class UniqueBytes {
  readonly #state: StoreState;
  #version = -1;
  /** The owner of each slot by segment, as a place in #sums. */
  #owners: (Uint32Array | undefined)[] = [];
  #sums: number[] = [];
  #counted = new Map<string, { readonly regions: Regions; readonly owner: number }>();

  constructor(state: StoreState) {
    this.#state = state;
  }

  /** Bytes that only snapshot `id` points to; 0 when it is not there. */
  of(id: string): number {
    this.#update();
    const counted = this.#counted.get(id);
    return counted === undefined ? 0 : this.#sums[counted.owner];
  }

  #update(): void {
    const { manifests, version } = this.#state;
    if (version === this.#version) return;
    for (const [id, { regions }] of this.#counted) {
      if (manifests.get(id)?.regions === regions) continue;
      this.#owners = [];
      this.#sums = [];
      this.#counted = new Map();
      break;
    }
    for (const { id, regions } of manifests.values()) {
      if (!this.#counted.has(id)) this.#add(id, regions);
    }
    this.#version = version;
  }

  #add(id: string, regions: Regions): void {
    const owner = this.#sums.push(0) - 1;
    this.#counted.set(id, { regions, owner });
    for (const { segments, slots } of regions.values()) {
      for (let at = 0; at < segments.length; at++) {
        if (segments[at] !== NOWHERE) this.#claim(segments[at], slots[at], owner);
      }
    }
  }

  #claim(segment: number, slot: number, owner: number): void {
    const owners = (this.#owners[segment] ??= this.#noOwners(segment));
    const held = owners[slot];
    if (held === undefined || held === owner || held === SHARED) return;
    const bytes = this.#state.tableOf(segment).bytes(slot);
    if (held === NOWHERE) this.#sums[owner] += bytes;
    else this.#sums[held] -= bytes;
    owners[slot] = held === NOWHERE ? owner : SHARED;
  }

  #noOwners(segment: number): Uint32Array {
    return new Uint32Array(this.#state.slotCount(segment)).fill(NOWHERE);
  }
}
