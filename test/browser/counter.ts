/**
 * counter: a guest that counts on its console, a number a line, and writes all over some of its
 * memory between two numbers; and what is told of what it said.
 *
 * Used by the migration suites beside it.
 */
import * as assert from "uvu/assert";
import { elfProgram, UART } from "../helpers/guest-program.ts";

/** Where it writes. */
const SCRATCH = 0x8010_0000;
const SCRATCH_PAGES = 256;
/** Stores between two numbers. */
const STORES = 20_000;
const DIGITS_END = 0x8008_0000;

/** The program: counts from 1 for ever. */
export function counter(): Uint8Array {
  return elfProgram((a) => {
    a.li("s0", 0);
    a.li("s1", UART);
    a.li("s2", 2463534242);
    a.li("s3", 1103515245);
    a.li("s4", SCRATCH);
    a.li("s5", SCRATCH_PAGES - 1);
    a.label("number");
    a.addi("s0", "s0", 1);
    a.li("t0", 10);
    a.mv("t1", "s0");
    a.li("t2", DIGITS_END);
    a.sb("t0", "t2", 0); // a line ends with the character 10
    a.label("digit");
    a.remu("t3", "t1", "t0");
    a.addi("t3", "t3", 48);
    a.addi("t2", "t2", -1);
    a.sb("t3", "t2", 0);
    a.divu("t1", "t1", "t0");
    a.bnez("t1", "digit");
    a.label("say");
    a.lbu("t3", "t2", 0);
    a.sb("t3", "s1", 0);
    a.addi("t2", "t2", 1);
    a.bne("t3", "t0", "say");
    a.li("s6", STORES);
    a.label("store");
    a.mul("s2", "s2", "s3");
    a.addi("s2", "s2", 1013);
    a.srli("t0", "s2", 18);
    a.and("t0", "t0", "s5");
    a.slli("t0", "t0", 12);
    a.add("t0", "t0", "s4");
    a.sd("s2", "t0", 0);
    a.addi("s6", "s6", -1);
    a.bnez("s6", "store");
    a.j("number");
  });
}

/** Fails unless `text` is 1, 2, 3 and so on, but for a last line that is not whole; how far. */
export function countedTo(text: string): number {
  const lines = text.split("\n");
  lines.pop();
  lines.forEach((line, at) => {
    assert.is(line, String(at + 1), `behind ${lines.slice(Math.max(0, at - 3), at).join(", ")}`);
  });
  return lines.length;
}
