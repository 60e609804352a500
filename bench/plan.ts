/**
 * plan: how many interleaved rounds a suite runs, and when it may stop.
 *
 * Used by run and every suite.
 */

/** What the command line asked for. */
export interface Plan {
  /** Rounds (pairs of runs) per case. */
  pairs: number;
  /** After this much real time a suite starts no further round, once it has `PAIRS_MIN`. */
  minutesMax: number;
  /** Only cases whose name matches. */
  only: RegExp;
}

/** With fewer pairs than 10 an interval says little; a suite out of time still completes these. */
export const PAIRS_MIN = 10;

/** Yields the numbers of the rounds to run, from 0. `nowMs` is a monotonic clock. */
export function* rounds(plan: Plan, nowMs: () => number): Generator<number> {
  const start = nowMs();
  const least = Math.min(PAIRS_MIN, plan.pairs);
  for (let round = 0; round < plan.pairs; round++) {
    if (round >= least && nowMs() - start > plan.minutesMax * 60_000) return;
    yield round;
  }
}
