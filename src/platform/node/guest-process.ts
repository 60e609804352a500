/**
 * guest-process: runs Debian's tools and turns their failures into errors of one line.
 *
 * Used by guest-apt.ts, guest-debian.ts.
 */
import { type SpawnOptions, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { VmError } from "../../errors.ts";

/** How to run a tool. */
export interface ToolRun {
  readonly cwd?: string;
  /** On top of this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** The Debian package that brings the tool, for the message when it is missing. */
  readonly debianPackage: string;
  /** Lines that the tool writes to descriptor 3. */
  onStatus?(line: string): void;
}

const STDERR_CHARACTERS_MAX = 20_000;

/** What matters in a tool's complaints: apt's error lines, or else the last line. */
function complaint(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const errors = lines.filter((line) => /^(E|W|Err|dpkg-deb)[: ]/.test(line));
  return (errors.length > 0 ? errors.slice(0, 3) : lines.slice(-1)).join("; ");
}

function onLines(stream: Readable, take: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) take(line);
  });
}

/**
 * Runs a tool to its end and returns its standard output. Throws VmError "missing-tool" or "io".
 */
export function runTool(name: string, args: readonly string[], run: ToolRun): Promise<Buffer> {
  const options: SpawnOptions = {
    cwd: run.cwd,
    env: { ...process.env, LC_ALL: "C", ...run.env },
    signal: run.signal,
    stdio: ["ignore", "pipe", "pipe", run.onStatus === undefined ? "ignore" : "pipe"],
  };
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, options);
    const output: Buffer[] = [];
    let stderr = "";
    child.stdout?.on("data", (bytes: Buffer) => output.push(bytes));
    child.stderr?.on("data", (bytes: Buffer) => {
      if (stderr.length < STDERR_CHARACTERS_MAX) stderr += bytes.toString("utf8");
    });
    const status = child.stdio[3];
    if (run.onStatus !== undefined && status) onLines(status as Readable, run.onStatus);
    child.on("error", (cause: NodeJS.ErrnoException) => {
      const isMissing = cause.code === "ENOENT";
      const text = isMissing
        ? `${name} is not installed: it is in the Debian package ${run.debianPackage}`
        : `${name}: ${cause.message}`;
      reject(new VmError(isMissing ? "missing-tool" : "io", text, { cause }));
    });
    child.on("close", (code, signal) => {
      if (code === 0) resolve(Buffer.concat(output));
      else
        reject(new VmError("io", `${name} ${args[0]}: ${complaint(stderr) || (signal ?? code)}`));
    });
  });
}
