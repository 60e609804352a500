/**
 * standard-streams: this process's stdin and stdout as a machine's console, raw mode and signals.
 *
 * Owns    the terminal's raw mode: it is undone however the process ends.
 * Used by src/cli.ts.
 * Holds   a reader that went away (EPIPE) is told to the listener and never thrown; output that is
 *         lost for another reason is told to the person, too.
 */
import { isatty } from "node:tty";
import { watchReader } from "./reader-watch.ts";

/** Output that may wait in this process before `write` says that it piles up. */
const PENDING_BYTES_MAX = 1 << 20;
/** Beat of a timer that is there to keep the process: the longest there can be. */
const KEEPING_MS = 2 ** 31 - 1;
/** Signals that end a run, with the exit status that a shell gives them: 128 + number. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Takes input from stdin, raw when it is a terminal; null once at its end. */
function listen(onInput: (bytes: Uint8Array | null) => void): () => void {
  const { stdin } = process;
  const isTerminal = stdin.isTTY === true;
  const restore = () => {
    if (isTerminal) stdin.setRawMode(false);
  };
  let isOver = false;
  const onData = (bytes: Buffer) => onInput(new Uint8Array(bytes));
  const onEnd = () => {
    if (!isOver) onInput(null);
    isOver = true;
  };
  if (isTerminal) {
    stdin.setRawMode(true);
    process.once("exit", restore);
  }
  stdin.on("data", onData);
  stdin.once("end", onEnd);
  stdin.once("error", onEnd);
  // one that has ended says so only once, and somebody else may have listened then
  if (stdin.readableEnded || stdin.destroyed) queueMicrotask(onEnd);
  stdin.resume();
  return () => {
    isOver = true;
    stdin.off("data", onData);
    stdin.off("end", onEnd);
    stdin.off("error", onEnd);
    stdin.pause();
    stdin.unref?.();
    restore();
    process.off("exit", restore);
  };
}

/** What was printed is not where it should be: a full disk, say. The process ends with 1. */
function failOutput({ code, message }: NodeJS.ErrnoException): void {
  const why = code === "ENOSPC" ? "no space is left" : message;
  process.stderr.write(`rivulet: standard output: ${why}\n`);
  process.once("exit", () => {
    process.exitCode = 1;
  });
}

/** The console of a run on this process's standard streams. */
export function standardStreams() {
  const { stdin, stdout, stderr } = process;
  let isBroken = false;
  let isWatched = false;
  const listeners = new Set<() => void>();
  const broke = () => {
    isBroken = true;
    for (const listener of [...listeners]) listener();
    listeners.clear();
  };
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    // a reader, or a terminal, that went away is told by the status alone
    const isGone = error.code === "EPIPE" || (error.code === "EIO" && stdout.isTTY === true);
    if (!isGone && !isBroken) failOutput(error);
    broke();
  });
  stderr.on("error", () => {});
  // a terminal that has gone away must not keep the process from ending
  stdin.on("error", () => {});
  return {
    isTerminal: stdin.isTTY === true,
    listen,
    /** Stops reading stdin, or goes on. */
    holdInput: (isHeld: boolean): void => {
      if (isHeld) stdin.pause();
      else stdin.resume();
    },
    write: (bytes: Uint8Array): boolean =>
      isBroken || stdout.write(bytes) || stdout.writableLength < PENDING_BYTES_MAX,
    drained: (): Promise<void> =>
      new Promise((resolve) => {
        const settle = () => {
          stdout.off("drain", settle);
          listeners.delete(settle);
          resolve();
        };
        if (isBroken) {
          resolve();
          return;
        }
        stdout.once("drain", settle);
        listeners.add(settle);
      }),
    onBroken: (listener: () => void): void => {
      if (isBroken) {
        listener();
        return;
      }
      listeners.add(listener);
      if (!isWatched) watchReader(broke);
      isWatched = true;
    },
    flush: (): Promise<void> =>
      new Promise((resolve) => {
        if (isBroken || stdout.writableLength === 0) resolve();
        else stdout.write("", () => resolve());
      }),
  };
}

/**
 * Calls back on SIGINT, SIGTERM and SIGHUP with the exit status that says so, and keeps the
 * process, for a signal may be all that it waits for; the returned function ends both.
 */
export function onSignal(listener: (status: number) => void): () => void {
  const handlers = Object.entries(SIGNALS).map(([name, status]) => {
    const handler = () => listener(status);
    process.on(name as NodeJS.Signals, handler);
    return () => process.off(name as NodeJS.Signals, handler);
  });
  const keeping = setInterval(() => {}, KEEPING_MS);
  return () => {
    clearInterval(keeping);
    for (const end of handlers) end();
  };
}

/**
 * Ends by SIGHUP when our terminal has gone away: at an exit of its own Node puts the terminal back
 * as it was, and aborts where there is none.
 */
export function hangUp(): void {
  const { stdin, stdout, stderr } = process;
  const isGone = [stdin, stdout, stderr].some(({ isTTY }, fd) => isTTY === true && !isatty(fd));
  if (!isGone) return;
  process.removeAllListeners("SIGHUP");
  process.kill(process.pid, "SIGHUP");
}
