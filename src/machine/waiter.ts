/**
 * waiter: a place where one machine sleeps until someone wakes it or a time has passed.
 *
 * Used by runner.ts: console input, resume, free frames, the next timer of an idle guest.
 * Holds   a wake that comes before the sleep is not lost: the sleep then ends at once.
 */
import type { Platform } from "../platform/contract.ts";

/** One sleeper. */
export class Waiter {
  readonly #platform: Platform;
  #wake: (() => void) | null = null;
  #isWoken = false;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Ends the sleep, or the next one. */
  wake(): void {
    if (this.#wake === null) this.#isWoken = true;
    else this.#wake();
  }

  /** Forgets wakes that came before; what they told is looked at after this. */
  clear(): void {
    this.#isWoken = false;
  }

  /** Sleeps until woken, or for `ms`; null waits for a wake alone. */
  sleep(ms: number | null): Promise<void> {
    if (this.#isWoken) {
      this.#isWoken = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      let cancel = () => {};
      this.#wake = () => {
        this.#wake = null;
        cancel();
        resolve();
      };
      if (ms !== null) cancel = this.#platform.after(ms, () => this.#wake?.());
    });
  }
}
