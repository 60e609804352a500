/**
 * slow: one instruction the slow way: whatever the hot loop left with. Semantics are complete here;
 * the hot loop's cases are shortcuts of these.
 *
 * Owns    nothing of its own; works on RUN.
 * Used by hart/slice.ts with HART_PC at the instruction.
 * Holds   an instruction that traps, or that must be executed again, has changed nothing.
 */
import {
  HART_F,
  HART_FFLAGS,
  HART_FP_ON,
  HART_FRM,
  HART_MENVCFG,
  HART_MMIO_OP,
  HART_MMIO_RD,
  HART_MSTATUS,
  HART_NEXT_PC,
  HART_PC,
  HART_PHYSICAL,
  HART_PRIV,
  HART_SENVCFG,
  HART_TRAP_CAUSE,
  HART_TRAP_VALUE,
  HART_VALUE,
  MACHINE_EXIT_ADDRESS,
  MACHINE_EXIT_SIZE,
  MACHINE_EXIT_VALUE,
  MACHINE_EXIT_WRITE,
  MACHINE_HTIF_HALF,
  MACHINE_TOHOST,
  RUN,
} from "../layout";
import { amoExecute } from "../isa/amo";
import { compressedExpand } from "../isa/compressed";
import { fpExecute, fpFastUpdate, fpWritesInteger } from "../isa/fp";
import { systemExecute } from "../isa/system";
import { frameChanging } from "../memory/door";
import { frameAddress } from "../memory/frames";
import { ramPage, stage2Frame, stage2Read } from "../memory/stage2";
import {
  ACCESS_LOAD,
  ACCESS_STORE,
  faultSet,
  translateData,
} from "../mmu/translate";
import { CLINT_BASE, CLINT_BYTES, clintLoad, clintStore } from "./clint";
import { 
  SLOW_HTIF,
  SLOW_MEMORY,
  SLOW_MMIO,
  SLOW_NEXT,
  SLOW_PAGE,
  SLOW_SAMPLE,
  SLOW_TRAP,
  undone,
} from "./outcome";
import { MENVCFG_CBZE, regGet, regSet } from "./state";
import { CAUSE_ILLEGAL } from "./trap";

const MSTATUS_FS: u64 = 3 << 13;

function illegal(bits: u32): u32 {
  store<u64>(RUN, CAUSE_ILLEGAL, HART_TRAP_CAUSE);
  store<u64>(RUN, bits, HART_TRAP_VALUE);
  return SLOW_TRAP;
}

/** HTIF device 1, command 1, before its byte is there. */
const HTIF_PRINT: u64 = 0x0101000000000000;

/** Recomputes what the hot loop keeps about FS, frm and fflags. */
export function floatUpdate(): void {
  fpFastUpdate();
  const fs = load<u64>(RUN, HART_MSTATUS) & MSTATUS_FS;
  const isFree = fs == MSTATUS_FS && load<u32>(RUN, HART_FRM) < 5;
  store<u32>(RUN, isFree ? 2 : fs != 0 ? 1 : 0, HART_FP_ON);
}

function floatDirty(): void {
  store<u64>(RUN, load<u64>(RUN, HART_MSTATUS) | MSTATUS_FS, HART_MSTATUS);
  floatUpdate();
}

/** Writes what a load instruction got: sign or zero extension, or NaN-boxing. */
export function loadFinish(raw: u32, value: u64): void {
  const rd = (raw >> 7) & 31;
  const funct3 = (raw >> 12) & 7;
  if ((raw & 0x7f) == 0x07) {
    store<u64>((<usize>rd) << 3, funct3 == 2 ? value | 0xffffffff00000000 : value, RUN + HART_F);
    floatDirty();
    return;
  }
  switch (funct3) {
    case 0:
      regSet(rd, <u64>(<i64>(<i8>value)));
      return;
    case 1:
      regSet(rd, <u64>(<i64>(<i16>value)));
      return;
    case 2:
      regSet(rd, <u64>(<i64>(<i32>value)));
      return;
    case 4:
      regSet(rd, <u64>(<u8>value));
      return;
    case 5:
      regSet(rd, <u64>(<u16>value));
      return;
    case 6:
      regSet(rd, <u64>(<u32>value));
      return;
    default:
      regSet(rd, value);
  }
}

function deviceExit(
  machine: usize,
  raw: u32,
  nextPc: u64,
  va: u64,
  bytes: u32,
  isStore: u32,
  value: u64,
): u32 {
  store<u64>(RUN, va, HART_TRAP_VALUE); // for the access fault when nothing answers
  store<u64>(machine, load<u64>(RUN, HART_PHYSICAL), MACHINE_EXIT_ADDRESS);
  store<u32>(machine, bytes, MACHINE_EXIT_SIZE);
  store<u32>(machine, isStore, MACHINE_EXIT_WRITE);
  store<u64>(machine, value, MACHINE_EXIT_VALUE);
  store<u32>(RUN, raw, HART_MMIO_OP);
  store<u32>(RUN, isStore, HART_MMIO_RD);
  store<u64>(RUN, nextPc, HART_NEXT_PC);
  return SLOW_MMIO;
}

// @ts-ignore: decorator
@inline
function rawLoad(at: usize, bytes: u32): u64 {
  return bytes == 8
    ? load<u64>(at)
    : bytes == 4
      ? <u64>load<u32>(at)
      : bytes == 2
        ? <u64>load<u16>(at)
        : <u64>load<u8>(at);
}

// @ts-ignore: decorator
@inline
function rawStore(at: usize, bytes: u32, value: u64): void {
  if (bytes == 8) store<u64>(at, value);
  else if (bytes == 4) store<u32>(at, <u32>value);
  else if (bytes == 2) store<u16>(at, <u16>value);
  else store<u8>(at, <u8>value);
}

/** A load that lies in two pages. Device memory on either side is an access fault. */
function loadCrossing(machine: usize, raw: u32, va: u64, bytes: u32): u32 {
  const first: u32 = 4096 - (<u32>va & 0xfff);
  let outcome = translateData(machine, va, first, ACCESS_LOAD);
  if (outcome != 0) return undone(outcome);
  const low = load<u64>(RUN, HART_PHYSICAL);
  outcome = translateData(machine, va + first, bytes - first, ACCESS_LOAD);
  if (outcome != 0) return undone(outcome);
  const high = load<u64>(RUN, HART_PHYSICAL);
  const lowPage = ramPage(machine, low);
  const highPage = ramPage(machine, high);
  if (lowPage == u32.MAX_VALUE) return faultSet(ACCESS_LOAD, true, va);
  if (highPage == u32.MAX_VALUE) return faultSet(ACCESS_LOAD, true, va + first);
  const lowAt = stage2Read(machine, lowPage) + <usize>(low & 0xfff);
  const highAt = stage2Read(machine, highPage);
  let value: u64 = 0;
  for (let index: u32 = 0; index < bytes; index++) {
    const byte =
      index < first ? load<u8>(lowAt + <usize>index) : load<u8>(highAt + <usize>(index - first));
    value |= (<u64>byte) << (index << 3);
  }
  loadFinish(raw, value);
  return SLOW_NEXT;
}

function loadExecute(machine: usize, raw: u32, nextPc: u64): u32 {
  const bytes: u32 = 1 << ((raw >> 12) & 3);
  const va = regGet((raw >> 15) & 31) + <u64>(<i64>(<i32>raw >> 20));
  if ((<u32>va & 0xfff) + bytes > 4096) return loadCrossing(machine, raw, va, bytes);
  const outcome = translateData(machine, va, bytes, ACCESS_LOAD);
  if (outcome != 0) return undone(outcome);
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const page = ramPage(machine, physical);
  if (page != u32.MAX_VALUE) {
    loadFinish(raw, rawLoad(stage2Read(machine, page) + <usize>(physical & 0xfff), bytes));
    return SLOW_NEXT;
  }
  if ((<u32>physical & (bytes - 1)) != 0) return faultSet(ACCESS_LOAD, true, va);
  if (physical - CLINT_BASE < CLINT_BYTES) {
    if (!clintLoad(machine, <u32>(physical - CLINT_BASE), bytes))
      return faultSet(ACCESS_LOAD, true, va);
    loadFinish(raw, load<u64>(RUN, HART_VALUE));
    return SLOW_SAMPLE;
  }
  return deviceExit(machine, raw, nextPc, va, bytes, 0, 0);
}

function storeCrossing(machine: usize, va: u64, bytes: u32, value: u64): u32 {
  const first: u32 = 4096 - (<u32>va & 0xfff);
  let outcome = translateData(machine, va, first, ACCESS_STORE);
  if (outcome != 0) return undone(outcome);
  const low = load<u64>(RUN, HART_PHYSICAL);
  outcome = translateData(machine, va + first, bytes - first, ACCESS_STORE);
  if (outcome != 0) return undone(outcome);
  const high = load<u64>(RUN, HART_PHYSICAL);
  const lowPage = ramPage(machine, low);
  const highPage = ramPage(machine, high);
  if (lowPage == u32.MAX_VALUE) return faultSet(ACCESS_STORE, true, va);
  if (highPage == u32.MAX_VALUE) return faultSet(ACCESS_STORE, true, va + first);
  const lowFrame = stage2Frame(machine, lowPage);
  const highFrame = stage2Frame(machine, highPage);
  frameChanging(machine, lowFrame, 4096 - first, first);
  frameChanging(machine, highFrame, 0, bytes - first);
  for (let index: u32 = 0; index < bytes; index++) {
    const at =
      index < first
        ? frameAddress(lowFrame) + <usize>(4096 - first + index)
        : frameAddress(highFrame) + <usize>(index - first);
    store<u8>(at, <u8>(value >> (index << 3)));
  }
  return SLOW_NEXT;
}

/**
 * A store to tohost, `offset` bytes into it. Programs also print with two word stores, in either
 * order, and half a command is none: a printable byte in the low word waits for the high word, and
 * the high word of a print for its byte. A low word that is stored again, or that no other store
 * follows (machine/run), is what it says: an exit code.
 */
function htifStore(machine: usize, at: usize, offset: u32, bytes: u32, value: u64): u32 {
  const tohost = at - <usize>offset;
  const before = load<u64>(tohost);
  rawStore(at, bytes, value);
  const after = load<u64>(tohost);
  const isByte = after < 0x7f && (after >= 0x20 || (after & 1) == 0) && after != before;
  const isHalf = bytes == 4 && (offset == 0 ? isByte : after == HTIF_PRINT);
  store<u32>(machine, isHalf ? 1 : 0, MACHINE_HTIF_HALF);
  return isHalf ? SLOW_NEXT : SLOW_HTIF;
}

/** A store of 1 ... 8 bytes by the running hart. */
function storeExecute(machine: usize, raw: u32, nextPc: u64, value: u64): u32 {
  const bytes: u32 = 1 << ((raw >> 12) & 3);
  const imm = (<i32>(raw & 0xfe000000) >> 20) | <i32>((raw >> 7) & 31);
  const va = regGet((raw >> 15) & 31) + <u64>(<i64>imm);
  if ((<u32>va & 0xfff) + bytes > 4096) return storeCrossing(machine, va, bytes, value);
  const outcome = translateData(machine, va, bytes, ACCESS_STORE);
  if (outcome != 0) return undone(outcome);
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const page = ramPage(machine, physical);
  if (page != u32.MAX_VALUE) {
    const frame = stage2Frame(machine, page);
    frameChanging(machine, frame, <u32>physical & 0xfff, bytes);
    const at = frameAddress(frame) + <usize>(physical & 0xfff);
    const offset = physical - load<u64>(machine, MACHINE_TOHOST); // without HTIF far above 8
    if (offset < 8) return htifStore(machine, at, <u32>offset, bytes, value);
    rawStore(at, bytes, value);
    return SLOW_NEXT;
  }
  if ((<u32>physical & (bytes - 1)) != 0) return faultSet(ACCESS_STORE, true, va);
  if (physical - CLINT_BASE < CLINT_BYTES) {
    if (!clintStore(machine, <u32>(physical - CLINT_BASE), bytes, value))
      return faultSet(ACCESS_STORE, true, va);
    return SLOW_SAMPLE;
  }
  return deviceExit(
    machine,
    raw,
    nextPc,
    va,
    bytes,
    1,
    bytes == 8 ? value : value & (((<u64>1) << (bytes << 3)) - 1),
  );
}

/**
 * CBO.ZERO (Zicboz): zeroes the 64-byte block around rs1. Privileged: menvcfg.CBZE, senvcfg.CBZE.
 */
function zeroBlock(machine: usize, raw: u32, bits: u32): u32 {
  const priv = load<u32>(RUN, HART_PRIV);
  const isOff =
    (priv < 3 && (load<u64>(RUN, HART_MENVCFG) & MENVCFG_CBZE) == 0) ||
    (priv == 0 && (load<u64>(RUN, HART_SENVCFG) & MENVCFG_CBZE) == 0);
  if (raw >> 20 != 4 || ((raw >> 7) & 31) != 0 || isOff) return illegal(bits);
  const va = regGet((raw >> 15) & 31);
  const outcome = translateData(machine, va & ~63, 64, ACCESS_STORE);
  if (outcome != 0) {
    store<u64>(RUN, va, HART_TRAP_VALUE); // the address as given, not the block's
    return undone(outcome);
  }
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const page = ramPage(machine, physical);
  if (page == u32.MAX_VALUE) return faultSet(ACCESS_STORE, true, va);
  const frame = stage2Frame(machine, page);
  frameChanging(machine, frame, <u32>physical & 0xfff, 64);
  memory.fill(frameAddress(frame) + <usize>(physical & 0xfff), 0, 64);
  return SLOW_NEXT;
}

/** FS is Off: every floating-point instruction is illegal (Privileged 3.1.6.6). */
// @ts-ignore: decorator
@inline
function floatIsOff(): bool {
  return (load<u64>(RUN, HART_MSTATUS) & MSTATUS_FS) == 0;
}

function floatExecute(raw: u32, bits: u32): u32 {
  if (floatIsOff()) return illegal(bits);
  const flags = load<u32>(RUN, HART_FFLAGS);
  if (!fpExecute(raw)) return illegal(bits);
  if (!fpWritesInteger(raw) || load<u32>(RUN, HART_FFLAGS) != flags) floatDirty();
  return SLOW_NEXT;
}

/** Executes the instruction whose bits in memory are `bits` (16 or 32). Returns SLOW_*. */
export function slowExecute(machine: usize, bits: u32): u32 {
  const isShort = (bits & 3) != 3;
  const raw = isShort ? compressedExpand(bits & 0xffff) : bits;
  const nextPc = load<u64>(RUN, HART_PC) + (isShort ? 2 : 4);
  const funct3 = (raw >> 12) & 7;
  switch (raw & 0x7f) {
    case 0x03:
      return funct3 == 7 ? illegal(bits) : loadExecute(machine, raw, nextPc);
    case 0x07:
      if ((funct3 != 2 && funct3 != 3) || floatIsOff()) return illegal(bits);
      return loadExecute(machine, raw, nextPc);
    case 0x23:
      return funct3 > 3
        ? illegal(bits)
        : storeExecute(machine, raw, nextPc, regGet((raw >> 20) & 31));
    case 0x27:
      if ((funct3 != 2 && funct3 != 3) || floatIsOff()) return illegal(bits);
      return storeExecute(
        machine,
        raw,
        nextPc,
        load<u64>((<usize>((raw >> 20) & 31)) << 3, RUN + HART_F),
      );
    case 0x0f:
      return funct3 == 2 ? zeroBlock(machine, raw, bits) : illegal(bits);
    case 0x17:
      regSet((raw >> 7) & 31, load<u64>(RUN, HART_PC) + <u64>(<i64>(<i32>(raw & 0xfffff000))));
      return SLOW_NEXT;
    case 0x2f:
      return amoExecute(machine, raw, bits);
    case 0x43:
    case 0x47:
    case 0x4b:
    case 0x4f:
    case 0x53:
      return floatExecute(raw, bits);
    case 0x73: {
      const outcome = systemExecute(raw, bits);
      floatUpdate();
      return outcome == SLOW_NEXT && funct3 != 0 ? SLOW_SAMPLE : outcome;
    }
    default:
      return illegal(isShort ? bits & 0xffff : bits);
  }
}
