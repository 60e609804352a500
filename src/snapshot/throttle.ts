/**
 * throttle: keeps a long operation under its bytes per second, and lets the event loop breathe
 * while it works.
 *
 * Used by write-behind.ts and image.ts.
 * Holds   time comes from the platform; without a limit nothing waits.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { LongOptions, SnapshotSignal } from "./contract.ts";

/** Work between two breaths: a little more than a slice of a guest that runs beside it. */
const WORK_MS = 6;

/** Throws "aborted" once the signal is. */
export function checkAborted(signal: SnapshotSignal | undefined, what: string): void {
  if (signal?.aborted === true) throw new VmError("aborted", `${what} was cancelled`);
}

/** The pace of one long operation. */
export class Pace {
  readonly #platform: Platform;
  readonly #options: LongOptions;
  readonly #what: string;
  readonly #beganMs: number;
  #bytes = 0;
  #breathMs: number;

  /** `what` names the operation in messages. Throws "bad-argument" for a limit that is none. */
  constructor(platform: Platform, options: LongOptions, what: string) {
    const { bytesPerSecond } = options;
    if (bytesPerSecond !== undefined && !(bytesPerSecond >= 4096)) {
      const text = `${what}: bytesPerSecond ${bytesPerSecond}`;
      throw new VmError("bad-argument", `${text}: accepted are numbers from 4096 on`);
    }
    this.#platform = platform;
    this.#options = options;
    this.#what = what;
    this.#beganMs = platform.monotonicMs();
    this.#breathMs = this.#beganMs;
  }

  /** True when it is time for `breathe`: to be asked often, it costs a look at the clock. */
  isDue(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#platform.monotonicMs() - this.#breathMs >= WORK_MS || this.#aheadMs() > WORK_MS;
  }

  /** Lets others work; waits for as long as the limit wants. Throws "aborted". */
  async breathe(step: string, done: number, total: number | null): Promise<void> {
    this.#options.onProgress?.({ step, done, total });
    const ms = this.#aheadMs();
    if (ms > 0) await this.#wait(ms);
    else await this.#platform.yieldToEventLoop();
    checkAborted(this.#options.signal, this.#what);
    this.#breathMs = this.#platform.monotonicMs();
  }

  /** Milliseconds by which the work is ahead of its limit. */
  #aheadMs(): number {
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === undefined) return 0;
    const due = (this.#bytes / bytesPerSecond) * 1000;
    return due - (this.#platform.monotonicMs() - this.#beganMs);
  }

  #wait(ms: number): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const settle = () => {
        cancel();
        signal?.removeEventListener("abort", settle);
        resolve();
      };
      const cancel = this.#platform.after(ms, settle);
      signal?.addEventListener("abort", settle);
    });
  }
}
