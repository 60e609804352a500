/**
 * vm-life: the commands of family `vm` that change what a machine is in the midst of: put away and
 * gone back to, begun anew, copied, renamed.
 *
 * Used by src/shell/registry.ts.
 */
import { z } from "zod";
import {
  type Machine,
  MemoryStore,
  SnapshotStateStore,
  type StateStore,
  type VmCheckpoint,
  VmError,
} from "../../index.ts";
import {
  type Call,
  type CommandSpec,
  command,
  Interrupted,
  type ParameterSpec,
  UsageError,
} from "../command.ts";
import { progressOf } from "../progress.ts";
import { bytesText, durationText, table } from "../render.ts";
import type { Vm } from "../vm.ts";
import type { VmSpec } from "../vm-parts.ts";
import { thereAre } from "../wording.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const CLOCK = {
  value: "POLICY",
  kind: "choice",
  choices: ["resume", "jump"],
  help: "guest time goes on from where it was (default), or jumps to the host's",
} as const;
const right = (name: string) => ({ name, align: "right" }) as const;

/**
 * Does long work on the call's VM with progress; what Ctrl-C took back is an interruption, not a
 * failure.
 */
async function longWork<T>(
  call: Call,
  step: string,
  work: (options: { signal: Call["signal"]; onProgress: (done: number) => void }) => Promise<T>,
): Promise<T> {
  const progress = progressOf(call);
  const { signal } = call;
  const underWay = call.vm().machine.jobs.current;
  if (underWay !== null) progress.show(`${step}, once the ${underWay.kind} under way is over`);
  try {
    return await work({ signal, onProgress: (done) => progress.show(step, done * 100) });
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    progress.end();
  }
}

/** Where a state is to be kept; undefined for the manager's own way. Throws "not-found". */
async function storeOf(call: Call, where: string | undefined): Promise<StateStore | undefined> {
  const { lifecycle, snapshots } = call.fleet;
  if (where === "memory") return new MemoryStore(lifecycle.host.platform);
  if (where !== "store") return undefined;
  const manager = await snapshots.manager();
  return new SnapshotStateStore(manager, lifecycle.host, snapshots.path ?? "store");
}

const clockOf = (call: Call) => call.text("clock") as "resume" | "jump" | undefined;

// ---- suspend ----

const Suspended = z.object({
  name: z.string(),
  state: z.string(),
  keptIn: z.string().nullable().describe("where its state is"),
  keptBytes: z.number(),
  freedBytes: z.number().describe("of the arena, for other machines"),
});

const suspend = command({
  family: "vm",
  name: "suspend",
  summary: "put a machine away: its state is kept, its memory given back",
  details: `
Its state is kept in the mounted store of snapshots, as a full one; where none is mounted, in the
memory of this process, beside the arena that machines share. \`vm resume\` brings it back, page by
page as the guest touches them. Ctrl-C takes it back: the machine then goes on.`,
  parameters: [VM],
  options: {
    in: { value: "WHERE", kind: "choice", choices: ["store", "memory"], help: "see above" },
  },
  example: "vm suspend web",
  result: Suspended,
  async run(call) {
    const { lifecycle } = call.fleet;
    const { machine, name } = call.vm();
    const before = machine.stats().framesUsed;
    const isMounted = call.fleet.snapshots.isMounted;
    const store = await storeOf(call, call.text("in") ?? (isMounted ? "store" : "memory"));
    await longWork(call, `suspending ${name}`, (options) =>
      lifecycle.suspend(machine, { ...options, store }),
    );
    const { state, keptIn, keptBytes } = lifecycle.state(machine);
    const freedBytes = (before - machine.stats().framesUsed) * 4096;
    return { name, state, keptIn, keptBytes, freedBytes };
  },
  text: ({ name, keptIn, keptBytes, freedBytes }) =>
    `${name}: suspended, ${bytesText(keptBytes)} in ${keptIn}, ${bytesText(freedBytes)} freed\n`,
});

// ---- checkpoint, restore ----

const Checkpoint = z.object({
  name: z.string(),
  vm: z.string(),
  where: z.string().describe("frames: shared with the machine; memory: beside the arena"),
  createdMs: z.number().describe("milliseconds since 1970"),
  guestSeconds: z.number(),
  instructions: z.number(),
  pauseMs: z.number().describe("how long the guest stood still for it"),
  bytes: z.number().describe("held for it, shared pages included"),
});

function checkpointOf(one: VmCheckpoint): z.output<typeof Checkpoint> {
  const { name, machine: vm, where, createdMs, ticks, instructions, pauseMs } = one.facts;
  const { bytes } = one;
  return { name, vm, where, createdMs, guestSeconds: ticks / 1e7, instructions, pauseMs, bytes };
}

function findCheckpoint(call: Call, vm: Vm, name: string | undefined): VmCheckpoint {
  const all = call.fleet.lifecycle.checkpoints(vm.name);
  const found = name === undefined ? all.at(-1) : all.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = all.map((one) => one.name);
  const accepted = thereAre(names, `there is none; \`vm checkpoint ${vm.name}\` makes one`);
  throw new VmError("not-found", `checkpoint "${name ?? ""}" of ${vm.name}: ${accepted}`);
}

const checkpoint = command({
  family: "vm",
  name: "checkpoint",
  summary: "keep what a machine is now, to go back to it with `vm restore`",
  details: `
In frames (the default) it is made at once and shares every page that the guest does not write; in
memory it needs none of the arena; in the mounted store it is a full snapshot. Checkpoints go with
the machine; \`snapshot create\` makes what stays. --list lists them, --remove drops one.`,
  parameters: [VM, { name: "NAME", kind: "text", help: "default checkpoint-N", isOptional: true }],
  options: {
    in: {
      value: "WHERE",
      kind: "choice",
      choices: ["frames", "memory", "store"],
      help: "default frames",
    },
    list: { help: "list those of the machine, and make none" },
    remove: { help: "drop the one called NAME" },
  },
  example: "vm checkpoint web before",
  result: z.array(Checkpoint),
  async run(call) {
    const { lifecycle } = call.fleet;
    const vm = call.vm();
    const name = call.text("NAME");
    if (call.has("list")) return lifecycle.checkpoints(vm.name).map(checkpointOf);
    if (call.has("remove")) {
      if (name === undefined) throw new UsageError("vm checkpoint: --remove needs a NAME");
      const gone = findCheckpoint(call, vm, name);
      await gone.release();
      return [];
    }
    const store = await storeOf(call, call.text("in"));
    const made = await longWork(call, `checkpoint of ${vm.name}`, (options) =>
      lifecycle.checkpoint(vm.machine, { ...options, name, store }),
    );
    return [checkpointOf(made)];
  },
  text(list, call) {
    if (list.length === 0) return call.has("list") ? "no checkpoints\n" : "";
    const rows = list.map((one) => [
      ...[one.name, one.where, bytesText(one.bytes)],
      ...[durationText(one.guestSeconds * 1000), `${one.instructions}`],
    ]);
    const figures = ["HELD", "GUEST TIME", "INSTRUCTIONS"].map(right);
    return table(["CHECKPOINT", "IN", ...figures], rows);
  },
});

const Restored = z.object({
  name: z.string().describe("of the machine that is what the checkpoint holds"),
  checkpoint: z.string(),
  state: z.string(),
  isNew: z.boolean(),
  totalMs: z.number(),
});

/** The specification of a copy: whoever is made anew of it writes to no disk of the other. */
function copySpec(vm: Vm, name: string): VmSpec {
  const disks = vm.spec.disks.map(({ path, mode }) => {
    return { path, mode: mode === "rw" ? ("cow" as const) : mode };
  });
  return { ...vm.spec, name, disks };
}

/** Takes a copy of a machine into the shell. */
function adoptCopy(call: Call, vm: Vm, name: string, make: () => Promise<Machine>): Promise<Vm> {
  const diskSpecs = vm.disks.map(({ spec: { path, mode } }) => {
    return { path, mode: mode === "rw" ? ("cow" as const) : mode };
  });
  return call.fleet.adopt(copySpec(vm, name), async () => {
    return { machine: await make(), diskSpecs, disks: [] };
  });
}

const restore = command({
  family: "vm",
  name: "restore",
  summary: "make a machine what it was at a checkpoint, or make a new one of it",
  details: `
Memory, harts, devices and disks go back; a machine that runs runs on from there. With --as a new
machine is made, paused, with random numbers of its own, and VM is left alone. \`snapshot revert\`
goes back to what \`snapshot create\` made, and \`vm resume\` to what was suspended.`,
  parameters: [
    VM,
    { name: "CHECKPOINT", kind: "text", help: "default: the latest", isOptional: true },
  ],
  options: {
    as: { value: "NAME", kind: "text", help: "make a new machine of that name" },
    clock: CLOCK,
  },
  example: "vm restore web before",
  result: Restored,
  async run(call) {
    const { fleet } = call;
    const { lifecycle } = fleet;
    const vm = call.vm();
    const found = findCheckpoint(call, vm, call.text("CHECKPOINT"));
    const name = call.text("as");
    const clock = clockOf(call);
    return longWork(call, `restoring ${vm.name}`, async (options) => {
      if (name === undefined) {
        const into = { into: vm.machine, clock, ...options };
        const { totalMs } = await lifecycle.restore(found, into);
        vm.begin();
        const { state } = vm;
        return { name: vm.name, checkpoint: found.name, state, isNew: false, totalMs };
      }
      fleet.checkRoom([name]);
      let totalMs = 0;
      const made = await adoptCopy(call, vm, name, async () => {
        const target = { host: lifecycle.host, name, clock, identity: "new", ...options } as const;
        const restored = await lifecycle.restore(found, target);
        ({ totalMs } = restored);
        return restored.machine;
      });
      return { name, checkpoint: found.name, state: made.state, isNew: true, totalMs };
    });
  },
  text: ({ name, checkpoint: from, state, totalMs }) =>
    `${name}: ${from}, ${state}, in ${durationText(totalMs)}\n`,
});

// ---- reset, reboot ----

const Begun = z.object({ name: z.string(), state: z.string(), reboots: z.number() });

function begunOf({ name, state, machine }: Vm): z.output<typeof Begun> {
  return { name, state, reboots: machine.stats().reboots };
}

const reset = command({
  family: "vm",
  name: "reset",
  summary: "press a machine's reset button: everything is loaded again at once",
  details: "The guest is not asked: `vm reboot` does that. Disks stay as they are.",
  parameters: [VM],
  options: {},
  example: "vm reset web",
  result: Begun,
  async run(call) {
    const vm = call.vm();
    await call.fleet.lifecycle.reset(vm.machine);
    return begunOf(vm);
  },
  text: () => "",
});

const reboot = command({
  family: "vm",
  name: "reboot",
  summary: "ask the guest to reboot, and wait until it begins anew",
  details: `
Through the guest's agent, or the shell on its console. A guest that does not listen is begun anew
by \`vm reset\`; the built-in guest always is.`,
  parameters: [VM],
  options: { timeout: { value: "TIME", kind: "duration", help: "wait this long; default 60s" } },
  example: "vm reboot web",
  result: Begun,
  async run(call) {
    const vm = call.vm();
    const { lifecycle } = call.fleet;
    const timeoutMs = call.number("timeout");
    // no Linux: it has nothing to put in order
    const isBuiltin = vm.spec.guest === call.world.guests.builtin;
    await longWork(call, `rebooting ${vm.name}`, ({ signal }) =>
      isBuiltin ? lifecycle.reset(vm.machine) : lifecycle.reboot(vm.machine, { timeoutMs, signal }),
    );
    return begunOf(vm);
  },
  text: () => "",
});

// ---- fork ----

const Forked = z.object({
  parent: z.string(),
  children: z.array(z.object({ name: z.string(), state: z.string() })),
  forkMs: z.number().describe("for all of them together"),
});

const fork = command({
  family: "vm",
  name: "fork",
  summary: "make machines that go on from where this one is, sharing its memory",
  details: `
Each child has random numbers and a generation id of its own, and disks that begin as the parent's
are now and live in memory. Names are PREFIX1, PREFIX2, ... A child runs when the parent does.
--exact makes children that are the parent bit by bit, to replay what it does next.`,
  parameters: [VM],
  options: {
    count: { value: "N", kind: "integer", least: 1, most: 1024, help: "children; default 1" },
    prefix: { value: "NAME", kind: "text", help: "of their names; default VM-" },
    exact: { help: "the same random numbers, too" },
    clock: CLOCK,
  },
  example: "vm fork web --count 2 --prefix c",
  result: Forked,
  async run(call) {
    const { fleet, world } = call;
    const vm = call.vm();
    const prefix = call.text("prefix") ?? `${vm.name}-`;
    const count = call.number("count") ?? 1;
    const names = Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
    fleet.checkRoom(names);
    const beganMs = world.monotonicMs();
    const options = { names, exact: call.has("exact"), clock: clockOf(call) };
    const machines = await fleet.lifecycle.fork(vm.machine, count, options);
    const forkMs = Number((world.monotonicMs() - beganMs).toFixed(3));
    const children: Vm[] = [];
    try {
      for (const machine of machines) {
        children.push(await adoptCopy(call, vm, machine.name, async () => machine));
      }
    } catch (error) {
      for (const { name } of children) await fleet.remove(name);
      for (const machine of machines) machine.dispose();
      throw error;
    }
    for (const child of children) child.begin();
    const shown = children.map(({ name, state }) => ({ name, state }));
    return { parent: vm.name, children: shown, forkMs };
  },
  text: ({ children, forkMs }) =>
    `${children.map(({ name }) => name).join(" ")} in ${forkMs.toFixed(1)} ms\n`,
});

// ---- rename ----

const rename = command({
  family: "vm",
  name: "rename",
  summary: "give a machine that is not running another name",
  details:
    "Its console's log stays; its checkpoints are gone. Snapshots keep the name that it had.",
  parameters: [VM, { name: "NAME", kind: "text", help: "the new one" }],
  options: {},
  example: "vm rename web shop",
  result: z.object({ name: z.string(), before: z.string() }),
  async run(call) {
    const vm = call.vm();
    const before = vm.name;
    await call.fleet.rename(vm, call.text("NAME") as string);
    await call.fleet.lifecycle.forget(before);
    return { name: vm.name, before };
  },
  text: () => "",
});

/** In the order of help. */
export const vmLifeCommands: readonly CommandSpec[] = [
  suspend,
  checkpoint,
  restore,
  reset,
  reboot,
  fork,
  rename,
];
