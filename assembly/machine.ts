/**
 * machine: the entry of machine.wasm: the whole ABI (docs/core-abi.md), nothing else.
 *
 * Used by src/core/ only.
 * Holds   arguments come from the control plane, which validated them; addresses are the core's
 *         own.
 */
import {
  BATCH,
  BATCH_MAX,
  CHANGED_CONTEXT,
  CHANGED_FLUSH,
  HART_CHANGED,
  HART_EXTERNAL,
  HART_MACHINE,
  HART_PASS_SLOTS,
  HART_RESERVATION,
  HART_WATCH,
  HARTS_MAX,
  HART_BYTES,
  MACHINE_BREAKS,
  MACHINE_BYTES,
  MACHINE_CLOCK,
  MACHINE_COUNT_SLOW,
  MACHINE_DIGEST,
  MACHINE_EXIT_HART,
  MACHINE_HARTS,
  MACHINE_HART_BLOCKS,
  MACHINE_HTIF_HALF,
  MACHINE_IDLE_TICKS,
  MACHINE_QUANTUM,
  MACHINE_RAM_PAGES,
  MACHINE_ROOT,
  MACHINE_SATP_MAX,
  MACHINE_WORK_MAX,
  NOT_HERE,
  NO_FRAME,
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
  ZERO_PAGE,
  arenaInit,
  machineAt,
} from "./memory/arena";
import {
  FRAME_CHUNK,
  FRAME_WALK_EPOCH,
  chunkRelease,
  chunkReleaseAll,
  frameAddress,
  frameEntry,
} from "./memory/frames";
import {
  logClose,
  logCloseAll,
  logCount,
  logFrames,
  logHarvest,
  logIsOpen,
  logOpen,
  logTest,
} from "./memory/log";
import {
  SURVEY,
  rootDiff,
  rootFold,
  rootList,
  rootMarkAll,
  rootPage,
  rootRetain,
  rootRevert,
  rootWalk,
} from "./memory/share";
import { pageIsSame } from "./memory/codec";
import {
  ABSENT,
  RAM_GFN,
  absentNote,
  entryUnder,
  pageArrives,
  pageLeaves,
  rootDrop,
  rootFrames,
  stage2Delete,
  stage2Frame,
  stage2New,
  stage2Own,
  stage2Read,
} from "./memory/stage2";
import { pmpActiveUpdate } from "./mmu/pmp";
import {
  instructionDropAll,
  slotTagsDropWrite,
  slotTake,
  tlbDropAll,
  tlbInit,
  writeTagsDrop,
} from "./mmu/tlb";

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
  const machine = machineFree();
  if (machine == 0) return 0;
  memory.fill(machine, 0, <usize>MACHINE_BYTES + <usize>harts * HART_BYTES);
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

/** A machine block that is nobody's, or 0. */
function machineFree(): usize {
  const most = load<u32>(ARENA, ARENA_MACHINES_MAX);
  for (let index: u32 = 0; index < most; index++) {
    if (load<u32>(machineAt(index), MACHINE_HARTS) == 0) return machineAt(index);
  }
  return 0;
}

/**
 * A machine that is what another one is now, with its pages shared; without its logs, counters and
 * debugger. 0 when machines or frames ran out.
 */
export function machineFork(parent: u32): u32 {
  const harts = load<u32>(parent, MACHINE_HARTS);
  const machine = machineFree();
  if (machine == 0) return 0;
  const root = rootRetain(parent);
  if (root == 0) return 0;
  memory.fill(machine, 0, MACHINE_BYTES);
  memory.copy(machine, parent, MACHINE_COUNT_SLOW);
  store<u32>(machine, load<u32>(parent, MACHINE_WORK_MAX), MACHINE_WORK_MAX);
  store<u32>(machine, load<u32>(parent, MACHINE_HTIF_HALF), MACHINE_HTIF_HALF);
  store<u32>(machine, root, MACHINE_ROOT);
  for (let hart: u32 = 0; hart < harts; hart++) {
    const block = machine + MACHINE_BYTES + <usize>hart * HART_BYTES;
    memory.copy(block, hartAt(parent, hart), HART_BYTES);
    store<u32>(machine + ((<usize>hart) << 2), <u32>block, MACHINE_HART_BLOCKS);
    store<u32>(block, <u32>machine, HART_MACHINE);
    store<u64>(block, 0, HART_PASS_SLOTS);
    store<u32>(block, 0, HART_WATCH);
  }
  return <u32>machine;
}

/** Gives every frame back. */
export function machineDelete(machine: u32): void {
  if (load<u32>(ARENA, ARENA_SLOT_OWNER) == machine) {
    tlbDropAll(machine);
    store<u32>(ARENA, 0, ARENA_SLOT_OWNER);
  }
  logCloseAll(machine);
  stage2Delete(machine);
  instructionDropAll();
  store<u32>(machine, 0, MACHINE_HARTS);
  if (load<u32>(machine, MACHINE_BREAKS) != 0) machineDebugApply(machine);
}

// ---- roots and logs ----

/** Frames that a machine names: with `isOwn`, those that nobody else does. Its logs' included. */
export function machineFrames(machine: u32, isOwn: u32): u32 {
  if (load<u32>(machine, MACHINE_ROOT) == 0) return 0;
  return rootFrames(load<u32>(machine, MACHINE_ROOT), isOwn != 0) + logFrames(machine);
}

/** Retains what the machine's RAM holds now; a root, or 0 when no frame is free. */
export function machineRetain(machine: u32): u32 {
  return rootRetain(machine);
}

/** Gives a retained root back. */
export function rootRelease(root: u32): void {
  rootDrop(root);
}

/** Frames that a root names, or alone holds. */
export function rootCount(root: u32, isOwn: u32): u32 {
  return rootFrames(root, isOwn != 0);
}

/** Pages from `page` on that are not ZERO, to BATCH; how many. */
export function rootPages(root: u32, page: u32, pages: u32): u32 {
  return rootList(root, page, pages);
}

/** Pages from `page` on whose entries differ under two roots, to BATCH; how many. */
export function rootCompare(first: u32, second: u32, page: u32, pages: u32): u32 {
  return rootDiff(first, second, page, pages);
}

/** Address of a page's bytes under a root; NO_FRAME when it is ZERO, NOT_HERE when it is absent. */
export function rootAddress(root: u32, page: u32): u32 {
  const at = rootPage(root, page);
  return at == 0 ? NOT_HERE : at == ZERO_PAGE ? NO_FRAME : <u32>at;
}

/** Where the key of surveys stands, HASH_KEY_BYTES, and behind it their hashes. */
export function surveyDesk(): u32 {
  return <u32>SURVEY;
}

/**
 * Pages in BATCH, SURVEY_MAX at most, become addresses as rootAddress gives them, and are hashed
 * under the key at surveyDesk, which is not ZERO; how many, up to the first that is absent.
 */
export function rootSurvey(root: u32, count: u32): u32 {
  return rootWalk(root, count);
}

/** Whether the pages at two addresses hold the same bytes. */
export function pagesSame(a: u32, b: u32): u32 {
  return pageIsSame(a, b) ? 1 : 0;
}

/** Hashes the pages under a root to BATCH + 64; 0 when one is absent: its number in BATCH. */
export function rootDigest(root: u32, pages: u32): u32 {
  return rootFold(root, pages, BATCH + 64) ? 1 : 0;
}

/** A machine's RAM becomes what a root of its shape holds; how many pages changed. */
export function machineRevert(machine: u32, root: u32): u32 {
  const isInSlot = load<u32>(ARENA, ARENA_SLOT_OWNER) == machine;
  const changed = rootRevert(machine, root);
  if (isInSlot) tlbDropAll(machine);
  return changed;
}

/** Opens a dirty log: its number + 1, or 0 when no frame is free or all are open. */
export function dirtyLogOpen(machine: u32): u32 {
  const log = logOpen(machine);
  if (log != 0) slotTagsDropWrite(machine);
  return log;
}

export function dirtyLogClose(machine: u32, log: u32): void {
  if (logIsOpen(machine, log)) logClose(machine, log);
}

/** Pages marked in a log. */
export function dirtyLogCount(machine: u32, log: u32): u32 {
  return logIsOpen(machine, log) ? logCount(machine, log) : 0;
}

/** 1 when a RAM page is marked in a log. */
export function dirtyLogTest(machine: u32, log: u32, page: u32): u32 {
  return logIsOpen(machine, log) && logTest(machine, log, page) ? 1 : 0;
}

/** Harvests the first marked pages of a log into BATCH; how many. */
export function dirtyLogHarvest(machine: u32, log: u32): u32 {
  if (!logIsOpen(machine, log)) return 0;
  const count = logHarvest(machine, log);
  if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) != machine) return count;
  if (count == <u32>BATCH_MAX) {
    slotTagsDropWrite(machine);
    return count;
  }
  for (let index: u32 = 0; index < count; index++) {
    const frame = stage2Frame(machine, load<u32>((<usize>index) << 2, BATCH));
    if (frame != 0 && frame != ABSENT) writeTagsDrop(frame);
  }
  return count;
}

/** Kind of a RAM page. */
export function pageKind(machine: u32, page: u32): u32 {
  return <u32>entryUnder(load<u32>(machine, MACHINE_ROOT), page) & 15;
}

/** Slot of a RAM page that is not here (frame of one that is). */
export function pageSlot(machine: u32, page: u32): u32 {
  return <u32>(entryUnder(load<u32>(machine, MACHINE_ROOT), page) >> 32);
}

/** An absent page arrives: address for its bytes (with `isZero` none are wanted), NO_FRAME, NOT_HERE. */
export function pageArrive(machine: u32, page: u32, isZero: u32): u32 {
  return <u32>pageArrives(machine, page, isZero != 0);
}

/**
 * `count` pages leave for `kind`, the first one for `slot`, the next for `slot` + 1, ...; how many
 * did before one could not.
 */
export function pagesLeave(machine: u32, page: u32, count: u32, kind: u32, slot: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    if (pageLeaves(machine, page + index, kind, slot + index) != 1) return index;
  }
  return count;
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
  rootMarkAll(machine);
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

/** Address of a page for reading; NO_FRAME outside RAM; NOT_HERE, and noted, while it is absent. */
export function pageRead(machine: u32, gfn: u32): u32 {
  const page = pageOf(machine, gfn);
  if (page == u32.MAX_VALUE) return NO_FRAME;
  const at = stage2Read(machine, page);
  return at == 0 ? NOT_HERE : <u32>at;
}

/**
 * Address of a page for writing; NO_FRAME outside RAM or without frames; NOT_HERE, and noted, while
 * it is absent. Valid until the next run.
 */
export function pageWrite(machine: u32, gfn: u32): u32 {
  const page = pageOf(machine, gfn);
  if (page == u32.MAX_VALUE) return NO_FRAME;
  const frame = stage2Own(machine, page);
  if (frame == 0 || frame == ABSENT) return frame == 0 ? NO_FRAME : NOT_HERE;
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

/** Hashes every page that is not zero into MACHINE_DIGEST; 0 when one is absent: it is noted. */
export function machineDigestPages(machine: u32): u32 {
  const root = load<u32>(machine, MACHINE_ROOT);
  const lanes = <usize>machine + MACHINE_DIGEST;
  if (rootFold(root, load<u32>(machine, MACHINE_RAM_PAGES), lanes)) return 1;
  absentNote(machine, load<u32>(BATCH));
  return 0;
}
