/**
 * shell: the guest's banner, prompt, and the table of its commands.
 *
 * Used by src/guest/index.ts. The commands themselves are in src/guest/commands.ts.
 * Holds   a handler gets the rest of the line, without leading spaces, in a0.
 */
import type { GuestBuilder } from "./builder.ts";
import { COMMANDS } from "./commands.ts";
import { MIB, RAM } from "./platform.ts";

function banner(a: GuestBuilder): void {
  a.function("banner", ["s0"], () => {
    a.say("\nRivulet built-in guest: RV64, S-mode, Sv39, ");
    a.loadVariable("s0", "ramEnd");
    a.li("t0", RAM);
    a.sub("s0", "s0", "t0");
    a.li("t0", MIB);
    a.divu("s0", "s0", "t0");
    a.sayNumber("", "s0", " MiB of memory\n");
    a.say("Type help for the commands.\n");
  });
}

/** Reads lines for ever; also where an unhandled trap comes back to, so it sets its own stack. */
function loop(a: GuestBuilder, stackBytes: number): void {
  a.label("shell");
  a.la("sp", "supervisorStack");
  a.li("t0", stackBytes);
  a.add("sp", "sp", "t0");
  a.say("> ");
  a.call("readLine");
  a.la("a0", "line");
  a.call("skipSpaces");
  a.lbu("t0", "a0");
  a.beqz("t0", "shell");
  a.mv("s0", "a0");
  a.la("s1", "commandTable");

  a.label("shell.find");
  a.ld("a0", "s1");
  a.beqz("a0", "shell.unknown");
  a.mv("a1", "s0");
  a.call("matchWord");
  a.bnez("a0", "shell.found");
  a.addi("s1", "s1", 16);
  a.j("shell.find");
  a.label("shell.found");
  a.call("skipSpaces");
  a.ld("t0", "s1", 8);
  a.jalr("ra", "t0");
  a.j("shell");

  a.label("shell.unknown");
  a.say("unknown command: ");
  a.mv("a0", "s0");
  a.call("putString");
  a.say(" (help lists what there is)\n");
  a.j("shell");
}

/** skipSpaces(a0), matchWord(a0 = name, a1 = text): a0 = behind the word, or 0. */
function words(a: GuestBuilder): void {
  a.label("skipSpaces");
  a.li("t1", 32);
  a.label("skipSpaces.next");
  a.lbu("t0", "a0");
  a.bne("t0", "t1", "skipSpaces.end");
  a.addi("a0", "a0", 1);
  a.j("skipSpaces.next");
  a.label("skipSpaces.end");
  a.ret();

  a.label("matchWord");
  a.lbu("t0", "a0");
  a.beqz("t0", "matchWord.name");
  a.lbu("t1", "a1");
  a.bne("t0", "t1", "matchWord.no");
  a.addi("a0", "a0", 1);
  a.addi("a1", "a1", 1);
  a.j("matchWord");
  a.label("matchWord.name");
  a.mv("a0", "a1");
  a.lbu("t1", "a1");
  a.beqz("t1", "matchWord.yes");
  a.li("t0", 32);
  a.beq("t1", "t0", "matchWord.yes");
  a.label("matchWord.no");
  a.li("a0", 0);
  a.label("matchWord.yes");
  a.ret();
}

/** parseNumber(a0 = text, a1 = default, a2 = largest): a0 = number, a1 = 1 when it was fine. */
function parseNumber(a: GuestBuilder): void {
  a.label("parseNumber");
  a.lbu("t0", "a0");
  a.bnez("t0", "parseNumber.given");
  a.mv("a0", "a1");
  a.li("a1", 1);
  a.ret();
  a.label("parseNumber.given");
  a.li("t1", 0);
  a.label("parseNumber.digit");
  a.addi("t0", "t0", -0x30);
  a.li("t2", 10);
  a.bgeu("t0", "t2", "parseNumber.wrong");
  a.mul("t1", "t1", "t2");
  a.add("t1", "t1", "t0");
  a.bgtu("t1", "a2", "parseNumber.wrong");
  a.addi("a0", "a0", 1);
  a.lbu("t0", "a0");
  a.beqz("t0", "parseNumber.fine");
  a.li("t2", 32);
  a.bne("t0", "t2", "parseNumber.digit");
  a.label("parseNumber.fine");
  a.mv("a0", "t1");
  a.li("a1", 1);
  a.ret();
  a.label("parseNumber.wrong");
  a.li("a1", 0);
  a.ret();
}

/** Emits banner, loop, word handling, every command and the table. */
export function emitShell(a: GuestBuilder, stackBytes: number): void {
  banner(a);
  loop(a, stackBytes);
  words(a);
  parseNumber(a);
  for (const command of COMMANDS) {
    a.function("command." + command.name, ["s0", "s1", "s2", "s3", "s4"], () => {
      command.emit(a);
    });
  }
  a.align(8);
  a.label("commandTable");
  for (const { name } of COMMANDS) a.u64(a.string(name), "command." + name);
  a.u64(0);
}
