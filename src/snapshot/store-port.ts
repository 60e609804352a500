/**
 * store-port: what the snapshot manager needs of a store.
 *
 * Owns    the types only. Implemented by store/, and by tests.
 * Holds   a snapshot is there as a whole or not at all, whatever ends the process; a reader sees
 *         what it sees until it is closed, and checks every page against its hash.
 *
 *   region 0   RAM: pages of 4096 bytes from the start of RAM
 *   region n   disk n - 1: blocks of 4096 bytes; the last one is padded with zeros
 */
import type { MaybePromise } from "../device/block/contract.ts";
import type { DeviceSection } from "../device/contract.ts";
import type { LongOptions, SnapshotBytes, SnapshotType } from "./contract.ts";

/** What is said of a snapshot when it is begun. */
export interface SnapshotMeta {
  readonly id: string;
  readonly name: string;
  readonly machine: string;
  readonly type: SnapshotType;
  readonly parent: string | null;
  readonly createdMs: number;
  readonly ticks: number;
  readonly instructions: number;
  readonly digest: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly notes: string;
}

/** A snapshot of the store. */
export interface StoredSnapshot extends SnapshotMeta {
  readonly level: number;
  readonly pages: number;
  readonly bytes: SnapshotBytes;
}

/** A snapshot that is being written. */
export interface StoreWriter {
  /** `bytes`, 4096, are the caller's again when it is done. */
  page(region: number, page: number, bytes: Uint8Array): MaybePromise<void>;
  /** The page is zeros, and was not, perhaps, in the parent. */
  zero(region: number, page: number): MaybePromise<void>;
  section(section: DeviceSection): void;
  /** Durable when it resolves. */
  commit(): Promise<unknown>;
  abort(): Promise<void>;
}

/** A snapshot that is read, its chain as one. */
export interface StoreReader {
  readonly id: string;
  readonly sections: readonly DeviceSection[];
  /** RAM pages that were wanted first, the last time. */
  readonly workingSet: Uint32Array;
  /** Those that are not zero, ascending. */
  pages(region: number): Uint32Array;
  /** False, and `target` as it was, when the page is zeros. Rejects with "bad-file" or "io". */
  read(region: number, page: number, target: Uint8Array): MaybePromise<boolean>;
  close(): MaybePromise<void>;
}

/** How two snapshots differ. */
export interface StoreDifference {
  /** By region, the pages that differ, ascending. */
  readonly regions: readonly Uint32Array[];
  /** Names of the sections that differ. */
  readonly sections: readonly string[];
}

/** A store of snapshots. */
export interface SnapshotStorePort {
  list(): readonly StoredSnapshot[];
  /** Throws "not-found". */
  get(id: string): StoredSnapshot;
  begin(meta: SnapshotMeta): Promise<StoreWriter>;
  reader(id: string): Promise<StoreReader>;
  diff(from: string, to: string, options?: LongOptions): Promise<StoreDifference>;
  rename(id: string, name: string): Promise<unknown>;
  /** Losing it does no harm. */
  saveWorkingSet(id: string, pages: Uint32Array): Promise<void>;
}
