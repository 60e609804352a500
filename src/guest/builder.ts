/**
 * builder: the assembler with what the guest's source needs on top: functions, strings, numbers.
 *
 * Used by every file of src/guest. Knows nothing of what the guest does.
 * Holds   functions follow the standard calling convention: a0-a7 and t0-t6 are lost in a call.
 */
import { Assembler } from "../asm/assembler.ts";
import type { Reg } from "../asm/register.ts";

/** Assembler with functions, a string pool and shorthands for calls that print. */
export class GuestBuilder extends Assembler {
  #strings = new Map<string, string>();

  /** A function that saves ra and `saved`; `body` may jump to `NAME.return`. */
  function(name: string, saved: readonly Reg[], body: () => void): void {
    const kept: Reg[] = ["ra", ...saved];
    const frameBytes = Math.ceil(kept.length / 2) * 16;
    this.label(name);
    this.addi("sp", "sp", -frameBytes);
    kept.forEach((reg, index) => {
      this.sd(reg, "sp", index * 8);
    });
    body();
    this.label(name + ".return");
    kept.forEach((reg, index) => {
      this.ld(reg, "sp", index * 8);
    });
    this.addi("sp", "sp", frameBytes);
    this.ret();
  }

  /** Label of a zero-ended string in the pool; equal texts share one. */
  string(text: string): string {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const label = this.fresh("string");
    this.#strings.set(text, label);
    return label;
  }

  /** Prints a constant text. */
  say(text: string): void {
    this.la("a0", this.string(text));
    this.call("putString");
  }

  /** Loads a 64-bit variable. */
  loadVariable(rd: Reg, name: string): void {
    this.la(rd, name);
    this.ld(rd, rd);
  }

  /** Stores a 64-bit variable; `scratch` is overwritten. */
  storeVariable(source: Reg, name: string, scratch: Reg = "t6"): void {
    this.la(scratch, name);
    this.sd(source, scratch);
  }

  /** Adds one to a 64-bit variable; t5 and t6 are overwritten. */
  count(name: string): void {
    this.la("t6", name);
    this.ld("t5", "t6");
    this.addi("t5", "t5", 1);
    this.sd("t5", "t6");
  }

  /** Prints a decimal number after a text and before another. */
  sayNumber(before: string, reg: Reg, after: string): void {
    if (before !== "") this.say(before);
    this.mv("a0", reg);
    this.call("putNumber");
    if (after !== "") this.say(after);
  }

  /** Emits the strings asked for so far; to be called once, after the code. */
  stringPool(): void {
    for (const [text, label] of this.#strings) {
      this.label(label);
      this.asciz(text);
    }
  }
}
