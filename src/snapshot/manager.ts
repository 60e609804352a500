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
import { chainOf, checkName, findSnapshot } from "./catalog.ts";
import type {
  Created,
  CreateOptions,
  LongOptions,
  Restored,
  RestoreOptions,
  Reverted,
  RevertOptions,
  Snapshot,
  SnapshotSignal,
} from "./contract.ts";
import type { SnapshotJob } from "./jobs.ts";
import { beginSnapshot, type Creation, persist } from "./make.ts";
import { Parts } from "./parts.ts";
import { restoreMachine } from "./restore.ts";
import type { SnapshotStorePort } from "./store-port.ts";

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

  /**
   * The snapshot that a text names: a name (of `machine`, where that has one), MACHINE/NAME, an id
   * or the beginning of one. Throws "not-found" naming those that exist, or "bad-argument".
   */
  find(text: string, machine?: string): Snapshot {
    return findSnapshot(this.list(), text, machine);
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
    await Promise.all(this.#parts.filling);
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

  // ---- keeping order ----

  /** Throws "bad-argument" for a name that is none, or taken. */
  async rename(id: string, name: string): Promise<Snapshot> {
    const { machine } = this.get(id);
    checkName(this.list(), name, machine);
    if (!this.#parts.shelf.amend(id, { name })) await this.store.rename(id, name);
    return this.get(id);
  }

  /** Gives back the frames of durable snapshots: a revert then reads from the store. */
  forgetFrames(): void {
    while (this.#parts.shelf.shed());
  }

  /** Waits for what is under way; snapshots that are only in memory are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.idle();
    this.#endShort();
    this.#parts.shelf.clear();
  }
}
