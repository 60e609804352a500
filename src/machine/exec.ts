/**
 * exec: commands in a Linux guest, by its agent or else by the shell at its console.
 *
 * Owns    which of the two ways, how long is waited, and the run that goes on meanwhile.
 * Used by machine.ts for exec, ready and powerdown.
 * Holds   guest time passes only while a run is under way. One that is there is used, paused or
 *         not; without one, exec runs the machine itself until the last answer has come, and hands
 *         over to a caller who wants to run it. What the guest says is bounded before it is kept.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import { AGENT_SCRIPT_BYTES_MAX, type AgentChannel } from "./agent.ts";
import type { ConsoleEnd } from "./console.ts";
import {
  type ExecResult,
  type OutputListener,
  type OutputRequest,
  signalName,
} from "./exec-result.ts";
import { type ScriptOptions, scriptOf } from "./exec-script.ts";
import { type ExecSignal, Patience } from "./patience.ts";
import { isFinal, type MachineState, type RunResult } from "./result.ts";
import { SERIAL_INPUT_BYTES_MAX, SerialShell } from "./serial-shell.ts";

/** How long to wait for a guest. Times are the host's. */
export interface WaitOptions {
  readonly timeoutMs?: number;
  readonly signal?: ExecSignal;
}

/** How to run a command. */
export interface ExecOptions extends WaitOptions, ScriptOptions {
  /**
   * Until the command is done, the wait for the guest included. Without it a command takes as long
   * as it takes, and the guest is waited for two minutes.
   */
  readonly timeoutMs?: number;
  /** What the command reads; strings as UTF-8. Nothing by default. */
  readonly stdin?: Uint8Array | string;
  /**
   * Kept of each stream, or handed to `onOutput`; the rest is dropped. At most 1 GiB; 16 MiB by
   * default, with `onOutput` everything.
   */
  readonly outputBytesMax?: number;
  /**
   * Takes the output as it comes, by the console when the command is done; `stdout` and `stderr` of
   * the result are empty then. While a promise that it gives back is not settled, further output
   * waits in the guest; `exec` waits for the last one. What it throws, `exec` rejects with.
   */
  readonly onOutput?: OutputListener;
}

/** By what the guest takes commands. */
export type ExecWay = "agent" | "serial";

/** What exec needs of its machine. */
export interface ExecHost {
  readonly name: string;
  readonly state: MachineState;
  readonly hasRun: boolean;
  readonly isDisposed: boolean;
  run(): Promise<RunResult>;
  stop(): void;
  on(event: "end", listener: (result: RunResult) => void): () => void;
  on(event: "reboot", listener: () => void): () => void;
  on(event: "state", listener: (change: { to: MachineState; reason: string }) => void): () => void;
}

const READY_MS = 120_000;
/** A guest at its prompt whose agent has not come up by then has none. */
const AGENT_LATE_MS = 3000;
/** A command that was killed is over by then. */
const KILLED_MS = 20_000;
/** A guest that waits for nothing but input is looked at again so often. */
const IDLE_MS = 20;
const OUTPUT_BYTES_DEFAULT = 16 << 20;
const OUTPUT_BYTES_MAX = 1 << 30;
const STDIN_BYTES_MAX = 64 << 20;
const SIGKILL = 9;
const STATUS_SIGNAL = 128;
/** systemd is asked; any other guest is switched off at once, with its disks written. */
const POWERDOWN = "if [ -d /run/systemd/system ]; then poweroff; else sync; poweroff -f; fi";

interface Prepared extends OutputRequest {
  readonly script: string;
  readonly stdin: Uint8Array;
}

/** The time of one command. */
interface CommandLimit {
  /** It has passed, and the command was killed. */
  isPassed: boolean;
  /** It counts no longer. */
  lift(): void;
}

function checkMost(what: string, given: number, most: number): void {
  if (Number.isInteger(given) && given >= 0 && given <= most) return;
  throw new VmError("bad-argument", `${what} ${given}: accepted are 0 to ${most}`);
}

function prepare(command: string | readonly string[], options: ExecOptions): Prepared {
  const { stdin = "", outputBytesMax, onOutput, timeoutMs } = options;
  const script = scriptOf(command, options);
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin.slice();
  const scriptBytes = new TextEncoder().encode(script).length;
  checkMost("bytes of a command (stdin takes longer scripts)", scriptBytes, AGENT_SCRIPT_BYTES_MAX);
  checkMost("bytes of stdin", bytes.length, STDIN_BYTES_MAX);
  if (outputBytesMax !== undefined) {
    checkMost("outputBytesMax", outputBytesMax, OUTPUT_BYTES_MAX);
  }
  if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
    throw new VmError("bad-argument", `timeoutMs ${timeoutMs}: accepted are numbers from 0`);
  }
  const most = onOutput === undefined ? OUTPUT_BYTES_DEFAULT : Number.POSITIVE_INFINITY;
  return { script, stdin: bytes, outputBytesMax: outputBytesMax ?? most, onOutput };
}

/** Runs commands in the guest of one machine. */
export class GuestExec {
  readonly #host: ExecHost;
  readonly #platform: Platform;
  readonly #console: ConsoleEnd;
  readonly #agent: AgentChannel | null;
  readonly #serial: SerialShell;
  /** Everyone who waits for the guest now. */
  readonly #waits = new Set<Patience>();
  #serialTurn: Promise<unknown> = Promise.resolve();
  #ownRun: Promise<void> | null = null;
  /** Our own run is being ended by us. */
  #isStopping = false;
  #isHandingOver = false;

  constructor(host: ExecHost, platform: Platform, console: ConsoleEnd, agent: AgentChannel | null) {
    this.#host = host;
    this.#platform = platform;
    this.#console = console;
    this.#agent = agent;
    this.#serial = new SerialShell(console, platform);
    host.on("reboot", () => this.#serial.forget());
    host.on("state", ({ to, reason }) => {
      if (to !== "terminated") return;
      this.#serial.forget();
      this.#giveUp(reason);
    });
    host.on("end", (result) => {
      if (!isFinal(result)) this.#runEnded(result);
    });
  }

  /** True while the machine runs on behalf of a command alone. */
  get isDriving(): boolean {
    return this.#ownRun !== null;
  }

  /** Ends exec's own run and lets `run` take its place. */
  async handOver<T>(run: () => Promise<T>): Promise<T> {
    this.#isHandingOver = true;
    try {
      await this.#stopOwnRun();
    } finally {
      this.#isHandingOver = false;
    }
    return run();
  }

  /** See Machine.ready. */
  ready(options: WaitOptions = {}): Promise<ExecWay> {
    return this.#wait(options.signal, (patience) =>
      this.#way(patience, options.timeoutMs ?? READY_MS),
    );
  }

  /** See Machine.exec. */
  async exec(command: string | readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const prepared = prepare(command, options);
    const { timeoutMs, signal } = options;
    const begin = this.#platform.monotonicMs();
    return this.#wait(signal, async (patience) => {
      const way = await this.#way(patience, timeoutMs ?? READY_MS);
      if (patience.error !== null) throw patience.error; // it must not even begin
      const passedMs = this.#platform.monotonicMs() - begin;
      const leftMs = timeoutMs === undefined ? null : Math.max(0, timeoutMs - passedMs);
      if (way === "agent") return this.#byAgent(prepared, leftMs, patience);
      return this.#bySerial(prepared, leftMs, patience);
    });
  }

  /** See Machine.powerdown. */
  async powerdown(options: WaitOptions = {}): Promise<RunResult> {
    const { signal, timeoutMs = READY_MS } = options;
    const { name } = this.#host;
    let result: RunResult | null = null;
    const undo = this.#host.on("end", (ended) => {
      if (isFinal(ended)) result = ended;
    });
    try {
      await this.#wait(signal, async (patience) => {
        const text = () => `${name} did not switch off within ${timeoutMs} ms`;
        patience.limit(this.#platform, timeoutMs, text);
        await this.#way(patience, timeoutMs);
        const asked = this.exec(POWERDOWN, { signal }).catch((error) => {
          if ((error as VmError).code !== "io") throw error;
          return null; // the agent is among what is being ended
        });
        const answer = await patience.wait(asked);
        if (answer !== null && answer.status !== 0) {
          const says = `status ${answer.status}; ${new TextDecoder().decode(answer.stderr).trim()}`;
          throw new VmError("io", `${name} does not switch off: ${says}`);
        }
        await patience.wait(new Promise(() => {})); // until the machine has ended
      });
    } catch (error) {
      // a machine that ended is what was asked for
      if (result === null) throw error;
    } finally {
      undo();
    }
    return result as unknown as RunResult;
  }

  // ---- the run meanwhile ----

  /** Does `work` while the machine runs, until patience is over. */
  async #wait<T>(
    signal: ExecSignal | undefined,
    work: (patience: Patience) => Promise<T>,
  ): Promise<T> {
    const { name, state, isDisposed } = this.#host;
    if (isDisposed) throw new VmError("disposed", `${name} is disposed`);
    if (!this.#isAlive) {
      throw new VmError("bad-state", `${name} is ${state}: commands need a booted guest`);
    }
    const patience = new Patience();
    patience.heed(signal, `${name}: waiting for the guest was aborted`);
    this.#waits.add(patience);
    try {
      this.#drive();
      return await patience.wait(work(patience));
    } finally {
      patience.close();
      this.#waits.delete(patience);
      if (this.#waits.size === 0) await this.#stopOwnRun();
    }
  }

  get #isAlive(): boolean {
    return this.#host.state === "running" || this.#host.state === "paused";
  }

  /** Runs the machine for those who wait, unless somebody else does. */
  #drive(): void {
    if (this.#waits.size === 0 || this.#host.hasRun || !this.#isAlive) return;
    if (this.#isHandingOver || this.#ownRun !== null) return;
    const over = () => {
      this.#ownRun = null;
      const isWanted = this.#isStopping; // by somebody who began to wait meanwhile
      this.#isStopping = false;
      if (isWanted) this.#drive();
    };
    this.#ownRun = this.#host.run().then(over, over);
  }

  /** Resolves when the machine stands, unless somebody began to wait meanwhile. */
  #stopOwnRun(): Promise<void> {
    if (this.#ownRun === null) return Promise.resolve();
    this.#isStopping = true;
    this.#host.stop();
    return this.#ownRun;
  }

  /** A run ended and the machine did not: whoever runs it in pieces goes on with it. */
  #runEnded({ kind }: RunResult): void {
    if (kind === "idle") {
      // nothing moves before there is input, which may come from us
      this.#platform.after(IDLE_MS, () => this.#drive());
      return;
    }
    const isOurs = this.#ownRun !== null && !this.#isStopping;
    if (isOurs || kind === "memory") this.#giveUp(kind);
  }

  #giveUp(why: string): void {
    const text = `${this.#host.name}: the run ended (${why}) before the guest was done`;
    for (const patience of [...this.#waits]) patience.end(new VmError("bad-state", text));
  }

  // ---- which way ----

  /** Waits for one. */
  async #way(patience: Patience, limitMs: number): Promise<ExecWay> {
    if (this.#agent?.isUp === true) return "agent";
    const cancel = patience.limit(this.#platform, limitMs, () => this.#notReady(limitMs));
    const search = new Patience();
    try {
      return await patience.wait(this.#search(search));
    } finally {
      search.close();
      cancel();
    }
  }

  #notReady(limitMs: number): string {
    const last =
      this.#console.tail
        .trimEnd()
        .split(/[\r\n]+/)
        .at(-1) ?? "";
    const says = last === "" ? "its console says nothing" : `its console says "${last}"`;
    const missing = this.#agent === null ? "a shell's prompt" : "its agent or a shell's prompt";
    return `${this.#host.name}: ${missing} did not come within ${limitMs} ms; ${says}`;
  }

  /** The agent; or the console, when it has a prompt and the agent can be waited for no longer. */
  #search(search: Patience): Promise<ExecWay> {
    const agent = this.#agent;
    return new Promise<ExecWay>((resolve, reject) => {
      if (agent !== null) search.defer(agent.onHello(() => resolve("agent")));
      const found = () => {
        const lateMs = agent === null ? 0 : AGENT_LATE_MS;
        if (!search.isOver) search.after(this.#platform, lateMs, () => resolve("serial"));
      };
      this.#serial.waitForPrompt(search).then(found, reject);
    });
  }

  // ---- the two ways ----

  /** Kills at the end of the time; what does not end then is given up. */
  #limitCommand(patience: Patience, leftMs: number | null, kill: () => void): CommandLimit {
    if (leftMs === null) return { isPassed: false, lift: () => {} };
    const text = () => `${this.#host.name}: the command was killed and did not end`;
    const undo = [
      patience.limit(this.#platform, leftMs + KILLED_MS, text),
      patience.after(this.#platform, leftMs, () => {
        limit.isPassed = true;
        kill();
      }),
    ];
    const lift = () => {
      for (const cancel of undo) cancel();
    };
    const limit = { isPassed: false, lift };
    return limit;
  }

  async #byAgent(
    prepared: Prepared,
    leftMs: number | null,
    patience: Patience,
  ): Promise<ExecResult> {
    const job = (this.#agent as AgentChannel).start(prepared);
    const limit = this.#limitCommand(patience, leftMs, () => job.kill(SIGKILL));
    try {
      const status = await patience.wait(job.done);
      await patience.wait(Promise.all([job.stdout.taken, job.stderr.taken]));
      const signal = status & 0x7f;
      return {
        status: signal === 0 ? (status >> 8) & 0xff : STATUS_SIGNAL + signal,
        ...(signal === 0 ? {} : { signal: signalName(signal) }),
        stdout: job.stdout.bytes,
        stderr: job.stderr.bytes,
        isTruncated: job.stdout.isTruncated || job.stderr.isTruncated,
        isTimedOut: limit.isPassed && signal === SIGKILL,
      };
    } catch (error) {
      job.abandon();
      throw error;
    }
  }

  async #bySerial(
    prepared: Prepared,
    leftMs: number | null,
    patience: Patience,
  ): Promise<ExecResult> {
    checkMost("bytes of stdin over a console", prepared.stdin.length, SERIAL_INPUT_BYTES_MAX);
    const turn = this.#serialTurn;
    const work = turn.then(async () => {
      if (patience.error !== null) throw patience.error;
      let limit: CommandLimit | null = null;
      const outcome = await this.#serial.run(prepared, patience, (kill) => {
        limit = this.#limitCommand(patience, leftMs, kill);
        return limit.lift;
      });
      const isLate = (limit as CommandLimit | null)?.isPassed ?? false;
      const isTimedOut = isLate && outcome.status === STATUS_SIGNAL + SIGKILL;
      return { ...outcome, ...(isTimedOut ? { signal: "SIGKILL" } : {}), isTimedOut };
    });
    this.#serialTurn = work.catch(() => {});
    return work;
  }
}
