/**
 * debug-run: the commands of family `debug` that stop machines and let them go on: break- and
 * watchpoints, steps, traces, gdb.
 *
 * Used by commands/debug.ts.
 * Holds   a stop pauses the machine: its run is not over, and `vm resume` goes on, too.
 */
import { z } from "zod";
import { REGISTER_NAMES, type RunResult, type StepSignal, type WatchKind } from "../../index.ts";
import {
  type Call,
  CommandFailed,
  type CommandOption,
  type CommandSpec,
  command,
  Interrupted,
  UsageError,
} from "../command.ts";
import { OPEN_OPTION, openGdb, tcpPlace } from "../gdb.ts";
import { table } from "../render.ts";
import type { Vm } from "../vm.ts";
import {
  addressText,
  HART,
  Hex,
  hex,
  instructionAt,
  instructionText,
  outcomeOf,
  Stop,
  stopText,
  symbolAt,
  VM,
} from "./debug-text.ts";

const GDB_DEFAULT = "tcp://127.0.0.1:1234";
const TRACE_SHOWN_MAX = 10_000;

// ---- points ----

const Breakpoints = z.array(z.object({ address: Hex, symbol: z.string().nullable() }));

function breakpointsOf(vm: Vm): z.output<typeof Breakpoints> {
  return vm.machine.debugger.points.breakpoints.map((address) => {
    return { address: hex(address), symbol: symbolAt(vm, address) };
  });
}

const breakCommand = command({
  family: "debug",
  name: "break",
  summary: "set, list or clear breakpoints",
  details: `
Without ADDRESS they are listed, or with --clear all cleared. The address is virtual, as each
hart sees it when it gets there; a hart stops before the instruction, and the machine is paused.
Those that gdb has set are gdb's alone.`,
  parameters: [
    VM,
    { name: "ADDRESS", kind: "address", help: "0x..., or a symbol", isOptional: true },
  ],
  options: { clear: { help: "clear it instead" } },
  example: "debug break web 0x80200000",
  result: Breakpoints,
  async run(call) {
    const vm = call.vm();
    const { points } = vm.machine.debugger;
    const address = call.address("ADDRESS");
    if (call.has("clear")) {
      for (const one of address === undefined ? points.breakpoints : [address]) {
        points.clearBreakpoint(one);
      }
    } else if (address !== undefined) points.setBreakpoint(address);
    return breakpointsOf(vm);
  },
  text(points, call) {
    if (call.has("ADDRESS") || call.has("clear")) return "";
    if (points.length === 0) return "no breakpoints\n";
    return `${points.map(({ address, symbol }) => addressText(address, symbol)).join("\n")}\n`;
  },
});

const Watchpoints = z.array(
  z.object({
    address: Hex,
    symbol: z.string().nullable(),
    length: z.number(),
    kind: z.enum(["read", "write", "access"]),
  }),
);

const watchpoint = command({
  family: "debug",
  name: "watchpoint",
  summary: "set, list or clear watchpoints",
  details: `
Without ADDRESS they are listed, or with --clear all cleared. A hart stops once the instruction
that has accessed one of the bytes is done, and the machine is paused. What devices do to memory
is not seen.`,
  parameters: [
    VM,
    { name: "ADDRESS", kind: "address", help: "0x..., or a symbol", isOptional: true },
  ],
  options: {
    length: { value: "BYTES", kind: "bytes", least: 1, most: 1 << 20, help: "default 8" },
    kind: {
      value: "KIND",
      kind: "choice",
      choices: ["read", "write", "access"],
      help: "default write; access: both",
    },
    clear: { help: "clear those at ADDRESS instead" },
  },
  example: "debug watchpoint web 0x80f00000 --length 4",
  result: Watchpoints,
  async run(call) {
    const vm = call.vm();
    const { points } = vm.machine.debugger;
    const address = call.address("ADDRESS");
    if (call.has("clear")) {
      for (const one of points.watchpoints) {
        if (address !== undefined && one.address !== address) continue;
        points.clearWatchpoint(one.address, one.bytes, one.kind);
      }
    } else if (address !== undefined) {
      const kind = (call.text("kind") ?? "write") as WatchKind;
      points.setWatchpoint(address, call.number("length") ?? 8, kind);
    }
    return points.watchpoints.map(({ address: at, bytes, kind }) => {
      return { address: hex(at), symbol: symbolAt(vm, at), length: bytes, kind };
    });
  },
  text(points, call) {
    if (call.has("ADDRESS") || call.has("clear")) return "";
    if (points.length === 0) return "no watchpoints\n";
    const rows = points.map(({ address, symbol, length, kind }) => {
      return [addressText(address, symbol), `${length}`, kind];
    });
    return table(["ADDRESS", { name: "BYTES", align: "right" }, "KIND"], rows);
  },
});

// ---- going on ----

const TIMEOUT: CommandOption = { value: "TIME", kind: "duration", help: "at most so long, as 10s" };

const step = command({
  family: "debug",
  name: "step",
  summary: "let a hart execute instructions, one or N",
  details: `
The machine must stand (\`vm pause\`). Other harts run in their turns meanwhile, interrupts come
as they would; an instruction that traps counts when it has trapped. A hart that waits for an
interrupt goes on waiting: Ctrl-C, or --timeout that has passed, pauses the machine.`,
  parameters: [
    VM,
    { name: "N", kind: "integer", least: 1, help: "how many; default 1", isOptional: true },
  ],
  options: { hart: HART, timeout: TIMEOUT },
  example: "debug step web 3",
  result: Stop,
  async run(call) {
    const { debugger: dbg } = call.vm().machine;
    const [hart, count] = [call.number("hart") ?? 0, call.number("N") ?? 1];
    return toStop(call, (signal) => dbg.step(hart, count, signal));
  },
  text: stopText,
});

const continueCommand = command({
  family: "debug",
  name: "continue",
  summary: "let a paused machine go on to the next stop",
  details: `
Waits for a break- or watchpoint, or for the end of the machine. Ctrl-C, or --timeout that has
passed, pauses the machine. \`vm resume\` lets it go on without waiting.`,
  parameters: [VM],
  options: { timeout: TIMEOUT },
  example: "debug continue web --timeout 30s",
  result: Stop,
  async run(call) {
    const { debugger: dbg } = call.vm().machine;
    return toStop(call, (signal) => dbg.continue(signal));
  },
  text: stopText,
});

/** Timers reach no further; one that never fires keeps the process for a guest that sleeps. */
const FOR_EVER_MS = 2 ** 31 - 1;

/**
 * Does `work` until it is done, interrupted, or late: where the machine stands then. `isStop` is
 * false when it was late, or the machine ended.
 */
async function limited(call: Call, work: (signal: StepSignal) => Promise<RunResult>) {
  const vm = call.vm();
  const listeners = new Set<() => void>();
  let isLate = false;
  let aborted = call.signal.aborted;
  const abort = () => {
    aborted = true;
    for (const listener of [...listeners]) listener();
  };
  const cancel = call.world.after(call.number("timeout") ?? FOR_EVER_MS, () => {
    isLate = true;
    abort();
  });
  call.signal.addEventListener("abort", abort);
  const signal: StepSignal = {
    get aborted() {
      return aborted;
    },
    addEventListener: (_, listener) => void listeners.add(listener),
    removeEventListener: (_, listener) => void listeners.delete(listener),
  };
  try {
    const result = await work(signal);
    if (call.signal.aborted) throw new Interrupted();
    const stop = outcomeOf(vm, result);
    if (result.kind === "break") return { stop, isStop: true };
    if (!isLate || vm.state === "terminated") return { stop, isStop: false };
    const text = `${vm.name} did not stop in time; it is paused`;
    return { stop: { ...stop, cause: "timeout", text }, isStop: false };
  } finally {
    call.signal.removeEventListener("abort", abort);
    cancel();
  }
}

/** As `limited`; anything but a stop is a failure. */
async function toStop(call: Call, work: (signal: StepSignal) => Promise<RunResult>) {
  const { stop, isStop } = await limited(call, work);
  if (isStop) return stop;
  throw new CommandFailed(1, stop, stop.text);
}

// ---- traces ----

/** The registers that an instruction has changed: "a0=0x1 sp=0x...". */
function changes(before: readonly bigint[], after: readonly bigint[]): string {
  const changed = after.flatMap((value, index) => {
    return value === before[index] ? [] : [`${REGISTER_NAMES[index]}=${hex(value)}`];
  });
  return changed.join(" ");
}

/** Steps a hart; the line for what it executed. */
async function traceOne(vm: Vm, hart: number, call: Call) {
  const { debugger: dbg } = vm.machine;
  const { pc, x } = dbg.registers(hart);
  const instruction = instructionAt(vm, pc, { hart });
  const what = instruction === null ? `  ${hex(pc)}` : instructionText(instruction);
  const { stop, isStop } = await limited(call, (signal) => dbg.step(hart, 1, signal));
  const line = `${what.padEnd(56)} ${changes(x, dbg.registers(hart).x)}`.trimEnd();
  return { stop, isStop, line };
}

const trace = command({
  family: "debug",
  name: "trace",
  summary: "step a hart and write down what it executes",
  details: `
A line for each instruction: where it is, what it is, which integer registers it has changed.
The machine must stand. Up to ${TRACE_SHOWN_MAX} are shown; --file takes any number. A stop ends
it; so does the end of the machine, or --timeout, with exit status 1.`,
  parameters: [
    VM,
    { name: "N", kind: "integer", least: 1, help: "instructions; default 20", isOptional: true },
  ],
  options: {
    hart: HART,
    timeout: { ...TIMEOUT, help: "at most so long for each" },
    file: { value: "FILE", kind: "file", help: "write the lines there" },
  },
  example: "debug trace web 5",
  result: z.object({
    hart: z.number(),
    instructions: z.number().describe("how many were executed"),
    file: z.string().nullable(),
    lines: z.array(z.string()).describe("empty with --file"),
    ended: z.string().nullable().describe("why it ended early"),
  }),
  async run(call) {
    const vm = call.vm();
    const hart = call.number("hart") ?? 0;
    const count = call.number("N") ?? 20;
    const file = call.path("file") ?? null;
    if (file === null && count > TRACE_SHOWN_MAX) {
      throw new UsageError(`N "${count}": more than ${TRACE_SHOWN_MAX} go to a file, --file FILE`);
    }
    const writer = file === null ? null : await call.world.openWriter(file);
    const lines: string[] = [];
    const put = (line: string) => {
      if (writer === null) lines.push(line);
      else writer.write(new TextEncoder().encode(`${line}\n`));
    };
    let instructions = 0;
    let ended: string | null = null;
    let isFailed = false;
    try {
      while (instructions < count && ended === null) {
        const { stop, isStop, line } = await traceOne(vm, hart, call);
        if (stop.cause !== "step") ended = stop.text;
        isFailed = !isStop;
        // a hart that waits has executed nothing
        if (stop.cause === "timeout") break;
        put(line);
        instructions++;
      }
    } finally {
      await writer?.close();
    }
    const result = { hart, instructions, file, lines, ended };
    if (isFailed) throw new CommandFailed(1, result, "");
    return result;
  },
  text({ instructions, file, lines, ended }) {
    const end = ended === null ? [] : [ended];
    const note = file === null ? [] : [`${instructions} instructions in ${file}`];
    return `${[...lines, ...note, ...end].join("\n")}\n`;
  },
});

const gdb = command({
  family: "debug",
  name: "gdb",
  summary: "let gdb attach to a machine",
  details: `
While a gdb is attached the machine stands whenever gdb says so; when it leaves, its breakpoints
are gone and the machine goes on. Without an address it is ${GDB_DEFAULT}; port 0 takes a free
one. In gdb: \`target remote 127.0.0.1:PORT\`. See docs/debugging.md.`,
  parameters: [VM, { name: "ADDRESS", kind: "text", help: "tcp://HOST:PORT", isOptional: true }],
  options: { close: { help: "let no more gdb in, and the one that is there out" }, ...OPEN_OPTION },
  example: "debug gdb web tcp://127.0.0.1:0",
  result: z.object({ address: z.string().nullable(), isAttached: z.boolean() }),
  async run(call) {
    const vm = call.vm();
    const address = call.text("ADDRESS");
    if (call.has("close") && address !== undefined) {
      throw new UsageError(
        "debug gdb: --close closes what is open; accepted is no address with it",
      );
    }
    if (call.has("close")) await vm.gdb?.close();
    else if (vm.gdb === null || address !== undefined) {
      const place = tcpPlace(address ?? GDB_DEFAULT, "ADDRESS", call.has("gdb-open-to-network"));
      await vm.gdb?.close();
      const hands = {
        resume: () => void vm.resume().catch(() => {}),
        // what cannot be made anew is at least stopped
        kill: () => void vm.reset().catch(() => vm.stop()),
      };
      await openGdb(vm, place, call, hands);
    }
    return { address: vm.gdb?.address ?? null, isAttached: vm.gdb?.isAttached ?? false };
  },
  text({ address }) {
    if (address === null) return "gdb may not attach any more\n";
    return `gdb: ${address}\n  target remote ${address.replace("tcp://", "")}\n`;
  },
});

/** These commands, in the order of help. */
export const runningCommands: readonly CommandSpec[] = [
  breakCommand,
  watchpoint,
  step,
  continueCommand,
  trace,
  gdb,
];
