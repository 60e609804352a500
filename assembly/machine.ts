/**
 * machine: the entry of machine.wasm: the whole ABI (docs/core-abi.md), nothing else.
 *
 * Used by src/core/ only.
 * Holds   arguments come from the control plane, which validated them; addresses are the core's
 *         own.
 */
import {
  CHANGED_CONTEXT,
  CHANGED_FLUSH,
  HART_CHANGED,
  HART_EXTERNAL,
  HART_MACHINE,
  HART_RESERVATION,
  HARTS_MAX,
  HART_BYTES,
  MACHINE_BREAKS,
  MACHINE_BYTES,
  MACHINE_CLOCK,
  MACHINE_DIGEST,
  MACHINE_EXIT_HART,
  MACHINE_HARTS,
  MACHINE_HART_BLOCKS,
  MACHINE_IDLE_TICKS,
  MACHINE_QUANTUM,
  MACHINE_RAM_PAGES,
  MACHINE_SATP_MAX,
  MACHINE_WORK_MAX,
  RUN,
} from "./layout";
import { breaksCollect } from "./hart/break";
import { fuseInit } from "./hart/fuse";
import { hartReset, timeNowOf } from "./hart/state";
import { sliceEcallDone, sliceMmioDone } from "./hart/slice";
import { csrReadFor, csrWriteFor, tlbEntryFor } from "./machine/inspect";
import { hartAt, hartEnter, hartLeave, runMachine } from "./machine/run";
import {
  ARENA,
  ARENA_EPOCH,
  ARENA_FRAMES_FREE,
  ARENA_FRAMES_TOTAL,
  ARENA_MACHINES_MAX,
  ARENA_SLOT_OWNER,
  arenaInit,
  machineAt,
} from "./memory/arena";
import { pageFold, pageIsZero } from "./memory/codec";
import {
  FRAME_CHUNK,
  FRAME_WALK_EPOCH,
  chunkRelease,
  chunkReleaseAll,
  frameAddress,
  frameEntry,
} from "./memory/frames";
import {
  RAM_GFN,
  stage2Delete,
  stage2Frame,
  stage2New,
  stage2Own,
  stage2Read,
} from "./memory/stage2";
import { pmpActiveUpdate } from "./mmu/pmp";
import { instructionDropAll, slotTake, tlbDropAll, tlbInit, zeroTagsDrop } from "./mmu/tlb";

/** Lays out the arena; 0, or the 64 KiB pages needed at least. */
export function hostInit(arenaPages: u32, machinesMax: u32): u32 {
  const needed = arenaInit(arenaPages, machinesMax);
  if (needed == 0) {
    tlbInit();
    fuseInit();
  }
  return needed;
}

/** Frames in the pool. */
export function hostFramesTotal(): u32 {
  return load<u32>(ARENA, ARENA_FRAMES_TOTAL);
}

/** Frames that are free. */
export function hostFramesFree(): u32 {
  return load<u32>(ARENA, ARENA_FRAMES_FREE);
}

/** A new machine, all RAM ZERO, harts reset; 0 when machines or frames ran out. */
export function machineNew(ramPages: u32, harts: u32, quantum: u32): u32 {
  if (harts == 0 || harts > <u32>HARTS_MAX || quantum == 0) return 0;
  const most = load<u32>(ARENA, ARENA_MACHINES_MAX);
  for (let index: u32 = 0; index < most; index++) {
    const machine = machineAt(index);
    if (load<u32>(machine, MACHINE_HARTS) != 0) continue;
    memory.fill(machine, 0, MACHINE_BYTES + HARTS_MAX * HART_BYTES);
    if (!stage2New(machine)) return 0;
    store<u32>(machine, harts, MACHINE_HARTS);
    store<u32>(machine, ramPages, MACHINE_RAM_PAGES);
    store<u32>(machine, quantum, MACHINE_QUANTUM);
    store<u32>(machine, u32.MAX_VALUE, MACHINE_WORK_MAX);
    store<u32>(machine, 10, MACHINE_SATP_MAX);
    for (let hart: u32 = 0; hart < harts; hart++) {
      const block = machine + MACHINE_BYTES + <usize>hart * HART_BYTES;
      store<u32>(machine + ((<usize>hart) << 2), <u32>block, MACHINE_HART_BLOCKS);
      store<u32>(block, <u32>machine, HART_MACHINE);
      hartReset(block, hart);
    }
    return <u32>machine;
  }
  return 0;
}

/** Gives every frame back. */
export function machineDelete(machine: u32): void {
  if (load<u32>(ARENA, ARENA_SLOT_OWNER) == machine) {
    tlbDropAll(machine);
    store<u32>(ARENA, 0, ARENA_SLOT_OWNER);
  }
  stage2Delete(machine);
  instructionDropAll();
  store<u32>(machine, 0, MACHINE_HARTS);
  if (load<u32>(machine, MACHINE_BREAKS) != 0) machineDebugApply(machine);
}

/** The tables of break- and watchpoints were written: lets them apply from the next slot on. */
export function machineDebugApply(machine: u32): void {
  breaksCollect();
  chunkReleaseAll();
  instructionDropAll();
  if (load<u32>(ARENA, ARENA_SLOT_OWNER) == machine) tlbDropAll(machine);
}

/** Reads a CSR as M-mode would into MACHINE_CSR_VALUE; 0 when there is none of that number. */
export function hartCsrRead(machine: u32, hart: u32, csr: u32): u32 {
  return csrReadFor(machine, hart, csr) ? 1 : 0;
}

/** Writes a CSR as M-mode would; 0 when there is none of that number, or it is read-only. */
export function hartCsrWrite(machine: u32, hart: u32, csr: u32, low: u32, high: u32): u32 {
  return csrWriteFor(machine, hart, csr, ((<u64>high) << 32) | low) ? 1 : 0;
}

/** The page that a place of a hart's TLBs holds, into MACHINE_TLB_PAGE; 0 when it is empty. */
export function tlbEntryRead(machine: u32, hart: u32, array: u32, slot: u32): u32 {
  return tlbEntryFor(machine, hart, array, slot) ? 1 : 0;
}

/** RAM back to ZERO and harts back to reset; counters and time go on. */
export function machineReset(machine: u32): u32 {
  slotTake(machine); // so that what is dropped is this machine's, not the slot's last owner's
  tlbDropAll(machine);
  stage2Delete(machine);
  instructionDropAll();
  const harts = load<u32>(machine, MACHINE_HARTS);
  for (let hart: u32 = 0; hart < harts; hart++) hartReset(hartAt(machine, hart), hart);
  return stage2New(machine) ? 1 : 0;
}

/** Address of a hart block. */
export function machineHart(machine: u32, index: u32): u32 {
  return <u32>hartAt(machine, index);
}

/** Runs at most `slots` slots over all harts; EXIT_*. */
export function machineRun(machine: u32, slots: u32): u32 {
  return runMachine(machine, slots);
}

/** Answers EXIT_MMIO with a load's value, or an access fault. */
export function machineMmioDone(machine: u32, low: u32, high: u32, isOk: u32): void {
  const hart = load<u32>(machine, MACHINE_EXIT_HART);
  slotTake(machine);
  hartEnter(machine, hart);
  sliceMmioDone(machine, ((<u64>high) << 32) | low, isOk != 0);
  hartLeave(machine, hart);
}

/** Answers EXIT_SBI; a0 and a1 were written. */
export function machineEcallDone(machine: u32): void {
  const hart = load<u32>(machine, MACHINE_EXIT_HART);
  slotTake(machine);
  hartEnter(machine, hart);
  sliceEcallDone(machine);
  hartLeave(machine, hart);
}

/** PLIC lines of a hart: bit 11 MEIP, bit 9 SEIP. */
export function machineExternal(machine: u32, hart: u32, lines: u32): void {
  store<u32>(hartAt(machine, hart), lines, HART_EXTERNAL);
}

/** Machine time in ticks of 100 ns, low half. */
export function machineTicksLow(machine: u32): u32 {
  return <u32>timeNowOf(machine);
}

/** Machine time, high half. */
export function machineTicksHigh(machine: u32): u32 {
  return <u32>(timeNowOf(machine) >> 32);
}

/** Advances virtual machine time to a tick; never back. */
export function machineIdleJump(machine: u32, low: u32, high: u32): void {
  const to = ((<u64>high) << 32) | low;
  const now = timeNowOf(machine);
  if (load<u32>(machine, MACHINE_CLOCK) != 0 || to <= now) return;
  store<u64>(machine, load<u64>(machine, MACHINE_IDLE_TICKS) + (to - now), MACHINE_IDLE_TICKS);
}

/** Hart blocks were written from outside: derives what follows from them. */
export function machineSync(machine: u32): void {
  slotTake(machine);
  tlbDropAll(machine);
  const harts = load<u32>(machine, MACHINE_HARTS);
  for (let hart: u32 = 0; hart < harts; hart++) {
    hartEnter(machine, hart);
    store<u32>(RUN, CHANGED_CONTEXT | CHANGED_FLUSH, HART_CHANGED);
    pmpActiveUpdate();
    store<u32>(RUN, 0, HART_CHANGED);
    hartLeave(machine, hart);
  }
}

/** For tests: bit 0 drops every translation, bit 1 all decoded code. */
export function machineFlush(machine: u32, what: u32): void {
  slotTake(machine);
  if ((what & 1) != 0) tlbDropAll(machine);
  if ((what & 2) != 0) {
    chunkReleaseAll();
    instructionDropAll();
  }
}

/** RAM page of a gfn, or u32.MAX_VALUE. */
function pageOf(machine: u32, gfn: u32): u32 {
  const page = gfn - <u32>RAM_GFN;
  return page < load<u32>(machine, MACHINE_RAM_PAGES) ? page : u32.MAX_VALUE;
}

/** Address of a page for reading; 0 outside RAM. */
export function pageRead(machine: u32, gfn: u32): u32 {
  const page = pageOf(machine, gfn);
  return page == u32.MAX_VALUE ? 0 : <u32>stage2Read(machine, page);
}

/** Address of a page for writing; 0 outside RAM or without frames. Valid until the next run. */
export function pageWrite(machine: u32, gfn: u32): u32 {
  const page = pageOf(machine, gfn);
  if (page == u32.MAX_VALUE) return 0;
  let frame = stage2Frame(machine, page);
  if (frame == 0) {
    frame = stage2Own(machine, page);
    if (frame == 0) return 0;
    zeroTagsDrop();
  }
  const entry = frameEntry(frame);
  if (load<u32>(entry, FRAME_CHUNK) != 0) {
    chunkRelease(entry);
    instructionDropAll();
  }
  if (load<u32>(entry, FRAME_WALK_EPOCH) == load<u32>(ARENA, ARENA_EPOCH)) tlbDropAll(machine);
  const harts = load<u32>(machine, MACHINE_HARTS);
  for (let hart: u32 = 0; hart < harts; hart++) {
    // a write by another agent ends a reservation
    const block = hartAt(machine, hart);
    if (load<u64>(block, HART_RESERVATION) >> 12 == <u64>gfn)
      store<u64>(block, u64.MAX_VALUE, HART_RESERVATION);
  }
  return <u32>frameAddress(frame);
}

/** Hashes every page that is not zero into MACHINE_DIGEST. */
export function machineDigestPages(machine: u32): void {
  const lanes = <usize>machine + MACHINE_DIGEST;
  memory.fill(lanes, 0, 32);
  const pages = load<u32>(machine, MACHINE_RAM_PAGES);
  for (let page: u32 = 0; page < pages; page++) {
    const frame = stage2Frame(machine, page);
    if (frame == 0) continue;
    const at = frameAddress(frame);
    if (!pageIsZero(at)) pageFold(lanes, page, at);
  }
}
