/**
 * run: the bench command: `npm run bench -- [SUITE]... [--pairs N] [--minutes N] [--only RE]
 * [--json]`.
 *
 * Results on stdout (a table, or a line of JSON per case), progress on stderr. Exit status 0 when
 * every promise is kept, 1 when one is short or a run failed, 2 for usage. SPECIFICATION.md lists
 * the promises.
 */
import { parseArgs } from "node:util";
import type { LinuxGuest } from "./contenders.ts";
import { debianGuest } from "./guest-debian.ts";
import type { Plan } from "./plan.ts";
import { Canary, Progress } from "./progress.ts";
import { type CaseResult, exitStatus, jsonLine, tableOf } from "./report.ts";
import { coreSuite } from "./suites/core.ts";
import { bootSuite, busyboxSuite } from "./suites/debian.ts";
import { embedSuite } from "./suites/embed.ts";
import { forkSuite } from "./suites/fork.ts";
import { hartSuite } from "./suites/hart.ts";
import { memorySuite } from "./suites/memory.ts";
import { migrationSuite } from "./suites/migration.ts";
import { snapshotSuite } from "./suites/snapshot.ts";
import { MissingTool, qemuVersion } from "./toolchain.ts";

const SUITES = [
  "hart",
  "boot",
  "embed",
  "core",
  "memory",
  "fork",
  "snapshot",
  "migration",
] as const;
type Suite = (typeof SUITES)[number];

const USAGE = `usage: npm run bench -- [SUITE]... [--pairs N] [--minutes N] [--only RE] [--json]
  SUITE      ${SUITES.join(", ")} (default: hart boot)
  --pairs    interleaved pairs per case, 1 to 1000 (default 30)
  --minutes  a suite starts no further round after this long, once it has 10 (default 15)
  --only     cases whose name matches the regular expression (busybox ones: "busybox NAME")
  --json     one line of JSON per case instead of a table
`;

class UsageError extends Error {}

interface Request {
  suites: Suite[];
  plan: Plan;
  isJson: boolean;
}

function count(name: string, given: string, most: number): number {
  const value = Number(given);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UsageError(`--${name} ${given}: accepted are whole numbers from 1 to ${most}`);
}

function expression(given: string): RegExp {
  try {
    return new RegExp(given);
  } catch (error) {
    throw new UsageError(`--only ${given}: ${(error as Error).message}`);
  }
}

/** Reads the arguments after the command's name; throws UsageError. */
export function parseRequest(args: readonly string[]): Request {
  const options = {
    pairs: { type: "string", default: "30" },
    minutes: { type: "string", default: "15" },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  } as const;
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  for (const name of positionals) {
    if (SUITES.includes(name as Suite)) continue;
    throw new UsageError(`suite ${name}: accepted are ${SUITES.join(", ")}`);
  }
  const plan = {
    pairs: count("pairs", values.pairs, 1000),
    minutesMax: count("minutes", values.minutes, 100_000),
    only: expression(values.only),
  };
  const suites =
    positionals.length === 0 ? (["hart", "boot"] as Suite[]) : (positionals as Suite[]);
  return { suites: [...new Set(suites)], plan, isJson: values.json };
}

/** The Debian guest, looked for before anything is timed; null, and said so, when there is none. */
function debianOrNull(): LinuxGuest | null {
  try {
    return debianGuest();
  } catch (error) {
    if (process.env.CI === "true") throw error;
    process.stderr.write(`bench: boot and busybox skipped: ${(error as Error).message}\n`);
    return null;
  }
}

async function results({ suites, plan }: Request, progress: Progress): Promise<CaseResult[]> {
  const guest = suites.some((suite) => !["core", "memory", "migration"].includes(suite))
    ? debianOrNull()
    : null;
  const all: CaseResult[] = [];
  for (const suite of suites) {
    if (suite === "core") all.push(...(await coreSuite(plan, progress)));
    if (suite === "memory") all.push(...(await memorySuite(plan, progress)));
    if (suite === "migration") all.push(...(await migrationSuite(plan, progress)));
    if (suite === "snapshot" && guest) all.push(...(await snapshotSuite(guest, plan, progress)));
    if (suite === "fork" && guest) all.push(...(await forkSuite(guest, plan, progress)));
    if (suite === "embed") all.push(...(await embedSuite(guest, plan, progress)));
    if (suite === "hart") all.push(...(await hartSuite(plan, progress)));
    if (suite === "hart" && guest) all.push(...(await busyboxSuite(guest, plan, progress)));
    if (suite === "boot" && guest) all.push(...(await bootSuite(guest, plan, progress)));
  }
  return all;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const request = parseRequest(args);
  const progress = new Progress();
  const hasChildren = request.suites.some((suite) => suite === "hart" || suite === "boot");
  // The other suites keep this process busy, so there the canary would only see the suite itself.
  const canary = hasChildren ? new Canary() : undefined;
  if (hasChildren) process.stderr.write(`${qemuVersion()}\n`);
  const all = await results(request, progress);
  progress.done();
  if (canary !== undefined) process.stderr.write(`${canary.end()}\n`);
  const lines = request.isJson ? all.map(jsonLine) : [tableOf(all)];
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  return exitStatus(all);
}

/** Runs the command and returns its exit status; every failure is one line on stderr. */
export async function benchMain(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`bench: ${text}\n`);
    if (error instanceof UsageError) {
      process.stderr.write(USAGE);
      return 2;
    }
    if (error instanceof MissingTool && process.env.CI !== "true") {
      process.stderr.write("bench: skipped\n");
      return 0;
    }
    return 1;
  }
}
