/**
 * blk: the virtio block device (virtio 1.2, 5.2): read, write, flush, identify.
 *
 * Owns    the requests under way, as heads with the machine time at which they complete.
 * Used by machine/devices.ts, one per disk.
 * Holds   a request is carried out when it completes, so that head and time are its entire state; requests complete
 *         in order. Machine time stands still while the backend is late. No buffer is larger than REQUEST_BYTES_MAX.
 *
 * Latency model: 50 us and 1 ns per byte.
 * Saved, version 1, behind the transport's part: count u16, then {head u16, due u64} each.
 */
import type { BlockBackend } from "../block/contract.ts";
import { SECTOR_BYTES } from "../block/contract.ts";
import type { SectionReader, SectionWriter } from "../section.ts";
import { BadQueue, type Chain, gather, QUEUE_SIZE_MAX, scatter, segmentBytes } from "./queue.ts";
import { VirtioDevice } from "./transport.ts";

const FEATURE_SEG_MAX = 1n << 2n;
const FEATURE_READ_ONLY = 1n << 5n;
const FEATURE_BLK_SIZE = 1n << 6n;
const FEATURE_FLUSH = 1n << 9n;

const TYPE_IN = 0;
const TYPE_OUT = 1;
const TYPE_FLUSH = 4;
const TYPE_GET_ID = 8;
const STATUS_OK = 0;
const STATUS_IOERR = 1;
const STATUS_UNSUPPORTED = 2;

const HEADER_BYTES = 16;
const ID_BYTES = 20;
const SEGMENTS_MAX = 254;
/** Larger requests get an I/O error; Linux stays at 1 MiB. */
const REQUEST_BYTES_MAX = 16 << 20;
const LATENCY_TICKS = 500;
const BYTES_PER_TICK = 100;
const CONFIG_BYTES = 60;

interface Pending {
  readonly head: number;
  readonly dueTicks: number;
}

/** What a request asks for, checked. */
interface Request {
  readonly chain: Chain;
  readonly type: number;
  readonly offset: number;
  /** Bytes of data, without header and status. */
  readonly bytes: number;
}

/** What a block device is made from. */
export interface BlkOptions {
  readonly slot?: number;
  readonly backend: BlockBackend;
  /** Up to 20 ASCII characters; default "rivulet-SLOT". */
  readonly id?: string;
}

/** A virtio block device. */
export class VirtioBlk extends VirtioDevice {
  readonly #backend: BlockBackend;
  readonly #config = new Uint8Array(CONFIG_BYTES);
  readonly #id = new Uint8Array(ID_BYTES);
  #pending: Pending[] = [];
  /** A backend's promise is under way for the first pending request. */
  #isBusy = false;
  /** Counts resets: what a late backend answers belongs to the session that asked. */
  #session = 0;

  constructor(options: BlkOptions) {
    const { backend } = options;
    const slot = options.slot ?? 0;
    super({
      kind: "virtio-blk",
      tag: "VBLK",
      version: 1,
      deviceId: 2,
      slot,
      queues: 1,
      features:
        FEATURE_SEG_MAX |
        FEATURE_BLK_SIZE |
        FEATURE_FLUSH |
        (backend.isReadOnly ? FEATURE_READ_ONLY : 0n),
    });
    this.#backend = backend;
    const view = new DataView(this.#config.buffer);
    view.setBigUint64(0, BigInt(backend.bytes / SECTOR_BYTES), true);
    view.setUint32(12, SEGMENTS_MAX, true);
    view.setUint32(20, SECTOR_BYTES, true);
    const id = new TextEncoder().encode(options.id ?? `rivulet-${slot}`);
    this.#id.set(id.subarray(0, ID_BYTES));
  }

  protected configByte(offset: number): number {
    return this.#config[offset] ?? 0;
  }

  protected notified(): void {
    const { memory } = this.context;
    const [queue] = this.queues;
    if (!queue.reserveUsed(memory)) return;
    const before = this.#pending.length;
    for (let round = 0; round < QUEUE_SIZE_MAX; round++) {
      const head = queue.next(memory);
      if (head < 0) break;
      if (this.#pending.length >= QUEUE_SIZE_MAX) throw new BadQueue("too many requests");
      const { bytes } = this.#request(head);
      queue.advance();
      queue.askForNotice(memory, this.ring);
      const last = this.#pending.at(-1)?.dueTicks ?? 0;
      const cost = LATENCY_TICKS + Math.ceil(Math.min(bytes, REQUEST_BYTES_MAX) / BYTES_PER_TICK);
      this.#pending.push({ head, dueTicks: Math.max(this.context.now(), last) + cost });
    }
    if (before === 0 && !this.#isBusy) this.#arm();
  }

  #arm(): void {
    this.context.setAlarm(this.#pending[0]?.dueTicks ?? null);
  }

  /** Follows the chain and reads the header. Throws BadQueue. */
  #request(head: number): Request {
    const { memory } = this.context;
    const chain = this.queues[0].chain(memory, head, this.ring);
    const readable = segmentBytes(chain.readable);
    const writable = segmentBytes(chain.writable);
    if (readable < HEADER_BYTES || writable < 1)
      throw new BadQueue("request without header or status");
    const header = new Uint8Array(HEADER_BYTES);
    gather(memory, chain.readable, header);
    const view = new DataView(header.buffer);
    const type = view.getUint32(0, true);
    const sector = view.getBigUint64(8, true);
    // a sector beyond 2^53 bytes is beyond any disk
    const offset = sector < 1n << 44n ? Number(sector) * SECTOR_BYTES : Number.POSITIVE_INFINITY;
    const bytes = type === TYPE_OUT ? readable - HEADER_BYTES : writable - 1;
    return { chain, type, offset, bytes };
  }

  alarm(): void {
    this.guarded(() => this.#drain());
  }

  retry(): void {
    if (!this.isLive) return;
    this.guarded(() => {
      this.#drain();
      this.notified();
    });
  }

  /** Completes what is due, in order, until a backend is late or frames are short. */
  #drain(): void {
    const { memory } = this.context;
    while (!this.#isBusy && this.#pending.length > 0) {
      const [{ head, dueTicks }] = this.#pending;
      if (dueTicks > this.context.now()) break;
      const request = this.#request(head);
      const isRoom = [...request.chain.writable].every(({ gpa, bytes }) =>
        memory.reserve(gpa, bytes),
      );
      if (!isRoom || !this.queues[0].reserveUsed(memory)) return; // `retry` goes on
      const done = this.#carryOut(request);
      if (typeof done === "number") this.#complete(request, done);
      else this.#await(request, done);
    }
    if (!this.#isBusy) this.#arm();
  }

  #await(request: Request, work: Promise<number>): void {
    this.#isBusy = true;
    const session = this.#session;
    this.context.hold(
      work.then((status) => {
        if (session !== this.#session) return;
        this.#isBusy = false;
        this.guarded(() => {
          this.#complete(request, status);
          this.#drain();
        });
      }),
    );
  }

  /** Status of the request, at once or later; read data is in guest memory by then. */
  #carryOut(request: Request): number | Promise<number> {
    const { type, offset, bytes, chain } = request;
    const { memory } = this.context;
    if (type === TYPE_GET_ID) {
      const room = chain.writable.length === 0 ? 0 : bytes;
      scatter(memory, chain.writable, this.#id.subarray(0, Math.min(room, ID_BYTES)));
      return STATUS_OK;
    }
    if (type === TYPE_FLUSH) return this.#attempt(() => this.#backend.flush());
    if (type !== TYPE_IN && type !== TYPE_OUT) return STATUS_UNSUPPORTED;
    const isInside = offset + bytes <= this.#backend.bytes && bytes % SECTOR_BYTES === 0;
    if (!isInside || bytes > REQUEST_BYTES_MAX) return STATUS_IOERR;
    if (type === TYPE_OUT) {
      if (this.#backend.isReadOnly) return STATUS_IOERR;
      const whole = new Uint8Array(HEADER_BYTES + bytes);
      gather(memory, chain.readable, whole);
      return this.#attempt(() => this.#write(offset, whole.subarray(HEADER_BYTES)));
    }
    const data = new Uint8Array(bytes);
    const take = () => scatter(memory, chain.writable, data);
    return this.#attempt(() => {
      const late = this.#backend.read(offset, data);
      if (late === undefined) return take();
      return late.then(take);
    });
  }

  /** A driver that did not take FLUSH expects each write to be durable (5.2.6.2). */
  #write(offset: number, bytes: Uint8Array): void | Promise<void> {
    const late = this.#backend.write(offset, bytes);
    if (this.hasFeature(FEATURE_FLUSH)) return late;
    return late === undefined ? this.#backend.flush() : late.then(() => this.#backend.flush());
  }

  /** Turns a backend's failure into the status that the guest is told. */
  #attempt(work: () => void | Promise<void>): number | Promise<number> {
    try {
      const late = work();
      if (late === undefined) return STATUS_OK;
      return late.then(
        () => STATUS_OK,
        () => STATUS_IOERR,
      );
    } catch (error) {
      if (error instanceof BadQueue) throw error;
      return STATUS_IOERR;
    }
  }

  #complete(request: Request, status: number): void {
    const { memory } = this.context;
    const { chain, type, bytes } = request;
    const last = chain.writable.findLast((segment) => segment.bytes > 0);
    if (last === undefined) throw new BadQueue("request without status");
    memory.write(last.gpa + last.bytes - 1, Uint8Array.of(status));
    const isRead = (type === TYPE_IN || type === TYPE_GET_ID) && status === STATUS_OK;
    const written = (isRead ? bytes : 0) + 1;
    this.#pending.shift();
    if (this.queues[0].finish(memory, chain.head, written, this.ring)) this.interruptUsed();
  }

  protected resetOwn(): void {
    this.#pending = [];
    this.#isBusy = false;
    this.#session++;
  }

  protected saveOwn(writer: SectionWriter): void {
    writer.u16(this.#pending.length);
    for (const { head, dueTicks } of this.#pending) {
      writer.u16(head);
      writer.u53(dueTicks);
    }
  }

  protected readOwn(reader: SectionReader): () => void {
    const count = reader.u16(QUEUE_SIZE_MAX);
    const pending: Pending[] = [];
    for (let index = 0; index < count; index++) {
      pending.push({ head: reader.u16(QUEUE_SIZE_MAX - 1), dueTicks: reader.u53() });
    }
    return () => {
      this.resetOwn();
      this.#pending = pending;
      this.#arm();
    };
  }
}
