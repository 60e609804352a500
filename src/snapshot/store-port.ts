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

/**
 * Pages in memory that stay as they are until they are released, as a retained root's do (see
 * core/root.ts, which says more).
 */
export interface FrozenPages {
  /** What addresses are of. */
  readonly memory: Uint8Array;
  /** True once the pages may change. */
  readonly isReleased: boolean;
  /** Address (0: zeros) and hash of the first pages, up to one that is not in memory. */
  survey(
    pages: Uint32Array,
    key: Uint8Array,
  ): { readonly addresses: Uint32Array; readonly hashes: Uint32Array };
  /** True when the pages at two addresses hold the same bytes. */
  areSame(a: number, b: number): boolean;
}

/** A snapshot that is being written. */
export interface StoreWriter {
  /**
   * Writes the first of `pages`, ascending, from where they are, without a copy: they must not be
   * released before the writer is done, which throws "disposed" then. Returns how many; 0 when the
   * first is not in memory.
   */
  frozen(region: number, pages: Uint32Array, source: FrozenPages): MaybePromise<number>;
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

/** What a check of every byte of a snapshot, and of what it builds on, came to. */
export interface StoreFindings {
  /** Pages that were read and hashed. */
  readonly pages: number;
  /** What is wrong, for people; none when all is as it was written. */
  readonly problems: readonly string[];
}

/** Bytes that leave for a file or a socket, in order. */
export interface ByteSink {
  /** `bytes` are the caller's again when it is done. */
  write(bytes: Uint8Array): MaybePromise<void>;
}

/** Bytes of a file, anywhere. */
export interface ByteSource {
  readonly bytes: number;
  /** Fills `target` from `offset`. Rejects with "io". */
  read(offset: number, target: Uint8Array): MaybePromise<void>;
}

/** A snapshot that cannot be used. */
export interface Damage {
  /** Null where not even that can be read. */
  readonly id: string | null;
  readonly name: string | null;
  readonly file: string;
  readonly why: string;
}

/** A store of snapshots. */
export interface SnapshotStorePort {
  /** Those that can be used. */
  list(): readonly StoredSnapshot[];
  /** Those that cannot. */
  damaged(): readonly Damage[];
  /** Throws "not-found". */
  get(id: string): StoredSnapshot;
  begin(meta: SnapshotMeta): Promise<StoreWriter>;
  reader(id: string): Promise<StoreReader>;
  diff(from: string, to: string, options?: LongOptions): Promise<StoreDifference>;
  rename(id: string, name: string): Promise<unknown>;
  /** In place of those that it has. */
  label(
    id: string,
    change: { readonly labels: Readonly<Record<string, string>>; readonly notes: string },
  ): Promise<unknown>;
  /** Losing it does no harm. */
  saveWorkingSet(id: string, pages: Uint32Array): Promise<void>;
  /** One that nobody builds on. Throws "busy" otherwise. */
  remove(id: string): Promise<unknown>;
  /** `id` takes over what its parent holds, and the parent is gone. Throws "busy" when others build
   * on that. */
  mergeParent(id: string, options?: LongOptions): Promise<unknown>;
  /** `id` holds itself what its chain holds, and builds on nothing. */
  flatten(id: string, options?: LongOptions): Promise<unknown>;
  /** Gives back what no snapshot needs. */
  compact(options?: LongOptions): Promise<{ bytesBefore: number; bytesAfter: number }>;
  verify(id: string, options?: LongOptions): Promise<StoreFindings>;
  /** The snapshot with all that it builds on; how many bytes. */
  exportTo(id: string, sink: ByteSink, options?: LongOptions): Promise<number>;
  /** Id of the snapshot; what it builds on comes with it where it is not there. */
  importFrom(source: ByteSource, options?: LongOptions & { name?: string }): Promise<string>;
  close(): Promise<void>;
}
