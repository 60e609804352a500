/**
 * events: typed events without a host's EventTarget.
 *
 * Used by machine.ts and host.ts.
 * Holds   a listener that throws does not keep the others from hearing; its error is thrown once
 *         all have heard.
 */

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
    const errors: unknown[] = [];
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        (listener as (payload: Events[K]) => void)(payload);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
