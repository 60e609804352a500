/**
 * suites/memory: dirty bitmaps and the page codec beside the same algorithms in C and TypeScript.
 *
 * Used by run.
 * Holds   each round runs every case once under every rival, in an order that turns; a case's
 *         answers are compared between the rivals in every round. Time is per bitmap of 1 Mi pages,
 *         or per page of 4 KiB.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COPIES, makeInputs, PAGES } from "../memory-inputs.ts";
import { CASES, type CaseName, moduleRival, nativeRival, type Rival } from "../memory-rivals.ts";
import { typescriptRival } from "../memory-typescript.ts";
import { type Plan, rounds } from "../plan.ts";
import type { Progress } from "../progress.ts";
import { type CaseResult, summarise } from "../report.ts";
import type { Promised } from "../statistics.ts";
import { buildRival } from "../toolchain.ts";

const MS_PER_TURN = 20;
/** Of the time that C takes. */
const SAME_AS_C: Promised = { must: 1.3, aim: 1 };
const LZ4: Promised = { must: 2, aim: 1.3 };
const PAGE_CASE = { unit: "ns/page", amount: PAGES };
/** Microseconds for a bitmap. */
const BITMAP_CASE = { unit: "us", amount: COPIES * 1000, promised: SAME_AS_C };

/** What a case is called, what a turn's nanoseconds are divided by, and what is promised. */
const TITLES: Readonly<
  Record<CaseName, { title: string; unit: string; amount: number; promised: Promised }>
> = {
  harvest0: { title: "harvest 0.1 %", ...BITMAP_CASE },
  harvest1: { title: "harvest 1 %", ...BITMAP_CASE },
  harvest2: { title: "harvest 10 %", ...BITMAP_CASE },
  harvest3: { title: "harvest 100 %", ...BITMAP_CASE },
  zero: { title: "zero scan", ...PAGE_CASE, promised: SAME_AS_C },
  hash: { title: "hash", ...PAGE_CASE, promised: SAME_AS_C },
  encode: { title: "delta", ...PAGE_CASE, promised: SAME_AS_C },
  apply: { title: "delta apply", ...PAGE_CASE, amount: 2 * PAGES, promised: SAME_AS_C },
  compress: { title: "lz4", ...PAGE_CASE, promised: LZ4 },
  decompress: { title: "lz4 decode", ...PAGE_CASE, promised: LZ4 },
};

type Values = Record<CaseName, number[]>;

/** Runs one case under everybody, `first` first; throws when the answers differ. */
async function runRound(
  name: CaseName,
  rivals: readonly Rival[],
  first: number,
  values: readonly Values[],
): Promise<void> {
  const checks = new Map<number, string>();
  for (let turn = 0; turn < rivals.length; turn++) {
    const which = (first + turn) % rivals.length;
    const { ns, check } = await rivals[which].run(name, MS_PER_TURN);
    values[which][name].push(ns / TITLES[name].amount);
    checks.set(check, `${rivals[which].name} answers ${check}`);
  }
  if (checks.size !== 1) throw new Error(`${name}: ${[...checks.values()].join(", ")}`);
}

function resultsOf(name: CaseName, rivals: readonly Rival[], values: readonly Values[]) {
  const { title, unit, promised } = TITLES[name];
  const own = values[0][name];
  return rivals.slice(1).map((rival, at) => {
    const theirs = values[at + 1][name];
    const isC = rival.name === "gcc -O3";
    return summarise({
      suite: "memory",
      case: isC ? title : `${title}, ${rival.name}`,
      unit,
      values: own,
      rival: rival.name,
      rivalValues: theirs,
      ratios: own.map((value, round) => value / theirs[round]),
      isMoreBetter: false,
      ...(isC ? promised : {}),
    });
  });
}

/**
 * Runs the cases that `plan.only` picks. The promise is against gcc -O3; against gcc for this very
 * processor and against TypeScript nothing is promised.
 */
export async function memorySuite(plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const cases = CASES.filter((name) => plan.only.test(TITLES[name].title));
  const folder = mkdtempSync(join(tmpdir(), "rivulet-bench-"));
  const inputs = makeInputs();
  const file = join(folder, "inputs");
  writeFileSync(file, inputs.all);
  const rivals = [
    await moduleRival(inputs),
    nativeRival("gcc -O3", buildRival("memory"), file),
    nativeRival("gcc -march=native", buildRival("memory", ["-march=native"]), file),
    typescriptRival(inputs),
  ];
  const values = rivals.map(() => Object.fromEntries(CASES.map((name) => [name, []])) as never);
  try {
    // once for the compilers
    for (const name of cases) {
      for (const rival of rivals) await rival.run(name, MS_PER_TURN);
    }
    for (const round of rounds(plan, () => performance.now())) {
      for (const name of cases) {
        progress.show(`memory: round ${round + 1} of ${plan.pairs}`, TITLES[name].title);
        await runRound(name, rivals, round, values);
      }
    }
  } finally {
    for (const rival of rivals) rival.end();
    rmSync(folder, { recursive: true });
  }
  progress.done();
  return cases.flatMap((name) => resultsOf(name, rivals, values));
}
