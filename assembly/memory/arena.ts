/**
 * arena: where everything lies in the one linear memory. Written once by arenaInit; the memory is
 * never grown.
 *
 * Owns    the header at ARENA and the cutting of the rest.
 * Used by every file of assembly/ that needs a table's address.
 *
 *   4096 RUN │ 8192 header │ 10240 batch │ 12288 static data │ 64 Ki TLB template │ 128 Ki slot TLBs
 *   │ zero page │ scratch chunk │ pair table │ machines, harts │ frame table │ chunks │ frames
 */
import { FRAME_BYTES, HARTS_MAX, HART_BYTES, MACHINE_BYTES } from "../layout";
import { CHUNK_BYTES } from "../hart/chunk";

export const ARENA: usize = 8192;
export const ARENA_FRAMES_TOTAL: usize = 0;
export const ARENA_FRAMES_FREE: usize = 4;
export const ARENA_FREE_HEAD: usize = 8;
/**
 * First frame number never handed out yet (frames above it are untouched, so they cost nothing).
 */
export const ARENA_FRAME_FRESH: usize = 12;
export const ARENA_FRAME_TABLE: usize = 16;
export const ARENA_POOL: usize = 20;
export const ARENA_CHUNKS: usize = 24;
export const ARENA_CHUNK_COUNT: usize = 28;
export const ARENA_CHUNK_NEXT: usize = 32;
export const ARENA_MACHINES: usize = 36;
export const ARENA_MACHINES_MAX: usize = 40;
/** The machine whose translations the slot's TLBs hold, or 0. */
export const ARENA_SLOT_OWNER: usize = 44;
/** Bumped whenever no translation at all is left: marks made in an older epoch mean nothing. */
export const ARENA_EPOCH: usize = 48;
/** Data-TLB entries that name the shared zero page may exist. */
export const ARENA_ZERO_MAPPED: usize = 52;
/** Head of the list of free decode chunks, linked through CHUNK_RAW. */
export const ARENA_CHUNK_FREE: usize = 56;
/**
 * Host work of the run under way that no slot stands for: table entries written or looked at by
 * flushes and by the decoder, each about a nanosecond, and instructions that leave the hot loop.
 */
export const ARENA_WORK: usize = 60;
/** Breakpoints of all machines, and a bit for each halfword of a page that one may stand at. */
export const ARENA_BREAKS: usize = 64;
export const ARENA_BREAK_OFFSETS: usize = 256;

export const TLB_TEMPLATE: usize = 65536;
export const TLB_BASE: usize = 131072;
export const ZERO_PAGE: usize = 0x180000;
export const SCRATCH_CHUNK: usize = 0x181000;
export const FUSE_TABLE: usize = 0x190000;
const TABLES: usize = 0x1a0000;

/** Machine block with its hart blocks behind it. */
export const MACHINE_STRIDE: usize = MACHINE_BYTES + HARTS_MAX * HART_BYTES;
export const FRAME_ENTRY_BYTES: usize = 64;
const FRAME_COST: u64 = 4160;

// @ts-ignore: decorator
@inline
function pageUp(address: usize): usize {
  return (address + FRAME_BYTES - 1) & ~(FRAME_BYTES - 1);
}

/**
 * Cuts an arena of `arenaPages` x 64 KiB for `machinesMax` machines. Returns 0, or the pages needed
 * at least. The last 64 KiB stay unused: an access of 8 bytes never wraps around 4 GiB.
 */
export function arenaInit(arenaPages: u32, machinesMax: u32): u32 {
  const end: u64 = (<u64>(arenaPages < 65536 ? arenaPages : 65536) - 1) << 16;
  const machines = TABLES;
  const frameTable = pageUp(machines + <usize>machinesMax * MACHINE_STRIDE);
  let chunkCount = <u32>(end >> 21);
  chunkCount = chunkCount < 16 ? 16 : chunkCount > 2048 ? 2048 : chunkCount;
  // frames and their entries share what is left behind the chunks
  const fixed: u64 = <u64>frameTable + <u64>chunkCount * CHUNK_BYTES + FRAME_BYTES;
  if (end < fixed + 64 * FRAME_COST) return <u32>((fixed + 64 * FRAME_COST) >> 16) + 2;
  const frames = <u32>((end - fixed) / FRAME_COST) - 1;
  const chunks = pageUp(frameTable + <usize>(frames + 1) * FRAME_ENTRY_BYTES);
  memory.fill(ARENA, 0, 4096); // with the batch behind it
  store<u32>(ARENA, frames, ARENA_FRAMES_TOTAL);
  store<u32>(ARENA, frames, ARENA_FRAMES_FREE);
  store<u32>(ARENA, 1, ARENA_FRAME_FRESH);
  store<u32>(ARENA, <u32>frameTable, ARENA_FRAME_TABLE);
  store<u32>(ARENA, <u32>chunks, ARENA_CHUNKS);
  store<u32>(ARENA, chunkCount, ARENA_CHUNK_COUNT);
  // frame 0 is never used, so that 0 can mean "none"
  store<u32>(ARENA, <u32>(chunks + <usize>chunkCount * CHUNK_BYTES) - FRAME_BYTES, ARENA_POOL);
  store<u32>(ARENA, <u32>machines, ARENA_MACHINES);
  store<u32>(ARENA, machinesMax, ARENA_MACHINES_MAX);
  store<u32>(ARENA, 1, ARENA_EPOCH);
  return 0;
}

/** Counts work of the run under way. */
// @ts-ignore: decorator
@inline
export function workAdd(entries: u32): void {
  store<u32>(ARENA, load<u32>(ARENA, ARENA_WORK) + entries, ARENA_WORK);
}

/** Machine block number `index`. */
// @ts-ignore: decorator
@inline
export function machineAt(index: u32): usize {
  return <usize>load<u32>(ARENA, ARENA_MACHINES) + <usize>index * MACHINE_STRIDE;
}
