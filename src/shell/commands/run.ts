/**
 * run: `rivulet run`: one machine on this terminal or on pipes, until the guest ends it.
 *
 * Owns    the options, the exit status, and which clock a run gets.
 * Used by src/cli.ts.
 * Holds   stdout carries the console and nothing else.
 */
import { type ClockKind, type Machine, type RunResult, VmError } from "../../index.ts";
import { TerminalKeys } from "../keys.ts";
import {
  type Arguments,
  numberOf,
  type OptionTable,
  optionHelp,
  optionOf,
  readArguments,
  type SplitArguments,
  UsageError,
} from "../usage.ts";
import type { DiskMode, GuestFiles, World } from "../world.ts";

/** Exit status when --max-instructions ran out (as timeout(1) says it). */
const STATUS_BUDGET = 124;
/** Exit status when whoever read our output went away (128 + SIGPIPE). */
const STATUS_PIPE = 141;
/** Piped input is read before the machine starts: to its end, or until none came for this long. */
const READ_AHEAD_MS = 200;
/** Input that keeps trickling in is not waited for longer than this. */
const READ_AHEAD_MS_MAX = 2000;
/**
 * Input that waits for the guest before reading stops, and how often to look whether it may go on.
 */
const INPUT_BYTES_MAX = 16 << 20;
const INPUT_LOOK_MS = 50;

export const RUN_OPTIONS: OptionTable = {
  kernel: { value: "F", help: "Linux Image (plain or gzip) or ELF64; the same as FILE" },
  initrd: { value: "F", help: "initial RAM disk for the kernel" },
  append: { value: "S", help: "kernel command line" },
  firmware: { value: "F", help: "M-mode firmware in front of the kernel, for instance OpenSBI" },
  guest: { value: "NAME", help: 'a prepared guest: "debian", or "builtin"' },
  memory: { value: "256M", help: "RAM; a number of bytes, or one with K, M or G" },
  harts: { value: "N", help: "1 to 8" },
  disk: { value: "F[,ro|,cow]", help: "virtio disk; may be given again", isRepeated: true },
  clock: { value: "virtual|host", help: "guest time; default host on a terminal, else virtual" },
  htif: { help: "serve tohost and fromhost of the ELF" },
  "max-instructions": { value: "N", help: "stop after N instructions over all harts, status 124" },
  digest: { help: "print `digest HEX` of the final state on stderr" },
  stats: { help: "print one line of JSON about the run on stderr" },
  help: { help: "this text" },
};

/** The long help. */
export const RUN_HELP = `Usage: rivulet run [FILE] [options]

Boots a RISC-V machine on this terminal, or on pipes. FILE is a kernel Image or an ELF64.

${optionHelp(RUN_OPTIONS)}

On a terminal: Ctrl-A X leaves, Ctrl-A H helps.
Exit status: what the guest asked for (1 to 255 when not zero); 124 when --max-instructions ran out;
2 for a wrong command line; 1 for anything else.

Examples:
  rivulet run --guest debian
  printf 'uname -a; poweroff -f\\n' | rivulet run --guest debian --harts 4
  rivulet run --htif test.elf
`;

/** A checked command line. */
export interface RunPlan {
  readonly file?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly firmware?: string;
  readonly guest?: string;
  readonly memory: string;
  readonly harts: number;
  readonly disks: readonly { path: string; mode: DiskMode }[];
  readonly clock?: ClockKind;
  readonly hasHtif: boolean;
  readonly instructionsMax?: number;
  readonly isDigest: boolean;
  readonly isStats: boolean;
}

function diskOf(text: string): { path: string; mode: DiskMode } {
  const comma = text.lastIndexOf(",");
  if (comma < 0) return { path: text, mode: "rw" };
  const mode = text.slice(comma + 1);
  if (mode === "ro" || mode === "cow") return { path: text.slice(0, comma), mode };
  throw new UsageError(`--disk "${text}": accepted are FILE, FILE,ro and FILE,cow`);
}

function clockOf(args: Arguments): ClockKind | undefined {
  const text = optionOf(args, "clock");
  if (text === undefined || text === "virtual" || text === "host") return text;
  throw new UsageError(`--clock "${text}": accepted are virtual and host`);
}

/** Reads the command line behind `run`. Throws UsageError. */
export function readRun(argv: readonly string[], split: SplitArguments): RunPlan | "help" {
  const args = readArguments("run", argv, RUN_OPTIONS, split);
  if (args.options.has("help")) return "help";
  const kernel = optionOf(args, "kernel");
  const guest = optionOf(args, "guest");
  const sources = [...args.files, ...(kernel === undefined ? [] : [kernel])];
  if (sources.length > 1) {
    throw new UsageError(`run: one kernel or ELF is accepted, given ${sources.join(" and ")}`);
  }
  const firmware = optionOf(args, "firmware");
  if (guest !== undefined && sources.length > 0) {
    const given = `--guest ${guest} and ${sources[0]}`;
    throw new UsageError(
      `run: one of FILE, --kernel F and --guest NAME is accepted, given ${given}`,
    );
  }
  if (guest === undefined && sources.length === 0 && firmware === undefined) {
    throw new UsageError(
      "run: nothing to boot; accepted: FILE, --kernel F, --guest NAME, --firmware F",
    );
  }
  return {
    file: sources[0],
    initrd: optionOf(args, "initrd"),
    append: optionOf(args, "append"),
    firmware,
    guest,
    memory: optionOf(args, "memory") ?? "256M",
    harts: numberOf(args, "harts", 1, 8) ?? 1,
    disks: (args.options.get("disk") ?? []).map(diskOf),
    clock: clockOf(args),
    hasHtif: args.options.has("htif"),
    instructionsMax: numberOf(args, "max-instructions", 0, Number.MAX_SAFE_INTEGER),
    isDigest: args.options.has("digest"),
    isStats: args.options.has("stats"),
  };
}

/** Terminals get the host's clock, unless the run is asked to be repeatable. */
function clockFor(plan: RunPlan, world: World): ClockKind {
  if (plan.clock !== undefined) return plan.clock;
  const isRepeatable = plan.isDigest || plan.instructionsMax !== undefined;
  return world.streams.isTerminal && !isRepeatable ? "host" : "virtual";
}

async function guestFiles(name: string, world: World): Promise<GuestFiles> {
  const { guests } = world;
  const files = await guests.files(name);
  if (files !== null) return files;
  const names = [...guests.list().map((guest) => guest.name), guests.builtin];
  const canPrepare = guests.preparable.includes(name);
  const hint = canPrepare ? `; \`rivulet guest prepare ${name}\` fetches it` : "";
  throw new VmError("not-found", `guest "${name}": accepted are ${names.join(", ")}${hint}`);
}

/** With firmware alone there is no kernel. */
async function filesOf(plan: RunPlan, world: World): Promise<Partial<GuestFiles>> {
  const named = plan.guest === undefined ? null : await guestFiles(plan.guest, world);
  const kernel = plan.file === undefined ? named?.kernel : await world.readFile(plan.file);
  const initrd = plan.initrd === undefined ? named?.initrd : await world.readFile(plan.initrd);
  return { kernel, initrd, append: plan.append ?? named?.append };
}

/** Status and, for people, why a run that the guest did not end was over. */
function statusOf(result: RunResult): { status: number; text?: string } {
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
 * Stops reading while the guest has more input waiting than it will take for long; returns what
 * ends that.
 */
function throttleInput(machine: Machine, world: World): { check(): void; end(): void } {
  let cancel: (() => void) | null = null;
  const look = () => {
    cancel = null;
    if (machine.console.inputPending > INPUT_BYTES_MAX / 2)
      cancel = world.after(INPUT_LOOK_MS, look);
    else world.streams.holdInput(false);
  };
  return {
    check() {
      if (cancel !== null || machine.console.inputPending <= INPUT_BYTES_MAX) return;
      world.streams.holdInput(true);
      cancel = world.after(INPUT_LOOK_MS, look);
    },
    end: () => cancel?.(),
  };
}

/**
 * Waits for input that is on its way, so that its bytes enter at counts that the guest determines:
 * is over after `end`, or when nothing `more` has come for a while.
 */
function readAhead(world: World): { more(): void; end(): void; isOver: Promise<void> } {
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

/** Connects console and streams. Returns what undoes it. */
async function connect(machine: Machine, world: World, onLeave: (status: number) => void) {
  const { streams } = world;
  let isBlocked = false;
  const endOutput = machine.console.onOutput((bytes) => {
    if (streams.write(bytes) || isBlocked) return;
    // whoever reads us is slower than the guest: guest time stands still meanwhile
    isBlocked = true;
    machine.pause("console");
    streams.drained().then(() => {
      isBlocked = false;
      if (machine.state === "paused") machine.resume();
    });
  });
  streams.onBroken(() => onLeave(STATUS_PIPE));
  const keys = new TerminalKeys({
    send: (bytes) => machine.console.write(bytes),
    leave: () => onLeave(0),
    say: (text) => world.say(text),
  });
  const throttle = throttleInput(machine, world);
  const ahead = readAhead(world);
  const endInput = streams.listen((bytes) => {
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
  if (!streams.isTerminal) await ahead.isOver;
  ahead.end();
  return () => {
    throttle.end();
    endInput();
    endOutput();
  };
}

function report(
  machine: Machine,
  plan: RunPlan,
  world: World,
  end: { kind: string; status: number },
  ms: number,
) {
  if (plan.isDigest) world.say(`digest ${machine.stateDigest()}\n`);
  if (!plan.isStats) return;
  const stats = machine.stats();
  const seconds = ms / 1000;
  const line = {
    ended: end.kind,
    code: end.status,
    seconds: Number(seconds.toFixed(3)),
    mips: Number((stats.instructions / Math.max(seconds, 1e-6) / 1e6).toFixed(1)),
    guestSeconds: stats.ticks / 1e7,
    ...stats,
  };
  world.say(`${JSON.stringify(line)}\n`);
}

/** Runs the command; the exit status. Throws VmError and UsageError. */
export async function runCommand(argv: readonly string[], world: World): Promise<number> {
  const plan = readRun(argv, world.split);
  if (plan === "help") {
    world.print(RUN_HELP);
    return 0;
  }
  const files = await filesOf(plan, world);
  const firmware = plan.firmware === undefined ? undefined : await world.readFile(plan.firmware);
  const disks = [];
  try {
    for (const disk of plan.disks) disks.push(await world.openDisk(disk.path, disk.mode));
    const host = await world.createHost({ machinesMax: 1 });
    try {
      const machine = host.createMachine({
        name: plan.guest ?? plan.file,
        memoryBytes: plan.memory,
        harts: plan.harts,
        clock: clockFor(plan, world),
        ...files,
        firmware,
        disks,
        htif: plan.hasHtif,
        consoleInput: "open",
      });
      return await drive(machine, plan, world);
    } finally {
      host.dispose();
    }
  } finally {
    for (const disk of disks) await disk.close();
  }
}

async function drive(machine: Machine, plan: RunPlan, world: World): Promise<number> {
  let left: number | null = null;
  const leave = (status: number) => {
    left ??= status;
    machine.stop();
  };
  const endSignals = world.onSignal(leave);
  let disconnect = () => {};
  try {
    await machine.boot();
    disconnect = await connect(machine, world, leave);
    const begin = world.monotonicMs();
    const result: RunResult =
      left === null
        ? await machine.run({ instructions: plan.instructionsMax })
        : { kind: "stopped" };
    const ms = world.monotonicMs() - begin;
    disconnect();
    await world.streams.flush();
    const { status, text } = statusOf(result);
    if (text !== undefined) world.say(`rivulet: ${text}\n`);
    const exit = left ?? status;
    report(machine, plan, world, { kind: result.kind, status: exit }, ms);
    return exit;
  } catch (error) {
    disconnect();
    if (error instanceof VmError && left !== null) return left;
    throw error;
  } finally {
    endSignals();
  }
}
