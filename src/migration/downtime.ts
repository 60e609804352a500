/**
 * downtime: whether a switch-over now would keep its promise.
 *
 * Owns    what was measured of the parts of a switch-over: bytes, journal, round trip.
 * Used by source.ts.
 * Holds   a prediction counts what is certain to be sent as it was sent lately, and what was
 *         measured of the rest; an attempt that took longer is believed over both. What is not
 *         measured again counts for less with every round: an estimate may delay an attempt, and
 *         never keep it away for good, as one that was too early is abandoned in time.
 */
import type { Platform } from "../platform/contract.ts";
import type { Bandwidth } from "./bandwidth.ts";

const PAGE_BYTES = 4096;
/** Over what the link has shown: it may be busier in the pause. */
const SAFETY = 1.3;
/** What stops and starts a guest, sections put together and read, ms. */
const FIXED_MS = 1.5;
/** Of a link of which nothing is known yet, bytes per ms. */
const RATE_UNKNOWN = 50_000;
/** What is left after a round of an estimate that was not measured anew. */
const FADING = 0.95;
/** Journal records that a switch-over waits for: prepared, handed-over, owned. */
const RECORDS = 3;

/** What predicts. */
export class Downtime {
  readonly #bandwidth: Bandwidth;
  readonly #platform: Platform;
  /** One journal record, ms. */
  #journalMs = 1;
  /** There and back, ms. */
  #roundTripMs = 0.5;
  /** Bytes on the wire for a page that changed, lately. */
  #bytesPerPage = PAGE_BYTES;
  /** What attempts took beyond what was predicted. */
  #surpriseMs = 0;

  constructor(platform: Platform, bandwidth: Bandwidth) {
    this.#platform = platform;
    this.#bandwidth = bandwidth;
  }

  /** Times something: "journal" or "round-trip". */
  async time<T>(what: "journal" | "round-trip", work: () => Promise<T>): Promise<T> {
    const beganMs = this.#platform.monotonicMs();
    const result = await work();
    const ms = this.#platform.monotonicMs() - beganMs;
    if (what === "journal") this.#journalMs = (this.#journalMs + ms) / 2;
    else this.#roundTripMs = (this.#roundTripMs + ms) / 2;
    return result;
  }

  /** A round sent so many pages in so many bytes. */
  tellRound(pages: number, bytes: number): void {
    this.#journalMs *= FADING;
    this.#surpriseMs *= FADING;
    if (pages < 16) return;
    this.#bytesPerPage = Math.min(PAGE_BYTES + 24, Math.max(256, bytes / pages));
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
    const bytes = pages * this.#bytesPerPage + otherBytes;
    const rate = this.#bandwidth.bytesPerMs ?? RATE_UNKNOWN;
    const restMs = FIXED_MS + RECORDS * this.#journalMs + 2 * this.#roundTripMs;
    return (bytes / rate) * SAFETY + restMs + this.#surpriseMs;
  }
}
