/**
 * stamps: for each block of a disk the generation of its last write, so that anybody can ask what
 * was written since a moment.
 *
 * Used by disk.ts (marks of snapshots), history.ts (which view sees what).
 * Holds   generations only grow; a leaf of 512 blocks comes with the first write to it.
 */
import { LEAF_BLOCKS } from "./block-map.ts";

interface Leaf {
  /** The largest of the stamps. */
  newest: number;
  readonly stamps: Float64Array;
}

/** Stamps of the blocks of one disk. */
export class BlockStamps {
  readonly #leaves = new Map<number, Leaf>();

  /** Generation of the last write to `block`; 0 when there was none. */
  of(block: number): number {
    return this.#leaves.get(Math.floor(block / LEAF_BLOCKS))?.stamps[block % LEAF_BLOCKS] ?? 0;
  }

  /** Blocks `first` to `last` are written in `generation`. */
  set(first: number, last: number, generation: number): void {
    for (let block = first; block <= last; block++) {
      const index = Math.floor(block / LEAF_BLOCKS);
      let leaf = this.#leaves.get(index);
      if (leaf === undefined) {
        leaf = { newest: 0, stamps: new Float64Array(LEAF_BLOCKS) };
        this.#leaves.set(index, leaf);
      }
      leaf.newest = generation;
      leaf.stamps[block % LEAF_BLOCKS] = generation;
    }
  }

  /** Blocks written in `generation` or later, ascending. */
  since(generation: number): Uint32Array {
    const blocks: number[] = [];
    for (const index of [...this.#leaves.keys()].sort((a, b) => a - b)) {
      const { newest, stamps } = this.#leaves.get(index) as Leaf;
      if (newest < generation) continue;
      stamps.forEach((stamp, place) => {
        if (stamp >= generation) blocks.push(index * LEAF_BLOCKS + place);
      });
    }
    return Uint32Array.from(blocks);
  }

  clear(): void {
    this.#leaves.clear();
  }
}
