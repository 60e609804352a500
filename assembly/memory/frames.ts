/**
 * frames: the pool of 4 KiB frames and the table with one entry per frame.
 *
 * Owns    the frame table, the free list, and the assignment of decode chunks to frames.
 * Used by memory/stage2.ts (guest pages, leaves, roots), mmu/* (marks), hart/fetch.ts (chunks).
 * Holds   a frame's reference count = the stage-2 entries naming it in distinct live leaves
 *         (a leaf's: the root slots naming it; roots and parts of logs: 1); a frame with a chunk has
 *         no write tag in any TLB.
 *
 *   entry   references u32 │ write epoch u32 │ chunk u32 │ next free u32
 *           │ walk epoch u32 │ walk region u32 │ slow stores u32 │ node u32
 *           │ tag epoch u32 │ tagged pages 2 x u32 │ tags u32 │ role u32 │ -
 */
import { FRAME_SHIFT } from "../layout";
import {
  ARENA,
  ARENA_CHUNKS,
  ARENA_CHUNK_COUNT,
  ARENA_CHUNK_FREE,
  ARENA_CHUNK_NEXT,
  ARENA_FRAMES_FREE,
  ARENA_FRAMES_TOTAL,
  ARENA_FRAME_FRESH,
  ARENA_FRAME_TABLE,
  ARENA_FREE_HEAD,
  ARENA_POOL,
} from "./arena";
import { CHUNK_BYTES, CHUNK_FRAME, CHUNK_RAW } from "../hart/chunk";
import { chunkClear } from "../hart/decode";

export const FRAME_REFERENCES: usize = 0;
/** Epoch in which a write tag for the frame was installed. */
export const FRAME_WRITE_EPOCH: usize = 4;
/** Address of the decode chunk, or 0. */
export const FRAME_CHUNK: usize = 8;
export const FRAME_NEXT: usize = 12;
/** Epoch in which a page-table walk read the frame. */
export const FRAME_WALK_EPOCH: usize = 16;
/**
 * Virtual page number >> 9 (low 32 bits) that the frame maps as a last-level table, or WALK_MANY.
 */
export const FRAME_WALK_REGION: usize = 20;
/** Slow stores since the frame was marked. */
export const FRAME_STORES: usize = 24;
export const FRAME_NODE: usize = 28;
/**
 * Epoch in which the slot's TLBs got a tag for the frame; the virtual pages (low 32 bits of their
 * numbers) that have one, and how many: TAGS_MANY when more than two.
 */
export const FRAME_TAG_EPOCH: usize = 32;
export const FRAME_TAG_PAGES: usize = 36;
export const FRAME_TAGS: usize = 44;
export const TAGS_MANY: u32 = 3;
/** What the frame is. */
export const FRAME_ROLE: usize = 48;
export const ROLE_PAGE: u32 = 0;
export const ROLE_LEAF: u32 = 1;
export const ROLE_ROOT: u32 = 2;
export const ROLE_LOG: u32 = 3;
export const WALK_MANY: u32 = 0xffffffff;

/** Address of a frame's entry. */
// @ts-ignore: decorator
@inline
export function frameEntry(frame: u32): usize {
  return <usize>load<u32>(ARENA, ARENA_FRAME_TABLE) + ((<usize>frame) << 6);
}

/** Address of a frame's 4096 bytes. */
// @ts-ignore: decorator
@inline
export function frameAddress(frame: u32): usize {
  return <usize>load<u32>(ARENA, ARENA_POOL) + ((<usize>frame) << FRAME_SHIFT);
}

/** Frame that holds a byte of the pool. */
// @ts-ignore: decorator
@inline
export function frameOf(address: usize): u32 {
  return <u32>((address - <usize>load<u32>(ARENA, ARENA_POOL)) >> FRAME_SHIFT);
}

/** A frame with one reference and any contents, or 0 when the pool is empty. */
export function frameTake(role: u32): u32 {
  let frame = load<u32>(ARENA, ARENA_FREE_HEAD);
  if (frame != 0) store<u32>(ARENA, load<u32>(frameEntry(frame), FRAME_NEXT), ARENA_FREE_HEAD);
  else {
    frame = load<u32>(ARENA, ARENA_FRAME_FRESH);
    if (frame > load<u32>(ARENA, ARENA_FRAMES_TOTAL)) return 0;
    store<u32>(ARENA, frame + 1, ARENA_FRAME_FRESH);
  }
  store<u32>(ARENA, load<u32>(ARENA, ARENA_FRAMES_FREE) - 1, ARENA_FRAMES_FREE);
  const entry = frameEntry(frame);
  memory.fill(entry, 0, 64);
  store<u32>(entry, 1, FRAME_REFERENCES);
  store<u32>(entry, role, FRAME_ROLE);
  return frame;
}

/** A zeroed frame with one reference, or 0 when the pool is empty. */
export function frameAlloc(role: u32): u32 {
  const isFresh = load<u32>(ARENA, ARENA_FREE_HEAD) == 0; // never used: still zero
  const frame = frameTake(role);
  if (frame != 0 && !isFresh) memory.fill(frameAddress(frame), 0, 4096);
  return frame;
}

/** A frame with the bytes of another, or 0 when the pool is empty. */
export function frameCopy(from: u32, role: u32): u32 {
  const frame = frameTake(role);
  if (frame != 0) memory.copy(frameAddress(frame), frameAddress(from), 4096);
  return frame;
}

/** References to a frame. */
// @ts-ignore: decorator
@inline
export function frameReferences(frame: u32): u32 {
  return load<u32>(frameEntry(frame), FRAME_REFERENCES);
}

/** One more reference. */
// @ts-ignore: decorator
@inline
export function frameRetain(frame: u32): void {
  const entry = frameEntry(frame);
  store<u32>(entry, load<u32>(entry, FRAME_REFERENCES) + 1, FRAME_REFERENCES);
}

/** Drops one reference; the last one returns the frame to the pool and its chunk to the cache. */
export function frameRelease(frame: u32): void {
  const entry = frameEntry(frame);
  const references = load<u32>(entry, FRAME_REFERENCES) - 1;
  store<u32>(entry, references, FRAME_REFERENCES);
  if (references != 0) return;
  chunkRelease(entry);
  store<u32>(entry, load<u32>(ARENA, ARENA_FREE_HEAD), FRAME_NEXT);
  store<u32>(ARENA, frame, ARENA_FREE_HEAD);
  store<u32>(ARENA, load<u32>(ARENA, ARENA_FRAMES_FREE) + 1, ARENA_FRAMES_FREE);
}

/** Takes a frame's chunk away. The caller drops the instruction TLBs that may name it. */
export function chunkRelease(entry: usize): void {
  const chunk = <usize>load<u32>(entry, FRAME_CHUNK);
  if (chunk == 0) return;
  store<u32>(entry, 0, FRAME_CHUNK);
  store<u32>(chunk, 0, CHUNK_FRAME);
  store<u32>(chunk, load<u32>(ARENA, ARENA_CHUNK_FREE), CHUNK_RAW);
  store<u32>(ARENA, <u32>chunk, ARENA_CHUNK_FREE);
}

/**
 * An empty chunk for a frame, or 0 when all are in use (the caller drops all of them and asks
 * again).
 */
export function chunkAssign(frame: u32): usize {
  let chunk = <usize>load<u32>(ARENA, ARENA_CHUNK_FREE);
  if (chunk != 0) store<u32>(ARENA, load<u32>(chunk, CHUNK_RAW), ARENA_CHUNK_FREE);
  else {
    const next = load<u32>(ARENA, ARENA_CHUNK_NEXT);
    if (next == load<u32>(ARENA, ARENA_CHUNK_COUNT)) return 0;
    store<u32>(ARENA, next + 1, ARENA_CHUNK_NEXT);
    chunk = <usize>load<u32>(ARENA, ARENA_CHUNKS) + <usize>next * CHUNK_BYTES;
  }
  chunkClear(chunk);
  store<u32>(chunk, frame, CHUNK_FRAME);
  store<u32>(frameEntry(frame), <u32>chunk, FRAME_CHUNK);
  return chunk;
}

/** Drops every chunk of every frame. The caller drops the instruction TLBs. */
export function chunkReleaseAll(): void {
  const next = load<u32>(ARENA, ARENA_CHUNK_NEXT);
  const base = <usize>load<u32>(ARENA, ARENA_CHUNKS);
  for (let index: u32 = 0; index < next; index++) {
    const frame = load<u32>(base + <usize>index * CHUNK_BYTES, CHUNK_FRAME);
    if (frame != 0) store<u32>(frameEntry(frame), 0, FRAME_CHUNK);
  }
  store<u32>(ARENA, 0, ARENA_CHUNK_NEXT);
  store<u32>(ARENA, 0, ARENA_CHUNK_FREE);
}
