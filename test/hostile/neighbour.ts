/**
 * neighbour: a well-behaved guest that uses a little of everything, so that any leak from another
 * machine would change how it ends.
 *
 * Used by yard.ts.
 *
 * Two harts compute over memory through a page table of 2 MiB pages and CSRs; hart 0 prints, asks
 * the entropy source and the disk through their queues, reads the clock, and waits for timers.
 */
import type { Assembler } from "../../src/asm/assembler.ts";
import { elfProgram, UART } from "../helpers/guest-program.ts";

const DISK = 0x1000_1000;
const ENTROPY = 0x1000_2000;
const CLINT = 0x200_0000;
/** Where the queues of disk and entropy source lie. */
const QUEUES = { disk: 0x8010_0000, entropy: 0x8011_0000 };
const SECTOR_BYTES = 512;

function store(a: Assembler, base: number, offset: number, value: number | bigint): void {
  a.li("t0", base + offset);
  a.li("t1", value);
  a.sw("t1", "t0", 0);
}

/** Takes the device through 3.1.1 with one queue of 4 at `queue`. */
function emitStart(a: Assembler, base: number, queue: number): void {
  for (const status of [0, 1, 3]) store(a, base, 0x70, status);
  store(a, base, 0x24, 1);
  store(a, base, 0x20, 1);
  store(a, base, 0x70, 11);
  store(a, base, 0x30, 0);
  store(a, base, 0x38, 4);
  for (const [offset, at] of [
    [0x80, 0],
    [0x90, 0x1000],
    [0xa0, 0x2000],
  ] as const) {
    store(a, base, offset, BigInt.asIntN(32, BigInt(queue + at)));
  }
  store(a, base, 0x44, 1);
  store(a, base, 0x70, 15);
}

/** Descriptor `index`: address, bytes, flags, next. */
function emitDescriptor(
  a: Assembler,
  queue: number,
  index: number,
  words: readonly bigint[],
): void {
  const [address, bytes, flags, next] = words;
  a.li("t0", queue + 16 * index);
  a.li("t1", address);
  a.sd("t1", "t0", 0);
  a.li("t1", bytes | (flags << 32n) | (next << 48n));
  a.sd("t1", "t0", 8);
}

/** Puts head 0 into the available ring once more and tells the device. */
function emitOffer(a: Assembler, base: number, queue: number): void {
  a.li("t0", queue + 0x1000);
  a.lhu("t1", "t0", 2);
  a.addi("t1", "t1", 1);
  a.sh("t1", "t0", 2);
  store(a, base, 0x50, 0);
}

/** The program, as ELF. */
export function neighbourProgram(): Uint8Array {
  return elfProgram((a) => {
    a.csrr("s11", "mhartid");
    a.la("s0", "memory");
    a.li("s1", 6364136223);
    a.addi("s2", "s11", 1);
    a.bnez("s11", "round");
    emitStart(a, DISK, QUEUES.disk);
    emitStart(a, ENTROPY, QUEUES.entropy);
    const data = BigInt(QUEUES.disk + 0x4000);
    emitDescriptor(a, QUEUES.disk, 0, [BigInt(QUEUES.disk + 0x3000), 16n, 1n, 1n]);
    emitDescriptor(a, QUEUES.disk, 1, [data, BigInt(SECTOR_BYTES), 3n, 2n]);
    emitDescriptor(a, QUEUES.disk, 2, [data + 0x1000n, 1n, 2n, 0n]);
    emitDescriptor(a, QUEUES.entropy, 0, [BigInt(QUEUES.entropy + 0x3000), 64n, 2n, 0n]);
    a.label("round");
    a.li("s3", 400);
    a.label("work");
    a.mul("s2", "s2", "s1");
    a.addi("s2", "s2", 11);
    a.csrw("mscratch", "s2");
    a.srli("t0", "s2", 40);
    a.andi("t0", "t0", 0x7f8);
    a.add("t0", "t0", "s0");
    a.amoaddD("t1", "s2", "t0");
    a.xor("s2", "s2", "t1");
    a.addi("s3", "s3", -1);
    a.bnez("s3", "work");
    a.bnez("s11", "round");
    emitOffer(a, ENTROPY, QUEUES.entropy);
    emitOffer(a, DISK, QUEUES.disk);
    a.li("t0", QUEUES.entropy + 0x3000);
    a.ld("t1", "t0", 0);
    a.add("s2", "s2", "t1");
    a.li("t0", UART);
    a.andi("t1", "s2", 63);
    a.addi("t1", "t1", 48);
    a.sb("t1", "t0", 0);
    a.li("t0", CLINT + 0xbff8);
    a.ld("t1", "t0", 0);
    a.addi("t1", "t1", 900);
    a.li("t0", CLINT + 0x4000);
    a.sd("t1", "t0", 0);
    a.li("t1", 0x80);
    a.csrw("mie", "t1");
    a.wfi();
    a.j("round");
    a.align(4096);
    a.label("memory");
    a.space(4096);
  });
}
