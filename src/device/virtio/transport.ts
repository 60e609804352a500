/**
 * transport: virtio over MMIO (virtio 1.2, 4.2), version 2: registers, feature negotiation, queues,
 * interrupt.
 *
 * Owns    everything of a virtio device but what its queues mean.
 * Used by blk.ts, console.ts, rng.ts, which extend it.
 * Holds   a driver that breaks the rules gets DEVICE_NEEDS_RESET and a configuration interrupt; the
 *         device then does nothing until it is reset. One notice serves at most as many requests as
 *         a queue holds, in as many slices as that takes; what the driver sees is the same.
 *
 * Saved: tag, status u8, feature selectors u32 x 2, driver features u64, queue selector u32,
 * interrupt status u8, generation u32, queues, then the device's own part.
 */
import type { Device, DeviceContext, DeviceFacts, DeviceSection } from "../contract.ts";
import { type DeviceTreeNode, deviceProperties } from "../device-tree.ts";
import { SectionReader, SectionWriter } from "../section.ts";
import {
  BadQueue,
  type Chain,
  NotHere,
  QUEUE_SIZE_MAX,
  type QueueFeatures,
  VirtQueue,
} from "./queue.ts";

const VIRTIO_BASE = 0x10001000;
const VIRTIO_BYTES = 0x1000;
/** Slots 0-7 have QEMU virt's numbers, the others follow (DESIGN.md section 6). */
export const VIRTIO_SLOTS = 68;

const MAGIC = 0x74726976;
const VENDOR = 0x544c5652; // "RVLT"

export const FEATURE_INDIRECT = 1n << 28n;
export const FEATURE_EVENT_INDEX = 1n << 29n;
export const FEATURE_VERSION_1 = 1n << 32n;
const RING_FEATURES = FEATURE_INDIRECT | FEATURE_EVENT_INDEX | FEATURE_VERSION_1;

const STATUS_DRIVER_OK = 4;
const STATUS_FEATURES_OK = 8;
const STATUS_NEEDS_RESET = 64;
const STATUS_LIVE = STATUS_DRIVER_OK | STATUS_FEATURES_OK;
const STATUS_LIVE_MASK = STATUS_LIVE | STATUS_NEEDS_RESET;
const INTERRUPT_USED = 1;
const INTERRUPT_CONFIG = 2;
const TWO_32 = 0x1_0000_0000;

/**
 * What came of a request: the bytes written, and it goes back to the driver; "kept" by the device,
 * which gives it back later; "left" in the queue with all behind it; or "short" of frames.
 */
export type Served = number | "kept" | "left" | "short";

/** What a virtio device is made from. */
export interface VirtioShape {
  readonly kind: string;
  /** Four letters for the saved section. */
  readonly tag: string;
  readonly version: number;
  /** Virtio's number for the device type. */
  readonly deviceId: number;
  readonly slot: number;
  readonly queues: number;
  /** Beyond those of the ring. */
  readonly features: bigint;
}

/** Base address of a slot. */
export function slotBase(slot: number): number {
  return VIRTIO_BASE + slot * VIRTIO_BYTES;
}

/** PLIC source of a slot. */
export function slotIrq(slot: number): number {
  return slot < 8 ? 1 + slot : 28 + slot;
}

/** A virtio device without what its queues mean. */
export abstract class VirtioDevice implements Device {
  readonly name: string;
  readonly kind: string;
  readonly base: number;
  readonly bytes = VIRTIO_BYTES;
  readonly irq: number;
  readonly #shape: VirtioShape;
  protected context!: DeviceContext;
  protected readonly queues: readonly VirtQueue[];
  #status = 0;
  #deviceSelect = 0;
  #driverSelect = 0;
  #driverFeatures = 0n;
  #queueSelect = 0;
  #interrupt = 0;
  #generation = 0;
  #ring: QueueFeatures = { hasIndirect: false, hasEventIndex: false };

  constructor(shape: VirtioShape) {
    this.#shape = shape;
    this.name = `virtio${shape.slot}`;
    this.kind = shape.kind;
    this.base = slotBase(shape.slot);
    this.irq = slotIrq(shape.slot);
    this.queues = Array.from({ length: shape.queues }, () => new VirtQueue());
  }

  attach(context: DeviceContext): void {
    this.context = context;
  }

  // ---- what a device adds ----

  /**
   * The driver put something into queue `index`; called only while the driver is set up. May throw
   * BadQueue.
   */
  protected abstract notified(index: number): void;
  /** One byte of the configuration space; 0 beyond its end. */
  protected abstract configByte(offset: number): number;
  /** Back to power-on state, beyond what the transport resets; the driver's session is over. */
  protected abstract resetOwn(): void;
  protected abstract saveOwn(writer: SectionWriter): void;
  /** Reads the device's own part; the returned function takes it over. */
  protected abstract readOwn(reader: SectionReader): () => void;
  abstract alarm(): void;

  // ---- for devices ----

  protected get ring(): QueueFeatures {
    return this.#ring;
  }

  protected get isLive(): boolean {
    return (this.#status & STATUS_LIVE_MASK) === STATUS_LIVE;
  }

  protected hasFeature(feature: bigint): boolean {
    return (this.#driverFeatures & feature) !== 0n;
  }

  /** Tells the driver that used buffers are there. */
  protected interruptUsed(): void {
    this.#raise(INTERRUPT_USED);
  }

  /**
   * Runs `work`; a broken rule ends the driver's session, and a page that is not here leaves the
   * rest to `retry`.
   */
  protected guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof NotHere) return;
      if (!(error instanceof BadQueue)) throw error;
      this.#status |= STATUS_NEEDS_RESET;
      this.#generation = (this.#generation + 1) >>> 0;
      for (const queue of this.queues) queue.rounds = 0;
      this.context.setAlarm(null);
      this.resetOwn();
      if ((this.#status & STATUS_DRIVER_OK) !== 0) this.#raise(INTERRUPT_CONFIG);
    }
  }

  /**
   * Hands the requests of queue `index` to `serve`, one after the other, with the used ring made
   * writable. False: some are left until `retry`, which calls `notified` for this queue again.
   */
  protected eachRequest(index: number, serve: (chain: Chain) => Served): boolean {
    const { memory } = this.context;
    const queue = this.queues[index];
    if (queue.rounds === 0) queue.rounds = QUEUE_SIZE_MAX;
    const hasReturned = this.#serveRounds(queue, memory, serve);
    if (hasReturned) this.interruptUsed();
    return queue.rounds === 0;
  }

  /** True when the driver wants to be told of what came back. */
  #serveRounds(
    queue: VirtQueue,
    memory: DeviceContext["memory"],
    serve: (chain: Chain) => Served,
  ): boolean {
    let isWanted = false;
    if (queue.isReady && !queue.reserveUsed(memory, this.ring)) return false;
    while (queue.rounds > 0) {
      const head = queue.next(memory);
      const served = head < 0 ? "left" : serve(queue.chain(memory, head, this.ring));
      if (served === "short") break;
      if (served === "left") {
        queue.rounds = 0;
        break;
      }
      queue.rounds--;
      queue.advance();
      queue.askForNotice(memory, this.ring);
      if (served !== "kept" && queue.finish(memory, head, served, this.ring)) isWanted = true;
      if (queue.rounds > 0 && !this.context.mayGoOn()) break;
    }
    return isWanted;
  }

  #raise(bit: number): void {
    this.#interrupt |= bit;
    this.context.setIrq(true);
  }

  // ---- registers ----

  read(offset: number, size: number): number {
    if (offset >= 0x100) {
      let value = 0;
      for (let index = size - 1; index >= 0; index--) {
        value = value * 256 + this.configByte(offset - 0x100 + index);
      }
      return value;
    }
    if (size !== 4) return 0;
    const queue = this.queues[this.#queueSelect];
    switch (offset) {
      case 0x000:
        return MAGIC;
      case 0x004:
        return 2;
      case 0x008:
        return this.#shape.deviceId;
      case 0x00c:
        return VENDOR;
      case 0x010: {
        if (this.#deviceSelect > 1) return 0;
        const all = this.#shape.features | RING_FEATURES;
        return Number((all >> BigInt(32 * this.#deviceSelect)) & 0xffff_ffffn);
      }
      case 0x034:
        return queue === undefined ? 0 : QUEUE_SIZE_MAX;
      case 0x044:
        return queue?.isReady === true ? 1 : 0;
      case 0x060:
        return this.#interrupt;
      case 0x070:
        return this.#status;
      case 0x0b0: // no shared memory regions: length and base of all ones
      case 0x0b4:
      case 0x0b8:
      case 0x0bc:
        return 0xffff_ffff;
      case 0x0fc:
        return this.#generation;
      default:
        return 0;
    }
  }

  write(offset: number, size: number, value: number): void {
    if (size !== 4 || offset >= 0x100) return; // no device here has writable configuration
    switch (offset) {
      case 0x014:
        this.#deviceSelect = value;
        break;
      case 0x020:
        this.#takeFeatures(value);
        break;
      case 0x024:
        this.#driverSelect = value;
        break;
      case 0x030:
        this.#queueSelect = value;
        break;
      case 0x050:
        if (this.isLive && value < this.queues.length) this.guarded(() => this.notified(value));
        break;
      case 0x064:
        this.#interrupt &= ~value;
        if (this.#interrupt === 0) this.context.setIrq(false);
        break;
      case 0x070:
        this.#setStatus(value);
        break;
      default:
        this.#writeQueue(offset, value);
    }
  }

  #takeFeatures(value: number): void {
    if (this.#driverSelect > 1 || (this.#status & STATUS_FEATURES_OK) !== 0) return;
    const shift = BigInt(32 * this.#driverSelect);
    const kept = this.#driverFeatures & ~(0xffff_ffffn << shift);
    this.#driverFeatures = kept | (BigInt(value >>> 0) << shift);
  }

  #setStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    const kept = this.#status & STATUS_NEEDS_RESET; // the device's own bit
    let next = kept | (value & 0xff & ~STATUS_NEEDS_RESET);
    if ((next & STATUS_FEATURES_OK) !== 0 && (this.#status & STATUS_FEATURES_OK) === 0) {
      // 3.1.1: the driver reads back whether its choice was taken
      if (!this.#isAcceptable(this.#driverFeatures)) next &= ~STATUS_FEATURES_OK;
      this.#deriveRing();
    }
    this.#status = next;
  }

  /** 6.1: nothing that was not offered, and VERSION_1. */
  #isAcceptable(features: bigint): boolean {
    const all = this.#shape.features | RING_FEATURES;
    return (features & ~all) === 0n && (features & FEATURE_VERSION_1) !== 0n;
  }

  #deriveRing(): void {
    this.#ring = {
      hasIndirect: (this.#driverFeatures & FEATURE_INDIRECT) !== 0n,
      hasEventIndex: (this.#driverFeatures & FEATURE_EVENT_INDEX) !== 0n,
    };
  }

  #writeQueue(offset: number, value: number): void {
    const queue = this.queues[this.#queueSelect];
    if (queue === undefined) return;
    if (offset === 0x044) {
      queue.isReady = (value & 1) !== 0;
      return;
    }
    if (queue.isReady) return; // 4.2.2.2: the driver must not change a live queue
    const low = (old: number) => Math.floor(old / TWO_32) * TWO_32 + (value >>> 0);
    // beyond 2^53 no RAM is: the highest exact one stands for all of them
    const high = (old: number) => (old % TWO_32) + Math.min(value >>> 0, 0x1fffff) * TWO_32;
    switch (offset) {
      case 0x038: {
        const isSize = value > 0 && value <= QUEUE_SIZE_MAX && (value & (value - 1)) === 0;
        if (isSize) queue.size = value;
        else this.guarded(() => this.#refuse("queue size"));
        break;
      }
      case 0x080:
        queue.descriptors = low(queue.descriptors);
        break;
      case 0x084:
        queue.descriptors = high(queue.descriptors);
        break;
      case 0x090:
        queue.available = low(queue.available);
        break;
      case 0x094:
        queue.available = high(queue.available);
        break;
      case 0x0a0:
        queue.used = low(queue.used);
        break;
      case 0x0a4:
        queue.used = high(queue.used);
        break;
    }
  }

  #refuse(what: string): never {
    throw new BadQueue(what);
  }

  // ---- life ----

  retry(): void {
    if (!this.isLive) return;
    this.guarded(() => {
      for (const [index, queue] of this.queues.entries()) {
        if (queue.rounds > 0) this.notified(index);
      }
    });
  }

  reset(): void {
    this.#status = 0;
    this.#deviceSelect = 0;
    this.#driverSelect = 0;
    this.#driverFeatures = 0n;
    this.#queueSelect = 0;
    this.#interrupt = 0;
    this.#generation = 0;
    this.#deriveRing();
    for (const queue of this.queues) queue.reset();
    this.context.setIrq(false);
    this.context.setAlarm(null);
    this.resetOwn();
  }

  inspect(): DeviceFacts {
    const register = (name: string, offset: number, value: number | bigint, bytes = 4) => {
      return { name, offset, value, bytes };
    };
    return {
      registers: [
        register("DeviceID", 0x008, this.#shape.deviceId),
        register("DeviceFeatures", 0x010, this.#shape.features | RING_FEATURES, 8),
        register("DeviceFeaturesSel", 0x014, this.#deviceSelect),
        register("DriverFeatures", 0x020, this.#driverFeatures, 8),
        register("DriverFeaturesSel", 0x024, this.#driverSelect),
        register("QueueSel", 0x030, this.#queueSelect),
        register("InterruptStatus", 0x060, this.#interrupt),
        register("Status", 0x070, this.#status),
        register("ConfigGeneration", 0x0fc, this.#generation),
      ],
      queues: this.queues.map(({ facts }) => facts),
    };
  }

  node(): DeviceTreeNode {
    return {
      name: `virtio_mmio@${this.base.toString(16)}`,
      properties: { ...deviceProperties(["virtio,mmio"], this), "dma-coherent": true },
    };
  }

  save(): DeviceSection {
    const writer = new SectionWriter(this.#shape.tag);
    writer.u8(this.#status);
    writer.u32(this.#deviceSelect);
    writer.u32(this.#driverSelect);
    writer.u64(this.#driverFeatures);
    writer.u32(this.#queueSelect);
    writer.u8(this.#interrupt);
    writer.u32(this.#generation);
    for (const queue of this.queues) queue.save(writer);
    this.saveOwn(writer);
    return writer.finish(this.name, this.#shape.version);
  }

  restore(section: DeviceSection): void {
    const reader = new SectionReader(section, this.name, this.#shape.tag, this.#shape.version);
    const status = reader.u8();
    const selects = [reader.u32(), reader.u32()];
    const features = reader.u64();
    if ((status & STATUS_FEATURES_OK) !== 0 && !this.#isAcceptable(features)) {
      reader.refuse(`has features 0x${features.toString(16)} in use that are not offered`);
    }
    const queueSelect = reader.u32();
    const interrupt = reader.u8(INTERRUPT_USED | INTERRUPT_CONFIG);
    const generation = reader.u32();
    const takers = this.queues.map((queue) => queue.read(reader));
    takers.push(this.readOwn(reader));
    reader.end();
    this.#status = status;
    [this.#deviceSelect, this.#driverSelect] = selects;
    this.#driverFeatures = features;
    this.#queueSelect = queueSelect;
    this.#interrupt = interrupt;
    this.#generation = generation;
    this.#deriveRing();
    for (const take of takers) take();
    this.context.setIrq(interrupt !== 0);
  }
}
