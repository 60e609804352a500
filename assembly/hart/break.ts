/**
 * break: where the debugger stops a hart: breakpoints, watchpoints, single steps, EBREAK.
 *
 * Owns    MACHINE_STOP*, HART_WATCH*, and the bits at ARENA_BREAK_OFFSETS.
 * Used by hart/decode.ts (which entries go the slow way), hart/slice.ts (stops), mmu/translate.ts
 *         (accesses), machine/run.ts (steps), machine.ts (tables).
 * Holds   law 0: a stop uses no slot and leaves no trace. Whoever has no debugger pays for a load
 *         here and there off the hot path, and for nothing on it.
 *
 *   breakpoint ──► decoded as OP_STRADDLE, by its offset in the page ──► pc compared with the table
 *   watchpoint ──► its pages get no tag of that kind ──► each access compared when it is translated
 */
import {
  FRAME_BYTES,
  HART_ID,
  HART_PC,
  HART_PASS_PC,
  HART_PASS_SLOTS,
  HART_SLOTS,
  HART_TRAP_CAUSE,
  HART_WATCH,
  HART_WATCH_ACCESS,
  HART_WATCH_ADDRESS,
  MACHINE_BREAKS,
  MACHINE_BREAK_TABLE,
  MACHINE_CATCH,
  MACHINE_HARTS,
  MACHINE_STEP,
  MACHINE_STOP,
  MACHINE_STOP_ACCESS,
  MACHINE_STOP_ADDRESS,
  MACHINE_STOP_HART,
  MACHINE_STOP_INDEX,
  MACHINE_WATCHES,
  MACHINE_WATCH_TABLE,
  RUN,
  STOP_BREAK,
  STOP_EBREAK,
  STOP_WATCH,
  WATCH_BYTES,
} from "../layout";
import {
  ARENA,
  ARENA_BREAKS,
  ARENA_BREAK_OFFSETS,
  ARENA_MACHINES_MAX,
  machineAt,
} from "../memory/arena";

/** One bit per halfword of a page. */
const OFFSETS_BYTES: usize = FRAME_BYTES / 16;
const CAUSE_BREAKPOINT: u64 = 3;

/** Says that the debugger is to look; a step under way is over. */
export function stopSet(machine: usize, cause: u32, hart: u32, address: u64): void {
  store<u32>(machine, cause, MACHINE_STOP);
  store<u32>(machine, hart, MACHINE_STOP_HART);
  store<u64>(machine, address, MACHINE_STOP_ADDRESS);
  store<u32>(machine, 0, MACHINE_STEP);
}

// ---- breakpoints ----

/**
 * Collects the page offsets of all machines' breakpoints: a chunk belongs to a frame, and any
 * machine may run it. The caller drops what is decoded.
 */
export function breaksCollect(): void {
  memory.fill(ARENA + ARENA_BREAK_OFFSETS, 0, OFFSETS_BYTES);
  let count: u32 = 0;
  const most = load<u32>(ARENA, ARENA_MACHINES_MAX);
  for (let index: u32 = 0; index < most; index++) {
    const machine = machineAt(index);
    const breaks = load<u32>(machine, MACHINE_HARTS) != 0 ? load<u32>(machine, MACHINE_BREAKS) : 0;
    for (let place: u32 = 0; place < breaks; place++) {
      const half = (<u32>load<u64>(breakAt(machine, place)) & 0xfff) >> 1;
      const at = ARENA + ARENA_BREAK_OFFSETS + <usize>(half >> 3);
      store<u8>(at, <u8>(<u32>load<u8>(at) | (<u32>1 << (half & 7))));
    }
    count += breaks;
  }
  store<u32>(ARENA, count, ARENA_BREAKS);
}

/** True when an instruction at this offset of its page may have a breakpoint. */
export function breakMayStand(offset: u32): bool {
  if (load<u32>(ARENA, ARENA_BREAKS) == 0) return false;
  const half = offset >> 1;
  const bits = <u32>load<u8>(ARENA + ARENA_BREAK_OFFSETS + <usize>(half >> 3));
  return ((bits >> (half & 7)) & 1) != 0;
}

// @ts-ignore: decorator
@inline
function breakAt(machine: usize, place: u32): usize {
  return machine + MACHINE_BREAK_TABLE + ((<usize>place) << 3);
}

/** The stop before the instruction at `pc` has been told, and nothing was executed since. */
function isPassed(pc: u64): bool {
  const isHere = load<u64>(RUN, HART_PASS_PC) == pc;
  return isHere && load<u64>(RUN, HART_PASS_SLOTS) == load<u64>(RUN, HART_SLOTS) + 1;
}

/** True when the running hart stops before the instruction at `pc`; the stop is set then. */
export function breakHit(machine: usize, pc: u64): bool {
  const breaks = load<u32>(machine, MACHINE_BREAKS);
  for (let place: u32 = 0; place < breaks; place++) {
    if (load<u64>(breakAt(machine, place)) != pc) continue;
    if (isPassed(pc)) return false;
    stopSet(machine, STOP_BREAK, load<u32>(RUN, HART_ID), pc);
    return true;
  }
  return false;
}

/** True when the trap described in HART_TRAP_* is an EBREAK that the debugger wants to see. */
export function ebreakHit(machine: usize): bool {
  if (load<u32>(machine, MACHINE_CATCH) == 0) return false;
  if (load<u64>(RUN, HART_TRAP_CAUSE) != CAUSE_BREAKPOINT) return false;
  const pc = load<u64>(RUN, HART_PC);
  if (isPassed(pc)) return false;
  stopSet(machine, STOP_EBREAK, load<u32>(RUN, HART_ID), pc);
  return true;
}

// ---- watchpoints ----

/** Place of a watchpoint of that kind that meets [first, last], or -1. */
function watchFind(machine: usize, first: u64, last: u64, kind: u32): i32 {
  const watches = load<u32>(machine, MACHINE_WATCHES);
  for (let place: u32 = 0; place < watches; place++) {
    const at = watchAt(machine, place);
    if ((load<u32>(at, 12) & kind) == 0) continue;
    const from = load<u64>(at);
    const to = from + <u64>(load<u32>(at, 8) - 1);
    if (from <= last && first <= to) return <i32>place;
  }
  return -1;
}

// @ts-ignore: decorator
@inline
function watchAt(machine: usize, place: u32): usize {
  return machine + MACHINE_WATCH_TABLE + <usize>place * WATCH_BYTES;
}

/** True when the page of `va` holds a byte that is watched for `kind` (WATCH_*). */
export function watchInPage(machine: usize, va: u64, kind: u32): bool {
  if (load<u32>(machine, MACHINE_WATCHES) == 0) return false;
  return watchFind(machine, va & ~0xfff, va | 0xfff, kind) >= 0;
}

/** Notes that the instruction under way accesses [va, va + bytes): its first watchpoint counts. */
export function watchNote(machine: usize, va: u64, bytes: u32, kind: u32): void {
  if (load<u32>(machine, MACHINE_WATCHES) == 0 || load<u32>(RUN, HART_WATCH) != 0) return;
  const place = watchFind(machine, va, va + <u64>(bytes - 1), kind);
  if (place < 0) return;
  const from = load<u64>(watchAt(machine, place));
  store<u32>(RUN, place + 1, HART_WATCH);
  store<u32>(RUN, kind, HART_WATCH_ACCESS);
  store<u64>(RUN, va > from ? va : from, HART_WATCH_ADDRESS);
}

/** An instruction begins, or has turned out to access nothing. */
export function watchForget(): void {
  store<u32>(RUN, 0, HART_WATCH);
}

/** The instruction under way has retired: true when it touched a watchpoint; the stop is set then. */
export function watchHit(machine: usize): bool {
  const place = load<u32>(RUN, HART_WATCH);
  if (place == 0) return false;
  watchForget();
  stopSet(machine, STOP_WATCH, load<u32>(RUN, HART_ID), load<u64>(RUN, HART_WATCH_ADDRESS));
  store<u32>(machine, load<u32>(RUN, HART_WATCH_ACCESS), MACHINE_STOP_ACCESS);
  store<u32>(machine, place - 1, MACHINE_STOP_INDEX);
  return true;
}
