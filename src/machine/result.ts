/**
 * result: how a run can end, and the states a machine can be in.
 *
 * Owns    the table of states and edges (DESIGN.md section 7 has the whole one; migration and
 *         suspension add rows).
 * Used by machine.ts and everyone who runs one.
 */
import type { StopCause, WatchEntry } from "../core/debug-view.ts";

/** Where the debugger stopped a machine; it stands between two instructions. */
export interface DebugStop {
  readonly cause: StopCause;
  /** The hart that stopped; the others stand where their turns have left them. */
  readonly hart: number;
  /** Where that hart goes on. */
  readonly pc: bigint;
  /** The breakpoint, the first watched byte that was accessed, or pc. */
  readonly address: bigint;
  /** Of a watchpoint: which one, and how it was accessed by the instruction that has retired. */
  readonly watchpoint?: WatchEntry;
  readonly access?: "read" | "write";
}

/** Why `run` returned. */
export type RunResult =
  /** The budget is spent. */
  | { readonly kind: "budget" }
  /** Every hart waits, nothing is armed that would end that, and no input can come. */
  | { readonly kind: "idle" }
  /** The guest switched the machine off. */
  | { readonly kind: "poweroff"; readonly code: number }
  /** The guest asked for a reboot and the machine was told not to do it. */
  | { readonly kind: "reboot" }
  /** The guest reported a failure. */
  | { readonly kind: "failure"; readonly code: number }
  /** The frame pool is empty and no other machine could give frames back. */
  | { readonly kind: "memory" }
  /** A hart does nothing but trap. */
  | { readonly kind: "trap-loop"; readonly hart: number; readonly pc: bigint }
  /** The program stored its exit code in tohost. */
  | { readonly kind: "htif"; readonly code: number }
  /** The debugger's stop: a breakpoint, a watchpoint, the end of a step. The next run goes on. */
  | ({ readonly kind: "break" } & DebugStop)
  /** The caller stopped the run, or disposed of the machine. */
  | { readonly kind: "stopped" };

/** States of a machine. */
export type MachineState = "created" | "running" | "paused" | "terminated";

const EDGES: Record<MachineState, readonly MachineState[]> = {
  created: ["running", "paused", "terminated"],
  running: ["paused", "terminated"],
  paused: ["running", "terminated"],
  // a new incarnation of the same configuration
  terminated: ["running", "paused"],
};

/** True when a machine may go from one state to the other. */
export function canGo(from: MachineState, to: MachineState): boolean {
  return EDGES[from].includes(to);
}

/** Results after which the machine is over until it is booted again. */
export function isFinal(result: RunResult): boolean {
  return ["poweroff", "reboot", "failure", "trap-loop", "htif"].includes(result.kind);
}
