/**
 * shifted-platform: Node's platform on a host that may have slept.
 *
 * Used by tests of guests that follow the host's clock.
 */
import { nodePlatform, type Platform } from "../../src/node.ts";

/** Node's platform with its wall clock set on. */
export class ShiftedPlatform implements Platform {
  readonly name = "shifted";
  readonly #node = nodePlatform();
  #shiftMs = 0;

  /** The host sleeps: only its wall clock goes on. */
  sleep(ms: number): void {
    this.#shiftMs += ms;
  }

  monotonicMs(): number {
    return this.#node.monotonicMs();
  }

  wallMs(): number {
    return this.#node.wallMs() + this.#shiftMs;
  }

  entropy(count: number): Uint8Array {
    return this.#node.entropy(count);
  }

  yieldToEventLoop(): Promise<void> {
    return this.#node.yieldToEventLoop();
  }

  after(ms: number, wake: () => void): () => void {
    return this.#node.after(ms, wake);
  }

  loadCore(): Promise<Uint8Array> {
    return this.#node.loadCore();
  }

  loadPages(): Promise<Uint8Array> {
    return this.#node.loadPages();
  }
}
