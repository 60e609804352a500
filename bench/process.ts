/**
 * process: child processes timed in CPU seconds.
 *
 * Used by suites and compare.
 * Holds   CPU seconds are user + system of every thread of the child (for Node: the compiler's and
 *         the collector's too). A run to its end is charged by getrusage, to 1 ms, through the
 *         shell's `time`; a live process is read from /proc, to one clock tick (10 ms).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** A process that ran to its end. */
export interface Finished {
  cpuSeconds: number;
  status: number;
  stdout: string;
  stderr: string;
}

/** Program and arguments. */
export type Command = readonly string[];

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux architecture that runs Node

const alive = new Set<ChildProcess>();

/** Ends a child and its whole process group; a child that is gone already is fine. */
function end(child: ChildProcess): void {
  if (child.pid === undefined || !alive.has(child)) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // gone between the check and the signal
  }
}

/** Children lead their own process groups, so an end of this process has to be passed on. */
function watchOver(): void {
  process.on("exit", () => {
    for (const child of alive) end(child);
  });
  process.on("SIGINT", () => process.exit(130));
  process.on("SIGTERM", () => process.exit(143));
}

let isWatching = false;

function launch(command: Command, pipes: ("ignore" | "pipe")[]): ChildProcess {
  if (!isWatching) watchOver();
  isWatching = true;
  const child = spawn(command[0], command.slice(1), { stdio: pipes, detached: true });
  alive.add(child);
  child.on("close", () => alive.delete(child));
  return child;
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const parts: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (part: Buffer) => {
    bytes += part.length;
    if (bytes <= OUTPUT_BYTES_MAX) parts.push(part);
  });
  return () => Buffer.concat(parts).toString("latin1");
}

/** Sum of the user and system seconds that bash's `time` printed as "cpu USER SYSTEM". */
export function cpuSecondsOf(report: string): number {
  const found = /^cpu (\d+\.\d+) (\d+\.\d+)$/m.exec(report);
  if (found === null) throw new Error(`no CPU seconds in ${JSON.stringify(report)}`);
  return Number(found[1]) + Number(found[2]);
}

// The report goes to descriptor 3, so that the child's own stderr stays clean.
const TIMED = 'TIMEFORMAT="cpu %3U %3S"; { time "$@" 2>&4; } 4>&2 2>&3';

/**
 * Runs a command to its end with no input. Rejects when it does not end within `secondsMax` of real
 * time.
 */
export function runToEnd(command: Command, secondsMax: number): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const shell = ["bash", "-c", TIMED, "timed", ...command];
    const child = launch(shell, ["ignore", "pipe", "pipe", "pipe"]);
    const stdout = collect(child.stdio[1] as NodeJS.ReadableStream);
    const stderr = collect(child.stdio[2] as NodeJS.ReadableStream);
    const report = collect(child.stdio[3] as NodeJS.ReadableStream);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      end(child);
    }, secondsMax * 1000);
    child.on("error", reject);
    child.on("close", (status) => {
      clearTimeout(timer);
      if (isLate) {
        reject(new Error(`${command.join(" ")}: not done after ${secondsMax} s`));
        return;
      }
      const cpuSeconds = cpuSecondsOf(report());
      resolve({ cpuSeconds, status: status ?? -1, stdout: stdout(), stderr: stderr() });
    });
  });
}

/** User and system clock ticks of a whole process, from the text of /proc/PID/stat. */
export function ticksOf(stat: string): number {
  // The second field is the program's name in parentheses and may hold anything, blanks and
  // parentheses too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]); // fields 14 and 15 of proc(5)
}

/**
 * A live process with a console: write to it, wait for what it prints, read what it has used so
 * far.
 */
export class Console {
  readonly #child: ChildProcess;
  readonly #closed: Promise<number>;
  #text = "";
  #stderr = "";
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(command: Command) {
    this.#child = launch(command, ["pipe", "pipe", "pipe"]);
    this.#closed = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (status) => {
        this.#isClosed = true;
        this.#wake();
        resolve(status ?? -1);
      });
    });
    this.#closed.catch(() => {});
    this.#child.stdin?.on("error", () => {}); // a guest that is gone shows as a closed console
    this.#child.stdout?.on("data", (part: Buffer) => {
      this.#text += part.toString("latin1");
      this.#wake();
    });
    this.#child.stderr?.on("data", (part: Buffer) => {
      this.#stderr = (this.#stderr + part.toString("latin1")).slice(-OUTPUT_BYTES_MAX);
    });
  }

  /** Of the process. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** CPU seconds used so far, by all threads. */
  get cpuSeconds(): number {
    return ticksOf(readFileSync(`/proc/${this.#child.pid}/stat`, "utf8")) / TICKS_PER_SECOND;
  }

  /** What it has written to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Sends text to its standard input. */
  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /**
   * Waits until the output not yet taken matches, takes it up to the end of the match and returns
   * that part. Rejects with the end of the output when the process ends first or `secondsMax` pass.
   */
  async expect(pattern: RegExp, secondsMax: number): Promise<string> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, secondsMax * 1000);
    try {
      for (;;) {
        const found = pattern.exec(this.#text);
        if (found !== null) {
          const taken = this.#text.slice(0, found.index + found[0].length);
          this.#text = this.#text.slice(taken.length);
          return taken;
        }
        if (this.#isClosed || isLate) {
          const why = isLate ? `not within ${secondsMax} s` : "the process ended";
          const tail = JSON.stringify((this.#text + this.#stderr).slice(-300));
          throw new Error(`waited for ${pattern} on the console: ${why}; last output ${tail}`);
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Waits for the end of the process for at most `secondsMax`, then kills it; returns its status,
   * -1 when killed.
   */
  async finish(secondsMax: number): Promise<number> {
    const timer = setTimeout(() => end(this.#child), secondsMax * 1000);
    try {
      return await this.#closed;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the process at once. */
  async kill(): Promise<void> {
    end(this.#child);
    await this.#closed;
  }
}
