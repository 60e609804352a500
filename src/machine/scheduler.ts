/**
 * scheduler: gives each machine that has something to do its slices, and the event loop its due
 * between them.
 *
 * Owns    the tasks that are ready, and those that wait for their cap.
 * Used by run-loop.ts. One scheduler per host.
 * Holds   by weighted virtual time: the task that has had least of the host, over its weight, is
 *         next. Busy tasks get the host's time in proportion to their weights, and none waits
 *         longer than a slice of each. One that slept does not catch up with what it did not ask
 *         for: it is at most one turn ahead of the others.
 */
import type { Platform } from "../platform/contract.ts";
import type { Share } from "./accounting.ts";

/** Something that runs in slices of a few milliseconds. */
export interface Task {
  /** What it may have of the host, and has had. */
  readonly share: Share;
  /** It has only to end: its cap does not keep it. */
  readonly isEnding?: boolean;
  /**
   * Runs for a slice. True when it is ready for another one; false when it sleeps or is done. Must
   * not throw.
   */
  slice(): boolean;
}

/** A ready task. */
interface Entry {
  readonly task: Task;
  /** Since when it waits for its turn. */
  sinceMs: number;
  /** Since when it waits for its cap; null when it does not. */
  cappedSinceMs: number | null;
}

/** Virtual milliseconds by which a task that slept may be ahead: it is served at once. */
const AHEAD_MS = 4;

/** Weighted turns over the ready tasks. */
export class Scheduler {
  readonly #platform: Platform;
  /** In the order in which they came: it decides between equals. */
  readonly #ready = new Map<Task, Entry>();
  #isPumping = false;
  /** Virtual time of the task that ran last: nobody falls behind it by sleeping. */
  #nowVirtualMs = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Tasks waiting for their turn. */
  get readyCount(): number {
    return this.#ready.size;
  }

  /** Makes a task ready; one that is so already stays where it is. Caps are looked at anew. */
  add(task: Task): void {
    if (!this.#ready.has(task)) {
      const { share } = task;
      share.virtualMs = Math.max(share.virtualMs, this.#nowVirtualMs - AHEAD_MS);
      this.#enter(task);
    }
    if (this.#isPumping) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#isPumping = true;
    void this.#pump();
  }

  #enter(task: Task): void {
    const sinceMs = this.#platform.monotonicMs();
    this.#ready.set(task, { task, sinceMs, cappedSinceMs: null });
  }

  async #pump(): Promise<void> {
    for (;;) {
      // Yields first: whoever added a task goes on before it runs.
      await this.#platform.yieldToEventLoop();
      const nowMs = this.#platform.monotonicMs();
      const entry = this.#next(nowMs);
      if (entry === null) break;
      this.#ready.delete(entry.task);
      if (this.#run(entry, nowMs) && !this.#ready.has(entry.task)) this.#enter(entry.task);
    }
    this.#isPumping = false;
  }

  /** The task that is furthest behind, of those that their caps let run. */
  #next(nowMs: number): Entry | null {
    let first: Entry | null = null;
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#ready.values()) {
      const { share, isEnding } = entry.task;
      const blockedMs = isEnding === true ? 0 : share.blockedMs(nowMs);
      if (blockedMs > 0) {
        entry.cappedSinceMs ??= nowMs;
        soonestMs = Math.min(soonestMs, blockedMs);
        continue;
      }
      if (entry.cappedSinceMs !== null) {
        share.cappedMs += nowMs - entry.cappedSinceMs;
        entry.sinceMs = nowMs;
        entry.cappedSinceMs = null;
        // what its cap kept from it is not made up for at the others' cost
        share.virtualMs = Math.max(share.virtualMs, this.#nowVirtualMs - AHEAD_MS);
      }
      if (first === null || share.virtualMs < first.task.share.virtualMs) first = entry;
    }
    if (first === null && soonestMs < Number.POSITIVE_INFINITY) this.#pumpAfter(soonestMs);
    return first;
  }

  /** Everybody who is ready is above the cap: looks again when the first of them is not. */
  #pumpAfter(ms: number): void {
    this.#cancelTimer = this.#platform.after(ms, () => {
      this.#cancelTimer = null;
      this.#isPumping = true;
      void this.#pump();
    });
  }

  #run({ task, sinceMs }: Entry, nowMs: number): boolean {
    const { share } = task;
    share.waitedMs += nowMs - sinceMs;
    this.#nowVirtualMs = Math.max(this.#nowVirtualMs, share.virtualMs);
    const isReady = task.slice();
    share.charge(this.#platform.monotonicMs() - nowMs);
    return isReady;
  }
}
