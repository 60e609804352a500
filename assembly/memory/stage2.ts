/**
 * stage2: the table from guest frame number (gfn) to where the page is. All writers use the door
 * here.
 *
 * Owns    a machine's root and leaves (each one frame of the pool).
 * Used by mmu/*, hart/slow.ts, machine.ts.
 * Holds   an entry is one kind; MACHINE_FRAMES counts root, leaves and pages.
 *
 *   root   1024 x u32 leaf frame (0 = all ZERO) ──► leaf
 *   leaf   512 x u64 {kind bits 0-3, frame bits 32-63}
 */
import {
  FRAME_BYTES,
  KIND_FRAME,
  KIND_ZERO,
  LEAF_ENTRIES,
  MACHINE_FRAMES,
  MACHINE_RAM_PAGES,
  MACHINE_ROOT,
  ROOT_SLOTS,
} from "../layout";
import { ZERO_PAGE } from "./arena";
import { frameAddress, frameAlloc, frameRelease } from "./frames";

/** First guest frame number of RAM (guest physical 0x80000000). */
export const RAM_GFN: u64 = 0x80000;

/** Page index in RAM of a guest physical address, or u32.MAX_VALUE outside RAM. */
// @ts-ignore: decorator
@inline
export function ramPage(machine: usize, physical: u64): u32 {
  const page = (physical >> 12) - RAM_GFN;
  return page < <u64>load<u32>(machine, MACHINE_RAM_PAGES) ? <u32>page : u32.MAX_VALUE;
}

function counted(machine: usize, change: i32): void {
  store<u32>(machine, load<u32>(machine, MACHINE_FRAMES) + change, MACHINE_FRAMES);
}

// @ts-ignore: decorator
@inline
function rootSlot(machine: usize, page: u32): usize {
  return frameAddress(load<u32>(machine, MACHINE_ROOT)) + ((<usize>(page >> 9)) << 2);
}

/** Frame of RAM page `page`, or 0 while it is ZERO. */
export function stage2Frame(machine: usize, page: u32): u32 {
  const leaf = load<u32>(rootSlot(machine, page));
  if (leaf == 0) return 0;
  const entry = load<u64>(frameAddress(leaf) + ((<usize>(page & 511)) << 3));
  return (<u32>entry & 15) == KIND_FRAME ? <u32>(entry >> 32) : 0;
}

/** Address of the bytes of RAM page `page` for reading. */
export function stage2Read(machine: usize, page: u32): usize {
  const frame = stage2Frame(machine, page);
  return frame == 0 ? ZERO_PAGE : frameAddress(frame);
}

/** Frame of RAM page `page` for writing, allocated when it was ZERO; 0 when the pool is empty. */
export function stage2Own(machine: usize, page: u32): u32 {
  const slot = rootSlot(machine, page);
  let leaf = load<u32>(slot);
  if (leaf == 0) {
    leaf = frameAlloc();
    if (leaf == 0) return 0;
    store<u32>(slot, leaf);
    counted(machine, 1);
  }
  const at = frameAddress(leaf) + ((<usize>(page & 511)) << 3);
  const entry = load<u64>(at);
  if ((<u32>entry & 15) != KIND_ZERO) return <u32>(entry >> 32);
  const frame = frameAlloc();
  if (frame == 0) return 0;
  store<u64>(at, ((<u64>frame) << 32) | KIND_FRAME);
  counted(machine, 1);
  return frame;
}

/** An empty table. False when the pool is empty. */
export function stage2New(machine: usize): bool {
  const root = frameAlloc();
  if (root == 0) return false;
  store<u32>(machine, root, MACHINE_ROOT);
  counted(machine, 1);
  return true;
}

/** Gives every page, leaf and the root back. */
export function stage2Delete(machine: usize): void {
  const root = frameAddress(load<u32>(machine, MACHINE_ROOT));
  for (let index: u32 = 0; index < <u32>ROOT_SLOTS; index++) {
    const leaf = load<u32>(root + ((<usize>index) << 2));
    if (leaf == 0) continue;
    const base = frameAddress(leaf);
    for (let entry: u32 = 0; entry < <u32>LEAF_ENTRIES; entry++) {
      const value = load<u64>(base + ((<usize>entry) << 3));
      if ((<u32>value & 15) == KIND_FRAME) frameRelease(<u32>(value >> 32));
    }
    frameRelease(leaf);
  }
  frameRelease(load<u32>(machine, MACHINE_ROOT));
  store<u32>(machine, 0, MACHINE_ROOT);
  store<u32>(machine, 0, MACHINE_FRAMES);
}
