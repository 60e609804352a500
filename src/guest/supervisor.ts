/**
 * supervisor: the guest's kernel in S-mode: Sv39 tables, demand paging, traps, timer sleep.
 *
 * Used by src/guest/index.ts; src/guest/shell.ts runs on top of it.
 * Holds   the first 1 GiB (devices) and all RAM are mapped one to one by gigapages; the demand
 *         region gets a zeroed page at its first touch, and keeps it.
 */
import type { Reg } from "../asm/register.ts";
import type { GuestBuilder } from "./builder.ts";
import {
  DEMAND,
  DEMAND_BYTES,
  PLIC_CLAIM_S0,
  PTE_RW_AD,
  PTE_RWX_AD,
  PTE_V,
  RAM,
  STACK_BYTES,
  UART_IRQ,
} from "./platform.ts";

const GIB = 0x40000000;
/** satp.MODE 8 is Sv39. */
const SATP_SV39 = 8n << 60n;
/** Registers that a trap in C-like code may clobber. */
const SAVED: readonly Reg[] = [
  ..."ra t0 t1 t2 t3 t4 t5 t6 a0 a1 a2 a3 a4 a5 a6 a7".split(" "),
] as Reg[];

/** Entry from M-mode: stack, traps, page tables, then the shell. */
function start(a: GuestBuilder): void {
  a.label("supervisorStart");
  a.la("sp", "supervisorStack");
  a.li("t0", STACK_BYTES);
  a.add("sp", "sp", "t0");
  a.la("t0", "supervisorTrap");
  a.csrw("stvec", "t0");
  a.la("t0", "imageEnd");
  a.storeVariable("t0", "freePage");
  a.call("pagingStart");
  a.call("uartStart");
  a.li("t0", 0x220); // sie: STIE, SEIE
  a.csrw("sie", "t0");
  a.csrsi("sstatus", 2);
  a.call("banner");
  a.j("shell");
}

/** pageNew() gives a zeroed page in a0, or 0 when RAM is used up. */
function pageNew(a: GuestBuilder): void {
  a.label("pageNew");
  a.la("t0", "freePage");
  a.ld("a0", "t0");
  a.li("t1", 4096);
  a.add("t1", "a0", "t1");
  a.loadVariable("t2", "ramEnd");
  a.bgtu("t1", "t2", "pageNew.none");
  a.sd("t1", "t0");
  a.mv("t2", "a0");
  a.label("pageNew.zero");
  a.sd("zero", "t2", 0);
  a.sd("zero", "t2", 8);
  a.addi("t2", "t2", 16);
  a.bltu("t2", "t1", "pageNew.zero");
  a.ret();
  a.label("pageNew.none");
  a.li("a0", 0);
  a.ret();
}

/** Root table with gigapages for devices and RAM, then satp. */
function pagingStart(a: GuestBuilder): void {
  a.function("pagingStart", [], () => {
    a.call("pageNew");
    a.storeVariable("a0", "rootTable");
    a.li("t0", PTE_RW_AD);
    a.sd("t0", "a0", 0);
    a.li("t1", RAM);
    a.loadVariable("t2", "ramEnd");
    a.label("pagingStart.next");
    a.srli("t3", "t1", 30);
    a.slli("t3", "t3", 3);
    a.add("t3", "t3", "a0");
    a.srli("t4", "t1", 2);
    a.ori("t4", "t4", PTE_RWX_AD);
    a.sd("t4", "t3");
    a.li("t5", GIB);
    a.add("t1", "t1", "t5");
    a.bltu("t1", "t2", "pagingStart.next");
    a.srli("t0", "a0", 12);
    a.li("t1", SATP_SV39);
    a.or("t0", "t0", "t1");
    a.csrw("satp", "t0");
    a.sfenceVma();
  });
}

/**
 * pageMap(a0 = virtual address in the demand region) walks down two levels, adding tables where
 * there are none, and maps a fresh page. Gives 1, or 0 when RAM is used up.
 */
function pageMap(a: GuestBuilder): void {
  a.function("pageMap", ["s0", "s1", "s2"], () => {
    a.mv("s0", "a0");
    a.loadVariable("s1", "rootTable");
    a.li("s2", 30);
    a.label("pageMap.level");
    a.srl("t0", "s0", "s2");
    a.andi("t0", "t0", 0x1ff);
    a.slli("t0", "t0", 3);
    a.add("s1", "s1", "t0");
    a.li("t1", 12);
    a.beq("s2", "t1", "pageMap.leaf");
    a.ld("t0", "s1");
    a.andi("t1", "t0", PTE_V);
    a.bnez("t1", "pageMap.down");
    a.call("pageNew");
    a.beqz("a0", "pageMap.return");
    a.srli("t0", "a0", 2);
    a.ori("t0", "t0", PTE_V);
    a.sd("t0", "s1");
    a.label("pageMap.down");
    a.srli("t0", "t0", 10);
    a.slli("s1", "t0", 12);
    a.addi("s2", "s2", -9);
    a.j("pageMap.level");
    a.label("pageMap.leaf");
    a.call("pageNew");
    a.beqz("a0", "pageMap.return");
    a.srli("t0", "a0", 2);
    a.ori("t0", "t0", PTE_RW_AD);
    a.sd("t0", "s1");
    a.sfenceVma("s0", "zero");
    a.count("pagesMapped");
    a.li("a0", 1);
  });
}

/** Saves what a call may clobber, then tells interrupts from exceptions. */
function trap(a: GuestBuilder): void {
  a.align(4);
  a.label("supervisorTrap");
  a.addi("sp", "sp", -SAVED.length * 8);
  SAVED.forEach((reg, index) => {
    a.sd(reg, "sp", index * 8);
  });
  a.csrr("a0", "scause");
  a.csrr("a1", "stval");
  a.bgez("a0", "supervisorTrap.exception");
  a.slli("a0", "a0", 1);
  a.srli("a0", "a0", 1);
  a.li("t0", 5);
  a.beq("a0", "t0", "supervisorTrap.timer");
  a.call("externalInterrupt");
  a.j("supervisorTrap.return");

  a.label("supervisorTrap.timer");
  a.count("timerInterrupts");
  a.li("a0", -1);
  a.ecall();
  a.j("supervisorTrap.return");

  a.label("supervisorTrap.exception");
  a.li("t0", 13); // load page fault
  a.beq("a0", "t0", "supervisorTrap.page");
  a.li("t0", 15); // store page fault
  a.bne("a0", "t0", "supervisorTrap.report");
  a.label("supervisorTrap.page");
  a.li("t0", DEMAND);
  a.sub("t0", "a1", "t0");
  a.li("t1", DEMAND_BYTES);
  a.bgeu("t0", "t1", "supervisorTrap.report");
  a.mv("a0", "a1");
  a.call("pageMap");
  a.bnez("a0", "supervisorTrap.return");
  a.say("out of memory: ");

  // What nobody handles is reported, and the shell goes on with its next line.
  a.label("supervisorTrap.report");
  a.call("trapReport");
  a.csrsi("sstatus", 2);
  a.j("shell");

  a.label("supervisorTrap.return");
  SAVED.forEach((reg, index) => {
    a.ld(reg, "sp", index * 8);
  });
  a.addi("sp", "sp", SAVED.length * 8);
  a.sret();
}

/** Serves the PLIC until nothing is claimed. */
function externalInterrupt(a: GuestBuilder): void {
  a.function("externalInterrupt", ["s0", "s1"], () => {
    a.li("s0", PLIC_CLAIM_S0);
    a.label("externalInterrupt.next");
    a.lw("s1", "s0");
    a.beqz("s1", "externalInterrupt.return");
    a.li("t0", UART_IRQ);
    a.bne("s1", "t0", "externalInterrupt.done");
    a.call("uartInterrupt");
    a.label("externalInterrupt.done");
    a.sw("s1", "s0");
    a.j("externalInterrupt.next");
  });
}

/** Prints cause, pc and value of the trap that S-mode is in. */
function trapReport(a: GuestBuilder): void {
  a.function("trapReport", [], () => {
    a.say("trap: cause ");
    a.csrr("a0", "scause");
    a.call("putNumber");
    a.say(", pc ");
    a.csrr("a0", "sepc");
    a.call("putHex");
    a.say(", value ");
    a.csrr("a0", "stval");
    a.call("putHex");
    a.say("\n");
  });
}

/** sleepUntil(a0 = absolute time): waits for timer interrupts until that time has come. */
function sleepUntil(a: GuestBuilder): void {
  a.function("sleepUntil", ["s0"], () => {
    a.mv("s0", "a0");
    a.label("sleepUntil.again");
    a.csrr("t0", "time");
    a.bgeu("t0", "s0", "sleepUntil.return");
    a.mv("a0", "s0");
    a.ecall();
    // Interrupts off, so that one that comes before WFI still ends it.
    a.csrci("sstatus", 2);
    a.csrr("t0", "time");
    a.bgeu("t0", "s0", "sleepUntil.due");
    a.wfi();
    a.label("sleepUntil.due");
    a.csrsi("sstatus", 2);
    a.j("sleepUntil.again");
  });
}

/** Emits the whole kernel. */
export function emitSupervisor(a: GuestBuilder): void {
  start(a);
  pageNew(a);
  pagingStart(a);
  pageMap(a);
  trap(a);
  externalInterrupt(a);
  trapReport(a);
  sleepUntil(a);
}
