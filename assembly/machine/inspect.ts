/**
 * inspect: what the debugger sees and changes of a hart that is not running, beside the fields of
 * its block: CSRs as M-mode has them, and what its TLBs hold.
 *
 * Owns    MACHINE_CSR_VALUE and MACHINE_TLB_PAGE.
 * Used by machine.ts.
 * Holds   reading changes nothing; a CSR is written with its own rules (WARL), whatever the hart's
 *         mode.
 */
import {
  HART_BYTES,
  HART_CHANGED,
  HART_CSR_VALUE,
  HART_MSTATUS,
  HART_PRIV,
  MACHINE_CSR_VALUE,
  MACHINE_TLB_PAGE,
  RUN,
} from "../layout";
import { csrRead, csrWrite } from "../hart/csr";
import { contextUpdate } from "../hart/slice";
import { floatUpdate } from "../hart/slow";
import { MSTATUS_FS, PRIV_M } from "../hart/state";
import { ARENA, ARENA_SLOT_OWNER } from "../memory/arena";
import {
  ITLB_SLOTS,
  TLB_REGIME,
  TLB_SLOTS,
  TLB_WRITE,
  itlbOf,
  slotTake,
  tlbDropAll,
  tlbOf,
} from "../mmu/tlb";
import { hartAt, hartEnter, hartLeave } from "./run";

/** fflags, frm and fcsr exist even while FS is Off, and looking at them does not turn it on. */
const CSR_FLOAT_LAST: u32 = 3;
const CSR_MCYCLE: u32 = 0xb00;
const CSR_MINSTRET: u32 = 0xb02;
/** Arrays of tlbEntryFor: read by regime, write by regime, instruction by privilege. */
const ARRAY_WRITE: u32 = 4;
const ARRAY_INSTRUCTION: u32 = 8;
const ARRAYS: u32 = 12;

/** Gives RUN every right that a CSR can ask for. */
function rightsTake(csr: u32): void {
  store<u32>(RUN, PRIV_M, HART_PRIV);
  if (csr > CSR_FLOAT_LAST) return;
  store<u64>(RUN, load<u64>(RUN, HART_MSTATUS) | MSTATUS_FS, HART_MSTATUS);
}

/** Reads a CSR of a hart into MACHINE_CSR_VALUE. False, and 0, when there is none. */
export function csrReadFor(machine: usize, hart: u32, csr: u32): bool {
  memory.copy(RUN, hartAt(machine, hart), HART_BYTES); // RUN is nobody's between runs
  rightsTake(csr);
  const isThere = csrRead(csr);
  store<u64>(machine, isThere ? load<u64>(RUN, HART_CSR_VALUE) : 0, MACHINE_CSR_VALUE);
  return isThere;
}

/** Writes a CSR of a hart. False when there is none or it is read-only. */
export function csrWriteFor(machine: usize, hart: u32, csr: u32, value: u64): bool {
  slotTake(machine);
  hartEnter(machine, hart);
  const priv = load<u32>(RUN, HART_PRIV);
  const mstatus = load<u64>(RUN, HART_MSTATUS);
  rightsTake(csr);
  const isDone = csrWrite(csr, value);
  if (isDone && (csr == CSR_MCYCLE || csr == CSR_MINSTRET) && csrRead(csr)) {
    // a running counter makes room for the instruction that writes it: here there is none
    csrWrite(csr, value + (value - load<u64>(RUN, HART_CSR_VALUE)));
  }
  store<u32>(RUN, priv, HART_PRIV);
  if (csr <= CSR_FLOAT_LAST) {
    store<u64>(RUN, mstatus, HART_MSTATUS);
    floatUpdate();
  }
  if (load<u32>(RUN, HART_CHANGED) != 0) {
    store<u32>(RUN, 0, HART_CHANGED);
    tlbDropAll(machine);
    contextUpdate(machine);
  }
  hartLeave(machine, hart);
  return isDone;
}

/** Reads the virtual page that one place of a hart's TLBs holds. */
export function tlbEntryFor(machine: usize, hart: u32, array: u32, slot: u32): bool {
  if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) != machine || array >= ARRAYS) return false;
  const isInstruction = array >= ARRAY_INSTRUCTION;
  if (slot >= (isInstruction ? ITLB_SLOTS : TLB_SLOTS)) return false;
  const regime = <usize>(array & (ARRAY_WRITE - 1));
  const data = tlbOf(hart) + regime * TLB_REGIME + (array < ARRAY_WRITE ? 0 : TLB_WRITE);
  const first = isInstruction ? itlbOf(hart, array - ARRAY_INSTRUCTION) : data;
  const page = load<u64>(first + ((<usize>slot) << 4));
  if (page == (isInstruction ? 1 : (<u64>(slot ^ 1)) << 12)) return false;
  store<u64>(machine, page, MACHINE_TLB_PAGE);
  return true;
}
