/**
 * migration-guest: bare-metal programs that are moved: the same ELF for us and for QEMU.
 *
 * Used by suites/migration.ts.
 */
import { Assembler } from "../src/asm/assembler.ts";
import { elf64 } from "../src/asm/elf.ts";

const RAM = 0x8000_0000;
const UART = 0x1000_0000;
/** Where its memory begins: behind the code. */
const DATA = 0x8100_0000;
const MEBIBYTE = 1 << 20;
/** Ticks of 100 ns between two beats: 1 ms. */
const BEAT_TICKS = 10_000;

/** What the guest does. */
export interface GuestWork {
  /** Filled with random data, once, before it says "R". */
  readonly fillMib: number;
  /** Written again and again, word by word; 0: it only beats. */
  readonly hotMib: number;
}

/** The ELF: it fills memory, says R, and then says "." every millisecond, or writes. */
export function migrationGuest({ fillMib, hotMib }: GuestWork): Uint8Array {
  const a = new Assembler({ base: RAM });
  a.li("s0", DATA);
  a.li("s1", DATA + Math.max(fillMib, hotMib) * MEBIBYTE);
  a.li("s2", 0x2545_f491);
  a.mv("t0", "s0");
  a.label("fill");
  for (const [shift, left] of [
    [13, true],
    [7, false],
    [17, true],
  ] as const) {
    if (left) a.slli("t1", "s2", shift);
    else a.srli("t1", "s2", shift);
    a.xor("s2", "s2", "t1");
  }
  a.sd("s2", "t0", 0);
  a.addi("t0", "t0", 8);
  a.bltu("t0", "s1", "fill");
  emitByte(a, "R");
  if (hotMib > 0) {
    a.li("s1", DATA + hotMib * MEBIBYTE);
    a.label("round");
    a.mv("t0", "s0");
    a.addi("s2", "s2", 1);
    a.label("write");
    a.sd("s2", "t0", 0);
    a.addi("t0", "t0", 8);
    a.bltu("t0", "s1", "write");
    a.j("round");
  } else {
    a.li("s3", BEAT_TICKS);
    a.label("beat");
    a.csrr("t0", "time");
    a.add("t0", "t0", "s3");
    a.label("wait");
    a.csrr("t1", "time");
    a.bltu("t1", "t0", "wait");
    emitByte(a, ".");
    a.j("beat");
  }
  const { bytes } = a.assemble();
  return elf64({ entry: RAM, segments: [{ address: RAM, bytes }] });
}

function emitByte(a: Assembler, character: string): void {
  a.li("t2", UART);
  a.li("t3", character.charCodeAt(0));
  a.sb("t3", "t2", 0);
}
