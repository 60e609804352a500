/**
 * log: a machine's dirty logs: up to eight bitmaps of its RAM, each drained by its one consumer.
 *
 * Owns    MACHINE_LOGS, MACHINE_LOG_FRAMES, and the frames of headers and windows.
 * Used by memory/stage2.ts (marks), memory/share.ts, machine.ts (opens, harvests, closes).
 * Holds   a page without a mark in an open log has no write tag: the next store to it takes the
 *         slow path, which marks it in every open log.
 *
 *   header frame   summary u64[16] │ window frame u32[16] │ -
 *   window         512 words: RAM pages 32768 n ... 32768 n + 32767; a summary bit per 64 words
 */
import {
  BATCH,
  BATCH_MAX,
  LOGS_MAX,
  LOG_SUMMARIES,
  LOG_WINDOWS,
  LOG_WINDOW_SHIFT,
  LOG_WINDOW_WORDS,
  MACHINE_LOGS,
  MACHINE_LOG_FRAMES,
  MACHINE_RAM_PAGES,
} from "../layout";
import { dirtyCount, dirtyHarvest, dirtyMark, dirtyTest } from "./dirty";
import { ROLE_LOG, frameAddress, frameAlloc, frameRelease } from "./frames";

const WINDOW_MASK: u32 = (1 << LOG_WINDOW_SHIFT) - 1;

// @ts-ignore: decorator
@inline
function headerFrame(machine: usize, log: u32): u32 {
  return load<u32>(machine + ((<usize>log) << 2), MACHINE_LOG_FRAMES);
}

// @ts-ignore: decorator
@inline
function windowFrame(header: usize, window: u32): u32 {
  return load<u32>(header + ((<usize>window) << 2), LOG_WINDOWS);
}

// @ts-ignore: decorator
@inline
function summaryAt(header: usize, window: u32): usize {
  return header + LOG_SUMMARIES + ((<usize>window) << 3);
}

function windowCount(machine: usize): u32 {
  return (load<u32>(machine, MACHINE_RAM_PAGES) + WINDOW_MASK) >> LOG_WINDOW_SHIFT;
}

/** True when log number `log` is open. */
export function logIsOpen(machine: usize, log: u32): bool {
  return log < <u32>LOGS_MAX && ((load<u32>(machine, MACHINE_LOGS) >> log) & 1) != 0;
}

/** Gives a log's frames back. */
function logFree(machine: usize, log: u32): void {
  const frame = headerFrame(machine, log);
  const header = frameAddress(frame);
  const windows = windowCount(machine);
  for (let window: u32 = 0; window < windows; window++) {
    if (windowFrame(header, window) != 0) frameRelease(windowFrame(header, window));
  }
  frameRelease(frame);
  store<u32>(machine + ((<usize>log) << 2), 0, MACHINE_LOG_FRAMES);
}

/**
 * Opens a log, empty. Its number + 1; 0 when no frame is free or all are open. The caller drops the
 * machine's write tags.
 */
export function logOpen(machine: usize): u32 {
  const open = load<u32>(machine, MACHINE_LOGS);
  const log = <u32>ctz(~open);
  if (log >= <u32>LOGS_MAX) return 0;
  const frame = frameAlloc(ROLE_LOG);
  if (frame == 0) return 0;
  store<u32>(machine + ((<usize>log) << 2), frame, MACHINE_LOG_FRAMES);
  const header = frameAddress(frame);
  const windows = windowCount(machine);
  for (let window: u32 = 0; window < windows; window++) {
    const bits = frameAlloc(ROLE_LOG);
    if (bits == 0) {
      logFree(machine, log);
      return 0;
    }
    store<u32>(header + ((<usize>window) << 2), bits, LOG_WINDOWS);
  }
  store<u32>(machine, open | (1 << log), MACHINE_LOGS);
  return log + 1;
}

/** Closes a log that is open. */
export function logClose(machine: usize, log: u32): void {
  logFree(machine, log);
  store<u32>(machine, load<u32>(machine, MACHINE_LOGS) & ~(1 << log), MACHINE_LOGS);
}

/** Closes all. */
export function logCloseAll(machine: usize): void {
  for (let log: u32 = 0; log < <u32>LOGS_MAX; log++) {
    if (logIsOpen(machine, log)) logClose(machine, log);
  }
}

/** Marks a page in every open log. */
export function logMark(machine: usize, page: u32): void {
  let open = load<u32>(machine, MACHINE_LOGS);
  const window = page >> LOG_WINDOW_SHIFT;
  while (open != 0) {
    const header = frameAddress(headerFrame(machine, <u32>ctz(open)));
    const bits = frameAddress(windowFrame(header, window));
    dirtyMark(bits, summaryAt(header, window), page & WINDOW_MASK);
    open &= open - 1;
  }
}

/** True when a page is marked. */
export function logTest(machine: usize, log: u32, page: u32): bool {
  const header = frameAddress(headerFrame(machine, log));
  const bits = frameAddress(windowFrame(header, page >> LOG_WINDOW_SHIFT));
  return dirtyTest(bits, page & WINDOW_MASK);
}

/** Pages marked. */
export function logCount(machine: usize, log: u32): u32 {
  const header = frameAddress(headerFrame(machine, log));
  const windows = windowCount(machine);
  let count: u32 = 0;
  for (let window: u32 = 0; window < windows; window++) {
    count += dirtyCount(frameAddress(windowFrame(header, window)), LOG_WINDOW_WORDS);
  }
  return count;
}

/**
 * Moves the first pages that are marked, lowest first, to BATCH, and marks them clean; returns how
 * many. The caller drops their write tags.
 */
export function logHarvest(machine: usize, log: u32): u32 {
  const header = frameAddress(headerFrame(machine, log));
  const windows = windowCount(machine);
  let found: u32 = 0;
  for (let window: u32 = 0; window < windows && found < <u32>BATCH_MAX; window++) {
    const summary = summaryAt(header, window);
    if (load<u64>(summary) == 0) continue;
    const at = <usize>BATCH + ((<usize>found) << 2);
    const bits = frameAddress(windowFrame(header, window));
    const room = <u32>BATCH_MAX - found;
    const count = dirtyHarvest(bits, summary, LOG_WINDOW_WORDS, 0, at, room);
    if (window != 0) {
      const first = window << LOG_WINDOW_SHIFT;
      for (let index: u32 = 0; index < count; index++) {
        const each = at + ((<usize>index) << 2);
        store<u32>(each, load<u32>(each) + first);
      }
    }
    found += count;
  }
  return found;
}

/** Frames that the logs hold. */
export function logFrames(machine: usize): u32 {
  return <u32>popcnt(load<u32>(machine, MACHINE_LOGS)) * (1 + windowCount(machine));
}
