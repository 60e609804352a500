/**
 * contract: what callers of the snapshot manager say and are told.
 *
 * Owns    the types only. Used by manager.ts and everything behind it, and by callers.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import type { MachineShapeFacts } from "../machine/capture.ts";
import type { MachineConfig } from "../machine/config.ts";
import type { Job } from "../machine/jobs.ts";
import type { Machine } from "../machine/machine.ts";

/**
 * What a snapshot holds: everything ("full"); what changed since its parent ("incremental") or
 * since the last full one ("differential"); or a frozen copy in memory that is written when asked
 * ("cow").
 */
export type SnapshotType = "full" | "incremental" | "differential" | "cow";

/** One snapshot, as lists show it. Plain data. */
export interface Snapshot {
  readonly id: string;
  /** Unique among the snapshots of its machine. */
  readonly name: string;
  /** Name of the machine that it is of. */
  readonly machine: string;
  readonly type: SnapshotType;
  /** Id of the snapshot that it builds on. */
  readonly parent: string | null;
  /** Snapshots that a chain has up to here: 1 for one without a parent. */
  readonly level: number;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  /** Machine time, in ticks of 100 ns. */
  readonly ticks: number;
  /** Instructions that the machine had retired. */
  readonly instructions: number;
  /** `machine.stateDigest()` at that moment; null when it was not asked for. */
  readonly digest: string | null;
  /** Pages of RAM and blocks of disks that it holds itself, 4096 bytes each. */
  readonly pages: number;
  readonly bytes: SnapshotBytes;
  readonly labels: Readonly<Record<string, string>>;
  readonly notes: string;
  /** Only in memory so far: it goes with this process. */
  readonly isInMemory: boolean;
  /** Its frames are still in the arena: a revert remaps them and reads nothing. */
  readonly isRetained: boolean;
}

/** Sizes of a snapshot, in bytes. */
export interface SnapshotBytes {
  /** Of the pages and sections that it holds itself. */
  readonly logical: number;
  /** Of those, what no other snapshot holds. */
  readonly unique: number;
  /** What was written for it. */
  readonly onDisk: number;
}

/** How far a long operation is. */
export interface SnapshotProgress {
  /** What is being done: "writing pages", "syncing", ... */
  readonly step: string;
  readonly done: number;
  /** Null while it is not known. */
  readonly total: number | null;
}

/** What AbortSignal has and long operations need. */
export interface SnapshotSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** What every long operation takes. */
export interface LongOptions {
  readonly onProgress?: (progress: SnapshotProgress) => void;
  /** Ends it: nothing of it is left. It then rejects with "aborted". */
  readonly signal?: SnapshotSignal;
  /** Most bytes to read or write in a second; no limit by default. */
  readonly bytesPerSecond?: number;
  /** The job of the machine that this is a part of: it has its place at the desk already. */
  readonly within?: Job;
}

/** What `create` takes. */
export interface CreateOptions extends LongOptions {
  /** Default: "snap-N". */
  readonly name?: string;
  /** Default: "incremental" where there is something to build on, else "full". */
  readonly type?: SnapshotType;
  readonly labels?: Readonly<Record<string, string>>;
  readonly notes?: string;
  /** Also hash the whole machine, so that a restored one can be compared. Default true. */
  readonly digest?: boolean;
  /** What the caller wants back with a restore: plain JSON. */
  readonly origin?: unknown;
}

/** What came of a `create`. */
export interface Created extends Snapshot {
  /** How long the guest stood still, in milliseconds. */
  readonly pauseMs: number;
  readonly totalMs: number;
}

/** How guest time goes on: from where it was, or with the host's clock. */
export type ClockPolicy = "resume" | "jump";

/** What `revert` takes. */
export interface RevertOptions extends LongOptions {
  /** Default "resume". */
  readonly clock?: ClockPolicy;
}

/** What came of a `revert`. */
export interface Reverted {
  readonly snapshot: Snapshot;
  /** Pages of RAM that were changed back. */
  readonly pages: number;
  /** By remapping frames that were still here: nothing was read. */
  readonly isRemapped: boolean;
  /** How long the guest stood still, in milliseconds. */
  readonly pauseMs: number;
}

/** What `restore` takes. */
export interface RestoreOptions extends LongOptions {
  /** Name of the new machine; by default that of the one in the snapshot. */
  readonly name?: string;
  /** Let it run before its memory is read: a page comes when it is touched. Default false. */
  readonly lazy?: boolean;
  /**
   * The disks by slot: what a block holds that the snapshot does not. A snapshot that holds a disk
   * whole needs none for it; a given one is written over.
   */
  readonly disks?: readonly (BlockBackend | null)[];
  /** What else is the host's: console, options of custom devices, the files of a reboot. */
  readonly config?: Omit<MachineConfig, "name" | "disks">;
  /** Default "resume". */
  readonly clock?: ClockPolicy;
  /** A new identity (generation id, entropy), or the same: an exact replay. Default "new". */
  readonly identity?: "new" | "same";
}

/** What came of a `restore`. */
export interface Restored {
  /** In state "paused", ready to run. */
  readonly machine: Machine;
  readonly snapshot: Snapshot;
  /** Pages of RAM that are not zero. */
  readonly pages: number;
  /** Some of them are still in the store. */
  readonly isLazy: boolean;
}

/** In what two snapshots differ. */
export interface SnapshotDifference {
  /** Pages of RAM, ascending. */
  readonly ram: Uint32Array;
  /** Blocks of 4096 bytes by disk, ascending. */
  readonly disks: readonly Uint32Array[];
  /** Names of the sections. */
  readonly sections: readonly string[];
}

/** What is in a snapshot, its chain as one. */
export interface SnapshotContents {
  readonly shape: MachineShapeFacts;
  readonly sections: readonly {
    readonly name: string;
    readonly version: number;
    readonly bytes: number;
  }[];
  /** Pages of RAM that are not zero. */
  readonly ramPages: number;
  /** Blocks by disk. */
  readonly diskBlocks: readonly number[];
  /** Pages that a lazy restore reads first. */
  readonly workingSetPages: number;
}

/** What `importFrom` takes. */
export interface ImportOptions extends LongOptions {
  /** Another name for it. */
  readonly name?: string;
}
