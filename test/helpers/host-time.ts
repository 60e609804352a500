/**
 * host-time: Node's platform with a clock that moves when the test says so.
 *
 * Used by tests of machines under the host's clock.
 */
import { nodePlatform, type Platform } from "../../src/node.ts";

interface Timer {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** A platform whose hours pass at once. */
export class HostTime implements Platform {
  readonly name = "host-time";
  readonly #node = nodePlatform();
  readonly #timers = new Set<Timer>();
  #monotonicMs = 0;
  #wallMs = 1_800_000_000_000;

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  entropy(count: number): Uint8Array {
    return this.#node.entropy(count);
  }

  yieldToEventLoop(): Promise<void> {
    return this.#node.yieldToEventLoop();
  }

  after(ms: number, wake: () => void): () => void {
    const timer = { dueMs: this.#monotonicMs + ms, wake };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  loadCore(): Promise<Uint8Array> {
    return this.#node.loadCore();
  }

  loadPages(): Promise<Uint8Array> {
    return this.#node.loadPages();
  }

  /** The host sleeps: only its wall clock goes on. */
  sleep(ms: number): void {
    this.#wallMs += ms;
  }

  /** Time passes; what came due is woken, and everybody has a turn. */
  async pass(ms: number): Promise<void> {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.dueMs > this.#monotonicMs) continue;
      this.#timers.delete(timer);
      timer.wake();
    }
    for (let turn = 0; turn < 4; turn++) await this.#node.yieldToEventLoop();
  }
}
