/**
 * console: the machine's terminal as streams: bytes in, bytes out.
 *
 * Owns    input that the guest has not taken yet, output that nobody has taken yet.
 * Used by machine.ts, which shows it to the caller; its devices take and give through ConsoleEnd.
 * Holds   output is handed over in the order written; input enters the guest only through the port,
 *         at its pace. What waits here is bounded, whatever the guest prints: output that nobody
 *         listens to loses its oldest part, and a reader that falls behind holds the machine.
 */
import { tellAll } from "./events.ts";
import type { ConsoleFacts } from "./sections.ts";

/** The guest's side: a device that takes input bytes when it has room. */
export interface ConsolePort {
  /** Bytes that `offer` takes now. */
  readonly inputRoom: number;
  offer(bytes: Uint8Array): void;
}

/**
 * The caller's side of a machine's console. As an async iterable it gives the output as it comes; a
 * reader that is 1 MiB behind makes the machine wait for it, so end the loop when you have enough.
 */
export interface MachineConsole extends AsyncIterable<Uint8Array> {
  /** Queues input; strings as UTF-8. */
  write(data: Uint8Array | string): void;
  /**
   * Hands every piece of output to `listener`; the returned function ends that. Bytes are the
   * listener's to keep.
   */
  onOutput(listener: (bytes: Uint8Array) => void): () => void;
  /** From now on an idle machine waits for input instead of racing through virtual time. */
  openInput(): void;
  /** No more input comes. The machine goes on. */
  closeInput(): void;
  readonly isInputOpen: boolean;
  /** Bytes written that the guest has not taken. */
  readonly inputPending: number;
}

const CHUNK_BYTES = 4096;
/** Output kept for a listener that has not come yet; beyond it the oldest goes. */
const BACKLOG_BYTES_MAX = 1 << 20;
/** Output that a reader has not taken yet; beyond it the machine waits for the reader. */
const READER_BYTES_MAX = 1 << 20;
/** A prompt fits into it, whatever stands before it. */
const TAIL_BYTES = 512;
/** What keeping a piece costs beside its bytes, so that a flood of small ones is bounded too. */
const PIECE_BYTES = 128;

/** Both sides of the console. */
export class ConsoleEnd implements MachineConsole {
  #isInputOpen: boolean;
  #input: Uint8Array[] = [];
  /** Pieces of `#input` that are taken already. */
  #inputTaken = 0;
  #inputPending = 0;
  #port: ConsolePort | null = null;
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  /** Comes with the first byte: a fork that says nothing needs none. */
  #chunk: Uint8Array | null = null;
  #chunkUsed = 0;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  readonly #taps = new Set<(bytes: Uint8Array) => void>();
  #tail = new Uint8Array(0);
  #isEnded = false;
  #onEnd = new Set<() => void>();
  #hold: (work: Promise<void>) => void = () => {};
  readonly #onInput: () => void;

  /** `onInput` is called when input came or will not come any more. */
  constructor(isInputOpen: boolean, onInput: () => void) {
    this.#isInputOpen = isInputOpen;
    this.#onInput = onInput;
  }

  get isInputOpen(): boolean {
    return this.#isInputOpen;
  }

  get inputPending(): number {
    return this.#inputPending;
  }

  write(data: Uint8Array | string): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data.slice();
    if (bytes.length === 0) return;
    this.#input.push(bytes);
    this.#inputPending += bytes.length;
    this.#onInput();
  }

  openInput(): void {
    this.#isInputOpen = true;
  }

  closeInput(): void {
    this.#isInputOpen = false;
    this.#onInput();
  }

  onOutput(listener: (bytes: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    const backlog = this.#backlog;
    this.#backlog = [];
    this.#backlogBytes = 0;
    for (const bytes of backlog) tellAll([listener], bytes);
    return () => this.#listeners.delete(listener);
  }

  /** Output as it comes, until the machine is disposed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const queue: Uint8Array[] = [];
    let queued = 0;
    let wake = () => {};
    let release: (() => void) | null = null;
    const stop = this.onOutput((bytes) => {
      queue.push(bytes);
      queued += bytes.length + PIECE_BYTES;
      if (queued > READER_BYTES_MAX && release === null) {
        this.#hold(new Promise((resolve) => (release = resolve)));
      }
      wake();
    });
    const letGo = () => {
      release?.();
      release = null;
    };
    const end = () => wake();
    this.#onEnd.add(end);
    try {
      for (;;) {
        const bytes = queue.shift();
        if (bytes !== undefined) {
          queued -= bytes.length + PIECE_BYTES;
          if (queued * 2 <= READER_BYTES_MAX) letGo();
          yield bytes;
        } else if (this.#isEnded) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      stop();
      letGo();
      this.#onEnd.delete(end);
    }
  }

  // ---- the machine's side ----

  /** As onOutput, for the machine itself: what a listener has not heard yet stays for it. */
  tap(listener: (bytes: Uint8Array) => void): () => void {
    this.#taps.add(listener);
    return () => this.#taps.delete(listener);
  }

  /** The last characters of the output, one for each byte. */
  get tail(): string {
    return new TextDecoder("latin1").decode(this.#tail);
  }

  /** What was said is the past: another machine begins here. */
  forgetTail(): void {
    this.#tail = new Uint8Array(0);
  }

  #keepTail(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#tail.length + bytes.length);
    all.set(this.#tail);
    all.set(bytes, this.#tail.length);
    this.#tail = all.slice(-TAIL_BYTES);
  }

  /** What another machine's console needs to go on from here. */
  save(): ConsoleFacts {
    const input = new Uint8Array(this.#inputPending);
    let at = 0;
    for (const piece of this.#input.slice(this.#inputTaken)) {
      input.set(piece, at);
      at += piece.length;
    }
    return { tail: this.#tail, input };
  }

  /** Takes over what `save` gave; with `hasInput` also what was typed and not taken. */
  restore({ tail, input }: ConsoleFacts, hasInput: boolean): void {
    this.#tail = tail.slice();
    if (!hasInput) return;
    this.#input = input.length === 0 ? [] : [input];
    this.#inputTaken = 0;
    this.#inputPending = input.length;
  }

  /** Names the device that takes input. */
  connect(port: ConsolePort): void {
    this.#port = port;
  }

  /** Names what keeps machine time still until a promise settles, for readers that fall behind. */
  connectHold(hold: (work: Promise<void>) => void): void {
    this.#hold = hold;
  }

  /** Moves input to the port as far as it has room. Called at instruction boundaries only. */
  pump(): void {
    const port = this.#port;
    if (port === null || this.#inputPending === 0) return;
    while (this.#inputPending > 0) {
      const room = port.inputRoom;
      if (room <= 0) return;
      port.offer(this.take(room));
    }
  }

  /** Takes at most `most` bytes of input. */
  take(most: number): Uint8Array {
    const first = this.#input[this.#inputTaken];
    if (first === undefined || most <= 0) return new Uint8Array(0);
    const bytes = first.subarray(0, most);
    if (bytes.length === first.length) this.#takePiece();
    else this.#input[this.#inputTaken] = first.subarray(most);
    this.#inputPending -= bytes.length;
    return bytes;
  }

  /** Moving the rest up only now and then keeps a flood of small pieces linear. */
  #takePiece(): void {
    this.#inputTaken++;
    if (this.#inputTaken * 2 < this.#input.length) return;
    this.#input = this.#input.slice(this.#inputTaken);
    this.#inputTaken = 0;
  }

  /** One byte of output. */
  put(byte: number): void {
    this.#chunk ??= new Uint8Array(CHUNK_BYTES);
    this.#chunk[this.#chunkUsed++] = byte;
    if (this.#chunkUsed === CHUNK_BYTES) this.flush();
  }

  /** Output bytes. */
  putAll(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + CHUNK_BYTES - this.#chunkUsed);
      this.#chunk ??= new Uint8Array(CHUNK_BYTES);
      this.#chunk.set(piece, this.#chunkUsed);
      this.#chunkUsed += piece.length;
      at += piece.length;
      if (this.#chunkUsed === CHUNK_BYTES) this.flush();
    }
  }

  /** Hands over what was put. */
  flush(): void {
    if (this.#chunk === null || this.#chunkUsed === 0) return;
    const bytes = this.#chunk.slice(0, this.#chunkUsed);
    this.#chunkUsed = 0;
    this.#keepTail(bytes);
    for (const tap of [...this.#taps]) tap(bytes);
    if (this.#listeners.size === 0) {
      this.#keep(bytes);
      return;
    }
    tellAll(this.#listeners, bytes);
  }

  #keep(bytes: Uint8Array): void {
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length + PIECE_BYTES;
    while (this.#backlogBytes > BACKLOG_BYTES_MAX) {
      this.#backlogBytes -= (this.#backlog.shift() as Uint8Array).length + PIECE_BYTES;
    }
  }

  /** Ends the streams; what was put is handed over first. */
  end(): void {
    this.flush();
    this.#isEnded = true;
    for (const end of [...this.#onEnd]) end();
  }
}
