/**
 * blk: the virtio block device (virtio 1.2, 5.2): read, write, flush, identify.
 *
 * Owns    the requests under way, as heads with the machine time at which they complete.
 * Used by machine/devices.ts, one per disk.
 * Holds   a request is carried out when it completes, so that head and time are its entire state;
 *         requests complete in order. Machine time stands still while the backend is late; what it
 *         answers is put into guest memory only if nobody reset the device meanwhile. No buffer is
 *         larger than REQUEST_BYTES_MAX.
 *
 * Latency model: 50 us and 1 ns per byte.
 * Saved, version 1, behind the transport's part: count u16, then {head u16, due u64} each.
 */
import type { BlockBackend } from "../block/contract.ts";
import { SECTOR_BYTES } from "../block/contract.ts";
import type { DeviceFacts } from "../contract.ts";
import type { SectionReader, SectionWriter } from "../section.ts";
import {
  BadQueue,
  type Chain,
  firstBytes,
  gather,
  QUEUE_SIZE_MAX,
  reserveAll,
  type Segment,
  scatter,
  segmentBytes,
} from "./queue.ts";
import { VirtioDevice } from "./transport.ts";

const FEATURE_SIZE_MAX = 1n << 1n;
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
const SEGMENT_BYTES_MAX = 1 << 16;
/**
 * Larger requests get an I/O error: more than SEGMENTS_MAX segments of SEGMENT_BYTES_MAX, so that
 * none is legal.
 */
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

/** What came of a request: its status, and the data that the guest is to get. */
interface Answer {
  readonly status: number;
  readonly data?: Uint8Array;
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
  /** What a late backend said of the first pending request, until that is completed. */
  #answer: Answer | null = null;
  /** Counts resets: what a late backend answers belongs to the session that asked. */
  #session = 0;
  /** What was done since the device was made: for people, not part of the guest's machine. */
  readonly #figures = {
    ...{ reads: 0, readBytes: 0, writes: 0, writtenBytes: 0 },
    ...{ flushes: 0, errors: 0 },
  };

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
        FEATURE_SIZE_MAX |
        FEATURE_SEG_MAX |
        FEATURE_BLK_SIZE |
        FEATURE_FLUSH |
        (backend.isReadOnly ? FEATURE_READ_ONLY : 0n),
    });
    this.#backend = backend;
    const view = new DataView(this.#config.buffer);
    view.setBigUint64(0, BigInt(backend.bytes / SECTOR_BYTES), true);
    view.setUint32(8, SEGMENT_BYTES_MAX, true);
    view.setUint32(12, SEGMENTS_MAX, true);
    view.setUint32(20, SECTOR_BYTES, true);
    const id = new TextEncoder().encode(options.id ?? `rivulet-${slot}`);
    this.#id.set(id.subarray(0, ID_BYTES));
  }

  protected configByte(offset: number): number {
    return this.#config[offset] ?? 0;
  }

  protected notified(): void {
    const before = this.#pending.length;
    this.eachRequest(0, (chain) => {
      if (this.#pending.length >= QUEUE_SIZE_MAX) throw new BadQueue("too many requests");
      const { bytes } = this.#request(chain);
      const last = this.#pending.at(-1)?.dueTicks ?? 0;
      const cost = LATENCY_TICKS + Math.ceil(Math.min(bytes, REQUEST_BYTES_MAX) / BYTES_PER_TICK);
      const dueTicks = Math.max(this.context.now(), last) + cost;
      this.#pending.push({ head: chain.head, dueTicks });
      return "kept";
    });
    if (before === 0 && !this.#isBusy) this.#arm();
  }

  #arm(): void {
    this.context.setAlarm(this.#pending[0]?.dueTicks ?? null);
  }

  /** Reads the header. Throws BadQueue. */
  #request(chain: Chain): Request {
    const { memory } = this.context;
    const readable = segmentBytes(chain.readable);
    const writable = segmentBytes(chain.writable);
    if (readable < HEADER_BYTES) throw new BadQueue("request without header");
    if (writable < 1) throw new BadQueue("request without status");
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
    if (this.isLive) this.guarded(() => this.#drain());
  }

  override retry(): void {
    super.retry();
    this.alarm();
  }

  /**
   * Completes what is due, in order, until a backend is late, frames are short or there is no more
   * time for it.
   */
  #drain(): void {
    const { memory } = this.context;
    while (!this.#isBusy && this.#pending.length > 0) {
      const [{ head, dueTicks }] = this.#pending;
      if (dueTicks > this.context.now()) break;
      const request = this.#request(this.queues[0].chain(memory, head, this.ring));
      if (!this.#reserve(request)) return; // `retry` goes on
      const answer = this.#answer ?? this.#carryOut(request);
      if (answer instanceof Promise) this.#await(answer);
      else {
        this.#complete(request, answer);
        if (!this.context.mayGoOn()) return; // `retry` goes on
      }
    }
    if (!this.#isBusy) this.#arm();
  }

  #await(late: Promise<Answer>): void {
    this.#isBusy = true;
    const session = this.#session;
    this.context.hold(
      late.then((answer) => {
        if (session !== this.#session) return;
        this.#isBusy = false;
        this.#answer = answer;
        if (this.isLive) this.guarded(() => this.#drain());
      }),
    );
  }

  /** Where the status goes: the last writable byte. */
  #statusByte({ chain }: Request): Segment {
    const last = chain.writable.findLast((segment) => segment.bytes > 0);
    if (last === undefined) throw new BadQueue("request without status");
    return { gpa: last.gpa + last.bytes - 1, bytes: 1 };
  }

  /** Makes writable what this request may have written. False when frames are short. */
  #reserve(request: Request): boolean {
    const { memory } = this.context;
    const { type, bytes, chain } = request;
    const most = type === TYPE_IN ? REQUEST_BYTES_MAX : type === TYPE_GET_ID ? ID_BYTES : 0;
    const data =
      bytes <= REQUEST_BYTES_MAX ? firstBytes(chain.writable, Math.min(bytes, most)) : [];
    return (
      reserveAll(memory, [...data, this.#statusByte(request)]) &&
      this.queues[0].reserveUsed(memory, this.ring)
    );
  }

  /** Asks the backend; an answer at once, or later. */
  #carryOut(request: Request): Answer | Promise<Answer> {
    const { type, offset, bytes, chain } = request;
    if (type === TYPE_GET_ID) {
      return { status: STATUS_OK, data: this.#id.subarray(0, Math.min(bytes, ID_BYTES)) };
    }
    if (type === TYPE_FLUSH) return this.#attempt(() => this.#backend.flush());
    if (type !== TYPE_IN && type !== TYPE_OUT) return { status: STATUS_UNSUPPORTED };
    const isInside = offset + bytes <= this.#backend.bytes && bytes % SECTOR_BYTES === 0;
    if (!isInside || bytes > REQUEST_BYTES_MAX) return { status: STATUS_IOERR };
    if (type === TYPE_OUT) {
      if (this.#backend.isReadOnly) return { status: STATUS_IOERR };
      const whole = new Uint8Array(HEADER_BYTES + bytes);
      gather(this.context.memory, chain.readable, whole);
      return this.#attempt(() => this.#write(offset, whole.subarray(HEADER_BYTES)));
    }
    const data = new Uint8Array(bytes);
    return this.#attempt(() => this.#backend.read(offset, data), data);
  }

  /** A driver that did not take FLUSH expects each write to be durable (5.2.6.2). */
  #write(offset: number, bytes: Uint8Array): void | Promise<void> {
    const late = this.#backend.write(offset, bytes);
    if (this.hasFeature(FEATURE_FLUSH)) return late;
    return late === undefined ? this.#backend.flush() : late.then(() => this.#backend.flush());
  }

  /** `data` when `work` succeeds; a backend's failure is an I/O error for the guest. */
  #attempt(work: () => void | Promise<void>, data?: Uint8Array): Answer | Promise<Answer> {
    const done: Answer = { status: STATUS_OK, data };
    const failed: Answer = { status: STATUS_IOERR };
    try {
      const late = work();
      if (late === undefined) return done;
      return late.then(
        () => done,
        () => failed,
      );
    } catch {
      return failed;
    }
  }

  #complete(request: Request, { status, data }: Answer): void {
    const { memory } = this.context;
    const { chain, bytes } = request;
    this.#count(request, status);
    this.#answer = null;
    this.#pending.shift();
    if (data !== undefined) scatter(memory, chain.writable, data);
    memory.write(this.#statusByte(request).gpa, Uint8Array.of(status));
    const written = (data === undefined ? 0 : bytes) + 1;
    if (this.queues[0].finish(memory, chain.head, written, this.ring)) this.interruptUsed();
  }

  #count({ type, bytes }: Request, status: number): void {
    const figures = this.#figures;
    if (status !== STATUS_OK) {
      figures.errors++;
    } else if (type === TYPE_IN) {
      figures.reads++;
      figures.readBytes += bytes;
    } else if (type === TYPE_OUT) {
      figures.writes++;
      figures.writtenBytes += bytes;
    } else if (type === TYPE_FLUSH) {
      figures.flushes++;
    }
  }

  override inspect(): DeviceFacts {
    const figures = {
      capacityBytes: this.#backend.bytes,
      pendingRequests: this.#pending.length,
      ...this.#figures,
    };
    return { ...super.inspect(), figures };
  }

  protected resetOwn(): void {
    this.#pending = [];
    this.#isBusy = false;
    this.#answer = null;
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
