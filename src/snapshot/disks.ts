/**
 * disks: how the disks of a machine belong to its snapshots: which blocks, over what.
 *
 * Used by make.ts, back.ts, restore.ts.
 * Holds   a disk is either whole in a snapshot (blocks that it does not have are zeros), or what
 *         was written over a file that is given again. What lies below in this process only (a
 *         fork's, a restored machine's) is part of the snapshot.
 *
 *   written in place   file, memory                            whole
 *   overlay over       a read-only disk that was given         not whole
 *                      the disk of a snapshot (StoredDisk)     as that one
 *                      a frozen disk of another machine        whole
 */
import type { BlockBackend, MaybePromise } from "../device/block/contract.ts";
import type { DiskCapture, MachineDisk, SavedDisk } from "../device/block/disk.ts";
import { BLOCK_BYTES, blockCount } from "../device/block/frozen.ts";
import { OverlayBackend } from "../device/block/overlay.ts";
import type { DiskMarks } from "./history.ts";
import type { StoreDifference, StoreReader } from "./store-port.ts";
import { StoredDisk } from "./stored-disk.ts";
import { union } from "./track.ts";

const NONE = new Uint32Array(0);

/** Anything that is read as a disk. */
interface Readable {
  read(offset: number, target: Uint8Array): MaybePromise<void>;
}

/** How a disk of a machine is held. */
interface Layers {
  readonly isWhole: boolean;
  /** The file below, where it is not whole. */
  readonly file: Readable | null;
  /** Blocks below that belong to a snapshot beside those of the overlay; null: all. */
  readonly below: Uint32Array | null;
}

function layersOf(backend: BlockBackend): Layers {
  if (!(backend instanceof OverlayBackend)) return { isWhole: true, file: null, below: NONE };
  const { base } = backend;
  if (base instanceof StoredDisk) {
    return { isWhole: base.below === null, file: base.below, below: base.blocks };
  }
  const isGiven = "isReadOnly" in base;
  return isGiven
    ? { isWhole: false, file: base, below: NONE }
    : { isWhole: true, file: null, below: null };
}

function allBlocks(bytes: number): Uint32Array {
  return Uint32Array.from({ length: blockCount(bytes) }, (_, block) => block);
}

/** True when a snapshot needs no file for it. A read-only disk is given again. */
export function isWholeDisk(backend: BlockBackend): boolean {
  return !backend.isReadOnly && layersOf(backend).isWhole;
}

/** Blocks of a captured disk that a snapshot holds: what changed, or all that it is made of. */
export function blocksOf(capture: DiskCapture, backend: BlockBackend, isAll: boolean): Uint32Array {
  if (!isAll || backend.isReadOnly) return capture.blocks;
  const { below } = layersOf(backend);
  return below === null ? allBlocks(capture.bytes) : union(capture.blocks, below);
}

/** Where a snapshot keeps a disk: the store, and what lies below what that has. */
export interface DiskSource {
  readonly reader: StoreReader;
  readonly slot: number;
  readonly bytes: number;
  /** Null for zeros. */
  readonly file: Readable | null;
}

/** What a disk is to hold in the blocks that `blocks` names when they are asked for; or in all. */
export function savedDisk(source: DiskSource, blocks?: () => Uint32Array): SavedDisk {
  const { reader, slot, bytes, file } = source;
  return {
    get blocks() {
      return blocks?.() ?? allBlocks(bytes);
    },
    read(block, target) {
      const fill = (isThere: boolean): MaybePromise<void> => {
        if (isThere) return;
        target.fill(0);
        const offset = block * BLOCK_BYTES;
        return file?.read(offset, target.subarray(0, Math.min(BLOCK_BYTES, bytes - offset)));
      };
      const found = reader.read(slot + 1, block, target);
      return found instanceof Promise ? found.then(fill) : fill(found);
    },
  };
}

/** The file below a machine's disk, for the disk of a snapshot that is not whole. */
export function fileBelow(backend: BlockBackend): Readable | null {
  return layersOf(backend).file;
}

/** What changed since the machine was where it stands, and from there to a snapshot. */
export interface Difference {
  readonly marks: DiskMarks;
  readonly diff: StoreDifference | null;
}

/** Blocks in which a machine's disk may differ from a snapshot. */
export function changedBlocks(
  disk: MachineDisk,
  slot: number,
  reader: StoreReader,
  since: Difference | null,
): Uint32Array {
  const mark = since?.marks[slot];
  if (since !== null && mark?.disk === disk) {
    const changed = disk.changedSince(mark);
    return since.diff === null ? changed : union(changed, since.diff.regions[slot + 1] ?? NONE);
  }
  const now = disk.capture();
  const blocks = union(now.blocks, reader.pages(slot + 1));
  now.release();
  return blocks;
}
