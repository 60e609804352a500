/**
 * contract: what a migration is asked for, says of itself, and ends with.
 *
 * Owns    the types only.
 * Used by every file of this room, the shell and programs.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import type { MachineShapeFacts } from "../machine/capture.ts";
import type { Machine } from "../machine/machine.ts";
import type { DISK_WAYS } from "./messages.ts";

/** Phases of a session, on each side. */
export const PHASES = [
  "init",
  "copy-memory",
  "copy-device-state",
  "transfer-active",
  "resume-target",
  "cleanup",
] as const;

/** One of PHASES. */
export type Phase = (typeof PHASES)[number];

/** How a session stands, in QEMU's words where it has one. */
export const STATUSES = [
  "setup",
  "active",
  "device",
  "postcopy-active",
  "postcopy-paused",
  "in-doubt",
  "completed",
  "cancelled",
  "failed",
] as const;

/** One of STATUSES. */
export type Status = (typeof STATUSES)[number];

/** What is done about a guest that changes memory faster than the link takes it. */
export const POLICIES = ["throttle", "postcopy", "cancel", "force"] as const;

/** One of POLICIES. */
export type Policy = (typeof POLICIES)[number];

/** How a disk comes along. */
export type DiskWay = (typeof DISK_WAYS)[number];

/** What `start` may be told. */
export interface MigrateOptions {
  /** Name of the machine at the target; by default its own. */
  readonly name?: string;
  /** The guest stands still for no longer; by default 300. */
  readonly downtimeLimitMs?: number;
  /** Bytes per second on the link; null (default) for no limit. */
  readonly bandwidth?: number | null;
  /** When it has not converged after `timeoutMs`: default "throttle", which begins earlier. */
  readonly policy?: Policy;
  /** Milliseconds after which the policy is applied; by default 30 000. */
  readonly timeoutMs?: number;
  /** How disks come along: one way for all, or by slot. Default "carried". */
  readonly disks?: DiskWay | readonly DiskWay[];
  /** Aborting it cancels the migration: the machine stays here. */
  readonly signal?: MigrationSignal;
}

/** As AbortSignal, which hosts without DOM types do not name. */
export interface MigrationSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Figures of a session, in QEMU's terms: times in ms, RAM in bytes unless they say pages. */
export interface MigrationProgress {
  readonly status: Status;
  readonly phase: Phase;
  /** Since it began. */
  readonly totalMs: number;
  /** Until the first page was sent. */
  readonly setupMs: number;
  /** What the guest stood still for; of a switch-over that is under way, so far. */
  readonly downtimeMs: number | null;
  /** What it would stand still for if it were switched over now; null before that is known. */
  readonly expectedDowntimeMs: number | null;
  readonly ram: {
    readonly transferred: number;
    readonly remaining: number;
    readonly total: number;
    /** Pages that were sent as zeros, or that the target had. */
    readonly duplicate: number;
    /** Pages that were sent in whatever form. */
    readonly normal: number;
    readonly dirtyPagesRate: number;
    /** Rounds. */
    readonly dirtySyncCount: number;
    /** Of the link, 10^6 bits per second. */
    readonly mbps: number;
    readonly pageBytes: number;
    /** Pages sent as deltas; compressed. */
    readonly delta: number;
    readonly lz4: number;
    /** Under post-copy: times that the guest had to wait for a page. */
    readonly postcopyRequests: number;
  };
  readonly disk: { readonly transferred: number };
  /** What the guest is kept from, per cent; 0 when it runs freely. */
  readonly throttlePercent: number;
  /** Switch-overs that were abandoned, and what each of them paused the guest for. */
  readonly abandoned: readonly number[];
}

/** Where the machine is when a session has ended. */
export type MigrationResult =
  | { readonly kind: "completed"; readonly machine: "at-target" }
  /** Somebody asked for it; or, with a reason, the guest ended meanwhile. */
  | { readonly kind: "cancelled"; readonly machine: "at-source"; readonly reason: string }
  | { readonly kind: "failed"; readonly machine: "at-source"; readonly reason: string }
  /** The target said no, before anything was sent. */
  | { readonly kind: "refused"; readonly machine: "at-source"; readonly reason: string }
  /** The target had lost it after the commit, before it ran: it goes on here. */
  | { readonly kind: "taken-back"; readonly machine: "at-source"; readonly reason: string }
  /** Whoever had it is gone: its process was killed, or somebody ended the machine. */
  | { readonly kind: "lost"; readonly machine: "nowhere"; readonly reason: string };

/** When a phase began, since the session did. */
export interface PhaseMark {
  readonly phase: Phase;
  readonly ms: number;
}

/** One end of a migration. */
export interface MigrationSession {
  /** 32 hexadecimal digits, the same at both ends. */
  readonly id: string;
  readonly side: "source" | "target";
  /** Of the machine. */
  readonly name: string;
  /** The other end. */
  readonly peer: string;
  readonly phase: Phase;
  readonly status: Status;
  /** Null at a target before INIT, and when it is over there without one. */
  readonly machine: Machine | null;
  readonly progress: MigrationProgress;
  readonly timeline: readonly PhaseMark[];
  /** Settles when it has ended; never rejects. */
  readonly ended: Promise<MigrationResult>;
  /** Null until it has ended. */
  readonly result: MigrationResult | null;
  /** The figures at once, then every `everyMs`, then once more when it has ended. */
  updates(everyMs?: number): AsyncIterable<MigrationProgress>;
  /** Gives it up, unless it is committed: then it throws "bad-state". */
  cancel(reason?: string): void;
}

/** A machine that is about to arrive. */
export interface Arrival {
  /** Of the session that brings it. */
  readonly session: string;
  readonly name: string;
  readonly shape: MachineShapeFacts;
  readonly disks: readonly { readonly way: DiskWay; readonly name: string }[];
  readonly peer: string;
}

/** What a target has for a machine that arrives. */
export interface ArrivalParts {
  /**
   * By slot. A shared one is opened after the source has let go of it: give a backend that opens
   * when it is first used. A carried one takes every block; null: it is kept in memory.
   */
  readonly disks?: readonly (BlockBackend | null)[];
  /** By default the one it comes with. */
  readonly name?: string;
  /** Its console; by default as `host.createMachine` has it. */
  readonly consoleInput?: "open" | "closed";
  /** Called once when it does not come after all; its disks are closed by then. */
  readonly discarded?: () => void;
}
