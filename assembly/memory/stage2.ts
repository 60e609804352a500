/**
 * stage2: the table from guest frame number (gfn) to where the page is. All writers use the door
 * here.
 *
 * Owns    roots and leaves (each one frame of the pool), and what their entries say.
 * Used by mmu/*, hart/slow.ts, memory/share.ts, machine.ts.
 * Holds   an entry is one kind, and goes from one to another by the table in layout.ts alone. A
 *         page is written only where its root, its leaf and its frame are held once: whoever asks
 *         for a page to write gets copies of what is shared, and every open log its mark.
 *
 *   root   1024 x u32 leaf frame (0 = all ZERO) ──► leaf
 *   leaf   512 x u64 {kind bits 0-3, frame or slot bits 32-63}
 */
import {
  EVENT_ARRIVE,
  EVENT_ARRIVE_ZERO,
  EVENT_LEAVE_SWAP_MEM,
  EVENT_WRITE,
  KIND_BASE,
  KIND_FRAME,
  KIND_REMOTE,
  KIND_SWAP_FILE,
  KIND_SWAP_MEM,
  KIND_ZERO,
  LEAF_ENTRIES,
  MACHINE_EXIT_PAGE,
  MACHINE_RAM_PAGES,
  MACHINE_ROOT,
  NEXT_NEVER,
  NOT_HERE,
  NO_FRAME,
  ROOT_SLOTS,
  TRANSITIONS_BASE,
  TRANSITIONS_FRAME,
  TRANSITIONS_REMOTE,
  TRANSITIONS_SWAP_FILE,
  TRANSITIONS_SWAP_MEM,
  TRANSITIONS_ZERO,
} from "../layout";
import { frameLeaves, frameMoved, zeroTagsDrop } from "../mmu/tlb";
import { ZERO_PAGE } from "./arena";
import {
  ROLE_LEAF,
  ROLE_PAGE,
  ROLE_ROOT,
  frameAddress,
  frameAlloc,
  frameCopy,
  frameReferences,
  frameRelease,
  frameRetain,
} from "./frames";
import { logMark } from "./log";

/** First guest frame number of RAM (guest physical 0x80000000). */
export const RAM_GFN: u64 = 0x80000;
/** In a frame's place: the page is not here (SWAP, REMOTE, BASE). */
export const ABSENT: u32 = u32.MAX_VALUE;

/** What an event makes of a kind: a kind, NEXT_ABSENT or NEXT_NEVER. */
export function transition(kind: u32, event: u32): u32 {
  let row: u32 = TRANSITIONS_ZERO;
  if (kind == KIND_FRAME) row = TRANSITIONS_FRAME;
  else if (kind == KIND_SWAP_MEM) row = TRANSITIONS_SWAP_MEM;
  else if (kind == KIND_SWAP_FILE) row = TRANSITIONS_SWAP_FILE;
  else if (kind == KIND_REMOTE) row = TRANSITIONS_REMOTE;
  else if (kind == KIND_BASE) row = TRANSITIONS_BASE;
  return (row >> (event << 2)) & 15;
}

/** Page index in RAM of a guest physical address, or u32.MAX_VALUE outside RAM. */
// @ts-ignore: decorator
@inline
export function ramPage(machine: usize, physical: u64): u32 {
  const page = (physical >> 12) - RAM_GFN;
  return page < <u64>load<u32>(machine, MACHINE_RAM_PAGES) ? <u32>page : u32.MAX_VALUE;
}

/** Address of a root's slot for a page. */
// @ts-ignore: decorator
@inline
export function slotOf(root: u32, page: u32): usize {
  return frameAddress(root) + ((<usize>(page >> 9)) << 2);
}

/** Address of a leaf's entry for a page. */
// @ts-ignore: decorator
@inline
export function entryOf(leaf: u32, page: u32): usize {
  return frameAddress(leaf) + ((<usize>(page & 511)) << 3);
}

/** The entry of a page under a root. */
// @ts-ignore: decorator
@inline
export function entryUnder(root: u32, page: u32): u64 {
  const leaf = load<u32>(slotOf(root, page));
  return leaf == 0 ? 0 : load<u64>(entryOf(leaf, page));
}

/** Notes the page that has to come before the run goes on. */
export function absentNote(machine: usize, page: u32): void {
  store<u32>(machine, page, MACHINE_EXIT_PAGE);
}

/** Frame of RAM page `page`; 0 while it is ZERO, ABSENT while it is not here. */
export function stage2Frame(machine: usize, page: u32): u32 {
  const entry = entryUnder(load<u32>(machine, MACHINE_ROOT), page);
  const kind = <u32>entry & 15;
  if (kind == KIND_FRAME) return <u32>(entry >> 32);
  return kind == KIND_ZERO ? 0 : ABSENT;
}

/** Address of the bytes of RAM page `page` for reading; 0, and noted, while it is not here. */
export function stage2Read(machine: usize, page: u32): usize {
  const frame = stage2Frame(machine, page);
  if (frame == ABSENT) {
    absentNote(machine, page);
    return 0;
  }
  return frame == 0 ? ZERO_PAGE : frameAddress(frame);
}

/** A copy of a shared leaf, which then holds every frame once more; 0 when the pool is empty. */
function leafCopy(leaf: u32): u32 {
  const copy = frameCopy(leaf, ROLE_LEAF);
  if (copy == 0) return 0;
  const base = frameAddress(copy);
  for (let at = base; at < base + 4096; at += 8) {
    const entry = load<u64>(at);
    if ((<u32>entry & 15) == KIND_FRAME) frameRetain(<u32>(entry >> 32));
  }
  frameRelease(leaf); // not the last holder
  return copy;
}

/** The leaf of a page, of this root alone; 0 when the pool is empty. */
export function leafOwn(root: u32, page: u32): u32 {
  const slot = slotOf(root, page);
  let leaf = load<u32>(slot);
  if (leaf != 0 && frameReferences(leaf) == 1) return leaf;
  leaf = leaf == 0 ? frameAlloc(ROLE_LEAF) : leafCopy(leaf);
  if (leaf != 0) store<u32>(slot, leaf);
  return leaf;
}

/**
 * Frame of RAM page `page` for writing, of this machine alone, marked in every log. 0 when the pool
 * is empty; ABSENT, and noted, when the page is not here.
 */
export function stage2Own(machine: usize, page: u32): u32 {
  const root = load<u32>(machine, MACHINE_ROOT);
  const before = entryUnder(root, page);
  const kind = <u32>before & 15;
  if (transition(kind, EVENT_WRITE) != KIND_FRAME) {
    absentNote(machine, page);
    return ABSENT;
  }
  const leaf = leafOwn(root, page);
  if (leaf == 0) return 0;
  let frame = <u32>(before >> 32);
  if (kind == KIND_ZERO) {
    frame = frameAlloc(ROLE_PAGE);
    if (frame == 0) return 0;
    zeroTagsDrop();
    store<u64>(entryOf(leaf, page), ((<u64>frame) << 32) | KIND_FRAME);
  } else if (frameReferences(frame) != 1) {
    const old = frame;
    frame = frameCopy(old, ROLE_PAGE);
    if (frame == 0) return 0;
    frameMoved(machine, old, frame);
    frameRelease(old); // not the last holder
    store<u64>(entryOf(leaf, page), ((<u64>frame) << 32) | KIND_FRAME);
  }
  logMark(machine, page);
  return frame;
}

/**
 * A page that was not here arrives, in place, whoever shares the leaf: its location changes, its
 * content does not. Returns the address for its bytes (ZERO_PAGE when they are zeros), NO_FRAME, or
 * NOT_HERE when nothing was to arrive.
 */
export function pageArrives(machine: usize, page: u32, isZero: bool): usize {
  const leaf = load<u32>(slotOf(load<u32>(machine, MACHINE_ROOT), page));
  if (leaf == 0) return NOT_HERE;
  const at = entryOf(leaf, page);
  const kind = <u32>load<u64>(at) & 15;
  const next = transition(kind, isZero ? EVENT_ARRIVE_ZERO : EVENT_ARRIVE);
  if (next == NEXT_NEVER) return NOT_HERE;
  if (isZero) {
    store<u64>(at, 0);
    return ZERO_PAGE;
  }
  const frame = frameAlloc(ROLE_PAGE);
  if (frame == 0) return NO_FRAME;
  store<u64>(at, ((<u64>frame) << 32) | KIND_FRAME);
  return frameAddress(frame);
}

/**
 * A page leaves for `kind` (SWAP_MEM ... BASE), where `slot` says which it is. 1 when it has left,
 * NO_FRAME when its leaf is shared and no frame is free, 2 when it cannot leave.
 */
export function pageLeaves(machine: usize, page: u32, kind: u32, slot: u32): u32 {
  const root = load<u32>(machine, MACHINE_ROOT);
  const from = <u32>entryUnder(root, page) & 15;
  if (kind < <u32>KIND_SWAP_MEM || kind > <u32>KIND_BASE) return 2;
  if (transition(from, EVENT_LEAVE_SWAP_MEM + (kind - KIND_SWAP_MEM)) != kind) return 2;
  const leaf = leafOwn(root, page);
  if (leaf == 0) return NO_FRAME;
  const at = entryOf(leaf, page);
  const entry = load<u64>(at);
  store<u64>(at, ((<u64>slot) << 32) | kind);
  if (from == KIND_ZERO) zeroTagsDrop();
  else if (from == KIND_FRAME) {
    frameLeaves(machine, <u32>(entry >> 32));
    frameRelease(<u32>(entry >> 32));
  }
  return 1;
}

/** An empty table. False when the pool is empty. */
export function stage2New(machine: usize): bool {
  const root = frameAlloc(ROLE_ROOT);
  store<u32>(machine, root, MACHINE_ROOT);
  return root != 0;
}

/** One holder less of a leaf; the last one gives its pages back. */
export function leafRelease(leaf: u32): void {
  if (frameReferences(leaf) == 1) {
    const base = frameAddress(leaf);
    for (let at = base; at < base + 4096; at += 8) {
      const entry = load<u64>(at);
      if ((<u32>entry & 15) == KIND_FRAME) frameRelease(<u32>(entry >> 32));
    }
  }
  frameRelease(leaf);
}

/** Gives a root back, with what nobody else holds. */
export function rootDrop(root: u32): void {
  const base = frameAddress(root);
  for (let slot: u32 = 0; slot < <u32>ROOT_SLOTS; slot++) {
    const leaf = load<u32>(base + ((<usize>slot) << 2));
    if (leaf != 0) leafRelease(leaf);
  }
  frameRelease(root);
}

/** Gives a machine's table back. */
export function stage2Delete(machine: usize): void {
  if (load<u32>(machine, MACHINE_ROOT) != 0) rootDrop(load<u32>(machine, MACHINE_ROOT));
  store<u32>(machine, 0, MACHINE_ROOT);
}

/**
 * Frames that a root names, itself and its leaves included; with `isOwn` only those that it would
 * give back.
 */
export function rootFrames(root: u32, isOwn: bool): u32 {
  let count: u32 = 1;
  for (let slot: u32 = 0; slot < <u32>ROOT_SLOTS; slot++) {
    const leaf = load<u32>(frameAddress(root) + ((<usize>slot) << 2));
    if (leaf == 0 || (isOwn && frameReferences(leaf) != 1)) continue;
    count++;
    for (let index: u32 = 0; index < <u32>LEAF_ENTRIES; index++) {
      const entry = load<u64>(entryOf(leaf, index));
      if ((<u32>entry & 15) != KIND_FRAME) continue;
      if (!isOwn || frameReferences(<u32>(entry >> 32)) == 1) count++;
    }
  }
  return count;
}
