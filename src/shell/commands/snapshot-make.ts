/**
 * snapshot-make: the commands of family `snapshot` that make a snapshot of a machine, or a machine
 * of a snapshot: create, revert, restore, progress, cancel.
 *
 * Used by commands/snapshot.ts.
 */
import { z } from "zod";
import { VmError } from "../../index.ts";
import { diskOf } from "../call.ts";
import { type Call, type CommandSpec, checkSignal, command } from "../command.ts";
import { bytesText, durationText, table } from "../render.ts";
import { originOf } from "../store-mount.ts";
import {
  LONG,
  labelsOf,
  longOf,
  managerOf,
  SNAPSHOT,
  SnapshotShape,
  STORE,
  VM,
} from "./snapshot-text.ts";

const TYPES = ["full", "incremental", "differential", "cow"] as const;
const POLICIES = ["resume", "jump"] as const;

const CLOCK = {
  clock: {
    value: "POLICY",
    kind: "choice",
    choices: POLICIES,
    help: "guest time goes on from where it was, or with the host's clock; default resume",
  },
} as const;

const create = command({
  family: "snapshot",
  name: "create",
  summary: "keep all that a machine is now, while it runs on",
  details: `
The guest stands still only while tables are copied; pages are written behind. full holds every page
that is not zero; incremental what changed since the snapshot that the machine stands on;
differential what changed since the last full one; cow stays in memory and is written when another
one builds on it. Without --type: incremental where that is possible, else full. With --background
the command ends when the guest runs on; \`snapshot progress VM --wait\` waits
for the rest, and a shell that ends before gives it up.`,
  parameters: [VM, { name: "NAME", kind: "text", help: "default snap-N", isOptional: true }],
  options: {
    type: { value: "TYPE", kind: "choice", choices: TYPES, help: "what it holds" },
    label: { value: "KEY=VALUE", kind: "text", help: "for lists and prune", isRepeated: true },
    notes: { value: "TEXT", kind: "text", help: "anything worth knowing about it" },
    background: { help: "do not wait until it is written" },
    "no-digest": { help: "do not hash the whole machine" },
    ...LONG,
  },
  example: "snapshot create web base --type full",
  result: SnapshotShape.extend({
    pauseMs: z.number().describe("for which the guest stood still"),
    totalMs: z.number(),
    isDone: z.boolean().describe("false while it is written in the background"),
  }),
  async run(call) {
    const vm = call.vm();
    const manager = await managerOf(call);
    const { end, bytesPerSecond, ...watched } = longOf(call);
    const isBackground = call.has("background");
    // what goes on behind the next prompt neither writes there nor ends with this command
    const work = manager.begin(vm.machine, {
      bytesPerSecond,
      ...(isBackground ? {} : watched),
      name: call.text("NAME"),
      type: call.text("type") as (typeof TYPES)[number] | undefined,
      labels: labelsOf(call.all("label")),
      notes: call.text("notes"),
      digest: !call.has("no-digest"),
      origin: originOf(vm),
    });
    const { pauseMs } = work;
    if (isBackground) {
      work.done.catch(() => {}); // `snapshot progress` tells
      return { ...work.snapshot, pauseMs, totalMs: pauseMs, isDone: false };
    }
    try {
      return { ...(await work.done), isDone: true };
    } catch (error) {
      checkSignal(call.signal);
      throw error;
    } finally {
      end();
    }
  },
  text({ name, machine, type, pages, bytes, pauseMs, totalMs, isDone }) {
    const pause = `the guest stood still for ${pauseMs.toFixed(2)}ms`;
    const what = `${machine}/${name}: ${type}`;
    if (!isDone) return `${what}, being written; ${pause}\n`;
    return `${what}, ${pages} pages, ${bytesText(bytes.onDisk)} written in ${durationText(totalMs)}; ${pause}\n`;
  },
});

const revert = command({
  family: "snapshot",
  name: "revert",
  summary: "make a machine what it was when a snapshot was taken",
  details: `
Memory, harts, devices and disks; what happened since is lost. A machine that runs runs on from
there. Snapshots stay as they are, and the next incremental one builds on this one.`,
  parameters: [VM, SNAPSHOT],
  options: { ...CLOCK, ...LONG },
  example: "snapshot revert web base",
  result: z.object({
    machine: z.string(),
    snapshot: SnapshotShape,
    pages: z.number().describe("of RAM that changed"),
    isRemapped: z.boolean().describe("nothing was read: its frames were still in memory"),
    pauseMs: z.number(),
  }),
  async run(call) {
    const vm = call.vm();
    const manager = await managerOf(call);
    const snapshot = manager.find(call.text("SNAPSHOT") as string, vm.name);
    const { end, ...long } = longOf(call);
    try {
      const clock = call.text("clock") as (typeof POLICIES)[number] | undefined;
      const reverted = await manager.revert(vm.machine, snapshot.id, { ...long, clock });
      return { machine: vm.name, ...reverted };
    } catch (error) {
      checkSignal(call.signal);
      throw error;
    } finally {
      end();
    }
  },
  text: ({ machine, snapshot, pages, isRemapped, pauseMs }) => {
    const how = isRemapped ? "remapped" : "read";
    const pause = `the guest stood still for ${pauseMs.toFixed(2)}ms`;
    const name = snapshot.machine === machine ? "" : `${snapshot.machine}/`;
    return `${machine} is ${name}${snapshot.name} again: ${pages} pages ${how}; ${pause}\n`;
  },
});

const restore = command({
  family: "snapshot",
  name: "restore",
  summary: "make a new machine of a snapshot",
  details: `
It stands paused; \`vm resume\`, or --start, lets it run. With --lazy its memory is read when it is
touched, and in the background; a snapshot that was restored so before knows which pages are wanted
first. Disks that the snapshot holds whole need no --disk; for one that was opened as cow, the file
under it is given, or is where it was. The new machine has an identity of its own (random numbers,
generation id) unless --exact is given.`,
  parameters: [
    SNAPSHOT,
    { name: "NAME", kind: "text", help: "default: as the machine was called", isOptional: true },
  ],
  options: {
    lazy: { help: "let it run before its memory is read" },
    disk: { value: "F[,ro|,cow]", kind: "disk", help: "the disks by slot", isRepeated: true },
    exact: { help: "the same identity: an exact replay" },
    start: { help: "let it run at once" },
    ...CLOCK,
    ...LONG,
    ...STORE,
  },
  example: "snapshot restore web/base web2",
  isShellOnly: true,
  result: z.object({
    name: z.string(),
    state: z.string(),
    snapshot: SnapshotShape,
    pages: z.number().describe("of RAM that are not zero"),
    isLazy: z.boolean(),
    totalMs: z.number(),
  }),
  async run(call) {
    const manager = await managerOf(call);
    const snapshot = manager.find(call.text("SNAPSHOT") as string);
    const { end, ...long } = longOf(call);
    const beganMs = call.world.monotonicMs();
    try {
      const { vm, pages } = await call.fleet.snapshots.restore(manager, snapshot, {
        ...long,
        name: call.text("NAME"),
        lazy: call.has("lazy"),
        disks: call.has("disk") ? disksOf(call) : undefined,
        clock: call.text("clock") as (typeof POLICIES)[number] | undefined,
        identity: call.has("exact") ? "same" : "new",
      });
      if (call.has("start")) vm.resume();
      return {
        name: vm.name,
        state: vm.state,
        snapshot,
        pages,
        isLazy: call.has("lazy"),
        totalMs: call.world.monotonicMs() - beganMs,
      };
    } catch (error) {
      checkSignal(call.signal);
      throw error;
    } finally {
      end();
    }
  },
  text: ({ name, state, snapshot, pages, isLazy, totalMs }) => {
    const how = isLazy ? "read as they are touched" : `read in ${durationText(totalMs)}`;
    return `${name} is ${snapshot.machine}/${snapshot.name}, ${state}: ${pages} pages ${how}\n`;
  },
});

function disksOf(call: Call) {
  return call.all("disk").map((text) => diskOf(text, (path) => call.resolve(path)));
}

// ---- what is under way ----

const JobShape = z.object({
  machine: z.string(),
  operation: z.string(),
  snapshot: z.string(),
  state: z.enum(["running", "done", "failed", "cancelled"]),
  step: z.string(),
  percent: z.number().nullable(),
  error: z.string().nullable(),
});

const progress = command({
  family: "snapshot",
  name: "progress",
  summary: "say what is being written or read, and how the last work of each machine ended",
  details: "With --wait, returns when nothing is under way; exit status 1 when something failed.",
  parameters: [{ ...VM, isOptional: true }],
  options: { wait: { help: "until nothing is under way" } },
  example: "snapshot progress web",
  isShellOnly: true,
  result: z.array(JobShape),
  async run(call) {
    const name = call.has("VM") ? call.vm().name : undefined;
    const manager = await managerOf(call);
    const mine = () => manager.jobs.filter(({ machine }) => name === undefined || machine === name);
    if (call.has("wait")) {
      await manager.idle(name, call.signal);
      checkSignal(call.signal);
      const failed = mine().find(({ state }) => state === "failed");
      if (failed !== undefined) {
        const { operation, machine, snapshot, error } = failed;
        throw new VmError("io", `${operation} of ${machine}/${snapshot} failed: ${error}`);
      }
    }
    return mine().map((job) => ({ ...job }));
  },
  text(jobs) {
    if (jobs.length === 0) return "nothing is under way\n";
    const columns = ["MACHINE", "OPERATION", "SNAPSHOT", "STATE", "STEP"];
    return table(
      [...columns, { name: "%", align: "right" }, "ERROR"],
      jobs.map(({ machine, operation, snapshot, state, step, percent, error }) => {
        const far = percent === null ? "" : percent.toFixed(0);
        return [machine, operation, snapshot, state, step, far, error ?? ""];
      }),
    );
  },
});

const cancel = command({
  family: "snapshot",
  name: "cancel",
  summary: "end what is under way for a machine; nothing of it is left",
  parameters: [VM],
  options: {},
  example: "snapshot cancel web",
  result: z.object({ machine: z.string(), cancelled: z.string().nullable() }),
  async run(call) {
    const vm = call.vm();
    const manager = await managerOf(call);
    return { machine: vm.name, cancelled: await manager.cancel(vm.machine) };
  },
  text: ({ machine, cancelled }) =>
    cancelled === null ? `${machine}: nothing is under way\n` : `${machine}: ${cancelled} ended\n`,
});

/** These commands, in the order of help. */
export const makeCommands: readonly CommandSpec[] = [create, revert, restore, progress, cancel];
