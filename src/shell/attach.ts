/**
 * attach: a person's terminal, or a pipe, on a machine's console until the escape key.
 *
 * Used by vm.ts.
 * Holds   a terminal that reads slower than the guest writes falls behind in the log and, when it
 *         falls behind by more than the log keeps, is told what it missed: the guest never waits.
 */
import type { AbortSignalLike, SessionStreams } from "./command.ts";
import type { ConsoleLog } from "./console-log.ts";
import { throttleInput } from "./input-throttle.ts";
import { TerminalKeys } from "./keys.ts";

/** Bytes handed to the streams at a time. */
const CHUNK_BYTES = 64 << 10;

/** What is needed of a machine. */
export interface Attachable {
  readonly log: ConsoleLog;
  after(ms: number, wake: () => void): () => void;
  readonly machine: {
    readonly state: string;
    readonly console: { write(bytes: Uint8Array): void; readonly inputPending: number };
    on(event: "state", listener: (event: { to: string }) => void): () => void;
  };
}

/** How an attachment ended. */
export type AttachEnd = "escape" | "detached" | "ended" | "aborted";

/** Writes the log from its last line on as it grows, at the reader's pace. */
function follow(log: ConsoleLog, streams: SessionStreams) {
  let next = log.lastLine;
  let isBlocked = false;
  let isOver = false;
  let onRest = () => {};
  const pump = () => {
    while (!isBlocked && !isOver && next < log.end) {
      const { from, bytes } = log.read(next, CHUNK_BYTES);
      if (from > next) streams.say(`\r\n[${from - next} bytes went by too fast]\r\n`);
      next = from + bytes.length;
      if (streams.write(bytes)) continue;
      isBlocked = true;
      streams.drained().then(() => {
        isBlocked = false;
        pump();
      });
    }
    if (next === log.end) onRest();
  };
  const end = log.onAppend(pump);
  pump();
  return {
    /** Calls back once all that was said is written. */
    rest(done: () => void): void {
      onRest = done;
      pump();
    },
    end(): void {
      isOver = true;
      end();
    },
  };
}

/** Connects until something ends it; `attachments` gets the function that detaches from outside. */
export function attachConsole(
  vm: Attachable,
  streams: SessionStreams,
  signal: AbortSignalLike,
  attachments: Set<() => void>,
): Promise<AttachEnd> {
  return new Promise((resolve) => {
    const { machine } = vm;
    let isSettled = false;
    const settle = (end: AttachEnd) => {
      if (isSettled) return;
      isSettled = true;
      attachments.delete(detach);
      signal.removeEventListener("abort", abort);
      throttle.end();
      endInput();
      endState();
      output.end();
      resolve(end);
    };
    const detach = () => settle("detached");
    const abort = () => settle("aborted");
    const keys = new TerminalKeys({
      send: (bytes) => machine.console.write(bytes),
      leave: () => settle("escape"),
      say: (text) => streams.say(text),
    });
    const throttle = throttleInput({
      inputPending: () => machine.console.inputPending,
      holdInput: (isHeld) => streams.holdInput(isHeld),
      after: vm.after,
    });
    let endInput = () => {};
    const output = follow(vm.log, streams);
    // who reads slowly gets the last words, too
    const over = () => output.rest(() => settle("ended"));
    const endState = machine.on("state", ({ to }) => {
      if (to === "terminated") over();
    });
    attachments.add(detach);
    signal.addEventListener("abort", abort);
    endInput = streams.listen((bytes) => {
      if (bytes === null) return;
      if (streams.isTerminal) keys.take(bytes);
      else machine.console.write(bytes);
      throttle.check();
    });
    if (signal.aborted) abort();
    else if (machine.state === "terminated") over();
  });
}
