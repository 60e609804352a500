/**
 * history: what happened to machines, newest last, a bounded number of it for each.
 *
 * Owns    the events that are still kept, and who listens.
 * Used by record.ts, which adds; manager.ts, which shows.
 */
import { VmError } from "../errors.ts";
import { tellAll } from "../machine/events.ts";
import type { LifeEvent } from "./contract.ts";

/** Events that are kept of each machine. */
export const HISTORY_MAX = 256;

/** The events of all machines of a manager. */
export class LifeHistory {
  readonly #most: number;
  /** By name: a machine that is made anew goes on in the same history. */
  readonly #kept = new Map<string, LifeEvent[]>();
  readonly #listeners = new Set<(event: LifeEvent) => void>();
  #sequence = 0;

  constructor(most = HISTORY_MAX) {
    if (!Number.isInteger(most) || most < 1) {
      throw new VmError("bad-argument", `historyMax ${most}: accepted are whole numbers from 1`);
    }
    this.#most = most;
  }

  /** Adds one; the oldest of that machine goes when there are too many. */
  add(facts: Omit<LifeEvent, "sequence">): void {
    const event = { sequence: ++this.#sequence, ...facts };
    const kept = this.#kept.get(event.machine) ?? [];
    kept.push(event);
    if (kept.length > this.#most) kept.shift();
    this.#kept.set(event.machine, kept);
    tellAll(this.#listeners, event);
  }

  /** What is kept of a machine, oldest first. */
  of(machine: string): readonly LifeEvent[] {
    return [...(this.#kept.get(machine) ?? [])];
  }

  /** Calls `listener` with every event from now on; the returned function ends that. */
  follow(listener: (event: LifeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nothing is kept of a machine that there will not be again. */
  forget(machine: string): void {
    this.#kept.delete(machine);
  }
}
