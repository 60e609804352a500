/**
 * host: the commands of family `host`: what all machines of this process share, and what happened
 * to them.
 *
 * Used by src/shell/registry.ts.
 */
import { z } from "zod";
import { MACHINE_LIMITS, MACHINES_MAX } from "../../index.ts";
import {
  type Call,
  type CommandSpec,
  checkSignal,
  command,
  Interrupted,
  UsageError,
} from "../command.ts";
import { LINE_BYTES_MAX } from "../control-protocol.ts";
import { EVENTS_MAX, type FleetEvent } from "../event-ring.ts";
import { bytesText, durationText, pairs, table, timeText } from "../render.ts";
import type { Vm } from "../vm.ts";
import { FEATURES } from "./general.ts";

const FRAME_BYTES = 4096;
const right = (name: string) => ({ name, align: "right" }) as const;

// ---- info ----

const Info = z.object({
  version: z.string(),
  engine: z.string(),
  platform: z.string(),
  cores: z.number(),
  memoryBytes: z.number().describe("of this computer"),
  arenaBytes: z.number().describe("address space reserved for all machines"),
  framesTotal: z.number().describe("of 4096 bytes, for guest memory and tables"),
  machines: z.number(),
  machinesMax: z.number(),
  features: z.array(z.string()),
});

const info = command({
  family: "host",
  name: "info",
  summary: "say what this process is and what it runs on",
  parameters: [],
  options: {},
  example: "host info",
  result: Info,
  async run({ fleet, world }) {
    const { arenaBytes, framesTotal } = (await fleet.openHost()).stats();
    const { engine, platform, cores, memoryBytes } = world.environment;
    return {
      version: world.version,
      ...{ engine, platform, cores, memoryBytes },
      ...{ arenaBytes, framesTotal },
      machines: fleet.vms.length,
      machinesMax: fleet.machinesMax,
      features: [...FEATURES],
    };
  },
  text(result) {
    const { cores, memoryBytes, arenaBytes, framesTotal, machines, machinesMax } = result;
    const rows = [
      ["version", result.version],
      ["engine", result.engine],
      ["platform", `${result.platform}, ${cores} cores, ${bytesText(memoryBytes)}`],
      ["arena", `${bytesText(arenaBytes)}, ${bytesText(framesTotal * FRAME_BYTES)} for guests`],
      ["machines", `${machines} of ${machinesMax}`],
      ["features", result.features.join(" ")],
    ] as const;
    return `${pairs(rows, "")}\n`;
  },
});

// ---- stats ----

const INTERVAL_MS_DEFAULT = 1000;
/** How often the event loop is asked whether it is late. */
const LAG_STEP_MS = 10;

const MachineFigures = z.object({
  name: z.string(),
  state: z.string(),
  mips: z.number().describe("million instructions a second, over the interval"),
  load: z.number().describe("share of the interval spent in running it, 0 to 1"),
  instructions: z.number(),
  framesUsed: z.number(),
  guestSeconds: z.number(),
});

const Stats = z.object({
  intervalMs: z.number(),
  frames: z.object({ total: z.number(), free: z.number(), used: z.number() }),
  machines: z.array(MachineFigures),
  mips: z.number().describe("of all machines"),
  lagMs: z
    .object({ mean: z.number(), max: z.number() })
    .describe("how late the event loop was with its timers"),
});

/** Figures of a machine at one moment. */
interface Sample {
  readonly instructions: number;
  readonly busyMs: number;
  /** The machine itself: a restart of the VM may have put another one in its place. */
  readonly machine: Vm["machine"];
}

function sampleOf({ machine }: Vm): Sample {
  const { instructions, busyMs } = machine.stats();
  return { instructions, busyMs, machine };
}

const rounded = (value: number) => Number(value.toFixed(3));

function figuresOf(
  vm: Vm,
  before: Sample | undefined,
  intervalMs: number,
): z.output<typeof MachineFigures> {
  const { machine } = vm;
  const { instructions, busyMs, framesUsed, ticks } = machine.stats();
  const since = before?.machine === machine ? before : { instructions: 0, busyMs: 0 };
  return {
    name: vm.name,
    state: vm.state,
    mips: rounded((instructions - since.instructions) / intervalMs / 1000),
    load: rounded(Math.min(1, (busyMs - since.busyMs) / intervalMs)),
    ...{ instructions, framesUsed, guestSeconds: ticks / 1e7 },
  };
}

/** Lets the interval pass; how late the timers within it were. */
async function watchLag({ world, signal }: Call, intervalMs: number) {
  let [count, sum, max] = [0, 0, 0];
  const end = world.monotonicMs() + intervalMs;
  for (let now = world.monotonicMs(); now < end; ) {
    const wanted = Math.min(LAG_STEP_MS, end - now);
    await new Promise<void>((resolve) => void world.after(wanted, resolve));
    const then = world.monotonicMs();
    const lag = Math.max(0, then - now - wanted);
    [count, sum, max] = [count + 1, sum + lag, Math.max(max, lag)];
    checkSignal(signal);
    now = then;
  }
  return { mean: rounded(sum / count), max: rounded(max) };
}

const stats = command({
  family: "host",
  name: "stats",
  summary: "measure machines, memory and the event loop over a second",
  details: `
MIPS and load are those of the interval. All machines of a process share one thread: their loads add
up to 1 at most, and an event loop that is late by more than a few milliseconds is kept busy by
something other than machines.`,
  parameters: [],
  options: {
    interval: { value: "TIME", kind: "duration", help: "how long to measure; default 1s" },
  },
  example: "host stats --interval 100ms",
  isShellOnly: true,
  result: Stats,
  async run(call) {
    const { fleet, world } = call;
    const wanted = call.number("interval") ?? INTERVAL_MS_DEFAULT;
    if (wanted < 1) throw new UsageError("host stats: --interval 0: accepted are times from 1ms");
    const host = await fleet.openHost();
    const before = new Map(fleet.vms.map((vm) => [vm.name, sampleOf(vm)]));
    const begin = world.monotonicMs();
    const lagMs = await watchLag(call, wanted);
    const intervalMs = world.monotonicMs() - begin;
    const machines = fleet.vms.map((vm) => figuresOf(vm, before.get(vm.name), intervalMs));
    const { framesTotal: total, framesFree: free } = host.stats();
    return {
      intervalMs: rounded(intervalMs),
      frames: { total, free, used: total - free },
      machines,
      mips: rounded(machines.reduce((sum, { mips }) => sum + mips, 0)),
      lagMs,
    };
  },
  text({ intervalMs, frames, machines, mips, lagMs }) {
    const rows = [
      ["interval", durationText(intervalMs)],
      [
        "memory",
        `${bytesText(frames.used * FRAME_BYTES)} of ${bytesText(frames.total * FRAME_BYTES)} used`,
      ],
      ["MIPS", mips.toFixed(1)],
      ["event loop", `${lagMs.mean.toFixed(1)} ms late, ${lagMs.max.toFixed(1)} ms at most`],
    ] as const;
    const head = `${pairs(rows, "")}\n`;
    if (machines.length === 0) return head;
    const columns = ["VM", "STATE", right("MIPS"), right("LOAD"), right("MEMORY")];
    const lines = machines.map((vm) => [
      ...[vm.name, vm.state, vm.mips.toFixed(1), `${Math.round(vm.load * 100)} %`],
      ...[bytesText(vm.framesUsed * FRAME_BYTES), durationText(vm.guestSeconds * 1000)],
    ]);
    return `${head}\n${table([...columns, right("GUEST TIME")], lines)}`;
  },
});

// ---- limits ----

const Limit = z.object({
  name: z.string(),
  value: z.number(),
  unit: z.enum(["count", "bytes"]),
  meaning: z.string(),
});

const limits = command({
  family: "host",
  name: "limits",
  summary: "list limits and what each means",
  parameters: [],
  options: {},
  example: "host limits",
  result: z.array(Limit),
  async run({ fleet }) {
    const { framesTotal, arenaBytes } = (await fleet.openHost()).stats();
    const count = (name: string, value: number, meaning: string) => {
      return { name, value, unit: "count" as const, meaning };
    };
    const bytes = (name: string, value: number, meaning: string) => {
      return { name, value, unit: "bytes" as const, meaning };
    };
    const { harts, memoryBytesMin, memoryBytesMax, disks, ...rest } = MACHINE_LIMITS;
    const framesBytes = framesTotal * FRAME_BYTES;
    return [
      count("machines", fleet.machinesMax, "machines of this process at a time"),
      count("machinesMax", MACHINES_MAX, "the most that a host can be made for, through the API"),
      count("harts", harts, "harts of a machine"),
      bytes("memoryBytesMin", memoryBytesMin, "least RAM of a machine"),
      bytes("memoryBytesMax", Math.min(memoryBytesMax, framesBytes), "most RAM of a machine"),
      bytes("framesBytes", framesBytes, "pages that all machines together can have written"),
      bytes("arenaBytes", arenaBytes, "address space reserved; memory is taken when touched"),
      count("disks", disks, "disks of a machine"),
      count("customDevices", rest.customDevices, "devices of an embedder in a machine"),
      bytes("appendBytes", rest.appendBytes, "length of a kernel command line"),
      count("events", EVENTS_MAX, "events that `host events` still knows"),
      bytes("controlLineBytes", LINE_BYTES_MAX, "a message on the control socket"),
    ];
  },
  text(list) {
    const rows = list.map(({ name, value, unit, meaning }) => {
      return [name, unit === "bytes" ? bytesText(value) : `${value}`, meaning];
    });
    return table(["LIMIT", right("VALUE"), "MEANING"], rows);
  },
});

// ---- events ----

const Event = z.object({
  sequence: z.number(),
  wallMs: z.number().describe("milliseconds since 1970"),
  ticks: z.number().nullable().describe("machine time in ticks of 100 ns"),
  vm: z.string(),
  kind: z.string(),
  detail: z.string(),
});

function eventLine({ wallMs, ticks, vm, kind, detail }: FleetEvent): string {
  const guest = ticks === null ? "" : `+${(ticks / 1e7).toFixed(3)}s`;
  const words = [timeText(wallMs), guest.padStart(12), vm.padEnd(12), kind.padEnd(9), detail];
  return `${words.join("  ").trimEnd()}\n`;
}

/** Prints events as they come until Ctrl-C, or until there is nobody left to print for. */
function followEvents(call: Call): Promise<never> {
  const { fleet, streams, signal } = call;
  const vm = call.text("vm");
  return new Promise((_resolve, reject) => {
    const unfollow = fleet.events.follow((event) => {
      if (vm === undefined || vm === event.vm) streams.print(lineOf(event, call));
    });
    const end = () => {
      unfollow();
      signal.removeEventListener("abort", end);
      reject(new Interrupted());
    };
    signal.addEventListener("abort", end);
    streams.onBroken(end);
    if (signal.aborted) end();
  });
}

function lineOf(event: FleetEvent, { isJson }: Call): string {
  return isJson ? `${JSON.stringify(event)}\n` : eventLine(event);
}

const events = command({
  family: "host",
  name: "events",
  summary: "list what happened to machines, or follow it",
  details: `
Columns: time (UTC), guest time, machine, kind, detail. --follow goes on with what happens from then
on until Ctrl-C; with --json every event is a document on a line of its own then.`,
  parameters: [],
  options: {
    tail: { value: "N", kind: "integer", help: "the last N only" },
    vm: { value: "VM", kind: "machine", help: "those of one machine, which may be gone" },
    follow: { help: "go on with what happens from now on" },
  },
  example: "host events --tail 20",
  isShellOnly: true,
  result: z.array(Event),
  async run(call) {
    const vm = call.text("vm");
    const kept = call.fleet.events.tail();
    const mine = vm === undefined ? kept : kept.filter((event) => event.vm === vm);
    const tail = call.number("tail") ?? mine.length;
    const shown = tail === 0 ? [] : mine.slice(-tail);
    if (!call.has("follow")) return [...shown];
    for (const event of shown) call.streams.print(lineOf(event, call));
    return followEvents(call);
  },
  text: (list) => list.map(eventLine).join(""),
});

/** The family, in the order of its help. */
export const hostCommands: readonly CommandSpec[] = [info, stats, limits, events];
