/**
 * bandwidth: how fast a migration's link takes bytes, and how fast it may.
 *
 * Used by source.ts (one for each session, over one for all), convergence.ts.
 * Holds   time comes from the platform. What was measured counts for less the older it is.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";

/** Least that a limit may be, bytes per second: a page. */
export const BANDWIDTH_MIN = 4096;
/** Work between two breaths: a little more than a slice of a guest that runs beside it. */
const WORK_MS = 6;
/** What is measured over so much counts: more than is on its way at a time. */
const SPAN_BYTES = 4 << 20;
/** Part that the newest span has in the figure. */
const NEWEST = 0.5;

/** Throws "bad-argument" for a limit that is none. */
export function checkBandwidth(bytesPerSecond: number | null): void {
  if (bytesPerSecond === null || bytesPerSecond >= BANDWIDTH_MIN) return;
  const accepted = `accepted are numbers from ${BANDWIDTH_MIN}, and none for no limit`;
  throw new VmError("bad-argument", `a bandwidth of ${bytesPerSecond} bytes a second: ${accepted}`);
}

/** A limit that several may share, and what was measured under it. */
export class Bandwidth {
  readonly #platform: Platform;
  readonly #over: Bandwidth | null;
  #limit: number | null = null;
  /** When what was taken so far may have left. */
  #freeMs = 0;
  #breathMs = 0;
  #spanBytes = 0;
  #spanMs = 0;
  /** Of the span: waited for the link; spent with other things than sending. */
  #waitedMs = 0;
  #elsewhereMs = 0;
  /** The link was waited for more often than not. */
  #isLinkBound = false;
  #rate: number | null = null;
  /** Settles when it goes on; null while nothing holds it. */
  #hold: { readonly over: Promise<void>; readonly end: () => void } | null = null;

  /** `over`: a limit for several, above this one. */
  constructor(platform: Platform, over: Bandwidth | null = null) {
    this.#platform = platform;
    this.#over = over;
    this.#breathMs = platform.monotonicMs();
  }

  /** Bytes per second; null for none. */
  get limit(): number | null {
    return this.#limit;
  }

  set limit(bytesPerSecond: number | null) {
    checkBandwidth(bytesPerSecond);
    this.#limit = bytesPerSecond;
    this.#freeMs = 0;
  }

  get isHeld(): boolean {
    return this.#hold !== null;
  }

  /** Nothing leaves until `goOn`. */
  hold(): void {
    if (this.#hold !== null) return;
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#hold = { over, end };
  }

  /** Ends that; does no harm where nothing is held. */
  goOn(): void {
    const hold = this.#hold;
    this.#hold = null;
    if (hold === null) return;
    this.pause();
    hold.end();
  }

  /** Resolves when nothing holds it. */
  async held(): Promise<void> {
    while (this.#hold !== null) await this.#hold.over;
  }

  /** Waits until so many bytes may leave, and lets others work in between. */
  async take(bytes: number): Promise<void> {
    if (this.#hold !== null) await this.held();
    await this.#over?.take(bytes);
    const nowMs = this.#platform.monotonicMs();
    if (this.#spanMs === 0) this.#spanMs = nowMs;
    if (this.#limit !== null) {
      const waitMs = this.#freeMs - nowMs;
      this.#freeMs = Math.max(this.#freeMs, nowMs) + (bytes * 1000) / this.#limit;
      if (waitMs > 1) {
        await new Promise<void>((resolve) => this.#platform.after(waitMs, resolve));
        this.#breathMs = this.#platform.monotonicMs();
        return;
      }
    }
    if (nowMs - this.#breathMs < WORK_MS) return;
    await this.#platform.yieldToEventLoop();
    this.#breathMs = this.#platform.monotonicMs();
  }

  /**
   * So many bytes have left; since the last ones the link was waited for, and other things than
   * sending took the host's time, for so long.
   */
  left(bytes: number, waitedMs = 0, elsewhereMs = 0): void {
    this.#spanBytes += bytes;
    this.#waitedMs += waitedMs;
    this.#elsewhereMs += elsewhereMs;
    if (this.#spanBytes < SPAN_BYTES) return;
    const nowMs = this.#platform.monotonicMs();
    const ms = Math.max(0.01, nowMs - this.#spanMs - this.#elsewhereMs);
    const rate = this.#spanBytes / ms;
    this.#isLinkBound = this.#waitedMs > ms / 2;
    this.#rate = this.#rate === null ? rate : this.#rate * (1 - NEWEST) + rate * NEWEST;
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    this.#spanBytes = 0;
    this.#waitedMs = 0;
    this.#elsewhereMs = 0;
    this.#spanMs = nowMs;
  }

  /** Nothing is sent for a while: that is no measure of the link. */
  pause(): void {
    this.#begin(0);
  }

  /** Bytes per millisecond that left lately; null before the first megabyte. */
  get bytesPerMs(): number | null {
    return this.#rate;
  }

  /** True when the link is known to be slower than that: we wait for it. */
  isSlow(bytesPerMs: number): boolean {
    const limit = Math.min(this.#limit ?? Infinity, this.#over?.limit ?? Infinity) / 1000;
    if (limit < bytesPerMs) return true;
    return this.#isLinkBound && this.#rate !== null && this.#rate < bytesPerMs;
  }
}
