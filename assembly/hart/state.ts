/**
 * State: accessors of the running hart (the RUN block), the bits of mstatus, mip and menvcfg,
 * machine time, and reset.
 *
 * Owns    nothing but the block handed to `hartReset`.
 * Used by every file of hart/, mmu/ and isa/ that touches a register.
 * Holds   x0 is 0 at all times: `regSet` drops a write to it.
 *
 *   mstatus 63 SD (derived, never stored) | 35-34 SXL | 33-32 UXL | 22 TSR | 21 TW | 20 TVM | 19
 *   MXR
 *            18 SUM | 17 MPRV | 14-13 FS | 12-11 MPP | 8 SPP | 7 MPIE | 5 SPIE | 3 MIE | 1 SIE
 */
import {
  CHANGED_CONTEXT,
  CHANGED_FLUSH,
  HART_BYTES,
  HART_CHANGED,
  HART_ID,
  HART_MACHINE,
  HART_MSTATUS,
  HART_MTIMECMP,
  HART_PC,
  HART_PMP_ACTIVE,
  HART_PRIV,
  HART_RESERVATION,
  HART_STIMECMP,
  HART_X,
  MACHINE_CLOCK,
  MACHINE_HARTS,
  MACHINE_HOST_RATE,
  MACHINE_HOST_SLOTS,
  MACHINE_HOST_SPAN,
  MACHINE_HOST_TICKS,
  MACHINE_IDLE_TICKS,
  MACHINE_SLOTS,
  RUN,
} from "../layout";

export const PRIV_U: u32 = 0;
export const PRIV_S: u32 = 1;
export const PRIV_M: u32 = 3;

// Privileged 3.1.6: fields of mstatus.
export const MSTATUS_SIE: u64 = 0x2;
export const MSTATUS_MIE: u64 = 0x8;
export const MSTATUS_SPIE: u64 = 0x20;
export const MSTATUS_MPIE: u64 = 0x80;
export const MSTATUS_SPP: u64 = 0x100;
export const MSTATUS_MPP: u64 = 0x1800;
export const MSTATUS_FS: u64 = 0x6000;
export const MSTATUS_MPRV: u64 = 0x20000;
export const MSTATUS_SUM: u64 = 0x40000;
export const MSTATUS_MXR: u64 = 0x80000;
export const MSTATUS_TVM: u64 = 0x100000;
export const MSTATUS_TW: u64 = 0x200000;
export const MSTATUS_TSR: u64 = 0x400000;
/** UXL = SXL = 2: every mode is 64 bits wide, read-only. */
export const MSTATUS_XL64: u64 = 0xa00000000;
export const MSTATUS_UXL: u64 = 0x300000000;
export const MSTATUS_SD: u64 = 0x8000000000000000;
export const MSTATUS_SPP_SHIFT: u64 = 8;
export const MSTATUS_MPP_SHIFT: u64 = 11;

// Privileged 3.1.9: bits of mip and mie.
export const MIP_SSIP: u64 = 0x2;
export const MIP_MSIP: u64 = 0x8;
export const MIP_STIP: u64 = 0x20;
export const MIP_MTIP: u64 = 0x80;
export const MIP_SEIP: u64 = 0x200;
export const MIP_MEIP: u64 = 0x800;

// Privileged 3.1.18: bits of menvcfg.
export const MENVCFG_FIOM: u64 = 0x1;
export const MENVCFG_CBZE: u64 = 0x80;
export const MENVCFG_ADUE: u64 = 0x2000000000000000;
export const MENVCFG_STCE: u64 = 0x8000000000000000;

/** Reset vector of the virt map: the mask ROM. */
const RESET_PC: u64 = 0x1000;

/** Integer register `index` (0-31). */
// @ts-ignore: decorator
@inline
export function regGet(index: u32): u64 {
  return load<u64>(<usize>index << 3, RUN + HART_X);
}

/** Sets integer register `index` (0-31); x0 stays 0. */
// @ts-ignore: decorator
@inline
export function regSet(index: u32, value: u64): void {
  if (index != 0) store<u64>(<usize>index << 3, value, RUN + HART_X);
}

/** Privilege of the running hart: PRIV_U, PRIV_S or PRIV_M. */
// @ts-ignore: decorator
@inline
export function privGet(): u32 {
  return load<u32>(RUN, HART_PRIV);
}

/**
 * Tells the run loop what an instruction changed: CHANGED_* bits, accumulated until the loop takes
 * them.
 */
// @ts-ignore: decorator
@inline
export function changedMark(bits: u32): void {
  store<u32>(RUN, load<u32>(RUN, HART_CHANGED) | bits, HART_CHANGED);
}

/** Changed translation as a whole: choose the TLB again and drop what it holds. */
// @ts-ignore: decorator
@inline
export function changedMarkFlush(): void {
  changedMark(CHANGED_CONTEXT | CHANGED_FLUSH);
}

/**
 * Machine time in ticks of 100 ns, from a machine block. Virtual clock: slots of 10 ns shared by
 * the harts, plus idle jumps. Host clock: the host's ticks when the slice began, plus a bounded
 * estimate from the slots used since.
 */
export function timeNowOf(machine: usize): u64 {
  const slots = load<u64>(machine, MACHINE_SLOTS);
  if (load<u32>(machine, MACHINE_CLOCK) == 0) {
    return (
      load<u64>(machine, MACHINE_IDLE_TICKS) + slots / <u64>(10 * load<u32>(machine, MACHINE_HARTS))
    );
  }
  const used = slots - load<u64>(machine, MACHINE_HOST_SLOTS);
  const passed = (used * <u64>load<u32>(machine, MACHINE_HOST_RATE)) >> 16;
  const span = <u64>load<u32>(machine, MACHINE_HOST_SPAN);
  return load<u64>(machine, MACHINE_HOST_TICKS) + (passed < span ? passed : span);
}

/** Machine time in ticks of 100 ns, for the machine of the running hart. */
export function timeNow(): u64 {
  return timeNowOf(<usize>load<u32>(RUN, HART_MACHINE));
}

/**
 * Puts a hart block into its state after reset (Privileged 3.4): M-mode at the reset vector,
 * interrupts off, no translation, timers never due, no reservation. Keeps only which machine the
 * block belongs to.
 */
export function hartReset(hart: usize, id: u32): void {
  const machine = load<u32>(hart, HART_MACHINE);
  memory.fill(hart, 0, HART_BYTES);
  store<u32>(hart, machine, HART_MACHINE);
  store<u32>(hart, id, HART_ID);
  store<u64>(hart, RESET_PC, HART_PC);
  store<u32>(hart, PRIV_M, HART_PRIV);
  store<u64>(hart, MSTATUS_XL64, HART_MSTATUS);
  store<u64>(hart, u64.MAX_VALUE, HART_RESERVATION);
  store<u64>(hart, u64.MAX_VALUE, HART_MTIMECMP);
  store<u64>(hart, u64.MAX_VALUE, HART_STIMECMP);
  store<u32>(hart, 1, HART_PMP_ACTIVE); // no entry yet, so S and U have no memory: see mmu/pmp
}
