/**
 * door: the one way by which bytes of RAM change outside the TLB's fast path: slow stores, device
 * DMA, the loader, the debugger. Whatever was derived from the bytes (translations, decoded code)
 * goes before the next instruction.
 *
 * Used by hart/slow.ts, isa/amo.ts, machine.ts.
 * Holds   a store that replaces a valid page-table entry drops what was translated through it.
 */
import { ARENA, ARENA_EPOCH } from "./arena";
import {
  FRAME_CHUNK,
  FRAME_STORES,
  FRAME_WALK_EPOCH,
  FRAME_WALK_REGION,
  WALK_MANY,
  chunkRelease,
  frameAddress,
  frameEntry,
} from "./frames";
import { CHUNK_MAP } from "../hart/chunk";
import { instructionDropAll, tlbDropAll, tlbDropPage } from "../mmu/tlb";

/** After this many slow stores a walked or code frame is given another chance to be plain data. */
const STORES_MAX: u32 = 256;

/**
 * Drops the decoded code of a frame when the bytes [offset, offset + bytes) belong to a decoded
 * instruction.
 */
function codeStored(entry: usize, offset: u32, bytes: u32): void {
  const chunk = <usize>load<u32>(entry, FRAME_CHUNK);
  const stores = load<u32>(entry, FRAME_STORES) + 1;
  store<u32>(entry, stores, FRAME_STORES);
  let isHit = stores > STORES_MAX;
  // an instruction that starts one halfword before may reach into the first byte
  let at = offset >= 2 ? (offset - 2) & ~1 : 0;
  for (; at < offset + bytes; at += 2) {
    if (load<u16>(chunk + <usize>at, CHUNK_MAP) != 0) isHit = true;
  }
  if (!isHit) return;
  store<u32>(entry, 0, FRAME_STORES);
  chunkRelease(entry);
  instructionDropAll();
}

/**
 * Drops what was translated through the page-table entries in [offset, offset + bytes), if they
 * were valid.
 */
function tableStored(machine: usize, frame: u32, entry: usize, offset: u32, bytes: u32): void {
  const region = load<u32>(entry, FRAME_WALK_REGION);
  const stores = load<u32>(entry, FRAME_STORES) + 1;
  store<u32>(entry, stores, FRAME_STORES);
  let at = offset & ~7;
  for (; at < offset + bytes; at += 8) {
    if ((load<u8>(frameAddress(frame) + <usize>at) & 1) == 0) continue;
    if (region == WALK_MANY) {
      tlbDropAll(machine);
      return;
    }
    tlbDropPage(machine, (region << 9) | (at >> 3));
  }
  if (stores > STORES_MAX) tlbDropAll(machine);
}

/**
 * To be called before [offset, offset + bytes) of a frame changes. The range lies within the frame.
 */
export function frameChanging(machine: usize, frame: u32, offset: u32, bytes: u32): void {
  const entry = frameEntry(frame);
  if (load<u32>(entry, FRAME_CHUNK) != 0) codeStored(entry, offset, bytes);
  if (load<u32>(entry, FRAME_WALK_EPOCH) == load<u32>(ARENA, ARENA_EPOCH)) {
    tableStored(machine, frame, entry, offset, bytes);
  }
}
