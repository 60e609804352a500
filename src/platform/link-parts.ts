/**
 * link-parts: what every link is made of, whatever carries it.
 *
 * Used by node/socket-link.ts, node/web-socket-link.ts.
 * Holds   the listener has one piece at a time; the end is told once, behind the last piece.
 */
import { VmError } from "../errors.ts";

/** The end of a link, for those who want to hear of it. */
export class LinkEnd {
  #why: string | null = null;
  #listeners: ((why: string) => void)[] = [];

  /** Null while the link is there. */
  get why(): string | null {
    return this.#why;
  }

  /** Tells it, the first time. */
  come(why: string): void {
    if (this.#why !== null) return;
    this.#why = why;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(why);
  }

  onClose(listener: (why: string) => void): void {
    if (this.#why !== null) listener(this.#why);
    else this.#listeners.push(listener);
  }
}

/** What a send over a closed link rejects with. */
export function closedLink(peer: string, why: string): VmError {
  return new VmError("io", `${peer}: the link is closed (${why}); accepted is a new link`);
}

/** Whoever fills an inbox. */
export interface InboxOwner {
  /** All was taken: more may come. */
  more(): void;
  /** The listener threw. */
  fail(why: string): void;
}

/** Bytes on their way to a listener that takes one piece at a time. */
export class Inbox {
  readonly #owner: InboxOwner;
  #listener: ((bytes: Uint8Array) => void | Promise<void>) | null = null;
  #queue: Uint8Array[] = [];
  #isBusy = false;
  #bytes = 0;
  #onEnd: (() => void) | null = null;

  constructor(owner: InboxOwner) {
    this.#owner = owner;
  }

  /** Bytes that nobody has taken yet, or that the listener has just now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when the piece is done with: else it must stay as it is until `more`. */
  put(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return this.#bytes === 0;
    this.#queue.push(bytes);
    this.#bytes += bytes.length;
    this.#give();
    return this.#bytes === 0;
  }

  onBytes(listener: (bytes: Uint8Array) => void | Promise<void>): void {
    this.#listener = listener;
    this.#go();
  }

  /** Nothing more comes: calls `then` when all was taken. */
  end(then: () => void): void {
    this.#onEnd ??= then;
    this.#go();
  }

  /** Nothing more is given. */
  drop(): void {
    this.#listener = null;
    this.#queue = [];
    this.#onEnd = null;
  }

  #fail(error: unknown): void {
    this.drop();
    this.#owner.fail(`the listener failed: ${error instanceof Error ? error.message : error}`);
  }

  #give(): void {
    while (!this.#isBusy && this.#listener !== null && this.#queue.length > 0) {
      const bytes = this.#queue.shift() as Uint8Array;
      this.#isBusy = true; // what it calls may come back here
      let taken: void | Promise<void>;
      try {
        taken = this.#listener(bytes);
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (!(taken instanceof Promise)) {
        this.#taken(bytes.length);
        continue;
      }
      taken.then(
        () => {
          this.#taken(bytes.length);
          this.#go();
        },
        (error) => this.#fail(error),
      );
    }
  }

  #taken(bytes: number): void {
    this.#isBusy = false;
    this.#bytes -= bytes;
  }

  #go(): void {
    this.#give();
    if (this.#isBusy || this.#queue.length > 0) return;
    const then = this.#onEnd;
    if (then === null) {
      if (this.#listener !== null) this.#owner.more();
      return;
    }
    this.#onEnd = null;
    then();
  }
}

/** Longest message that is sent where there are messages. */
const MESSAGE_BYTES_MAX = 1 << 20;

/** Pieces as few messages of at most 1 MiB: copies, but where one piece is one message. */
export function messagesOf(pieces: readonly Uint8Array[]): Uint8Array[] {
  let left = 0;
  for (const { length } of pieces) left += length;
  if (pieces.length === 1 && left > 0 && left <= MESSAGE_BYTES_MAX) return [...pieces];
  const messages: Uint8Array[] = [];
  let message = new Uint8Array(0);
  let at = 0;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; ) {
      if (at === message.length) {
        message = new Uint8Array(Math.min(left, MESSAGE_BYTES_MAX));
        messages.push(message);
        at = 0;
      }
      const part = piece.subarray(from, from + message.length - at);
      message.set(part, at);
      at += part.length;
      from += part.length;
      left -= part.length;
    }
  }
  return messages;
}
