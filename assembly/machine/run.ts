/**
 * run: a machine's turns: round-robin over its harts by a fixed quantum of slots, waiting harts
 * included.
 *
 * Owns    MACHINE_TURN, each hart's quantum position, and which hart is in RUN.
 * Used by machine.ts.
 * Holds   law 0: what happens depends on the state only, never on where a run began or ended. A
 *         turn is passed on, and interrupts are looked at, only with budget left, so that both
 *         belong to what follows.
 */
import {
  EXIT_BREAK,
  EXIT_BUDGET,
  EXIT_HTIF,
  EXIT_IDLE,
  HART_BYTES,
  HART_HSM,
  HART_PC,
  HART_QUANTUM_POSITION,
  HART_RESERVATION,
  HART_SLOTS,
  HART_WAITING,
  MACHINE_EXIT_HART,
  MACHINE_HARTS,
  MACHINE_HART_BLOCKS,
  MACHINE_HTIF_HALF,
  MACHINE_IDLE_UNTIL,
  MACHINE_QUANTUM,
  MACHINE_SLOTS,
  MACHINE_STEP,
  MACHINE_STEP_SLOTS,
  MACHINE_STOP,
  MACHINE_TURN,
  MACHINE_WORK_MAX,
  RUN,
  STOP_NONE,
  STOP_STEP,
} from "../layout";
import { stopSet } from "../hart/break";
import { interruptWakesOf, timerNextOf } from "../hart/interrupt";
import { SLICE_LONG, SLICE_WAIT, contextUpdate, sample, sliceRun } from "../hart/slice";
import { floatUpdate } from "../hart/slow";
import { ARENA, ARENA_WORK } from "../memory/arena";
import { slotTake } from "../mmu/tlb";

/** Address of a hart block. */
// @ts-ignore: decorator
@inline
export function hartAt(machine: usize, hart: u32): usize {
  return <usize>load<u32>(machine + ((<usize>hart) << 2), MACHINE_HART_BLOCKS);
}

/** Most slots at a time: the run loop keeps 8 bytes for each behind its entry, below 4 GiB. */
const SHARE_MAX: u32 = 1 << 26;

/** Brings a hart into RUN. */
export function hartEnter(machine: usize, hart: u32): void {
  memory.copy(RUN, hartAt(machine, hart), HART_BYTES);
  floatUpdate();
  contextUpdate(machine);
}

/** Puts RUN back into the hart's block. */
export function hartLeave(machine: usize, hart: u32): void {
  memory.copy(hartAt(machine, hart), RUN, HART_BYTES);
}

// @ts-ignore: decorator
@inline
function isWaiting(block: usize): bool {
  return load<u32>(block, HART_WAITING) != 0 || load<u32>(block, HART_HSM) != 0;
}

function allWait(machine: usize): bool {
  const harts = load<u32>(machine, MACHINE_HARTS);
  for (let hart: u32 = 0; hart < harts; hart++) {
    if (!isWaiting(hartAt(machine, hart))) return false;
  }
  return true;
}

/** Passes the turn on. Reservations do not survive it. */
function rotate(machine: usize, block: usize): void {
  store<u32>(block, 0, HART_QUANTUM_POSITION);
  store<u64>(block, u64.MAX_VALUE, HART_RESERVATION);
  const next = load<u32>(machine, MACHINE_TURN) + 1;
  store<u32>(machine, next == load<u32>(machine, MACHINE_HARTS) ? 0 : next, MACHINE_TURN);
}

/**
 * A turn has ended with half an HTIF command stored. True when every hart has had a turn since, so
 * that no other half is to come.
 */
function isHtifWhole(machine: usize): bool {
  const turns = load<u32>(machine, MACHINE_HTIF_HALF);
  if (turns == 0) return false;
  const isWhole = turns > load<u32>(machine, MACHINE_HARTS);
  store<u32>(machine, isWhole ? 0 : turns + 1, MACHINE_HTIF_HALF);
  return isWhole;
}

/**
 * All harts wait: gives the turn to the first one that has a reason to go on. False when none has.
 */
function wakeOne(machine: usize): bool {
  const harts = load<u32>(machine, MACHINE_HARTS);
  const turn = load<u32>(machine, MACHINE_TURN);
  let until = u64.MAX_VALUE;
  for (let step: u32 = 0; step < harts; step++) {
    const hart = (turn + step) % harts;
    const block = hartAt(machine, hart);
    if (load<u32>(block, HART_HSM) != 0) continue;
    if (interruptWakesOf(block)) {
      const old = hartAt(machine, turn);
      store<u32>(old, 0, HART_QUANTUM_POSITION);
      store<u64>(old, u64.MAX_VALUE, HART_RESERVATION);
      store<u32>(machine, hart, MACHINE_TURN);
      store<u32>(block, 0, HART_WAITING);
      return true;
    }
    const next = timerNextOf(block);
    if (next < until) until = next;
  }
  store<u64>(machine, until, MACHINE_IDLE_UNTIL);
  return false;
}

/** A hart that waits uses its slots without stepping. */
function waitSlots(machine: usize, block: usize, slots: u32, isStepping: bool): void {
  store<u32>(block, load<u32>(block, HART_QUANTUM_POSITION) + slots, HART_QUANTUM_POSITION);
  store<u64>(block, load<u64>(block, HART_SLOTS) + slots, HART_SLOTS);
  store<u64>(machine, load<u64>(machine, MACHINE_SLOTS) + slots, MACHINE_SLOTS);
  if (!isStepping) return;
  store<u64>(machine, load<u64>(machine, MACHINE_STEP_SLOTS) + slots, MACHINE_STEP_SLOTS);
}

/** True when the hart of MACHINE_STEP has executed something; the stop is set then. */
function isStepDone(machine: usize): bool {
  const step = load<u32>(machine, MACHINE_STEP);
  if (step == 0) return false;
  const block = hartAt(machine, step - 1);
  if (load<u64>(block, HART_SLOTS) == load<u64>(machine, MACHINE_STEP_SLOTS)) return false;
  stopSet(machine, STOP_STEP, step - 1, load<u64>(block, HART_PC));
  store<u32>(machine, step - 1, MACHINE_EXIT_HART);
  return true;
}

/**
 * Runs at most `slots` slots over all harts; returns EXIT_*. EXIT_BUDGET comes early when the run
 * has done as much host work as MACHINE_WORK_MAX allows; at least one slot is used even so.
 */
export function runMachine(machine: usize, slots: u32): u32 {
  slotTake(machine);
  store<u32>(ARENA, 0, ARENA_WORK);
  store<u32>(machine, STOP_NONE, MACHINE_STOP);
  const workMax = load<u32>(machine, MACHINE_WORK_MAX);
  const quantum = load<u32>(machine, MACHINE_QUANTUM);
  const end = load<u64>(machine, MACHINE_SLOTS) + slots;
  for (;;) {
    if (isStepDone(machine)) return EXIT_BREAK;
    const left = <u32>(end - load<u64>(machine, MACHINE_SLOTS));
    if (left == 0) return EXIT_BUDGET;
    if (load<u32>(ARENA, ARENA_WORK) > workMax) return EXIT_BUDGET;
    const turn = load<u32>(machine, MACHINE_TURN);
    const block = hartAt(machine, turn);
    const position = load<u32>(block, HART_QUANTUM_POSITION);
    if (position >= quantum) {
      rotate(machine, block);
      if (isHtifWhole(machine)) return EXIT_HTIF;
      continue;
    }
    const share = min<u32>(min<u32>(left, quantum - position), SHARE_MAX);
    const isStepping = load<u32>(machine, MACHINE_STEP) == turn + 1;
    if (isWaiting(block)) {
      if (allWait(machine)) {
        if (wakeOne(machine)) continue;
        if (load<u32>(machine, MACHINE_HTIF_HALF) == 0) return EXIT_IDLE;
        store<u32>(machine, 0, MACHINE_HTIF_HALF);
        return EXIT_HTIF;
      }
      if (position == 0 && load<u32>(block, HART_HSM) == 0 && interruptWakesOf(block)) {
        store<u32>(block, 0, HART_WAITING);
        continue;
      }
      waitSlots(machine, block, share, isStepping);
      continue;
    }
    hartEnter(machine, turn);
    if (position == 0) sample(machine);
    const why = sliceRun(machine, isStepping ? 1 : share);
    hartLeave(machine, turn);
    if (why == EXIT_BUDGET || why == SLICE_WAIT || why == SLICE_LONG) continue;
    store<u32>(machine, turn, MACHINE_EXIT_HART);
    return why;
  }
}
