/**
 * rings: a driver's half of a virtqueue as steps of a script, with every field in the hands of the
 * test: whatever a driver could write, this one can.
 *
 * Used by the suites of test/hostile.
 *
 *   each queue: descriptors + 0, available + 0x2000, used + 0x4000; the next queue 0x8000 on
 */
import { FREE, type Script } from "./script.ts";

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;
export const NEEDS_RESET = 64n;
export const VERSION_1 = 1n << 32n;
export const INDIRECT_FEATURE = 1n << 28n;
const QUEUE_BYTES = 0x8000;

export const slotBase = (slot: number) => 0x1000_1000 + slot * 0x1000;

/** One descriptor, as wild as it likes. */
export interface Descriptor {
  readonly gpa: number | bigint;
  readonly bytes: number;
  readonly flags?: number;
  readonly next?: number;
}

/** Where a queue's three parts are. */
export interface QueuePlace {
  readonly size?: number;
  readonly descriptors?: bigint;
  readonly available?: bigint;
  readonly used?: bigint;
}

/** Drives the virtio device in one slot. */
export class Rings {
  readonly script: Script;
  readonly base: number;
  readonly #room: number;
  readonly #offered = new Map<number, number>();

  /** `room`: where its queues lie. */
  constructor(script: Script, slot: number, room = FREE) {
    this.script = script;
    this.base = slotBase(slot);
    this.#room = room;
  }

  register(offset: number, value: number | bigint): void {
    this.script.store(4, this.base + offset, value);
  }

  /** The step that reads the status. */
  status(): number {
    return this.script.load(4, this.base + 0x70);
  }

  descriptors(queue: number): number {
    return this.#room + queue * QUEUE_BYTES;
  }

  available(queue: number): number {
    return this.descriptors(queue) + 0x2000;
  }

  used(queue: number): number {
    return this.descriptors(queue) + 0x4000;
  }

  /** Reset, then up to FEATURES_OK. */
  negotiate(features = VERSION_1 | INDIRECT_FEATURE): void {
    this.#offered.clear();
    for (const status of [0, 1, 3]) this.register(0x70, status);
    for (const half of [0n, 1n]) {
      this.register(0x24, half);
      this.register(0x20, (features >> (32n * half)) & 0xffff_ffffn);
    }
    this.register(0x70, 11);
  }

  /** Makes a queue ready, at its usual place or at another one. */
  place(queue: number, place: QueuePlace = {}): void {
    this.register(0x30, queue);
    this.register(0x38, place.size ?? 256);
    const parts = [
      [0x80, place.descriptors ?? BigInt(this.descriptors(queue))],
      [0x90, place.available ?? BigInt(this.available(queue))],
      [0xa0, place.used ?? BigInt(this.used(queue))],
    ] as const;
    for (const [offset, at] of parts) {
      this.register(offset, at & 0xffff_ffffn);
      this.register(offset + 4, at >> 32n);
    }
    this.register(0x44, 1);
  }

  /** The whole dance with `queues` queues, rings empty. */
  start(queues: number, features?: bigint): void {
    this.negotiate(features);
    for (let queue = 0; queue < queues; queue++) {
      this.script.store(8, this.available(queue), 0);
      this.script.store(8, this.used(queue), 0);
      this.place(queue);
    }
    this.register(0x70, 15);
  }

  /** Writes a descriptor into the table at `table`. */
  describe(table: number, index: number, { gpa, bytes, flags, next }: Descriptor): void {
    const at = table + 16 * index;
    this.script.store(8, at, gpa);
    const rest = BigInt(bytes) | (BigInt(flags ?? 0) << 32n) | (BigInt(next ?? 0) << 48n);
    this.script.store(8, at + 8, rest);
  }

  /** A chain in the queue's own table from descriptor 0 on; flags and next are filled in. */
  chain(queue: number, ...descriptors: readonly Descriptor[]): void {
    descriptors.forEach((descriptor, index) => {
      const isLast = index === descriptors.length - 1;
      const flags = (descriptor.flags ?? 0) | (isLast ? 0 : NEXT);
      this.describe(this.descriptors(queue), index, { next: index + 1, ...descriptor, flags });
    });
  }

  /** Puts `head` into the available ring `count` times, and tells the device. */
  offer(queue: number, head = 0, count = 1): void {
    const first = this.#offered.get(queue) ?? 0;
    for (let index = 0; index < count; index++) {
      this.script.store(2, this.available(queue) + 4 + 2 * ((first + index) % 256), head);
    }
    this.#offered.set(queue, first + count);
    this.script.store(2, this.available(queue) + 2, (first + count) & 0xffff);
    this.register(0x50, queue);
  }

  /** The step that reads how many requests came back. */
  returned(queue: number): number {
    return this.script.load(2, this.used(queue) + 2);
  }
}
