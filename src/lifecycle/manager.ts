/**
 * manager: the validated door to the lives of machines: every change of state is checked against
 * the table, asked of hooks, done by one caller at a time, and remembered.
 *
 * Owns    a record for each machine that it has seen, the hooks, the histories, the checkpoints.
 * Used by the shell and by every caller of the API that wants more than `machine.pause()`.
 * Holds   an operation is done wholly or not at all: what is refused, vetoed or fails leaves the
 *         machine as it was. Of callers that race one wins; the others are told, by a typed error,
 *         what the machine is and what it could become. Ending a machine is never kept waiting.
 */
import { VmError } from "../errors.ts";
import type { ForkOptions } from "../machine/fork.ts";
import type { Host } from "../machine/host.ts";
import type { JobKind, JobOperation } from "../machine/jobs.ts";
import type { Machine } from "../machine/machine.ts";
import { canGo, type MachineState, type RunResult, refuseState } from "../machine/result.ts";
import {
  type CheckpointFacts,
  type RestoreTarget,
  VmCheckpoint,
  VmRestoration,
} from "./checkpoint.ts";
import type {
  BackOptions,
  KeptState,
  LifeEvent,
  Operation,
  StateFacts,
  StateStore,
  TimePolicy,
  WorkOptions,
} from "./contract.ts";
import { frameStore } from "./frame-store.ts";
import { askReboot, type RebootOptions } from "./guest.ts";
import { LifeHistory } from "./history.ts";
import { HookTable } from "./hooks.ts";
import { MemoryStore } from "./memory-store.ts";
import { LifeRecord } from "./record.ts";

/** How a manager may be made. */
export interface LifecycleOptions {
  /** Where machines are suspended into; by default memory beside the arena. */
  readonly store?: StateStore;
  /** Lets a machine run that has no run under way; by default `machine.run()`. */
  readonly run?: (machine: Machine) => Promise<RunResult>;
  /** Events that are kept of each machine; default 256. */
  readonly historyMax?: number;
}

/** What `start` takes. */
export interface StartOptions {
  /** Stand before the first instruction. */
  readonly isPaused?: boolean;
}

/** What `suspend` takes. */
export interface SuspendOptions extends WorkOptions {
  readonly reason?: string;
  /** Other than the manager's. */
  readonly store?: StateStore;
}

/** What `resume` takes. */
export interface ResumeOptions extends WorkOptions {
  /** Of a suspended machine: it comes back paused. */
  readonly isPaused?: boolean;
  /** Of a suspended machine: whether its time catches up with the host's. Default "resume". */
  readonly clock?: TimePolicy;
}

/** What `checkpoint` takes. */
export interface CheckpointOptions extends WorkOptions {
  /** Default: "checkpoint-N". */
  readonly name?: string;
  /** Where it is kept; by default in frames, which is done at once. */
  readonly store?: StateStore;
}

/** States in which each operation makes sense. */
const FROM: Record<Operation, readonly MachineState[]> = {
  start: ["created", "terminated"],
  pause: ["running", "paused"],
  resume: ["running", "paused", "suspended"],
  suspend: ["running", "paused"],
  restore: ["created", "running", "paused", "terminated"],
  reset: ["running", "paused"],
  reboot: ["running", "paused"],
  fork: ["running", "paused"],
  checkpoint: ["running", "paused"],
  stop: ["running", "paused"],
  terminate: ["created", "running", "paused", "suspended", "migration-source", "migration-target"],
};

interface Step {
  readonly operation: Operation;
  /** The state that follows; null when it stays. */
  readonly to: MachineState | null;
  readonly reason?: string;
}

/** The lives of the machines of one host. */
export class VmLifecycleManager {
  readonly host: Host;
  readonly hooks: HookTable;
  /** Where machines are suspended into. */
  store: StateStore;
  readonly #history: LifeHistory;
  readonly #run: (machine: Machine) => Promise<RunResult>;
  readonly #records = new Map<Machine, LifeRecord>();
  readonly #checkpoints = new Set<VmCheckpoint>();
  #checkpointCount = 0;

  constructor(host: Host, options: LifecycleOptions = {}) {
    this.host = host;
    this.hooks = new HookTable(host.platform);
    this.store = options.store ?? new MemoryStore(host.platform);
    this.#history = new LifeHistory(options.historyMax);
    this.#run = options.run ?? ((machine) => machine.run());
  }

  // ---- looking ----

  /** Begins to keep the history of a machine. Every other call does so, too. */
  manage(machine: Machine): void {
    this.#record(machine);
  }

  #record(machine: Machine): LifeRecord {
    if (machine.isDisposed) throw new VmError("disposed", `${machine.name} is disposed`);
    const known = this.#records.get(machine);
    if (known !== undefined) return known;
    const record = new LifeRecord(machine, {
      history: this.#history,
      wallMs: () => this.host.platform.wallMs(),
      changed: (_, from, reason) => void this.#tell(machine, { from, operation: null, reason }),
      gone: ({ kept }) => {
        this.#records.delete(machine);
        void kept?.state.drop();
      },
    });
    this.#records.set(machine, record);
    return record;
  }

  /** What a machine is, since when, and what it could become. */
  state(machine: Machine): StateFacts {
    return this.#record(machine).facts;
  }

  /** What happened to the machine of that name, oldest first; of the last `historyMax` events. */
  history(machine: string): readonly LifeEvent[] {
    return this.#history.of(machine);
  }

  /** Calls `listener` with every event from now on; the returned function ends that. */
  onEvent(listener: (event: LifeEvent) => void): () => void {
    return this.#history.follow(listener);
  }

  /** Nothing is kept of a machine that is gone: its history, its checkpoints. */
  async forget(machine: string): Promise<void> {
    this.#history.forget(machine);
    for (const checkpoint of this.checkpoints(machine)) await checkpoint.release();
  }

  // ---- one operation ----

  /** Throws "bad-state" unless the operation is for that state, and its edge in the table. */
  #checkEdge(machine: Machine, { operation, to }: Step): void {
    const { name, state } = machine;
    // another incarnation begins as "created"
    const from = state === "terminated" ? "created" : state;
    const isFine = FROM[operation].includes(state) && (to === null || canGo(from, to));
    if (!isFine) throw refuseState(name, state, operation);
  }

  /** Claims the machine, asks the hooks, does the work, tells the hooks. */
  async #do<T>(machine: Machine, step: Step, work: () => Promise<T> | T): Promise<T> {
    const record = this.#record(machine);
    const { operation, reason = "user" } = step;
    const from = machine.state;
    const release = record.claim(operation);
    let result: T;
    try {
      this.#checkEdge(machine, step);
      await this.hooks.ask({ machine, operation, from, to: step.to ?? from, reason });
      // the guest ran on while they were asked
      if (machine.isDisposed) throw new VmError("disposed", `${machine.name} is disposed`);
      this.#checkEdge(machine, step);
      result = await work();
      if (machine.state === from) record.note("done", reason);
    } catch (error) {
      record.note("failed", (error as Error).message);
      throw error;
    } finally {
      release();
    }
    await this.#tell(machine, { from, operation, reason });
    return result;
  }

  async #tell(
    machine: Machine,
    {
      from,
      operation,
      reason,
    }: { from: MachineState; operation: Operation | null; reason: string },
  ): Promise<void> {
    const failures = await this.hooks.tell({ machine, operation, from, to: machine.state, reason });
    for (const failure of failures) this.#records.get(machine)?.note("hook", failure);
  }

  /** Does `work` as the one long job of the machine, when its turn has come. */
  async #asJob<T>(
    machine: Machine,
    step: Step & { readonly operation: JobKind & Operation },
    { signal, onProgress }: WorkOptions,
    work: (options: WorkOptions) => Promise<T>,
  ): Promise<T> {
    this.#record(machine);
    // what would be refused anyhow is told now, not after a wait
    this.#checkEdge(machine, step);
    const job = await machine.jobs.begin(step.operation, signal);
    const progress = (done: number) => {
      job.done = done;
      onProgress?.(done);
    };
    try {
      job.check();
      return await work({ signal: job.signal, onProgress: progress, job });
    } finally {
      job.end();
    }
  }

  #short(machine: Machine, operation: JobOperation & Operation): void {
    this.#record(machine);
    machine.jobs.check(operation);
  }

  /** A run is under way from now on, paused or not. How it ends is told by events. */
  #goOn(machine: Machine): void {
    if (machine.isDisposed || machine.hasRun) return;
    if (machine.state !== "running" && machine.state !== "paused") return;
    // a failure is an event and a state; nobody waits for this promise
    this.#run(machine).catch(() => {});
  }

  // ---- running ----

  /** Boots a machine that was created, or that is over, and lets it run. Throws as `boot` does. */
  async start(machine: Machine, options: StartOptions = {}): Promise<void> {
    const to = options.isPaused === true ? "paused" : "running";
    await this.#do(machine, { operation: "start", to }, async () => {
      await machine.boot();
      if (to === "paused") machine.pause("start");
      this.#goOn(machine);
    });
  }

  /** Machine time stands still until `resume`. */
  async pause(machine: Machine, reason = "user"): Promise<void> {
    this.#short(machine, "pause");
    // one that waits for memory would go on by itself
    const isWaiting = machine.state === "paused" && machine.reason === "memory";
    const to = isWaiting ? null : "paused";
    await this.#do(machine, { operation: "pause", to, reason }, () => machine.pause(reason));
  }

  /** A paused or suspended machine goes on; one that was suspended takes its memory as it comes. */
  async resume(machine: Machine, options: ResumeOptions = {}): Promise<void> {
    this.#short(machine, "resume");
    const { kept } = this.#record(machine);
    if (machine.state === "suspended" && kept !== null) return this.#awake(machine, options);
    // one that was stopped between two runs is running, and does not run
    const isStopped = machine.state === "running" && !machine.hasRun;
    const step = { operation: "resume", to: isStopped ? null : "running" } as const;
    await this.#do(machine, step, () => {
      if (machine.state === "paused") this.#unpause(machine);
      this.#goOn(machine);
    });
  }

  #unpause(machine: Machine): void {
    if (machine.reason === "memory") {
      const text = `${machine.name} waits for memory: it goes on when frames are free`;
      throw new VmError("bad-state", text);
    }
    machine.resume();
  }

  async #awake(machine: Machine, options: ResumeOptions): Promise<void> {
    const to = options.isPaused === true ? "paused" : "running";
    const record = this.#record(machine);
    await this.#do(machine, { operation: "resume", to }, async () => {
      const { kept } = record;
      if (kept === null) throw refuseState(machine.name, machine.state, "resume");
      const { clock, signal, onProgress } = options;
      await kept.state.awake(machine, to, { identity: "same", clock, signal, onProgress });
      record.kept = null;
      await kept.state.drop();
      this.#goOn(machine);
    });
  }

  /**
   * Puts the machine away: its state into the store, its frames back. Waits for a job that is under
   * way. Throws "aborted" when the signal ends it, "io"; then it goes on as it was.
   */
  async suspend(machine: Machine, options: SuspendOptions = {}): Promise<void> {
    const { reason = "user", store = this.store } = options;
    if (!store.isApart) {
      throw new VmError("bad-argument", `suspending into ${store.where} would give no frame back`);
    }
    const step = { operation: "suspend", to: "suspended", reason } as const;
    await this.#asJob(machine, step, options, (work) =>
      this.#do(machine, step, () => this.#putAway(machine, reason, store, work)),
    );
  }

  async #putAway(
    machine: Machine,
    reason: string,
    store: StateStore,
    work: WorkOptions,
  ): Promise<void> {
    const record = this.#record(machine);
    let isAway = false;
    try {
      await machine.suspend(async () => {
        const state = await store.keep(machine, { ...work, name: "suspended", isStill: true });
        record.kept = { state, where: store.where };
        if (work.signal?.aborted === true) {
          throw new VmError("aborted", `suspending ${machine.name} was cancelled`);
        }
      }, reason);
      isAway = true;
    } finally {
      if (!isAway) {
        const { kept } = record;
        record.kept = null;
        await kept?.state.drop();
      }
    }
  }

  // ---- beginning anew, and ending ----

  /** As by the reset button: everything is loaded again. The state stays. */
  async reset(machine: Machine): Promise<void> {
    this.#short(machine, "reset");
    await this.#do(machine, { operation: "reset", to: null }, () => machine.restart());
  }

  /** Asks the guest to begin anew; settles when it does. Throws as `machine.exec` does. */
  async reboot(machine: Machine, options: RebootOptions = {}): Promise<void> {
    this.#short(machine, "reboot");
    await this.#do(machine, { operation: "reboot", to: null }, () => {
      return askReboot(machine, this.host.platform, options);
    });
  }

  /** Asks the guest to switch itself off; settles when it has. Throws as `powerdown` does. */
  async stop(machine: Machine, options: RebootOptions = {}): Promise<RunResult> {
    return this.#do(machine, { operation: "stop", to: "terminated" }, () => {
      return machine.powerdown(options);
    });
  }

  /**
   * Ends this life of the machine at once, whatever is being done to it; a suspended state is
   * dropped. `start` begins another one.
   */
  async terminate(machine: Machine, reason = "destroyed"): Promise<void> {
    const record = this.#record(machine);
    await this.#do(machine, { operation: "terminate", to: "terminated", reason }, async () => {
      const { kept } = record;
      const wasAway = machine.state === "suspended";
      machine.jobs.cancel();
      machine.terminate(reason);
      if (!wasAway) return; // whoever puts it away takes that back
      record.kept = null;
      await kept?.state.drop();
    });
  }

  // ---- copies ----

  /** As `machine.fork`; the children run when this machine does. */
  async fork(machine: Machine, count = 1, options: ForkOptions = {}): Promise<Machine[]> {
    this.#short(machine, "fork");
    return this.#do(machine, { operation: "fork", to: null }, async () => {
      const children = await machine.fork(count, options);
      for (const child of children) {
        this.manage(child);
        this.#goOn(child);
      }
      return children;
    });
  }

  /** The checkpoints not yet released, of every machine or of the one so named, oldest first. */
  checkpoints(machine?: string): VmCheckpoint[] {
    const all = [...this.#checkpoints];
    return machine === undefined ? all : all.filter(({ facts }) => facts.machine === machine);
  }

  /** Keeps all that the machine is now; it runs on. */
  async checkpoint(machine: Machine, options: CheckpointOptions = {}): Promise<VmCheckpoint> {
    const { name = `checkpoint-${++this.#checkpointCount}`, store = frameStore } = options;
    if (this.checkpoints(machine.name).some((one) => one.name === name)) {
      throw new VmError("bad-argument", `${machine.name} has a checkpoint ${name} already`);
    }
    const step = { operation: "checkpoint", to: null, reason: name } as const;
    return this.#asJob(machine, step, options, async (work) => {
      // the machine is claimed for the moment itself; what is written behind keeps nobody
      const { facts, keeping } = await this.#do(machine, step, () => {
        return this.#beginKeeping(machine, name, store, work);
      });
      const state = await keeping.catch((error: unknown) => {
        this.#records.get(machine)?.note("failed", (error as Error).message);
        throw error;
      });
      const made = new VmCheckpoint(facts, state, (one) => this.#checkpoints.delete(one));
      this.#checkpoints.add(made);
      return made;
    });
  }

  #beginKeeping(
    machine: Machine,
    name: string,
    store: StateStore,
    work: WorkOptions,
  ): { facts: CheckpointFacts; keeping: Promise<KeptState> } {
    const { platform } = this.host;
    const { ticks, instructions } = machine.stats();
    const createdMs = platform.wallMs();
    const beganMs = platform.monotonicMs();
    const keeping = store.keep(machine, { ...work, name, isStill: false });
    keeping.catch(() => {}); // told when it is waited for
    const pauseMs = platform.monotonicMs() - beganMs;
    const { where } = store;
    const facts = { name, machine: machine.name, where, createdMs, ticks, instructions, pauseMs };
    return { facts, keeping };
  }

  /**
   * Goes back to a checkpoint: a machine becomes it and goes on as it was, or stands paused when it
   * was not running; or a new machine is made, paused, on this host or another. The checkpoint
   * stays.
   */
  async restore(checkpoint: VmCheckpoint, target: RestoreTarget): Promise<VmRestoration> {
    const { platform } = this.host;
    const beganMs = platform.monotonicMs();
    const { state } = checkpoint;
    if (target.into === undefined) {
      const machine = await state.make(target);
      if (target.host === this.host) this.manage(machine);
      const totalMs = platform.monotonicMs() - beganMs;
      return new VmRestoration(checkpoint, machine, true, totalMs);
    }
    const machine = target.into;
    await this.#restoreInto(checkpoint, machine, target);
    return new VmRestoration(checkpoint, machine, false, platform.monotonicMs() - beganMs);
  }

  async #restoreInto(
    checkpoint: VmCheckpoint,
    machine: Machine,
    options: BackOptions,
  ): Promise<void> {
    const isFresh = machine.state === "created" || machine.state === "terminated";
    const step = { operation: "restore", to: null, reason: checkpoint.name } as const;
    const { clock, identity = "same" } = options;
    const full = isFresh ? ({ ...step, to: "paused" } as const) : step;
    await this.#asJob(machine, full, options, (work) =>
      this.#do(machine, full, () => {
        return checkpoint.state.revert(machine, { ...work, clock, identity });
      }),
    );
  }

  /** Releases every checkpoint. Machines are left as they are. */
  async close(): Promise<void> {
    for (const checkpoint of this.checkpoints()) await checkpoint.release();
  }
}
