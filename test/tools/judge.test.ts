/**
 * The test runner's judgement: what counts as passed, failed and skipped, and that nothing bad
 * passes silently.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("tools/judge");

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly notes: readonly string[];
}

// A plain script, so that it runs before anything is built.
const script = new URL("../../../.tools/judge.mjs", import.meta.url).href;
const { judge } = (await import(script)) as {
  judge(run: { output: string; ended: unknown }, options: { isCi: boolean }): Outcome;
};

const summary = (total: number, passed: number, skipped: number) =>
  `\n  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  1.00ms\n\n`;

function counts(output: string, ended: unknown, isCi = false): readonly number[] {
  const { passed, failed, skipped } = judge({ output, ended }, { isCi });
  return [passed, failed, skipped];
}

test("a suite counts as it says", () => {
  assert.equal(counts(summary(5, 5, 0), 0), [5, 0, 0]);
  assert.equal(counts(summary(5, 3, 0), 1), [3, 2, 0]);
  assert.equal(counts(summary(5, 4, 1), 0), [4, 0, 1]);
});

test("a suite without a test, or without a word, is a failure", () => {
  assert.equal(counts(summary(0, 0, 0), 0), [0, 1, 0]);
  assert.equal(counts("", 0), [0, 1, 0]);
  assert.equal(counts("began, and the event loop ran dry", 0), [0, 1, 0]);
});

test("a crash is a failure even after everything passed", () => {
  for (const ended of [1, 134, "SIGSEGV", "ran over 10 minutes"]) {
    assert.equal(counts(summary(5, 5, 0), ended), [5, 1, 0]);
    assert.equal(counts("", ended), [0, 1, 0]);
  }
});

test("under CI a skip is a failure", () => {
  assert.equal(counts(summary(5, 4, 1), 0, true), [4, 1, 0]);
  assert.equal(counts(summary(5, 3, 1), 1, true), [3, 2, 0]);
});

test("what a test prints that looks like a summary does not count, the last one does", () => {
  assert.equal(counts(`${summary(9, 9, 0)}${summary(2, 1, 0)}`, 1), [1, 1, 0]);
});

test.run();
