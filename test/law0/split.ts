/**
 * split: runs a machine of the bare core to a number of slots, in one piece or in random pieces
 * with everything cached thrown away in between. Law 0 says that nobody can tell.
 *
 * Used by the suites of this folder.
 * Holds   what answers an exit depends on the machine's state alone.
 */
import {
  EXIT_BUDGET,
  EXIT_IDLE,
  EXIT_MEMORY,
  EXIT_MMIO,
  EXIT_PAGE,
  EXIT_TRAP_LOOP,
} from "../../assembly/layout.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { stateDigest } from "../../src/machine/digest.ts";
import type { Random } from "../helpers/random.ts";

/** What a run came to, beside its slots. */
export type End = "budget" | "idle" | "trap-loop";

/** Counts over runs, for coverage. */
export interface Tally {
  exits: number;
  idleJumps: number;
  runs: number;
}

/** How long the next call of the core is, and what happens behind it. */
export interface Cutter {
  next(left: number): number;
  between(machine: MachineView): void;
  /** Brings the page that the machine asks for; for those that take pages away. */
  bring?(machine: MachineView): void;
}

/** One call. */
export const WHOLE: Cutter = { next: (left) => left, between: () => {} };

/** Pieces of a few slots up to about `slots` in all / `pieces`, with flushes of every kind. */
export function randomCutter(random: Random, slots: number, pieces: number): Cutter {
  const most = Math.max(1, Math.floor((2 * slots) / pieces));
  return {
    next: (left) =>
      Math.min(left, random.chance(20) ? random.between(1, 5) : random.between(1, most)),
    between(machine) {
      const what = random.below(4);
      if (what !== 0) machine.flush(what);
      // a host may look at anything, and sync, without the guest knowing
      if (random.chance(10)) machine.sync();
    },
  };
}

/** Answers the exit. Null to go on. */
function serve(machine: MachineView, exit: number): End | null {
  if (exit === EXIT_BUDGET) return null;
  if (exit === EXIT_MMIO) {
    // every eighth address answers with an access fault
    const isOk = machine.exitAddress % 64 !== 0;
    machine.mmioDone(machine.exitAddress & 0xff, machine.slots & 0xffff, isOk);
    return null;
  }
  if (exit === EXIT_IDLE) {
    if (!Number.isFinite(machine.idleUntil)) return "idle";
    machine.idleJump(machine.idleUntil);
    return null;
  }
  if (exit === EXIT_TRAP_LOOP) return "trap-loop";
  throw new Error(exit === EXIT_MEMORY ? "the pool is empty" : `exit ${exit}`);
}

/** Runs until `target` slots are used, or until nothing can happen any more. */
export function runTo(machine: MachineView, target: number, cutter: Cutter, tally?: Tally): End {
  while (machine.slots < target) {
    const before = machine.slots;
    const exit = machine.run(cutter.next(target - before));
    if (tally !== undefined) {
      tally.runs++;
      if (exit !== EXIT_BUDGET) tally.exits++;
      if (exit === EXIT_IDLE) tally.idleJumps++;
    }
    if (exit === EXIT_PAGE && cutter.bring !== undefined) {
      cutter.bring(machine);
      continue;
    }
    const end = serve(machine, exit);
    if (end !== null) return end;
    cutter.between(machine);
  }
  return "budget";
}

/** Digest of everything that the bare core holds of a machine. */
export function digestOf(machine: MachineView): string {
  return stateDigest(machine, [], { entropyCounter: 0, alarmOf: () => null });
}
