/**
 * ancestors: memory of machines that went away from here, kept in case they come back.
 *
 * Owns    retained roots, by lineage.
 * Used by manager.ts, source.ts, target.ts.
 * Holds   frames are kept only as long as nobody needs them: a host that is short of frames drops
 *         the oldest first.
 */
import type { RetainedRoot } from "../core/root.ts";
import type { Host } from "../machine/host.ts";

/** Kept at a time. */
const ANCESTORS_MAX = 64;

/** Of one host. */
export class Ancestors {
  /** The oldest first. */
  readonly #roots = new Map<string, RetainedRoot>();
  readonly #leave: () => void;

  constructor(host: Host) {
    this.#leave = host.onShort(() => this.#dropOldest());
  }

  get count(): number {
    return this.#roots.size;
  }

  /** The memory that a machine of that lineage had when it left; null when it is not kept. */
  of(lineage: string): RetainedRoot | null {
    return this.#roots.get(lineage) ?? null;
  }

  /** Takes over a root. */
  keep(lineage: string, root: RetainedRoot): void {
    this.drop(lineage);
    if (this.#roots.size === ANCESTORS_MAX) this.#dropOldest();
    this.#roots.set(lineage, root);
  }

  drop(lineage: string): void {
    this.#roots.get(lineage)?.release();
    this.#roots.delete(lineage);
  }

  #dropOldest(): boolean {
    const [oldest] = this.#roots.keys();
    if (oldest === undefined) return false;
    this.drop(oldest);
    return true;
  }

  close(): void {
    this.#leave();
    while (this.#dropOldest());
  }
}
