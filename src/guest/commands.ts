/**
 * commands: what the guest answers to. Each entry is a name, a line of help and the code.
 *
 * Used by src/guest/shell.ts, which wraps each in a function that saves s0 to s4.
 * Holds   a0 is the rest of the line on entry; a wrong argument is answered with the usage.
 */
import type { GuestBuilder } from "./builder.ts";
import {
  DEMAND,
  FINISHER,
  FINISHER_FAIL,
  FINISHER_PASS,
  FINISHER_RESET,
  MEMORY_TEST_MIB_MAX,
  MIB,
  PRIMES_MAX,
  RAM,
  TICKS_PER_SECOND,
} from "./platform.ts";

interface GuestCommand {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  emit(a: GuestBuilder): void;
}

/** The argument as a number into s0, `standard` when there is none; usage when it is not one. */
function argument(a: GuestBuilder, command: GuestCommand, standard: number, max: number): void {
  const [fine, name] = [a.fresh("fine"), "command." + command.name];
  a.li("a1", standard);
  a.li("a2", max);
  a.call("parseNumber");
  a.bnez("a1", fine);
  a.say(`usage: ${command.usage} (at most ${max})\n`);
  a.j(name + ".return");
  a.label(fine);
  a.mv("s0", "a0");
}

function finish(a: GuestBuilder): void {
  const wait = a.fresh("off");
  a.li("t1", FINISHER);
  a.sw("t0", "t1");
  a.label(wait);
  a.wfi();
  a.j(wait);
}

/** Prints microseconds in `s0` as seconds with three decimals. */
function sayMilliseconds(a: GuestBuilder, ticks: "s0"): void {
  a.li("t0", TICKS_PER_SECOND);
  a.remu("s1", ticks, "t0");
  a.divu("a0", ticks, "t0");
  a.call("putNumber");
  a.say(".");
  a.li("t0", TICKS_PER_SECOND / 1000);
  a.divu("s1", "s1", "t0");
  for (const digit of [100, 10, 1]) {
    a.li("t0", digit);
    a.divu("a0", "s1", "t0");
    a.remu("s1", "s1", "t0");
    a.addi("a0", "a0", 0x30);
    a.call("putByte");
  }
}

const help: GuestCommand = {
  name: "help",
  usage: "help",
  help: "this list",
  emit(a) {
    const width = Math.max(...COMMANDS.map(({ usage }) => usage.length));
    for (const { usage, help } of COMMANDS) a.say(`  ${usage.padEnd(width)}  ${help}\n`);
  },
};

const info: GuestCommand = {
  name: "info",
  usage: "info",
  help: "the hart: ISA, translation, interrupts so far",
  emit(a) {
    a.say("isa: rv64");
    a.loadVariable("s0", "misa");
    a.la("s1", a.string("imafdcbv"));
    a.label("info.letter");
    a.lbu("s2", "s1");
    a.beqz("s2", "info.letters");
    a.addi("s1", "s1", 1);
    a.addi("t0", "s2", -0x61);
    a.srl("t0", "s0", "t0");
    a.andi("t0", "t0", 1);
    a.beqz("t0", "info.letter");
    a.mv("a0", "s2");
    a.call("putByte");
    a.j("info.letter");
    a.label("info.letters");
    a.csrr("t0", "satp");
    a.srli("s0", "t0", 60);
    a.sayNumber("\ntranslation: satp mode ", "s0", "\n");
    a.loadVariable("s0", "timerInterrupts");
    a.sayNumber("interrupts: timer ", "s0", "");
    a.loadVariable("s0", "uartInterrupts");
    // How many bytes came with one interrupt is up to the host, so only "some" is said.
    a.snez("s0", "s0");
    a.sayNumber(", uart any ", "s0", "\n");
  },
};

const mem: GuestCommand = {
  name: "mem",
  usage: "mem [MIB]",
  help: "memory in use; with MIB, fill and check that much through demand paging",
  emit(a) {
    argument(a, mem, 0, MEMORY_TEST_MIB_MAX);
    a.li("t0", MIB);
    a.mul("s0", "s0", "t0");
    a.beqz("s0", "mem.report");
    a.li("s1", DEMAND);
    a.add("s2", "s1", "s0");
    // Each doubleword holds its own address multiplied, so a page in the wrong place shows.
    a.li("s3", 0x9e3779b97f4a7c15n);
    a.label("mem.fill");
    a.mul("t0", "s1", "s3");
    a.sd("t0", "s1");
    a.addi("s1", "s1", 8);
    a.bltu("s1", "s2", "mem.fill");
    a.li("s1", DEMAND);
    a.label("mem.check");
    a.mul("t0", "s1", "s3");
    a.ld("t1", "s1");
    a.bne("t0", "t1", "mem.wrong");
    a.addi("s1", "s1", 8);
    a.bltu("s1", "s2", "mem.check");
    a.srli("s0", "s0", 20);
    a.sayNumber("checked ", "s0", " MiB: ok\n");
    a.j("mem.report");
    a.label("mem.wrong");
    a.say("mismatch at ");
    a.mv("a0", "s1");
    a.call("putHex");
    a.say("\n");
    a.label("mem.report");
    a.loadVariable("s0", "ramEnd");
    a.loadVariable("s1", "freePage");
    a.sub("s1", "s0", "s1");
    a.li("t0", RAM);
    a.sub("s0", "s0", "t0");
    a.srli("s0", "s0", 10);
    a.srli("s1", "s1", 10);
    a.sayNumber("memory: ", "s0", " KiB, ");
    a.sayNumber("", "s1", " KiB free, ");
    a.loadVariable("s0", "pagesMapped");
    a.sayNumber("", "s0", " pages mapped on demand\n");
  },
};

const time: GuestCommand = {
  name: "time",
  usage: "time",
  help: "seconds since power-on",
  emit(a) {
    a.csrr("s0", "time");
    sayMilliseconds(a, "s0");
    a.say(" s\n");
  },
};

const sleep: GuestCommand = {
  name: "sleep",
  usage: "sleep [MS]",
  help: "wait for a timer interrupt (1000 ms)",
  emit(a) {
    argument(a, sleep, 1000, 3_600_000);
    a.csrr("s1", "time");
    a.li("t0", TICKS_PER_SECOND / 1000);
    a.mul("t0", "s0", "t0");
    a.add("a0", "s1", "t0");
    a.call("sleepUntil");
    a.sayNumber("slept ", "s0", " ms\n");
  },
};

const primes: GuestCommand = {
  name: "primes",
  usage: "primes [N]",
  help: "count the primes up to N (1000) with a sieve",
  emit(a) {
    argument(a, primes, 1000, PRIMES_MAX);
    a.li("s1", DEMAND);
    a.addi("t0", "s0", 1);
    a.add("t0", "s1", "t0");
    a.mv("t1", "s1");
    a.label("primes.clear");
    a.sb("zero", "t1");
    a.addi("t1", "t1", 1);
    a.bltu("t1", "t0", "primes.clear");
    a.li("s2", 0); // count
    a.li("s3", 0); // the last one
    a.li("t0", 2);
    a.label("primes.next");
    a.bgtu("t0", "s0", "primes.end");
    a.add("t1", "s1", "t0");
    a.lbu("t2", "t1");
    a.bnez("t2", "primes.skip");
    a.addi("s2", "s2", 1);
    a.mv("s3", "t0");
    a.mul("t3", "t0", "t0");
    a.li("t4", 1);
    a.label("primes.strike");
    a.bgtu("t3", "s0", "primes.skip");
    a.add("t1", "s1", "t3");
    a.sb("t4", "t1");
    a.add("t3", "t3", "t0");
    a.j("primes.strike");
    a.label("primes.skip");
    a.addi("t0", "t0", 1);
    a.j("primes.next");
    a.label("primes.end");
    a.sayNumber("", "s2", " primes up to ");
    a.sayNumber("", "s0", ", the last ");
    a.sayNumber("", "s3", "\n");
  },
};

const echo: GuestCommand = {
  name: "echo",
  usage: "echo TEXT",
  help: "say it again",
  emit(a) {
    a.call("putString");
    a.say("\n");
  },
};

const fault: GuestCommand = {
  name: "fault",
  usage: "fault",
  help: "read an address that is not mapped, and survive",
  emit(a) {
    a.li("t0", 0x3000000000);
    a.ld("t0", "t0", 8);
  },
};

const reboot: GuestCommand = {
  name: "reboot",
  usage: "reboot",
  help: "reset the machine",
  emit(a) {
    a.li("t0", FINISHER_RESET);
    finish(a);
  },
};

const poweroff: GuestCommand = {
  name: "poweroff",
  usage: "poweroff [CODE]",
  help: "end the machine with an exit code (0)",
  emit(a) {
    argument(a, poweroff, 0, 255);
    a.li("t0", FINISHER_PASS);
    a.beqz("s0", "poweroff.now");
    a.slli("s0", "s0", 16);
    a.li("t0", FINISHER_FAIL);
    a.or("t0", "t0", "s0");
    a.label("poweroff.now");
    finish(a);
  },
};

/** Every command, in the order in which help lists them. */
export const COMMANDS: readonly GuestCommand[] = [
  help,
  info,
  mem,
  time,
  sleep,
  primes,
  echo,
  fault,
  reboot,
  poweroff,
];
