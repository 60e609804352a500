/**
 * PMP: physical memory protection, 16 entries, grain 4 bytes (Privileged 3.7).
 *
 * Owns    HART_PMPCFG, HART_PMPADDR and the derived HART_PMP_ACTIVE of the running hart.
 * Used by hart/csr (registers), mmu/translate (checks before a TLB fill, and for pages that may not
 *         be filled).
 * Holds   an entry never has W without R; bits 5 and 6 of a configuration byte are 0; a locked
 *         entry never changes.
 *
 *   configuration byte  7 L | 4-3 A (0 OFF, 1 TOR, 2 NA4, 3 NAPOT) | 2 X | 1 W | 0 R
 *   address register    bits 55-2 of a physical address
 */

import { changedMarkFlush, PRIV_M } from "../hart/state";
import {
  HART_MACHINE,
  HART_PMP_ACTIVE,
  HART_PMPADDR,
  HART_PMPCFG,
  MACHINE_SBI,
  RUN,
} from "../layout";

export const PMP_ENTRIES: u32 = 16;
export const PMP_READ: u32 = 1;
export const PMP_WRITE: u32 = 2;
export const PMP_EXECUTE: u32 = 4;

const PMP_ACCESS: u32 = 7;
const PMP_MODE: u32 = 0x18;
const PMP_MODE_OFF: u32 = 0;
const PMP_MODE_TOR: u32 = 0x08;
const PMP_MODE_NA4: u32 = 0x10;
const PMP_LOCK: u32 = 0x80;
const PMP_CONFIG_MASK: u32 = 0x9f;
/** Physical addresses of 56 bits, kept without the lowest two. */
const PMP_ADDRESS_MASK: u64 = 0x003fffffffffffff;
const PHYSICAL_LAST: u64 = 0x00ffffffffffffff;
const PAGE_MASK: u64 = 0xfff;

/** How an entry meets a range of bytes. */
const MATCH_NONE: u32 = 0;
const MATCH_PART: u32 = 1;
const MATCH_ALL: u32 = 2;

// @ts-ignore: decorator
@inline
function configOf(entry: u32): u32 {
  return load<u8>(<usize>entry, RUN + HART_PMPCFG);
}

// @ts-ignore: decorator
@inline
function addressOf(entry: u32): u64 {
  return load<u64>(<usize>entry << 3, RUN + HART_PMPADDR);
}

/** How an entry with configuration `config` meets the bytes `first` to `last`, both included. */
function pmpMatch(entry: u32, config: u32, first: u64, last: u64): u32 {
  const mode = config & PMP_MODE;
  const address = addressOf(entry);
  let from: u64;
  let to: u64; // included, so that a range ending at the top of the address space needs no 65th bit
  if (mode == PMP_MODE_TOR) {
    from = entry == 0 ? 0 : addressOf(entry - 1) << 2;
    to = address << 2;
    if (from >= to) return MATCH_NONE; // Privileged 3.7.1: such an entry matches nothing
    to--;
  } else {
    // NAPOT: the trailing ones and the zero above them are the size; NA4 has none of them.
    const ones: u64 = mode == PMP_MODE_NA4 ? 0 : address ^ (address + 1);
    from = (address & ~ones) << 2;
    to = from | (ones << 2) | 3;
  }
  if (last < from || first > to) return MATCH_NONE;
  return first >= from && last <= to ? MATCH_ALL : MATCH_PART;
}

/**
 * True when the running hart may make an access of `bytes` (at least 1) at a physical address.
 * `access` is one or more of PMP_READ, PMP_WRITE, PMP_EXECUTE; `priv` the effective privilege, so
 * MPRV is already applied.
 */
export function pmpAllows(address: u64, bytes: u32, access: u32, priv: u32): bool {
  if (load<u32>(RUN, HART_PMP_ACTIVE) == 0) return true;
  const last = address + <u64>(bytes - 1);
  // Round the top of the address space, where no entry reaches.
  if (last < address) return priv == PRIV_M;
  for (let entry: u32 = 0; entry < PMP_ENTRIES; entry++) {
    const config = configOf(entry);
    if ((config & PMP_MODE) == PMP_MODE_OFF) continue;
    const match = pmpMatch(entry, config, address, last);
    if (match == MATCH_NONE) continue;
    // Privileged 3.7.1: the lowest entry that meets any byte decides, and must meet all; even
    // M-mode fails otherwise.
    if (match == MATCH_PART) return false;
    if (priv == PRIV_M && (config & PMP_LOCK) == 0) return true;
    return (config & access) == access;
  }
  return priv == PRIV_M;
}

/**
 * True when every byte of the 4 KiB page around `address` has the same rights, so that one check
 * serves the page.
 */
export function pmpPageUniform(address: u64): bool {
  if (load<u32>(RUN, HART_PMP_ACTIVE) == 0) return true;
  const first = address & ~PAGE_MASK;
  const last = address | PAGE_MASK;
  for (let entry: u32 = 0; entry < PMP_ENTRIES; entry++) {
    const config = configOf(entry);
    if ((config & PMP_MODE) == PMP_MODE_OFF) continue;
    const match = pmpMatch(entry, config, first, last);
    if (match != MATCH_NONE) return match == MATCH_ALL; // entries behind a whole match have no say
  }
  return true;
}

/**
 * Derives HART_PMP_ACTIVE: 0 when no access that can reach memory is ever refused, so that checks
 * may be skipped. That is when the first entry in use opens everything without locking, as firmware
 * without secrets sets it, and when the built-in SBI stands in for the firmware: nothing in such a
 * guest can write an entry.
 */
export function pmpActiveUpdate(): void {
  store<u32>(RUN, pmpRestricts() ? 1 : 0, HART_PMP_ACTIVE);
}

function pmpRestricts(): bool {
  let first: u32 = PMP_ENTRIES;
  for (let entry: u32 = 0; entry < PMP_ENTRIES; entry++) {
    if ((configOf(entry) & PMP_MODE) == PMP_MODE_OFF) continue;
    first = entry;
    break;
  }
  if (first == PMP_ENTRIES) {
    // Privileged 3.7.1: with entries implemented and none matching, S and U have no memory at all.
    const machine = <usize>load<u32>(RUN, HART_MACHINE);
    return machine == 0 || load<u32>(machine, MACHINE_SBI) == 0;
  }
  const config = configOf(first);
  if ((config & PMP_ACCESS) != PMP_ACCESS) return true;
  return pmpMatch(first, config, 0, PHYSICAL_LAST) != MATCH_ALL;
}

/**
 * The eight configuration bytes from entry `first` (0 or 8) on, as pmpcfg0 and pmpcfg2 show them.
 */
export function pmpConfigRead(first: u32): u64 {
  return load<u64>(<usize>first, RUN + HART_PMPCFG);
}

/**
 * Writes pmpcfg0 (`first` 0) or pmpcfg2 (`first` 8): locked entries and reserved settings keep out
 * (WARL).
 */
export function pmpConfigWrite(first: u32, value: u64): void {
  let isChanged = false;
  for (let index: u32 = 0; index < 8; index++) {
    const entry = first + index;
    const old = configOf(entry);
    if ((old & PMP_LOCK) != 0) continue;
    let config = <u32>(value >> (<u64>index << 3)) & PMP_CONFIG_MASK;
    // Privileged 3.7.1: W without R is reserved; such a write gives neither.
    if ((config & PMP_READ) == 0) config &= ~PMP_WRITE;
    if (config == old) continue;
    store<u8>(<usize>entry, <u8>config, RUN + HART_PMPCFG);
    isChanged = true;
  }
  if (isChanged) pmpChanged();
}

/** The address register of an entry (0-15). */
export function pmpAddressRead(entry: u32): u64 {
  return addressOf(entry);
}

/**
 * Writes the address register of an entry (0-15), unless it is locked or bounds a locked TOR entry.
 */
export function pmpAddressWrite(entry: u32, value: u64): void {
  if ((configOf(entry) & PMP_LOCK) != 0) return;
  if (entry + 1 < PMP_ENTRIES) {
    // Privileged 3.7.1: the address below a locked TOR entry is part of it, whatever its own
    // entry's mode.
    const above = configOf(entry + 1);
    if ((above & PMP_LOCK) != 0 && (above & PMP_MODE) == PMP_MODE_TOR) return;
  }
  const address = value & PMP_ADDRESS_MASK;
  if (address == addressOf(entry)) return;
  store<u64>(<usize>entry << 3, address, RUN + HART_PMPADDR);
  pmpChanged();
}

function pmpChanged(): void {
  pmpActiveUpdate();
  changedMarkFlush();
}
