/**
 * snapshot-look: the commands of family `snapshot` that look and change nothing: list, info, tree,
 * current, parent, children, diff, verify, inspect.
 *
 * Used by commands/snapshot.ts.
 */
import { z } from "zod";
import type { SnapshotManager } from "../../index.ts";
import {
  CommandFailed,
  type CommandSpec,
  checkSignal,
  command,
  type ParameterSpec,
} from "../command.ts";
import { bytesText, durationText, pairs } from "../render.ts";
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
  snapshotTable,
  timeText,
  typeText,
  VM,
} from "./snapshot-text.ts";

type Shape = (typeof SnapshotShape)["_zod"]["output"];

const MACHINE: ParameterSpec = {
  name: "MACHINE",
  kind: "text",
  help: "only those of it; the machine need not be there",
  isOptional: true,
};

const EMPTY = "no snapshots; `snapshot create VM` makes one\n";

const list = command({
  family: "snapshot",
  name: "list",
  summary: "list snapshots, oldest first",
  parameters: [MACHINE],
  options: {
    label: { value: "KEY=VALUE", kind: "text", help: "only those with it", isRepeated: true },
    ...STORE,
  },
  example: "snapshot list",
  result: z.array(SnapshotShape),
  async run(call) {
    const manager = await managerOf(call);
    const wanted = Object.entries(labelsOf(call.all("label")));
    sayDamaged(call, manager);
    return manager
      .list(call.text("MACHINE"))
      .filter(({ labels }) => wanted.every(([key, value]) => labels[key] === value));
  },
  text(all, { fleet: { snapshots } }) {
    if (all.length === 0) return EMPTY;
    return snapshotTable(all, (id, machine) => snapshots.nameOf(id, machine));
  },
});

const InfoShape = SnapshotShape.extend({
  path: z.array(z.string()).describe("names from the first of its chain to it"),
  children: z.array(z.string()).describe("names"),
  machineShape: z
    .object({
      ramBytes: z.number(),
      harts: z.number(),
      mmu: z.string(),
      clock: z.string(),
      consoleDevice: z.string(),
      disks: z.array(z.object({ bytes: z.number(), isReadOnly: z.boolean() })),
    })
    .describe("what a machine for it is like"),
  sections: z.array(z.object({ name: z.string(), version: z.number(), bytes: z.number() })),
  ramPages: z.number().describe("that are not zero, of its whole chain"),
  diskBlocks: z.array(z.number()).describe("of 4096 bytes by disk, of its whole chain"),
  workingSetPages: z.number().describe("that a lazy restore reads first"),
});

const info = command({
  family: "snapshot",
  name: "info",
  summary: "say all about a snapshot",
  parameters: [SNAPSHOT],
  options: STORE,
  example: "snapshot info web/base",
  result: InfoShape,
  async run(call) {
    const manager = await managerOf(call);
    const snapshot = manager.find(call.text("SNAPSHOT") as string);
    const { id } = snapshot;
    const { shape, ...contents } = await manager.contents(id);
    const { ramBytes, harts, mmu, clock, consoleDevice } = shape;
    const disks = shape.disks.map(({ bytes, isReadOnly }) => ({ bytes, isReadOnly }));
    return {
      ...snapshot,
      path: manager.chain(id).map(({ name }) => name),
      children: manager.children(id).map(({ name }) => name),
      machineShape: { ramBytes, harts, mmu, clock, consoleDevice, disks },
      ...contents,
      sections: [...contents.sections],
      diskBlocks: [...contents.diskBlocks],
    };
  },
  text(one) {
    const { bytes } = one;
    const rows: (readonly [string, string])[] = [
      ["name", one.name],
      ["machine", one.machine],
      ["id", one.id],
      ["type", typeText(one)],
      ["chain", one.path.join(" -> ")],
      ["children", one.children.join(" ")],
      ["created", `${timeText(one.createdMs)} UTC`],
      ["guest time", durationText(one.ticks / 1e4)],
      ["instructions", `${one.instructions}`],
      ["digest", one.digest ?? ""],
      ["pages", `${one.pages} of its own; the machine has ${one.ramPages} that are not zero`],
      ["memory", `${bytesText(one.machineShape.ramBytes)}, ${one.machineShape.harts} harts`],
      ["disk blocks", one.diskBlocks.join(" ")],
      ["logical", bytesText(bytes.logical)],
      ["unique", bytesText(bytes.unique)],
      ["on disk", bytesText(bytes.onDisk)],
      ["working set", one.workingSetPages === 0 ? "" : `${one.workingSetPages} pages`],
      ["sections", one.sections.map(({ name, version }) => `${name} v${version}`).join(", ")],
      ["labels", labelsText(one.labels)],
      ["notes", one.notes],
      ["in memory", one.isRetained ? "its frames are still here" : ""],
    ];
    return `${pairs(
      rows.filter(([, text]) => text !== ""),
      "",
    )}\n`;
  },
});

/** Lines of a tree: each under its parent, with branches drawn. */
function treeLines(all: readonly Shape[], current: readonly (string | null)[]): string[] {
  const ids = new Set(all.map(({ id }) => id));
  const lines: string[] = [];
  const visit = (one: Shape, lead: string, branch: string, next: string): void => {
    const here = current.includes(one.id) ? "  <- the machine stands here" : "";
    lines.push(`${lead}${branch}${one.name} (${typeText(one)}, ${one.pages} pages)${here}`);
    const below = all.filter(({ parent }) => parent === one.id);
    for (const [index, child] of below.entries()) {
      const isLast = index === below.length - 1;
      visit(child, lead + next, isLast ? "└─ " : "├─ ", isLast ? "   " : "│  ");
    }
  };
  for (const machine of [...new Set(all.map((one) => one.machine))]) {
    const tops = all.filter((one) => {
      return one.machine === machine && (one.parent === null || !ids.has(one.parent));
    });
    // all of a restored machine's stand on another's
    if (tops.length > 0) lines.push(machine);
    for (const top of tops) visit(top, "", "  ", "  ");
  }
  return lines;
}

const tree = command({
  family: "snapshot",
  name: "tree",
  summary: "draw which snapshot builds on which",
  parameters: [MACHINE],
  options: STORE,
  example: "snapshot tree web",
  result: z.object({
    snapshots: z.array(SnapshotShape),
    current: z.array(z.string()).describe("ids that machines of this shell stand on"),
  }),
  async run(call) {
    const manager = await managerOf(call);
    sayDamaged(call, manager);
    const standing = call.fleet.vms.map(({ machine }) => manager.current(machine)?.id ?? null);
    return {
      snapshots: manager.list(call.text("MACHINE")),
      current: standing.filter((id) => id !== null),
    };
  },
  text({ snapshots, current }) {
    return snapshots.length === 0 ? EMPTY : `${treeLines(snapshots, current).join("\n")}\n`;
  },
});

const nameLine = (one: Shape | null): string =>
  one === null ? "none\n" : `${one.machine}/${one.name}\n`;

const current = command({
  family: "snapshot",
  name: "current",
  summary: "say on which snapshot a machine stands: what its next one builds on",
  parameters: [VM],
  options: {},
  example: "snapshot current web",
  result: z
    .object({
      snapshot: SnapshotShape,
      changedPages: z.number().describe("pages of RAM written since"),
    })
    .nullable(),
  async run(call) {
    const vm = call.vm();
    const manager = await managerOf(call);
    const snapshot = manager.current(vm.machine);
    if (snapshot === null) return null;
    return { snapshot, changedPages: manager.changedPages(vm.machine) };
  },
  text(result) {
    if (result === null) return "none\n";
    const { snapshot, changedPages } = result;
    return `${snapshot.machine}/${snapshot.name}, and ${changedPages} pages changed since\n`;
  },
});

const parent = command({
  family: "snapshot",
  name: "parent",
  summary: "say on which snapshot one builds",
  parameters: [SNAPSHOT],
  options: STORE,
  example: "snapshot parent web/base",
  result: SnapshotShape.nullable(),
  async run(call) {
    const manager = await managerOf(call);
    return manager.parent(manager.find(call.text("SNAPSHOT") as string).id);
  },
  text: nameLine,
});

const children = command({
  family: "snapshot",
  name: "children",
  summary: "list the snapshots that build on one",
  parameters: [SNAPSHOT],
  options: STORE,
  example: "snapshot children web/base",
  result: z.array(SnapshotShape),
  async run(call) {
    const manager = await managerOf(call);
    return manager.children(manager.find(call.text("SNAPSHOT") as string).id);
  },
  text: (all) => (all.length === 0 ? "none\n" : all.map(nameLine).join("")),
});

// ---- diff, verify, inspect ----

const RangeShape = z.object({ page: z.number(), count: z.number() });

/** Ascending numbers as runs. */
function runsOf(numbers: Uint32Array): z.output<typeof RangeShape>[] {
  const runs: { page: number; count: number }[] = [];
  for (const page of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last.page + last.count === page) last.count++;
    else runs.push({ page, count: 1 });
  }
  return runs;
}

const diff = command({
  family: "snapshot",
  name: "diff",
  summary: "say in which pages and disk blocks two snapshots differ",
  details:
    "Pages are numbered from 0x80000000, blocks from the start of the disk; 4096 bytes each.",
  parameters: [
    { ...SNAPSHOT, name: "FROM" },
    { ...SNAPSHOT, name: "TO" },
  ],
  options: STORE,
  example: "snapshot diff web/base web/more",
  result: z.object({
    from: z.string(),
    to: z.string(),
    ram: z.object({ pages: z.number(), runs: z.array(RangeShape) }),
    disks: z.array(z.object({ disk: z.number(), blocks: z.number(), runs: z.array(RangeShape) })),
    sections: z.array(z.string()).describe("devices and the like whose state differs"),
  }),
  async run(call) {
    const manager = await managerOf(call);
    const [from, to] = ["FROM", "TO"].map((name) => manager.find(call.text(name) as string));
    const found = await manager.diff(from.id, to.id, { signal: call.signal });
    return {
      from: from.name,
      to: to.name,
      ram: { pages: found.ram.length, runs: runsOf(found.ram) },
      disks: found.disks.map((blocks, disk) => {
        return { disk, blocks: blocks.length, runs: runsOf(blocks) };
      }),
      sections: [...found.sections],
    };
  },
  text({ ram, disks, sections }) {
    const lines = [`RAM: ${ram.pages} pages (${bytesText(ram.pages * 4096)})`];
    const place = ({ page, count }: { page: number; count: number }) =>
      `  0x${(0x8000_0000 + page * 4096).toString(16)}, ${count} page${count === 1 ? "" : "s"}`;
    lines.push(...ram.runs.slice(0, SHOWN).map(place));
    if (ram.runs.length > SHOWN)
      lines.push(`  and ${ram.runs.length - SHOWN} places more (--json)`);
    for (const { disk, blocks } of disks) {
      lines.push(`disk ${disk}: ${blocks} blocks (${bytesText(blocks * 4096)})`);
    }
    lines.push(`state: ${sections.length === 0 ? "the same" : sections.join(" ")}`);
    return `${lines.join("\n")}\n`;
  },
});
/** Places that people are shown. */
const SHOWN = 16;

const Finding = z.object({
  snapshot: z.string(),
  machine: z.string().nullable().describe("null where that cannot be read"),
  pages: z.number().describe("that were read and hashed"),
  problems: z.array(z.string()),
});

/** What lists leave out. */
function lost(damaged: SnapshotManager["damaged"]): z.output<typeof Finding>[] {
  return damaged.map(({ id, name, file, why }) => {
    const problem = why.startsWith(file) ? why : `${file}: ${why}`;
    return { snapshot: name ?? id ?? file, machine: null, pages: 0, problems: [problem] };
  });
}

const verify = command({
  family: "snapshot",
  name: "verify",
  summary: "check every page, parent and section of snapshots against its hash",
  details: `
Without SNAPSHOT, all of the store, those that lists leave out because they cannot be used, too.
Exit status 1 when anything is wrong.`,
  parameters: [{ ...SNAPSHOT, isOptional: true }],
  options: { ...LONG, ...STORE },
  example: "snapshot verify web/base",
  result: z.array(Finding),
  async run(call) {
    const manager = await managerOf(call);
    const text = call.text("SNAPSHOT");
    const chosen = text === undefined ? manager.list() : [manager.find(text)];
    const { end, ...long } = longOf(call);
    const findings = text === undefined ? lost(manager.damaged) : [];
    try {
      for (const { id, name, machine } of chosen) {
        const { pages, problems } = await manager.verify(id, long);
        findings.push({ snapshot: name, machine, pages, problems: [...problems] });
      }
    } catch (error) {
      checkSignal(call.signal);
      throw error;
    } finally {
      end();
    }
    const wrong = findings.filter(({ problems }) => problems.length > 0);
    if (wrong.length === 0) return findings;
    throw new CommandFailed(1, findings, `${wrong.length} of ${findings.length} are damaged`);
  },
  text: (findings) =>
    findings
      .flatMap(({ snapshot, machine, pages, problems }) => {
        const head = machine === null ? snapshot : `${machine}/${snapshot}`;
        if (problems.length === 0) return [`${head}: ${pages} pages, all as written`];
        return problems.map((problem) => `${head}: ${problem}`);
      })
      .map((line) => `${line}\n`)
      .join(""),
});

const inspect = command({
  family: "snapshot",
  name: "inspect",
  summary: "say why a snapshot can or cannot be restored on this host",
  details: `
Its parents, sections and their versions, its shape against what this host has: a machine is made of
it for the purpose, and disposed of. Its pages are not read: \`snapshot verify\` does that. Exit
status 1 when it cannot be restored.`,
  parameters: [SNAPSHOT],
  options: STORE,
  example: "snapshot inspect web/base",
  result: z.object({
    snapshot: z.string(),
    isRestorable: z.boolean(),
    problems: z.array(z.string()),
    disksToGive: z.array(z.number()).describe("slots of disks that the snapshot does not hold"),
    sections: z.array(z.string()),
  }),
  async run(call) {
    const manager = await managerOf(call);
    const { id, machine, name } = manager.find(call.text("SNAPSHOT") as string);
    const { isRestorable, problems, disksToGive, sections } = await manager.inspect(id);
    const result = {
      snapshot: `${machine}/${name}`,
      isRestorable,
      ...{ problems: [...problems], disksToGive: [...disksToGive], sections: [...sections] },
    };
    if (isRestorable) return result;
    throw new CommandFailed(1, result, "");
  },
  text: ({ snapshot, isRestorable, problems, disksToGive, sections }) => {
    const verdict = isRestorable ? "can be restored" : "cannot be restored";
    const rows: (readonly [string, string])[] = problems.map((one) => ["problem", one]);
    if (disksToGive.length > 0) rows.push(["needs", `--disk for slot ${disksToGive.join(", ")}`]);
    rows.push(["sections", sections.join(", ")]);
    return `${snapshot} ${verdict}\n${pairs(rows)}\n`;
  },
});

/** These commands, in the order of help. */
export const lookCommands: readonly CommandSpec[] = [
  list,
  info,
  tree,
  current,
  parent,
  children,
  diff,
  verify,
  inspect,
];
