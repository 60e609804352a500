/**
 * snapshot-keep: the commands of family `snapshot` that change the store: mount-store, delete,
 * rename, label, merge, flatten, compact, prune, export, import.
 *
 * Used by commands/snapshot.ts.
 */
import { z } from "zod";
import { type Call, type CommandSpec, checkSignal, command, UsageError } from "../command.ts";
import { bytesText } from "../render.ts";
import {
  LONG,
  labelsOf,
  labelsText,
  longOf,
  managerOf,
  SNAPSHOT,
  SnapshotShape,
  STORE,
  sayDamaged,
} from "./snapshot-text.ts";

/** The work of a long command: with progress, and with Ctrl-C as its end. */
async function long<T>(
  call: Call,
  work: (options: Omit<ReturnType<typeof longOf>, "end">) => Promise<T>,
): Promise<T> {
  const { end, ...options } = longOf(call);
  try {
    return await work(options);
  } catch (error) {
    checkSignal(call.signal);
    throw error;
  } finally {
    end();
  }
}

const MountShape = z.object({ path: z.string(), snapshots: z.number() });

const mountStore = command({
  family: "snapshot",
  name: "mount-store",
  summary: "open a folder in which snapshots are kept, for this shell",
  details: `
The folder is made when it is not there. One process has a store at a time; another one is told so.
Without DIR, says which one is mounted; another DIR takes the place of the one that is.`,
  parameters: [{ name: "DIR", kind: "file", help: "the folder", isOptional: true }],
  options: {},
  example: "snapshot mount-store snapshots",
  isShellOnly: true,
  result: MountShape.nullable(),
  async run(call) {
    const path = call.path("DIR");
    const { snapshots } = call.fleet;
    if (path !== undefined) await snapshots.mount(path);
    if (snapshots.path === null) return null;
    const manager = await snapshots.manager();
    sayDamaged(call, manager);
    return { path: snapshots.path, snapshots: manager.list().length };
  },
  text(result) {
    if (result === null) return "none; `snapshot mount-store DIR` mounts one\n";
    return `${result.path}: ${result.snapshots} snapshots\n`;
  },
});

const Removed = z.object({ removed: z.array(z.string()).describe("as MACHINE/NAME") });

const remove = command({
  family: "snapshot",
  name: "delete",
  summary: "remove a snapshot",
  details: `
One that others build on is refused: \`snapshot merge\` folds it into a neighbour, --children
removes those with it. Room on disk that others share comes back with \`snapshot compact\`.`,
  parameters: [SNAPSHOT],
  options: { children: { help: "also every snapshot that builds on it" }, ...STORE },
  example: "snapshot delete web/base",
  result: Removed,
  async run(call) {
    const manager = await managerOf(call);
    const { id } = manager.find(call.text("SNAPSHOT") as string);
    const isWithChildren = call.has("children");
    const removed = await long(call, (options) => {
      return manager.remove(id, { ...options, isWithChildren });
    });
    return { removed };
  },
  text: ({ removed }) => removed.map((name) => `${name}: removed\n`).join(""),
});

const rename = command({
  family: "snapshot",
  name: "rename",
  summary: "give a snapshot another name",
  parameters: [
    SNAPSHOT,
    { name: "NAME", kind: "text", help: "no other one of its machine has it" },
  ],
  options: STORE,
  example: "snapshot rename web/base first",
  result: SnapshotShape,
  async run(call) {
    const manager = await managerOf(call);
    const { id } = manager.find(call.text("SNAPSHOT") as string);
    return manager.rename(id, call.text("NAME") as string);
  },
  text: () => "",
});

const label = command({
  family: "snapshot",
  name: "label",
  summary: "set labels and notes of a snapshot, or show them",
  parameters: [
    SNAPSHOT,
    {
      name: "KEY=VALUE",
      kind: "text",
      help: "a label; KEY= takes one away",
      isOptional: true,
      isRest: true,
    },
  ],
  options: { notes: { value: "TEXT", kind: "text", help: "in place of its notes" }, ...STORE },
  example: "snapshot label web/base release=1 --notes 'before the upgrade'",
  result: SnapshotShape,
  async run(call) {
    const manager = await managerOf(call);
    const snapshot = manager.find(call.text("SNAPSHOT") as string);
    const changes = labelsOf(call.all("KEY=VALUE"));
    const notes = call.text("notes");
    if (Object.keys(changes).length === 0 && notes === undefined) return snapshot;
    return manager.annotate(snapshot.id, { labels: changes, notes });
  },
  text: ({ labels, notes }) => {
    const lines = [labelsText(labels), notes].filter((line) => line !== "");
    return lines.map((line) => `${line}\n`).join("");
  },
});

const merge = command({
  family: "snapshot",
  name: "merge",
  summary: "fold a snapshot into its neighbour, so that a chain gets shorter",
  details: `
Into the one below, its parent: the parent's state is given up, and this one keeps its name and
takes over what the parent held. Into the one above, its only child: this one's state is given
up. Either way what stays holds the same as before.`,
  parameters: [SNAPSHOT],
  options: {
    into: {
      value: "WHICH",
      kind: "choice",
      choices: ["parent", "child"],
      help: "default parent",
    },
    all: { help: "the whole chain down to its first: what stays is a full snapshot" },
    ...LONG,
    ...STORE,
  },
  example: "snapshot merge web/more",
  result: SnapshotShape,
  async run(call) {
    if (call.has("all") && call.text("into") === "child") {
      throw new UsageError("snapshot merge: --all goes down a chain; accepted: --into parent");
    }
    const manager = await managerOf(call);
    const { id } = manager.find(call.text("SNAPSHOT") as string);
    const into = call.text("into") === "child" ? "child" : "parent";
    return long(call, (options) => manager.merge(id, { ...options, into, isAll: call.has("all") }));
  },
  text: ({ machine, name, type, pages }) => `${machine}/${name}: ${type}, ${pages} pages\n`,
});

const flatten = command({
  family: "snapshot",
  name: "flatten",
  summary: "make a snapshot stand alone: all that its chain holds becomes its own",
  details: "Those below stay as they are. Pages on disk are shared, not copied.",
  parameters: [SNAPSHOT],
  options: { ...LONG, ...STORE },
  example: "snapshot flatten web/more",
  result: SnapshotShape,
  async run(call) {
    const manager = await managerOf(call);
    const { id } = manager.find(call.text("SNAPSHOT") as string);
    return long(call, (options) => manager.flatten(id, options));
  },
  text: ({ machine, name, pages }) => `${machine}/${name}: full, ${pages} pages\n`,
});

const compact = command({
  family: "snapshot",
  name: "compact",
  summary: "give room on disk back that no snapshot needs any more",
  parameters: [],
  options: { ...LONG, ...STORE },
  example: "snapshot compact",
  result: z.object({ bytesBefore: z.number(), bytesAfter: z.number() }),
  async run(call) {
    const manager = await managerOf(call);
    const { bytesBefore, bytesAfter } = await long(call, (options) => manager.compact(options));
    return { bytesBefore, bytesAfter };
  },
  text: ({ bytesBefore, bytesAfter }) => `${bytesText(bytesBefore)} -> ${bytesText(bytesAfter)}\n`,
});

const prune = command({
  family: "snapshot",
  name: "prune",
  summary: "keep the last snapshots of each machine and fold older ones into them",
  details: "What stays holds the same as before. Those with a label `keep=...` are kept, too.",
  parameters: [{ name: "MACHINE", kind: "text", help: "only those of it", isOptional: true }],
  options: {
    keep: { value: "N", kind: "integer", least: 1, most: 256, help: "how many of each machine" },
    "dry-run": { help: "only say which would go" },
    ...LONG,
    ...STORE,
  },
  example: "snapshot prune web --keep 1",
  result: Removed.extend({ isDryRun: z.boolean() }),
  async run(call) {
    const keep = call.number("keep");
    if (keep === undefined) throw new UsageError("snapshot prune: --keep N is missing");
    const manager = await managerOf(call);
    const isDryRun = call.has("dry-run");
    const machine = call.text("MACHINE");
    const removed = await long(call, (options) =>
      manager.prune({ ...options, keep, machine, isDryRun }),
    );
    return { removed, isDryRun };
  },
  text: ({ removed, isDryRun }) => {
    if (removed.length === 0) return "nothing to remove\n";
    return removed.map((name) => `${name}: ${isDryRun ? "would go" : "removed"}\n`).join("");
  },
});

const exportCommand = command({
  family: "snapshot",
  name: "export",
  summary: "write a snapshot, with all that it builds on, into one file",
  parameters: [SNAPSHOT, { name: "FILE", kind: "file", help: "the file to write" }],
  options: { force: { help: "take the place of a file that is there" }, ...LONG, ...STORE },
  example: "snapshot export web/base base.rvs",
  result: z.object({ file: z.string(), bytes: z.number() }),
  async run(call) {
    const manager = await managerOf(call);
    const { id } = manager.find(call.text("SNAPSHOT") as string);
    const file = call.path("FILE") as string;
    const isReplacing = call.has("force");
    const bytes = await long(call, (options) =>
      call.fleet.snapshots.exportTo(manager, id, file, { ...options, isReplacing }),
    );
    return { file, bytes };
  },
  text: ({ file, bytes }) => `${file}: ${bytesText(bytes)}\n`,
});

const importCommand = command({
  family: "snapshot",
  name: "import",
  summary: "take a snapshot from a file that `snapshot export` wrote",
  parameters: [{ name: "FILE", kind: "file", help: "the file to read" }],
  options: {
    name: { value: "NAME", kind: "text", help: "another name for it" },
    ...LONG,
    store: {
      ...STORE.store,
      help: "the store; it is mounted first, and made when it is not there",
    },
  },
  example: "snapshot import base.rvs --name other",
  result: SnapshotShape,
  async run(call) {
    const manager = await managerOf(call, true);
    const file = call.path("FILE") as string;
    const name = call.text("name");
    return long(call, (options) =>
      call.fleet.snapshots.importFrom(manager, file, { ...options, name }),
    );
  },
  text: ({ machine, name, pages }) => `${machine}/${name}: ${pages} pages\n`,
});

/** These commands, in the order of help. */
export const keepCommands: readonly CommandSpec[] = [
  mountStore,
  remove,
  rename,
  label,
  merge,
  flatten,
  compact,
  prune,
  exportCommand,
  importCommand,
];
