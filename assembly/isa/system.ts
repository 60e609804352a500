/**
 * System: the SYSTEM opcode: Zicsr, ECALL, EBREAK, MRET, SRET, WFI, SFENCE.VMA.
 *
 * Owns    HART_TRAP_CAUSE and HART_TRAP_VALUE when it answers SYSTEM_TRAP.
 * Used by hart/run.
 * Holds   an instruction that traps has changed no register and no CSR.
 */

import { CSR_MIP, csrRead, csrWrite } from "../hart/csr";
import {
  MSTATUS_TSR,
  MSTATUS_TVM,
  MSTATUS_TW,
  PRIV_M,
  PRIV_S,
  PRIV_U,
  privGet,
  regGet,
  regSet,
} from "../hart/state";
import {
  CAUSE_BREAKPOINT,
  CAUSE_ECALL_U,
  CAUSE_ILLEGAL,
  trapReturnMachine,
  trapReturnSupervisor,
} from "../hart/trap";
import {
  HART_CSR_VALUE,
  HART_MACHINE,
  HART_MIP_SOFT,
  HART_MSTATUS,
  HART_PC,
  HART_TRAP_CAUSE,
  HART_TRAP_VALUE,
  MACHINE_SBI,
  RUN,
} from "../layout";

/** Retire; the caller moves pc on. */
export const SYSTEM_NEXT: u32 = 0;
/** Cause and value are in HART_TRAP_CAUSE and HART_TRAP_VALUE; the caller calls `trapTake`. */
export const SYSTEM_TRAP: u32 = 1;
/** HART_PC is the target already; retire. */
export const SYSTEM_JUMP: u32 = 2;
/** Retire, the caller moves pc on, then the hart waits for an interrupt. */
export const SYSTEM_WFI: u32 = 3;
/** ECALL for the built-in SBI: pc unchanged, not retired. */
export const SYSTEM_SBI: u32 = 4;

const FUNCT3_CSRRW: u32 = 1;
const FUNCT3_CSRRS: u32 = 2;
/** Bit 2 of funct3: the rs1 field is the operand itself. */
const FUNCT3_IMMEDIATE: u32 = 4;

const RAW_ECALL: u32 = 0x00000073;
const RAW_EBREAK: u32 = 0x00100073;
const RAW_SRET: u32 = 0x10200073;
const RAW_MRET: u32 = 0x30200073;
const RAW_WFI: u32 = 0x10500073;
/** SFENCE.VMA with its rs1 and rs2 fields masked out. */
const RAW_SFENCE_VMA: u32 = 0x12000073;
const SFENCE_MASK: u32 = 0xfe007fff;

function trap(cause: u64, value: u64): u32 {
  store<u64>(RUN, cause, HART_TRAP_CAUSE);
  store<u64>(RUN, value, HART_TRAP_VALUE);
  return SYSTEM_TRAP;
}

/**
 * Executes the instruction `raw` (opcode SYSTEM, 32 bits; C.EBREAK comes as EBREAK). `bits` is what
 * was fetched, 16 or 32 bits, for xtval of an illegal instruction. Answers a SYSTEM_* code.
 */
export function systemExecute(raw: u32, bits: u32): u32 {
  const funct3 = (raw >> 12) & 7;
  if ((funct3 & 3) != 0) return systemCsr(raw, bits);
  // 4 holds the loads and stores of the hypervisor extension, which this hart lacks.
  if (funct3 != 0) return trap(CAUSE_ILLEGAL, bits);
  return systemPrivileged(raw, bits);
}

/** CSRRW, CSRRS, CSRRC and their immediate forms (Unprivileged, Zicsr). */
function systemCsr(raw: u32, bits: u32): u32 {
  const csr = raw >> 20;
  const rd = (raw >> 7) & 31;
  const rs1 = (raw >> 15) & 31;
  const funct3 = (raw >> 12) & 7;
  const operand = (funct3 & FUNCT3_IMMEDIATE) != 0 ? <u64>rs1 : regGet(rs1);
  const kind = funct3 & 3;
  if (kind == FUNCT3_CSRRW) {
    if (rd == 0) {
      // CSRRW to x0 does not read, so only the write has a say.
      return csrWrite(csr, operand) ? SYSTEM_NEXT : trap(CAUSE_ILLEGAL, bits);
    }
    if (!csrRead(csr)) return trap(CAUSE_ILLEGAL, bits);
    const old = load<u64>(RUN, HART_CSR_VALUE);
    if (!csrWrite(csr, operand)) return trap(CAUSE_ILLEGAL, bits);
    regSet(rd, old);
    return SYSTEM_NEXT;
  }
  if (!csrRead(csr)) return trap(CAUSE_ILLEGAL, bits);
  const old = load<u64>(RUN, HART_CSR_VALUE);
  // Only the number of rs1 decides whether this writes: a zero in another register writes the old
  // value back, so a read-only CSR traps. (QEMU 7.2 lets a zero value pass.)
  if (rs1 != 0) {
    // Privileged 3.1.9: what is written back to mip.SEIP is the software bit, not its OR with the
    // PLIC's line.
    const base = csr == CSR_MIP ? load<u64>(RUN, HART_MIP_SOFT) : old;
    const next = kind == FUNCT3_CSRRS ? base | operand : base & ~operand;
    if (!csrWrite(csr, next)) return trap(CAUSE_ILLEGAL, bits);
  }
  regSet(rd, old);
  return SYSTEM_NEXT;
}

/** funct3 0: everything but Zicsr. */
function systemPrivileged(raw: u32, bits: u32): u32 {
  const priv = privGet();
  const mstatus = load<u64>(RUN, HART_MSTATUS);
  switch (raw) {
    case RAW_ECALL: {
      const machine = <usize>load<u32>(RUN, HART_MACHINE);
      if (priv == PRIV_S && load<u32>(machine, MACHINE_SBI) != 0) return SYSTEM_SBI;
      return trap(CAUSE_ECALL_U + <u64>priv, 0);
    }
    case RAW_EBREAK:
      // Privileged 3.1.16: the address of the instruction.
      return trap(CAUSE_BREAKPOINT, load<u64>(RUN, HART_PC));
    case RAW_MRET:
      if (priv != PRIV_M) return trap(CAUSE_ILLEGAL, bits);
      trapReturnMachine();
      return SYSTEM_JUMP;
    case RAW_SRET:
      if (priv == PRIV_U || (priv == PRIV_S && (mstatus & MSTATUS_TSR) != 0)) {
        return trap(CAUSE_ILLEGAL, bits);
      }
      trapReturnSupervisor();
      return SYSTEM_JUMP;
    case RAW_WFI:
      // Privileged 3.3.3: in U-mode it may only wait for a bounded time when S-mode exists; here
      // for none.
      if (priv == PRIV_U || (priv == PRIV_S && (mstatus & MSTATUS_TW) != 0)) {
        return trap(CAUSE_ILLEGAL, bits);
      }
      return SYSTEM_WFI;
  }
  if ((raw & SFENCE_MASK) == RAW_SFENCE_VMA) {
    if (priv == PRIV_U || (priv == PRIV_S && (mstatus & MSTATUS_TVM) != 0)) {
      return trap(CAUSE_ILLEGAL, bits);
    }
    return SYSTEM_NEXT; // the TLB is coherent: there is nothing stale to drop
  }
  return trap(CAUSE_ILLEGAL, bits);
}
