/**
 * manager: snapshots of running machines: made, reverted to, restored, kept in order.
 *
 * Owns    a store, and what it knows of the machines of one host (parts.ts).
 * Used by every caller of the API; lifecycle/ suspends through it.
 * Holds   a guest stands still only while tables are copied or remapped. A snapshot is there as a
 *         whole or not at all; an operation that fails or is cancelled leaves machine and store as
 *         they were. One long operation for each machine at a time.
 */
import { VmError } from "../errors.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import { revertMachine } from "./back.ts";
import { chainOf, findSnapshot } from "./catalog.ts";
import type {
  Created,
  CreateOptions,
  ImportOptions,
  LongOptions,
  Restored,
  RestoreOptions,
  Reverted,
  RevertOptions,
  Snapshot,
  SnapshotContents,
  SnapshotDifference,
  SnapshotSignal,
} from "./contract.ts";
import { FACTS, readFacts, type SnapshotFacts } from "./facts.ts";
import { type Inspection, inspectSnapshot } from "./inspect.ts";
import type { SnapshotJob } from "./jobs.ts";
import {
  type Annotation,
  annotateSnapshot,
  flattenSnapshot,
  type MergeOptions,
  mergeSnapshot,
  type PruneOptions,
  pruneSnapshots,
  type RemoveOptions,
  removeSnapshot,
  renameSnapshot,
} from "./keep.ts";
import { beginSnapshot, type Creation, persist } from "./make.ts";
import { Parts } from "./parts.ts";
import { restoreMachine } from "./restore.ts";
import type {
  ByteSink,
  ByteSource,
  Damage,
  SnapshotStorePort,
  StoreFindings,
} from "./store-port.ts";

/** Captures of durable snapshots that are kept for quick reverts. */
const RETAINED_MAX = 32;

/** What a manager needs. */
export interface ManagerOptions {
  readonly host: Host;
  /** Durable snapshots whose frames are kept for quick reverts; default 32. */
  readonly retainedMax?: number;
}

/** Snapshots of the machines of one host, in one store. */
export class SnapshotManager {
  readonly store: SnapshotStorePort;
  readonly #parts: Parts;
  readonly #endShort: () => void;
  #isClosed = false;

  constructor(store: SnapshotStorePort, options: ManagerOptions) {
    this.store = store;
    this.#parts = new Parts(store, options.host, options.retainedMax ?? RETAINED_MAX);
    this.#endShort = options.host.onShort(() => this.#parts.shelf.shed());
  }

  // ---- looking ----

  /** Every snapshot, of every machine or of the one so named, oldest first. */
  list(machine?: string): Snapshot[] {
    const all = this.#parts.list();
    return machine === undefined ? all : all.filter((one) => one.machine === machine);
  }

  /** What is in the store and cannot be used; lists leave it out. */
  get damaged(): readonly Damage[] {
    return this.store.damaged();
  }

  /**
   * The snapshot that a text names: a name (of `machine`, where that has one), MACHINE/NAME, an id
   * or the beginning of one. Throws "not-found" naming those that exist, "bad-argument", "bad-file"
   * for one that cannot be used.
   */
  find(text: string, machine?: string): Snapshot {
    return findSnapshot(this.list(), text, machine, this.damaged);
  }

  /** Throws "not-found". */
  get(id: string): Snapshot {
    return this.#parts.get(id);
  }

  /** The snapshot that the machine stands on: what its next one builds on. */
  current(machine: Machine): Snapshot | null {
    const id = this.#parts.known(machine)?.current ?? null;
    return id === null ? null : this.get(id);
  }

  /** Pages of RAM that the machine wrote since it was `current`. */
  changedPages(machine: Machine): number {
    return this.#parts.known(machine)?.changedPages ?? 0;
  }

  parent(id: string): Snapshot | null {
    const { parent } = this.get(id);
    return parent === null ? null : this.get(parent);
  }

  children(id: string): Snapshot[] {
    return this.list().filter(({ parent }) => parent === id);
  }

  /** From the first of its chain to the snapshot. */
  chain(id: string): Snapshot[] {
    return chainOf(this.list(), id);
  }

  // ---- what is under way ----

  /** The last long operation of each machine, under way or over. */
  get jobs(): readonly SnapshotJob[] {
    return this.#parts.jobs.all.map(({ state }) => state);
  }

  /** Ends what is under way for the machine and waits for that; what it was, or null. */
  async cancel(machine: Machine): Promise<string | null> {
    const job = this.#parts.jobs.of(machine);
    if (job === null) return null;
    job.cancel();
    await job.over;
    return job.operation;
  }

  /** Settles when nothing is under way, for the machine so named or at all, or at the signal. */
  async idle(machine?: string, signal?: SnapshotSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      signal?.addEventListener("abort", resolve);
    });
    while (signal?.aborted !== true) {
      const running = this.#parts.jobs.all.filter((job) => job.isRunning);
      const mine = running.filter((job) => machine === undefined || job.machine === machine);
      if (mine.length === 0) return;
      await Promise.race([aborted, Promise.all(mine.map(({ over }) => over))]);
    }
  }

  /** Settles when every lazily restored machine has all of its memory, or is gone. */
  async quiet(): Promise<void> {
    await this.#parts.quiet();
  }

  // ---- machines ----

  /** As `begin`, and waits until the snapshot is durable. */
  async create(machine: Machine, options: CreateOptions = {}): Promise<Created> {
    return this.begin(machine, options).done;
  }

  /**
   * Takes a snapshot: all that the machine is at this moment. When it returns, the guest runs on
   * and its pages are written behind. Throws "bad-argument", "bad-state" where there is nothing to
   * build on, "busy", "limit" for a chain that is full, "no-memory"; `done` rejects with "io",
   * "aborted" and the like, and then there is no such snapshot.
   */
  begin(machine: Machine, options: CreateOptions = {}): Creation {
    this.#checkOpen();
    return beginSnapshot(machine, options, this.#parts);
  }

  /**
   * Makes the machine what it was when the snapshot was taken: memory, harts, devices, disks. One
   * that runs runs on from there. Throws "not-found", "busy", "bad-config" for a snapshot of
   * another shape, "no-memory", "io", "bad-file", "aborted"; then the machine is as it was.
   */
  async revert(machine: Machine, id: string, options: RevertOptions = {}): Promise<Reverted> {
    this.#checkOpen();
    return revertMachine(machine, this.get(id), options, this.#parts);
  }

  /** Makes a new machine of a snapshot. Throws as `revert` does, and "limit". */
  async restore(id: string, options: RestoreOptions = {}): Promise<Restored> {
    this.#checkOpen();
    return restoreMachine(this.get(id), options, this.#parts);
  }

  /** Writes a snapshot that is only in memory, and what it builds on, into the store. */
  async persist(id: string, options: LongOptions = {}): Promise<Snapshot> {
    await persist(this.get(id).id, options, this.#parts);
    return this.get(id);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new VmError("disposed", "the snapshot manager is closed");
  }

  // ---- keeping order: keep.ts ----

  /** Throws "bad-argument" for a name that is none, or taken. */
  rename(id: string, name: string): Promise<Snapshot> {
    return renameSnapshot(id, name, this.#parts);
  }

  /** Changes labels (an empty one goes) and notes. */
  annotate(id: string, change: Annotation): Promise<Snapshot> {
    return annotateSnapshot(id, change, this.#parts);
  }

  /**
   * Removes a snapshot; names of what went. Throws "busy" when others build on it, unless those are
   * to go, too.
   */
  remove(id: string, options: RemoveOptions = {}): Promise<string[]> {
    return removeSnapshot(id, options, this.#parts);
  }

  /**
   * Folds a snapshot into a neighbour: what stays holds the same as before, and all that the other
   * one held. Throws "bad-state" where there is no such neighbour, "busy" when others build on what
   * would go.
   */
  merge(id: string, options: MergeOptions = {}): Promise<Snapshot> {
    return mergeSnapshot(id, options, this.#parts);
  }

  /** Makes a snapshot stand alone. */
  flatten(id: string, options: LongOptions = {}): Promise<Snapshot> {
    return flattenSnapshot(id, options, this.#parts);
  }

  /** Keeps the last few of each machine; names of what went, or would. */
  prune(options: PruneOptions): Promise<string[]> {
    return pruneSnapshots(options, this.#parts);
  }

  /** Gives back room on disk that no snapshot needs. */
  async compact(options: LongOptions = {}): Promise<{ bytesBefore: number; bytesAfter: number }> {
    await this.#parts.settle("compact");
    return this.store.compact(options);
  }

  /** Reads every page, parent and section and checks it against its hash. */
  async verify(id: string, options: LongOptions = {}): Promise<StoreFindings> {
    await persist(id, options, this.#parts);
    return this.store.verify(id, options);
  }

  /** Says why a snapshot cannot be restored on this host. Throws "not-found". */
  async inspect(id: string): Promise<Inspection> {
    await persist(id, {}, this.#parts);
    return inspectSnapshot(id, this.#parts);
  }

  /** In what two snapshots differ. */
  async diff(from: string, to: string, options: LongOptions = {}): Promise<SnapshotDifference> {
    for (const id of [from, to]) await persist(id, options, this.#parts);
    const { regions, sections } = await this.store.diff(from, to, options);
    const { facts } = await this.#read(from);
    const none = new Uint32Array(0);
    return {
      ram: regions[0] ?? none,
      disks: facts.shape.disks.map((_, slot) => regions[slot + 1] ?? none),
      sections: sections.filter((name) => name !== FACTS),
    };
  }

  async #read(id: string): Promise<{ facts: SnapshotFacts; details: SnapshotContents }> {
    await persist(id, {}, this.#parts);
    const reader = await this.store.reader(id);
    try {
      const { facts } = readFacts(reader.sections);
      const details = {
        shape: facts.shape,
        sections: reader.sections.map(({ name, version, bytes }) => {
          return { name, version, bytes: bytes.length };
        }),
        ramPages: reader.pages(0).length,
        diskBlocks: facts.shape.disks.map((_, slot) => reader.pages(slot + 1).length),
        workingSetPages: reader.workingSet.length,
      };
      return { facts, details };
    } finally {
      await reader.close();
    }
  }

  /** What a snapshot says of its machine. Throws "bad-section" and what the store does. */
  async facts(id: string): Promise<SnapshotFacts> {
    return (await this.#read(id)).facts;
  }

  /** What is in a snapshot, its chain as one. Throws as `facts` does. */
  async contents(id: string): Promise<SnapshotContents> {
    return (await this.#read(id)).details;
  }

  /** Writes a snapshot, with all that it builds on, as one file; how many bytes. */
  async exportTo(id: string, sink: ByteSink, options: LongOptions = {}): Promise<number> {
    await persist(id, options, this.#parts);
    return this.store.exportTo(id, sink, options);
  }

  /** Takes a snapshot from such a file. Throws "bad-file", "bad-argument" for a name taken. */
  async importFrom(source: ByteSource, options: ImportOptions = {}): Promise<Snapshot> {
    return this.get(await this.store.importFrom(source, options));
  }

  /** Gives back the frames of durable snapshots: a revert then reads from the store. */
  forgetFrames(): void {
    while (this.#parts.shelf.shed());
  }

  /** Names of machines whose disks are in the store: it has to stay open while there are any. */
  get diskUsers(): string[] {
    return [...new Set(this.#parts.disks.values())];
  }

  /**
   * Waits for what is under way and for lazily restored machines; snapshots that are only in memory
   * are gone. The store is the caller's to close.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.idle();
    await this.quiet();
    this.#endShort();
    await Promise.allSettled([...this.#parts.persisting.values()]);
    this.#parts.shelf.clear();
  }
}
