/**
 * queue: a split virtqueue as the device sees it (virtio 1.2, 2.7). Everything in it was written by
 * the guest.
 *
 * Owns    the ring addresses the driver gave and how far both rings are served.
 * Used by transport.ts and the devices.
 * Holds   a chain is followed for a bounded number of steps, every address is checked to be RAM
 *         before use, and nothing is allocated by a length that the guest says. What breaks the
 *         rules throws BadQueue; the transport then asks for a reset, as 2.1.2 allows. A buffer of
 *         no bytes breaks them too, as in QEMU: it would cost work and give nothing.
 *
 *   descriptor  address u64 │ bytes u32 │ flags u16 │ next u16
 *   available   flags u16 │ index u16 │ heads u16[size] │ used_event u16
 *   used        flags u16 │ index u16 │ {head u32, written u32}[size] │ avail_event u16
 */
import type { GuestMemory, QueueFact } from "../contract.ts";
import type { SectionReader, SectionWriter } from "../section.ts";

/** Descriptors in the largest queue offered. */
export const QUEUE_SIZE_MAX = 256;
/** Descriptors in one chain, indirect ones included. */
const CHAIN_MAX = 1024;
const FLAG_NEXT = 1;
const FLAG_WRITE = 2;
const FLAG_INDIRECT = 4;
const NO_INTERRUPT = 1;
const TWO_32 = 0x1_0000_0000;

/** The driver broke the rules of the queue. */
export class BadQueue extends Error {}

/**
 * A page that lies in RAM is not here yet: the work is left as it was, and the machine calls
 * `retry` when the page has come.
 */
export class NotHere extends Error {}

/** Throws what a read of [gpa, gpa + bytes) that failed has meant. */
function unread(memory: GuestMemory, gpa: number, bytes: number, what: string): never {
  throw memory.contains(gpa, bytes) ? new NotHere(what) : new BadQueue(what);
}

/** A piece of guest memory; lies in RAM. */
export interface Segment {
  readonly gpa: number;
  readonly bytes: number;
}

/** One request: what the device may read, then what it may write. */
export interface Chain {
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** Sum of the segments' sizes. */
export function segmentBytes(segments: readonly Segment[]): number {
  let sum = 0;
  for (const segment of segments) sum += segment.bytes;
  return sum;
}

/**
 * The first `bytes` bytes of the segments: what a device reserves must follow from its own limits,
 * not the guest's.
 */
export function firstBytes(segments: readonly Segment[], bytes: number): Segment[] {
  const first: Segment[] = [];
  let left = bytes;
  for (const segment of segments) {
    if (left === 0) break;
    const count = Math.min(segment.bytes, left);
    if (count > 0) first.push({ gpa: segment.gpa, bytes: count });
    left -= count;
  }
  return first;
}

/** Makes all segments writable; false when frames are short. */
export function reserveAll(memory: GuestMemory, segments: readonly Segment[]): boolean {
  return segments.every(({ gpa, bytes }) => memory.reserve(gpa, bytes));
}

/**
 * Copies the first `target.length` bytes out of the segments; the caller has checked that there are
 * as many.
 */
export function gather(memory: GuestMemory, from: readonly Segment[], target: Uint8Array): void {
  let at = 0;
  for (const { gpa, bytes } of from) {
    const count = Math.min(bytes, target.length - at);
    const isRead = count === 0 || memory.read(gpa, target.subarray(at, at + count));
    if (!isRead) unread(memory, gpa, count, "read");
    at += count;
  }
}

/** Copies `source` into the segments from their first byte on. They were reserved. */
export function scatter(memory: GuestMemory, to: readonly Segment[], source: Uint8Array): void {
  let at = 0;
  for (const { gpa, bytes } of to) {
    const count = Math.min(bytes, source.length - at);
    if (count > 0) memory.write(gpa, source.subarray(at, at + count));
    at += count;
  }
}

/** A field or descriptor on its way: one at a time, whatever queue it is of. */
const scratch = new Uint8Array(16);
const scratchView = new DataView(scratch.buffer);

/** Which optional ring features the driver took. */
export interface QueueFeatures {
  readonly hasIndirect: boolean;
  readonly hasEventIndex: boolean;
}

/** One queue. Public fields are the transport's registers. */
export class VirtQueue {
  size = QUEUE_SIZE_MAX;
  isReady = false;
  descriptors = 0;
  available = 0;
  used = 0;
  /** Requests that may still be served for the notice under way; 0 when none is. */
  rounds = 0;
  #served = 0;
  #usedIndex = 0;

  reset(): void {
    this.size = QUEUE_SIZE_MAX;
    this.isReady = false;
    this.descriptors = 0;
    this.available = 0;
    this.used = 0;
    this.rounds = 0;
    this.#served = 0;
    this.#usedIndex = 0;
  }

  #u16(memory: GuestMemory, gpa: number): number {
    if (!memory.read(gpa, scratch.subarray(0, 2))) unread(memory, gpa, 2, "ring outside RAM");
    return scratchView.getUint16(0, true);
  }

  #putU16(memory: GuestMemory, gpa: number, value: number): void {
    scratchView.setUint16(0, value, true);
    if (!memory.write(gpa, scratch.subarray(0, 2))) throw new BadQueue("ring outside RAM");
  }

  /**
   * True when the used ring can be written, and nothing of the other is away: `finish` then gets to
   * its end. False: frames are short, or a page is not here. Throws BadQueue when a ring is not in
   * RAM.
   */
  reserveUsed(memory: GuestMemory, features: QueueFeatures): boolean {
    const bytes = 6 + 8 * this.size;
    if (!memory.contains(this.used, bytes)) throw new BadQueue("used ring outside RAM");
    this.#u16(memory, this.available);
    this.#u16(memory, this.available + (features.hasEventIndex ? 4 : 2) + 2 * this.size);
    return memory.reserve(this.used, bytes);
  }

  /** Head of the next request, or -1 when the driver has put no more. Throws BadQueue. */
  next(memory: GuestMemory): number {
    if (!this.isReady) return -1;
    const waiting = (this.#u16(memory, this.available + 2) - this.#served) & 0xffff;
    if (waiting === 0) return -1;
    if (waiting > this.size) throw new BadQueue("available index");
    const head = this.#u16(memory, this.available + 4 + 2 * (this.#served % this.size));
    if (head >= this.size) throw new BadQueue("head");
    return head;
  }

  /** The request that `next` showed is taken. */
  advance(): void {
    this.#served = (this.#served + 1) & 0xffff;
  }

  /**
   * Asks to be told of the next request, where the driver took EVENT_IDX. The used ring was
   * reserved.
   */
  askForNotice(memory: GuestMemory, features: QueueFeatures): void {
    if (features.hasEventIndex) this.#putU16(memory, this.used + 4 + 8 * this.size, this.#served);
  }

  /** Follows the chain of `head`. Throws BadQueue. */
  chain(memory: GuestMemory, head: number, features: QueueFeatures): Chain {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.descriptors;
    let count = this.size;
    let isIndirect = false;
    let index = head;
    for (let steps = 0; steps < CHAIN_MAX; steps++) {
      if (index >= count) throw new BadQueue("next");
      const at = table + 16 * index;
      if (!memory.read(at, scratch)) unread(memory, at, 16, "table outside RAM");
      const gpa = scratchView.getUint32(0, true) + scratchView.getUint32(4, true) * TWO_32;
      const bytes = scratchView.getUint32(8, true);
      const flags = scratchView.getUint16(12, true);
      index = scratchView.getUint16(14, true);
      if ((flags & FLAG_INDIRECT) !== 0) {
        // 2.7.5.3: one level, not chained, whole descriptors
        if (!features.hasIndirect || isIndirect || (flags & FLAG_NEXT) !== 0) {
          throw new BadQueue("indirect");
        }
        if (bytes === 0 || bytes % 16 !== 0 || bytes > 16 * CHAIN_MAX)
          throw new BadQueue("indirect");
        isIndirect = true;
        table = gpa;
        count = bytes / 16;
        index = 0;
        continue;
      }
      if (bytes === 0) throw new BadQueue("empty buffer");
      if (!memory.contains(gpa, bytes)) throw new BadQueue("buffer outside RAM");
      if ((flags & FLAG_WRITE) !== 0) writable.push({ gpa, bytes });
      else if (writable.length > 0) throw new BadQueue("readable behind writable");
      else readable.push({ gpa, bytes });
      if ((flags & FLAG_NEXT) === 0) return { head, readable, writable };
    }
    throw new BadQueue("endless chain");
  }

  /**
   * Gives a request back, with `written` bytes in its writable part. The used ring was reserved.
   * True when the driver wants an interrupt.
   */
  finish(memory: GuestMemory, head: number, written: number, features: QueueFeatures): boolean {
    scratchView.setUint32(0, head, true);
    scratchView.setUint32(4, written, true);
    const at = this.used + 4 + 8 * (this.#usedIndex % this.size);
    if (!memory.write(at, scratch.subarray(0, 8))) throw new BadQueue("used ring outside RAM");
    const before = this.#usedIndex;
    this.#usedIndex = (before + 1) & 0xffff;
    this.#putU16(memory, this.used + 2, this.#usedIndex);
    if (!features.hasEventIndex) {
      return (this.#u16(memory, this.available) & NO_INTERRUPT) === 0;
    }
    // 2.7.10: the driver asked to be told when the index passes used_event
    const event = this.#u16(memory, this.available + 4 + 2 * this.size);
    return ((this.#usedIndex - event - 1) & 0xffff) < ((this.#usedIndex - before) & 0xffff);
  }

  /** For people. */
  get facts(): QueueFact {
    const { isReady, size, descriptors, available, used } = this;
    const [servedIndex, usedIndex] = [this.#served, this.#usedIndex];
    return { isReady, size, descriptors, available, used, servedIndex, usedIndex };
  }

  /** size u16, ready u8, three addresses u64, served u16, used index u16, rounds u16. */
  save(writer: SectionWriter): void {
    writer.u16(this.size);
    writer.flag(this.isReady);
    for (const address of [this.descriptors, this.available, this.used]) writer.u53(address);
    writer.u16(this.#served);
    writer.u16(this.#usedIndex);
    writer.u16(this.rounds);
  }

  /** Reads what `save` wrote; the returned function takes it over. */
  read(reader: SectionReader): () => void {
    const size = reader.u16(QUEUE_SIZE_MAX);
    if (size === 0 || (size & (size - 1)) !== 0) reader.refuse(`holds a queue of ${size}`);
    const isReady = reader.flag();
    const addresses = [reader.u53(), reader.u53(), reader.u53()];
    const served = reader.u16();
    const usedIndex = reader.u16();
    const rounds = reader.u16(QUEUE_SIZE_MAX);
    return () => {
      this.size = size;
      this.isReady = isReady;
      [this.descriptors, this.available, this.used] = addresses;
      this.#served = served;
      this.#usedIndex = usedIndex;
      this.rounds = rounds;
    };
  }
}
