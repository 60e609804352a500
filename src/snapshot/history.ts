/**
 * history: where one machine stands among its snapshots: which one it comes from, and what it
 * changed since.
 *
 * Owns    two of the machine's dirty logs: one for the chain, one for the last full snapshot.
 * Used by manager.ts.
 * Holds   the machine differs from `current` by `chain` at most; from the last full snapshot by the
 *         base's track and by what `via` differs from it.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { DiskMark } from "../device/block/disk.ts";
import { ChangeTrack } from "./track.ts";

/** The last full snapshot below a machine. */
interface Base {
  readonly id: string;
  /** The snapshot that the machine was when its track began: `id`, or one that stands on it. */
  readonly via: string;
}

/** Moments in the lives of a machine's disks, by slot; null for one that is never written. */
export type DiskMarks = readonly (DiskMark | null)[];

/** Where a machine stands. */
export class History {
  readonly #view: MachineView;
  #current: string | null = null;
  /** The moments of snapshots that were made of this machine, or that it became. */
  readonly #marks = new Map<string, DiskMarks>();
  #base: Base | null = null;
  #chainTrack: ChangeTrack | null = null;
  #baseTrack: ChangeTrack | null = null;

  constructor(view: MachineView) {
    this.#view = view;
  }

  /** Id of the snapshot that the machine stands on. */
  get current(): string | null {
    return this.#current;
  }

  get base(): Base | null {
    return this.#base;
  }

  /** When the machine was snapshot `id`; undefined when that is not known. */
  marks(id: string): DiskMarks | undefined {
    return this.#marks.get(id);
  }

  /** Pages of RAM that changed since `current`. */
  get changedPages(): number {
    return this.#chainTrack?.count ?? 0;
  }

  /** At a capture: what changed since `current`. Marks from now on are those of the next one. */
  takeChain(): Uint32Array {
    this.#chainTrack ??= new ChangeTrack(this.#view);
    return this.#chainTrack.take();
  }

  /** At a capture: what changed since the machine was `base.via`. */
  takeBase(): Uint32Array {
    this.#baseTrack ??= new ChangeTrack(this.#view);
    return this.#baseTrack.take();
  }

  /** The capture of the last `take...` is kept as `id`; `isFull`: `takeBase` was called, too. */
  kept(id: string, isFull: boolean, marks: DiskMarks): void {
    this.#current = id;
    this.#marks.set(id, marks);
    this.#chainTrack?.settle();
    if (!isFull) return;
    this.#base = { id, via: id };
    this.#baseTrack?.settle();
  }

  /** Before the machine becomes another one: it can be told what changes from then on. */
  openTracks(): void {
    this.#chainTrack ??= new ChangeTrack(this.#view);
    this.#baseTrack ??= new ChangeTrack(this.#view);
  }

  /** The machine has just become what snapshot `id` is, which stands on the full one `base`. */
  became(id: string, base: string | null, marks: DiskMarks): void {
    this.openTracks();
    this.#chainTrack?.restart();
    this.#baseTrack?.restart();
    this.#current = id;
    this.#marks.set(id, marks);
    this.#base = base === null ? null : { id: base, via: id };
  }

  /**
   * Snapshot `from` is gone; `to` differs from it by `pages`, and the machine stands on that where
   * it stood on `from`. With null there is nothing to stand on: the next snapshot is a full one.
   */
  moved(from: string, to: string | null, pages: Uint32Array): void {
    this.#marks.delete(from);
    if (this.#current === from) {
      this.#current = to;
      this.#chainTrack?.add(pages);
    }
    if (this.#base === null) return;
    const { id, via } = this.#base;
    const isVia = via === from;
    if (isVia) this.#baseTrack?.add(pages);
    const [nextId, nextVia] = [id === from ? to : id, isVia ? to : via];
    const isLost = nextId === null || nextVia === null;
    this.#base = isLost ? null : { id: nextId, via: nextVia };
  }
}
