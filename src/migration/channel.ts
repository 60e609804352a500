/**
 * channel: one link of a migration: messages in order, checked, or its end.
 *
 * Owns    the link, sequence numbers, keep-alive.
 * Used by source.ts, target.ts, manager.ts.
 * Holds   a message is handled when the one before it is; whoever is slow to handle one is sent no
 *         more. What is not a message, comes twice or is missing ends the link: the ends then talk
 *         again over a new one. A link that says nothing for SILENCE_MS is over.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { ByteLink } from "../platform/link.ts";
import { encodeJson, refusalOf } from "./messages.ts";
import {
  checkSum,
  controlBytes,
  decodeHeader,
  encodeHeader,
  HEADER_BYTES,
  type Header,
  type MessageName,
} from "./wire.ts";

/** How long an end may say nothing at all. */
export const SILENCE_MS = 10_000;
const PING_MS = 2_500;

/** A message. */
export interface Message {
  readonly name: MessageName;
  readonly fence: number;
  /** All of it, or of a message with data the control part: good until it is handled. */
  readonly body: Uint8Array;
}

/** Who is given what arrives. */
export interface Receiver {
  /** A message is whole. Throwing ends the link, and tells the other end why. */
  message(message: Message): void | Promise<void>;
  /** The control part of a message with data: what its data go to. */
  begin(message: Message, dataBytes: number): DataSink;
  /** The link is over; once. */
  closed(why: string): void;
}

/** Where the data of one message go to. */
export interface DataSink {
  /** The next bytes: good until it returns. */
  data(bytes: Uint8Array): void;
  /** There are no more. */
  end(): void | Promise<void>;
}

const NONE = new Uint8Array(0);

/** Collects what arrives into messages. */
class Assembler {
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #first = new Uint8Array(4);
  #control: Uint8Array = NONE;
  /** What is filled just now, and how far. */
  #target: Uint8Array = this.#header;
  #filled = 0;
  #head: Header | null = null;
  #sink: DataSink | null = null;
  #dataLeft = 0;
  #sequence = 0;
  readonly #receiver: Receiver;

  constructor(receiver: Receiver) {
    this.#receiver = receiver;
  }

  /** Takes bytes; a promise when what they complete takes time. Throws what the receiver does. */
  async take(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#sink !== null) {
        const count = Math.min(this.#dataLeft, bytes.length - at);
        this.#sink.data(bytes.subarray(at, at + count));
        this.#dataLeft -= count;
        at += count;
        if (this.#dataLeft === 0) await this.#endData(this.#sink);
        continue;
      }
      const count = Math.min(this.#target.length - this.#filled, bytes.length - at);
      this.#target.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.#target.length) await this.#filledUp();
    }
  }

  #fill(target: Uint8Array, filled = 0): void {
    this.#target = target;
    this.#filled = filled;
  }

  async #filledUp(): Promise<void> {
    if (this.#target === this.#header) {
      const head = decodeHeader(this.#header);
      this.#head = head;
      if (head.sequence !== this.#sequence++) {
        const text = `sent message ${head.sequence}, and ${this.#sequence - 1} was next`;
        throw new VmError("bad-file", `the other end of the migration ${text}`);
      }
      this.#control = NONE;
      if (head.hasData) this.#fill(this.#first);
      else if (head.length > 0) {
        this.#control = new Uint8Array(head.length);
        this.#fill(this.#control);
      }
      if (this.#target !== this.#header) return;
    }
    const head = this.#head as Header;
    if (this.#target === this.#first) {
      this.#control = new Uint8Array(controlBytes(head, this.#first));
      this.#control.set(this.#first);
      this.#fill(this.#control, 4);
      if (this.#control.length > 4) return;
    }
    checkSum(head, this.#header, this.#control);
    const message = { name: head.name, fence: head.fence, body: this.#control };
    this.#fill(this.#header);
    if (!head.hasData) return this.#receiver.message(message);
    this.#dataLeft = head.length - this.#control.length;
    this.#sink = this.#receiver.begin(message, this.#dataLeft);
    if (this.#dataLeft === 0) await this.#endData(this.#sink);
  }

  async #endData(sink: DataSink): Promise<void> {
    this.#sink = null;
    await sink.end();
  }
}

/** Messages over one link. */
export class Channel {
  readonly #link: ByteLink;
  readonly #platform: Platform;
  #sequence = 0;
  #heardMs: number;
  #stopTimer: () => void = () => {};
  #closed: string | null = null;
  #receiver: Receiver | null = null;
  /** Bytes sent so far, headers included. */
  bytesSent = 0;

  constructor(link: ByteLink, platform: Platform) {
    this.#link = link;
    this.#platform = platform;
    this.#heardMs = platform.monotonicMs();
  }

  get peer(): string {
    return this.#link.peer;
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** Gives every message from now on to `receiver`; the pings are answered here. */
  open(receiver: Receiver): void {
    this.#receiver = receiver;
    const assembler = new Assembler({
      message: (message) => this.#take(message, receiver),
      begin: (message, bytes) => {
        if (this.#closed === null) return receiver.begin(message, bytes);
        throw new VmError("io", `the link to ${this.peer} is over: ${this.#closed}`);
      },
      closed: () => {},
    });
    this.#link.onClose((why) => this.#end(why));
    this.#link.onBytes(async (bytes) => {
      if (this.#closed !== null) return;
      this.#heardMs = this.#platform.monotonicMs();
      try {
        await assembler.take(bytes);
      } catch (error) {
        await this.hangUp(error);
      }
      // what took long to handle was no silence
      this.#heardMs = this.#platform.monotonicMs();
    });
    if (this.#closed === null) this.#watch();
  }

  #take(message: Message, receiver: Receiver): void | Promise<void> {
    if (message.name === "ping") {
      this.send("pong").catch(() => {}); // its end is told by the link
      return;
    }
    if (message.name === "pong" || this.#closed !== null) return;
    return receiver.message(message);
  }

  #watch(): void {
    this.#stopTimer = this.#platform.after(PING_MS, () => {
      if (this.#closed !== null) return;
      if (this.#platform.monotonicMs() - this.#heardMs >= SILENCE_MS) {
        this.#end(`nothing came from ${this.peer} for ${SILENCE_MS} ms`);
        return;
      }
      this.send("ping").catch(() => {});
      this.#watch();
    });
  }

  /**
   * Sends a message; resolves when the link takes more: `data` must stay as they are until then.
   * Rejects with "io" when the link is over.
   */
  async send(
    name: MessageName,
    body: Uint8Array = NONE,
    { fence = 0, data }: { readonly fence?: number; readonly data?: readonly Uint8Array[] } = {},
  ): Promise<void> {
    if (this.#closed !== null) {
      throw new VmError("io", `the link to ${this.peer} is over: ${this.#closed}`);
    }
    const dataBytes = data?.reduce((sum, { length }) => sum + length, 0) ?? null;
    const sequence = this.#sequence++;
    const header = encodeHeader(name, body, dataBytes, { sequence, fence });
    this.bytesSent += HEADER_BYTES + body.length + (dataBytes ?? 0);
    await this.#link.send([header, ...(body.length > 0 ? [body] : []), ...(data ?? [])]);
  }

  /** Ends it, telling the other end why. */
  async hangUp(error: unknown): Promise<void> {
    const body = encodeJson("refuse", refusalOf(error));
    await this.send("refuse", body).catch(() => {}); // it may be over already
    this.#end(error instanceof Error ? error.message : String(error));
  }

  /** Ends it, telling the receiver. */
  close(why = "closed here"): void {
    this.#end(why);
  }

  #end(why: string): void {
    if (this.#closed !== null) return;
    this.#closed = why;
    this.#stopTimer();
    this.#link.close();
    this.#receiver?.closed(why);
  }
}
