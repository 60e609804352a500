/**
 * overlay: a disk whose writes stay in memory, in front of one that is only read: copy-on-write.
 *
 * Owns    the blocks written so far. Used by `--disk F,cow`, and as the disk of every fork.
 * Holds   a block is either wholly here or wholly in the base, and never written in place: a
 *         frozen copy and a fork keep what they share with it. However often a disk was forked, a
 *         read asks one map and one base.
 */
import { BlockMap } from "./block-map.ts";
import type { MaybePromise } from "./contract.ts";
import { BLOCK_BYTES, type FreezableBackend, FrozenDisk } from "./frozen.ts";

/** What lies below an overlay. */
export interface Base {
  readonly bytes: number;
  read(offset: number, target: Uint8Array): MaybePromise<void>;
  close(): MaybePromise<void>;
}

/** The base of one overlay and all that were forked off it: closed by the last of them. */
class SharedBase {
  readonly base: Base;
  #users = 1;

  constructor(base: Base) {
    this.base = base;
  }

  take(): this {
    this.#users++;
    return this;
  }

  drop(): MaybePromise<void> {
    if (--this.#users === 0) return this.base.close();
  }
}

/** Puts what `blocks` hold over `target`, which the base has filled. */
function cover(blocks: BlockMap, offset: number, target: Uint8Array): void {
  const end = offset + target.length;
  for (let at = offset; at < end; ) {
    const block = Math.floor(at / BLOCK_BYTES);
    const next = Math.min(end, (block + 1) * BLOCK_BYTES);
    const bytes = blocks.get(block);
    const from = at - block * BLOCK_BYTES;
    if (bytes !== undefined) target.set(bytes.subarray(from, from + next - at), at - offset);
    at = next;
  }
}

/** True when `blocks` hold all of [offset, offset + bytes). */
function holdsAll(blocks: BlockMap, offset: number, bytes: number): boolean {
  const last = Math.floor((offset + bytes - 1) / BLOCK_BYTES);
  for (let block = Math.floor(offset / BLOCK_BYTES); block <= last; block++) {
    if (blocks.get(block) === undefined) return false;
  }
  return true;
}

function readThrough(
  blocks: BlockMap,
  base: Base,
  offset: number,
  target: Uint8Array,
): MaybePromise<void> {
  if (target.length === 0) return;
  if (!holdsAll(blocks, offset, target.length)) {
    const late = base.read(offset, target);
    if (late !== undefined) return late.then(() => cover(blocks, offset, target));
  }
  cover(blocks, offset, target);
}

/** A copy-on-write disk over `base`, which is never written. */
export class OverlayBackend implements FreezableBackend {
  readonly bytes: number;
  readonly isReadOnly = false;
  readonly #shared: SharedBase;
  readonly #blocks: BlockMap;
  #isClosed = false;

  /** `base`: a disk, closed with the last of this one, its forks and frozen copies. */
  constructor(base: Base) {
    this.bytes = base.bytes;
    [this.#shared, this.#blocks] =
      base instanceof Layer ? [base.shared, base.blocks] : [new SharedBase(base), new BlockMap()];
  }

  /** A disk that begins as `frozen`, which it releases when it is closed. */
  static over(frozen: FrozenDisk): OverlayBackend {
    const layer = layers.get(frozen);
    if (layer !== undefined) {
      const { bytes, shared, blocks } = layer;
      const fork = new OverlayBackend(new Layer(bytes, shared.take(), blocks.copy()));
      frozen.release();
      return fork;
    }
    const { bytes } = frozen;
    return new OverlayBackend({
      bytes,
      read: (offset, target) => frozen.read(offset, target),
      close: () => frozen.release(),
    });
  }

  /** What lies below: for those who must tell what of the disk is where. */
  get base(): Base {
    return this.#shared.base;
  }

  freeze(): FrozenDisk {
    const layer = new Layer(this.bytes, this.#shared.take(), this.#blocks.copy());
    const frozen = new FrozenDisk({
      bytes: this.bytes,
      read: (offset, target) => layer.read(offset, target),
      keys: () => layer.blocks.keys(),
      close: () => void layer.shared.drop(),
    });
    layers.set(frozen, layer);
    return frozen;
  }

  /** The blocks that differ from the base, in order: offset and bytes (the last may be short). */
  *delta(): Generator<{ offset: number; bytes: Uint8Array }> {
    for (const block of this.#blocks.keys()) {
      const bytes = this.#blocks.get(block) as Uint8Array;
      yield { offset: block * BLOCK_BYTES, bytes: bytes.slice() };
    }
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    return readThrough(this.#blocks, this.#shared.base, offset, target);
  }

  write(offset: number, bytes: Uint8Array): MaybePromise<void> {
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    const edges = new Set([Math.floor(offset / BLOCK_BYTES), Math.floor((end - 1) / BLOCK_BYTES)]);
    const missing: Promise<void>[] = [];
    // only the outermost blocks can be written in part
    for (const block of edges) {
      const start = block * BLOCK_BYTES;
      const isWhole = offset <= start && end >= Math.min(start + BLOCK_BYTES, this.bytes);
      if (isWhole || this.#blocks.get(block) !== undefined) continue;
      const late = this.#fetch(block);
      if (late !== undefined) missing.push(late);
    }
    if (missing.length === 0) return this.#put(offset, bytes);
    const copy = bytes.slice();
    return Promise.all(missing).then(() => this.#put(offset, copy));
  }

  #emptyBlock(block: number): Uint8Array {
    return new Uint8Array(Math.min(BLOCK_BYTES, this.bytes - block * BLOCK_BYTES));
  }

  #fetch(block: number): MaybePromise<void> {
    const bytes = this.#emptyBlock(block);
    const late = this.#shared.base.read(block * BLOCK_BYTES, bytes);
    const keep = () => this.#blocks.set(block, bytes);
    if (late !== undefined) return late.then(keep);
    keep();
  }

  #put(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    for (let at = offset; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const start = block * BLOCK_BYTES;
      const next = Math.min(end, start + BLOCK_BYTES);
      const fresh = this.#blocks.get(block)?.slice() ?? this.#emptyBlock(block);
      fresh.set(bytes.subarray(at - offset, next - offset), at - start);
      this.#blocks.set(block, fresh);
      at = next;
    }
  }

  /** What was written lives as long as this process. */
  flush(): void {}

  close(): MaybePromise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#blocks.clear();
    return this.#shared.drop();
  }
}

/** What a frozen overlay is made of: a fork of it takes the parts and not the whole. */
class Layer implements Base {
  readonly bytes: number;
  readonly shared: SharedBase;
  readonly blocks: BlockMap;

  constructor(bytes: number, shared: SharedBase, blocks: BlockMap) {
    this.bytes = bytes;
    this.shared = shared;
    this.blocks = blocks;
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    return readThrough(this.blocks, this.shared.base, offset, target);
  }

  close(): MaybePromise<void> {
    return this.shared.drop();
  }
}

const layers = new WeakMap<FrozenDisk, Layer>();
