/**
 * events: typed events without a host's EventTarget.
 *
 * Used by machine.ts, console.ts and remote/remote-machine.ts.
 * Holds   a listener that throws harms nobody but whoever wrote it: the others hear, the machine
 *         runs on, and the error comes up as an unhandled rejection, which every host shows.
 */

/** Tells every listener, in order. */
export function tellAll<Payload>(
  listeners: Iterable<(payload: Payload) => void>,
  payload: Payload,
): void {
  for (const listener of [...listeners]) {
    try {
      listener(payload);
    } catch (error) {
      void Promise.reject(error);
    }
  }
}

/** Listeners by event name; `Map` gives each event's payload type. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>();

  /** Calls `listener` on every `event` from now on; the returned function ends that. */
  on<K extends keyof Events>(event: K, listener: (payload: Events[K]) => void): () => void {
    let all = this.#listeners.get(event);
    if (all === undefined) this.#listeners.set(event, (all = new Set()));
    all.add(listener);
    return () => all.delete(listener);
  }

  /** Tells every listener, in the order in which they came. */
  emit<K extends keyof Events>(event: K, payload: Events[K]): void {
    const listeners = this.#listeners.get(event) as Set<(payload: Events[K]) => void> | undefined;
    if (listeners !== undefined) tellAll(listeners, payload);
  }
}
