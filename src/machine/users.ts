/**
 * users: who still needs the disks that were handed to a machine: the machine, its forks and
 * theirs, captures that are not released, machines made from those.
 *
 * Used by machine.ts, capture.ts.
 */

/** Everyone who reads what one machine was given. */
export class DiskUsers {
  #count = 0;
  #onFree: (() => void)[] = [];

  /** One more user; the returned function ends that, once. */
  take(): () => void {
    this.#count++;
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      if (--this.#count > 0) return;
      for (const free of this.#onFree.splice(0)) free();
    };
  }

  /** Settles when nobody is left. */
  free(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onFree.push(resolve));
  }
}
