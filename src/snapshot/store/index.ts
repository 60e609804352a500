/**
 * index: the store of snapshots, as the manager and programs use it.
 *
 * Used by snapshot/, src/index.ts.
 */
export type { Removal } from "./change.ts";
export type { Compaction } from "./compact.ts";
export type { Findings } from "./inspect.ts";
export type { SnapshotReader } from "./reader.ts";
export type { Compression } from "./segment-writer.ts";
export { CHAIN_MAX, SNAPSHOTS_MAX } from "./state.ts";
export { SnapshotStore, type StoreOptions, type StoreUsage } from "./store.ts";
export type { StoreImportOptions } from "./transfer.ts";
export type { Verification } from "./verify.ts";
export type { SnapshotWriter } from "./writer.ts";
