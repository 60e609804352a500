/**
 * compare: the regression gate: `npm run bench:compare BASE [HEAD] [--pairs N] [--floor PERCENT]
 * [--only RE]`.
 *
 * Builds both commits in worktrees of their own, runs the same guest programs under both in turns,
 * and fails only when a program takes longer by more than the floor and by more than the measured
 * noise. Every round runs the base twice: how far the base is from itself is part of the noise.
 *
 * Owns    two worktrees in the temporary folder, removed at the end.
 * Used by .tools/bench-compare.mjs.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { costOf, rivuletElf } from "./contenders.ts";
import { PROGRAMS, type Program } from "./programs.ts";
import { Canary, Progress } from "./progress.ts";
import { type Gate, gate } from "./statistics.ts";
import { buildGuest, ROOT } from "./toolchain.ts";

const USAGE = `usage: npm run bench:compare -- BASE [HEAD] [--pairs N] [--floor PERCENT] [--only RE]
  BASE HEAD  commits; HEAD is by default the one checked out
  --pairs    interleaved rounds, 6 to 1000 (default 12)
  --floor    slower by less than this never fails (default 5)
  --only     programs whose name matches (default: one of each kind; . for all)
`;

/** One program of each kind: integer, switch, calls, memory, floating point, fused. */
const DEFAULT_ONLY = "^(digest|interpreter|recurse|table|bodies|fused)$";

class UsageError extends Error {}

interface Request {
  base: string;
  head: string;
  pairs: number;
  floor: number;
  only: RegExp;
}

/** Reads the arguments; throws UsageError. */
export function parseRequest(args: readonly string[]): Request {
  const options = {
    pairs: { type: "string", default: "12" },
    floor: { type: "string", default: "5" },
    only: { type: "string", default: DEFAULT_ONLY },
  } as const;
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  let only: RegExp;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
    only = new RegExp(parsed.values.only);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const [base, head = "HEAD", ...rest] = parsed.positionals;
  if (base === undefined || rest.length > 0) {
    throw new UsageError(`${parsed.positionals.length} commits given: accepted are one or two`);
  }
  const pairs = Number(parsed.values.pairs);
  if (!Number.isInteger(pairs) || pairs < 6 || pairs > 1000) {
    throw new UsageError(`--pairs ${parsed.values.pairs}: accepted are 6 to 1000`);
  }
  const percent = Number(parsed.values.floor);
  if (!(percent >= 0 && percent <= 1000)) {
    throw new UsageError(`--floor ${parsed.values.floor}: accepted are percentages, 0 to 1000`);
  }
  return { base, head, pairs, floor: percent / 100, only };
}

function tool(command: string, args: readonly string[], folder: string): string {
  const options = { cwd: folder, encoding: "utf8", maxBuffer: 1 << 26 } as const;
  const done = spawnSync(command, args, options);
  if (done.status === 0) return done.stdout.trim();
  const why = done.error?.message ?? `${done.stdout}${done.stderr}`.trim();
  throw new Error(`${command} ${args.join(" ")}: ${why}`);
}

function sameFile(a: string, b: string): boolean {
  return readFileSync(a).equals(readFileSync(b));
}

/** Checks a commit out into `folder` and builds it there. */
function buildCommit(commit: string, folder: string): void {
  tool("git", ["worktree", "add", "--detach", "--quiet", folder, commit], ROOT);
  if (sameFile(join(folder, "package-lock.json"), join(ROOT, "package-lock.json"))) {
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  } else {
    tool("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  }
  tool(process.execPath, [".tools/build.mjs"], folder);
}

interface Times {
  program: Program;
  base: number[];
  again: number[];
  head: number[];
}

async function measure(request: Request, base: string, head: string): Promise<Times[]> {
  const all = PROGRAMS.filter((one) => request.only.test(one.name)).map(
    (program): Times => ({ program, base: [], again: [], head: [] }),
  );
  if (all.length === 0) throw new UsageError(`--only ${request.only.source}: no program matches`);
  const progress = new Progress();
  for (let round = 0; round < request.pairs; round++) {
    for (const one of all) {
      progress.show(`compare: round ${round + 1} of ${request.pairs}`, one.program.name);
      const elf = buildGuest(one.program);
      const time = async (root: string, into: number[]) => {
        into.push((await costOf(one.program, rivuletElf(elf, root))).cpuSeconds);
      };
      // The head runs between the two runs of the base in every round, whichever of them counts as
      // the base.
      const [before, after] = round % 2 === 0 ? [one.base, one.again] : [one.again, one.base];
      await time(base, before);
      await time(head, one.head);
      await time(base, after);
    }
  }
  progress.done();
  return all;
}

/**
 * The gate on one program: changes are the head over the mean of both runs of the base, round by
 * round.
 */
function verdictOf({ base, again, head }: Times, floor: number): Gate {
  const changes = head.map((value, round) => value / Math.sqrt(base[round] * again[round]));
  const controls = again.map((value, round) => value / base[round]);
  return gate(changes, controls, floor);
}

function print(all: readonly Times[], floor: number): boolean {
  const table = new Table({
    head: ["program", "CPU time", "noise", "verdict"],
    style: { head: [], border: [] },
  });
  const percent = (part: number) => `${part >= 0 ? "+" : ""}${(100 * part).toFixed(1)} %`;
  let hasRegression = false;
  for (const times of all) {
    const { change, noise, isRegression } = verdictOf(times, floor);
    hasRegression ||= isRegression;
    const verdict = isRegression ? "slower" : change < -Math.max(floor, noise) ? "faster" : "same";
    table.push([times.program.name, percent(change), `${(100 * noise).toFixed(1)} %`, verdict]);
  }
  process.stdout.write(`${table.toString()}\n`);
  return hasRegression;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const request = parseRequest(args);
  const commitOf = (name: string) =>
    tool("git", ["rev-parse", "--verify", "--end-of-options", `${name}^{commit}`], ROOT);
  const commits = { base: commitOf(request.base), head: commitOf(request.head) };
  const folder = mkdtempSync(join(tmpdir(), "rivulet-compare-"));
  const base = join(folder, "base");
  const head = join(folder, "head");
  const remove = () => {
    rmSync(folder, { recursive: true, force: true });
    spawnSync("git", ["worktree", "prune"], { cwd: ROOT });
  };
  process.on("exit", remove); // an interrupt skips the block below
  try {
    process.stderr.write(`base ${commits.base}\nhead ${commits.head}\nbuilding both\n`);
    buildCommit(commits.base, base);
    buildCommit(commits.head, head);
    const canary = new Canary();
    const all = await measure(request, base, head);
    process.stderr.write(`${canary.end()}\n`);
    return print(all, request.floor) ? 1 : 0;
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** Runs the command; returns 0 for no regression, 1 for one or for a failure, 2 for usage. */
export async function compareMain(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    process.stderr.write(`bench:compare: ${error instanceof Error ? error.message : error}\n`);
    if (!(error instanceof UsageError)) return 1;
    process.stderr.write(USAGE);
    return 2;
  }
}
