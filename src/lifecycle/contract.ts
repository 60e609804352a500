/**
 * contract: what the lifecycle manager is told and tells, and what it needs of a place that keeps
 * the state of machines.
 *
 * Owns    the types only. Used by manager.ts and everything behind it, and by callers.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import type { Host } from "../machine/host.ts";
import type { Job, JobSignal } from "../machine/jobs.ts";
import type { Machine } from "../machine/machine.ts";
import type { MachineState } from "../machine/result.ts";

/** What can be done to a machine, as hooks and the history name it. */
export const OPERATIONS = [
  "start",
  "pause",
  "resume",
  "suspend",
  "restore",
  "reset",
  "reboot",
  "fork",
  "checkpoint",
  "stop",
  "terminate",
] as const;

/** One of OPERATIONS. */
export type Operation = (typeof OPERATIONS)[number];

/** What long work takes. */
export interface WorkOptions {
  /** Takes it back: it rejects with "aborted", and the machine is as it was. */
  readonly signal?: JobSignal;
  /** Hears how far it is: 0 to 1. */
  readonly onProgress?: (done: number) => void;
  /** For stores: the machine's job that this is the work of. */
  readonly job?: Job;
}

/** How time goes on in a machine that comes back: from where it was, or with the host's clock. */
export type TimePolicy = "resume" | "jump";

/** How a kept state becomes a machine again. */
export interface BackOptions extends WorkOptions {
  /** Default "resume". */
  readonly clock?: TimePolicy;
  /** "same": the very machine; "new": a copy, with random numbers of its own. */
  readonly identity?: "same" | "new";
}

/** What a new machine of a kept state is told. */
export interface MakeOptions extends BackOptions {
  /** The host that it is made on: this one, or another. */
  readonly host: Host;
  /** Default: the name of the machine that was kept. */
  readonly name?: string;
  /** By slot; those that are null, or not there, begin as the kept ones. */
  readonly disks?: readonly (BlockBackend | null)[];
}

/** All that a machine was at one moment, kept somewhere. */
export interface KeptState {
  /** What is held for it, in bytes; what is shared with others counts. */
  readonly bytes: number;
  /** The machine, suspended since then, goes on; pages come when they are touched. */
  awake(machine: Machine, to: "running" | "paused", options: BackOptions): Promise<void>;
  /** A machine of the same shape becomes it, disks included. */
  revert(machine: Machine, options: BackOptions): Promise<void>;
  /** A new machine, paused. */
  make(options: MakeOptions): Promise<Machine>;
  /** It is not wanted any more. Once is enough; more does no harm. */
  drop(): Promise<void>;
}

/** What a state is kept under. */
export interface KeepOptions extends WorkOptions {
  readonly name: string;
  /** The machine stands still until the state is kept. */
  readonly isStill: boolean;
}

/** A place that keeps states of machines: the arena, memory beside it, a snapshot store. */
export interface StateStore {
  /** For people: "frames", "memory", a folder. */
  readonly where: string;
  /** True when a kept state needs no frame of the arena: machines are suspended into such. */
  readonly isApart: boolean;
  /**
   * Keeps all that the machine is when it is called; settles when that is safe. Throws "aborted",
   * "io", "no-memory"; then nothing of it is left.
   */
  keep(machine: Machine, options: KeepOptions): Promise<KeptState>;
}

/** What an event in the life of a machine is. */
export const LIFE_KINDS = [
  /** Its state changed. */
  "state",
  /** The guest switched itself off. */
  "shutdown",
  /** The guest failed. */
  "crash",
  /** The guest, or a reset, began it anew. */
  "reboot",
  /** Frames ran out, or came back. */
  "memory",
  /** An operation that changes no state was done. */
  "done",
  /** An operation was refused, or failed. */
  "failed",
  /** A hook that was told of something failed. */
  "hook",
] as const;

/** One thing in the history of a machine. */
export interface LifeEvent {
  /** From 1, without gaps, over all machines of the manager. */
  readonly sequence: number;
  readonly machine: string;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Machine time in ticks of 100 ns. */
  readonly ticks: number;
  readonly instructions: number;
  /** Which life of the machine: 1 for the first. */
  readonly incarnation: number;
  readonly kind: (typeof LIFE_KINDS)[number];
  /** Of "state". */
  readonly from: MachineState | null;
  /** The state from then on. */
  readonly state: MachineState;
  /** What was asked for; null when nobody asked. */
  readonly operation: Operation | null;
  /** Why: "user", "memory", "poweroff, code 0"; the message of a failure. */
  readonly reason: string;
}

/** The state of a machine, and since when. */
export interface StateFacts {
  readonly machine: string;
  readonly state: MachineState;
  readonly reason: string;
  readonly incarnation: number;
  /** Machine time, instructions and wall time at which it came into that state. */
  readonly sinceTicks: number;
  readonly sinceInstructions: number;
  readonly sinceWallMs: number;
  /** What is being done to it. */
  readonly underWay: Operation | null;
  /** States that it could go to. */
  readonly accepted: readonly MachineState[];
  /** Where a suspended machine is, and how much is held for it. */
  readonly keptIn: string | null;
  readonly keptBytes: number;
}
