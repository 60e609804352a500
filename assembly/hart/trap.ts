/**
 * Trap: entry into M or S by delegation, and the way back (MRET, SRET).
 *
 * Owns    the stacking of mstatus, xepc, xcause, xtval, and HART_PRIV.
 * Used by hart/run (every trap and interrupt), isa/system (the returns).
 * Holds   a trap never lowers the privilege; the LR reservation outlives traps and returns.
 */
import {
  CHANGED_CONTEXT,
  HART_MCAUSE,
  HART_MEDELEG,
  HART_MEPC,
  HART_MIDELEG,
  HART_MSTATUS,
  HART_MTVAL,
  HART_MTVEC,
  HART_PC,
  HART_PRIV,
  HART_SCAUSE,
  HART_SEPC,
  HART_STVAL,
  HART_STVEC,
  RUN,
} from "../layout";
import {
  changedMark,
  MSTATUS_MIE,
  MSTATUS_MPIE,
  MSTATUS_MPP,
  MSTATUS_MPP_SHIFT,
  MSTATUS_MPRV,
  MSTATUS_SIE,
  MSTATUS_SPIE,
  MSTATUS_SPP,
  MSTATUS_SPP_SHIFT,
  PRIV_M,
  PRIV_S,
  privGet,
} from "./state";

// Privileged 3.1.15, table of exception codes.
export const CAUSE_FETCH_MISALIGNED: u64 = 0;
export const CAUSE_FETCH_ACCESS: u64 = 1;
export const CAUSE_ILLEGAL: u64 = 2;
export const CAUSE_BREAKPOINT: u64 = 3;
export const CAUSE_LOAD_MISALIGNED: u64 = 4;
export const CAUSE_LOAD_ACCESS: u64 = 5;
export const CAUSE_STORE_MISALIGNED: u64 = 6;
export const CAUSE_STORE_ACCESS: u64 = 7;
export const CAUSE_ECALL_U: u64 = 8;
export const CAUSE_ECALL_S: u64 = 9;
export const CAUSE_ECALL_M: u64 = 11;
export const CAUSE_FETCH_PAGE: u64 = 12;
export const CAUSE_LOAD_PAGE: u64 = 13;
export const CAUSE_STORE_PAGE: u64 = 15;

/** Bit 63 of xcause. */
const CAUSE_INTERRUPT: u64 = 0x8000000000000000;

/** Where a trap lands. Privileged 3.1.7: only interrupts are spread, and only in mode 1. */
// @ts-ignore: decorator
@inline
function trapTarget(vector: u64, cause: u64, isInterrupt: bool): u64 {
  const base = vector & ~3;
  return isInterrupt && (vector & 3) == 1 ? base + (cause << 2) : base;
}

/**
 * Takes a trap at HART_PC: `cause` without the interrupt bit, `value` for xtval (0 for interrupts).
 * Sets HART_PC and HART_PRIV to the handler's.
 */
export function trapTake(cause: u64, value: u64, isInterrupt: bool): void {
  const priv = privGet();
  const pc = load<u64>(RUN, HART_PC);
  const code = isInterrupt ? cause | CAUSE_INTERRUPT : cause;
  const delegated = isInterrupt ? load<u64>(RUN, HART_MIDELEG) : load<u64>(RUN, HART_MEDELEG);
  let mstatus = load<u64>(RUN, HART_MSTATUS);
  // Privileged 3.1.8: a trap from M-mode is never delegated.
  if (priv < PRIV_M && ((delegated >> cause) & 1) != 0) {
    const stacked = (mstatus & MSTATUS_SIE) != 0 ? MSTATUS_SPIE : 0;
    mstatus &= ~(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP);
    mstatus |= stacked | ((<u64>priv) << MSTATUS_SPP_SHIFT);
    store<u64>(RUN, code, HART_SCAUSE);
    store<u64>(RUN, pc, HART_SEPC);
    store<u64>(RUN, value, HART_STVAL);
    store<u64>(RUN, trapTarget(load<u64>(RUN, HART_STVEC), cause, isInterrupt), HART_PC);
    store<u32>(RUN, PRIV_S, HART_PRIV);
  } else {
    const stacked = (mstatus & MSTATUS_MIE) != 0 ? MSTATUS_MPIE : 0;
    mstatus &= ~(MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP);
    mstatus |= stacked | ((<u64>priv) << MSTATUS_MPP_SHIFT);
    store<u64>(RUN, code, HART_MCAUSE);
    store<u64>(RUN, pc, HART_MEPC);
    store<u64>(RUN, value, HART_MTVAL);
    store<u64>(RUN, trapTarget(load<u64>(RUN, HART_MTVEC), cause, isInterrupt), HART_PC);
    store<u32>(RUN, PRIV_M, HART_PRIV);
  }
  store<u64>(RUN, mstatus, HART_MSTATUS);
  changedMark(CHANGED_CONTEXT);
}

/** MRET, legality already checked. Privileged 3.1.6.1 for the stack, 3.1.6.3 for MPRV. */
export function trapReturnMachine(): void {
  let mstatus = load<u64>(RUN, HART_MSTATUS);
  const priv = <u32>((mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
  const enable = (mstatus & MSTATUS_MPIE) != 0 ? MSTATUS_MIE : 0;
  mstatus &= ~(MSTATUS_MIE | MSTATUS_MPP);
  mstatus |= enable | MSTATUS_MPIE;
  if (priv != PRIV_M) mstatus &= ~MSTATUS_MPRV;
  store<u64>(RUN, mstatus, HART_MSTATUS);
  store<u32>(RUN, priv, HART_PRIV);
  store<u64>(RUN, load<u64>(RUN, HART_MEPC), HART_PC);
  changedMark(CHANGED_CONTEXT);
}

/** SRET, legality already checked. The target is S or U, so MPRV is always cleared. */
export function trapReturnSupervisor(): void {
  let mstatus = load<u64>(RUN, HART_MSTATUS);
  const priv = <u32>((mstatus & MSTATUS_SPP) >> MSTATUS_SPP_SHIFT);
  const enable = (mstatus & MSTATUS_SPIE) != 0 ? MSTATUS_SIE : 0;
  mstatus &= ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV);
  mstatus |= enable | MSTATUS_SPIE;
  store<u64>(RUN, mstatus, HART_MSTATUS);
  store<u32>(RUN, priv, HART_PRIV);
  store<u64>(RUN, load<u64>(RUN, HART_SEPC), HART_PC);
  changedMark(CHANGED_CONTEXT);
}
