/**
 * console: the commands of family `console`.
 *
 * Used by src/shell/registry.ts.
 * Holds   `console wait` looks from where the last one stopped, so that no output falls between two
 *         commands of a script.
 */
import { z } from "zod";
import {
  type Call,
  CommandFailed,
  type CommandSpec,
  command,
  Interrupted,
  type ParameterSpec,
  type SessionStreams,
  UsageError,
} from "../command.ts";
import { unescapeBytes } from "../parse.ts";
import { PlainText, plainText } from "../plain-text.ts";
import { bytesText, durationText } from "../render.ts";
import { describeResult, type Vm } from "../vm.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const WAIT_MS_DEFAULT = 60_000;
/** Plain text is decoded in pieces of the log's size. */
const CHUNK_BYTES = 64 << 10;
const NEWLINE = 0x0a;

const attach = command({
  family: "console",
  name: "attach",
  summary: "connect this terminal with the machine's console",
  details: `
Output begins with the last line. On a terminal Ctrl-A X detaches and Ctrl-A H helps; the machine
goes on. From a pipe, input goes to the console as it comes, and the end of input ends nothing: the
command is over when the machine is, or by \`console detach\` or Ctrl-C. Any number of terminals
can be attached.`,
  parameters: [VM],
  options: {},
  example: "console attach web",
  isConsole: true,
  result: z.object({ ended: z.enum(["escape", "detached", "ended", "destroyed"]) }),
  async run(call) {
    const vm = call.vm();
    if (call.streams.isTerminal) call.streams.say(`${vm.name}: Ctrl-A X detaches\r\n`);
    const ended = await vm.attach(call.streams, call.signal);
    if (ended === "aborted") throw new Interrupted();
    return { ended: vm.isRemoved ? ("destroyed" as const) : ended };
  },
  text({ ended }, call) {
    const why = {
      escape: "detached",
      detached: "detached by another",
      ended: "the machine ended",
      destroyed: "the machine was destroyed",
    };
    call.streams.say(`\r\n${call.text("VM")}: ${why[ended]}\n`);
    return "";
  },
});

const detach = command({
  family: "console",
  name: "detach",
  summary: "disconnect every terminal from the machine's console",
  parameters: [VM],
  options: {},
  example: "console detach web",
  result: z.object({ detached: z.number().describe("how many there were") }),
  run: async (call) => ({ detached: call.vm().detachAll() }),
  text: ({ detached }) => `${detached} detached\n`,
});

/** The bytes that TEXT stands for. Throws UsageError. */
function bytesOf(text: string, call: Call): Uint8Array {
  return call.has("raw") ? new TextEncoder().encode(text) : unescapeBytes(text);
}

const send = command({
  family: "console",
  name: "send",
  summary: "type text at the machine's console",
  details: `
C escapes stand for bytes: \\n \\r \\t \\e \\\\ \\xHH and the like; \\x03 is Ctrl-C. No line end is
added. Several words are sent with a blank between them. The text waits until the guest takes it.`,
  parameters: [VM, { name: "TEXT", kind: "text", help: "text with C escapes", isRest: true }],
  options: { raw: { help: "send backslashes as they stand" } },
  example: "console send web 'uname -a\\n'",
  result: z.object({ bytes: z.number() }),
  async run(call) {
    const vm = call.vm();
    const bytes = bytesOf(call.all("TEXT").join(" "), call);
    vm.checkStarted();
    vm.machine.console.write(bytes);
    return { bytes: bytes.length };
  },
  text: () => "",
});

function ended(vm: Vm): string {
  const { lastResult } = vm;
  return `${vm.name} ended${lastResult === null ? "" : ` (${describeResult(lastResult)})`}`;
}

const wait = command({
  family: "console",
  name: "wait",
  summary: "wait until the machine's console has said a text",
  details: `
Looks at what was said since the text of the last \`console wait\`, or since \`vm start\`; what came
before this command counts. Time is wall time. Exit status 1 when the text did not come in time, or
the machine ended first. A guest echoes what is typed: wait for the answer, not for the echo.`,
  parameters: [VM, { name: "TEXT", kind: "text", help: "text with C escapes" }],
  options: {
    timeout: { value: "TIME", kind: "duration", help: "such as 500ms, 60s, 2m; default 60s" },
    "from-start": { help: "look at everything since the machine was started" },
    raw: { help: "take backslashes as they stand" },
  },
  example: "console wait web 'login: ' --timeout 60s",
  result: z.object({
    found: z.boolean(),
    text: z.string(),
    line: z.string().nullable().describe("the line that the text is in, as far as it has come"),
    milliseconds: z.number(),
  }),
  async run(call) {
    const vm = call.vm();
    const { log } = vm;
    const given = call.text("TEXT") as string;
    const bytes = bytesOf(given, call);
    if (bytes.length === 0)
      throw new UsageError("console wait: TEXT is empty; accepted is any other text");
    const timeoutMs = call.number("timeout") ?? WAIT_MS_DEFAULT;
    const from = call.has("from-start") ? log.startPosition : log.mark;
    const begin = call.world.monotonicMs();
    const isOver = vm.state === "terminated";
    const outcome = await log.wait({ bytes, from, timeoutMs, signal: call.signal, isOver });
    const text = new TextDecoder().decode(bytes);
    const milliseconds = Math.round(call.world.monotonicMs() - begin);
    if (outcome.kind === "aborted") throw new Interrupted();
    if (outcome.kind === "found") {
      log.mark = outcome.position;
      return { found: true, text, line: lineAt(vm, outcome.position), milliseconds };
    }
    const quoted = JSON.stringify(text);
    const why =
      outcome.kind === "ended"
        ? `${ended(vm)} before it said ${quoted}`
        : `${vm.name} did not say ${quoted} within ${durationText(timeoutMs)}`;
    throw new CommandFailed(1, { found: false, text, line: null, milliseconds }, why);
  },
  text: () => "",
});

/** The line that ends at `position`. */
function lineAt(vm: Vm, position: number): string {
  const { bytes } = vm.log.read(position - 4096, 4096);
  const { from } = vm.log.read(position - 4096, 0);
  const text = plainText(bytes.subarray(0, position - from));
  return text.slice(text.lastIndexOf("\n", text.length - 2) + 1);
}

/** Writes at the reader's pace, and knows whether the last line has its end. */
class LineWriter {
  readonly #streams: SessionStreams;
  #isOpen = false;

  constructor(streams: SessionStreams) {
    this.#streams = streams;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    this.#isOpen = bytes[bytes.length - 1] !== NEWLINE;
    if (!this.#streams.write(bytes)) await this.#streams.drained();
  }

  /** Gives the last line its end: what is printed next begins a line. */
  async endLine(): Promise<void> {
    if (this.#isOpen) await this.write(Uint8Array.of(NEWLINE));
  }
}

/** Prints what the console says from now on, until the machine goes or Ctrl-C. */
async function followLog(
  vm: Vm,
  call: Call,
  from: number,
  { writer, plain }: { readonly writer: LineWriter; readonly plain: PlainText },
): Promise<void> {
  const { streams, signal } = call;
  const isRaw = call.has("raw");
  let next = from;
  const outcome = await vm.follow(signal, async () => {
    while (next < vm.log.end && !signal.aborted) {
      const piece = vm.log.read(next, CHUNK_BYTES);
      if (piece.from > next) streams.say(`\n[${piece.from - next} bytes went by too fast]\n`);
      next = piece.from + piece.bytes.length;
      const bytes = isRaw ? piece.bytes : new TextEncoder().encode(plain.take(piece.bytes));
      await writer.write(bytes);
    }
  });
  if (outcome === "aborted") throw new Interrupted();
}

const LogResult = z.object({
  text: z.string().describe("without escape sequences, but with --raw"),
  bytes: z.number().describe("said since the machine was created"),
  lost: z.number().describe("bytes that the log no longer has"),
});

const log = command({
  family: "console",
  name: "log",
  summary: "print what the machine's console has said",
  details: `
The last MiB is kept. Escape sequences and carriage returns are left out, and a last line without
its end gets one, unless --raw is given.
--follow goes on with what is said from then on, until the machine ends or Ctrl-C.`,
  parameters: [VM],
  options: {
    tail: { value: "N", kind: "integer", help: "the last N lines only" },
    follow: { help: "go on with what is said from now on" },
    raw: { help: "bytes as the console said them" },
  },
  example: "console log web --tail 20",
  result: LogResult,
  async run(call) {
    const vm = call.vm();
    if (call.has("follow") && call.isJson) {
      throw new UsageError("console log: --follow and --json are given; accepted is one of them");
    }
    const tail = call.number("tail");
    const { end, begin } = vm.log;
    const bytes = tail === undefined ? vm.log.read(begin).bytes : vm.log.tail(tail);
    const plain = new PlainText();
    const text = call.has("raw") ? new TextDecoder().decode(bytes) : plain.take(bytes);
    if (!call.isJson) {
      const raw = call.has("raw") ? bytes : new TextEncoder().encode(text);
      const writer = new LineWriter(call.streams);
      await writer.write(raw);
      if (call.has("follow")) await followLog(vm, call, end, { writer, plain });
      if (!call.has("raw")) await writer.endLine();
    }
    return { text, bytes: end, lost: begin };
  },
  // `run` has written it: it need not be text
  text: () => "",
});

const RecordResult = z.object({
  file: z.string(),
  isRecording: z.boolean(),
  seconds: z.number().optional(),
  bytes: z.number().optional(),
});

const record = command({
  family: "console",
  name: "record",
  summary: "record the machine's console into a file, as an asciicast",
  details: `
Goes on behind the prompt until \`--stop\` or the end of the shell; a restart of the machine stays in the
recording. \`asciinema play FILE\` shows it.`,
  parameters: [
    VM,
    { name: "FILE", kind: "file", help: "made anew, for instance web.cast", isOptional: true },
  ],
  options: { stop: { help: "end the recording" } },
  example: "console record web web.cast",
  result: RecordResult,
  async run(call) {
    const vm = call.vm();
    const file = call.path("FILE");
    if (call.has("stop")) return { isRecording: false, ...(await vm.stopRecording()) };
    if (file === undefined) {
      throw new UsageError("console record: FILE is missing; accepted: VM FILE, or VM --stop");
    }
    await vm.record(file);
    return { file, isRecording: true };
  },
  text({ file, isRecording, seconds = 0, bytes = 0 }) {
    if (isRecording) return "";
    return `${file}: ${durationText(seconds * 1000)}, ${bytesText(bytes)}\n`;
  },
});

/** The family, in the order of its help. */
export const consoleCommands: readonly CommandSpec[] = [attach, detach, send, wait, log, record];
