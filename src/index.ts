/**
 * index: the public API, the same on every JavaScript host. node.ts and browser.ts add the
 * platform.
 */
/// <reference lib="esnext.disposable" preserve="true" />
export {
  CSR,
  csrName,
  disassemble,
  FLOAT_REGISTER_NAMES,
  REGISTER_NAMES,
} from "./asm/index.ts";
export type { StopCause, TlbEntry, WatchEntry, WatchKind } from "./core/debug-view.ts";
export { DirtyBitmap } from "./core/dirty-bitmap.ts";
export { DirtyLog } from "./core/dirty-log.ts";
export type { CoreCounters, MachineView } from "./core/machine-view.ts";
export { PageCodec, type PageCodecOptions } from "./core/page-codec.ts";
export type { PagesSource } from "./core/pages-module.ts";
export { RetainedRoot } from "./core/root.ts";
export { GdbServer, type GdbServerOptions } from "./debug/gdb-server.ts";
export { type GdbTarget, letGo } from "./debug/gdb-session.ts";
export type { GdbPeer } from "./debug/peer.ts";
export { parseSymbols, SymbolTable } from "./debug/symbols.ts";
export { rightsText, translationText } from "./debug/translation-text.ts";
export type { BlockBackend } from "./device/block/contract.ts";
export type { DiskCapture, DiskMark, SavedDisk } from "./device/block/disk.ts";
export { MemoryBackend } from "./device/block/memory.ts";
export { OverlayBackend } from "./device/block/overlay.ts";
export { ReadOnlyBackend } from "./device/block/read-only.ts";
export type {
  Device,
  DeviceContext,
  DeviceFacts,
  DeviceSection,
  GuestMemory,
  MachineRequest,
  QueueFact,
  RegisterFact,
} from "./device/contract.ts";
export type { DeviceFactory, DevicePlace, DeviceRequest } from "./device/custom.ts";
export {
  type DeviceTreeNode,
  type DeviceTreeValue,
  deviceProperties,
} from "./device/device-tree.ts";
export { deviceTreeSource } from "./device/device-tree-source.ts";
export { SectionReader, SectionWriter } from "./device/section.ts";
export { type StateRefusal, VmError, type VmErrorCode } from "./errors.ts";
export { guestAgent } from "./guest/agent.ts";
export { BUILTIN_GUEST_NAME, builtinGuest } from "./guest/index.ts";
export {
  type CheckpointFacts,
  type RestoreTarget,
  VmCheckpoint,
  VmRestoration,
} from "./lifecycle/checkpoint.ts";
export {
  type BackOptions,
  type KeepOptions,
  type KeptState,
  LIFE_KINDS,
  type LifeEvent,
  type MakeOptions,
  OPERATIONS,
  type Operation,
  type StateFacts,
  type StateStore,
  type TimePolicy,
  type WorkOptions,
} from "./lifecycle/contract.ts";
export { frameStore } from "./lifecycle/frame-store.ts";
export type { RebootOptions } from "./lifecycle/guest.ts";
export { HISTORY_MAX, LifeHistory } from "./lifecycle/history.ts";
export {
  type Hook,
  type HookAnswer,
  type HookCall,
  type HookFacts,
  type HookOptions,
  HookTable,
} from "./lifecycle/hooks.ts";
export {
  type CheckpointOptions,
  type LifecycleOptions,
  type ResumeOptions,
  type StartOptions,
  type SuspendOptions,
  VmLifecycleManager,
} from "./lifecycle/manager.ts";
export { MemoryStore } from "./lifecycle/memory-store.ts";
export { KEPT_LABEL, SnapshotStateStore } from "./lifecycle/snapshot-store.ts";
export { Share, type ShareCounts, WEIGHT_DEFAULT, WEIGHT_MAX } from "./machine/accounting.ts";
export type { AdoptOptions } from "./machine/adopt.ts";
export type {
  CaptureOptions,
  MachineCapture,
  MachineShapeFacts,
  SavedMachine,
  Section,
} from "./machine/capture.ts";
export {
  type ClockKind,
  MACHINE_LIMITS,
  type MachineConfig,
  type MmuKind,
  parseBytes,
  type ResolvedConfig,
} from "./machine/config.ts";
export type { MachineConsole } from "./machine/console.ts";
export type { DebugPoints } from "./machine/debug-points.ts";
export type { Debugger, HartRegisters, MemorySpace, StepSignal } from "./machine/debugger.ts";
export { type ElfProgram, isElf, parseElf } from "./machine/elf.ts";
export type { ExecOptions, ExecWay, WaitOptions } from "./machine/exec.ts";
export type { ExecResult, OutputListener, OutputStream } from "./machine/exec-result.ts";
export type { ForkOptions } from "./machine/fork.ts";
export {
  Host,
  type HostOptions,
  type HostStats,
  MACHINES_MAX,
  type RestoredConfig,
} from "./machine/host.ts";
export { isImage } from "./machine/image.ts";
export {
  JOB_KINDS,
  JOB_OPERATIONS,
  type Job,
  type JobDesk,
  type JobFacts,
  type JobKind,
  type JobOperation,
  type JobRule,
  type JobSignal,
  jobRule,
} from "./machine/jobs.ts";
export type {
  Machine,
  MachineEvents,
  MachineStats,
  RunBudget,
} from "./machine/machine.ts";
export { memoryMap, type PageRun, type PageState, sharedPages } from "./machine/memory-map.ts";
export type { Brought, Pager } from "./machine/pager.ts";
export {
  canGo,
  type DebugStop,
  MACHINE_STATES,
  type MachineState,
  type RunResult,
  statesAfter,
} from "./machine/result.ts";
export type {
  AccessKind,
  PageRights,
  Translation,
  TranslationMode,
  WalkStep,
} from "./machine/translate.ts";
export { BANDWIDTH_MIN, Bandwidth } from "./migration/bandwidth.ts";
export {
  type Arrival,
  type ArrivalParts,
  type DiskWay,
  type MigrateOptions,
  type MigrationProgress,
  type MigrationResult,
  type MigrationSession,
  type MigrationSignal,
  PHASES,
  type Phase,
  type PhaseMark,
  POLICIES,
  type Policy,
  STATUSES,
  type Status,
} from "./migration/contract.ts";
export type {
  DamagedJournal,
  JournalRecord,
  MigrationJournal,
  RecordKind,
  SessionFacts,
  SessionJournal,
} from "./migration/journal.ts";
export { type LocalMove, type LocalMoveOptions, moveLocally } from "./migration/local.ts";
export {
  MigrationManager,
  type MigrationOptions,
  SESSIONS_MAX,
} from "./migration/manager.ts";
export { DISK_WAYS } from "./migration/messages.ts";
export {
  type MigrationPlan,
  type PlannedRound,
  type PlanOptions,
  planMigration,
} from "./migration/plan.ts";
export {
  type Proof,
  type ProvenMove,
  type ProveOptions,
  proveMigration,
} from "./migration/prove.ts";
export type { Recovered } from "./migration/recover.ts";
export { SourceSession } from "./migration/source.ts";
export { TargetSession } from "./migration/target.ts";
export { VERSIONS as MIGRATION_VERSIONS } from "./migration/wire.ts";
export type { Platform, StoreDirectory, StoreFile, StoreLock } from "./platform/contract.ts";
export type { ByteLink, LinkDoor, LinkListener } from "./platform/link.ts";
export { MemoryBytes, MemoryDirectory } from "./platform/memory-directory.ts";
export type {
  ClockPolicy,
  Created,
  CreateOptions,
  ImportOptions,
  LongOptions,
  Restored,
  RestoreOptions,
  Reverted,
  RevertOptions,
  Snapshot,
  SnapshotBytes,
  SnapshotContents,
  SnapshotDifference,
  SnapshotProgress,
  SnapshotSignal,
  SnapshotType,
} from "./snapshot/contract.ts";
export type { SnapshotFacts } from "./snapshot/facts.ts";
export type { Inspection } from "./snapshot/inspect.ts";
export type { SnapshotJob } from "./snapshot/jobs.ts";
export type { Annotation, MergeOptions, PruneOptions, RemoveOptions } from "./snapshot/keep.ts";
export type { Creation } from "./snapshot/make.ts";
export { type ManagerOptions, SnapshotManager } from "./snapshot/manager.ts";
export {
  CHAIN_MAX,
  type Compaction,
  type Compression,
  type Findings,
  type Removal,
  SNAPSHOTS_MAX,
  type SnapshotReader,
  SnapshotStore,
  type SnapshotWriter,
  type StoreImportOptions,
  type StoreOptions,
  type StoreUsage,
  type Verification,
} from "./snapshot/store/index.ts";
export type {
  ByteSink,
  ByteSource,
  Damage,
  SnapshotMeta,
  SnapshotStorePort,
  StoreDifference,
  StoredSnapshot,
  StoreFindings,
  StoreReader,
  StoreWriter,
} from "./snapshot/store-port.ts";
