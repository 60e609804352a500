/**
 * console: the guest's 16550A driver: polled output, input by interrupt into a ring, and printing.
 *
 * Used by src/guest/supervisor.ts and src/guest/shell.ts.
 * Holds   ring positions only grow, their low 8 bits index the ring; a full ring drops input.
 */
import type { GuestBuilder } from "./builder.ts";
import {
  LINE_BYTES,
  PLIC,
  PLIC_ENABLE_S0,
  PLIC_THRESHOLD_S0,
  RING_BYTES,
  UART,
  UART_IRQ,
} from "./platform.ts";

const IER = 1;
const FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const LSR_DATA = 1;
const LSR_EMPTY = 0x20;

/** 8n1, FIFO on, receive interrupt on; the PLIC passes the UART's interrupt to S-mode of hart 0. */
function uartStart(a: GuestBuilder): void {
  a.label("uartStart");
  a.li("t0", UART);
  for (const [register, value] of [
    [LCR, 3],
    [FCR, 1],
    [MCR, 0x0b],
    [IER, 1],
  ]) {
    a.li("t1", value);
    a.sb("t1", "t0", register);
  }
  for (const [address, value] of [
    [PLIC + UART_IRQ * 4, 1],
    [PLIC_ENABLE_S0, 1 << UART_IRQ],
    [PLIC_THRESHOLD_S0, 0],
  ]) {
    a.li("t0", address);
    a.li("t1", value);
    a.sw("t1", "t0");
  }
  a.ret();
}

/** Moves every received byte to the ring. */
function uartInterrupt(a: GuestBuilder): void {
  a.label("uartInterrupt");
  a.count("uartInterrupts");
  a.li("t0", UART);
  a.label("uartInterrupt.next");
  a.lbu("t1", "t0", LSR);
  a.andi("t1", "t1", LSR_DATA);
  a.beqz("t1", "uartInterrupt.end");
  a.lbu("t1", "t0", 0);
  a.la("t2", "ringHead");
  a.ld("t3", "t2");
  a.loadVariable("t4", "ringTail");
  a.sub("t4", "t3", "t4");
  a.li("t5", RING_BYTES);
  a.bgeu("t4", "t5", "uartInterrupt.next");
  a.andi("t4", "t3", RING_BYTES - 1);
  a.la("t5", "ring");
  a.add("t4", "t4", "t5");
  a.sb("t1", "t4");
  a.addi("t3", "t3", 1);
  a.sd("t3", "t2");
  a.j("uartInterrupt.next");
  a.label("uartInterrupt.end");
  a.ret();
}

/** getByte() sleeps in WFI until a byte has come, and gives it in a0. */
function getByte(a: GuestBuilder): void {
  a.label("getByte");
  a.csrci("sstatus", 2);
  a.la("t0", "ringTail");
  a.ld("t1", "t0");
  a.loadVariable("t2", "ringHead");
  a.bne("t1", "t2", "getByte.take");
  a.wfi();
  a.csrsi("sstatus", 2);
  a.j("getByte");
  a.label("getByte.take");
  a.andi("t2", "t1", RING_BYTES - 1);
  a.la("t3", "ring");
  a.add("t2", "t2", "t3");
  a.lbu("a0", "t2");
  a.addi("t1", "t1", 1);
  a.sd("t1", "t0");
  a.csrsi("sstatus", 2);
  a.ret();
}

/** putByte(a0), putString(a0 = address), putNumber(a0, decimal), putHex(a0). */
function printing(a: GuestBuilder): void {
  a.label("putByte");
  a.li("t0", UART);
  a.label("putByte.wait");
  a.lbu("t1", "t0", LSR);
  a.andi("t1", "t1", LSR_EMPTY);
  a.beqz("t1", "putByte.wait");
  a.sb("a0", "t0", 0);
  a.ret();

  a.function("putString", ["s0"], () => {
    a.mv("s0", "a0");
    a.label("putString.next");
    a.lbu("a0", "s0");
    a.beqz("a0", "putString.return");
    a.addi("s0", "s0", 1);
    a.li("t0", 10);
    a.bne("a0", "t0", "putString.byte");
    a.li("a0", 13);
    a.call("putByte");
    a.li("a0", 10);
    a.label("putString.byte");
    a.call("putByte");
    a.j("putString.next");
  });

  a.function("putNumber", ["s0", "s1"], () => {
    a.mv("s0", "a0");
    a.li("t0", 10);
    a.divu("s1", "a0", "t0");
    a.beqz("s1", "putNumber.digit");
    a.mv("a0", "s1");
    a.call("putNumber");
    a.label("putNumber.digit");
    a.li("t0", 10);
    a.remu("a0", "s0", "t0");
    a.addi("a0", "a0", 0x30);
    a.call("putByte");
  });

  a.function("putHex", ["s0", "s1"], () => {
    a.mv("s0", "a0");
    a.say("0x");
    a.li("s1", 60);
    // Leading zeros are skipped, the last digit is not.
    a.label("putHex.skip");
    a.srl("t0", "s0", "s1");
    a.bnez("t0", "putHex.digit");
    a.beqz("s1", "putHex.digit");
    a.addi("s1", "s1", -4);
    a.j("putHex.skip");
    a.label("putHex.digit");
    a.srl("a0", "s0", "s1");
    a.andi("a0", "a0", 15);
    a.la("t0", "hexDigits");
    a.add("t0", "t0", "a0");
    a.lbu("a0", "t0");
    a.call("putByte");
    a.addi("s1", "s1", -4);
    a.bgez("s1", "putHex.digit");
  });
}

/**
 * readLine() collects a line in `line`, with echo: backspace takes a character back, Ctrl-C starts
 * anew, CR and LF end it (an LF right after a CR is part of the same end).
 */
function readLine(a: GuestBuilder): void {
  a.function("readLine", ["s0", "s1"], () => {
    a.label("readLine.empty");
    a.la("s0", "line");
    a.label("readLine.next");
    a.call("getByte");
    a.loadVariable("t0", "lastByte");
    a.storeVariable("a0", "lastByte");
    a.li("t1", 10);
    a.bne("a0", "t1", "readLine.notLf");
    a.li("t1", 13);
    a.beq("t0", "t1", "readLine.next");
    a.j("readLine.end");
    a.label("readLine.notLf");
    a.li("t1", 13);
    a.beq("a0", "t1", "readLine.end");
    a.li("t1", 3);
    a.beq("a0", "t1", "readLine.cancel");
    a.li("t1", 8);
    a.beq("a0", "t1", "readLine.erase");
    a.li("t1", 127);
    a.beq("a0", "t1", "readLine.erase");
    a.li("t1", 32);
    a.bltu("a0", "t1", "readLine.next");
    a.la("t0", "line");
    a.sub("t0", "s0", "t0");
    a.li("t1", LINE_BYTES - 1);
    a.bgeu("t0", "t1", "readLine.next");
    a.sb("a0", "s0");
    a.addi("s0", "s0", 1);
    a.call("putByte");
    a.j("readLine.next");
    a.label("readLine.erase");
    a.la("t0", "line");
    a.beq("s0", "t0", "readLine.next");
    a.addi("s0", "s0", -1);
    a.say("\b \b");
    a.j("readLine.next");
    a.label("readLine.cancel");
    a.say("^C\n> ");
    a.j("readLine.empty");
    a.label("readLine.end");
    a.sb("zero", "s0");
    a.say("\n");
  });
}

/** Emits driver and printing. */
export function emitConsole(a: GuestBuilder): void {
  uartStart(a);
  uartInterrupt(a);
  getByte(a);
  printing(a);
  readLine(a);
}
