/**
 * input-queue: bytes typed at the machine that its guest has not taken yet; a ring that does not
 * grow.
 *
 * Used by uart.ts and virtio/console.ts.
 * Holds   at most `capacity` bytes; what does not fit is refused, so that the sender keeps it.
 */
import type { SectionReader, SectionWriter } from "./section.ts";

const NONE = new Uint8Array(0);

/** A ring of bytes. */
export class InputQueue {
  readonly capacity: number;
  /** Comes with the first byte. */
  #ring: Uint8Array = NONE;
  #first = 0;
  #count = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.#count;
  }

  get room(): number {
    return this.capacity - this.#count;
  }

  clear(): void {
    this.#first = 0;
    this.#count = 0;
  }

  #needRing(): void {
    if (this.#ring.length === 0) this.#ring = new Uint8Array(this.capacity);
  }

  /** Adds a byte at the end. False when there is no room. */
  push(byte: number): boolean {
    if (this.#count === this.capacity) return false;
    this.#needRing();
    this.#ring[(this.#first + this.#count) % this.capacity] = byte;
    this.#count++;
    return true;
  }

  /** Adds bytes at the end as far as there is room; returns how many were taken. */
  pushAll(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    for (let index = 0; index < count; index++) this.push(bytes[index]);
    return count;
  }

  /** Puts a byte back at the front. False when there is no room. */
  unshift(byte: number): boolean {
    if (this.#count === this.capacity) return false;
    this.#needRing();
    this.#first = (this.#first + this.capacity - 1) % this.capacity;
    this.#ring[this.#first] = byte;
    this.#count++;
    return true;
  }

  /** The byte at the front, or -1. */
  shift(): number {
    if (this.#count === 0) return -1;
    const byte = this.#ring[this.#first];
    this.#first = (this.#first + 1) % this.capacity;
    this.#count--;
    return byte;
  }

  /** The byte at the end, or -1. */
  pop(): number {
    if (this.#count === 0) return -1;
    this.#count--;
    return this.#ring[(this.#first + this.#count) % this.capacity];
  }

  /** Takes at most `most` bytes from the front. */
  take(most: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(most, this.#count)));
    for (let index = 0; index < bytes.length; index++) bytes[index] = this.shift();
    return bytes;
  }

  /** The bytes in order, without taking them. */
  peek(): Uint8Array {
    const bytes = new Uint8Array(this.#count);
    for (let index = 0; index < bytes.length; index++) {
      bytes[index] = this.#ring[(this.#first + index) % this.capacity];
    }
    return bytes;
  }

  /** Holds exactly `bytes` from now on; there must be room. */
  assign(bytes: Uint8Array): void {
    this.clear();
    this.pushAll(bytes);
  }

  /** Writes count (u16) and bytes. */
  save(writer: SectionWriter): void {
    writer.u16(this.#count);
    writer.bytes(this.peek());
  }

  /** Reads what `save` wrote, without taking it over: see assign. */
  read(reader: SectionReader): Uint8Array {
    return reader.bytes(reader.u16(this.capacity));
  }
}
