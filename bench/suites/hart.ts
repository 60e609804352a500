/**
 * suites/hart: the C programs of guest/, bare metal, beside QEMU's translator.
 *
 * Used by run.
 * Holds   each round runs every program once under both, QEMU first in even rounds and second in
 *         odd ones, so that a machine that speeds up or slows down does so for both. Start-up (the
 *         `null` program, median over the rounds) is taken off. MIPS of both is the same
 *         instruction count, Rivulet's, over each one's CPU seconds.
 */
import { type Cost, costOf, qemuElf, rivuletElf } from "../contenders.ts";
import { type Plan, rounds } from "../plan.ts";
import { type Group, PROGRAMS, type Program, START } from "../programs.ts";
import type { Progress } from "../progress.ts";
import { type CaseResult, meanOf, type Samples, summarise } from "../report.ts";
import { median } from "../statistics.ts";
import { buildGuest } from "../toolchain.ts";

/** What one program cost under both, round by round. */
export interface Runs {
  program: Program;
  rivulet: Cost[];
  qemu: Cost[];
}

const GROUPS: readonly { group: Group; name: string; must: number; aim: number }[] = [
  { group: "integer", name: "integer mean", must: 0.3, aim: 0.45 },
  { group: "float", name: "float mean", must: 0.8, aim: 1.3 },
  { group: "fused", name: "fused mean", must: 0.3, aim: 0.6 },
];

/**
 * Samples of one program after start-up is taken off; throws when a run was not longer than
 * start-up.
 */
export function samplesOf(runs: Runs, start: Runs): Samples {
  const name = runs.program.name;
  const net = (costs: readonly Cost[], idle: readonly Cost[]) => {
    const off = median(idle.map((cost) => cost.cpuSeconds));
    return costs.map((cost) => {
      const seconds = cost.cpuSeconds - off;
      if (seconds > 0) return seconds;
      throw new RangeError(`${name}: ${cost.cpuSeconds} CPU seconds, of which start-up is ${off}`);
    });
  };
  const rivulet = net(runs.rivulet, start.rivulet);
  const qemu = net(runs.qemu, start.qemu);
  const mips = (seconds: number, round: number) => runs.rivulet[round].instructions / seconds / 1e6;
  return {
    suite: "hart",
    case: name,
    unit: "MIPS",
    values: rivulet.map(mips),
    rival: "qemu",
    rivalValues: qemu.map(mips),
    ratios: rivulet.map((seconds, round) => qemu[round] / seconds),
    isMoreBetter: true,
  };
}

/** Results: every program, then the mean of each group that is complete. */
export function resultsOf(all: readonly Runs[], start: Runs): CaseResult[] {
  const samples = all.map((runs) => ({ group: runs.program.group, ...samplesOf(runs, start) }));
  const results = samples.map((one) => summarise(one));
  for (const { group, name, must, aim } of GROUPS) {
    const parts = samples.filter((one) => one.group === group);
    if (parts.length !== PROGRAMS.filter((one) => one.group === group).length) continue;
    results.push(summarise({ ...meanOf(name, parts), must, aim }));
  }
  return results;
}

async function pair(runs: Runs, isQemuFirst: boolean): Promise<void> {
  const elf = buildGuest(runs.program);
  const qemu = async () => runs.qemu.push(await costOf(runs.program, qemuElf(elf)));
  const rivulet = async () => runs.rivulet.push(await costOf(runs.program, rivuletElf(elf)));
  for (const run of isQemuFirst ? [qemu, rivulet] : [rivulet, qemu]) await run();
  const count = runs.rivulet[0].instructions;
  const last = runs.rivulet[runs.rivulet.length - 1].instructions;
  if (count !== last) {
    throw new Error(`${runs.program.name}: ${count} instructions, then ${last}: not deterministic`);
  }
}

/** Runs the programs that `plan.only` picks. */
export async function hartSuite(plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const fresh = (program: Program): Runs => ({ program, rivulet: [], qemu: [] });
  const start = fresh(START);
  const all = PROGRAMS.filter((one) => plan.only.test(one.name)).map(fresh);
  if (all.length === 0) return [];
  for (const round of rounds(plan, () => performance.now())) {
    for (const [index, runs] of [start, ...all].entries()) {
      const detail = `${runs.program.name} (${index + 1} of ${all.length + 1})`;
      progress.show(`hart: round ${round + 1} of ${plan.pairs}`, detail);
      await pair(runs, round % 2 === 0);
    }
  }
  progress.done();
  return resultsOf(all, start);
}
