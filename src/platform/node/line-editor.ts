/**
 * line-editor: the shell's prompt on this process's terminal, and its history between sessions.
 *
 * Owns    stdin while a prompt is open: keys go to the line that is being read, to whoever listens
 *         (a console), or wait for the next line.
 * Used by src/cli.ts.
 * Holds   the terminal is as it was however the process ends.
 */
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { PassThrough, Writable } from "node:stream";

const CTRL_C = 0x03;
const HISTORY_LINES_MAX = 1000;

/** What stands before the cursor is completed; see world.ts. */
interface Options {
  readonly history: readonly string[];
  complete(line: string): Promise<readonly [readonly string[], string]>;
}

type OnInput = (bytes: Uint8Array | null) => void;

/** The terminal, without what it tells by itself. */
class Screen extends Writable {
  get columns(): number {
    return process.stdout.columns;
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    process.stdout.write(bytes);
    done(); // at once: others write there, too
  }
}

class TerminalPrompt {
  readonly #options: Options;
  /** What readline reads: the keys that are for the line. */
  readonly #keys = new PassThrough();
  /** What readline draws on: told of a new size only while a line of ours is there. */
  readonly #screen = new Screen();
  readonly #readline: Interface;
  readonly #lines: string[] = [];
  #onLine: ((line: string | null) => void) | null = null;
  #listener: OnInput | null = null;
  #interrupt: () => void = () => {};
  #isEnded = false;

  constructor(options: Options) {
    this.#options = options;
    const { stdin } = process;
    stdin.setRawMode?.(true);
    process.once("exit", this.#restore);
    this.#readline = createInterface({
      input: this.#keys,
      output: this.#screen,
      terminal: true,
      history: [...options.history].reverse(),
      historySize: HISTORY_LINES_MAX,
      removeHistoryDuplicates: false,
      tabSize: 8,
      completer: (line: string, settle: (error: null, result: [string[], string]) => void) => {
        this.#complete(line).then((result) => settle(null, result));
      },
    });
    this.#readline.on("line", (line) => this.#give(line));
    this.#readline.on("close", () => this.#end());
    this.#readline.on("SIGINT", () => this.#dropLine());
    this.#readline.on("SIGTSTP", () => this.#stopProcess());
    process.on("SIGCONT", this.#cameBack);
    process.stdout.on("resize", this.#resized);
    stdin.on("data", this.#take);
    stdin.once("end", this.#end);
    stdin.once("error", this.#end);
    stdin.resume();
  }

  readonly #restore = () => {
    process.stdin.setRawMode?.(false);
  };

  async #complete(line: string): Promise<[string[], string]> {
    try {
      const [candidates, piece] = await this.#options.complete(line);
      return [[...candidates], piece];
    } catch {
      return [[], line];
    }
  }

  readonly #take = (bytes: Buffer) => {
    if (this.#listener !== null) {
      this.#listener(new Uint8Array(bytes));
      return;
    }
    if (this.#onLine === null && bytes.includes(CTRL_C)) {
      // whatever was typed ahead goes with it
      this.#interrupt();
      return;
    }
    this.#keys.write(bytes);
  };

  #give(line: string): void {
    if (this.#onLine === null) this.#lines.push(line);
    else this.#settle(line);
  }

  #settle(line: string | null): void {
    const settle = this.#onLine;
    this.#onLine = null;
    // keys of the next line wait until it is read
    this.#keys.pause();
    settle?.(line);
  }

  #dropLine(): void {
    process.stdout.write("^C\n");
    const line = this.#readline as Interface & { cursor: number };
    line.write(null, { ctrl: true, name: "e" });
    line.write(null, { ctrl: true, name: "u" });
    line.prompt();
  }

  /** Ctrl-Z: the shell that started us gets its terminal as it was. */
  #stopProcess(): void {
    this.#restore();
    process.kill(process.pid, "SIGTSTP");
    // where nobody could let us go on, the signal does nothing
    setImmediate(this.#cameBack);
  }

  readonly #resized = () => {
    if (this.#onLine !== null) this.#screen.emit("resize");
  };

  /** The terminal may be as others left it. */
  readonly #cameBack = () => {
    if (this.#isEnded) return;
    this.#restore();
    process.stdin.setRawMode?.(true);
    if (this.#onLine !== null) this.#readline.prompt(true);
  };

  readonly #end = () => {
    this.#isEnded = true;
    this.#listener?.(null);
    this.#settle(null);
  };

  read(prompt: string): Promise<string | null> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#isEnded) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#onLine = resolve;
      this.#readline.setPrompt(prompt);
      this.#readline.prompt();
      this.#keys.resume();
    });
  }

  onInterrupt(listener: () => void): void {
    this.#interrupt = listener;
  }

  listen(onInput: OnInput): () => void {
    this.#listener = onInput;
    return () => {
      this.#listener = null;
    };
  }

  close(): void {
    if (!this.#isEnded) this.#readline.close();
    process.off("SIGCONT", this.#cameBack);
    process.stdout.off("resize", this.#resized);
    const { stdin } = process;
    stdin.off("data", this.#take);
    stdin.off("end", this.#end);
    stdin.off("error", this.#end);
    stdin.pause();
    stdin.unref?.();
    this.#restore();
    process.off("exit", this.#restore);
  }
}

/** Opens a prompt on stdin and stdout, which are a terminal. */
export function openPrompt(options: Options): TerminalPrompt {
  return new TerminalPrompt(options);
}

// ---- history ----

/** Where lines are kept: $XDG_STATE_HOME/rivulet/history. */
export function historyPath(): string {
  const state = process.env.XDG_STATE_HOME;
  const folder = state?.startsWith("/") ? state : join(homedir(), ".local", "state");
  return join(folder, "rivulet", "history");
}

/** The lines of earlier sessions, newest last; cuts the file when it has grown long. */
export function loadHistory(): readonly string[] {
  const path = historyPath();
  try {
    const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
    if (lines.length > HISTORY_LINES_MAX) {
      const kept = lines.slice(-HISTORY_LINES_MAX);
      writeFileSync(`${path}.new`, `${kept.join("\n")}\n`, { mode: 0o600 });
      renameSync(`${path}.new`, path);
      return kept;
    }
    return lines;
  } catch {
    return [];
  }
}

/** Keeps a line; a state folder that cannot be written keeps none. */
export function saveHistory(line: string): void {
  const path = historyPath();
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    appendFileSync(path, `${line.replaceAll("\n", " ")}\n`, { mode: 0o600 });
    chmodSync(path, 0o600);
  } catch {
    // a shell without a history is a shell all the same
  }
}
