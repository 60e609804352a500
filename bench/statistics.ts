/**
 * statistics: what a bench says about its samples.
 *
 * Used by suites (median, interval, geometric mean), report (verdict), compare (gate).
 * Holds   no sample is dropped and nothing is assumed about their distribution: quantiles, and the
 *         interval of the median from order statistics.
 */

/** Closed interval, low <= high. */
export interface Interval {
  low: number;
  high: number;
}

/**
 * What a case promises: `must` and `aim` of its ratio. Lower is better when `aim` is below `must`.
 */
export interface Promised {
  must: number;
  aim: number;
}

/** Verdict on a promise. */
export type Meets = "aim" | "must" | "short";

function sorted(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError("statistics of no samples");
  return [...values].sort((a, b) => a - b);
}

/** Quantile of at least one sample, 0 <= part <= 1, interpolated between neighbours. */
export function quantile(values: readonly number[], part: number): number {
  const ordered = sorted(values);
  const at = part * (ordered.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (ordered[above] - ordered[below]) * (at - below);
}

/** Median of at least one sample. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * Geometric mean of positive numbers: the only mean of ratios that does not depend on which side is
 * the base.
 */
export function geometricMean(values: readonly number[]): number {
  let sum = 0;
  for (const value of sorted(values)) {
    if (!(value > 0))
      throw new RangeError(`geometric mean of ${value}: every ratio must be above 0`);
    sum += Math.log(value);
  }
  return Math.exp(sum / values.length);
}

/**
 * Ranks (counted from 1) of the order statistics that enclose the median with at least 95 %: the
 * largest k for which a fair coin shows fewer than k heads in n throws with a probability of at
 * most 2.5 %. With fewer than 6 samples no pair of ranks reaches 95 %, and the answer is the whole
 * range.
 */
export function medianRanks(count: number): { low: number; high: number } {
  let term = count * Math.log(0.5); // of P(0 heads), its logarithm: it may be below any double
  let sum = Math.exp(term);
  let low = 0;
  for (let heads = 1; sum <= 0.025; heads++) {
    low = heads;
    term += Math.log((count - heads + 1) / heads);
    sum += Math.exp(term);
  }
  return low === 0 ? { low: 1, high: count } : { low, high: count + 1 - low };
}

/** 95 % interval of the median (see medianRanks). */
export function medianInterval(values: readonly number[]): Interval {
  const ordered = sorted(values);
  const ranks = medianRanks(ordered.length);
  return { low: ordered[ranks.low - 1], high: ordered[ranks.high - 1] };
}

/**
 * Verdict: `short` only when the whole interval misses `must` (noise alone never fails a build),
 * `aim` when the median reaches `aim`, `must` in between.
 */
export function meets(ratio: number, interval: Interval, promise: Promised): Meets {
  const isLowerBetter = promise.aim < promise.must;
  const sign = isLowerBetter ? -1 : 1;
  const best = isLowerBetter ? interval.low : interval.high;
  if (sign * best < sign * promise.must) return "short";
  return sign * ratio >= sign * promise.aim ? "aim" : "must";
}

/**
 * What the regression gate found for one case; `change` and `noise` are fractions (0.05 = 5 % more
 * time).
 */
export interface Gate {
  change: number;
  noise: number;
  isRegression: boolean;
}

/**
 * The gate: `changes` are time ratios head / base, `controls` base / base from the same rounds. A
 * regression exceeds the floor and the measured noise, which is the wider of two: how far the
 * interval of the change reaches from its median, and how far the base seems to be from itself.
 */
export function gate(changes: readonly number[], controls: readonly number[], floor: number): Gate {
  const middle = median(changes);
  const own = medianInterval(changes);
  const control = medianInterval(controls);
  const noise = Math.max(
    middle - own.low,
    own.high - middle,
    Math.abs(control.low - 1),
    Math.abs(control.high - 1),
  );
  const change = middle - 1;
  return { change, noise, isRegression: change > floor && change > noise };
}
