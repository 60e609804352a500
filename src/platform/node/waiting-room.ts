/**
 * waiting-room: links that were made from outside to be dialed from here: see await-name.ts.
 *
 * Owns    the connections that wait.
 * Used by links.ts, web-socket-link.ts.
 * Holds   a connection is given out once, the newest of its name first: what an older one led to
 *         may be gone without a word.
 */
import { awaitAddress } from "../await-name.ts";
import type { ByteLink } from "../link.ts";
import { dialTimeout } from "./link-address.ts";

/** Connections that wait at a time: any program of this host may make them. */
const WAITING_MAX = 1024;

/** A connection that waits. */
export interface Waiting {
  readonly name: string;
  /** It waits no more: as a link. */
  take(): ByteLink;
  close(): void;
}

/** Who waits to be dialed, and who dials. */
export class WaitingRoom {
  /** Oldest first. */
  readonly #waiting = new Set<Waiting>();
  readonly #dialing = new Set<{ name: string; resolve: (link: ByteLink) => void }>();

  /** Gives it to whoever has dialed its name first, or keeps it. */
  come(one: Waiting): void {
    for (const dialing of this.#dialing) {
      if (dialing.name !== one.name) continue;
      this.#dialing.delete(dialing);
      dialing.resolve(one.take());
      return;
    }
    if (this.#waiting.size < WAITING_MAX) this.#waiting.add(one);
    else one.close();
  }

  /** It waits no more; false when it has not waited any more. */
  leave(one: Waiting): boolean {
    return this.#waiting.delete(one);
  }

  /** The link to who waits by this name, or comes within `ms`. Rejects with "io". */
  async dial(name: string, ms: number): Promise<ByteLink> {
    const found = [...this.#waiting].findLast((one) => one.name === name);
    if (found !== undefined) {
      this.#waiting.delete(found);
      return found.take();
    }
    return new Promise((resolve, reject) => {
      const dialing = {
        name,
        resolve: (link: ByteLink) => {
          clearTimeout(timer);
          resolve(link);
        },
      };
      const timer = setTimeout(() => {
        this.#dialing.delete(dialing);
        reject(dialTimeout(awaitAddress(name), ms));
      }, ms);
      this.#dialing.add(dialing);
    });
  }
}
