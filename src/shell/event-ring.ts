/**
 * event-ring: what happened to the machines of a shell, newest last, a bounded number of it.
 *
 * Owns    the events that are still kept, and who follows.
 * Used by fleet.ts and vm.ts, which add; `host events`, which shows.
 */

/** One thing that happened. */
export interface FleetEvent {
  /** From 1, without gaps. */
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Machine time in ticks of 100 ns; null when the event is not about a machine that runs. */
  readonly ticks: number | null;
  /** Name of the machine. */
  readonly vm: string;
  /** One word: created, state, reboot, memory, end, error, changed, attached, detached, removed. */
  readonly kind: string;
  /** The rest, for people. */
  readonly detail: string;
}

/** Events that are kept. */
export const EVENTS_MAX = 4096;

/** A bounded list of events. */
export class EventRing {
  readonly #wallMs: () => number;
  readonly #kept: FleetEvent[] = [];
  readonly #listeners = new Set<(event: FleetEvent) => void>();
  #sequence = 0;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /** Adds one and tells the followers; the oldest goes when there are too many. */
  add(event: Omit<FleetEvent, "sequence" | "wallMs">): void {
    const full = { sequence: ++this.#sequence, wallMs: this.#wallMs(), ...event };
    this.#kept.push(full);
    if (this.#kept.length > EVENTS_MAX) this.#kept.splice(0, EVENTS_MAX / 4);
    for (const listener of [...this.#listeners]) listener(full);
  }

  /** The last `count` that are kept, oldest first; all of them without a count. */
  tail(count = EVENTS_MAX): readonly FleetEvent[] {
    return count === 0 ? [] : this.#kept.slice(-count);
  }

  /** Calls `listener` with every event from now on; the returned function ends that. */
  follow(listener: (event: FleetEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
