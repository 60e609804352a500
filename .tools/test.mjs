// Builds, sets up (as root on Debian only), then runs every suite in a process of its own, two at a time.
//
//   npm test [-- PATTERN...]          suites whose path holds one of the patterns; default all
//   npm run test:deep [-- PATTERN...] the long campaigns, test/**/*.deep.ts, one after the other
//   --verbose                         output of passing suites too
//
// One line per suite; a suite that fails shows what it printed. The last line stands alone:
// "N passed, N failed, N skipped". A suite fails when a test does, when it crashes, runs over its time, or holds no
// test at all (uvu passes a file that forgets test.run()). Under CI=true a skip is a failure.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isRootOnDebian } from "./debian.mjs";
import { judge } from "./judge.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);

const SUITE_MS_MAX = 10 * 60_000;
const OUTPUT_BYTES_MAX = 4 << 20;
const TIMES = "dist/.info/test-times.json";
/** Folders to start first when nothing was timed yet. */
const LONG_FOLDERS = ["differential", "law0", "boot", "isa", "bench"];

const { values: options, positionals: patterns } = parseArgs({
  options: {
    deep: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const tally = { passed: 0, failed: 0, skipped: 0 };

function finish() {
  console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
  process.exit(tally.failed === 0 ? 0 : 1);
}

function prepare() {
  const built = spawnSync(process.execPath, [".tools/build.mjs"], { stdio: ["ignore", 2, 2] });
  if (built.status !== 0) {
    console.log("the build failed: see above");
    tally.failed++;
    finish();
  }
  if (!isRootOnDebian()) return;
  const done = spawnSync("bash", [".tools/setup.sh"], { stdio: ["ignore", 2, 2] });
  if (done.status !== 0) console.log("setup failed: suites that need what is missing say so");
}

/** Sources decide what runs: dist/ may hold suites that are gone. */
function suites() {
  const ending = options.deep ? ".deep.ts" : ".test.ts";
  const names = readdirSync("test", { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative("test", join(entry.parentPath ?? entry.path, entry.name)))
    .map((path) => path.slice(0, -3))
    .sort();
  if (patterns.length === 0) return names;
  return names.filter((name) => patterns.some((pattern) => name.includes(pattern)));
}

function readTimes() {
  try {
    return JSON.parse(readFileSync(TIMES, "utf8"));
  } catch {
    return {};
  }
}

/** Longest first, so that no long one is left for the end. */
function inOrder(names, times) {
  const guess = (name) => {
    const at = LONG_FOLDERS.indexOf(name.split("/")[0]);
    const size = statSync(`test/${name}.ts`).size / 1e6;
    return times[name] ?? (at < 0 ? 0 : (LONG_FOLDERS.length - at) * 1000) + size;
  };
  return [...names].sort((a, b) => guess(b) - guess(a));
}

const running = new Set();

function killGroup(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // it has ended already
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(1);
  });
}

/** Runs one process to its end: what it printed, and how it ended. */
function runProcess(args, limitMs) {
  return new Promise((resolve) => {
    const begin = Date.now();
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    running.add(child);
    let output = "";
    let isLate = false;
    const timer =
      limitMs === 0
        ? undefined
        : setTimeout(() => {
            isLate = true;
            killGroup(child);
          }, limitMs);
    const take = (bytes) => {
      if (output.length < OUTPUT_BYTES_MAX) output += bytes.toString("utf8");
      if (options.deep) process.stderr.write(bytes);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      killGroup(child);
      const ended = isLate ? `ran over ${limitMs / 60_000} minutes` : (signal ?? code);
      resolve({ output, ended, ms: Date.now() - begin });
    });
  });
}

function report(name, outcome, ms) {
  tally.passed += outcome.passed;
  tally.failed += outcome.failed;
  tally.skipped += outcome.skipped;
  const mark = outcome.failed > 0 ? "FAIL" : outcome.skipped > 0 ? "skip" : "ok  ";
  const counts = [`${outcome.passed} passed`];
  if (outcome.failed > 0) counts.push(`${outcome.failed} failed`);
  if (outcome.skipped > 0) counts.push(`${outcome.skipped} skipped`);
  const seconds = `${(ms / 1000).toFixed(1)} s`;
  console.log(`${mark} ${name.padEnd(36)} ${seconds.padStart(8)}  ${counts.join(", ")}`);
}

async function runSuite(name, times) {
  const path = `dist/test/${name}.js`;
  if (!existsSync(path)) {
    report(name, { passed: 0, failed: 1, skipped: 0 }, 0);
    console.log(`     ${path} was not built`);
    return;
  }
  const limitMs = options.deep ? 0 : SUITE_MS_MAX;
  const done = await runProcess(["--enable-source-maps", path], limitMs);
  const outcome = judge(done, { isCi: process.env.CI === "true" });
  if (outcome.failed === 0) times[name] = done.ms;
  report(name, outcome, done.ms);
  for (const note of outcome.notes) console.log(`     ${note}`);
  if (outcome.failed > 0 || options.verbose) console.log(indent(done.output));
  else for (const line of done.output.matchAll(/^skip: .*$/gm)) console.log(`     ${line[0]}`);
}

function indent(output) {
  const lines = output.trimEnd().split("\n");
  return lines.map((line) => `     │ ${line}`).join("\n");
}

/** Formatter and linter, counted as one test. */
async function runLint() {
  const args = ["node_modules/@biomejs/biome/bin/biome", "check", "--config-path=.biome.json"];
  if (!existsSync(".git")) args.push("--vcs-enabled=false");
  const done = await runProcess([...args, "."], SUITE_MS_MAX);
  const failed = done.ended === 0 ? 0 : 1;
  report("lint", { passed: 1 - failed, failed, skipped: 0 }, done.ms);
  if (failed > 0) console.log(indent(done.output));
}

prepare();
const times = readTimes();
const queue = inOrder(suites(), times).map((name) => () => runSuite(name, times));
const isLinting = !options.deep && (patterns.length === 0 || patterns.includes("lint"));
if (isLinting) queue.push(runLint);
if (queue.length === 0) {
  console.log(`no suite is named like ${patterns.join(" or ")}`);
  tally.failed++;
  finish();
}
const lanes = options.deep ? 1 : Math.min(2, availableParallelism());
await Promise.all(
  Array.from({ length: lanes }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await next();
  }),
);
mkdirSync("dist/.info", { recursive: true });
writeFileSync(TIMES, JSON.stringify(times, null, 1));
finish();
