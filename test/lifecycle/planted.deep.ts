/**
 * planted: bugs in the lives of machines, planted one at a time in a copy of what was built; some
 * suite must fail, or hang, because of each.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("lifecycle/planted (deep)");
const DIST = fileURLToPath(new URL("../..", import.meta.url));
const SUITES = ["states", "suspend", "jobs", "fairness", "random"];
/** A suite takes 3 s; one that has not ended by then never does. */
const HANG_MS = 40_000;

/** A bug: a piece of a built file, and what it becomes. */
type Bug = readonly [title: string, file: string, from: string, to: string];

const MANAGER = "lifecycle/manager.js";
const RECORD = "lifecycle/record.js";
const HOOKS = "lifecycle/hooks.js";
const HEAP = "lifecycle/memory-store.js";
const LOOP = "machine/run-loop.js";
const JOBS = "machine/jobs.js";
const SCHEDULER = "machine/scheduler.js";
const SHARE = "machine/accounting.js";
const RESULT = "machine/result.js";

const CHECK_AGAIN = "            this.#checkEdge(machine, step);\n            result";
const EMPTY = "isAway = true;\n            this.#emptyRam();";
const STILL = "return this.#pauseReason !== null;";
const LOST = "const target = heap.add(page); if (page === batch[0]) continue;";
const OFF = "view.pagesLeave(page, count, KIND_BASE, slot ^ 1)";
const BUGS: readonly Bug[] = [
  ["an edge too many", RESULT, 'suspended: ["running",', 'suspended: ["created", "running",'],
  ["an edge too few", RESULT, '"migration-target", "terminated"]', '"terminated"]'],
  ["states change without the table", LOOP, "from !== to && !canGo(from, to)", "false"],
  ["two claims at once", RECORD, "if (underWay !== null)", "if (false)"],
  ["a claim is not given back", RECORD, "            this.#operation = null;\n", ""],
  ["nobody looks again after the hooks", MANAGER, CHECK_AGAIN, "            result"],
  ["a veto is not heard", HOOKS, "if (answer?.veto === undefined)", "if (true)"],
  ["hooks have no time limit", HOOKS, 'reject(new VmError("timeout", text));', ""],
  ["a hook of one machine is asked for all", HOOKS, "facts.machine === machine.name", "true"],
  ["a hook that is told can harm", HOOKS, "failures.push(", "throw error; failures.push("],
  ["the history has no bound", "lifecycle/history.js", "kept.length > this.#most", "false"],
  ["ends are not told", RECORD, 'this.note("shutdown", endText(result));', ";"],
  ["a suspended machine keeps its pages", "machine/machine.js", EMPTY, "isAway = true;"],
  [
    "a suspended machine runs on",
    LOOP,
    "return this.#pauseReason !== null || this.#holds > 0;",
    STILL,
  ],
  ["a failed suspension holds the machine", "machine/machine.js", "if (!isAway)", "if (false)"],
  ["a page is lost on the way", HEAP, "const target = heap.add(page);", LOST],
  ["a slot is one off", HEAP, "view.pagesLeave(page, count, KIND_BASE, slot)", OFF],
  ["a checkpoint's frames stay", "lifecycle/frame-store.js", "this.#capture.release();", ";"],
  ["a suspended state outlives the machine", MANAGER, "void kept?.state.drop();", ";"],
  ["two jobs at once", JOBS, "while (this.#job !== null);", "while (false);"],
  ["a job does not end", JOBS, "            this.#job = null;\n", ""],
  [
    "waiters are not woken",
    JOBS,
    "for (const look of [...this.#waiting])",
    "for (const look of [])",
  ],
  ["a refusal is an admission", JOBS, 'if (rule.kind === "refused")', "if (false)"],
  ["weights mean nothing", SHARE, "/ this.#weight", "/ WEIGHT_DEFAULT"],
  ["caps mean nothing", SHARE, "return this.#creditMs > 0 ? 0 :", "return this.#creditMs ? 0 :"],
  ["a sleeper catches up", SCHEDULER, "this.#nowVirtualMs - AHEAD_MS", "-Infinity"],
  [
    "the first of the queue runs",
    SCHEDULER,
    "share.virtualMs < first.task.share.virtualMs",
    "false",
  ],
  ["what is capped is never looked at", SCHEDULER, "this.#pumpAfter(soonestMs);", ";"],
];

/** True when the suite fails or hangs. */
function fails(folder: string, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const path = join(folder, "test/lifecycle", `${name}.test.js`);
    const child = spawn(process.execPath, [path], {
      stdio: ["ignore", "pipe", "ignore"],
      timeout: HANG_MS,
      killSignal: "SIGKILL",
    });
    let hasFailed = false;
    child.stdout.on("data", (bytes: Buffer) => {
      if (!/✘|Exiting early/.test(bytes.toString("utf8"))) return;
      hasFailed = true;
      child.kill("SIGKILL");
    });
    child.once("error", reject);
    child.once("close", (code) => resolve(hasFailed || code !== 0));
  });
}

/** Does `work` with a copy of what was built, and of the sources that the invariants read. */
async function withCopy(work: (dist: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(DIST, "planted-"));
  const dist = join(folder, "dist");
  try {
    cpSync(join(DIST, "../assembly"), join(folder, "assembly"), { recursive: true });
    for (const part of ["src", "assembly", "test", "pages.wasm", "machine.wasm"]) {
      cpSync(join(DIST, part), join(dist, part), { recursive: true });
    }
    await work(dist);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("without a bug nothing fails", () =>
  withCopy(async (dist) => {
    for (const name of SUITES) assert.not(await fails(dist, name), name);
  }));

for (const [title, file, from, to] of BUGS) {
  test(title, () =>
    withCopy(async (dist) => {
      const path = join(dist, "src", file);
      const text = readFileSync(path, "utf8");
      const places = text.split(from).length - 1;
      assert.is(places, 1, `${file} has the place ${places} times`);
      writeFileSync(
        path,
        text.replace(from, () => to),
      );
      for (const name of SUITES) if (await fails(dist, name)) return;
      throw new Error(`nobody noticed: ${SUITES.join(", ")} passed`);
    }),
  );
}

test.run();
