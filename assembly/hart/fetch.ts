/**
 * fetch: from HART_PC to an entry of the decode cache.
 *
 * Owns    the scratch chunk, which holds one instruction that cannot live in a page's chunk: it
 *         crosses the page's end, or its page is ZERO or has a PMP boundary inside.
 * Used by hart/slice.ts.
 * Holds   a frame gets a chunk only after its write tags are gone.
 */
import {
  HART_CHUNK,
  HART_ID,
  HART_IP,
  HART_ITLB,
  HART_PAGE,
  HART_PC,
  HART_PHYSICAL,
  HART_PMP_ACTIVE,
  HART_PRIV,
  MACHINE_COUNT_DECODES,
  RUN,
} from "../layout";
import { SCRATCH_CHUNK } from "../memory/arena";
import {
  FRAME_CHUNK,
  FRAME_STORES,
  chunkAssign,
  chunkReleaseAll,
  frameAddress,
  frameEntry,
} from "../memory/frames";
import { ABSENT, ramPage, stage2Frame, stage2Read } from "../memory/stage2";
import { pmpAllows, pmpPageUniform } from "../mmu/pmp";
import { ITLB_MASK, instructionDropAll, writeTagsDrop } from "../mmu/tlb";
import { ACCESS_FETCH, TRANSLATE_PAGE, faultSet, walk } from "../mmu/translate";
import { CHUNK_ENTRIES, CHUNK_FRAME, CHUNK_MAP, CHUNK_ORIGIN, CHUNK_RAW } from "./chunk";
import { decodeRun, decodeSingle } from "./decode";

/** Addresses start above the outcomes of a translation. */
const OUTCOME_MAX: usize = 15;

/** Address of the 16 bits at `pc`, or TRANSLATE_*. */
function halfword(machine: usize, pc: u64): usize {
  const outcome = walk(machine, pc, ACCESS_FETCH, load<u32>(RUN, HART_PRIV));
  if (outcome != 0) return outcome;
  const physical = load<u64>(RUN, HART_PHYSICAL);
  const page = ramPage(machine, physical);
  if (page == u32.MAX_VALUE || !pmpAllows(physical, 2, 4, load<u32>(RUN, HART_PRIV))) {
    return faultSet(ACCESS_FETCH, true, pc);
  }
  const at = stage2Read(machine, page);
  return at == 0 ? <usize>TRANSLATE_PAGE : at + <usize>(physical & 0xfff);
}

/** Puts the one instruction at `pc` into the scratch chunk. 0, or TRANSLATE_*. */
export function fetchSingle(machine: usize, pc: u64): u32 {
  let at = halfword(machine, pc);
  if (at <= OUTCOME_MAX) return <u32>at;
  let raw = <u32>load<u16>(at);
  if ((raw & 3) == 3) {
    at = halfword(machine, pc + 2);
    if (at <= OUTCOME_MAX) return <u32>at;
    raw |= (<u32>load<u16>(at)) << 16;
  }
  const offset = <u32>pc & 0xfff;
  const isCached =
    load<u32>(SCRATCH_CHUNK, CHUNK_RAW) == raw &&
    <u32>load<u16>(SCRATCH_CHUNK, CHUNK_ORIGIN + 2) == offset >> 1;
  if (!isCached) decodeSingle(SCRATCH_CHUNK, raw, offset);
  store<u32>(RUN, <u32>SCRATCH_CHUNK, HART_CHUNK);
  store<u32>(RUN, <u32>(SCRATCH_CHUNK + CHUNK_ENTRIES + 8), HART_IP);
  store<u64>(RUN, pc & ~0xfff, HART_PAGE);
  return 0;
}

/** Chunk of the frame, assigned when it has none. */
function chunkOf(frame: u32): usize {
  const entry = frameEntry(frame);
  let chunk = <usize>load<u32>(entry, FRAME_CHUNK);
  if (chunk != 0) return chunk;
  chunk = chunkAssign(frame);
  if (chunk == 0) {
    chunkReleaseAll();
    instructionDropAll();
    chunk = chunkAssign(frame);
  }
  store<u32>(entry, 0, FRAME_STORES);
  writeTagsDrop(frame);
  return chunk;
}

/** Sets HART_IP, HART_CHUNK and HART_PAGE for HART_PC. 0, or TRANSLATE_*. */
export function fetch(machine: usize): u32 {
  const pc = load<u64>(RUN, HART_PC);
  const page = pc & ~0xfff;
  const at = <usize>load<u32>(RUN, HART_ITLB) + <usize>((<u32>pc >> 8) & ITLB_MASK);
  let chunk: usize;
  if (load<u64>(at) == page) chunk = load<u32>(at, 8);
  else {
    const outcome = walk(machine, pc, ACCESS_FETCH, load<u32>(RUN, HART_PRIV));
    if (outcome != 0) return outcome;
    const physical = load<u64>(RUN, HART_PHYSICAL);
    const index = ramPage(machine, physical);
    if (index == u32.MAX_VALUE) return faultSet(ACCESS_FETCH, true, pc);
    const frame = stage2Frame(machine, index);
    // without bytes of its own: the page of zeros, or one that is not here
    if (frame == 0 || frame == ABSENT) return fetchSingle(machine, pc);
    if (load<u32>(RUN, HART_PMP_ACTIVE) != 0) {
      if (!pmpPageUniform(physical)) return fetchSingle(machine, pc);
      if (!pmpAllows(physical, 2, 4, load<u32>(RUN, HART_PRIV))) {
        return faultSet(ACCESS_FETCH, true, pc);
      }
    }
    chunk = chunkOf(frame);
    store<u64>(at, page);
    store<u32>(at, <u32>chunk, 8);
  }
  const offset = <u32>pc & 0xffe;
  let slot = <u32>load<u16>(chunk + <usize>offset, CHUNK_MAP);
  if (slot == 0) {
    store<u64>(machine, load<u64>(machine, MACHINE_COUNT_DECODES) + 1, MACHINE_COUNT_DECODES);
    decodeRun(chunk, frameAddress(load<u32>(chunk, CHUNK_FRAME)), offset);
    slot = <u32>load<u16>(chunk + <usize>offset, CHUNK_MAP);
  }
  store<u32>(RUN, <u32>(chunk + CHUNK_ENTRIES + ((<usize>slot) << 3)), HART_IP);
  store<u32>(RUN, <u32>chunk, HART_CHUNK);
  store<u64>(RUN, page, HART_PAGE);
  return 0;
}

/** The pc of an entry: its origin in the page of HART_PAGE. */
export function pcOf(ip: usize): u64 {
  const chunk = <usize>load<u32>(RUN, HART_CHUNK);
  const slot = (ip - chunk - CHUNK_ENTRIES) >> 3;
  return load<u64>(RUN, HART_PAGE) + ((<u64>load<u16>(chunk + (slot << 1), CHUNK_ORIGIN)) << 1);
}

/** The instruction's bits as they stand in memory (16 or 32 of them) for the entry of HART_IP. */
export function bitsOf(ip: usize): u32 {
  const chunk = <usize>load<u32>(RUN, HART_CHUNK);
  const frame = load<u32>(chunk, CHUNK_FRAME);
  if (frame == 0) return load<u32>(chunk, CHUNK_RAW);
  const slot = (ip - chunk - CHUNK_ENTRIES) >> 3;
  const at = frameAddress(frame) + ((<usize>load<u16>(chunk + (slot << 1), CHUNK_ORIGIN)) << 1);
  const half = <u32>load<u16>(at);
  return (half & 3) == 3 ? load<u32>(at) : half;
}
