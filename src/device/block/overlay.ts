/**
 * overlay: a disk whose writes stay in memory, in front of one that is only read: copy-on-write.
 *
 * Owns    the clusters written so far. Used by `--disk F,cow`; later by forks.
 * Holds   a cluster is either wholly here or wholly in the base.
 */
import type { BlockBackend, MaybePromise } from "./contract.ts";

const CLUSTER_BYTES = 4096;

/** A copy-on-write disk over `base`, which is never written. */
export class OverlayBackend implements BlockBackend {
  readonly bytes: number;
  readonly isReadOnly = false;
  readonly #base: BlockBackend;
  readonly #clusters = new Map<number, Uint8Array>();

  constructor(base: BlockBackend) {
    this.#base = base;
    this.bytes = base.bytes;
  }

  /** The clusters that differ from the base, in order: offset and bytes (the last may be short). */
  *delta(): Generator<{ offset: number; bytes: Uint8Array }> {
    for (const index of [...this.#clusters.keys()].sort((a, b) => a - b)) {
      yield { offset: index * CLUSTER_BYTES, bytes: this.#clusters.get(index) as Uint8Array };
    }
  }

  read(offset: number, target: Uint8Array): MaybePromise<void> {
    const late = this.#base.read(offset, target);
    if (late !== undefined) return late.then(() => this.#cover(offset, target));
    this.#cover(offset, target);
  }

  /** Puts what was written over what the base holds. */
  #cover(offset: number, target: Uint8Array): void {
    const end = offset + target.length;
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / CLUSTER_BYTES);
      const next = Math.min(end, (index + 1) * CLUSTER_BYTES);
      const cluster = this.#clusters.get(index);
      const from = at - index * CLUSTER_BYTES;
      if (cluster !== undefined) target.set(cluster.subarray(from, from + next - at), at - offset);
      at = next;
    }
  }

  write(offset: number, bytes: Uint8Array): MaybePromise<void> {
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    const first = Math.floor(offset / CLUSTER_BYTES);
    const last = Math.floor((end - 1) / CLUSTER_BYTES);
    const missing: Promise<void>[] = [];
    // only the outermost clusters can be written in part
    for (const index of new Set([first, last])) {
      const start = index * CLUSTER_BYTES;
      const isWhole = offset <= start && end >= Math.min(start + CLUSTER_BYTES, this.bytes);
      if (isWhole || this.#clusters.has(index)) continue;
      const late = this.#fetch(index);
      if (late !== undefined) missing.push(late);
    }
    if (missing.length === 0) return this.#put(offset, bytes);
    const copy = bytes.slice();
    return Promise.all(missing).then(() => this.#put(offset, copy));
  }

  #fetch(index: number): MaybePromise<void> {
    const start = index * CLUSTER_BYTES;
    const cluster = new Uint8Array(Math.min(CLUSTER_BYTES, this.bytes - start));
    const late = this.#base.read(start, cluster);
    const keep = () => void this.#clusters.set(index, cluster);
    if (late !== undefined) return late.then(keep);
    keep();
  }

  #put(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / CLUSTER_BYTES);
      const start = index * CLUSTER_BYTES;
      const next = Math.min(end, start + CLUSTER_BYTES);
      let cluster = this.#clusters.get(index);
      if (cluster === undefined) {
        cluster = new Uint8Array(Math.min(CLUSTER_BYTES, this.bytes - start));
        this.#clusters.set(index, cluster);
      }
      cluster.set(bytes.subarray(at - offset, next - offset), at - start);
      at = next;
    }
  }

  /** What was written lives as long as this process. */
  flush(): void {}

  close(): MaybePromise<void> {
    this.#clusters.clear();
    return this.#base.close();
  }
}
