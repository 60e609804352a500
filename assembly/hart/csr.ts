/**
 * CSR: reads and writes of the control and status registers, with their privilege rules and legal
 * values.
 *
 * Owns    every CSR field of the RUN block that software can write (PMP through mmu/pmp).
 * Used by isa/system; HART_CHANGED tells the run loop what a write means for translation.
 * Holds   a stored value is always legal (WARL is applied on the way in), so a read needs no
 *         masking except for the views sstatus, sie, sip and the composed mip; a refused access has
 *         changed nothing.
 *
 *   number   11-10 = 3: read-only | 9-8: lowest privilege that may access | 7-0 register
 */

import { fpFastUpdate } from "../isa/fp";
import {
  CHANGED_CONTEXT,
  HART_CSR_VALUE,
  HART_CYCLE_OFFSET,
  HART_FFLAGS,
  HART_FRM,
  HART_ID,
  HART_INSTRET_OFFSET,
  HART_MACHINE,
  HART_MCAUSE,
  HART_MCOUNTEREN,
  HART_MCOUNTINHIBIT,
  HART_MEDELEG,
  HART_MENVCFG,
  HART_MEPC,
  HART_MIDELEG,
  HART_MIE,
  HART_MIP_SOFT,
  HART_MSCRATCH,
  HART_MSTATUS,
  HART_MTVAL,
  HART_MTVEC,
  HART_RETIRED,
  HART_SATP,
  HART_SCAUSE,
  HART_SCOUNTEREN,
  HART_SENVCFG,
  HART_SEPC,
  HART_SLOTS,
  HART_SSCRATCH,
  HART_STIMECMP,
  HART_STVAL,
  HART_STVEC,
  MACHINE_SATP_MAX,
  RUN,
} from "../layout";
import { pmpAddressRead, pmpAddressWrite, pmpConfigRead, pmpConfigWrite } from "../mmu/pmp";
import { mipNow, stimecmpEnabled } from "./interrupt";
import {
  changedMark,
  changedMarkFlush,
  MENVCFG_ADUE,
  MENVCFG_CBZE,
  MENVCFG_FIOM,
  MENVCFG_STCE,
  MIP_MEIP,
  MIP_MSIP,
  MIP_MTIP,
  MIP_SEIP,
  MIP_SSIP,
  MIP_STIP,
  MSTATUS_FS,
  MSTATUS_MIE,
  MSTATUS_MPIE,
  MSTATUS_MPP,
  MSTATUS_MPRV,
  MSTATUS_MXR,
  MSTATUS_SD,
  MSTATUS_SIE,
  MSTATUS_SPIE,
  MSTATUS_SPP,
  MSTATUS_SUM,
  MSTATUS_TSR,
  MSTATUS_TVM,
  MSTATUS_TW,
  MSTATUS_UXL,
  PRIV_M,
  PRIV_S,
  PRIV_U,
  privGet,
  timeNow,
} from "./state";

/** isa/system treats the set and clear forms of this one specially. */
export const CSR_MIP: u32 = 0x344;

const CSR_FFLAGS: u32 = 0x001;
const CSR_FRM: u32 = 0x002;
const CSR_FCSR: u32 = 0x003;
const CSR_SSTATUS: u32 = 0x100;
const CSR_SIE: u32 = 0x104;
const CSR_STVEC: u32 = 0x105;
const CSR_SCOUNTEREN: u32 = 0x106;
const CSR_SENVCFG: u32 = 0x10a;
const CSR_SSCRATCH: u32 = 0x140;
const CSR_SEPC: u32 = 0x141;
const CSR_SCAUSE: u32 = 0x142;
const CSR_STVAL: u32 = 0x143;
const CSR_SIP: u32 = 0x144;
const CSR_STIMECMP: u32 = 0x14d;
const CSR_SATP: u32 = 0x180;
const CSR_MSTATUS: u32 = 0x300;
const CSR_MISA: u32 = 0x301;
const CSR_MEDELEG: u32 = 0x302;
const CSR_MIDELEG: u32 = 0x303;
const CSR_MIE: u32 = 0x304;
const CSR_MTVEC: u32 = 0x305;
const CSR_MCOUNTEREN: u32 = 0x306;
const CSR_MENVCFG: u32 = 0x30a;
const CSR_MCOUNTINHIBIT: u32 = 0x320;
const CSR_MHPMEVENT_FIRST: u32 = 0x323;
const CSR_MHPMEVENT_LAST: u32 = 0x33f;
const CSR_MSCRATCH: u32 = 0x340;
const CSR_MEPC: u32 = 0x341;
const CSR_MCAUSE: u32 = 0x342;
const CSR_MTVAL: u32 = 0x343;
const CSR_PMPCFG_FIRST: u32 = 0x3a0;
const CSR_PMPADDR_FIRST: u32 = 0x3b0;
const CSR_PMPADDR_LAST: u32 = 0x3ef;
const CSR_TSELECT: u32 = 0x7a0;
const CSR_TDATA3: u32 = 0x7a3;
const CSR_MCYCLE: u32 = 0xb00;
const CSR_MINSTRET: u32 = 0xb02;
const CSR_MHPMCOUNTER_FIRST: u32 = 0xb03;
const CSR_MHPMCOUNTER_LAST: u32 = 0xb1f;
const CSR_CYCLE: u32 = 0xc00;
const CSR_TIME: u32 = 0xc01;
const CSR_INSTRET: u32 = 0xc02;
const CSR_HPMCOUNTER_LAST: u32 = 0xc1f;
const CSR_MVENDORID: u32 = 0xf11;
const CSR_MARCHID: u32 = 0xf12;
const CSR_MIMPID: u32 = 0xf13;
const CSR_MHARTID: u32 = 0xf14;
const CSR_MCONFIGPTR: u32 = 0xf15;

/** RV64 with A, C, D, F, I, M, S, U; read-only. */
const MISA: u64 = 0x800000000014112d;
const MSTATUS_WRITABLE: u64 =
  MSTATUS_SIE |
  MSTATUS_MIE |
  MSTATUS_SPIE |
  MSTATUS_MPIE |
  MSTATUS_SPP |
  MSTATUS_MPP |
  MSTATUS_FS |
  MSTATUS_MPRV |
  MSTATUS_SUM |
  MSTATUS_MXR |
  MSTATUS_TVM |
  MSTATUS_TW |
  MSTATUS_TSR;
/** The part of mstatus that S-mode may write. Privileged 4.1.1. */
const SSTATUS_WRITABLE: u64 =
  MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR;
const SSTATUS_READABLE: u64 = SSTATUS_WRITABLE | MSTATUS_UXL;
/** MPP = 2 names no privilege. */
const MPP_RESERVED: u64 = 0x1000;
/** The fields that choose a translation regime. */
const MSTATUS_CONTEXT: u64 = MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR;
/** Causes 0-9, 12, 13, 15. Privileged 3.1.8: an ECALL from M-mode (11) cannot be delegated. */
const MEDELEG_WRITABLE: u64 = 0xb3ff;
const MIDELEG_WRITABLE: u64 = MIP_SSIP | MIP_STIP | MIP_SEIP;
const MIE_WRITABLE: u64 = MIDELEG_WRITABLE | MIP_MSIP | MIP_MTIP | MIP_MEIP;
const MENVCFG_WRITABLE: u64 = MENVCFG_FIOM | MENVCFG_CBZE | MENVCFG_ADUE | MENVCFG_STCE;
const SENVCFG_WRITABLE: u64 = MENVCFG_FIOM | MENVCFG_CBZE;
/** CY and IR; the programmable counters do not count, so their bits are read-only 0. */
const COUNTINHIBIT_CY: u64 = 1;
const COUNTINHIBIT_IR: u64 = 4;
const COUNTER_TIME: u32 = 2;
const SATP_PPN: u64 = 0x00000fffffffffff;
const SATP_MODE: u64 = 0xf000000000000000;

// ---- access rules ----

/** Privileged 2.1: the two bits of a CSR number that name the lowest privilege. */
// @ts-ignore: decorator
@inline
function isPrivileged(csr: u32): bool {
  return privGet() >= ((csr >> 8) & 3);
}

// @ts-ignore: decorator
@inline
function isFloatOff(): bool {
  return (load<u64>(RUN, HART_MSTATUS) & MSTATUS_FS) == 0;
}

/**
 * Privileged 3.1.11 and 4.1.5: each privilege below M needs the counter's bit from every privilege
 * above it.
 */
function isCounterEnabled(bit: u32): bool {
  const priv = privGet();
  if (priv < PRIV_M && (load<u32>(RUN, HART_MCOUNTEREN) & bit) == 0) return false;
  return priv != PRIV_U || (load<u32>(RUN, HART_SCOUNTEREN) & bit) != 0;
}

/** Privileged 3.1.6.5: TVM takes satp away from S-mode. */
function isSatpTrapped(): bool {
  return privGet() == PRIV_S && (load<u64>(RUN, HART_MSTATUS) & MSTATUS_TVM) != 0;
}

/** Sstc: below M-mode, stimecmp exists only while STCE and mcounteren.TM allow it. */
function isStimecmpAllowed(): bool {
  if (privGet() == PRIV_M) return true;
  return stimecmpEnabled(RUN) && (load<u32>(RUN, HART_MCOUNTEREN) & COUNTER_TIME) != 0;
}

/**
 * Where a CSR lives that is read as stored, from any mode its number admits; 0 for all others. What
 * is legal to store is `csrWrite`'s concern.
 */
function csrField(csr: u32): usize {
  switch (csr) {
    case CSR_SSCRATCH: return HART_SSCRATCH;
    case CSR_SEPC: return HART_SEPC;
    case CSR_SCAUSE: return HART_SCAUSE;
    case CSR_STVAL: return HART_STVAL;
    case CSR_STVEC: return HART_STVEC;
    case CSR_SCOUNTEREN: return HART_SCOUNTEREN;
    case CSR_SENVCFG: return HART_SENVCFG;
    case CSR_MSCRATCH: return HART_MSCRATCH;
    case CSR_MEPC: return HART_MEPC;
    case CSR_MCAUSE: return HART_MCAUSE;
    case CSR_MTVAL: return HART_MTVAL;
    case CSR_MTVEC: return HART_MTVEC;
    case CSR_MIE: return HART_MIE;
    case CSR_MEDELEG: return HART_MEDELEG;
    case CSR_MIDELEG: return HART_MIDELEG;
    case CSR_MCOUNTEREN: return HART_MCOUNTEREN;
    case CSR_MENVCFG: return HART_MENVCFG;
    case CSR_MCOUNTINHIBIT: return HART_MCOUNTINHIBIT;
  }
  return 0;
}

// ---- reading ----

// @ts-ignore: decorator
@inline
function answer(value: u64): bool {
  store<u64>(RUN, value, HART_CSR_VALUE);
  return true;
}

/** Reads a CSR of the running hart into HART_CSR_VALUE; false means illegal instruction. */
export function csrRead(csr: u32): bool {
  if (!isPrivileged(csr)) return false;
  const field = csrField(csr);
  if (field != 0) return answer(load<u64>(field, RUN));
  switch (csr >> 8) {
    case 0x0: return readFloat(csr);
    case 0x1: return readSupervisor(csr);
    case 0x3: return readMachine(csr);
    case 0x7: return csr >= CSR_TSELECT && csr <= CSR_TDATA3 && answer(0); // type 0: no trigger
    case 0xb: return readMachineCounter(csr);
    case 0xc: return readUserCounter(csr);
    case 0xf: return readIdentity(csr);
  }
  return false;
}

function readFloat(csr: u32): bool {
  if (csr < CSR_FFLAGS || csr > CSR_FCSR || isFloatOff()) return false;
  const flags = <u64>load<u32>(RUN, HART_FFLAGS);
  const mode = <u64>load<u32>(RUN, HART_FRM);
  if (csr == CSR_FFLAGS) return answer(flags);
  return answer(csr == CSR_FRM ? mode : (mode << 5) | flags);
}

/** SD is derived: FS is the only state that can be Dirty. */
function mstatusRead(): u64 {
  const mstatus = load<u64>(RUN, HART_MSTATUS) & ~MSTATUS_SD;
  return (mstatus & MSTATUS_FS) == MSTATUS_FS ? mstatus | MSTATUS_SD : mstatus;
}

function readSupervisor(csr: u32): bool {
  switch (csr) {
    case CSR_SSTATUS: return answer(mstatusRead() & (SSTATUS_READABLE | MSTATUS_SD));
    case CSR_SIE: return answer(load<u64>(RUN, HART_MIE) & load<u64>(RUN, HART_MIDELEG));
    case CSR_SIP: return answer(mipNow() & load<u64>(RUN, HART_MIDELEG));
    case CSR_STIMECMP: return isStimecmpAllowed() && answer(load<u64>(RUN, HART_STIMECMP));
    case CSR_SATP: return !isSatpTrapped() && answer(load<u64>(RUN, HART_SATP));
  }
  return false;
}

function readMachine(csr: u32): bool {
  switch (csr) {
    case CSR_MSTATUS: return answer(mstatusRead());
    case CSR_MISA: return answer(MISA);
    case CSR_MIP: return answer(mipNow());
  }
  if (csr >= CSR_MHPMEVENT_FIRST && csr <= CSR_MHPMEVENT_LAST) return answer(0);
  if (csr >= CSR_PMPCFG_FIRST && csr < CSR_PMPADDR_FIRST) {
    // Privileged 3.7.1: the odd ones do not exist on RV64.
    if ((csr & 1) != 0) return false;
    const first = (csr - CSR_PMPCFG_FIRST) << 2;
    return answer(first < 16 ? pmpConfigRead(first) : 0);
  }
  if (csr >= CSR_PMPADDR_FIRST && csr <= CSR_PMPADDR_LAST) {
    const entry = csr - CSR_PMPADDR_FIRST;
    return answer(entry < 16 ? pmpAddressRead(entry) : 0);
  }
  return false;
}

/**
 * mcycle and minstret are a running count plus an offset; while inhibited, the offset alone is the
 * frozen value. Zicsr: a read sees the value before the reading instruction retires.
 */
function cycleRead(): u64 {
  const offset = load<u64>(RUN, HART_CYCLE_OFFSET);
  const isFrozen = (load<u64>(RUN, HART_MCOUNTINHIBIT) & COUNTINHIBIT_CY) != 0;
  return isFrozen ? offset : load<u64>(RUN, HART_SLOTS) + offset;
}

function instretRead(): u64 {
  const offset = load<u64>(RUN, HART_INSTRET_OFFSET);
  const isFrozen = (load<u64>(RUN, HART_MCOUNTINHIBIT) & COUNTINHIBIT_IR) != 0;
  return isFrozen ? offset : load<u64>(RUN, HART_RETIRED) + offset;
}

function readMachineCounter(csr: u32): bool {
  if (csr == CSR_MCYCLE) return answer(cycleRead());
  if (csr == CSR_MINSTRET) return answer(instretRead());
  return csr >= CSR_MHPMCOUNTER_FIRST && csr <= CSR_MHPMCOUNTER_LAST && answer(0);
}

function readUserCounter(csr: u32): bool {
  if (csr > CSR_HPMCOUNTER_LAST || !isCounterEnabled(1 << (csr & 31))) return false;
  switch (csr) {
    case CSR_CYCLE: return answer(cycleRead());
    case CSR_TIME: return answer(timeNow());
    case CSR_INSTRET: return answer(instretRead());
  }
  return answer(0); // hpmcounter3-31: present, never counting
}

function readIdentity(csr: u32): bool {
  if (csr == CSR_MHARTID) return answer(load<u32>(RUN, HART_ID));
  if (csr == CSR_MVENDORID || csr == CSR_MARCHID || csr == CSR_MIMPID) return answer(0);
  return csr == CSR_MCONFIGPTR && answer(0);
}

// ---- writing ----

/**
 * Writes a CSR of the running hart, keeping what is not legal out; false means illegal instruction.
 */
export function csrWrite(csr: u32, value: u64): bool {
  if (csr >> 10 == 3 || !isPrivileged(csr)) return false;
  switch (csr >> 8) {
    case 0x0: return writeFloat(csr, value);
    case 0x1: return writeSupervisor(csr, value);
    case 0x3: return writeMachine(csr, value);
    case 0x7: return csr >= CSR_TSELECT && csr <= CSR_TDATA3; // no trigger to configure
    case 0xb: return writeCounter(csr, value);
  }
  return false;
}

// @ts-ignore: decorator
@inline
function put(field: usize, value: u64): bool {
  store<u64>(field, value, RUN);
  return true;
}

function writeFloat(csr: u32, value: u64): bool {
  if (csr < CSR_FFLAGS || csr > CSR_FCSR || isFloatOff()) return false;
  const bits = <u32>value;
  if (csr != CSR_FRM) store<u32>(RUN, bits & 31, HART_FFLAGS);
  if (csr != CSR_FFLAGS) store<u32>(RUN, (csr == CSR_FRM ? bits : bits >> 5) & 7, HART_FRM);
  store<u64>(RUN, load<u64>(RUN, HART_MSTATUS) | MSTATUS_FS, HART_MSTATUS);
  fpFastUpdate();
  return true;
}

function mstatusWrite(value: u64, mask: u64): bool {
  const old = load<u64>(RUN, HART_MSTATUS);
  let next = (old & ~mask) | (value & mask);
  // Privileged 3.1.6.1: MPP is WARL; a write of 2 leaves it.
  if ((next & MSTATUS_MPP) == MPP_RESERVED) next = (next & ~MSTATUS_MPP) | (old & MSTATUS_MPP);
  store<u64>(RUN, next, HART_MSTATUS);
  const changed = old ^ next;
  if ((changed & MSTATUS_CONTEXT) != 0) changedMark(CHANGED_CONTEXT);
  if ((changed & MSTATUS_FS) != 0) fpFastUpdate();
  return true;
}

/** Modes 0 direct and 1 vectored exist; a write of another keeps the register. */
function vectorWrite(field: usize, value: u64): bool {
  if ((value & 3) > 1) return true;
  return put(field, value);
}

/** Replaces the bits of a field that `mask` selects. */
function merge(field: usize, value: u64, mask: u64): bool {
  return put(field, (load<u64>(field, RUN) & ~mask) | (value & mask));
}

function writeSupervisor(csr: u32, value: u64): bool {
  switch (csr) {
    case CSR_SSTATUS: return mstatusWrite(value, SSTATUS_WRITABLE);
    case CSR_SIE: return merge(HART_MIE, value, load<u64>(RUN, HART_MIDELEG));
    case CSR_SIP:
      // Privileged 4.1.3: of sip only SSIP is writable, and only when delegated.
      return merge(HART_MIP_SOFT, value, load<u64>(RUN, HART_MIDELEG) & MIP_SSIP);
    case CSR_STVEC: return vectorWrite(HART_STVEC, value);
    case CSR_SCOUNTEREN: return put(HART_SCOUNTEREN, <u64>(<u32>value));
    case CSR_SENVCFG: return put(HART_SENVCFG, value & SENVCFG_WRITABLE);
    case CSR_SSCRATCH: return put(HART_SSCRATCH, value);
    case CSR_SEPC: return put(HART_SEPC, value & ~1);
    case CSR_SCAUSE: return put(HART_SCAUSE, value);
    case CSR_STVAL: return put(HART_STVAL, value);
    case CSR_STIMECMP: return isStimecmpAllowed() && put(HART_STIMECMP, value);
    case CSR_SATP: return !isSatpTrapped() && satpWrite(value);
  }
  return false;
}

/** Privileged 4.1.11: a write with an unsupported mode has no effect at all. ASIDLEN is 0. */
function satpWrite(value: u64): bool {
  const mode = value >> 60;
  const most = <u64>load<u32>(<usize>load<u32>(RUN, HART_MACHINE), MACHINE_SATP_MAX);
  if (mode != 0 && (mode < 8 || mode > most)) return true;
  store<u64>(RUN, value & (SATP_MODE | SATP_PPN), HART_SATP);
  changedMarkFlush();
  return true;
}

function writeMachine(csr: u32, value: u64): bool {
  switch (csr) {
    case CSR_MSTATUS: return mstatusWrite(value, MSTATUS_WRITABLE);
    case CSR_MISA: return true;
    case CSR_MEDELEG: return put(HART_MEDELEG, value & MEDELEG_WRITABLE);
    case CSR_MIDELEG: return put(HART_MIDELEG, value & MIDELEG_WRITABLE);
    case CSR_MIE: return put(HART_MIE, value & MIE_WRITABLE);
    case CSR_MTVEC: return vectorWrite(HART_MTVEC, value);
    case CSR_MCOUNTEREN: return put(HART_MCOUNTEREN, <u64>(<u32>value));
    case CSR_MENVCFG: return menvcfgWrite(value & MENVCFG_WRITABLE);
    case CSR_MCOUNTINHIBIT: return inhibitWrite(value & (COUNTINHIBIT_CY | COUNTINHIBIT_IR));
    case CSR_MSCRATCH: return put(HART_MSCRATCH, value);
    case CSR_MEPC: return put(HART_MEPC, value & ~1);
    case CSR_MCAUSE: return put(HART_MCAUSE, value);
    case CSR_MTVAL: return put(HART_MTVAL, value);
    case CSR_MIP:
      // Privileged 3.1.9: M-mode sets the supervisor's bits; Sstc: not STIP while the comparator
      // drives it.
      return merge(
        HART_MIP_SOFT,
        value,
        stimecmpEnabled(RUN) ? MIP_SSIP | MIP_SEIP : MIDELEG_WRITABLE,
      );
  }
  if (csr >= CSR_MHPMEVENT_FIRST && csr <= CSR_MHPMEVENT_LAST) return true;
  if (csr >= CSR_PMPCFG_FIRST && csr < CSR_PMPADDR_FIRST) {
    if ((csr & 1) != 0) return false;
    const first = (csr - CSR_PMPCFG_FIRST) << 2;
    if (first < 16) pmpConfigWrite(first, value);
    return true;
  }
  if (csr >= CSR_PMPADDR_FIRST && csr <= CSR_PMPADDR_LAST) {
    const entry = csr - CSR_PMPADDR_FIRST;
    if (entry < 16) pmpAddressWrite(entry, value);
    return true;
  }
  return false;
}

function menvcfgWrite(next: u64): bool {
  const changed = load<u64>(RUN, HART_MENVCFG) ^ next;
  store<u64>(RUN, next, HART_MENVCFG);
  // ADUE decides whether a clear A or D bit faults, so no translation made under the other rule may
  // stay.
  if ((changed & MENVCFG_ADUE) != 0) changedMarkFlush();
  return true;
}

/**
 * Freezes or releases the two counters. The write takes effect before its own instruction counts,
 * so freezing excludes that instruction and releasing includes it.
 */
function inhibitWrite(next: u64): bool {
  const cycle = cycleRead();
  const instret = instretRead();
  store<u64>(RUN, next, HART_MCOUNTINHIBIT);
  const slots = (next & COUNTINHIBIT_CY) != 0 ? 0 : load<u64>(RUN, HART_SLOTS);
  const retired = (next & COUNTINHIBIT_IR) != 0 ? 0 : load<u64>(RUN, HART_RETIRED);
  store<u64>(RUN, cycle - slots, HART_CYCLE_OFFSET);
  store<u64>(RUN, instret - retired, HART_INSTRET_OFFSET);
  return true;
}

/**
 * Zicsr: the value written to a counter replaces the increment of the writing instruction, so it is
 * what the next instruction reads. That instruction finds the running count one higher, hence the
 * 1.
 */
function writeCounter(csr: u32, value: u64): bool {
  const inhibit = load<u64>(RUN, HART_MCOUNTINHIBIT);
  if (csr == CSR_MCYCLE) {
    const isFrozen = (inhibit & COUNTINHIBIT_CY) != 0;
    return put(HART_CYCLE_OFFSET, isFrozen ? value : value - load<u64>(RUN, HART_SLOTS) - 1);
  }
  if (csr == CSR_MINSTRET) {
    const isFrozen = (inhibit & COUNTINHIBIT_IR) != 0;
    return put(HART_INSTRET_OFFSET, isFrozen ? value : value - load<u64>(RUN, HART_RETIRED) - 1);
  }
  return csr >= CSR_MHPMCOUNTER_FIRST && csr <= CSR_MHPMCOUNTER_LAST;
}
