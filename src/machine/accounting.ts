/**
 * accounting: what a machine may have of its host's time, and what it has had.
 *
 * Owns    one machine's weight and cap, and its counts.
 * Used by scheduler.ts, which charges it; lifecycle/ and the shell, which set and show it.
 * Holds   nothing here reaches the guest: under the virtual clock its time is made of instructions,
 *         whoever runs how often. All times are the host's, in milliseconds.
 */
import { VmError } from "../errors.ts";

/** What machines weigh unless told otherwise. */
export const WEIGHT_DEFAULT = 100;
/** Most that one may weigh. */
export const WEIGHT_MAX = 10_000;
/** A machine that is capped may use up as much at once as its cap gives it in this time. */
const BURST_MS = 100;
/** How often it is looked whether one that has used up what it was allowed may have more. */
const ALLOWANCE_LOOK_MS = 1;
/** A slice counts for this much at least, so that turns go round where no time passes. */
const CHARGE_MS_MIN = 0.01;

/** Counts of one machine. */
export interface ShareCounts {
  /** Spent in running it. */
  readonly usedMs: number;
  /** Spent ready to run while others did. */
  readonly waitedMs: number;
  /** Spent ready to run above its cap. */
  readonly cappedMs: number;
  readonly slices: number;
}

/** One machine's part of a host. */
export class Share {
  #weight = WEIGHT_DEFAULT;
  #capPercent: number | null = null;
  /** Time used over weight: whoever is behind is next. Scheduler.ts keeps it from falling back. */
  virtualMs = 0;
  usedMs = 0;
  waitedMs = 0;
  cappedMs = 0;
  slices = 0;
  /**
   * Milliseconds of the host's time that it may still have, for whoever counts them out to it;
   * null, by default: as many as it gets.
   */
  allowanceMs: number | null = null;
  /** What is left of the cap's burst, as of #filledMs. */
  #creditMs = 0;
  #filledMs: number | null = null;

  /** Part of the host's time among machines that are busy: 1 to 10000, 100 by default. */
  get weight(): number {
    return this.#weight;
  }

  set weight(weight: number) {
    if (!Number.isInteger(weight) || weight < 1 || weight > WEIGHT_MAX) {
      const accepted = `accepted are whole numbers from 1 to ${WEIGHT_MAX}`;
      throw new VmError("bad-argument", `weight ${weight}: ${accepted}`);
    }
    this.#weight = weight;
  }

  /** Most of the host's time that it gets, in per cent, however idle others are; null for all. */
  get capPercent(): number | null {
    return this.#capPercent;
  }

  set capPercent(percent: number | null) {
    if (percent !== null && !(percent >= 1 && percent <= 100)) {
      throw new VmError("bad-argument", `cap ${percent} %: accepted are 1 to 100 and null`);
    }
    this.#capPercent = percent;
    this.#filledMs = null;
  }

  /** Milliseconds until the cap lets it run again; 0 at once. */
  blockedMs(nowMs: number): number {
    if (this.allowanceMs !== null && this.allowanceMs <= 0) return ALLOWANCE_LOOK_MS;
    if (this.#capPercent === null) return 0;
    const rate = this.#capPercent / 100;
    const full = BURST_MS * rate;
    const passedMs = this.#filledMs === null ? BURST_MS : nowMs - this.#filledMs;
    this.#creditMs = Math.min(
      full,
      this.#filledMs === null ? full : this.#creditMs + passedMs * rate,
    );
    this.#filledMs = nowMs;
    return this.#creditMs > 0 ? 0 : Math.max(1, -this.#creditMs / rate);
  }

  /** A slice took `ms`. */
  charge(ms: number): void {
    this.slices++;
    this.usedMs += ms;
    if (this.allowanceMs !== null) this.allowanceMs -= ms;
    this.#creditMs -= ms;
    this.virtualMs += (Math.max(ms, CHARGE_MS_MIN) * WEIGHT_DEFAULT) / this.#weight;
  }

  get counts(): ShareCounts {
    const { usedMs, waitedMs, cappedMs, slices } = this;
    return { usedMs, waitedMs, cappedMs, slices };
  }
}
