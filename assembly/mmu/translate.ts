/**
 * translate: virtual to guest physical, as a walk would do it now, and the TLB fills that follow.
 *
 * Owns    nothing; writes HART_PHYSICAL, HART_TRAP_CAUSE and HART_TRAP_VALUE.
 * Used by hart/slow.ts, hart/fetch.ts, machine.ts (debugger).
 * Holds   every page-table frame that a cached translation came from is marked with the epoch, has
 *         no write tag, and a store to it goes through memory/door.ts. Faults are never cached.
 */
import {
  HART_DATA_PRIV,
  HART_ID,
  HART_MENVCFG,
  HART_MSTATUS,
  HART_PHYSICAL,
  HART_PMP_ACTIVE,
  HART_REGIME,
  HART_SATP,
  HART_TRAP_CAUSE,
  HART_TRAP_VALUE,
  MACHINE_COUNT_FILLS,
  MACHINE_TOHOST,
  RUN,
  WATCH_READ,
  WATCH_WRITE,
} from "../layout";
import { ARENA, ARENA_EPOCH } from "../memory/arena";
import {
  FRAME_CHUNK,
  FRAME_STORES,
  FRAME_WALK_EPOCH,
  FRAME_WALK_REGION,
  WALK_MANY,
  chunkRelease,
  frameAddress,
  frameEntry,
} from "../memory/frames";
import { ABSENT, absentNote, ramPage, stage2Frame, stage2Own } from "../memory/stage2";
import { watchInPage, watchNote } from "../hart/break";
import { MENVCFG_ADUE } from "../hart/state";
import { pmpAllows, pmpPageUniform } from "./pmp";
import {
  REGIME_MACHINE,
  REGIME_SUM,
  instructionDropAll,
  tlbFillRead,
  tlbFillWrite,
  writeTagsDrop,
} from "./tlb";

export const ACCESS_LOAD: u32 = 0;
export const ACCESS_STORE: u32 = 1;
export const ACCESS_FETCH: u32 = 2;

/**
 * Outcomes beside 0 (done): a trap is described in HART_TRAP_*; the frame pool is empty; the page
 * in MACHINE_EXIT_PAGE is not here. The last two leave nothing done that doing it again would
 * change.
 */
export const TRANSLATE_TRAP: u32 = 1;
export const TRANSLATE_MEMORY: u32 = 2;
export const TRANSLATE_PAGE: u32 = 3;

const MSTATUS_SUM: u64 = 1 << 18;
const MSTATUS_MXR: u64 = 1 << 19;

const PTE_V: u64 = 1;
const PTE_R: u64 = 2;
const PTE_W: u64 = 4;
const PTE_X: u64 = 8;
const PTE_U: u64 = 16;
const PTE_A: u64 = 64;
const PTE_D: u64 = 128;
/** Bits 54-63: reserved, and without Svpbmt and Svnapot all must be 0 (Privileged 4.4.1). */
const PTE_RESERVED: u64 = 0xffc0000000000000;
const PTE_PPN: u64 = 0x003ffffffffffc00;

/** Records a fault: `kind` 0 page fault, 1 access fault. */
export function faultSet(access: u32, isAccessFault: bool, va: u64): u32 {
  let cause: u64 = access == ACCESS_LOAD ? 13 : access == ACCESS_STORE ? 15 : 12;
  if (isAccessFault) cause = access == ACCESS_LOAD ? 5 : access == ACCESS_STORE ? 7 : 1;
  store<u64>(RUN, cause, HART_TRAP_CAUSE);
  store<u64>(RUN, va, HART_TRAP_VALUE);
  return TRANSLATE_TRAP;
}

/**
 * Marks a frame that a walk reads for a translation about to be cached. `region` is va >> 21 for a
 * last-level table.
 */
function walkMark(frame: u32, region: u32): void {
  const entry = frameEntry(frame);
  const epoch = load<u32>(ARENA, ARENA_EPOCH);
  if (load<u32>(entry, FRAME_WALK_EPOCH) == epoch) {
    if (load<u32>(entry, FRAME_WALK_REGION) != region)
      store<u32>(entry, WALK_MANY, FRAME_WALK_REGION);
    return;
  }
  store<u32>(entry, epoch, FRAME_WALK_EPOCH);
  store<u32>(entry, region, FRAME_WALK_REGION);
  store<u32>(entry, 0, FRAME_STORES);
  writeTagsDrop(frame);
}

/** Leaf checks of Privileged 4.3.2 step 5 to 8, short of A and D. */
function leafAllows(pte: u64, access: u32, priv: u32, mstatus: u64): bool {
  if ((pte & PTE_U) != 0) {
    if (priv == 1 && (access == ACCESS_FETCH || (mstatus & MSTATUS_SUM) == 0)) return false;
  } else if (priv == 0) return false;
  if (access == ACCESS_FETCH) return (pte & PTE_X) != 0;
  if (access == ACCESS_STORE) return (pte & PTE_W) != 0;
  return (pte & PTE_R) != 0 || ((mstatus & MSTATUS_MXR) != 0 && (pte & PTE_X) != 0);
}

/**
 * Sets A (and D) in memory when the leaf lacks them. 0; TRANSLATE_TRAP when a page fault is due
 * (not described yet), access-fault cases never get here; or TRANSLATE_MEMORY.
 */
function accessedSet(machine: usize, at: u64, pte: u64, access: u32): u32 {
  const wanted = PTE_A | (access == ACCESS_STORE ? PTE_D : 0);
  if ((pte & wanted) == wanted) return 0;
  if ((load<u64>(RUN, HART_MENVCFG) & MENVCFG_ADUE) == 0) return TRANSLATE_TRAP; // Svade
  // it holds a valid entry, so it is here
  const frame = stage2Own(machine, ramPage(machine, at));
  if (frame == 0) return TRANSLATE_MEMORY;
  if (load<u32>(frameEntry(frame), FRAME_CHUNK) != 0) {
    // not frameChanging: the entry still maps the same page
    chunkRelease(frameEntry(frame));
    instructionDropAll();
  }
  store<u64>(frameAddress(frame) + <usize>(at & 0xfff), pte | wanted);
  return 0;
}

/**
 * Walks the tables for `va`. 0 with the address in HART_PHYSICAL, or TRANSLATE_*. `priv` is the
 * effective privilege. Privileged 4.3.2.
 */
export function walk(machine: usize, va: u64, access: u32, priv: u32): u32 {
  const satp = load<u64>(RUN, HART_SATP);
  const mode = <u32>(satp >> 60);
  if (priv == 3 || mode == 0) {
    store<u64>(RUN, va, HART_PHYSICAL);
    return 0;
  }
  const levels = mode - 5; // 8, 9, 10: 3, 4, 5 levels
  const unused = 64 - (12 + 9 * levels);
  if (<u64>(<i64>(va << unused) >> unused) != va) return faultSet(access, false, va);
  const mstatus = load<u64>(RUN, HART_MSTATUS);
  const checksPmp = load<u32>(RUN, HART_PMP_ACTIVE) != 0;
  let table = (satp & 0xfffffffffff) << 12;
  for (let level = <i32>levels - 1; level >= 0; level--) {
    const shift = <u64>(12 + 9 * level);
    const at = table + (((va >> shift) & 511) << 3);
    const page = ramPage(machine, at);
    if (page == u32.MAX_VALUE) return faultSet(access, true, va);
    // the implicit access is a read of S-mode (Privileged 3.7.2)
    if (checksPmp && !pmpAllows(at, 8, 1, 1)) return faultSet(access, true, va);
    const frame = stage2Frame(machine, page);
    if (frame == 0) return faultSet(access, false, va);
    if (frame == ABSENT) {
      absentNote(machine, page);
      return TRANSLATE_PAGE;
    }
    const pte = load<u64>(frameAddress(frame) + <usize>(at & 0xfff));
    if ((pte & PTE_V) == 0 || (pte & (PTE_R | PTE_W)) == PTE_W || (pte & PTE_RESERVED) != 0) {
      return faultSet(access, false, va);
    }
    walkMark(frame, level == 0 ? <u32>(va >> 21) : WALK_MANY);
    const next = (pte & PTE_PPN) << 2;
    if ((pte & (PTE_R | PTE_X)) == 0) {
      // reserved in a pointer
      if ((pte & (PTE_A | PTE_D | PTE_U)) != 0) return faultSet(access, false, va);
      table = next;
      continue;
    }
    const span = ((<u64>1) << shift) - 1;
    if (!leafAllows(pte, access, priv, mstatus) || (next & span) != 0)
      return faultSet(access, false, va);
    if (
      checksPmp &&
      (pte & (PTE_A | (access == ACCESS_STORE ? PTE_D : 0))) !=
        (PTE_A | (access == ACCESS_STORE ? PTE_D : 0)) &&
      (load<u64>(RUN, HART_MENVCFG) & MENVCFG_ADUE) != 0 &&
      !pmpAllows(at, 8, 2, 1)
    ) {
      return faultSet(access, true, va);
    }
    const outcome = accessedSet(machine, at, pte, access);
    if (outcome == TRANSLATE_TRAP) return faultSet(access, false, va);
    if (outcome != 0) return outcome;
    store<u64>(RUN, next | (va & span), HART_PHYSICAL);
    return 0;
  }
  return faultSet(access, false, va); // a pointer at the last level
}

/**
 * Translates a data access that does not cross a page, checks PMP, and fills the TLB when the page
 * is RAM with uniform rights. 0: HART_PHYSICAL is set (RAM or not). A store's page has a frame of
 * its own after 0, if it is RAM.
 */
export function translateData(machine: usize, va: u64, bytes: u32, access: u32): u32 {
  const kind = access == ACCESS_STORE ? WATCH_WRITE : WATCH_READ;
  const outcome = translateFill(machine, va, bytes, access, !watchInPage(machine, va, kind));
  if (outcome == 0) watchNote(machine, va, bytes, kind);
  return outcome;
}

/** `mayFill` is false when each access of the page is to be looked at. */
function translateFill(machine: usize, va: u64, bytes: u32, access: u32, mayFill: bool): u32 {
  const priv = load<u32>(RUN, HART_DATA_PRIV);
  const outcome = walk(machine, va, access, priv);
  if (outcome != 0) return outcome;
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const right: u32 = access == ACCESS_STORE ? 2 : 1;
  if (!pmpAllows(physical, bytes, right, priv)) return faultSet(access, true, va);
  const page = ramPage(machine, physical);
  if (page == u32.MAX_VALUE) return 0;
  const hart = load<u32>(RUN, HART_ID);
  const regime = load<u32>(RUN, HART_REGIME);
  const isUniform = load<u32>(RUN, HART_PMP_ACTIVE) == 0 || pmpPageUniform(physical);
  const isPlain = mayFill && isUniform;
  const isLoad = access == ACCESS_LOAD;
  const frame = isLoad ? stage2Frame(machine, page) : stage2Own(machine, page);
  if (frame == ABSENT) {
    absentNote(machine, page);
    return TRANSLATE_PAGE;
  }
  if (isLoad) {
    if (isPlain) {
      store<u64>(machine, load<u64>(machine, MACHINE_COUNT_FILLS) + 1, MACHINE_COUNT_FILLS);
      tlbFillRead(hart, regime, va, frame);
    }
    return 0;
  }
  if (frame == 0) return TRANSLATE_MEMORY;
  const entry = frameEntry(frame);
  if (
    isPlain &&
    load<u32>(entry, FRAME_CHUNK) == 0 &&
    load<u32>(entry, FRAME_WALK_EPOCH) != load<u32>(ARENA, ARENA_EPOCH) &&
    (load<u64>(machine, MACHINE_TOHOST) ^ physical) >> 12 != 0
  ) {
    store<u64>(machine, load<u64>(machine, MACHINE_COUNT_FILLS) + 1, MACHINE_COUNT_FILLS);
    tlbFillWrite(hart, regime, va, frame);
  }
  return 0;
}

/** Regime whose TLB serves data accesses of privilege `priv` under `mstatus`. */
export function regimeOf(priv: u32, mstatus: u64): u32 {
  if (priv == 3) return REGIME_MACHINE;
  return priv == 0 ? 0 : (mstatus & MSTATUS_SUM) != 0 ? REGIME_SUM : 1;
}
