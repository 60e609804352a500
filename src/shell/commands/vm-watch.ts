/**
 * vm-watch: the commands of family `vm` that say what a machine is, was and costs, who is asked
 * before something is done to it, and what it may have of the host.
 *
 * Used by src/shell/registry.ts.
 */
import { z } from "zod";
import {
  JOB_KINDS,
  LIFE_KINDS,
  type LifeEvent,
  MACHINE_STATES,
  OPERATIONS,
  type Operation,
  VmError,
  WEIGHT_DEFAULT,
  WEIGHT_MAX,
} from "../../index.ts";
import {
  type Call,
  type CommandSpec,
  checkSignal,
  command,
  type ParameterSpec,
  UsageError,
} from "../command.ts";
import { bytesText, durationText, pairs, table, timeText } from "../render.ts";
import type { Vm } from "../vm.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const FRAME_BYTES = 4096;
const right = (name: string) => ({ name, align: "right" }) as const;
const secondsOf = (ticks: number) => ticks / 1e7;

// ---- state ----

const State = z.object({
  name: z.string(),
  state: z.enum(MACHINE_STATES),
  reason: z.string().describe("why it is in its state"),
  incarnation: z.number().describe("lives so far: `vm start` after an end begins another"),
  sinceMs: z.number().describe("milliseconds since 1970"),
  sinceGuestSeconds: z.number(),
  sinceInstructions: z.number(),
  underWay: z.enum(OPERATIONS).nullable().describe("what is being done to it"),
  job: z
    .object({ kind: z.enum(JOB_KINDS), percent: z.number().nullable() })
    .nullable()
    .describe("the long work that is under way"),
  accepted: z.array(z.enum(MACHINE_STATES)).describe("states that it could go to"),
  keptIn: z.string().nullable().describe("where a suspended machine is"),
  keptBytes: z.number(),
});

function stateOf(vm: Vm, call: Call): z.output<typeof State> {
  const { machine: name, accepted, ...facts } = call.fleet.lifecycle.state(vm.machine);
  const { state, reason, incarnation, underWay, keptIn, keptBytes } = facts;
  const job = vm.machine.jobs.current;
  const percent = job === null || job.done === null ? null : Math.floor(job.done * 100);
  return {
    ...{ name, state, reason, incarnation, underWay, keptIn, keptBytes },
    sinceMs: facts.sinceWallMs,
    sinceGuestSeconds: secondsOf(facts.sinceTicks),
    sinceInstructions: facts.sinceInstructions,
    job: job === null ? null : { kind: job.kind, percent },
    accepted: [...accepted],
  };
}

const state = command({
  family: "vm",
  name: "state",
  summary: "say what state a machine is in, since when, and what it could become",
  parameters: [VM],
  options: {},
  example: "vm state web",
  result: State,
  run: async (call) => stateOf(call.vm(), call),
  text(one) {
    const job = one.job === null ? null : `${one.job.kind} ${one.job.percent ?? "?"} %`;
    const rows = [
      ["state", one.reason === "" ? one.state : `${one.state} (${one.reason})`],
      ["since", `${durationText(one.sinceGuestSeconds * 1000)} of guest time`],
      ["under way", one.underWay ?? job ?? "nothing"],
      ["life", `number ${one.incarnation}`],
      ["accepted", one.accepted.join(", ") || "nothing: `vm start` begins another life"],
    ] as [string, string][];
    if (one.keptIn !== null) rows.push(["kept", `${bytesText(one.keptBytes)} in ${one.keptIn}`]);
    return `${pairs(rows, "")}\n`;
  },
});

// ---- history ----

const Happened = z.object({
  sequence: z.number(),
  wallMs: z.number().describe("milliseconds since 1970"),
  ticks: z.number().describe("machine time in ticks of 100 ns"),
  instructions: z.number(),
  incarnation: z.number(),
  kind: z.enum(LIFE_KINDS),
  from: z.enum(MACHINE_STATES).nullable(),
  state: z.enum(MACHINE_STATES),
  operation: z.enum(OPERATIONS).nullable().describe("what was asked for"),
  reason: z.string(),
});

function whatOf({ kind, from, state, operation }: LifeEvent | z.output<typeof Happened>): string {
  if (kind === "state") return `${from} -> ${state}`;
  return operation === null ? kind : `${operation} ${kind}`;
}

const history = command({
  family: "vm",
  name: "history",
  summary: "list what happened in a machine's life, and why",
  details: "The last 256 events of each machine: changes of state, ends, resets, what was refused.",
  parameters: [VM],
  options: { tail: { value: "N", kind: "integer", help: "the last N only" } },
  example: "vm history web",
  result: z.array(Happened),
  async run(call) {
    const all = call.fleet.lifecycle.history(call.vm().name);
    const tail = call.number("tail") ?? all.length;
    const shown = tail === 0 ? [] : all.slice(-tail);
    return shown.map(({ machine: _machine, ...event }) => event);
  },
  text(list) {
    if (list.length === 0) return "nothing yet\n";
    const rows = list.map((event) => [
      `${event.sequence}`,
      timeText(event.wallMs),
      `+${secondsOf(event.ticks).toFixed(3)}s`,
      ...[whatOf(event), event.reason],
    ]);
    return table([right("NUMBER"), "TIME", right("GUEST TIME"), "WHAT", "WHY"], rows);
  },
});

// ---- hooks ----

const HookShape = z.object({
  id: z.number(),
  name: z.string().describe("the line that it runs"),
  when: z.enum(["before", "after"]),
  operations: z.array(z.enum(OPERATIONS)).nullable().describe("null: every one"),
  timeoutMs: z.number(),
  calls: z.number(),
  failures: z.number().describe("refused, failed or too late"),
});

/** Adds a hook that runs a line of commands in the session of who adds it. */
function addHook(call: Call, vm: Vm, line: string): void {
  const { hooks } = call.fleet.lifecycle;
  const [before, after] = [call.text("before"), call.text("after")];
  const given = (before ?? after) as Operation | "all";
  const options = {
    name: line,
    machine: vm.name,
    operations: given === "all" ? undefined : [given],
    timeoutMs: call.number("timeout"),
  };
  // what asks for nothing before is asked for nothing else: a hook does not call itself
  let isBusy = false;
  const run = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const status = await call.session.source(line, `hook of ${vm.name}`, call);
      if (status !== 0) return { veto: `\`${line}\` ended with status ${status}` };
    } finally {
      isBusy = false;
    }
  };
  if (before !== undefined) hooks.before(run, options);
  else hooks.after(run, options);
}

const hooks = command({
  family: "vm",
  name: "hooks",
  summary: "list, add or remove lines that run before or after what is done to a machine",
  details: `
A line is one of this shell, such as "console send web 'sync\\n'". One that runs before an operation
keeps it from being done when its status is not 0, or when it is not done in time; one that runs
afterwards changes nothing. Operations: ${OPERATIONS.join(", ")}, all.`,
  parameters: [VM],
  options: {
    before: {
      value: "OPERATION",
      kind: "choice",
      choices: [...OPERATIONS, "all"],
      help: "run it before this is done",
    },
    after: {
      value: "OPERATION",
      kind: "choice",
      choices: [...OPERATIONS, "all"],
      help: "run it after this was done",
    },
    run: { value: "LINE", kind: "text", help: "commands of this shell" },
    timeout: { value: "TIME", kind: "duration", help: "it may take so long; default 10s" },
    remove: { value: "ID", kind: "integer", help: "take the one of that number away" },
  },
  example: "vm hooks web --before suspend --run 'vm state web'",
  result: z.array(HookShape),
  async run(call) {
    const vm = call.vm();
    const table = call.fleet.lifecycle.hooks;
    const line = call.text("run");
    const id = call.number("remove");
    const whens = ["before", "after"].filter((when) => call.has(when)).length;
    if ((line === undefined) !== (whens === 0) || whens > 1) {
      const accepted = "--run LINE with one of --before and --after";
      throw new UsageError(`vm hooks: accepted is ${accepted}`);
    }
    if (id !== undefined && !table.list(vm.name).some((one) => one.id === id)) {
      throw new VmError(
        "not-found",
        `hook ${id} of ${vm.name}: \`vm hooks ${vm.name}\` lists them`,
      );
    }
    if (id !== undefined) table.remove(id);
    if (line !== undefined) addHook(call, vm, line);
    return table.list(vm.name).map(({ machine: _machine, operations, ...facts }) => {
      return { ...facts, operations: operations === null ? null : [...operations] };
    });
  },
  text(list) {
    if (list.length === 0) return "no hooks\n";
    const rows = list.map(({ id, when, operations, name, timeoutMs, calls, failures }) => [
      ...[`${id}`, `${when} ${operations?.join(", ") ?? "all"}`, name, durationText(timeoutMs)],
      ...[`${calls}`, `${failures}`],
    ]);
    return table([right("ID"), "WHEN", "LINE", "LIMIT", right("CALLS"), right("FAILED")], rows);
  },
});

// ---- stats, top ----

const Figures = z.object({
  name: z.string(),
  state: z.enum(MACHINE_STATES),
  usedMs: z.number().describe("host time spent in running it"),
  waitedMs: z.number().describe("ready to run, while others did"),
  cappedMs: z.number().describe("ready to run, above its cap"),
  slices: z.number(),
  instructions: z.number(),
  guestSeconds: z.number(),
  framesUsed: z.number().describe("of 4096 bytes, tables and shared ones included"),
  framesOwn: z.number().describe("of those, held by nobody else"),
  reboots: z.number(),
  exits: z.object({ mmio: z.number(), sbi: z.number(), idle: z.number(), alarm: z.number() }),
});

function figuresOf({ name, state, machine }: Vm): z.output<typeof Figures> {
  const { instructions, ticks, framesUsed, reboots, exits } = machine.stats();
  const { usedMs, waitedMs, cappedMs, slices } = machine.share.counts;
  const rounded = (ms: number) => Number(ms.toFixed(3));
  return {
    ...{ name, state, slices, instructions, framesUsed, reboots },
    usedMs: rounded(usedMs),
    waitedMs: rounded(waitedMs),
    cappedMs: rounded(cappedMs),
    guestSeconds: secondsOf(ticks),
    framesOwn: machine.view.framesOwn,
    exits: { ...exits },
  };
}

const stats = command({
  family: "vm",
  name: "stats",
  summary: "say what machines have had of their host since they were made",
  parameters: [{ ...VM, isOptional: true }],
  options: {},
  example: "vm stats web",
  isShellOnly: true,
  result: z.array(Figures),
  async run(call) {
    const vms = call.has("VM") ? [call.vm()] : call.fleet.vms;
    return vms.map(figuresOf);
  },
  text(list) {
    if (list.length === 0) return "no machines; `vm create` makes one\n";
    const rows = list.map((one) => [
      ...[one.name, one.state],
      ...[one.usedMs, one.waitedMs, one.cappedMs].map(durationText),
      ...[`${one.slices}`, `${one.instructions}`, durationText(one.guestSeconds * 1000)],
      ...[one.framesOwn, one.framesUsed].map((frames) => bytesText(frames * FRAME_BYTES)),
    ]);
    const figures = ["RAN", "WAITED", "CAPPED", "SLICES", "INSTRUCTIONS", "GUEST TIME"];
    return table(["VM", "STATE", ...[...figures, "OWN", "MEMORY"].map(right)], rows);
  },
});

const Top = z.object({
  intervalMs: z.number(),
  machines: z.array(
    z.object({
      name: z.string(),
      state: z.enum(MACHINE_STATES),
      percent: z.number().describe("of the interval, spent in running it"),
      waitedPercent: z.number().describe("of the interval, ready while others ran"),
      mips: z.number().describe("million instructions a second"),
      weight: z.number(),
      capPercent: z.number().nullable(),
      framesOwn: z.number(),
      framesUsed: z.number(),
    }),
  ),
});

type Before = ReadonlyMap<Vm["machine"], z.output<typeof Figures>>;

const sample = (call: Call): Before =>
  new Map(call.fleet.vms.map((vm) => [vm.machine, figuresOf(vm)]));

/** The figures of one interval, the busiest machine first. */
async function measure(call: Call, wantedMs: number): Promise<z.output<typeof Top>> {
  const { world } = call;
  const before = sample(call);
  const beganMs = world.monotonicMs();
  await pass(call, wantedMs);
  const intervalMs = world.monotonicMs() - beganMs;
  const machines = call.fleet.vms.map((vm) => {
    const now = figuresOf(vm);
    const then = before.get(vm.machine);
    const { weight, capPercent } = vm.machine.share;
    const part = (value: number, old = 0) => Number(((value - old) / intervalMs).toFixed(4));
    return {
      ...{ name: vm.name, state: vm.state, weight, capPercent },
      percent: Number((part(now.usedMs, then?.usedMs) * 100).toFixed(1)),
      waitedPercent: Number((part(now.waitedMs, then?.waitedMs) * 100).toFixed(1)),
      mips: Number((part(now.instructions, then?.instructions) / 1000).toFixed(1)),
      framesOwn: now.framesOwn,
      framesUsed: now.framesUsed,
    };
  });
  machines.sort((a, b) => b.percent - a.percent);
  return { intervalMs: Number(intervalMs.toFixed(1)), machines };
}

/** Lets time pass. Throws Interrupted. */
async function pass({ world, signal }: Call, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = world.after(ms, end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
  checkSignal(signal);
}

function topText({ intervalMs, machines }: z.output<typeof Top>): string {
  const rows = machines.map((one) => [
    ...[one.name, one.state, `${one.percent} %`, `${one.waitedPercent} %`, `${one.mips}`],
    ...[`${one.weight}`, one.capPercent === null ? "" : `${one.capPercent} %`],
    ...[one.framesOwn, one.framesUsed].map((frames) => bytesText(frames * FRAME_BYTES)),
  ]);
  const figures = ["RUNS", "WAITS", "MIPS", "WEIGHT", "CAP", "OWN", "MEMORY"].map(right);
  const running = machines.reduce((sum, { percent }) => sum + percent, 0).toFixed(0);
  const head = `${machines.length} machines, ${running} % of ${durationText(intervalMs)} in guests\n`;
  return machines.length === 0 ? head : `${head}${table(["VM", "STATE", ...figures], rows)}`;
}

const top = command({
  family: "vm",
  name: "top",
  summary: "watch which machines use the host, the busiest first",
  details: `
On a terminal the picture is drawn anew every interval until Ctrl-C; elsewhere, and with --json, one
interval is measured. --count says how many.`,
  parameters: [],
  options: {
    interval: { value: "TIME", kind: "duration", help: "how long to measure; default 1s" },
    count: { value: "N", kind: "integer", least: 1, help: "pictures; default: see above" },
  },
  example: "vm top --interval 100ms --count 2",
  isShellOnly: true,
  result: Top,
  async run(call) {
    const { streams } = call;
    const intervalMs = call.number("interval") ?? 1000;
    if (intervalMs < 10) throw new UsageError("vm top: --interval: accepted are times from 10ms");
    const isLive = streams.isTerminal && !call.isJson;
    const count = call.number("count") ?? (isLive ? Number.POSITIVE_INFINITY : 1);
    await call.fleet.openHost();
    for (let shown = 1; ; shown++) {
      const figures = await measure(call, intervalMs);
      if (shown >= count) return figures;
      if (!call.isJson) streams.print(`${isLive ? "\x1b[H\x1b[J" : ""}${topText(figures)}\n`);
    }
  },
  text: topText,
});

// ---- limits, priority ----

const Limits = z.object({
  name: z.string(),
  weight: z.number().describe("part of the host among machines that are busy; 100 by default"),
  capPercent: z.number().nullable().describe("most of the host's time; null: no cap"),
  memoryBytes: z.number().describe("most memory that it can take"),
  harts: z.number(),
});

function limitsOf({ name, machine }: Vm): z.output<typeof Limits> {
  const { weight, capPercent } = machine.share;
  const { memoryBytes, harts } = machine.config;
  return { name, weight, capPercent, memoryBytes, harts };
}

const limits = command({
  family: "vm",
  name: "limits",
  summary: "show or set the most that a machine gets of the host",
  details: `
A cap holds however idle the host is; it is kept over a tenth of a second. Under the virtual clock a
capped guest sees nothing of it. RAM and harts are changed by \`vm set\`, while it is not running.`,
  parameters: [VM],
  options: {
    cap: { value: "PERCENT", kind: "integer", least: 1, most: 100, help: "of the host's time" },
    "no-cap": { help: "take the cap back" },
  },
  example: "vm limits web --cap 50",
  result: Limits,
  async run(call) {
    const vm = call.vm();
    const cap = call.number("cap");
    if (cap !== undefined && call.has("no-cap")) {
      throw new UsageError("vm limits: accepted is one of --cap and --no-cap");
    }
    if (cap !== undefined) vm.machine.share.capPercent = cap;
    if (call.has("no-cap")) vm.machine.share.capPercent = null;
    return limitsOf(vm);
  },
  text({ capPercent, weight, memoryBytes, harts }) {
    const rows = [
      ["cap", capPercent === null ? "none" : `${capPercent} % of the host's time`],
      ["weight", `${weight}`],
      ["memory", bytesText(memoryBytes)],
      ["harts", `${harts}`],
    ] as const;
    return `${pairs(rows, "")}\n`;
  },
});

const priority = command({
  family: "vm",
  name: "priority",
  summary: "show or set a machine's part of the host among those that are busy",
  details: `
Machines that are busy get the host's time by their weights: 200 gets twice as much as 100.`,
  parameters: [
    VM,
    {
      name: "WEIGHT",
      kind: "integer",
      least: 1,
      most: WEIGHT_MAX,
      help: `1 to ${WEIGHT_MAX}; ${WEIGHT_DEFAULT} for a machine that was not told`,
      isOptional: true,
    },
  ],
  options: {},
  example: "vm priority web 200",
  result: Limits,
  async run(call) {
    const vm = call.vm();
    const weight = call.number("WEIGHT");
    if (weight !== undefined) vm.machine.share.weight = weight;
    return limitsOf(vm);
  },
  text: ({ weight }) => `${weight}\n`,
});

/** In the order of help. */
export const vmWatchCommands: readonly CommandSpec[] = [
  state,
  history,
  hooks,
  stats,
  top,
  limits,
  priority,
];
