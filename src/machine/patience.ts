/**
 * patience: how long somebody waits: until a time has passed, a signal was aborted, or there is
 * nothing to wait for any more.
 *
 * Used by machine/exec.ts and serial-exec.ts.
 * Holds   time is the host's: a guest whose own clock stands still is waited for no longer.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";

/** A timer of a JavaScript host reaches no further: 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** As much of an AbortSignal as is needed. */
export interface ExecSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Something that can be waited for no longer than that. */
export class Patience {
  readonly #over: Promise<never>;
  #fail: (error: VmError) => void = () => {};
  #error: VmError | null = null;
  #isClosed = false;
  readonly #undo: (() => void)[] = [];

  constructor() {
    this.#over = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.#over.catch(() => {});
  }

  /** Why it is over; null while it is not. */
  get error(): VmError | null {
    return this.#error;
  }

  /** True when nobody waits any more. */
  get isOver(): boolean {
    return this.#isClosed || this.#error !== null;
  }

  /**
   * It ends when `ms` have passed, with VmError "timeout" and what `text` says then. The returned
   * function takes that back.
   */
  limit(platform: Platform, ms: number, text: () => string): () => void {
    return this.after(platform, ms, () => this.end(new VmError("timeout", text())));
  }

  /** Calls `late` when `ms` have passed and somebody still waits. */
  after(platform: Platform, ms: number, late: () => void): () => void {
    const cancel = platform.after(Math.min(ms, TIMER_MS_MAX), late);
    this.defer(cancel);
    return cancel;
  }

  /** Calls `undo` when nobody waits any more. */
  defer(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** It ends with VmError "aborted" when the signal says so. */
  heed(signal: ExecSignal | undefined, text: string): void {
    if (signal === undefined) return;
    const abort = () => this.end(new VmError("aborted", text));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    this.defer(() => signal.removeEventListener("abort", abort));
  }

  /** It is over now. */
  end(error: VmError): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#fail(error);
  }

  /** What `work` comes to, unless patience is over before. */
  wait<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // it may fail after nobody waits any more
    return Promise.race([this.#over, work]);
  }

  /** Nobody waits any more: timers and listeners go. */
  close(): void {
    this.#isClosed = true;
    for (const undo of this.#undo.splice(0)) undo();
  }
}
