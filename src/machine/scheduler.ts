/**
 * scheduler: gives each machine that has something to do a slice in turn, and the event loop its
 * due between slices.
 *
 * Owns    the queue of tasks that are ready.
 * Used by machine.ts. One scheduler per host.
 * Holds   round-robin: a task that stays ready goes behind all the others, so none waits longer
 *         than one slice of each.
 */
import type { Platform } from "../platform/contract.ts";

/** Something that runs in slices of a few milliseconds. */
export interface Task {
  /**
   * Runs for a slice. True when it is ready for another one; false when it sleeps or is done. Must
   * not throw.
   */
  slice(): boolean;
}

/** Round-robin over the ready tasks. */
export class Scheduler {
  readonly #platform: Platform;
  readonly #ready: Task[] = [];
  #isPumping = false;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Tasks waiting for their turn. */
  get readyCount(): number {
    return this.#ready.length;
  }

  /** Puts a task behind the others; one that is there already stays where it is. */
  add(task: Task): void {
    if (!this.#ready.includes(task)) this.#ready.push(task);
    if (this.#isPumping) return;
    this.#isPumping = true;
    void this.#pump();
  }

  async #pump(): Promise<void> {
    for (;;) {
      // Yields first: whoever added a task goes on before it runs.
      await this.#platform.yieldToEventLoop();
      const task = this.#ready.shift();
      if (task === undefined) break;
      if (task.slice() && !this.#ready.includes(task)) this.#ready.push(task);
    }
    this.#isPumping = false;
  }
}
