/**
 * vm: the commands of family `vm`: machines from `create` to `destroy`.
 *
 * Used by src/shell/registry.ts.
 */
import { z } from "zod";
import { type MachineState, MACHINE_STATES as STATES } from "../../index.ts";
import { readValue } from "../call.ts";
import {
  type Call,
  CommandFailed,
  type CommandOption,
  type CommandSpec,
  command,
  Interrupted,
  type ParameterSpec,
  UsageError,
} from "../command.ts";
import { KEY_NAMES, keyBytes } from "../key-names.ts";
import { bytesText, durationText, pairs, table } from "../render.ts";
import { screenOf, screenSvg } from "../screen.ts";
import { describeResult, type Vm } from "../vm.ts";
import type { VmSpec } from "../vm-parts.ts";
import { MACHINE_OPTIONS, specOf } from "./machine-options.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };

const RunEnd = z
  .object({
    kind: z.string(),
    code: z.number().optional(),
    text: z.string(),
  })
  .nullable();

const Summary = z.object({
  name: z.string(),
  state: z.enum(STATES),
  reason: z.string().describe("why it is in its state"),
  harts: z.number(),
  memoryBytes: z.number(),
  guest: z.string().nullable(),
  instructions: z.number(),
  ended: RunEnd.describe("how the last run ended"),
});

function endOf({ lastResult }: Vm): z.output<typeof RunEnd> {
  if (lastResult === null) return null;
  const code = "code" in lastResult ? lastResult.code : undefined;
  return { kind: lastResult.kind, code, text: describeResult(lastResult) };
}

function summaryOf(vm: Vm): z.output<typeof Summary> {
  const { machine, spec } = vm;
  return {
    name: vm.name,
    state: vm.state,
    reason: machine.reason,
    harts: spec.harts,
    memoryBytes: machine.config.memoryBytes,
    guest: spec.guest ?? null,
    instructions: machine.instructions,
    ended: endOf(vm),
  };
}

/** "running", or "terminated (poweroff, code 0)". */
function stateText({ state, reason, ended }: z.output<typeof Summary>): string {
  if (state === "terminated" && ended !== null) return `${state} (${ended.text})`;
  return state === "paused" ? `${state} (${reason})` : state;
}

/** What most commands say: the machine, and nothing for people, who see no news in it. */
const quietly = { result: Summary, text: () => "" };

const CREATE_OPTIONS = {
  ...MACHINE_OPTIONS,
  console: {
    value: "DEVICE",
    kind: "choice",
    choices: ["uart", "virtio"],
    help: "device that console input goes to; default uart",
  },
  "no-reboot": { help: "a reboot ends the machine" },
  start: { help: "start it at once" },
} as const satisfies Readonly<Record<string, CommandOption>>;

const create = command({
  family: "vm",
  name: "create",
  summary: "make a machine, ready to start",
  details: `
Files are read and disks opened now, so that a wrong one is told now. Guest time follows the host's
clock unless --clock virtual is given; a virtual-clock machine does the same every time.`,
  parameters: [{ name: "NAME", kind: "text", help: "letters, digits, dots, dashes, underscores" }],
  options: CREATE_OPTIONS,
  example: "vm create web --guest builtin --memory 64M --start",
  isShellOnly: true,
  ...quietly,
  async run(call) {
    const spec = specOf(call, "vm create", { name: call.text("NAME"), clock: "host" });
    const vm = await call.fleet.create({
      ...spec,
      consoleDevice: call.text("console") as VmSpec["consoleDevice"],
      noReboot: call.has("no-reboot"),
    });
    if (call.has("start")) {
      try {
        await vm.start();
      } catch (error) {
        await call.fleet.remove(vm.name);
        throw error;
      }
    }
    return summaryOf(vm);
  },
});

const start = command({
  family: "vm",
  name: "start",
  summary: "boot a machine and let it run behind the prompt",
  details: "A machine that ended starts afresh: memory is empty, disks are as they were left.",
  parameters: [VM],
  options: { paused: { help: "stand before the first instruction" } },
  example: "vm start web",
  ...quietly,
  async run(call) {
    const vm = call.vm();
    await vm.start({ isPaused: call.has("paused") });
    return summaryOf(vm);
  },
});

const pause = command({
  family: "vm",
  name: "pause",
  summary: "let a machine's time stand still",
  parameters: [VM],
  options: {},
  example: "vm pause web",
  ...quietly,
  async run(call) {
    const vm = call.vm();
    await vm.pause();
    return summaryOf(vm);
  },
});

const resume = command({
  family: "vm",
  name: "resume",
  summary: "let a paused or suspended machine go on",
  details: `
The memory of a suspended machine comes back page by page, when the guest touches it.`,
  parameters: [VM],
  options: {
    clock: {
      value: "POLICY",
      kind: "choice",
      choices: ["resume", "jump"],
      help: "guest time goes on from where it was (default), or jumps to the host's",
    },
  },
  example: "vm resume web",
  ...quietly,
  async run(call) {
    const vm = call.vm();
    await vm.resume({ clock: call.text("clock") as "resume" | "jump" | undefined });
    return summaryOf(vm);
  },
});

const destroy = command({
  family: "vm",
  name: "destroy",
  summary: "end a machine at once, as by pulling its plug, and forget it",
  details: "The guest is not asked: `vm stop` does that. With --keep it can be started again.",
  parameters: [VM],
  options: { keep: { help: "keep its name and what it is made of, as after `vm create`" } },
  example: "vm destroy web",
  result: z.object({ name: z.string(), isKept: z.boolean() }),
  async run(call) {
    const vm = call.vm();
    const isKept = call.has("keep");
    if (isKept) await vm.reset();
    else await call.fleet.remove(vm.name);
    return { name: vm.name, isKept };
  },
  text: () => "",
});

const list = command({
  family: "vm",
  name: "list",
  summary: "list machines",
  parameters: [],
  options: {
    state: {
      value: "STATE",
      kind: "choice",
      choices: STATES,
      help: "only those in it",
    },
  },
  example: "vm list",
  result: z.array(Summary),
  async run(call) {
    const state = call.text("state");
    return call.fleet.vms.filter((vm) => state === undefined || vm.state === state).map(summaryOf);
  },
  text(vms) {
    if (vms.length === 0) return "no machines; `vm create` makes one\n";
    const rows = vms.map((vm) => [
      vm.name,
      stateText(vm),
      `${vm.harts}`,
      bytesText(vm.memoryBytes),
      vm.guest ?? "",
      `${vm.instructions}`,
    ]);
    const figures = (name: string) => ({ name, align: "right" }) as const;
    const columns = ["NAME", "STATE", figures("HARTS"), figures("MEMORY"), "GUEST"];
    return table([...columns, figures("INSTRUCTIONS")], rows);
  },
});

const Info = Summary.extend({
  spec: z.object({
    kernel: z.string().optional(),
    initrd: z.string().optional(),
    firmware: z.string().optional(),
    append: z.string().optional(),
    clock: z.string(),
    seed: z.number().optional(),
    disks: z.array(z.object({ path: z.string(), mode: z.string() })),
    console: z.string(),
    mmu: z.string(),
    htif: z.boolean(),
    noReboot: z.boolean(),
  }),
  append: z.string().describe("the command line in use, the guest's own included"),
  guestSeconds: z.number(),
  busySeconds: z.number().describe("host time spent in running it"),
  framesUsed: z.number().describe("of 4096 bytes, tables included"),
  reboots: z.number(),
  attachments: z.number(),
  recording: z.string().nullable(),
  consoleBytes: z.number(),
});

type Info = z.output<typeof Info>;

function infoOf(vm: Vm): Info {
  const { spec, machine } = vm;
  const { config } = machine;
  const stats = machine.stats();
  const { kernel, initrd, firmware, append, clock, seed } = spec;
  return {
    ...summaryOf(vm),
    spec: {
      ...{ kernel, initrd, firmware, append, clock, seed },
      // as `disk list` numbers them
      disks: vm.disks.map((disk) => ({ path: disk.spec.path, mode: disk.spec.mode })),
      console: config.consoleDevice,
      mmu: config.mmu,
      htif: config.htif,
      noReboot: config.noReboot,
    },
    append: config.append,
    guestSeconds: stats.ticks / 1e7,
    busySeconds: Number((stats.busyMs / 1000).toFixed(3)),
    framesUsed: stats.framesUsed,
    reboots: stats.reboots,
    attachments: vm.attachments,
    recording: vm.recordingFile,
    consoleBytes: vm.log.end,
  };
}

function infoText(info: Info): string {
  const { spec } = info;
  const rows: (readonly [string, string | undefined])[] = [
    ["name", info.name],
    ["state", stateText(info)],
    ["guest", info.guest ?? undefined],
    ["kernel", spec.kernel],
    ["initrd", spec.initrd],
    ["firmware", spec.firmware],
    ["append", info.append],
    ["memory", `${bytesText(info.memoryBytes)}, ${bytesText(info.framesUsed * 4096)} in use`],
    ["harts", `${info.harts}`],
    ["clock", spec.seed === undefined ? spec.clock : `${spec.clock}, seed ${spec.seed}`],
    ["console", spec.console],
    ["mmu", spec.mmu],
    ...spec.disks.map(({ path, mode }, index) => [`disk ${index}`, `${path} (${mode})`] as const),
    ["instructions", `${info.instructions}`],
    ["guest time", `${durationText(info.guestSeconds * 1000)}`],
    ["host time", `${durationText(info.busySeconds * 1000)}`],
    ["reboots", info.reboots === 0 ? undefined : `${info.reboots}`],
    ["attached", info.attachments === 0 ? undefined : `${info.attachments}`],
    ["recording", info.recording ?? undefined],
  ];
  const shown = rows.filter((row): row is readonly [string, string] => {
    return row[1] !== undefined && row[1] !== "";
  });
  return `${pairs(shown, "")}\n`;
}

const info = command({
  family: "vm",
  name: "info",
  summary: "say what a machine is made of and what it has done",
  parameters: [VM],
  options: {},
  example: "vm info web",
  result: Info,
  run: async (call) => infoOf(call.vm()),
  text: infoText,
});

// ---- set ----

/** Keys of `vm set`: the option of `vm create` that reads them, and the field of the spec. */
const SETTABLE: Readonly<Record<string, { readonly field: keyof VmSpec; isFlag?: boolean }>> = {
  memory: { field: "memoryBytes" },
  harts: { field: "harts" },
  clock: { field: "clock" },
  seed: { field: "seed" },
  append: { field: "append" },
  guest: { field: "guest" },
  kernel: { field: "kernel" },
  initrd: { field: "initrd" },
  firmware: { field: "firmware" },
  console: { field: "consoleDevice" },
  mmu: { field: "mmu" },
  htif: { field: "htif", isFlag: true },
  "no-reboot": { field: "noReboot", isFlag: true },
};
/** Keys that must have a value. */
const NEEDED = ["memory", "harts", "clock"];

function settingOf(call: Call): Partial<VmSpec> {
  const key = call.text("KEY") as string;
  const text = call.text("VALUE") as string;
  const { field, isFlag } = SETTABLE[key];
  if (isFlag === true) {
    if (text !== "on" && text !== "off") {
      throw new UsageError(`vm set: ${key} "${text}": accepted are on and off`);
    }
    return { [field]: text === "on" };
  }
  if (text === "") {
    if (NEEDED.includes(key)) throw new UsageError(`vm set: ${key} "": accepted is a value`);
    return { [field]: undefined };
  }
  const option: CommandOption = CREATE_OPTIONS[key as keyof typeof CREATE_OPTIONS];
  const value = readValue(key, text, { kind: "text", ...option });
  const change = { [field]: option.kind === "file" ? call.resolve(text) : value };
  // one thing is booted: naming one takes the other back
  if (key === "guest") return { ...change, kernel: undefined };
  return key === "kernel" ? { ...change, guest: undefined } : change;
}

const set = command({
  family: "vm",
  name: "set",
  summary: "change what a machine is made of, while it is not running",
  details: `
Keys are the options of \`vm create\`; an empty VALUE takes one back, and htif and no-reboot are on or
off. Disks are changed by \`disk attach\` and \`disk detach\`. The machine is made anew: what was in its
memory is gone.`,
  parameters: [
    VM,
    { name: "KEY", kind: "choice", choices: Object.keys(SETTABLE), help: "what to change" },
    { name: "VALUE", kind: "text", help: 'as for `vm create`; "" takes it back' },
  ],
  options: {},
  example: "vm set web harts 4",
  ...quietly,
  async run(call) {
    const vm = call.vm();
    const change = settingOf(call);
    await vm.reconfigure(() => change);
    return summaryOf(vm);
  },
});

// ---- wait, screen, keys ----

const wait = command({
  family: "vm",
  name: "wait",
  summary: "wait until a machine ended, or is in one of some states",
  details: "Exit status 1 when that did not happen in time, or the machine was destroyed.",
  parameters: [
    VM,
    {
      name: "STATE",
      kind: "choice",
      choices: STATES,
      help: "default terminated",
      isOptional: true,
      isRest: true,
    },
  ],
  options: { timeout: { value: "TIME", kind: "duration", help: "wall time; default: for ever" } },
  example: "vm wait web --timeout 10m",
  result: Summary.extend({ reached: z.boolean() }),
  async run(call) {
    const vm = call.vm();
    const given = call.all("STATE") as readonly MachineState[];
    const states = given.length === 0 ? (["terminated"] as const) : given;
    const timeoutMs = call.number("timeout") ?? null;
    const outcome = await vm.wait(states, timeoutMs, call.signal);
    if (outcome === "reached") return { ...summaryOf(vm), reached: true };
    if (outcome === "aborted") throw new Interrupted();
    const wanted = states.join(" or ");
    if (outcome === "removed") {
      throw new CommandFailed(1, null, `${vm.name} was destroyed before it was ${wanted}`);
    }
    const why = `${vm.name} is ${vm.state}: not ${wanted} within ${durationText(timeoutMs ?? 0)}`;
    throw new CommandFailed(1, { ...summaryOf(vm), reached: false }, why);
  },
  text: (result) => (result.reached ? `${result.name}: ${stateText(result)}\n` : ""),
});

function sizeOf(call: Call): { columns: number; rows: number } {
  const text = call.text("size") ?? "80x24";
  const [, columns, rows] = /^(\d{1,3})x(\d{1,3})$/.exec(text) ?? [];
  const size = { columns: Number(columns), rows: Number(rows) };
  if (size.columns >= 2 && size.rows >= 1) return size;
  throw new UsageError(`--size "${text}": accepted is COLUMNSxROWS such as 80x24, to 999x999`);
}

const Dump = z.object({
  columns: z.number(),
  rows: z.number(),
  cursor: z.object({ column: z.number(), row: z.number() }).describe("from 0"),
  lines: z.array(z.string()),
  file: z.string().nullable(),
});

const screendump = command({
  family: "vm",
  name: "screendump",
  summary: "save what a terminal on the machine's console would show",
  details: `
FILE ending in .svg gets a picture with colours, any other the text; without FILE the text is
printed. A serial line has no size: --size says how large the terminal is taken to be.`,
  parameters: [VM, { name: "FILE", kind: "file", help: "NAME.svg or NAME.txt", isOptional: true }],
  options: { size: { value: "80x24", kind: "text", help: "columns and rows" } },
  example: "vm screendump web screen.svg",
  result: Dump,
  async run(call) {
    const vm = call.vm();
    const size = sizeOf(call);
    const file = call.path("FILE") ?? null;
    const { bytes } = vm.log.read(vm.log.begin);
    const screen = await screenOf(bytes, size);
    if (file !== null) {
      const isPicture = file.toLowerCase().endsWith(".svg");
      const text = isPicture ? screenSvg(screen, vm.name) : `${screen.lines.join("\n")}\n`;
      await call.world.writeFile(file, new TextEncoder().encode(text));
    }
    const { cursor, lines } = screen;
    return { ...size, cursor, lines: [...lines], file };
  },
  text: ({ file, lines }) => (file === null ? `${lines.join("\n").trimEnd()}\n` : ""),
});

const sendKey = command({
  family: "vm",
  name: "send-key",
  summary: "press keys at the machine's console",
  details: `Keys: single characters, ctrl-X, alt-KEY, ${KEY_NAMES.join(", ")}.`,
  parameters: [
    VM,
    { name: "KEY", kind: "text", choices: KEY_NAMES, help: "pressed in turn", isRest: true },
  ],
  options: {},
  example: "vm send-key web ctrl-c up enter",
  result: z.object({ keys: z.number(), bytes: z.number() }),
  async run(call) {
    const vm = call.vm();
    const keys = call.all("KEY").map(keyBytes);
    vm.checkStarted();
    for (const bytes of keys) vm.machine.console.write(bytes);
    return { keys: keys.length, bytes: keys.reduce((sum, { length }) => sum + length, 0) };
  },
  text: () => "",
});

/** The family, in the order of its help. */
export const vmCommands: readonly CommandSpec[] = [
  create,
  start,
  pause,
  resume,
  destroy,
  list,
  info,
  set,
  screendump,
  sendKey,
  wait,
];
