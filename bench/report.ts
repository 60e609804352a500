/**
 * report: a case's result, as a row of the table for people and as a line of JSON for machines.
 *
 * Used by run, suites, compare.
 * Holds   `ratio` is Rivulet's speed over the rival's when more is better, and Rivulet's cost over
 *         the rival's where `aim` is below `must`; SPECIFICATION.md says which case is which. A
 *         case with a promise and without a ratio promises its own figure, in its unit.
 */
import Table from "cli-table3";
import {
  geometricMean,
  type Interval,
  type Meets,
  median,
  medianInterval,
  meets,
  quantile,
} from "./statistics.ts";

/**
 * One line of `--json`. `must` and `aim` are null for a case that promises nothing; it then meets
 * `aim`.
 */
export interface CaseResult {
  suite: string;
  case: string;
  unit: string;
  /** Rivulet's median. */
  value: number;
  p50: number;
  /** What 99 % of the samples reach or better; null with fewer than 100 samples. */
  p99: number | null;
  /** Interleaved pairs. */
  n: number;
  rivals: { name: string; value: number }[];
  /** Median of the ratios of the pairs, and its 95 % interval; null where nothing is beside it. */
  ratio: number | null;
  interval: [number, number] | null;
  must: number | null;
  aim: number | null;
  meets: Meets;
}

/** Samples of one case: index i of every list comes from round i. */
export interface Samples {
  suite: string;
  case: string;
  unit: string;
  /** Rivulet's figures, in `unit`. */
  values: readonly number[];
  rival: string;
  rivalValues: readonly number[];
  /** One ratio per round. */
  ratios: readonly number[];
  /** Whether a larger value is the better one. */
  isMoreBetter: boolean;
  must?: number;
  aim?: number;
}

const P99_SAMPLES_MIN = 100;

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Summarises samples; every list must hold the same number of rounds, at least one. */
export function summarise(samples: Samples): CaseResult {
  const { values, rivalValues, ratios, must, aim } = samples;
  const n = ratios.length;
  if (values.length !== n || rivalValues.length !== n) {
    throw new RangeError(
      `${samples.case}: ${values.length} values, ${rivalValues.length} of the rival, ${n} ratios`,
    );
  }
  const ratio = median(ratios);
  const interval: Interval = medianInterval(ratios);
  const hasPromise = must !== undefined && aim !== undefined;
  const tail = samples.isMoreBetter ? 0.01 : 0.99;
  return {
    suite: samples.suite,
    case: samples.case,
    unit: samples.unit,
    value: rounded(median(values)),
    p50: rounded(median(values)),
    p99: n >= P99_SAMPLES_MIN ? rounded(quantile(values, tail)) : null,
    n,
    rivals: [{ name: samples.rival, value: rounded(median(rivalValues)) }],
    ratio: rounded(ratio),
    interval: [rounded(interval.low), rounded(interval.high)],
    must: must ?? null,
    aim: aim ?? null,
    meets: hasPromise ? meets(ratio, interval, { must, aim }) : "aim",
  };
}

/** A figure with nothing beside it: printed, promises nothing. */
export interface Figure {
  suite: string;
  case: string;
  unit: string;
  values: readonly number[];
  isMoreBetter: boolean;
}

/** Summarises a figure; at least one value. */
export function figureOf({ suite, case: name, unit, values, isMoreBetter }: Figure): CaseResult {
  const n = values.length;
  const middle = rounded(median(values));
  const tail = n >= P99_SAMPLES_MIN ? rounded(quantile(values, isMoreBetter ? 0.01 : 0.99)) : null;
  return {
    ...{ suite, case: name, unit, value: middle, p50: middle, p99: tail, n, rivals: [] },
    ...{ ratio: null, interval: null, must: null, aim: null, meets: "aim" },
  };
}

/** A figure that promises something by itself, whatever stands beside it: less is better. */
export interface Promised extends Omit<Figure, "isMoreBetter"> {
  /** What the promise is about: the median (0.5, default) or a higher quantile. */
  part?: number;
  must: number;
  aim: number;
  rivals?: readonly { name: string; value: number }[];
}

/** Summarises a figure that promises something; a quantile needs the samples to speak of it. */
export function promisedOf(figure: Promised): CaseResult {
  const { values, part = 0.5, must, aim } = figure;
  if (part > 0.5 && values.length < P99_SAMPLES_MIN) {
    throw new RangeError(`${figure.case}: a quantile of ${values.length} samples`);
  }
  const value = quantile(values, part);
  const own = part === 0.5 ? medianInterval(values) : { low: value, high: value };
  return {
    ...figureOf({ ...figure, isMoreBetter: false }),
    value: rounded(value),
    rivals: (figure.rivals ?? []).map(({ name, value: rival }) => ({
      name,
      value: rounded(rival),
    })),
    interval: [rounded(own.low), rounded(own.high)],
    ...{ must, aim, meets: meets(value, own, { must, aim }) },
  };
}

/**
 * Samples of the geometric mean over cases that ran in the same rounds: round by round, so it has
 * an interval.
 */
export function meanOf(name: string, parts: readonly Samples[]): Samples {
  const first = parts[0];
  const across = (pick: (part: Samples) => readonly number[]) =>
    first.ratios.map((_, round) => geometricMean(parts.map((part) => pick(part)[round])));
  return {
    ...first,
    case: name,
    values: across((part) => part.values),
    rivalValues: across((part) => part.rivalValues),
    ratios: across((part) => part.ratios),
  };
}

/** One line of JSON, no line break. */
export function jsonLine(result: CaseResult): string {
  return JSON.stringify(result);
}

function number(value: number | null): string {
  if (value === null) return "";
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}

/** The table, one row per case. */
export function tableOf(results: readonly CaseResult[]): string {
  const table = new Table({
    head: ["case", "unit", "Rivulet", "rival", "", "ratio", "95 %", "n", "must", "aim", "meets"],
    style: { head: [], border: [], compact: true },
    colAligns: [
      "left",
      "left",
      "right",
      "left",
      "right",
      "right",
      "left",
      "right",
      "right",
      "right",
      "left",
    ],
  });
  for (const one of results) {
    const rival = one.rivals.at(0);
    table.push([
      `${one.suite} ${one.case}`,
      one.unit,
      number(one.value),
      rival?.name ?? "-",
      number(rival?.value ?? null),
      number(one.ratio),
      one.interval === null ? "" : `${number(one.interval[0])} to ${number(one.interval[1])}`,
      String(one.n),
      one.must === null ? "-" : String(one.must),
      one.aim === null ? "-" : String(one.aim),
      one.must === null ? "-" : one.meets,
    ]);
  }
  return table.toString();
}

/** 1 when any case is short of what it must reach. */
export function exitStatus(results: readonly CaseResult[]): number {
  return results.some((one) => one.meets === "short") ? 1 : 0;
}
