/**
 * clint: the core-local interruptor at 0x2000000, served inside the core because its state lives in
 * hart blocks.
 *
 * Owns    HART_MSIP and HART_MTIMECMP as the guest sees them.
 * Used by hart/slow.ts.
 * Holds   mtime is machine time and cannot be written.
 *
 *   0x0000 + 4h  msip u32 │ 0x4000 + 8h  mtimecmp u64 │ 0xbff8  mtime u64   (QEMU virt's map)
 */
import {
  HART_ID,
  HART_MSIP,
  HART_MTIMECMP,
  HART_VALUE,
  MACHINE_HARTS,
  MACHINE_HART_BLOCKS,
  RUN,
} from "../layout";
import { timeNowOf } from "./state";

export const CLINT_BASE: u64 = 0x2000000;
export const CLINT_BYTES: u64 = 0x10000;

/** The block of a hart of the running machine: RUN itself for the running one. */
function hartBlock(machine: usize, hart: u32): usize {
  if (hart == load<u32>(RUN, HART_ID)) return RUN;
  return <usize>load<u32>(machine + ((<usize>hart) << 2), MACHINE_HART_BLOCKS);
}

/**
 * Reads 4 or 8 bytes at `offset` into HART_VALUE. False: access fault. The offset is aligned to the
 * size.
 */
export function clintLoad(machine: usize, offset: u32, bytes: u32): bool {
  if (bytes < 4) return false;
  const harts = load<u32>(machine, MACHINE_HARTS);
  let value: u64 = 0;
  if (offset < 4 * harts) {
    value = load<u32>(hartBlock(machine, offset >> 2), HART_MSIP);
  } else if (offset >= 0x4000 && offset < 0x4000 + 8 * harts) {
    value = load<u64>(hartBlock(machine, (offset - 0x4000) >> 3), HART_MTIMECMP);
    if ((offset & 4) != 0) value >>= 32;
  } else if (offset >= 0xbff8 && offset < 0xc000) {
    value = timeNowOf(machine);
    if ((offset & 4) != 0) value >>= 32;
  }
  store<u64>(RUN, bytes == 4 ? value & 0xffffffff : value, HART_VALUE);
  return true;
}

/** Writes 4 or 8 bytes at `offset`. False: access fault. */
export function clintStore(machine: usize, offset: u32, bytes: u32, value: u64): bool {
  if (bytes < 4) return false;
  const harts = load<u32>(machine, MACHINE_HARTS);
  if (offset < 4 * harts) {
    store<u32>(hartBlock(machine, offset >> 2), <u32>value & 1, HART_MSIP);
  } else if (offset >= 0x4000 && offset < 0x4000 + 8 * harts) {
    const block = hartBlock(machine, (offset - 0x4000) >> 3);
    if (bytes == 8) store<u64>(block, value, HART_MTIMECMP);
    else store<u32>(block + <usize>(offset & 4), <u32>value, HART_MTIMECMP);
  }
  return true;
}
