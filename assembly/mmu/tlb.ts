/**
 * tlb: the software TLBs of the running slot. Coherent with the page tables, so invisible to the
 * guest.
 *
 * Owns    for each of 8 harts and each regime (U, S, S with SUM, M): a read array, a write array
 *         and an instruction array, and a log of the data slots filled since the last drop.
 * Used by hart/run.ts (probes), mmu/translate.ts (fills), memory doors (drops).
 * Holds   the invalid data tag of slot i is (i ^ 1) << 12, which no address that indexes slot i can
 *         match; the invalid instruction tag is 1, which no page address equals. A frame read by a
 *         walk in this epoch, or with decoded code, or that is shared, or whose page some open log
 *         has no mark of, has no write tag. The epoch ends when nothing at all is cached.
 *
 *   data entry          tag u64 │ host address - virtual address u32 │ -        16 bytes
 *   instruction entry   page u64 │ chunk u32 │ -                                16 bytes
 */
import { FRAME_SHIFT, MACHINE_COUNT_FLUSHES, MACHINE_FLUSHES, MACHINE_HARTS } from "../layout";
import {
  ARENA,
  ARENA_EPOCH,
  ARENA_SLOT_OWNER,
  ARENA_ZERO_MAPPED,
  TLB_BASE,
  TLB_TEMPLATE,
  ZERO_PAGE,
  workAdd,
} from "../memory/arena";
import {
  FRAME_CHUNK,
  FRAME_STORES,
  FRAME_TAGS,
  FRAME_TAG_EPOCH,
  FRAME_TAG_PAGES,
  FRAME_WALK_EPOCH,
  FRAME_WALK_REGION,
  FRAME_WRITE_EPOCH,
  TAGS_MANY,
  frameAddress,
  frameEntry,
} from "../memory/frames";

export const TLB_SLOTS: u32 = 1024;
export const TLB_MASK: u32 = (TLB_SLOTS - 1) << 4;
/** Bytes of one read or write array. */
export const TLB_ARRAY: usize = 16384;
export const TLB_WRITE: usize = TLB_ARRAY;
export const TLB_ADDEND: usize = 8;
/** Read and write array of one regime. */
export const TLB_REGIME: usize = 2 * TLB_ARRAY;
export const REGIME_USER: u32 = 0;
export const REGIME_SUPERVISOR: u32 = 1;
export const REGIME_SUM: u32 = 2;
export const REGIME_MACHINE: u32 = 3;

export const ITLB_SLOTS: u32 = 256;
export const ITLB_MASK: u32 = (ITLB_SLOTS - 1) << 4;
export const ITLB_ARRAY: usize = 4096;
/** Entries of a hart's data arrays, read and write. */
const DATA_ENTRIES: u32 = 8 * TLB_SLOTS;
const ITLB_OFFSET: usize = 4 * TLB_REGIME;
const LOG_OFFSET: usize = ITLB_OFFSET + 4 * ITLB_ARRAY;
/** The log: count u32, then regime << 10 | slot as u16. A full log means "everything". */
const LOG_MAX: u32 = 1020;
/** Everything of one hart: 128 KiB data, 16 KiB instruction, 4 KiB log. */
export const TLB_HART: usize = LOG_OFFSET + 4096;

/** Address of a hart's TLBs. */
// @ts-ignore: decorator
@inline
export function tlbOf(hart: u32): usize {
  return TLB_BASE + <usize>hart * TLB_HART;
}

/** Address of the instruction TLB of a hart in a privilege mode (0, 1, 3). */
// @ts-ignore: decorator
@inline
export function itlbOf(hart: u32, privilege: u32): usize {
  return tlbOf(hart) + ITLB_OFFSET + <usize>privilege * ITLB_ARRAY;
}

/** Writes the template and empties everything. Called once. */
export function tlbInit(): void {
  for (let slot: u32 = 0; slot < TLB_SLOTS; slot++) {
    const at = TLB_TEMPLATE + ((<usize>slot) << 4);
    store<u64>(at, (<u64>(slot ^ 1)) << 12);
    store<u64>(at, 0, 8);
  }
  for (let hart: u32 = 0; hart < 8; hart++) {
    store<u32>(tlbOf(hart) + LOG_OFFSET, LOG_MAX);
    dataDrop(hart);
    instructionDrop(hart);
  }
}

// @ts-ignore: decorator
@inline
function logged(base: usize, index: u32): u32 {
  return <u32>load<u16>(base + LOG_OFFSET + ((<usize>index) << 1), 4);
}

function dataDrop(hart: u32): void {
  const base = tlbOf(hart);
  const count = load<u32>(base + LOG_OFFSET);
  workAdd(count >= LOG_MAX ? DATA_ENTRIES : count);
  if (count >= LOG_MAX) {
    for (let array: usize = 0; array < 8; array++)
      memory.copy(base + array * TLB_ARRAY, TLB_TEMPLATE, TLB_ARRAY);
  } else {
    for (let index: u32 = 0; index < count; index++) {
      const word = logged(base, index);
      const at = base + <usize>(word >> 10) * TLB_REGIME + ((<usize>(word & 1023)) << 4);
      const tag = (<u64>((word & 1023) ^ 1)) << 12;
      store<u64>(at, tag);
      store<u64>(at, tag, TLB_WRITE);
    }
  }
  store<u32>(base + LOG_OFFSET, 0);
}

function instructionDrop(hart: u32): void {
  const base = tlbOf(hart) + ITLB_OFFSET;
  workAdd(4 * ITLB_SLOTS);
  for (let at: usize = 0; at < 4 * ITLB_ARRAY; at += 16) store<u64>(base + at, 1);
}

/** Empties the instruction TLBs of every hart: some chunk is going away. */
export function instructionDropAll(): void {
  for (let hart: u32 = 0; hart < 8; hart++) instructionDrop(hart);
}

/**
 * Drops every translation of one hart (a satp or PMP write). Ends the epoch when the machine has no
 * other.
 */
export function tlbDropHart(machine: usize, hart: u32): void {
  dataDrop(hart);
  instructionDrop(hart);
  store<u64>(machine, load<u64>(machine, MACHINE_COUNT_FLUSHES) + 1, MACHINE_COUNT_FLUSHES);
  if (load<u32>(machine, MACHINE_HARTS) == 1) epochEnd();
}

/** Drops every translation of the machine in the slot: no hart keeps any. */
export function tlbDropAll(machine: usize): void {
  const harts = load<u32>(machine, MACHINE_HARTS);
  for (let hart: u32 = 0; hart < harts; hart++) {
    dataDrop(hart);
    instructionDrop(hart);
  }
  store<u32>(machine, load<u32>(machine, MACHINE_FLUSHES) + 1, MACHINE_FLUSHES);
  store<u64>(machine, load<u64>(machine, MACHINE_COUNT_FLUSHES) + 1, MACHINE_COUNT_FLUSHES);
  epochEnd();
}

function epochEnd(): void {
  store<u32>(ARENA, load<u32>(ARENA, ARENA_EPOCH) + 1, ARENA_EPOCH);
  store<u32>(ARENA, 0, ARENA_ZERO_MAPPED);
}

/** Gives the slot to a machine; whatever another machine left is dropped. */
export function slotTake(machine: usize): void {
  if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) == machine) return;
  for (let hart: u32 = 0; hart < 8; hart++) {
    dataDrop(hart);
    instructionDrop(hart);
  }
  epochEnd();
  store<u32>(ARENA, <u32>machine, ARENA_SLOT_OWNER);
}

function logFill(base: usize, regime: u32, slot: u32): void {
  const count = load<u32>(base + LOG_OFFSET);
  if (count >= LOG_MAX) return;
  store<u16>(base + LOG_OFFSET + ((<usize>count) << 1), <u16>((regime << 10) | slot), 4);
  store<u32>(base + LOG_OFFSET, count + 1);
}

/** Notes that the virtual page of `va` has a tag for a frame. */
function tagNote(entry: usize, va: u64): void {
  const page = <u32>(va >> FRAME_SHIFT);
  const epoch = load<u32>(ARENA, ARENA_EPOCH);
  if (load<u32>(entry, FRAME_TAG_EPOCH) != epoch) {
    store<u32>(entry, epoch, FRAME_TAG_EPOCH);
    store<u32>(entry, page, FRAME_TAG_PAGES);
    store<u32>(entry, 1, FRAME_TAGS);
    return;
  }
  const tags = load<u32>(entry, FRAME_TAGS);
  if (load<u32>(entry, FRAME_TAG_PAGES) == page || tags == TAGS_MANY) return;
  if (tags == 2 && load<u32>(entry, FRAME_TAG_PAGES + 4) == page) return;
  if (tags == 1) store<u32>(entry, page, FRAME_TAG_PAGES + 4);
  store<u32>(entry, tags + 1, FRAME_TAGS);
}

/** Installs a read tag for the page of `va`, whose bytes are in `frame`; 0 is the page of zeros. */
export function tlbFillRead(hart: u32, regime: u32, va: u64, frame: u32): void {
  const slot = <u32>(va >> FRAME_SHIFT) & (TLB_SLOTS - 1);
  const base = tlbOf(hart);
  const at = base + <usize>regime * TLB_REGIME + ((<usize>slot) << 4);
  const page = va & ~0xfff;
  const host = frame == 0 ? ZERO_PAGE : frameAddress(frame);
  store<u64>(at, page);
  store<u32>(at, <u32>host - <u32>page, TLB_ADDEND);
  if (frame == 0) store<u32>(ARENA, 1, ARENA_ZERO_MAPPED);
  else tagNote(frameEntry(frame), va);
  logFill(base, regime, slot);
}

/**
 * Installs a write tag. The caller has made sure that the frame is owned, not walked and not code.
 */
export function tlbFillWrite(hart: u32, regime: u32, va: u64, frame: u32): void {
  const slot = <u32>(va >> FRAME_SHIFT) & (TLB_SLOTS - 1);
  const base = tlbOf(hart);
  const at = base + <usize>regime * TLB_REGIME + ((<usize>slot) << 4);
  const page = va & ~0xfff;
  store<u64>(at, page, TLB_WRITE);
  store<u32>(at, <u32>frameAddress(frame) - <u32>page, TLB_WRITE + TLB_ADDEND);
  store<u32>(frameEntry(frame), load<u32>(ARENA, ARENA_EPOCH), FRAME_WRITE_EPOCH);
  tagNote(frameEntry(frame), va);
  logFill(base, regime, slot);
}

// @ts-ignore: decorator
@inline
function dropIfAt(at: usize, slot: u32, host: usize): void {
  const tag = load<u64>(at);
  if (<usize>(<u32>tag + load<u32>(at, TLB_ADDEND)) == host)
    store<u64>(at, (<u64>(slot ^ 1)) << 12);
}

/**
 * Drops, on every hart, the tags in the read arrays (`offset` 0) or write arrays (TLB_WRITE) that
 * lead to `host`.
 */
function dropHost(host: usize, offset: usize): void {
  for (let hart: u32 = 0; hart < 8; hart++) {
    const base = tlbOf(hart);
    const count = load<u32>(base + LOG_OFFSET);
    workAdd(count < LOG_MAX ? count : 4 * TLB_SLOTS);
    if (count < LOG_MAX) {
      for (let index: u32 = 0; index < count; index++) {
        const word = logged(base, index);
        const slot = word & 1023;
        dropIfAt(
          base + <usize>(word >> 10) * TLB_REGIME + ((<usize>slot) << 4) + offset,
          slot,
          host,
        );
      }
      continue;
    }
    for (let regime: usize = 0; regime < 4; regime++) {
      const array = base + regime * TLB_REGIME + offset;
      for (let slot: u32 = 0; slot < TLB_SLOTS; slot++)
        dropIfAt(array + ((<usize>slot) << 4), slot, host);
    }
  }
}

/** Drops the tags that lead to a frame, by where they are noted to be. */
function tagsDrop(frame: u32, offset: usize): void {
  const entry = frameEntry(frame);
  if (load<u32>(entry, FRAME_TAG_EPOCH) != load<u32>(ARENA, ARENA_EPOCH)) return;
  const host = frameAddress(frame);
  const tags = load<u32>(entry, FRAME_TAGS);
  if (tags == TAGS_MANY) {
    dropHost(host, offset);
    return;
  }
  workAdd(32 * tags);
  for (let tag: u32 = 0; tag < tags; tag++) {
    const slot = load<u32>(entry + ((<usize>tag) << 2), FRAME_TAG_PAGES) & (TLB_SLOTS - 1);
    for (let hart: u32 = 0; hart < 8; hart++) {
      const at = tlbOf(hart) + ((<usize>slot) << 4) + offset;
      for (let regime: usize = 0; regime < 4; regime++) {
        dropIfAt(at + regime * TLB_REGIME, slot, host);
      }
    }
  }
}

/** Takes every write tag of a frame away, if it can have one. */
export function writeTagsDrop(frame: u32): void {
  const entry = frameEntry(frame);
  if (load<u32>(entry, FRAME_WRITE_EPOCH) != load<u32>(ARENA, ARENA_EPOCH)) return;
  store<u32>(entry, 0, FRAME_WRITE_EPOCH);
  tagsDrop(frame, TLB_WRITE);
}

/**
 * Takes every write tag away, if the machine is in the slot: its pages are shared from now on, or
 * marked in another log.
 */
export function slotTagsDropWrite(machine: usize): void {
  if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) != machine) return;
  for (let hart: u32 = 0; hart < 8; hart++) {
    const base = tlbOf(hart);
    const count = load<u32>(base + LOG_OFFSET);
    if (count >= LOG_MAX) {
      for (let regime: usize = 0; regime < 4; regime++)
        memory.copy(base + regime * TLB_REGIME + TLB_WRITE, TLB_TEMPLATE, TLB_ARRAY);
      continue;
    }
    for (let index: u32 = 0; index < count; index++) {
      const word = logged(base, index);
      const at = base + <usize>(word >> 10) * TLB_REGIME + ((<usize>(word & 1023)) << 4);
      store<u64>(at, (<u64>((word & 1023) ^ 1)) << 12, TLB_WRITE);
    }
  }
}

/** A frame goes from a machine: nothing of it stays cached for that machine. */
export function frameLeaves(machine: usize, frame: u32): void {
  if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) != machine) return;
  writeTagsDrop(frame);
  tagsDrop(frame, 0);
  const entry = frameEntry(frame);
  if (load<u32>(entry, FRAME_CHUNK) != 0) instructionDropAll();
  if (load<u32>(entry, FRAME_WALK_EPOCH) == load<u32>(ARENA, ARENA_EPOCH)) tlbDropAll(machine);
}

/**
 * A machine's page has a copy in the place of a frame that it shared: what was translated through
 * the old one stays right, and the copy stands for it.
 */
export function frameMoved(machine: usize, from: u32, to: u32): void {
  if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) != machine) return;
  tagsDrop(from, 0);
  const old = frameEntry(from);
  const entry = frameEntry(to);
  if (load<u32>(old, FRAME_CHUNK) != 0) instructionDropAll();
  if (load<u32>(old, FRAME_WALK_EPOCH) != load<u32>(ARENA, ARENA_EPOCH)) return;
  store<u32>(entry, load<u32>(old, FRAME_WALK_EPOCH), FRAME_WALK_EPOCH);
  store<u32>(entry, load<u32>(old, FRAME_WALK_REGION), FRAME_WALK_REGION);
  store<u32>(entry, load<u32>(old, FRAME_STORES), FRAME_STORES);
}

/** A ZERO page became a frame: read tags that lead to the shared zero page may be stale. */
export function zeroTagsDrop(): void {
  if (load<u32>(ARENA, ARENA_ZERO_MAPPED) == 0) return;
  dropHost(ZERO_PAGE, 0);
  store<u32>(ARENA, 0, ARENA_ZERO_MAPPED);
}

/**
 * Drops whatever is cached for one virtual page number (low 32 bits of it) on every hart of the
 * machine.
 */
export function tlbDropPage(machine: usize, page: u32): void {
  const harts = load<u32>(machine, MACHINE_HARTS);
  const slot = page & (TLB_SLOTS - 1);
  const tag = (<u64>(slot ^ 1)) << 12;
  for (let hart: u32 = 0; hart < harts; hart++) {
    const base = tlbOf(hart);
    for (let regime: usize = 0; regime < 3; regime++) {
      const at = base + regime * TLB_REGIME + ((<usize>slot) << 4);
      store<u64>(at, tag);
      store<u64>(at, tag, TLB_WRITE);
    }
    const instruction = base + ITLB_OFFSET + ((<usize>(page & (ITLB_SLOTS - 1))) << 4);
    store<u64>(instruction, 1);
    store<u64>(instruction, 1, ITLB_ARRAY);
  }
}
