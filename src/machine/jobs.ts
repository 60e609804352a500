/**
 * jobs: long work about one machine: one piece at a time, and what may happen to the machine
 * meanwhile.
 *
 * Owns    the table job x operation; the job under way and those that wait.
 * Used by machine.ts, which has one desk; lifecycle/ and snapshot/, which work at it.
 * Holds   an operation is allowed, queued or refused by the table alone, and a refusal says why.
 */
import { VmError } from "../errors.ts";

/** Long work about a machine. */
export const JOB_KINDS = [
  "snapshot",
  "checkpoint",
  "suspend",
  "restore",
  "migration",
  "postcopy",
] as const;

/** One of JOB_KINDS. */
export type JobKind = (typeof JOB_KINDS)[number];

/** What can be asked for while a job is under way. Ending the machine always can: it ends it. */
export const JOB_OPERATIONS = [
  "pause",
  "resume",
  "reset",
  "reboot",
  "fork",
  "limits",
  ...JOB_KINDS,
] as const;

/** One of JOB_OPERATIONS. */
export type JobOperation = (typeof JOB_OPERATIONS)[number];

/** What becomes of an operation; "refused" with the reason. */
export type JobRule =
  | { readonly kind: "allowed" | "queued" }
  | { readonly kind: "refused"; readonly why: string };

const ALLOWED: JobRule = { kind: "allowed" };
const QUEUED: JobRule = { kind: "queued" };
const refused = (why: string): JobRule => ({ kind: "refused", why });

/** A snapshot has the pages it writes: the machine may do as it likes. */
const WHILE_WRITTEN: Record<JobOperation, JobRule> = {
  pause: ALLOWED,
  resume: ALLOWED,
  reset: ALLOWED,
  reboot: ALLOWED,
  fork: ALLOWED,
  limits: ALLOWED,
  snapshot: QUEUED,
  checkpoint: QUEUED,
  suspend: QUEUED,
  restore: QUEUED,
  migration: QUEUED,
  postcopy: QUEUED,
};

const LEAVING = refused("its state is just being put away");
const CHANGING = refused("it is just being made what it was");
const MOVING = refused("it moves to another host, which has part of it already");

const REMOTE = refused("some of its pages are still at the host that it came from");

/** Everything that is asked for during `kind`, but for what changes no state. */
function during(rule: JobRule): Record<JobOperation, JobRule> {
  const entries = JOB_OPERATIONS.map((operation) => [operation, rule] as const);
  return { ...(Object.fromEntries(entries) as Record<JobOperation, JobRule>), limits: ALLOWED };
}

const TABLE: Record<JobKind, Record<JobOperation, JobRule>> = {
  snapshot: WHILE_WRITTEN,
  checkpoint: WHILE_WRITTEN,
  // the guest stands still, and how it is to go on afterwards is settled
  suspend: during(LEAVING),
  restore: during(CHANGING),
  migration: {
    ...during(MOVING),
    pause: ALLOWED,
    resume: ALLOWED,
    snapshot: QUEUED,
    checkpoint: QUEUED,
    suspend: QUEUED,
  },
  postcopy: { ...during(REMOTE), pause: ALLOWED, resume: ALLOWED },
};

/** What becomes of an operation while a job is under way. */
export function jobRule(job: JobKind, operation: JobOperation): JobRule {
  return TABLE[job][operation];
}

/** The part of AbortSignal that a job needs; every host has it. */
export interface JobSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** How far a job has come. */
export interface JobFacts {
  readonly kind: JobKind;
  /** 0 to 1; null while it is not known. */
  readonly done: number | null;
  readonly isCancelled: boolean;
}

/** A job under way: end it. */
export class Job {
  readonly kind: JobKind;
  /** For who tells: 0 to 1. */
  done: number | null = null;
  readonly #onEnd: () => void;
  readonly #listeners = new Set<() => void>();
  #isCancelled = false;
  #isOver = false;

  /** For JobDesk. */
  constructor(kind: JobKind, onEnd: () => void) {
    this.kind = kind;
    this.#onEnd = onEnd;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /** Aborted by `desk.cancel`: whoever works looks at it, or listens. */
  get signal(): JobSignal {
    const isCancelled = () => this.#isCancelled;
    return {
      get aborted() {
        return isCancelled();
      },
      addEventListener: (_type, listener) => void this.#listeners.add(listener),
      removeEventListener: (_type, listener) => void this.#listeners.delete(listener),
    };
  }

  cancel(): void {
    if (this.#isCancelled || this.#isOver) return;
    this.#isCancelled = true;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Throws "aborted" once somebody has cancelled it. */
  check(): void {
    if (this.#isCancelled) throw new VmError("aborted", `the ${this.kind} was cancelled`);
  }

  /** Lets the next one begin. Once is enough; more does no harm. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
  }
}

/** The jobs of one machine. */
export class JobDesk {
  readonly #name: string;
  #job: Job | null = null;
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(name: string) {
    this.#name = name;
  }

  /** The job under way. */
  get current(): JobFacts | null {
    if (this.#job === null) return null;
    const { kind, done, isCancelled } = this.#job;
    return { kind, done, isCancelled };
  }

  /** Operations that wait for it. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** What becomes of an operation now. */
  rule(operation: JobOperation): JobRule {
    return this.#job === null ? ALLOWED : jobRule(this.#job.kind, operation);
  }

  /** Throws "busy", saying why, unless the operation is allowed now. */
  check(operation: JobOperation): void {
    const rule = this.rule(operation);
    if (rule.kind === "allowed") return;
    const why = rule.kind === "refused" ? rule.why : "that has to be over first";
    throw this.#refusal(operation, why);
  }

  #refusal(operation: JobOperation, why: string): VmError {
    const text = `${this.#name}: a ${this.#job?.kind} is under way: ${why}`;
    return new VmError("busy", `${text}; ${operation} is refused until then`);
  }

  /** Waits until the operation is allowed. Throws "busy" when it is refused, "aborted". */
  async admit(operation: JobOperation, signal?: JobSignal): Promise<void> {
    for (;;) {
      if (this.#isClosed) throw new VmError("disposed", `${this.#name} is disposed`);
      if (signal?.aborted === true) throw this.#aborted(operation);
      const rule = this.rule(operation);
      if (rule.kind === "allowed") return;
      if (rule.kind === "refused") throw this.#refusal(operation, rule.why);
      await this.#untilEnd(signal);
    }
  }

  #aborted(operation: JobOperation): VmError {
    return new VmError("aborted", `${this.#name}: ${operation} was taken back while it waited`);
  }

  /** In the order in which they came. */
  #untilEnd(signal?: JobSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        const index = this.#waiting.indexOf(settle);
        if (index >= 0) this.#waiting.splice(index, 1);
        signal?.removeEventListener("abort", settle);
        resolve();
      };
      this.#waiting.push(settle);
      signal?.addEventListener("abort", settle);
    });
  }

  /** Begins a job, waiting for its turn where the table says so. Throws as `admit` does. */
  async begin(kind: JobKind, signal?: JobSignal): Promise<Job> {
    // of several that waited one begins, and the others look at the table again
    do await this.admit(kind, signal);
    while (this.#job !== null);
    const onAbort = () => job.cancel();
    const job = new Job(kind, () => {
      signal?.removeEventListener("abort", onAbort);
      this.#job = null;
      this.#lookAgain();
    });
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) job.cancel(); // while it waited for its turn
    this.#job = job;
    return job;
  }

  /** Asks the job under way to give up; whether there was one. */
  cancel(): boolean {
    this.#job?.cancel();
    return this.#job !== null;
  }

  /** The machine goes away: the job is cancelled, and nobody waits any more. */
  close(): void {
    this.#isClosed = true;
    this.cancel();
    this.#lookAgain();
  }

  #lookAgain(): void {
    for (const look of [...this.#waiting]) look();
  }
}
