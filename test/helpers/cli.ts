/**
 * cli: runs the binary as its user does: with arguments, bytes on stdin, and what it prints looked
 * at afterwards.
 *
 * Used by test/shell/ and test/boot/.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built binary; this file runs as dist/test/helpers/cli.js. */
export const CLI = fileURLToPath(new URL("../../src/cli.js", import.meta.url));

/** How one call of the binary went. */
export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to call it. */
export interface CliCall {
  /** All of standard input; the pipe is closed after it. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The call is killed after this time, and its status is null. */
  readonly guardMs?: number;
}

const GUARD_MS = 60_000;

/** Runs `rivulet ARGS...` to its end. */
export function rivulet(args: readonly string[], call: CliCall = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: call.cwd,
    env: { ...process.env, ...call.env },
    timeout: call.guardMs ?? GUARD_MS,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString("latin1")));
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString("latin1")));
  // a binary that ends without reading its input is not an error here
  child.stdin.on("error", () => {});
  child.stdin.end(call.input ?? "");
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}

/** The line of `--stats`. Throws when there is none. */
export function statsOf({ stderr }: CliResult): Record<string, unknown> {
  const line = stderr.split("\n").find((one) => one.startsWith("{"));
  if (line === undefined) throw new Error(`no line of JSON on stderr: ${stderr.slice(-500)}`);
  return JSON.parse(line) as Record<string, unknown>;
}
