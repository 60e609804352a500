/**
 * platform: a host whose clock moves only when it is told to, for tests of the control plane.
 *
 * Owns    simulated time and the timers armed on it.
 * Used by tests. Entropy is a counter: tests of randomness have nothing to look for here.
 * Holds   `yieldToEventLoop` settles at once and lets microtasks run; no timer fires before
 *         `advance`.
 */
import type { Platform } from "../contract.ts";

interface Timer {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** A platform over simulated time. */
export class SimPlatform implements Platform {
  readonly name = "sim";
  readonly #wasm: Uint8Array;
  readonly #pagesWasm: Uint8Array;
  readonly #timers = new Set<Timer>();
  #nowMs = 0;
  #entropy = 0;

  /** `wasm` is what loadCore answers, `pagesWasm` what loadPages does. */
  constructor(wasm: Uint8Array, pagesWasm: Uint8Array = new Uint8Array()) {
    this.#wasm = wasm;
    this.#pagesWasm = pagesWasm;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  entropy(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#entropy++ & 0xff);
  }

  async yieldToEventLoop(): Promise<void> {
    await Promise.resolve();
  }

  after(ms: number, wake: () => void): () => void {
    const timer = { dueMs: this.#nowMs + ms, wake };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async loadCore(): Promise<Uint8Array> {
    return this.#wasm;
  }

  async loadPages(): Promise<Uint8Array> {
    return this.#pagesWasm;
  }

  /** Milliseconds until the earliest timer, or null when none is armed. */
  get nextTimerMs(): number | null {
    let next: number | null = null;
    for (const timer of this.#timers) {
      const ms = timer.dueMs - this.#nowMs;
      if (next === null || ms < next) next = ms;
    }
    return next;
  }

  /** Moves time on and fires what came due, in order of its time. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      let first: Timer | null = null;
      for (const timer of this.#timers) {
        if (timer.dueMs <= end && (first === null || timer.dueMs < first.dueMs)) first = timer;
      }
      if (first === null) break;
      this.#timers.delete(first);
      this.#nowMs = Math.max(this.#nowMs, first.dueMs);
      first.wake();
    }
    this.#nowMs = end;
  }
}
