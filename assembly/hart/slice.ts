/**
 * slice: a turn of the running hart: the hot loop, and whatever it leaves with.
 *
 * Owns    the retired and slot counters, exact whenever slow code runs.
 * Used by machine/run.ts.
 * Holds   interrupts are looked at only after a CSR, xRET, WFI, MMIO or SBI instruction here, and
 *         at the start of a turn in machine/run.ts; never because a run began or ended.
 */
import {
  BARREN_MAX,
  CHANGED_FLUSH,
  EXIT_BREAK,
  EXIT_BUDGET,
  EXIT_HTIF,
  EXIT_MEMORY,
  EXIT_MMIO,
  EXIT_PAGE,
  EXIT_SBI,
  EXIT_TRAP_LOOP,
  HART_BARREN,
  HART_CHANGED,
  HART_CHUNK,
  HART_DATA_PRIV,
  HART_ID,
  HART_IP,
  HART_ITLB,
  HART_LIMIT,
  HART_MMIO_OP,
  HART_MMIO_RD,
  HART_MSTATUS,
  HART_MXR,
  HART_NEXT_PC,
  HART_PC,
  HART_PRIV,
  HART_QUANTUM_POSITION,
  HART_REGIME,
  HART_RETIRED,
  HART_SLOTS,
  HART_TLB,
  HART_TRAP_CAUSE,
  HART_TRAP_VALUE,
  HART_WAITING,
  MACHINE_COUNT_SLOW,
  MACHINE_COUNT_TRAPS,
  MACHINE_RETIRED,
  MACHINE_SLOTS,
  MACHINE_WORK_MAX,
  RUN,
} from "../layout";
import { ARENA, ARENA_WORK, SCRATCH_CHUNK, workAdd } from "../memory/arena";
import { TLB_REGIME, itlbOf, tlbDropHart, tlbOf } from "../mmu/tlb";
import { TRANSLATE_MEMORY, TRANSLATE_TRAP, faultSet, regimeOf } from "../mmu/translate";
import { breakHit, ebreakHit, watchForget, watchHit } from "./break";
import { bitsOf, fetch, fetchSingle, pcOf } from "./fetch";
import { interruptPending, interruptWakes } from "./interrupt";
import { OP_STRADDLE } from "./ops";
import { WHY_FETCH, WHY_LIMIT, interpret } from "./run";
import {
  SLOW_HTIF,
  SLOW_JUMP,
  SLOW_MEMORY,
  SLOW_MMIO,
  SLOW_NEXT,
  SLOW_PAGE,
  SLOW_SBI,
  SLOW_TRAP,
  SLOW_WFI,
} from "./outcome";
import { loadFinish, slowExecute } from "./slow";
import { trapTake } from "./trap";

/** The hart waits for an interrupt; beside EXIT_*. */
export const SLICE_WAIT: u32 = 100;
/** The run has done as much host work as it may; at least one slot was used. */
export const SLICE_LONG: u32 = 101;

/** Host work of an instruction that the hot loop leaves alone, beside what it drops or decodes. */
const SLOW_WORK: u32 = 64;
const MSTATUS_MPRV: u64 = 1 << 17;
const MSTATUS_MXR: u64 = 1 << 19;

/** Chooses the TLB arrays for the hart's privilege and mstatus. */
export function contextUpdate(machine: usize): void {
  const mstatus = load<u64>(RUN, HART_MSTATUS);
  const priv = load<u32>(RUN, HART_PRIV);
  const hart = load<u32>(RUN, HART_ID);
  let data = priv;
  if (priv == 3 && (mstatus & MSTATUS_MPRV) != 0) data = <u32>(mstatus >> 11) & 3;
  const mxr = <u32>((mstatus & MSTATUS_MXR) >> 19);
  if (mxr != load<u32>(RUN, HART_MXR)) {
    tlbDropHart(machine, hart);
    store<u32>(RUN, mxr, HART_MXR);
  }
  const regime = regimeOf(data, mstatus);
  store<u32>(RUN, data, HART_DATA_PRIV);
  store<u32>(RUN, regime, HART_REGIME);
  store<u32>(RUN, <u32>(tlbOf(hart) + <usize>regime * TLB_REGIME), HART_TLB);
  store<u32>(RUN, <u32>itlbOf(hart, priv), HART_ITLB);
}

function changedApply(machine: usize): void {
  const changed = load<u32>(RUN, HART_CHANGED);
  if (changed == 0) return;
  store<u32>(RUN, 0, HART_CHANGED);
  if ((changed & CHANGED_FLUSH) != 0) tlbDropHart(machine, load<u32>(RUN, HART_ID));
  contextUpdate(machine);
}

// @ts-ignore: decorator
@inline
function countUp(at: usize): void {
  store<u64>(at, load<u64>(at) + 1);
}

/** Counts `count` retired instructions. */
export function accountRetired(machine: usize, count: u32): void {
  if (count == 0) return;
  store<u64>(RUN, load<u64>(RUN, HART_RETIRED) + count, HART_RETIRED);
  store<u64>(RUN, load<u64>(RUN, HART_SLOTS) + count, HART_SLOTS);
  store<u32>(RUN, load<u32>(RUN, HART_QUANTUM_POSITION) + count, HART_QUANTUM_POSITION);
  store<u64>(machine, load<u64>(machine, MACHINE_SLOTS) + count, MACHINE_SLOTS);
  store<u64>(machine, load<u64>(machine, MACHINE_RETIRED) + count, MACHINE_RETIRED);
  store<u32>(RUN, 0, HART_BARREN);
}

/**
 * Takes the trap described in HART_TRAP_*: a slot is used, nothing retires. True when the hart only
 * traps.
 */
function trapped(machine: usize): bool {
  trapTake(load<u64>(RUN, HART_TRAP_CAUSE), load<u64>(RUN, HART_TRAP_VALUE), false);
  changedApply(machine);
  store<u64>(RUN, load<u64>(RUN, HART_SLOTS) + 1, HART_SLOTS);
  store<u32>(RUN, load<u32>(RUN, HART_QUANTUM_POSITION) + 1, HART_QUANTUM_POSITION);
  countUp(machine + MACHINE_SLOTS);
  countUp(machine + MACHINE_COUNT_TRAPS);
  const barren = load<u32>(RUN, HART_BARREN) + 1;
  store<u32>(RUN, barren, HART_BARREN);
  return barren >= <u32>BARREN_MAX;
}

/** Takes an interrupt if one is due now. */
export function sample(machine: usize): void {
  const cause = interruptPending();
  if (cause < 0) return;
  trapTake(<u64>cause, 0, true);
  countUp(machine + MACHINE_COUNT_TRAPS);
  changedApply(machine);
}

/** What follows a slow instruction that retired. Returns EXIT_BUDGET to go on. */
function retired(machine: usize, outcome: u32, nextPc: u64): u32 {
  if (outcome != SLOW_JUMP) store<u64>(RUN, nextPc, HART_PC);
  accountRetired(machine, 1);
  changedApply(machine);
  const isWatched = watchHit(machine);
  if (outcome == SLOW_HTIF) return EXIT_HTIF;
  if (outcome != SLOW_NEXT) {
    sample(machine);
    if (outcome == SLOW_WFI && load<u64>(RUN, HART_PC) == nextPc && !interruptWakes()) {
      store<u32>(RUN, 1, HART_WAITING);
      return SLICE_WAIT;
    }
  }
  return isWatched ? EXIT_BREAK : EXIT_BUDGET;
}

/** An instruction that is fetched by itself is in the scratch chunk: it may have a breakpoint. */
function singleHit(machine: usize, pc: u64): bool {
  return load<u32>(RUN, HART_CHUNK) == <u32>SCRATCH_CHUNK && breakHit(machine, pc);
}

/** The exit for an instruction that cannot be fetched yet. */
function notFetched(outcome: u32): u32 {
  return outcome == TRANSLATE_MEMORY ? EXIT_MEMORY : EXIT_PAGE;
}

/**
 * Runs the hart in RUN for at most `slots` slots. Returns EXIT_* or SLICE_WAIT; HART_PC is where it
 * goes on.
 */
export function sliceRun(machine: usize, slots: u32): u32 {
  // its last trap may have been an access that no device answered: sliceMmioDone cannot leave
  if (load<u32>(RUN, HART_BARREN) >= <u32>BARREN_MAX) return EXIT_TRAP_LOOP;
  const workMax = load<u32>(machine, MACHINE_WORK_MAX);
  let left = slots;
  let isReady = false;
  while (left != 0) {
    if (left != slots && load<u32>(ARENA, ARENA_WORK) > workMax) return SLICE_LONG;
    if (!isReady) {
      const outcome = fetch(machine);
      if (outcome > TRANSLATE_TRAP) return notFetched(outcome);
      if (outcome == TRANSLATE_TRAP) {
        left--;
        if (trapped(machine)) return EXIT_TRAP_LOOP;
        continue;
      }
    }
    if (!isReady && singleHit(machine, load<u64>(RUN, HART_PC))) return EXIT_BREAK;
    isReady = false;
    store<u32>(RUN, load<u32>(RUN, HART_IP) + (left << 3), HART_LIMIT);
    const why = interpret();
    const ip = <usize>load<u32>(RUN, HART_IP);
    const rest = (load<u32>(RUN, HART_LIMIT) - <u32>ip) >> 3;
    accountRetired(machine, left - rest);
    left = rest;
    if (why == WHY_FETCH) continue;
    const pc = pcOf(ip);
    store<u64>(RUN, pc, HART_PC);
    if (why == WHY_LIMIT) return EXIT_BUDGET;
    countUp(machine + MACHINE_COUNT_SLOW);
    workAdd(SLOW_WORK);
    if (load<u8>(ip) == OP_STRADDLE) {
      const fetched = fetchSingle(machine, pc);
      if (fetched > TRANSLATE_TRAP) return notFetched(fetched);
      if (fetched == 0) {
        isReady = true;
        if (breakHit(machine, pc)) return EXIT_BREAK;
        continue;
      }
      left--;
      if (trapped(machine)) return EXIT_TRAP_LOOP;
      continue;
    }
    const bits = bitsOf(ip);
    watchForget();
    const outcome = slowExecute(machine, bits);
    if (outcome == SLOW_SBI) return EXIT_SBI;
    if (outcome == SLOW_MMIO) return EXIT_MMIO;
    if (outcome == SLOW_MEMORY) return EXIT_MEMORY;
    if (outcome == SLOW_PAGE) return EXIT_PAGE;
    if (outcome == SLOW_TRAP && ebreakHit(machine)) return EXIT_BREAK;
    left--;
    if (outcome == SLOW_TRAP) {
      if (trapped(machine)) return EXIT_TRAP_LOOP;
      continue;
    }
    const after = retired(machine, outcome, pc + ((bits & 3) == 3 ? 4 : 2));
    if (after != EXIT_BUDGET) return after;
  }
  return EXIT_BUDGET;
}

/** Completes the MMIO instruction that left: `isOk` or an access fault. */
export function sliceMmioDone(machine: usize, value: u64, isOk: bool): void {
  const isStore = load<u32>(RUN, HART_MMIO_RD) != 0;
  if (!isOk) {
    faultSet(isStore ? 1 : 0, true, load<u64>(RUN, HART_TRAP_VALUE));
    trapped(machine);
    return;
  }
  if (!isStore) loadFinish(load<u32>(RUN, HART_MMIO_OP), value);
  store<u64>(RUN, load<u64>(RUN, HART_NEXT_PC), HART_PC);
  accountRetired(machine, 1);
  watchHit(machine);
  sample(machine);
}

/** Completes the SBI call that left; a0 and a1 are written already. */
export function sliceEcallDone(machine: usize): void {
  store<u64>(RUN, load<u64>(RUN, HART_PC) + 4, HART_PC);
  accountRetired(machine, 1);
  sample(machine);
}
