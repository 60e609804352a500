/**
 * amo: the A extension: LR, SC and the atomic read-modify-writes. One hart runs at a time, so each
 * is atomic as it is.
 *
 * Owns    HART_RESERVATION.
 * Used by hart/slow.ts.
 * Holds   the address is naturally aligned and in RAM, else a trap (Unprivileged 14.2, Privileged
 *         3.6.3).
 */
import {
  HART_PHYSICAL,
  HART_RESERVATION,
  HART_TRAP_CAUSE,
  HART_TRAP_VALUE,
  RUN,
  WATCH_READ,
} from "../layout";
import { watchForget, watchNote } from "../hart/break";
import { frameChanging } from "../memory/door";
import { frameAddress } from "../memory/frames";
import { ramPage, stage2Frame, stage2Read } from "../memory/stage2";
import { ACCESS_LOAD, ACCESS_STORE, faultSet, translateData } from "../mmu/translate";
import { regGet, regSet } from "../hart/state";
import { CAUSE_ILLEGAL, CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED } from "../hart/trap";
import { SLOW_NEXT, SLOW_TRAP, undone } from "../hart/outcome";

const NONE: u64 = 0xffffffffffffffff;

function trap(cause: u64, value: u64): u32 {
  store<u64>(RUN, cause, HART_TRAP_CAUSE);
  store<u64>(RUN, value, HART_TRAP_VALUE);
  return SLOW_TRAP;
}

function loadReserved(machine: usize, rd: u32, va: u64, bytes: u32): u32 {
  const outcome = translateData(machine, va, bytes, ACCESS_LOAD);
  if (outcome != 0) return undone(outcome);
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const page = ramPage(machine, physical);
  if (page == u32.MAX_VALUE) return faultSet(ACCESS_LOAD, true, va);
  const at = stage2Read(machine, page) + <usize>(physical & 0xfff);
  store<u64>(RUN, physical, HART_RESERVATION);
  regSet(rd, bytes == 8 ? load<u64>(at) : <u64>(<i64>load<i32>(at)));
  return SLOW_NEXT;
}

/**
 * Result of an operation on the old and the register's value, both sign-extended when they are
 * words.
 */
function combine(funct5: u32, old: u64, value: u64): u64 {
  switch (funct5) {
    case 0:
      return old + value;
    case 1:
      return value;
    case 4:
      return old ^ value;
    case 8:
      return old | value;
    case 12:
      return old & value;
    case 16:
      return <i64>old < <i64>value ? old : value;
    case 20:
      return <i64>old > <i64>value ? old : value;
    // sign extension keeps the unsigned order of words
    case 24:
      return old < value ? old : value;
    default:
      return old > value ? old : value;
  }
}

/** Executes an AMO-opcode instruction; `bits` is what goes to xtval when it is illegal. */
export function amoExecute(machine: usize, raw: u32, bits: u32): u32 {
  const width = (raw >> 12) & 7;
  const funct5 = raw >> 27;
  const rd = (raw >> 7) & 31;
  const rs2 = (raw >> 20) & 31;
  const isKnown = funct5 < 5 || ((funct5 & 3) == 0 && funct5 <= 28);
  if ((width != 2 && width != 3) || !isKnown || (funct5 == 2 && rs2 != 0))
    return trap(CAUSE_ILLEGAL, bits);
  const bytes: u32 = 1 << width;
  const va = regGet((raw >> 15) & 31);
  if ((<u32>va & (bytes - 1)) != 0)
    return trap(funct5 == 2 ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED, va);
  if (funct5 == 2) return loadReserved(machine, rd, va, bytes);
  // Without a reservation an SC is still a store to translation and PMP, as in Spike and Sail.
  const reservation = load<u64>(RUN, HART_RESERVATION);
  const outcome = translateData(machine, va, bytes, ACCESS_STORE);
  if (outcome != 0) return undone(outcome);
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const page = ramPage(machine, physical);
  if (page == u32.MAX_VALUE) return faultSet(ACCESS_STORE, true, va);
  const value = bytes == 4 ? <u64>(<i64>(<i32>regGet(rs2))) : regGet(rs2);
  if (funct5 == 3) {
    // an SC ends the reservation whether it succeeds or not
    store<u64>(RUN, NONE, HART_RESERVATION);
    if (reservation != physical) {
      watchForget(); // nothing is stored
      regSet(rd, 1);
      return SLOW_NEXT;
    }
  } else watchNote(machine, va, bytes, WATCH_READ);
  const frame = stage2Frame(machine, page);
  const at = frameAddress(frame) + <usize>(physical & 0xfff);
  const old = bytes == 8 ? load<u64>(at) : <u64>(<i64>load<i32>(at));
  const next = funct5 == 3 ? value : combine(funct5, old, value);
  frameChanging(machine, frame, <u32>physical & 0xfff, bytes);
  if (bytes == 8) store<u64>(at, next);
  else store<u32>(at, <u32>next);
  regSet(rd, funct5 == 3 ? 0 : old);
  return SLOW_NEXT;
}
