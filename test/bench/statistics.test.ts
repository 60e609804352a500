/**
 * bench/statistics: quantiles, intervals, means, verdicts and the regression gate.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  gate,
  geometricMean,
  median,
  medianInterval,
  medianRanks,
  meets,
  quantile,
} from "../../bench/statistics.ts";

const test = suite("bench/statistics");

const near = (got: number, wanted: number) =>
  assert.ok(Math.abs(got - wanted) < 1e-9, `${got}, not ${wanted}`);

/**
 * Numbers 1 ... n in an order that is not sorted: multiples of 7 modulo a prime above n, those up
 * to n.
 */
function shuffled(n: number): number[] {
  const prime = 1009;
  const all = Array.from({ length: prime - 1 }, (_, index) => (7 * (index + 1)) % prime);
  return all.filter((value) => value <= n);
}

test("the median of an odd count is the middle one, of an even count the mean of two", () => {
  assert.is(median([9, 1, 5]), 5);
  assert.is(median([9, 1, 5, 2]), 3.5);
  assert.is(median([4]), 4);
});

test("no sample is no statistic", () => {
  assert.throws(() => median([]), /no samples/);
  assert.throws(() => geometricMean([]), /no samples/);
});

test("quantiles interpolate between neighbours and reach both ends", () => {
  const values = shuffled(101);
  assert.is(values.length, 101);
  assert.is(quantile(values, 0), 1);
  assert.is(quantile(values, 1), 101);
  assert.is(quantile(values, 0.99), 100);
  near(quantile([10, 20], 0.25), 12.5);
});

test("sorting for a statistic leaves the samples as they are", () => {
  const values = [3, 1, 2];
  median(values);
  medianInterval(values);
  assert.equal(values, [3, 1, 2]);
});

test("the geometric mean of ratios and of their inverses are inverse", () => {
  const ratios = [0.5, 2, 3, 0.1];
  near(geometricMean([1, 100]), 10);
  near(geometricMean(ratios) * geometricMean(ratios.map((value) => 1 / value)), 1);
  assert.throws(() => geometricMean([1, 0]), /above 0/);
  assert.throws(() => geometricMean([1, Number.NaN]), /above 0/);
});

test("the ranks around the median are those of the sign test's tables", () => {
  assert.equal(medianRanks(5), { low: 1, high: 5 });
  assert.equal(medianRanks(6), { low: 1, high: 6 });
  assert.equal(medianRanks(9), { low: 2, high: 8 });
  assert.equal(medianRanks(10), { low: 2, high: 9 });
  assert.equal(medianRanks(20), { low: 6, high: 15 });
  assert.equal(medianRanks(30), { low: 10, high: 21 });
  assert.equal(medianRanks(100), { low: 40, high: 61 });
  const { low, high } = medianRanks(10_000); // 0.5 ** 10000 is no double; 1.96 sigma each way
  assert.ok(low >= 4901 && low <= 4903 && low + high === 10_001, `${low} to ${high}`);
});

test("the ranks cover the median with 95 % and no narrower pair does", () => {
  for (let n = 6; n <= 200; n++) {
    const { low, high } = medianRanks(n);
    assert.is(low + high, n + 1);
    assert.ok(coverage(n, low) >= 0.95, `n ${n}, rank ${low}`);
    assert.ok(coverage(n, low + 1) < 0.95, `n ${n}, rank ${low + 1}`);
  }
});

/**
 * Chance that the median lies between order statistics low and n + 1 - low, by Pascal's triangle.
 */
function coverage(n: number, low: number): number {
  let row = [1];
  for (let throwCount = 0; throwCount < n; throwCount++) {
    const next = [...row, 0];
    for (let at = 0; at < row.length; at++) next[at + 1] += row[at];
    row = next.map((value) => value / 2);
  }
  return row.slice(low, n + 1 - low).reduce((sum, value) => sum + value, 0);
}

test("the interval of the median is a pair of samples", () => {
  assert.equal(medianInterval(shuffled(30)), { low: 10, high: 21 });
  assert.equal(medianInterval([2, 1]), { low: 1, high: 2 });
});

const MORE = { must: 0.3, aim: 0.45 };
const LESS = { must: 3, aim: 2 };

test("a case is short only when the whole interval misses", () => {
  assert.is(meets(0.25, { low: 0.2, high: 0.29 }, MORE), "short");
  assert.is(meets(0.25, { low: 0.2, high: 0.3 }, MORE), "must");
  assert.is(meets(3.4, { low: 3.1, high: 3.6 }, LESS), "short");
  assert.is(meets(3.4, { low: 3, high: 3.6 }, LESS), "must");
});

test("a case meets its aim when the median does", () => {
  assert.is(meets(0.45, { low: 0.4, high: 0.5 }, MORE), "aim");
  assert.is(meets(0.44, { low: 0.4, high: 0.5 }, MORE), "must");
  assert.is(meets(2, { low: 1.9, high: 2.2 }, LESS), "aim");
  assert.is(meets(2.1, { low: 1.9, high: 2.2 }, LESS), "must");
});

const even = (n: number, from: number, step: number) =>
  Array.from({ length: n }, (_, index) => from + step * index);

test("the gate lets pass what is below the floor, however sure it is", () => {
  const found = gate(even(12, 1.03, 0.0001), even(12, 0.9999, 0.00001), 0.05);
  assert.not(found.isRegression);
  near(found.change, 0.03055);
});

test("the gate fails what exceeds floor and noise", () => {
  const found = gate(even(12, 1.09, 0.001), even(12, 0.995, 0.001), 0.05);
  assert.ok(found.isRegression);
  assert.ok(found.noise < 0.01);
});

test("the gate lets pass what the base does to itself", () => {
  const noisyBase = even(12, 0.8, 0.04);
  assert.not(gate(even(12, 1.09, 0.001), noisyBase, 0.05).isRegression);
});

test("the gate lets pass a change that is wider than it is large", () => {
  assert.not(gate(even(12, 0.8, 0.05), even(12, 0.999, 0.0001), 0.05).isRegression);
});

test("the gate never fails what got faster", () => {
  assert.not(gate(even(12, 0.5, 0.001), even(12, 0.999, 0.0001), 0).isRegression);
});

test.run();
