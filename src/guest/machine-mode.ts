/**
 * machine-mode: the guest's start in M-mode, and the little it leaves there: a timer for S-mode.
 *
 * Used by src/guest/index.ts; it is first in the image, so that it lies where QEMU jumps to.
 * Holds   S-mode's only door is ECALL with a0 = absolute time of the next timer interrupt (-1 for
 *         none); any other trap that reaches M-mode after start ends the machine with code 70.
 */
import type { GuestBuilder } from "./builder.ts";
import {
  CLINT_MTIMECMP,
  FINISHER,
  FINISHER_FAIL,
  MIB,
  RAM,
  RAM_END_MAX,
  STACK_BYTES,
} from "./platform.ts";

const MTIE = 1 << 7;
const STIP = 1 << 5;
/** Every exception that may be delegated, but for ECALL from S: that one is the timer's door. */
const DELEGATED = 0xb1ff;
/** SSIP, STIP, SEIP. */
const DELEGATED_INTERRUPTS = 0x222;

/** First instructions: one hart goes on with a stack and zeroed variables, the others sleep. */
function start(a: GuestBuilder): void {
  a.label("_start");
  a.csrr("t0", "mhartid");
  a.beqz("t0", "start.first");
  a.csrw("mie", "zero");
  a.label("start.park");
  a.wfi();
  a.j("start.park");

  a.label("start.first");
  a.la("t0", "machineTrap");
  a.csrw("mtvec", "t0");
  a.la("t0", "zeroed");
  a.la("t1", "zeroedEnd");
  a.label("start.zero");
  a.sd("zero", "t0");
  a.addi("t0", "t0", 8);
  a.bltu("t0", "t1", "start.zero");
  a.la("sp", "machineStack");
  a.li("t0", STACK_BYTES);
  a.add("sp", "sp", "t0");
  a.csrw("mscratch", "sp");
  a.csrr("t0", "misa");
  a.storeVariable("t0", "misa");
}

/**
 * Reads one word per MiB until an access faults: the guest needs no device tree to know its RAM.
 */
function probeMemory(a: GuestBuilder): void {
  a.la("t0", "probe.end");
  a.storeVariable("t0", "machineRecover");
  a.li("s0", RAM);
  a.li("s1", RAM_END_MAX);
  a.li("s2", MIB);
  a.label("probe.next");
  a.lw("zero", "s0");
  a.add("s0", "s0", "s2");
  a.bltu("s0", "s1", "probe.next");
  a.label("probe.end");
  a.storeVariable("s0", "ramEnd");
  a.storeVariable("zero", "machineRecover");
}

/** Opens all memory to S-mode, delegates, lets it read the counters, and leaves M-mode. */
function enterSupervisor(a: GuestBuilder): void {
  a.li("t0", -1);
  a.csrw("pmpaddr0", "t0");
  a.li("t0", 0x1f); // NAPOT over everything, read, write, execute
  a.csrw("pmpcfg0", "t0");
  a.li("t0", DELEGATED);
  a.csrw("medeleg", "t0");
  a.li("t0", DELEGATED_INTERRUPTS);
  a.csrw("mideleg", "t0");
  a.li("t0", 7);
  a.csrw("mcounteren", "t0");
  a.csrw("mie", "zero");
  a.li("t0", 0x1800); // mstatus.MPP
  a.csrc("mstatus", "t0");
  a.li("t0", 0x800); // S-mode
  a.csrs("mstatus", "t0");
  a.la("t0", "supervisorStart");
  a.csrw("mepc", "t0");
  a.mret();
}

/** Saves t0 to t2 on its own stack; everything else stays untouched. */
function trap(a: GuestBuilder): void {
  a.align(4);
  a.label("machineTrap");
  a.csrrw("sp", "mscratch", "sp");
  a.addi("sp", "sp", -32);
  a.sd("t0", "sp", 0);
  a.sd("t1", "sp", 8);
  a.sd("t2", "sp", 16);
  a.csrr("t0", "mcause");
  a.bltz("t0", "machineTrap.timer");
  a.li("t1", 9); // ECALL from S-mode
  a.beq("t0", "t1", "machineTrap.call");
  a.loadVariable("t1", "machineRecover");
  a.beqz("t1", "machineTrap.fatal");
  a.csrw("mepc", "t1");
  a.j("machineTrap.return");

  // The timer has come: pass it on to S-mode and keep quiet until the next call.
  a.label("machineTrap.timer");
  a.li("t0", MTIE);
  a.csrc("mie", "t0");
  a.li("t0", STIP);
  a.csrs("mip", "t0");
  a.j("machineTrap.return");

  a.label("machineTrap.call");
  a.li("t1", CLINT_MTIMECMP);
  a.sd("a0", "t1");
  a.li("t0", STIP);
  a.csrc("mip", "t0");
  a.li("t0", MTIE);
  a.csrs("mie", "t0");
  a.csrr("t0", "mepc");
  a.addi("t0", "t0", 4);
  a.csrw("mepc", "t0");

  a.label("machineTrap.return");
  a.ld("t0", "sp", 0);
  a.ld("t1", "sp", 8);
  a.ld("t2", "sp", 16);
  a.addi("sp", "sp", 32);
  a.csrrw("sp", "mscratch", "sp");
  a.mret();

  a.label("machineTrap.fatal");
  a.li("t0", FINISHER);
  a.li("t1", (70 << 16) | FINISHER_FAIL);
  a.sw("t1", "t0");
  a.j("machineTrap.fatal");
}

/** Emits the whole of the guest's M-mode. */
export function emitMachineMode(a: GuestBuilder): void {
  start(a);
  probeMemory(a);
  enterSupervisor(a);
  trap(a);
}
