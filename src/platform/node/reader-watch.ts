/**
 * reader-watch: notices that whoever read our standard output went away, while nothing is written.
 *
 * Owns    a helper process: a pipe's writer that wants to hear of its reader's end has to poll for
 *         it, which Node cannot; GNU's `tail -f` does so with its own output, and ends by SIGPIPE.
 * Used by standard-streams.ts.
 * Holds   the helper ends with this process, however that ends: it has our end of the pipe open.
 *         Where there is no such `tail`, the next write notices, as it does anyhow.
 */
import { spawn } from "node:child_process";
import { fstatSync } from "node:fs";

const STDOUT = 1;
/** Commands that are over sooner need no helper. */
const PATIENCE_MS = 1000;
const POLL_SECONDS = "0.5";

function isPipe(): boolean {
  try {
    return fstatSync(STDOUT).isFIFO();
  } catch {
    return false; // it is closed
  }
}

function startHelper(onGone: () => void): void {
  const args = ["--pid", `${process.pid}`, "-s", POLL_SECONDS, "-f", "/dev/null"];
  // apart from our group: a Ctrl-C is ours
  const helper = spawn("tail", args, { stdio: ["ignore", STDOUT, "ignore"], detached: true });
  const end = () => helper.kill("SIGKILL");
  process.once("exit", end);
  helper.on("error", () => {});
  helper.on("exit", (_status, signal) => {
    process.off("exit", end);
    if (signal === "SIGPIPE") onGone();
  });
  helper.unref();
}

/** Calls back when standard output is a pipe and its reader is gone; does not keep the process. */
export function watchReader(onGone: () => void): void {
  if (!isPipe()) return;
  setTimeout(() => startHelper(onGone), PATIENCE_MS).unref();
}
