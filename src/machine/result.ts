/**
 * result: how a run can end, and the states a machine can be in.
 *
 * Owns    the table of states and edges, the only one.
 * Used by machine.ts and everyone who runs one.
 */
import type { StopCause, WatchEntry } from "../core/debug-view.ts";
import { VmError } from "../errors.ts";

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

/** States of a machine, in the order of its life. */
export const MACHINE_STATES = [
  "created",
  "running",
  "paused",
  "suspended",
  "migration-source",
  "migration-target",
  "terminated",
] as const;

/** One of MACHINE_STATES. */
export type MachineState = (typeof MACHINE_STATES)[number];

/**
 * Where each state may lead. A machine that is terminated stays so: booted or restored again, it is
 * another incarnation, which begins as "created". A reset or a reboot changes no state.
 */
const EDGES: Record<MachineState, readonly MachineState[]> = {
  created: ["running", "paused", "migration-target", "terminated"],
  running: ["paused", "suspended", "migration-source", "terminated"],
  paused: ["running", "suspended", "migration-source", "terminated"],
  // its state is in a store, its RAM holds nothing
  suspended: ["running", "paused", "terminated"],
  // taken back: whichever it came from
  "migration-source": ["running", "paused", "terminated"],
  "migration-target": ["running", "paused", "terminated"],
  terminated: [],
};

/** Where a machine may go from a state. */
export function statesAfter(from: MachineState): readonly MachineState[] {
  return EDGES[from];
}

/** True when a machine may go from one state to the other. */
export function canGo(from: MachineState, to: MachineState): boolean {
  return EDGES[from].includes(to);
}

/**
 * The error of a machine that cannot become `to`, or do `what`: says what it is, what it does just
 * now, and what it could become.
 */
export function refuseState(
  name: string,
  state: MachineState,
  what: string,
  underWay: string | null = null,
): VmError {
  const accepted = underWay === null ? statesAfter(state) : [];
  const refusal = { state, underWay, accepted };
  if (underWay !== null) {
    const text = `${name} is ${state}, and ${underWay} is under way`;
    return new VmError("busy", `${text}: ${what} has to wait for it`, { refusal });
  }
  const may = accepted.length === 0 ? "nothing: this incarnation is over" : accepted.join(", ");
  return new VmError("bad-state", `${name} is ${state}: ${what} is refused; it may become ${may}`, {
    refusal,
  });
}

/** Results after which the machine is over until it is booted again. */
export function isFinal(result: RunResult): boolean {
  return ["poweroff", "reboot", "failure", "trap-loop", "htif"].includes(result.kind);
}
