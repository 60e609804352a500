/**
 * vm-guest: the commands of family `vm` that ask the guest itself: `exec` and `stop`.
 *
 * Used by src/shell/registry.ts.
 */
import { z } from "zod";
import { type ExecResult, type OutputListener, VmError } from "../../index.ts";
import {
  type Call,
  CommandFailed,
  command,
  Interrupted,
  type ParameterSpec,
  type SessionStreams,
} from "../command.ts";
import { describeResult, type Vm } from "../vm.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
/** Exit status of a command that ran out of time (as timeout(1) says it). */
const STATUS_TIMEOUT = 124;
const STOP_MS = 60_000;
/** What the built-in guest, which is no Linux, takes at its prompt. */
const BUILTIN_OFF = "poweroff\n";

const isBuiltin = (vm: Vm, call: Call) => vm.spec.guest === call.world.guests.builtin;

/** Does `work`; what the caller took back is an interruption, not a failure. */
async function unlessAborted<T>(call: Call, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (call.signal.aborted) throw new Interrupted();
    throw error;
  }
}

const Exec = z.object({
  status: z.number().describe("exit status; 128 + number when a signal ended it"),
  signal: z.string().optional(),
  stdout: z.string(),
  stderr: z.string(),
  isTruncated: z.boolean().describe("output beyond --output-max was dropped"),
  isTimedOut: z.boolean(),
});

function shown({ stdout, stderr, ...rest }: ExecResult): z.output<typeof Exec> {
  const text = new TextDecoder();
  return { ...rest, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Bytes, not text: the guest's output may be anything. At the reader's pace. */
function outputTo(streams: SessionStreams): OutputListener {
  const errors = new TextDecoder();
  return (bytes, stream) => {
    if (stream === "stderr") {
      streams.say(errors.decode(bytes, { stream: true }));
      return streams.flush();
    }
    return streams.write(bytes) ? undefined : streams.drained();
  };
}

const exec = command({
  family: "vm",
  name: "exec",
  summary: "run a command in a Linux guest; its output and exit status",
  details: `
One word is a line for the guest's shell, several are a program and its arguments. Waits for the
guest to come up. The exit status is the command's; 124 when the time was over. Ctrl-C kills it. The
command goes to the guest's agent, and its output comes as the guest gives it; where there is no
agent, it is typed at the shell on the guest's console, and its output comes when it is done. With
--json all comes in one document at the end.`,
  parameters: [
    VM,
    { name: "COMMAND", kind: "text", help: "line, or program and arguments", isRest: true },
  ],
  options: {
    timeout: { value: "TIME", kind: "duration", help: "kill it after this long, waiting included" },
    stdin: { value: "FILE", kind: "file", help: "what the command reads; default nothing" },
    "output-max": { value: "SIZE", kind: "bytes", help: "of each stream; default 16M with --json" },
  },
  example: "vm exec web 'uname -a'",
  result: Exec,
  async run(call) {
    const vm = call.vm();
    if (isBuiltin(vm, call)) {
      const text = `${vm.name} runs the built-in guest, which is no Linux`;
      throw new VmError("unsupported", `${text}; accepted: \`console send\`, \`console wait\``);
    }
    const words = call.all("COMMAND");
    const file = call.path("stdin");
    const options = {
      timeoutMs: call.number("timeout"),
      outputBytesMax: call.number("output-max"),
      stdin: file === undefined ? undefined : await call.world.readFile(file),
      signal: call.signal,
      onOutput: call.isJson ? undefined : outputTo(call.streams),
    };
    const line = words.length === 1 ? words[0] : words;
    const result = await unlessAborted(call, vm.machine.exec(line, options));
    if (result.isTruncated && !call.isJson) {
      call.streams.say("vm exec: output beyond --output-max was dropped\n");
    }
    const status = result.isTimedOut ? STATUS_TIMEOUT : result.status;
    if (status === 0) return shown(result);
    const late = `the command did not end in time and was killed`;
    throw new CommandFailed(status, shown(result), result.isTimedOut ? late : "");
  },
  text: () => "",
});

const Stopped = z.object({
  name: z.string(),
  ended: z.string().describe("how the run ended"),
  code: z.number().nullable(),
});

/** Waits for the end of the machine, with the result of its run. */
async function untilOff(vm: Vm, call: Call, timeoutMs: number): Promise<void> {
  const outcome = await vm.wait(["terminated"], timeoutMs, call.signal);
  if (outcome === "aborted") throw new Interrupted();
  if (outcome === "reached") return;
  throw new VmError("timeout", `${vm.name} did not switch off within ${timeoutMs} ms`);
}

const stop = command({
  family: "vm",
  name: "stop",
  summary: "ask the guest to switch itself off, and wait until it has",
  details: `
Through the guest's agent, or the shell on its console. A guest that does not listen is ended by
\`vm destroy\`.`,
  parameters: [VM],
  options: { timeout: { value: "TIME", kind: "duration", help: "wait this long; default 60s" } },
  example: "vm stop web",
  result: Stopped,
  async run(call) {
    const vm = call.vm();
    // one that waits for memory goes on by itself
    const isPaused = vm.state === "paused" && vm.machine.reason !== "memory";
    if (!vm.isRunning || isPaused) {
      const accepted = "only a running one is asked to stop; `vm destroy` ends any";
      throw new VmError("bad-state", `${vm.name} is ${vm.state}: ${accepted}`);
    }
    const timeoutMs = call.number("timeout") ?? STOP_MS;
    try {
      if (isBuiltin(vm, call)) vm.machine.console.write(BUILTIN_OFF);
      else {
        const { signal } = call;
        await unlessAborted(call, vm.machine.powerdown({ timeoutMs, signal }));
      }
      await untilOff(vm, call, timeoutMs);
    } catch (error) {
      if (!(error instanceof VmError)) throw error;
      const text = `${error.message}; \`vm destroy ${vm.name}\` does not ask`;
      throw new VmError(error.code, text, { cause: error });
    }
    const { lastResult } = vm;
    const code = lastResult !== null && "code" in lastResult ? lastResult.code : null;
    const ended = lastResult === null ? vm.state : describeResult(lastResult);
    return { name: vm.name, ended, code };
  },
  text: ({ name, ended }) => `${name}: ${ended}\n`,
});

/** In the order of help. */
export const vmGuestCommands = [exec, stop];
