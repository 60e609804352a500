/**
 * console-log: the last bytes that a machine's console said, for those who read later than it
 * wrote.
 *
 * Owns    a ring of CAPACITY bytes; positions count every byte since the machine was created.
 * Used by vm.ts, which fills it; `console log|wait|record|attach` and `vm screendump`.
 * Holds   a reader that falls behind loses the oldest bytes and is told how many; the machine
 *         never waits.
 */
import type { AbortSignalLike } from "./command.ts";

const CAPACITY = 1 << 20;
const NEWLINE = 0x0a;
/** A line is looked for this far back. */
const LINE_BYTES_MAX = 4096;

/** How `wait` ended. */
export type WaitOutcome =
  | { readonly kind: "found"; readonly position: number }
  | { readonly kind: "timeout" }
  | { readonly kind: "aborted" }
  /** The condition handed in came true: nothing more will come. */
  | { readonly kind: "ended" };

/** What a `wait` looks for, and what ends it. */
export interface WaitFor {
  readonly bytes: Uint8Array;
  /** Position to look from. */
  readonly from: number;
  /** Wall time; null waits for ever. */
  readonly timeoutMs: number | null;
  readonly signal: AbortSignalLike;
  /** Nothing more will come: looks once. */
  readonly isOver?: boolean;
}

/** First position of `needle` in `bytes` at or behind `from`, or -1. */
function indexOfBytes(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  const last = bytes.length - needle.length;
  for (let at = bytes.indexOf(needle[0], from); at >= 0 && at <= last; ) {
    let length = 1;
    while (length < needle.length && bytes[at + length] === needle[length]) length++;
    if (length === needle.length) return at;
    at = bytes.indexOf(needle[0], at + 1);
  }
  return -1;
}

/** The console's past. */
export class ConsoleLog {
  readonly #after: (ms: number, wake: () => void) => () => void;
  readonly #ring = new Uint8Array(CAPACITY);
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #enders = new Set<() => void>();
  #end = 0;
  /** Where the last `console wait` that found its text stopped; the next one looks from here. */
  mark = 0;
  /** Where the output of the last start begins. */
  startPosition = 0;

  /** `after` is the world's timer. */
  constructor(after: (ms: number, wake: () => void) => () => void) {
    this.#after = after;
  }

  /** Position behind the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Position of the oldest byte that is kept. */
  get begin(): number {
    return Math.max(0, this.#end - CAPACITY);
  }

  /** Where the last line begins: that of a prompt, which has no end yet. */
  get lastLine(): number {
    const { from, bytes } = this.read(this.#end - LINE_BYTES_MAX, LINE_BYTES_MAX);
    return from + bytes.lastIndexOf(NEWLINE) + 1;
  }

  /** Takes what the console said. */
  append(bytes: Uint8Array): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - CAPACITY));
    const at = (this.#end + bytes.length - kept.length) % CAPACITY;
    const first = Math.min(kept.length, CAPACITY - at);
    this.#ring.set(kept.subarray(0, first), at);
    this.#ring.set(kept.subarray(first), 0);
    this.#end += bytes.length;
    for (const listener of [...this.#listeners]) listener(bytes);
  }

  /** Waits for what was said end now: the machine is over. */
  close(): void {
    for (const end of [...this.#enders]) end();
  }

  /** A copy of the bytes from `position` on, as far as they are kept: at most `most`. */
  read(position: number, most = CAPACITY): { readonly from: number; readonly bytes: Uint8Array } {
    const from = Math.min(Math.max(position, this.begin), this.#end);
    const count = Math.min(most, this.#end - from);
    const bytes = new Uint8Array(count);
    const at = from % CAPACITY;
    const first = Math.min(count, CAPACITY - at);
    bytes.set(this.#ring.subarray(at, at + first));
    bytes.set(this.#ring.subarray(0, count - first), first);
    return { from, bytes };
  }

  /** The last `lines` lines; a last one without its line end counts. */
  tail(lines: number): Uint8Array {
    const { bytes } = this.read(this.begin);
    let at = bytes.length;
    if (lines <= 0) return bytes.subarray(at);
    if (bytes[at - 1] === NEWLINE) at--;
    for (let left = lines; left > 0; left--) {
      at = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1);
      if (at < 0) return bytes;
    }
    return bytes.subarray(at + 1);
  }

  /** Calls `listener` with every piece from now on; the returned function ends that. */
  onAppend(listener: (bytes: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Waits until the bytes stand in the log at or behind `from`. Moves nothing; see `mark`. */
  wait(what: WaitFor): Promise<WaitOutcome> {
    const needle = what.bytes;
    let next = what.from;
    const look = (): number => {
      const { from, bytes } = this.read(next);
      const at = needle.length === 0 ? 0 : indexOfBytes(bytes, needle, 0);
      // the beginning may be there already
      next = Math.max(next, this.#end - needle.length + 1);
      return at < 0 ? -1 : from + at + needle.length;
    };
    const found = look();
    if (found >= 0) return Promise.resolve({ kind: "found", position: found });
    if (what.isOver === true) return Promise.resolve({ kind: "ended" });
    if (what.signal.aborted) return Promise.resolve({ kind: "aborted" });
    return new Promise((resolve) => {
      let cancel = () => {};
      const settle = (outcome: WaitOutcome) => {
        cancel();
        endListening();
        this.#enders.delete(end);
        what.signal.removeEventListener("abort", abort);
        resolve(outcome);
      };
      const end = () => settle({ kind: "ended" });
      const abort = () => settle({ kind: "aborted" });
      const endListening = this.onAppend(() => {
        const position = look();
        if (position >= 0) settle({ kind: "found", position });
      });
      const late = () => settle({ kind: "timeout" });
      this.#enders.add(end);
      what.signal.addEventListener("abort", abort);
      if (what.timeoutMs !== null) cancel = this.#after(what.timeoutMs, late);
    });
  }
}
