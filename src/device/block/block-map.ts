/**
 * block-map: blocks of a disk by number, as a map of which a copy costs nothing: copies share what
 * neither has written since.
 *
 * Owns    its own leaves; those that a copy made foreign are copied before they are written.
 * Used by overlay.ts.
 * Holds   a block, once put, is never written again, so that every copy may keep it.
 *
 *   root ──► leaf 0 (blocks 0 … 511) ──► block 3, block 70 …      a leaf is ours when it says so
 */

/** Blocks in a leaf. */
export const LEAF_BLOCKS = 512;

interface Leaf {
  readonly owner: object;
  readonly blocks: (Uint8Array | undefined)[];
}

/** Blocks by number. */
export class BlockMap {
  #root: Map<number, Leaf>;
  /** The root is a copy's, too. */
  #isRootShared = false;
  /** Whoever writes to a leaf of another owner copies it. */
  #owner = {};

  constructor(root = new Map<number, Leaf>()) {
    this.#root = root;
  }

  get(block: number): Uint8Array | undefined {
    return this.#root.get(Math.floor(block / LEAF_BLOCKS))?.blocks[block % LEAF_BLOCKS];
  }

  /** `bytes` are the map's, and its copies', from now on. */
  set(block: number, bytes: Uint8Array): void {
    if (this.#isRootShared) {
      this.#root = new Map(this.#root);
      this.#isRootShared = false;
    }
    const index = Math.floor(block / LEAF_BLOCKS);
    let leaf = this.#root.get(index);
    if (leaf?.owner !== this.#owner) {
      leaf = { owner: this.#owner, blocks: leaf?.blocks.slice() ?? [] };
      this.#root.set(index, leaf);
    }
    leaf.blocks[block % LEAF_BLOCKS] = bytes;
  }

  /** The map as it is now; what either writes from now on is its own. */
  copy(): BlockMap {
    this.#owner = {};
    this.#isRootShared = true;
    const copy = new BlockMap(this.#root);
    copy.#isRootShared = true;
    return copy;
  }

  /** Numbers of the blocks that it has, ascending. */
  *keys(): Generator<number> {
    for (const index of [...this.#root.keys()].sort((a, b) => a - b)) {
      const { blocks } = this.#root.get(index) as Leaf;
      for (let place = 0; place < blocks.length; place++) {
        if (blocks[place] !== undefined) yield index * LEAF_BLOCKS + place;
      }
    }
  }

  clear(): void {
    this.#root = new Map();
    this.#isRootShared = false;
  }
}
