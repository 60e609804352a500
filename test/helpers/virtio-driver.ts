/**
 * virtio-driver: a driver's half of a split virtqueue over a device's registers, as simple as it
 * gets.
 *
 * Used by test/device/virtio-*.test.ts.
 * Holds   rings lie at fixed places in flat RAM; buffers are handed out upwards behind them.
 */
import * as assert from "uvu/assert";
import type { FakeContext } from "../../src/contract/fake-context.ts";
import { RAM_BASE } from "../../src/contract/fake-context.ts";
import type { Device } from "../../src/device/contract.ts";

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;
const QUEUE_BYTES = 0x4000;

/** One buffer of a chain. */
export interface Buffer {
  readonly gpa: number;
  readonly bytes: number;
  readonly isWritable?: boolean;
}

/** Drives one device. */
export class VirtioDriver {
  readonly device: Device;
  readonly context: FakeContext;
  readonly size: number;
  #free = RAM_BASE + 0x40000;
  #nextDescriptor = 0;
  #available: number[] = [];
  #seen: number[] = [];

  constructor(device: Device, context: FakeContext, size = 16) {
    this.device = device;
    this.context = context;
    this.size = size;
  }

  register(offset: number): number {
    return this.device.read(offset, 4);
  }

  setRegister(offset: number, value: number): void {
    this.device.write(offset, 4, value >>> 0);
  }

  descriptors(queue: number): number {
    return RAM_BASE + queue * QUEUE_BYTES;
  }

  available(queue: number): number {
    return this.descriptors(queue) + 0x2000;
  }

  used(queue: number): number {
    return this.descriptors(queue) + 0x3000;
  }

  /** The status dance of 3.1.1 with `features`, and `queues` queues. */
  start(queues: number, features: bigint): void {
    this.setRegister(0x70, 0);
    this.setRegister(0x70, 1);
    this.setRegister(0x70, 3);
    for (const half of [0, 1]) {
      this.setRegister(0x24, half);
      this.setRegister(0x20, Number((features >> BigInt(32 * half)) & 0xffffffffn));
    }
    this.setRegister(0x70, 11);
    assert.is(this.register(0x70), 11, "FEATURES_OK");
    for (let queue = 0; queue < queues; queue++) {
      this.setRegister(0x30, queue);
      this.setRegister(0x38, this.size);
      this.setRegister(0x80, this.descriptors(queue));
      this.setRegister(0x84, 0);
      this.setRegister(0x90, this.available(queue));
      this.setRegister(0x94, 0);
      this.setRegister(0xa0, this.used(queue));
      this.setRegister(0xa4, 0);
      this.setRegister(0x44, 1);
    }
    this.#available = Array(queues).fill(0);
    this.#seen = Array(queues).fill(0);
    this.setRegister(0x70, 15);
  }

  u16(gpa: number): number {
    return this.context.memory.view.getUint16(gpa - RAM_BASE, true);
  }

  setU16(gpa: number, value: number): void {
    this.context.memory.view.setUint16(gpa - RAM_BASE, value, true);
  }

  /** Room for `bytes` bytes. */
  allocate(bytes: number): number {
    const at = this.#free;
    this.#free += Math.ceil(bytes / 16) * 16;
    return at;
  }

  /** A buffer that the device reads. */
  give(bytes: Uint8Array): Buffer {
    const gpa = this.allocate(bytes.length);
    this.context.memory.write(gpa, bytes);
    return { gpa, bytes: bytes.length };
  }

  /** A buffer that the device writes, filled with 0xee. */
  room(bytes: number): Buffer {
    const gpa = this.allocate(bytes);
    this.context.memory.write(gpa, new Uint8Array(bytes).fill(0xee));
    return { gpa, bytes, isWritable: true };
  }

  contents({ gpa, bytes }: Buffer): Uint8Array {
    const target = new Uint8Array(bytes);
    assert.ok(this.context.memory.read(gpa, target));
    return target;
  }

  /** Writes one descriptor anywhere. */
  describe(at: number, gpa: number, bytes: number, flags: number, next: number): void {
    const { view } = this.context.memory;
    view.setBigUint64(at - RAM_BASE, BigInt(gpa), true);
    view.setUint32(at - RAM_BASE + 8, bytes, true);
    view.setUint16(at - RAM_BASE + 12, flags, true);
    view.setUint16(at - RAM_BASE + 14, next, true);
  }

  /** Puts a head into the available ring and notifies. */
  offer(queue: number, head: number): void {
    const index = this.#available[queue];
    this.setU16(this.available(queue) + 4 + 2 * (index % this.size), head);
    this.#available[queue] = (index + 1) & 0xffff;
    this.setU16(this.available(queue) + 2, this.#available[queue]);
    this.setRegister(0x50, queue);
  }

  /** Submits a chain; its head. */
  submit(queue: number, buffers: readonly Buffer[], isIndirect = false): number {
    const head = this.#nextDescriptor;
    const table = isIndirect ? this.allocate(16 * buffers.length) : this.descriptors(queue);
    const slot = (step: number) => (isIndirect ? step : (head + step) % this.size);
    buffers.forEach((buffer, step) => {
      const isLast = step === buffers.length - 1;
      const flags = (buffer.isWritable === true ? WRITE : 0) | (isLast ? 0 : NEXT);
      const next = isLast ? 0 : slot(step + 1);
      this.describe(table + 16 * slot(step), buffer.gpa, buffer.bytes, flags, next);
    });
    if (isIndirect) {
      const at = this.descriptors(queue) + 16 * head;
      this.describe(at, table, 16 * buffers.length, INDIRECT, 0);
    }
    this.#nextDescriptor = (head + (isIndirect ? 1 : buffers.length)) % this.size;
    this.offer(queue, head);
    return head;
  }

  /** What came back since the last call. */
  completed(queue: number): { head: number; written: number }[] {
    const done: { head: number; written: number }[] = [];
    const index = this.u16(this.used(queue) + 2);
    const { view } = this.context.memory;
    while (this.#seen[queue] !== index && done.length <= this.size) {
      const at = this.used(queue) + 4 + 8 * (this.#seen[queue] % this.size) - RAM_BASE;
      done.push({ head: view.getUint32(at, true), written: view.getUint32(at + 4, true) });
      this.#seen[queue] = (this.#seen[queue] + 1) & 0xffff;
    }
    return done;
  }
}
