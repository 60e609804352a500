/**
 * memory: the commands of family `memory`: where a machine's RAM is, who writes it, what is in it.
 *
 * Used by src/shell/registry.ts.
 * Holds   pages are looked at under a retained root: all as they were at one moment, while the
 *         guest runs on.
 */
import { z } from "zod";
import { memoryMap, type PageRun, type RetainedRoot, sharedPages, VmError } from "../../index.ts";
import {
  type Call,
  type CommandSpec,
  checkSignal,
  command,
  type ParameterSpec,
  UsageError,
} from "../command.ts";
import { type Progress, progressOf } from "../progress.ts";
import { bytesText, pairs, table } from "../render.ts";
import type { Vm } from "../vm.ts";
import { watchCommands } from "./memory-watch.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const PAGE_BYTES = 4096;
const RAM_BASE = 0x8000_0000;
const right = (name: string) => ({ name, align: "right" }) as const;

const addressOf = (page: number) => `0x${(RAM_BASE + page * PAGE_BYTES).toString(16)}`;

/** Where each page is; of a machine that is put away, none is here. */
function runsOf({ state, machine: { view } }: Vm): readonly PageRun[] {
  if (state === "suspended") return [{ page: 0, count: view.ramPages, state: "absent" }];
  return memoryMap(view);
}

/** Absent pages between two breaths. */
const BRING_STRIDE = 64;

/** Reads what is absent of a machine that was restored lazily. Throws Interrupted, "no-memory". */
async function bringAll(call: Call, { name, machine }: Vm): Promise<void> {
  const absent = memoryMap(machine.view).filter(({ state }) => state === "absent");
  const total = absent.reduce((sum, { count }) => sum + count, 0);
  const progress = progressOf(call);
  let done = 0;
  try {
    for (const { page, count } of absent) {
      for (let at = page; at < page + count; at++) {
        if ((await machine.pages.bring(at)) === "short") {
          throw new VmError("no-memory", `no frame is free for the memory of ${name}`);
        }
        if (++done % BRING_STRIDE !== 0) continue;
        progress.show("reading memory", (100 * done) / total);
        await breathe(call);
      }
    }
  } finally {
    progress.end();
  }
}

/**
 * Does `work` with all pages as they are now, none of them absent. Throws "bad-state" for a machine
 * that is suspended.
 */
async function withRoot<T>(
  call: Call,
  vm: Vm,
  work: (root: RetainedRoot) => T | Promise<T>,
): Promise<T> {
  vm.checkHere();
  await bringAll(call, vm);
  // it may be another one's, or put away, by now
  vm.checkHere();
  const root = vm.machine.view.retainRoot();
  try {
    return await work(root);
  } finally {
    root.release();
  }
}

/** Lets the guest and everybody else work for a moment. Throws Interrupted. */
async function breathe(call: Call): Promise<void> {
  await new Promise<void>((resolve) => call.world.after(0, resolve));
  checkSignal(call.signal);
}

// ---- stats, map, share ----

const StatsShape = z.object({
  vm: z.string(),
  ramBytes: z.number(),
  zeroPages: z.number().describe("never written"),
  herePages: z.number().describe("in frames"),
  absentPages: z.number().describe("in a snapshot, read when they are touched; put away"),
  frames: z.number().describe("named by it, tables and dirty logs included"),
  framesOwn: z.number().describe("of those, held by nobody else"),
});

function pagesIn(runs: readonly PageRun[], state: PageRun["state"]): number {
  return runs.reduce((sum, run) => sum + (run.state === state ? run.count : 0), 0);
}

function statsOf(vm: Vm): z.output<typeof StatsShape> {
  const { view } = vm.machine;
  const runs = runsOf(vm);
  return {
    vm: vm.name,
    ramBytes: view.ramPages * PAGE_BYTES,
    zeroPages: pagesIn(runs, "zero"),
    herePages: pagesIn(runs, "here"),
    absentPages: pagesIn(runs, "absent"),
    frames: view.frames,
    framesOwn: view.framesOwn,
  };
}

const stats = command({
  family: "memory",
  name: "stats",
  summary: "say how much of each machine's RAM is where",
  details: "Frames of 4096 bytes. Forks and snapshots share frames until somebody writes to them.",
  parameters: [{ ...VM, isOptional: true }],
  options: {},
  example: "memory stats web",
  isShellOnly: true,
  result: z.object({
    machines: z.array(StatsShape),
    frames: z.object({ total: z.number(), free: z.number() }),
  }),
  async run(call) {
    const { framesTotal: total, framesFree: free } = (await call.fleet.openHost()).stats();
    const vms = call.has("VM") ? [call.vm()] : call.fleet.vms;
    return { machines: vms.map(statsOf), frames: { total, free } };
  },
  text({ machines, frames }) {
    const bytes = (pages: number) => bytesText(pages * PAGE_BYTES);
    const rows = machines.map((one) => [
      one.vm,
      bytesText(one.ramBytes),
      ...[one.zeroPages, one.herePages, one.absentPages].map(bytes),
      ...[one.framesOwn, one.frames - one.framesOwn].map(bytes),
    ]);
    const columns = ["RAM", "ZERO", "HERE", "ABSENT", "OWN", "SHARED"].map(right);
    const pool = `pool: ${bytes(frames.total)}, ${bytes(frames.free)} free\n`;
    return machines.length === 0 ? pool : `${table(["VM", ...columns], rows)}${pool}`;
  },
});

/** Cells of the picture of `memory map`. */
const CELLS = 64 * 16;

/** How much of each cell is in memory: blank, dots, hashes; ? where something is absent. */
function picture(runs: readonly PageRun[], pages: number): string {
  const perCell = Math.max(1, Math.ceil(pages / CELLS));
  const cells = Math.ceil(pages / perCell);
  const here = new Float64Array(cells);
  const isAbsent = new Uint8Array(cells);
  for (const { page, count, state } of runs) {
    if (state === "zero") continue;
    for (let at = page; at < page + count; at++) {
      const cell = Math.floor(at / perCell);
      if (state === "here") here[cell]++;
      else isAbsent[cell] = 1;
    }
  }
  const signs = Array.from(here, (count, cell) => {
    if (isAbsent[cell] !== 0) return "?";
    if (count === 0) return ".";
    return count < perCell / 2 ? "+" : "#";
  });
  const lines = [`${bytesText(perCell * PAGE_BYTES)} a sign: . zero, + some, # most, ? absent`];
  for (let at = 0; at < cells; at += 64) {
    lines.push(`${addressOf(at * perCell)}  ${signs.slice(at, at + 64).join("")}`);
  }
  return `${lines.join("\n")}\n`;
}

const map = command({
  family: "memory",
  name: "map",
  summary: "draw which parts of a machine's RAM are in memory",
  parameters: [VM],
  options: {},
  example: "memory map web",
  result: z.object({
    pages: z.number(),
    runs: z.array(
      z.object({
        address: z.string(),
        pages: z.number(),
        state: z.enum(["zero", "here", "absent"]),
      }),
    ),
  }),
  async run(call) {
    const vm = call.vm();
    const { view } = vm.machine;
    const runs = runsOf(vm).map(({ page, count, state }) => {
      return { address: addressOf(page), pages: count, state };
    });
    return { pages: view.ramPages, runs };
  },
  text({ pages, runs }) {
    const plain = runs.map(({ address, pages: count, state }) => {
      return { page: (Number(address) - RAM_BASE) / PAGE_BYTES, count, state };
    });
    return picture(plain, pages);
  },
});

const share = command({
  family: "memory",
  name: "share",
  summary: "say how much memory machines share with each other",
  details: `
Pages in one frame under both machines: of forks, and of machines restored from one. Machines with
unequal RAM share nothing.`,
  parameters: [],
  options: {},
  example: "memory share",
  isShellOnly: true,
  result: z.object({
    machines: z.array(z.object({ vm: z.string(), ownBytes: z.number(), sharedBytes: z.number() })),
    pairs: z.array(z.object({ first: z.string(), second: z.string(), bytes: z.number() })),
  }),
  async run({ fleet: { vms } }) {
    const machines = vms.map(({ name, machine: { view } }) => {
      const ownBytes = view.framesOwn * PAGE_BYTES;
      return { vm: name, ownBytes, sharedBytes: view.frames * PAGE_BYTES - ownBytes };
    });
    const roots = vms.map((vm) => ({ name: vm.name, root: vm.machine.view.retainRoot() }));
    const found: { first: string; second: string; bytes: number }[] = [];
    try {
      for (const [index, { name: first, root }] of roots.entries()) {
        for (const { name: second, root: other } of roots.slice(index + 1)) {
          if (root.ramPages !== other.ramPages) continue;
          const bytes = sharedPages(root, other) * PAGE_BYTES;
          if (bytes > 0) found.push({ first, second, bytes });
        }
      }
    } finally {
      for (const { root } of roots) root.release();
    }
    return { machines, pairs: found };
  },
  text({ machines, pairs: found }) {
    if (machines.length === 0) return "no machines\n";
    const rows = machines.map(({ vm, ownBytes, sharedBytes }) => {
      return [vm, bytesText(ownBytes), bytesText(sharedBytes)];
    });
    const lines = found.map(({ first, second, bytes }) => {
      return `${first} and ${second} share ${bytesText(bytes)}\n`;
    });
    return `${table(["VM", right("OWN"), right("SHARED")], rows)}${lines.join("")}`;
  },
});

// ---- find, dump, hash ----

/** PATTERN as bytes. Throws UsageError. */
function patternOf(call: Call): Uint8Array {
  const text = call.text("PATTERN") as string;
  const isHex = call.has("hex");
  const accepted = isHex ? "pairs of hex digits" : "text of at least one character";
  if (isHex ? !/^([0-9a-f]{2})+$/i.test(text) : text === "") {
    throw new UsageError(`PATTERN "${text}": accepted is ${accepted}`);
  }
  const bytes = isHex
    ? Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
    : new TextEncoder().encode(text);
  if (bytes.length <= PAGE_BYTES) return bytes;
  throw new UsageError(`PATTERN of ${bytes.length} bytes: accepted are up to ${PAGE_BYTES}`);
}

/** Offsets of the pattern in the bytes. */
function* occurrences(bytes: Uint8Array, pattern: Uint8Array): Generator<number> {
  for (let at = bytes.indexOf(pattern[0]); at >= 0; at = bytes.indexOf(pattern[0], at + 1)) {
    if (at + pattern.length > bytes.length) return;
    let length = 1;
    while (length < pattern.length && bytes[at + length] === pattern[length]) length++;
    if (length === pattern.length) yield at;
  }
}

/** Numbers of the pages that are not zero. */
function pagesOf(root: RetainedRoot): number[] {
  const pages: number[] = [];
  for (const batch of root.pages()) pages.push(...batch);
  return pages;
}

/** Pages between two breaths. */
const STRIDE = 1024;

/** Finds the pattern in one moment's pages. */
async function search(
  call: Call,
  root: RetainedRoot,
  pattern: Uint8Array,
  most: number,
  progress: Progress,
) {
  const found: number[] = [];
  const pages = pagesOf(root);
  // the end of the page before, so that what lies across two is found
  let tail = new Uint8Array(0);
  let last = -1;
  for (const [index, page] of pages.entries()) {
    if (index % STRIDE === STRIDE - 1) {
      progress.show("searching", (100 * index) / pages.length);
      await breathe(call);
    }
    const here = root.page(page);
    if (here === null) continue;
    if (page !== last + 1) tail = new Uint8Array(0);
    const joined = new Uint8Array(tail.length + PAGE_BYTES);
    joined.set(tail);
    joined.set(here, tail.length);
    for (const at of occurrences(joined, pattern)) {
      if (found.length === most) return { found, isAll: false };
      found.push(RAM_BASE + page * PAGE_BYTES + at - tail.length);
    }
    tail = joined.slice(joined.length - pattern.length + 1);
    last = page;
  }
  return { found, isAll: true };
}

const find = command({
  family: "memory",
  name: "find",
  summary: "find bytes or text in a machine's RAM",
  details: `
Addresses are physical. All of RAM as it is at one moment is searched; pages that were never written
are not. Exit status 0 also when nothing is found.`,
  parameters: [VM, { name: "PATTERN", kind: "text", help: "text, or hex digits with --hex" }],
  options: {
    hex: { help: "PATTERN is pairs of hex digits, in memory order" },
    most: { value: "N", kind: "integer", least: 1, most: 100_000, help: "default 100" },
  },
  example: "memory find web Rivulet --most 3",
  result: z.object({
    addresses: z.array(z.string()),
    isAll: z.boolean().describe("false when there are more"),
  }),
  async run(call) {
    const pattern = patternOf(call);
    const most = call.number("most") ?? 100;
    const { found, isAll } = await withRoot(call, call.vm(), async (root) => {
      const progress = progressOf(call);
      try {
        return await search(call, root, pattern, most, progress);
      } finally {
        progress.end();
      }
    });
    return { addresses: found.map((address) => `0x${address.toString(16)}`), isAll };
  },
  text({ addresses, isAll }) {
    if (addresses.length === 0) return "not found\n";
    return `${addresses.join("\n")}\n${isAll ? "" : "and more; --most N shows them\n"}`;
  },
});

/** The part of RAM that --from and --length name, in whole pages. Throws UsageError. */
function partOf(call: Call, ramPages: number): { first: number; count: number } {
  const end = RAM_BASE + ramPages * PAGE_BYTES;
  const from = Number(call.address("from") ?? BigInt(RAM_BASE));
  const length = call.number("length") ?? end - from;
  const isWhole = from % PAGE_BYTES === 0 && length % PAGE_BYTES === 0;
  if (isWhole && from >= RAM_BASE && length > 0 && from + length <= end) {
    return { first: (from - RAM_BASE) / PAGE_BYTES, count: length / PAGE_BYTES };
  }
  const more = call.has("length") ? ` --length ${length}` : "";
  const given = `--from 0x${from.toString(16)}${more}`;
  const ram = `0x${RAM_BASE.toString(16)} to 0x${end.toString(16)}`;
  throw new UsageError(`${given}: accepted are whole pages of ${PAGE_BYTES} bytes in ${ram}`);
}

const dump = command({
  family: "memory",
  name: "dump",
  summary: "write a machine's RAM to a file, as it is at one moment",
  details: "The file is raw: byte n is that of physical address 0x80000000 + n, or --from + n.",
  parameters: [VM, { name: "FILE", kind: "file", help: "made anew, once all is written" }],
  options: {
    from: { value: "ADDRESS", kind: "address", help: "physical; default 0x80000000" },
    length: { value: "BYTES", kind: "bytes", least: PAGE_BYTES, help: "default: all from there" },
  },
  example: "memory dump web ram.bin --length 1M",
  result: z.object({ file: z.string(), bytes: z.number() }),
  async run(call) {
    const vm = call.vm();
    const file = call.path("FILE") as string;
    const { first, count } = partOf(call, vm.machine.view.ramPages);
    const progress = progressOf(call);
    await withRoot(call, vm, async (root) => {
      const sink = await call.world.openSink(file);
      let isWhole = false;
      try {
        for (let done = 0; done < count; done += STRIDE) {
          const pages = Math.min(STRIDE, count - done);
          const piece = new Uint8Array(pages * PAGE_BYTES);
          for (let index = 0; index < pages; index++) {
            const bytes = root.page(first + done + index);
            if (bytes !== null) piece.set(bytes, index * PAGE_BYTES);
          }
          await sink.write(piece);
          if (done > 0) progress.show("writing", (100 * done) / count);
          await breathe(call);
        }
        isWhole = true;
      } finally {
        progress.end();
        await sink.close(isWhole);
      }
    });
    return { file, bytes: count * PAGE_BYTES };
  },
  text: ({ file, bytes }) => `${file}: ${bytesText(bytes)}\n`,
});

const hash = command({
  family: "memory",
  name: "hash",
  summary: "hash a machine's RAM, or all that it is",
  details: `
ram covers every page that is not zero, as it is at this moment. state covers harts and devices
too, and equal ones are equal machines: it needs a machine that stands still.`,
  parameters: [VM],
  options: {},
  example: "memory hash web",
  result: z.object({ pages: z.number(), ram: z.string(), state: z.string().nullable() }),
  async run(call) {
    const vm = call.vm();
    const { ram, pages } = await withRoot(call, vm, (root) => {
      return { ram: digits(root.digest()), pages: pagesOf(root).length };
    });
    const isStill = vm.state !== "running";
    return { pages, ram, state: isStill ? vm.machine.stateDigest() : null };
  },
  text: ({ pages, ram, state }) => {
    const rows = [
      ["pages", `${pages}`],
      ["ram", ram],
      ["state", state ?? "it runs; `vm pause` lets it stand still"],
    ] as const;
    return `${pairs(rows, "")}\n`;
  },
});

function digits(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The family, in the order of its help. */
export const memoryFamily: readonly CommandSpec[] = [
  stats,
  map,
  ...watchCommands,
  share,
  find,
  dump,
  hash,
];
