/**
 * jobs: the long operations of the snapshot manager: one at a time for each machine, each with its
 * progress, its end and the means to cancel it.
 *
 * Owns    what is under way, and how the last one of each machine ended.
 * Used by manager.ts.
 * Holds   a second operation on a machine is refused, with what is under way.
 */
import { VmError } from "../errors.ts";
import type { JobDesk, JobKind } from "../machine/jobs.ts";
import type { Machine } from "../machine/machine.ts";
import type { LongOptions, SnapshotProgress, SnapshotSignal } from "./contract.ts";

/** A long operation as it is now. Plain data. */
export interface SnapshotJob {
  /** Name of the machine. */
  readonly machine: string;
  /** "create", "revert", ... */
  readonly operation: string;
  /** Name of the snapshot. */
  readonly snapshot: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  readonly step: string;
  /** Null when it is not known. */
  readonly percent: number | null;
  /** What went wrong. */
  readonly error: string | null;
}

/** One operation under way. */
export class Job implements SnapshotSignal {
  readonly operation: string;
  readonly machine: string;
  readonly snapshot: string;
  readonly #outer: LongOptions;
  readonly #listeners = new Set<() => void>();
  readonly #abort = () => this.cancel();
  #state: SnapshotJob["state"] = "running";
  #progress: SnapshotProgress = { step: "", done: 0, total: null };
  #error: string | null = null;
  #isAborted = false;
  #isOver: Promise<void>;
  #end = () => {};
  #tell: (done: number | null) => void = () => {};

  constructor(machine: string, operation: string, snapshot: string, outer: LongOptions) {
    this.machine = machine;
    this.operation = operation;
    this.snapshot = snapshot;
    this.#outer = outer;
    this.#isOver = new Promise((resolve) => {
      this.#end = resolve;
    });
    outer.signal?.addEventListener("abort", this.#abort);
    if (outer.signal?.aborted === true) this.#isAborted = true;
  }

  get aborted(): boolean {
    return this.#isAborted;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Asks it to end; `over` settles when it has. */
  cancel(): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Settles when it has ended, however. */
  get over(): Promise<void> {
    return this.#isOver;
  }

  /** What the work is to be told: this job's progress and end, the caller's limit. */
  get options(): LongOptions {
    return {
      signal: this,
      bytesPerSecond: this.#outer.bytesPerSecond,
      onProgress: (progress) => {
        this.#progress = progress;
        this.#tell(progress.total === null ? null : progress.done / progress.total);
        this.#outer.onProgress?.(progress);
      },
    };
  }

  get state(): SnapshotJob {
    const { machine, operation, snapshot } = this;
    const { step, done, total } = this.#progress;
    const percent = total === null || total === 0 ? null : (100 * done) / total;
    const shown = this.#state === "done" ? 100 : percent;
    return {
      ...{ machine, operation, snapshot, step },
      state: this.#state,
      percent: shown,
      error: this.#error,
    };
  }

  /**
   * Does work as the machine's one long job: others that want to change the machine wait for it, or
   * are told. Throws "busy" and "aborted" as the desk does.
   */
  async atDesk<T>(desk: JobDesk, kind: JobKind, work: () => Promise<T>): Promise<T> {
    if (this.#outer.within !== undefined) return work();
    const place = await desk.begin(kind, this);
    this.#tell = (done) => {
      place.done = done;
    };
    const abort = () => this.cancel();
    place.signal.addEventListener("abort", abort);
    try {
      return await work();
    } finally {
      place.signal.removeEventListener("abort", abort);
      place.end();
    }
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  /** Does the work and keeps how it ended. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#state = "done";
      return result;
    } catch (error) {
      const isCancelled = this.#isAborted && error instanceof VmError && error.code === "aborted";
      this.#state = isCancelled ? "cancelled" : "failed";
      this.#error = isCancelled ? null : (error as Error).message;
      throw error;
    } finally {
      this.#outer.signal?.removeEventListener("abort", this.#abort);
      this.#end();
    }
  }
}

/** The operations of all machines. */
export class JobTable {
  /** The last of each machine, by its name. */
  readonly #last = new Map<string, Job>();
  readonly #running = new Map<Machine, Job>();

  /** Throws "busy" when one is under way for the machine. */
  checkFree(machine: Machine, operation: string): void {
    const job = this.#running.get(machine);
    if (job?.isRunning !== true) return;
    const what = `${job.operation} of ${job.snapshot} is under way`;
    const accepted = "wait for its end, or cancel it";
    throw new VmError("busy", `${operation}: ${machine.name}: ${what}; ${accepted}`);
  }

  /** Enters one. Throws "busy". */
  start(machine: Machine, operation: string, snapshot: string, options: LongOptions): Job {
    this.checkFree(machine, operation);
    const job = new Job(machine.name, operation, snapshot, options);
    this.#running.set(machine, job);
    this.#last.set(machine.name, job);
    return job;
  }

  /** The one under way for the machine. */
  of(machine: Machine): Job | null {
    const job = this.#running.get(machine);
    return job?.isRunning === true ? job : null;
  }

  /** The last of each machine, under way or over. */
  get all(): readonly Job[] {
    return [...this.#last.values()];
  }

  /** A machine is gone: what is under way for it ends. */
  forget(machine: Machine): void {
    this.#running.get(machine)?.cancel();
    this.#running.delete(machine);
  }
}
