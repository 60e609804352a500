/**
 * disk-guest: a guest that drives a virtio disk in slot 0 for ever: writes a sector, reads it back,
 * adds up what it read in s4, and counts its rounds in s3; it prints a letter for each.
 *
 * Used by test/machine/ for captures and forks with requests under way.
 *
 *   RAM + 1 MiB: descriptors │ + 0x1000 available │ + 0x2000 used │ + 0x3000 header │ + 0x4000 data
 */
import type { Assembler } from "../../src/asm/assembler.ts";
import { RAM, UART } from "./guest-program.ts";

const VIRTIO = 0x1000_1000;
const RINGS = RAM + 0x10_0000;
const AVAILABLE = RINGS + 0x1000;
const USED = RINGS + 0x2000;
const HEADER = RINGS + 0x3000;
const STATUS = HEADER + 16;
/** The data of the last request. */
export const DISK_DATA = RINGS + 0x4000;
const SECTOR_BYTES = 512;
/** The guest writes to these sectors, one after the other. */
export const DISK_SECTORS = 64;

function set(a: Assembler, offset: number, value: number): void {
  a.li("t0", VIRTIO + offset);
  a.li("t1", value);
  a.sw("t1", "t0", 0);
}

function descriptor(
  a: Assembler,
  index: number,
  address: number,
  bytes: number,
  flags: number,
): void {
  a.li("t0", RINGS + 16 * index);
  a.li("t1", address);
  a.sd("t1", "t0", 0);
  a.li("t1", bytes);
  a.sw("t1", "t0", 8);
  a.li("t1", flags + ((index + 1) << 16));
  a.sw("t1", "t0", 12);
}

/** Hands in the request that the descriptors describe, and waits for it. */
function request(a: Assembler, type: number): void {
  a.li("t0", HEADER);
  a.li("t1", type);
  a.sw("t1", "t0", 0);
  a.andi("t1", "s3", DISK_SECTORS - 1);
  a.sd("t1", "t0", 8);
  descriptor(a, 1, DISK_DATA, SECTOR_BYTES, type === 0 ? 3 : 1);
  a.addi("s5", "s5", 1);
  a.li("t0", AVAILABLE);
  a.sh("s5", "t0", 2);
  set(a, 0x50, 0);
  const wait = a.fresh("wait");
  a.li("t0", USED);
  a.slli("t2", "s5", 48);
  a.srli("t2", "t2", 48);
  a.label(wait);
  a.lhu("t1", "t0", 2);
  a.bne("t1", "t2", wait);
}

/** The whole program. */
export function emitDiskGuest(a: Assembler): void {
  set(a, 0x70, 0);
  set(a, 0x70, 3);
  set(a, 0x24, 1);
  set(a, 0x20, 1); // VERSION_1
  set(a, 0x70, 11);
  set(a, 0x30, 0);
  set(a, 0x38, 8);
  set(a, 0x80, RINGS);
  set(a, 0x90, AVAILABLE);
  set(a, 0xa0, USED);
  set(a, 0x44, 1);
  set(a, 0x70, 15);
  descriptor(a, 0, HEADER, 16, 1);
  descriptor(a, 2, STATUS, 1, 2);
  a.li("s3", 0);
  a.li("s4", 0);
  a.li("s5", 0);
  a.label("round");
  a.li("t0", DISK_DATA);
  a.add("t1", "s3", "s4");
  a.sd("t1", "t0", 0);
  request(a, 1);
  a.li("t0", DISK_DATA);
  a.sd("zero", "t0", 0);
  request(a, 0);
  a.li("t0", DISK_DATA);
  a.ld("t1", "t0", 0);
  a.li("t2", 33);
  a.mul("s4", "s4", "t2");
  a.add("s4", "s4", "t1");
  a.addi("s3", "s3", 1);
  a.andi("t1", "s3", 15);
  a.addi("t1", "t1", 65);
  a.li("t0", UART);
  a.sb("t1", "t0", 0);
  a.j("round");
}
