/**
 * parts: what the halves of the snapshot manager share.
 *
 * Owns    the histories of machines, captures in memory, what is under way.
 * Used by manager.ts, make.ts, back.ts.
 */
import { VmError } from "../errors.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import { inOrder } from "./catalog.ts";
import type { Snapshot } from "./contract.ts";
import { History } from "./history.ts";
import { JobTable } from "./jobs.ts";
import { Shelf } from "./shelf.ts";
import type { SnapshotStorePort, StoredSnapshot } from "./store-port.ts";
import type { StoredDisk } from "./stored-disk.ts";

/** A manifest as lists show it. */
function shown(manifest: StoredSnapshot, isRetained: boolean): Snapshot {
  return { ...manifest, isRetained, isInMemory: false };
}

/** A store, a host, and what is known of both. */
export class Parts {
  readonly store: SnapshotStorePort;
  readonly host: Host;
  readonly platform: Platform;
  readonly shelf: Shelf;
  readonly jobs = new JobTable();
  /** Disks of machines that are in the store, and whose they are. */
  readonly disks = new Map<StoredDisk, string>();
  /** Snapshots that are just being written out of memory, by id. */
  readonly persisting = new Map<string, Promise<void>>();
  /** What reads the memory of lazily restored machines, from behind. Never rejects. */
  readonly filling = new Set<Promise<void>>();
  #spare: Promise<unknown> = Promise.resolve();
  readonly #histories = new Map<Machine, History>();

  constructor(store: SnapshotStorePort, host: Host, retainedMax: number) {
    this.store = store;
    this.host = host;
    this.platform = host.platform;
    this.shelf = new Shelf(retainedMax);
  }

  /** Does work that needs the host's spare machine block, when nobody else does. */
  async withSpare<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#spare.then(work);
    this.#spare = turn.catch(() => {});
    return turn;
  }

  /** Every snapshot, oldest first. */
  list(): Snapshot[] {
    const durable = this.store.list().map((one) => shown(one, this.shelf.has(one.id)));
    return inOrder([...durable, ...this.shelf.volatile.map(({ snapshot }) => snapshot)]);
  }

  /** Throws "not-found". */
  get(id: string): Snapshot {
    const kept = this.shelf.get(id);
    if (kept?.isDurable === false) return kept.snapshot;
    return shown(this.store.get(id), kept !== undefined);
  }

  /** One that can be used, or undefined. */
  readonly find = (id: string): Snapshot | undefined => {
    try {
      return this.get(id);
    } catch (error) {
      if (error instanceof VmError) return;
      throw error;
    }
  };

  /** Lazily restored machines have all of their memory: nothing of a chain is read for it. */
  async quiet(): Promise<void> {
    await Promise.all(this.filling);
  }

  /**
   * Before chains change: waits for lazily restored machines. Throws "busy" while a snapshot is
   * made or gone back to.
   */
  async settle(what: string): Promise<void> {
    await this.quiet();
    const job = this.jobs.all.find(({ isRunning }) => isRunning);
    if (job === undefined) return;
    const text = `${what}: ${job.operation} of ${job.machine}/${job.snapshot} is under way`;
    throw new VmError("busy", `${text}; wait for its end, or cancel it`);
  }

  /** What is known of a machine; null before its first snapshot. */
  known(machine: Machine): History | null {
    return this.#histories.get(machine) ?? null;
  }

  get histories(): readonly History[] {
    return [...this.#histories.values()];
  }

  /** What is known of a machine, from now on. */
  history(machine: Machine): History {
    const known = this.#histories.get(machine);
    if (known !== undefined) return known;
    const history = new History(machine.view);
    this.#histories.set(machine, history);
    machine.on("disposed", () => {
      this.#histories.delete(machine);
      this.jobs.forget(machine);
    });
    return history;
  }
}
