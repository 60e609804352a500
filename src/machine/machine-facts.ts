/**
 * machine-facts: what a machine is told and tells: budgets, events, figures.
 *
 * Owns    the types only. Used by machine.ts and its callers.
 */
import type { CoreCounters } from "../core/machine-view.ts";
import type { DebugStop, MachineState, RunResult } from "./result.ts";
import type { ExitCounts } from "./runner.ts";

/**
 * How far to run: a number of instructions retired over all harts. Nothing means until something
 * ends it.
 */
export type RunBudget = number | { readonly instructions?: number };

/** What a machine tells. */
export interface MachineEvents {
  readonly state: { from: MachineState; to: MachineState; reason: string };
  /** Frames ran out (isShort) or are there again. */
  readonly memory: { isShort: boolean; framesFree: number };
  /** A page of a machine that was restored lazily cannot be had: it is paused, "io-error". */
  readonly pageError: { page: number; message: string };
  /** The guest asked for it, or somebody pressed the reset button. */
  readonly reboot: { count: number; cause: "guest" | "reset" };
  readonly end: RunResult;
  /** It goes away: this is the last event. */
  readonly disposed: undefined;
  /** The debugger's: the machine stands, and `debugger` can look at it. */
  readonly stop: DebugStop;
}

/** Figures about a machine. */
export interface MachineStats {
  /** Retired over all harts since it was created. */
  readonly instructions: number;
  /** Slots used: retired, trapped, or given up by waiting harts. */
  readonly slots: number;
  /** Machine time in ticks of 100 ns. */
  readonly ticks: number;
  readonly idleTicks: number;
  /**
   * Ticks of host time that a machine under the host's clock has not seen: a gap that it catches up
   * with, or how long it stands already.
   */
  readonly behindTicks: number;
  /** Frames of 4 KiB held, tables included. */
  readonly framesUsed: number;
  readonly reboots: number;
  /** Host milliseconds spent in slices. */
  readonly busyMs: number;
  readonly exits: Readonly<ExitCounts>;
  readonly core: CoreCounters;
}
