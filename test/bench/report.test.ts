/**
 * bench/report and bench/suites/hart: the shape of a result, means by rounds, start-up taken off,
 * exit status.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { instructionsOf } from "../../bench/contenders.ts";
import { rounds } from "../../bench/plan.ts";
import { cpuSecondsOf, ticksOf } from "../../bench/process.ts";
import { instructionOf, Trace } from "../../bench/profile.ts";
import { PROGRAMS, START } from "../../bench/programs.ts";
import {
  exitStatus,
  figureOf,
  jsonLine,
  meanOf,
  type Samples,
  summarise,
  tableOf,
} from "../../bench/report.ts";
import { parseRequest } from "../../bench/run.ts";
import { type Runs, resultsOf } from "../../bench/suites/hart.ts";

const test = suite("bench/report");

const KEYS = ["suite", "case", "unit", "value", "p50", "p99", "n", "rivals", "ratio"];
const PROMISE_KEYS = ["must", "aim", "meets"];

function samples(n: number, change: Partial<Samples> = {}): Samples {
  const values = Array.from({ length: n }, (_, index) => 100 + index);
  return {
    suite: "hart",
    case: "sort",
    unit: "MIPS",
    values,
    rival: "qemu",
    rivalValues: values.map((value) => 2 * value),
    ratios: values.map(() => 0.5),
    isMoreBetter: true,
    ...change,
  };
}

test("a line of JSON has every promised key and one line", () => {
  const line = jsonLine(summarise({ ...samples(30), must: 0.3, aim: 0.45 }));
  assert.not.match(line, /\n/);
  const read = JSON.parse(line);
  for (const key of [...KEYS, ...PROMISE_KEYS]) assert.ok(key in read, key);
  assert.equal(read.rivals, [{ name: "qemu", value: 229 }]);
  assert.equal([read.value, read.p50, read.n, read.ratio], [114.5, 114.5, 30, 0.5]);
  assert.equal([read.must, read.aim, read.meets], [0.3, 0.45, "aim"]);
  assert.equal(read.interval, [0.5, 0.5]);
});

test("a case without a promise says so and is never short", () => {
  const result = summarise(samples(10, { ratios: new Array(10).fill(0.001) }));
  assert.equal([result.must, result.aim, result.meets], [null, null, "aim"]);
  assert.is(exitStatus([result]), 0);
});

test("the 99th percentile needs a hundred samples and is the bad end", () => {
  assert.is(summarise(samples(99)).p99, null);
  assert.is(summarise(samples(101)).p99, 101);
  assert.is(summarise(samples(101, { isMoreBetter: false })).p99, 199);
});

test("rounds that do not match are refused", () => {
  assert.throws(() => summarise(samples(5, { rivalValues: [1] })), /5 values, 1 of the rival/);
});

test("exit status is 1 when any case is short", () => {
  const good = summarise({ ...samples(30), must: 0.3, aim: 0.45 });
  const short = summarise({ ...samples(30), must: 0.6, aim: 0.8 });
  assert.equal([good.meets, short.meets], ["aim", "short"]);
  assert.is(exitStatus([good]), 0);
  assert.is(exitStatus([good, short]), 1);
});

test("the table names every case with its ratio and its verdict", () => {
  const table = tableOf([summarise({ ...samples(30), must: 0.6, aim: 0.8 })]);
  for (const word of ["hart sort", "MIPS", "qemu", "0.500", "0.6", "0.8", "short"]) {
    assert.ok(table.includes(word), word);
  }
});

test("a mean is taken round by round", () => {
  const mean = meanOf("mean", [
    samples(3, { ratios: [1, 2, 4] }),
    samples(3, { ratios: [4, 8, 16] }),
  ]);
  assert.equal(
    mean.ratios.map((ratio) => Math.round(ratio * 1e9) / 1e9),
    [2, 4, 8],
  );
  assert.is(mean.case, "mean");
});

function runs(name: string, rivuletSeconds: number, qemuSeconds: number): Runs {
  const program = [START, ...PROGRAMS].find((one) => one.name === name);
  if (program === undefined) throw new Error(name);
  const times = (cpuSeconds: number, instructions: number) =>
    Array.from({ length: 8 }, () => ({ cpuSeconds, instructions }));
  return { program, rivulet: times(rivuletSeconds, 3e8), qemu: times(qemuSeconds, 0) };
}

test("start-up is taken off both, and both speeds use the same instruction count", () => {
  const [result] = resultsOf([runs("sort", 1.25, 0.55)], runs("null", 0.25, 0.05));
  assert.is(result.value, 300);
  assert.is(result.rivals[0].value, 600);
  assert.is(result.ratio, 0.5);
  assert.is(result.must, null);
});

test("a run that is not longer than start-up is refused", () => {
  assert.throws(
    () => resultsOf([runs("sort", 0.2, 0.5)], runs("null", 0.25, 0.05)),
    /start-up is 0.25/,
  );
});

test("a group's mean appears when the group is complete, with the promise of the issue", () => {
  const all = PROGRAMS.map((one) => runs(one.name, 1.25, 0.55));
  const results = resultsOf(all, runs("null", 0.25, 0.05));
  const means = results.slice(PROGRAMS.length);
  assert.equal(
    means.map((one) => [one.case, one.must, one.aim, one.meets]),
    [
      ["integer mean", 0.3, 0.45, "aim"],
      ["float mean", 0.8, 1.3, "short"],
      ["fused mean", 0.3, 0.6, "must"],
    ],
  );
  const part = all.filter((one) => one.program.name !== "sieve");
  assert.is(resultsOf(part, runs("null", 0.25, 0.05)).length, PROGRAMS.length - 1 + 2);
});

test("a plan stops at its pairs, or when time is up and ten are done", () => {
  const plan = { pairs: 30, minutesMax: 1, only: /./ };
  let minutes = 0;
  const clock = (step: number) => () => {
    minutes += step;
    return minutes * 60_000;
  };
  assert.is([...rounds(plan, clock(0))].length, 30);
  assert.is([...rounds(plan, clock(10))].length, 10);
  assert.is([...rounds({ ...plan, pairs: 3 }, clock(10))].length, 3);
});

test("CPU seconds come from the shell's report and from /proc", () => {
  assert.is(cpuSecondsOf("cpu 1.250 0.125\n"), 1.375);
  assert.throws(() => cpuSecondsOf("real 1.2"), /no CPU seconds/);
  const rest = "S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 12";
  assert.is(ticksOf(`77 (a (b) c) ${rest}`), 300);
});

test("the instruction count is read from the line of --stats", () => {
  assert.is(instructionsOf('note\n{"ended":"poweroff","instructions":123}\n'), 123);
  assert.throws(() => instructionsOf("boom"), /no instruction count/);
});

test("a figure with nothing beside it promises nothing", () => {
  const one = { suite: "embed", case: "size", unit: "kB", values: [3, 1, 2], isMoreBetter: false };
  const result = figureOf(one);
  assert.equal([result.value, result.n, result.ratio, result.meets], [2, 3, null, "aim"]);
  assert.match(tableOf([result]), /embed size .* kB .* 2\.00 .* - /);
});

test("usage is checked", () => {
  const request = parseRequest(["boot", "hart", "boot", "--pairs", "7", "--json"]);
  assert.equal([request.suites, request.plan.pairs, request.isJson], [["boot", "hart"], 7, true]);
  assert.equal(parseRequest([]).suites, ["hart", "boot"]);
  assert.throws(() => parseRequest(["--pairs", "0"]), /whole numbers from 1/);
  assert.throws(() => parseRequest(["nothing"]), /accepted are hart, boot, embed, core/);
  assert.throws(() => parseRequest(["--only", "("]), /--only/);
  assert.throws(() => parseRequest(["--frobnicate"]), /frobnicate/);
});

const TRACE = `IN: 
Priv: 3; Virt: 0
0x0000000080000000:  0505                  addi                    a0,a0,1
0x0000000080000002:  fea59fe3          bne                     a1,a0,-2                # 0x80000000

Trace 0: 0x7f00 [0000000000000000/0000000080000000/00209003/ff000200] 
Trace 0: 0x7f00 [0000000000000000/0000000080000000/00209003/ff000200] 
IN: 
0x0000000080000006:  8082                  ret
Trace 0: 0x7f40 [0000000000000000/0000000080000006/00209003/ff000200] 
`;

test("the profile counts instructions and neighbours, across blocks too", () => {
  const trace = new Trace();
  for (const line of TRACE.split("\n")) trace.line(line);
  const counts = trace.histogram();
  assert.equal([counts.instructions, counts.blocks], [5, 3]);
  assert.equal(
    [...counts.single],
    [
      ["addi", 2],
      ["bne", 2],
      ["jalr", 1],
    ],
  );
  const pairs = Object.fromEntries(counts.pair);
  assert.equal(pairs, { "addi bne": 2, "bne addi": 1, "bne jalr": 1 });
  assert.is(counts.dependent.get("addi bne"), 2);
  assert.is(counts.dependent.get("bne addi"), undefined);
});

test("the profile knows what a shorthand stands for and what a store reads", () => {
  assert.equal(instructionOf("mv  a0,a1"), { name: "addi", target: "a0", sources: "a1" });
  assert.equal(instructionOf("sd a0,8(sp)"), { name: "sd", target: "", sources: "a0,8(sp)" });
  assert.equal(instructionOf("ret"), { name: "jalr", target: "", sources: "" });
  assert.equal(instructionOf("fsub.d fa0,fa1,fa2").target, "fa0");
});

test.run();
