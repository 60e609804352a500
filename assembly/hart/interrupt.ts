/**
 * Interrupt: what is pending, what is taken now, what ends a WFI.
 *
 * Owns    nothing: mip is composed on demand from its sources.
 * Used by hart/run at the two kinds of sampling point, hart/csr (reads of mip and sip).
 * Holds   machine time is divided out of the slots only when an enabled timer could matter.
 *
 *   mip = MIP_SOFT (SSIP STIP SEIP) | MSIP (CLINT) | MTIP (time >= mtimecmp) | PLIC lines (MEIP
 *   SEIP)
 *         and with menvcfg.STCE, STIP is (time >= stimecmp) instead of the software bit
 */
import {
  HART_EXTERNAL,
  HART_MACHINE,
  HART_MENVCFG,
  HART_MIDELEG,
  HART_MIE,
  HART_MIP_SOFT,
  HART_MSIP,
  HART_MSTATUS,
  HART_MTIMECMP,
  HART_STIMECMP,
  RUN,
} from "../layout";
import {
  MENVCFG_STCE,
  MIP_MEIP,
  MIP_MSIP,
  MIP_MTIP,
  MIP_SEIP,
  MIP_SSIP,
  MIP_STIP,
  MSTATUS_MIE,
  MSTATUS_SIE,
  PRIV_M,
  PRIV_S,
  privGet,
  timeNowOf,
} from "./state";

/** Sstc: the comparator, not software, drives STIP. */
// @ts-ignore: decorator
@inline
export function stimecmpEnabled(hart: usize): bool {
  return (load<u64>(hart, HART_MENVCFG) & MENVCFG_STCE) != 0;
}

/**
 * The bits of a hart's mip that are set and in `mask`; sources outside the mask are not looked at.
 */
function mipOf(hart: usize, mask: u64): u64 {
  let mip = load<u64>(hart, HART_MIP_SOFT) | <u64>load<u32>(hart, HART_EXTERNAL);
  if ((load<u32>(hart, HART_MSIP) & 1) != 0) mip |= MIP_MSIP;
  if ((mask & (MIP_MTIP | MIP_STIP)) == 0) return mip & mask;
  const now = timeNowOf(<usize>load<u32>(hart, HART_MACHINE));
  if (now >= load<u64>(hart, HART_MTIMECMP)) mip |= MIP_MTIP;
  if (stimecmpEnabled(hart)) {
    mip &= ~MIP_STIP;
    if (now >= load<u64>(hart, HART_STIMECMP)) mip |= MIP_STIP;
  }
  return mip & mask;
}

/** The value of mip as the running hart reads it now. */
export function mipNow(): u64 {
  return mipOf(RUN, u64.MAX_VALUE);
}

/** Privileged 3.1.9: MEI, MSI, MTI, SEI, SSI, STI in decreasing priority. `pending` is not 0. */
function interruptHighest(pending: u64): i32 {
  if ((pending & MIP_MEIP) != 0) return 11;
  if ((pending & MIP_MSIP) != 0) return 3;
  if ((pending & MIP_MTIP) != 0) return 7;
  if ((pending & MIP_SEIP) != 0) return 9;
  if ((pending & MIP_SSIP) != 0) return 1;
  return 5;
}

/** Cause number of the interrupt that the running hart takes now, or -1. */
export function interruptPending(): i32 {
  const mie = load<u64>(RUN, HART_MIE);
  if (mie == 0) return -1;
  const priv = privGet();
  const mstatus = load<u64>(RUN, HART_MSTATUS);
  const mideleg = load<u64>(RUN, HART_MIDELEG);
  // Privileged 3.1.9: a mode below the target is always interruptible, one above it never.
  const toMachine = priv < PRIV_M || (mstatus & MSTATUS_MIE) != 0;
  const toSupervisor = priv < PRIV_S || (priv == PRIV_S && (mstatus & MSTATUS_SIE) != 0);
  let enabled: u64 = 0;
  if (toMachine) enabled = mie & ~mideleg;
  if (toSupervisor) enabled |= mie & mideleg;
  if (enabled == 0) return -1;
  const pending = mipOf(RUN, enabled);
  if (pending == 0) return -1;
  // Those that M-mode handles go first, whatever their number.
  const machine = pending & ~mideleg;
  return interruptHighest(machine != 0 ? machine : pending);
}

/**
 * True when a hart (RUN, or the block of one that is not running) must not wait in WFI: something
 * is pending that mie enables. Privileged 3.3.3: neither the global enables nor delegation have a
 * say.
 */
export function interruptWakesOf(hart: usize): bool {
  const mie = load<u64>(hart, HART_MIE);
  return mie != 0 && mipOf(hart, mie) != 0;
}

/** `interruptWakesOf` for the running hart. */
export function interruptWakes(): bool {
  return interruptWakesOf(RUN);
}

/**
 * Machine time of the earliest armed timer that would end a hart's WFI, or u64.MAX_VALUE for none.
 */
export function timerNextOf(hart: usize): u64 {
  const mie = load<u64>(hart, HART_MIE);
  let next = u64.MAX_VALUE;
  if ((mie & MIP_MTIP) != 0) next = load<u64>(hart, HART_MTIMECMP);
  if ((mie & MIP_STIP) != 0 && stimecmpEnabled(hart)) {
    const stimecmp = load<u64>(hart, HART_STIMECMP);
    if (stimecmp < next) next = stimecmp;
  }
  return next;
}

/** `timerNextOf` for the running hart. */
export function timerNext(): u64 {
  return timerNextOf(RUN);
}
