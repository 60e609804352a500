/**
 * progress: one line on stderr that says how far a bench is, and the stall canary beside it.
 *
 * Used by run, suites, compare.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Rewrites one line on a terminal; elsewhere prints a line whenever the `step` changes. */
export class Progress {
  #step = "";

  /**
   * `step` is what a log keeps (round 3 of 30), `detail` what only a terminal shows (the program).
   */
  show(step: string, detail = ""): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${step} ${detail}`);
    } else if (step !== this.#step) {
      process.stderr.write(`${step}\n`);
    }
    this.#step = step;
  }

  /** Ends the line. */
  done(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
}

const CANARY_STEP_MS = 5;

/**
 * Stall canary: a timer in this process, which otherwise only waits for its children. How late the
 * timer comes is how long the machine itself stood still, and no pause measured meanwhile means
 * anything below that.
 */
export class Canary {
  readonly #delay = monitorEventLoopDelay({ resolution: CANARY_STEP_MS });

  constructor() {
    this.#delay.enable();
  }

  /** Stops watching and says what it saw. */
  end(): string {
    this.#delay.disable();
    const lateMs = (ns: number) => Math.max(0, ns / 1e6 - CANARY_STEP_MS).toFixed(1);
    const p99 = lateMs(this.#delay.percentile(99));
    return `stall canary: worst ${lateMs(this.#delay.max)} ms, p99 ${p99} ms`;
  }
}
