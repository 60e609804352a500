/**
 * downtime: whether a switch-over now would keep its promise.
 *
 * Owns    what was measured of the parts of a switch-over: bytes, journal, round trip.
 * Used by source.ts.
 * Holds   a prediction counts pages as those of the latest rounds were sent, and what was
 *         measured of the rest; an attempt that took longer is believed over both. What is not
 *         measured again counts for less with every round: an estimate may delay an attempt, and
 *         never keep it away for good, as one that was too early is abandoned in time.
 */
import type { Platform } from "../platform/contract.ts";

const PAGE_BYTES = 4096;
/** Over what the link has shown: it may be busier in the pause. */
const SAFETY = 1.3;
/** What stops and starts a guest, sections put together and read, ms. */
const FIXED_MS = 1.5;
/** Of a link of which nothing is known yet, bytes per ms. */
const RATE_UNKNOWN = 50_000;
/** Rounds of fewer pages say nothing about a page. */
const PAGES_MIN = 64;
/** Part that the latest round has in the figure. */
const NEWEST = 0.6;
/** What is left after a round of an estimate that was not measured anew. */
const FADING = 0.95;
/** A slice of a guest is about as long. */
const SLICE_MS = 5;
/** Journal records that a switch-over waits for: prepared, handed-over, owned. */
const RECORDS = 3;

/** What predicts. */
export class Downtime {
  readonly #platform: Platform;
  readonly #usedMs: () => number;
  /** One journal record, ms. */
  #journalMs = 1;
  /** There and back, ms. */
  #roundTripMs = 0.5;
  /** From a page's look to the target's answer, ms; null before the first round. */
  #pageMs: number | null = null;
  /** What attempts took beyond what was predicted. */
  #surpriseMs = 0;

  /** `usedMs`: what the guest has had of this host so far; in the pause it has nothing. */
  constructor(platform: Platform, usedMs: () => number) {
    this.#platform = platform;
    this.#usedMs = usedMs;
  }

  /** Times something: "journal" or "round-trip". */
  async time<T>(what: "journal" | "round-trip", work: () => Promise<T>): Promise<T> {
    const beganMs = this.#platform.monotonicMs();
    const usedBefore = this.#usedMs();
    const result = await work();
    // a slice of the guest may have come between the answer and us
    const sliceMs = Math.min(SLICE_MS, this.#usedMs() - usedBefore);
    const ms = Math.max(0.1, this.#platform.monotonicMs() - beganMs - sliceMs);
    if (what === "journal") this.#journalMs = (this.#journalMs + ms) / 2;
    else this.#roundTripMs = (this.#roundTripMs + ms) / 2;
    return result;
  }

  /** A round of so many pages took so long, from its beginning to the target's answer. */
  tellRound(pages: number, ms: number): void {
    this.#journalMs *= FADING;
    this.#surpriseMs *= FADING;
    if (pages < PAGES_MIN) {
      if (this.#pageMs !== null) this.#pageMs *= FADING;
      return;
    }
    const before = this.#pageMs ?? ms / pages;
    this.#pageMs = (ms / pages) * NEWEST + before * (1 - NEWEST);
  }

  /** What a page of a switch-over takes. */
  get pageMs(): number {
    return (this.#pageMs ?? PAGE_BYTES / RATE_UNKNOWN) * SAFETY;
  }

  /** An attempt was predicted to take `expectedMs`, and took, or was given up after, `ms`. */
  tellAttempt(expectedMs: number, ms: number): void {
    this.#surpriseMs = Math.max(0, this.#surpriseMs / 2 + (ms - expectedMs));
  }

  /** What is certain of a switch-over that still has to be done once READY has come. */
  get commitMs(): number {
    return this.#journalMs * 2 + this.#roundTripMs;
  }

  /** Milliseconds for so many changed pages and other bytes. */
  predict(pages: number, otherBytes: number): number {
    const restMs = FIXED_MS + RECORDS * this.#journalMs + 2 * this.#roundTripMs;
    const otherMs = (otherBytes / PAGE_BYTES) * this.pageMs;
    return pages * this.pageMs + otherMs + restMs + this.#surpriseMs;
  }
}
