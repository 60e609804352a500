/**
 * slice-size: how many slots a slice has, so that it takes a few milliseconds.
 *
 * Used by run-loop.ts.
 * Holds   the length of a slice is invisible to the guest.
 */
const SLICE_MS = 4;
/** Part of a slice that is worth its beginning. */
const ALLOWED_MIN = 0.1;
const SLOTS_FIRST = 100_000;
const SLOTS_MIN = 20_000;
const SLOTS_MAX = 1_000_000;

/** Of one machine. */
export class SliceSize {
  #slots = SLOTS_FIRST;
  #isWhole = true;

  /** Of the next slice, of a machine that may have `allowanceMs` more; null for any. */
  slots(allowanceMs: number | null): number {
    this.#isWhole = allowanceMs === null || allowanceMs >= SLICE_MS;
    if (allowanceMs === null || this.#isWhole) return this.#slots;
    return Math.ceil(this.#slots * Math.max(ALLOWED_MIN, allowanceMs / SLICE_MS));
  }

  /**
   * The last one took `ms`: one that was too long is cut at once, as a guest may change from cheap
   * to costly instructions as it likes.
   */
  tell(ms: number): void {
    const slots = this.#slots;
    if (ms > SLICE_MS) {
      this.#slots = Math.max(SLOTS_MIN, Math.floor((slots * SLICE_MS) / ms));
    } else if (this.#isWhole && ms < SLICE_MS / 2) this.#slots = Math.min(SLOTS_MAX, slots * 2);
  }
}
