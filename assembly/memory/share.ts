/**
 * share: roots that outlive the moment: retained for a snapshot, compared, taken back, forked.
 *
 * Owns    retained roots, each one frame.
 * Used by machine.ts.
 * Holds   a retained root never changes what its pages hold: whoever writes a shared page writes a
 *         copy (memory/stage2.ts). Making one costs a copy of 4 KiB and a reference a leaf.
 *
 *   machine root ──┐
 *                  ├──► leaf (held twice) ──► frames
 *   retained root ─┘
 */
import {
  BATCH,
  BATCH_MAX,
  HASH_BYTES,
  HASH_KEY_BYTES,
  KIND_FRAME,
  KIND_ZERO,
  MACHINE_RAM_PAGES,
  MACHINE_ROOT,
  NO_FRAME,
  ROOT_SLOTS,
  SURVEY_MAX,
} from "../layout";
import { slotTagsDropWrite } from "../mmu/tlb";
import { ZERO_PAGE } from "./arena";
import { pageFold, pageHash, pageIsZero } from "./codec";
import {
  ROLE_ROOT,
  frameAddress,
  frameCopy,
  frameReferences,
  frameRelease,
  frameRetain,
} from "./frames";
import { logMark } from "./log";
import { entryOf, entryUnder, leafRelease } from "./stage2";

/** A root that holds what the machine's holds now; 0 when no frame is free. */
export function rootRetain(machine: usize): u32 {
  const root = frameCopy(load<u32>(machine, MACHINE_ROOT), ROLE_ROOT);
  if (root == 0) return 0;
  const base = frameAddress(root);
  const slots = (load<u32>(machine, MACHINE_RAM_PAGES) + 511) >> 9;
  for (let slot: u32 = 0; slot < slots; slot++) {
    const leaf = load<u32>(base + ((<usize>slot) << 2));
    if (leaf != 0) frameRetain(leaf);
  }
  slotTagsDropWrite(machine);
  return root;
}

/** Address of a page's bytes under a root; ZERO_PAGE, or 0 when it is not here. */
export function rootPage(root: u32, page: u32): usize {
  const entry = entryUnder(root, page);
  const kind = <u32>entry & 15;
  if (kind == KIND_FRAME) return frameAddress(<u32>(entry >> 32));
  return kind == KIND_ZERO ? ZERO_PAGE : 0;
}

/** The key of surveys, and behind it their hashes. */
export const SURVEY: usize = memory.data(HASH_KEY_BYTES + SURVEY_MAX * HASH_BYTES, 16);

/**
 * The first `count` page numbers in BATCH become addresses (NO_FRAME when ZERO), and behind the key
 * at SURVEY come the hashes of the pages that have one; returns how many stand in front of the
 * first that is not here.
 */
export function rootWalk(root: u32, count: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    const at = <usize>BATCH + ((<usize>index) << 2);
    const page = rootPage(root, load<u32>(at));
    if (page == 0) return index;
    const isZero = page == ZERO_PAGE;
    store<u32>(at, isZero ? NO_FRAME : <u32>page);
    if (isZero) continue;
    pageHash(page, SURVEY, SURVEY + <usize>HASH_KEY_BYTES + (<usize>index) * <usize>HASH_BYTES);
  }
  return count;
}

/** Pages from `page` on whose entry is not ZERO, to BATCH; returns how many. */
export function rootList(root: u32, page: u32, pages: u32): u32 {
  let found: u32 = 0;
  while (page < pages) {
    const leaf = load<u32>(frameAddress(root) + ((<usize>(page >> 9)) << 2));
    if (leaf == 0) {
      page = ((page >> 9) + 1) << 9;
      continue;
    }
    if ((<u32>load<u64>(entryOf(leaf, page)) & 15) != KIND_ZERO) {
      store<u32>((<usize>found) << 2, page, BATCH);
      if (++found == <u32>BATCH_MAX) return found;
    }
    page++;
  }
  return found;
}

// @ts-ignore: decorator
@inline
function leafIn(root: u32, slot: u32): u32 {
  return load<u32>(frameAddress(root) + ((<usize>slot) << 2));
}

// @ts-ignore: decorator
@inline
function entryIn(leaf: u32, index: u32): u64 {
  return leaf == 0 ? 0 : load<u64>(entryOf(leaf, index));
}

/** Pages from `page` on whose entries differ under two roots, to BATCH; returns how many. */
export function rootDiff(first: u32, second: u32, page: u32, pages: u32): u32 {
  let found: u32 = 0;
  while (page < pages) {
    const a = leafIn(first, page >> 9);
    const b = leafIn(second, page >> 9);
    if (a == b) {
      page = ((page >> 9) + 1) << 9;
      continue;
    }
    if (entryIn(a, page) != entryIn(b, page)) {
      store<u32>((<usize>found) << 2, page, BATCH);
      if (++found == <u32>BATCH_MAX) return found;
    }
    page++;
  }
  return found;
}

/** Marks what two leaves differ in; returns how many pages. */
function leafMark(machine: usize, slot: u32, mine: u32, theirs: u32): u32 {
  let changed: u32 = 0;
  for (let index: u32 = 0; index < 512; index++) {
    if (entryIn(mine, index) == entryIn(theirs, index)) continue;
    logMark(machine, (slot << 9) | index);
    changed++;
  }
  return changed;
}

/** Makes a leaf of the machine's own equal to another; returns how many pages changed. */
function leafRevert(machine: usize, slot: u32, mine: u32, theirs: u32): u32 {
  let changed: u32 = 0;
  const to = frameAddress(mine);
  const from = frameAddress(theirs);
  for (let offset: usize = 0; offset < 4096; offset += 32) {
    const low = v128.xor(v128.load(to + offset), v128.load(from + offset));
    const high = v128.xor(v128.load(to + offset, 16), v128.load(from + offset, 16));
    if (!v128.any_true(v128.or(low, high))) continue;
    for (let at = offset; at < offset + 32; at += 8) {
      const old = load<u64>(to + at);
      const next = load<u64>(from + at);
      if (old == next) continue;
      if ((<u32>next & 15) == KIND_FRAME) frameRetain(<u32>(next >> 32));
      if ((<u32>old & 15) == KIND_FRAME) frameRelease(<u32>(old >> 32));
      store<u64>(to + at, next);
      logMark(machine, (slot << 9) | <u32>(at >> 3));
      changed++;
    }
  }
  return changed;
}

/**
 * A machine's RAM becomes what a retained root of its shape holds; returns how many pages changed.
 * A leaf that is the machine's own stays so: the next store to it copies no leaf again. The caller
 * drops every translation.
 */
export function rootRevert(machine: usize, root: u32): u32 {
  const own = load<u32>(machine, MACHINE_ROOT);
  let changed: u32 = 0;
  for (let slot: u32 = 0; slot < <u32>ROOT_SLOTS; slot++) {
    const mine = leafIn(own, slot);
    const theirs = leafIn(root, slot);
    if (mine == theirs) continue;
    if (mine != 0 && theirs != 0 && frameReferences(mine) == 1) {
      changed += leafRevert(machine, slot, mine, theirs);
      continue;
    }
    changed += leafMark(machine, slot, mine, theirs);
    if (theirs != 0) frameRetain(theirs);
    if (mine != 0) leafRelease(mine);
    store<u32>(frameAddress(own) + ((<usize>slot) << 2), theirs);
  }
  return changed;
}

/** The machine's RAM is about to become zeros: marks every page that is not ZERO. */
export function rootMarkAll(machine: usize): void {
  const own = load<u32>(machine, MACHINE_ROOT);
  for (let slot: u32 = 0; slot < <u32>ROOT_SLOTS; slot++) {
    const leaf = leafIn(own, slot);
    if (leaf != 0) leafMark(machine, slot, leaf, 0);
  }
}

/**
 * Hashes every page under a root that is not zero into 32 bytes at `lanes`. False when a page is
 * not here; it is noted in BATCH.
 */
export function rootFold(root: u32, pages: u32, lanes: usize): bool {
  memory.fill(lanes, 0, 32);
  for (let page: u32 = 0; page < pages; page++) {
    const at = rootPage(root, page);
    if (at == 0) {
      store<u32>(BATCH, page);
      return false;
    }
    if (at != ZERO_PAGE && !pageIsZero(at)) pageFold(lanes, page, at);
  }
  return true;
}
