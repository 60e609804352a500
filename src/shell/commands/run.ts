/**
 * run: `rivulet run`: one machine on this terminal or on pipes, until the guest ends it.
 *
 * Owns    the exit status, and which clock a run gets.
 * Used by src/shell/registry.ts, and by main.ts, which loads it alone: a run starts without the
 *         rest of the shell.
 * Holds   stdout carries the console and nothing else.
 */
import type { z } from "zod";
import type { ClockKind, Machine, RunResult } from "../../index.ts";
import {
  type Call,
  CommandFailed,
  type CommandOption,
  type CommandSpec,
  type SessionStreams,
} from "../command.ts";
import type { Fleet } from "../fleet.ts";
import { GDB_OPTIONS, openRunGdb } from "../gdb.ts";
import { throttleInput } from "../input-throttle.ts";
import { TerminalKeys } from "../keys.ts";
import type { Vm } from "../vm.ts";
import { MACHINE_OPTIONS, specOf } from "./machine-options.ts";
import type { RunShape } from "./run-result.ts";

/** Exit status when --max-instructions ran out (as timeout(1) says it). */
const STATUS_BUDGET = 124;
/** Exit status when whoever read our output went away (128 + SIGPIPE). */
export const STATUS_PIPE = 141;
/** Piped input is read before the machine starts: to its end, or until none came for this long. */
const READ_AHEAD_MS = 200;
/** Input that keeps trickling in is not waited for longer than this. */
const READ_AHEAD_MS_MAX = 2000;

const OPTIONS = {
  ...MACHINE_OPTIONS,
  "max-instructions": {
    value: "N",
    kind: "integer",
    help: "stop after N instructions over all harts, status 124",
  },
  digest: { help: "print `digest HEX` of the final state on stderr" },
  stats: { help: "print one line of JSON about the run on stderr; with --json: say more in it" },
  ...GDB_OPTIONS,
  control: {
    value: "unix:PATH",
    kind: "text",
    help: "serve `rivulet --connect unix:PATH` while it runs",
  },
} as const satisfies Readonly<Record<string, CommandOption>>;

const DETAILS = `
On a terminal: Ctrl-A X leaves, Ctrl-A H helps. Guest time follows the host's clock there, unless
--digest or --max-instructions asks for a run that can be repeated; on pipes it is virtual.

Exit status: what the guest asked for (1 to 255 when not zero); 124 when --max-instructions ran out;
2 for a wrong command line; 1 for anything else.`;

/** Terminals get the host's clock, unless the run is asked to be repeatable. */
function clockFor(call: Call): ClockKind {
  const isRepeatable = call.has("digest") || call.has("max-instructions");
  return call.streams.isTerminal && !isRepeatable ? "host" : "virtual";
}

/** Status and, for people, why a run that the guest did not end was over. */
export function statusOf(result: RunResult): { status: number; text?: string } {
  const clamp = (code: number) => (code === 0 ? 0 : Math.min(255, Math.max(1, code)));
  switch (result.kind) {
    case "poweroff":
    case "failure":
    case "htif":
      return { status: clamp(result.code) };
    case "budget":
      return { status: STATUS_BUDGET };
    case "stopped":
      return { status: 0 };
    case "idle":
      return { status: 1, text: "every hart waits, and nothing is armed that could wake one" };
    case "memory":
      return { status: 1, text: "the host has no free frames left for the guest's memory" };
    case "trap-loop":
    case "break": {
      const what = result.kind === "break" ? "hit a breakpoint" : "does nothing but trap";
      return { status: 1, text: `hart ${result.hart} ${what} at 0x${result.pc.toString(16)}` };
    }
    case "reboot":
      return { status: 1, text: "the guest asked for a reboot" };
  }
}

/**
 * Waits for input that is on its way, so that its bytes enter at counts that the guest determines:
 * is over after `end`, or when nothing `more` has come for a while.
 */
function readAhead(world: Call["world"]): { more(): void; end(): void; isOver: Promise<void> } {
  let settle: () => void = () => {};
  const isOver = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const cancelLimit = world.after(READ_AHEAD_MS_MAX, () => end());
  let cancel = world.after(READ_AHEAD_MS, () => end());
  let hasEnded = false;
  const end = () => {
    hasEnded = true;
    cancelLimit();
    cancel();
    settle();
  };
  const more = () => {
    if (hasEnded) return;
    cancel();
    cancel = world.after(READ_AHEAD_MS, end);
  };
  return { more, end, isOver };
}

/** Connects console and streams. Returns what undoes it; `onLeave` has an exit status. */
export async function connect(
  machine: Machine,
  call: Call,
  onLeave: (status: number) => void,
  { isReadingAhead = true, isListening = true } = {},
) {
  const { streams, world } = call;
  const endOutput = machine.console.onOutput(holdWhenBlocked(machine, streams));
  streams.onBroken(() => onLeave(STATUS_PIPE));
  const keys = new TerminalKeys({
    send: (bytes) => machine.console.write(bytes),
    leave: () => onLeave(0),
    say: (text) => streams.say(text),
  });
  const throttle = throttleInput({
    inputPending: () => machine.console.inputPending,
    holdInput: (isHeld) => streams.holdInput(isHeld),
    after: world.after,
  });
  const ahead = readAhead(world);
  const listen: typeof streams.listen = isListening ? streams.listen : () => () => {};
  const endInput = listen((bytes) => {
    if (bytes === null) {
      machine.console.closeInput();
      ahead.end();
      return;
    }
    if (streams.isTerminal) keys.take(bytes);
    else machine.console.write(bytes);
    throttle.check();
    ahead.more();
  });
  if (!streams.isTerminal && isReadingAhead) await ahead.isOver;
  ahead.end();
  return () => {
    throttle.end();
    endInput();
    endOutput();
  };
}

/** Whoever reads us may be slower than the guest: guest time stands still meanwhile. */
function holdWhenBlocked(machine: Machine, streams: SessionStreams): (bytes: Uint8Array) => void {
  let isBlocked = false;
  return (bytes) => {
    if (streams.write(bytes) || isBlocked || machine.state !== "running") return;
    isBlocked = true;
    machine.pause("console");
    streams.drained().then(() => {
      isBlocked = false;
      if (machine.state === "paused" && machine.reason === "console") machine.resume();
    });
  };
}

/** As run-result.ts describes it. */
type Result = z.output<typeof RunShape>;

function report(machine: Machine, call: Call, end: { kind: string; status: number }, ms: number) {
  const digest = call.has("digest") ? machine.stateDigest() : undefined;
  const { instructions, exits, core, ...stats } = machine.stats();
  const seconds = Number((ms / 1000).toFixed(3));
  const mips = Number((instructions / Math.max(ms / 1000, 1e-6) / 1e6).toFixed(1));
  const guestSeconds = stats.ticks / 1e7;
  const result = { ended: end.kind, code: end.status, seconds, instructions, guestSeconds };
  const more = { mips, ...stats, exits: { ...exits }, core: { ...core } };
  // with --json there is one document, and it says all of that
  if (call.isJson) return { ...result, digest, ...(call.has("stats") ? more : {}) };
  if (digest !== undefined) call.streams.say(`digest ${digest}\n`);
  if (call.has("stats")) call.streams.say(`${JSON.stringify({ ...result, ...more })}\n`);
  return { ...result, digest };
}

/** Runs it to its end; what to say when the guest did not end it. */
async function drive(vm: Vm, call: Call): Promise<{ result: Result; text?: string }> {
  const { world, streams, signal } = call;
  let left: number | null = null;
  const leave = (status: number) => {
    left ??= status;
    vm.stop();
  };
  const abort = () => leave(signal.status);
  signal.addEventListener("abort", abort);
  let disconnect = () => {};
  try {
    await vm.boot();
    if (signal.aborted) abort();
    await openRunGdb(vm, call, () => leave(0));
    const { machine } = vm;
    disconnect = await connect(machine, call, leave);
    const begin = world.monotonicMs();
    const result: RunResult =
      left === null ? await vm.run(call.number("max-instructions")) : { kind: "stopped" };
    const ms = world.monotonicMs() - begin;
    disconnect();
    await streams.flush();
    if (machine.isDisposed) throw new CommandFailed(left ?? 1, null, `${vm.name} was destroyed`);
    const { status, text } = statusOf(result);
    const end = { kind: result.kind, status: left ?? status };
    return { result: report(machine, call, end, ms), text };
  } finally {
    disconnect();
    signal.removeEventListener("abort", abort);
  }
}

/** "debian", or "debian-2" when there is a machine of that name. */
function freeName(name: string, fleet: Fleet): string {
  const names = new Set(fleet.vms.map((vm) => vm.name));
  let free = name;
  for (let number = 2; names.has(free); number++) free = `${name}-${number}`;
  return free;
}

async function serve(control: string, call: Call) {
  const { serveControl } = await import("../control.ts");
  return serveControl(control, call);
}

async function run(call: Call): Promise<Result> {
  const { fleet } = call;
  const spec = specOf(call, "run", { file: call.path("FILE"), clock: clockFor(call) });
  const vm = await fleet.create({ ...spec, name: freeName(spec.name, fleet) });
  const control = call.text("control");
  const end = async () => {
    if (!vm.isRemoved) await fleet.remove(vm.name);
  };
  try {
    const server = control === undefined ? null : await serve(control, call);
    try {
      const { result, text } = await drive(vm, call);
      if (result.code === 0) return result;
      throw new CommandFailed(result.code, result, text ?? "");
    } finally {
      await server?.close(end);
    }
  } finally {
    await end();
  }
}

/** The command, without its shape: registry.ts adds that. */
export const runAlone: CommandSpec = {
  family: "",
  name: "run",
  summary: "boot a machine on this terminal or on pipes",
  details: DETAILS.trim(),
  parameters: [
    { name: "FILE", kind: "file", help: "a kernel Image or an ELF64", isOptional: true },
  ],
  options: OPTIONS,
  example: "run --guest debian",
  isConsole: true,
  run,
  text: () => "",
};
