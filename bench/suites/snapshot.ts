/**
 * suites/snapshot: what a running Debian of 256 MiB notices of its snapshots, and what they take:
 * COW, FULL, INCREMENTAL, going back, restoring, tracking; beside QEMU's savevm and loadvm, v86's
 * states, and one write of the same bytes.
 *
 * Used by run.
 * Holds   the guest runs while it is saved; its 96 MiB of data are random, so that nothing of them
 *         is shared or packed. A pause is what the manager says it was: from the guest's last
 *         instruction to the moment when it may go on.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Host,
  type Machine,
  openStoreDirectory,
  SnapshotManager,
  SnapshotStore,
  type StoreDirectory,
} from "../../src/node.ts";
import { readWholeFile } from "../../src/platform/node/files.ts";
import type { LinuxGuest } from "../contenders.ts";
import { boot, timed } from "../linux.ts";
import { type Plan, rounds } from "../plan.ts";
import type { Progress } from "../progress.ts";
import { QemuVm } from "../qemu-vm.ts";
import { type CaseResult, figureOf, type Promised, promisedOf, summarise } from "../report.ts";
import { v86Guest } from "../v86/guest.ts";
import { restoreState, saveState, v86Command } from "../v86/snapshots.ts";

const SUITE = "snapshot";
const MEBIBYTE = 1 << 20;
const PAGE_BYTES = 4096;
/** In a file system of its own: the root takes half of RAM at most. */
const DATA =
  "mount -t tmpfs -o size=120m none /tmp && dd if=/dev/urandom of=/tmp/data bs=1M count=96";
const SMALL = "dd if=/dev/urandom of=/tmp/small bs=1M count=16 conv=notrunc";
/** What the guest does while it is tracked. */
const STEADY = "sha256sum /tmp/data";
const QUICK_SAMPLES = 120;
/** Before them: JavaScript that runs for the first time is compiled first. */
const WARM_SAMPLES = 300;
/** Machines are put back again and again: the first few are printed on their own. */
const REVERTS = 1500;
const WRITE_BYTES = 4 * MEBIBYTE;
/** 704 KiB, as in-VMM fuzzing resets. */
const REVERT_PAGES = 176;
const LEVELS_MAX = 32;
/** Of the run with tracking: between two harvests (a tenth of a second or so), and in all. */
const HARVEST_INSTRUCTIONS = 50_000_000;
const TRACKED_INSTRUCTIONS = 300_000_000;

/** What the rivals take, in milliseconds; nothing without their programs. */
interface Rivals {
  readonly save: { name: string; value: number }[];
  readonly paused: { name: string; value: number }[];
  readonly load: { name: string; value: number }[];
}

const now = () => performance.now();
const promised = (figure: Omit<Promised, "suite">) => promisedOf({ suite: SUITE, ...figure });

/** QEMU and v86, each with the same data in its guest. */
async function measureRivals(guest: LinuxGuest, progress: Progress): Promise<Rivals> {
  progress.show("snapshot: QEMU");
  const vm = await QemuVm.boot(guest);
  const rivals: Rivals = { save: [], paused: [], load: [] };
  try {
    await timed(vm.console, DATA);
    const saved = await vm.monitor("savevm one");
    rivals.save.push({ name: "QEMU savevm", value: saved.totalMs });
    rivals.paused.push({ name: "QEMU savevm", value: saved.pausedMs || saved.totalMs });
    const loaded = await vm.monitor("loadvm one");
    rivals.load.push({ name: "QEMU loadvm", value: loaded.totalMs });
  } finally {
    await vm.end();
  }
  progress.show("snapshot: v86");
  const other = await boot(v86Command(await v86Guest((step) => progress.show(step))));
  try {
    await timed(other, DATA);
    const { ms } = await saveState(other);
    rivals.save.push({ name: "v86 save_state", value: ms });
    rivals.paused.push({ name: "v86 save_state", value: ms });
    rivals.load.push({ name: "v86 restore_state", value: (await restoreState(other)).ms });
  } finally {
    await other.kill();
  }
  return rivals;
}

/** A Debian that runs, with its data. */
class Running {
  readonly host: Host;
  readonly machine: Machine;
  #run: Promise<unknown>;

  private constructor(host: Host, machine: Machine) {
    this.host = host;
    this.machine = machine;
    this.#run = machine.run();
  }

  static async boot(guest: LinuxGuest, clock: "host" | "virtual"): Promise<Running> {
    const [kernel, initrd] = [await readWholeFile(guest.kernel), await readWholeFile(guest.initrd)];
    const host = await Host.create({ machinesMax: 64 });
    const machine = host.createMachine({
      ...{ kernel, initrd, append: guest.append, agent: true },
      ...{ memoryBytes: "256M", consoleInput: "open", clock },
    });
    await machine.boot();
    const running = new Running(host, machine);
    await running.do(DATA);
    return running;
  }

  async do(command: string): Promise<void> {
    const { status } = await this.machine.exec(command);
    if (status !== 0) throw new Error(`${command}: status ${status}`);
  }

  /** Lets the guest run for a while. */
  async breathe(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async end(): Promise<void> {
    this.machine.stop();
    await this.#run;
    this.host.dispose();
  }
}

/** Milliseconds that one write of so many bytes and its fdatasync take, in the same folder. */
async function writeMs(folder: string, bytes: number): Promise<number> {
  const path = join(folder, "yardstick");
  const part = new Uint8Array(WRITE_BYTES);
  for (let at = 0; at < part.length; at += 65_536) {
    crypto.getRandomValues(part.subarray(at, at + 65_536));
  }
  const begin = now();
  const file = await open(path, "w");
  for (let done = 0; done < bytes; done += part.length) {
    await file.write(part, 0, Math.min(part.length, bytes - done));
  }
  await file.datasync();
  await file.close();
  const ms = now() - begin;
  rmSync(path);
  return ms;
}

/** A directory that counts reads of its files. */
class CountedDirectory {
  readonly directory: StoreDirectory;
  reads = 0;

  constructor(directory: StoreDirectory) {
    this.directory = new Proxy(directory, {
      get: (target, name) => {
        const own = Reflect.get(target, name);
        if (typeof own !== "function") return own;
        return name === "open" ? (path: string) => this.#open(path) : own.bind(target);
      },
    });
    this.#open = (path) => {
      const file = directory.open(path);
      const read = (offset: number, target: Uint8Array) => {
        this.reads++;
        return file.read(offset, target);
      };
      return new Proxy(file, {
        get: (_, name) => {
          const own = Reflect.get(file, name);
          if (name === "read") return read;
          return typeof own === "function" ? own.bind(file) : own;
        },
      });
    };
  }

  readonly #open: StoreDirectory["open"];
}

interface Bench {
  readonly guest: LinuxGuest;
  readonly running: Running;
  readonly manager: SnapshotManager;
  readonly folder: string;
  readonly counted: CountedDirectory;
  readonly rivals: Rivals;
  readonly plan: Plan;
  readonly progress: Progress;
}

async function cow({ running, manager, rivals, progress }: Bench): Promise<CaseResult[]> {
  const [first, pauses]: number[][] = [[], []];
  for (let sample = -WARM_SAMPLES; sample < QUICK_SAMPLES; sample++) {
    progress.show("snapshot: cow", String(sample));
    const { pauseMs, id } = await manager.create(running.machine, { type: "cow", digest: false });
    if (sample >= 0) pauses.push(pauseMs);
    else if (first.length < QUICK_SAMPLES) first.push(pauseMs);
    await running.breathe(10);
    await manager.remove(id);
  }
  const figure = { unit: "ms", values: pauses, rivals: rivals.paused.slice(-1) };
  return [
    promised({ ...figure, case: "cow pause", must: 0.5, aim: 0.1 }),
    promised({ ...figure, case: "cow pause p99", part: 0.99, must: 2, aim: 0.5 }),
    figureOf({
      ...{ suite: SUITE, case: `cow pause, the first ${QUICK_SAMPLES}`, unit: "ms" },
      ...{ values: first, isMoreBetter: false },
    }),
  ];
}

/** Saves round by round; `before` is what the guest does first. */
async function saves(
  bench: Bench,
  type: "full" | "incremental",
  before: string | null,
): Promise<{ pauses: number[]; totals: number[]; yardsticks: number[] }> {
  const { running, manager, folder, plan, progress } = bench;
  const found = { pauses: [] as number[], totals: [] as number[], yardsticks: [] as number[] };
  for (const round of rounds(plan, now)) {
    progress.show(`snapshot: ${type}`, `${round + 1} of ${plan.pairs}`);
    if (before !== null) await running.do(before);
    const made = await manager.create(running.machine, { type, digest: false });
    found.pauses.push(made.pauseMs);
    found.totals.push(made.totalMs);
    found.yardsticks.push(await writeMs(folder, made.bytes.onDisk));
    if (type === "full") await manager.remove(made.id);
  }
  return found;
}

function total(name: string, found: Awaited<ReturnType<typeof saves>>, less: number, aim: number) {
  const ratios = found.totals.map((ms, round) => (ms - less) / found.yardsticks[round]);
  return summarise({
    ...{ suite: SUITE, case: name, unit: "ms", values: found.totals },
    ...{ rival: "write + fdatasync", rivalValues: found.yardsticks, ratios },
    ...{ isMoreBetter: false, must: 1.5, aim },
  });
}

async function full(bench: Bench): Promise<CaseResult[]> {
  const found = await saves(bench, "full", null);
  const { paused, save } = bench.rivals;
  return [
    promised({
      ...{ case: "full pause", unit: "ms", values: found.pauses, must: 2, aim: 1 },
      rivals: paused,
    }),
    total("full total", found, 0, 1.3),
    ...save.map(({ name, value }) =>
      figureOf({
        ...{ suite: SUITE, case: `full, ${name}`, unit: "ms", values: [value] },
        isMoreBetter: false,
      }),
    ),
  ];
}

async function incremental(bench: Bench): Promise<CaseResult[]> {
  const { manager, running } = bench;
  const base = await manager.create(running.machine, { type: "full", digest: false });
  // a chain has 32 levels
  const plan = { ...bench.plan, pairs: Math.min(bench.plan.pairs, LEVELS_MAX - 1) };
  const found = await saves({ ...bench, plan }, "incremental", SMALL);
  return [
    promised({
      ...{ case: "incremental pause", unit: "ms", values: found.pauses, must: 1, aim: 0.5 },
      rivals: bench.rivals.paused.slice(-1),
    }),
    // 5 ms beside what the bytes take
    total("incremental total less 5 ms", found, 5, 1.2),
    await loads(bench, base.id),
  ];
}

/** Reads of files per page of the snapshot at the end of a full chain, over those of its first. */
async function loads({ running, manager, counted }: Bench, first: string): Promise<CaseResult> {
  let last = manager.current(running.machine);
  while (last !== null && last.level < LEVELS_MAX) {
    await running.do("date > /tmp/now");
    last = await manager.create(running.machine, { type: "incremental", digest: false });
  }
  const perPage = async (id: string) => {
    const reader = await manager.store.reader(id);
    const target = new Uint8Array(PAGE_BYTES);
    const pages = reader.pages(0);
    const before = counted.reads;
    for (const page of pages) await reader.read(0, page, target);
    await reader.close();
    return (counted.reads - before) / pages.length;
  };
  const values = [(await perPage(last?.id ?? first)) / (await perPage(first))];
  const name = `loads per page, depth ${last?.level} over 1`;
  return promised({ case: name, unit: "ratio", values, must: 1, aim: 1 });
}

/** Back to where it was after 704 KiB were dirtied. */
async function reverts({ running, manager, progress }: Bench): Promise<CaseResult[]> {
  const { machine } = running;
  machine.pause();
  const { id } = await manager.create(machine, { type: "full", digest: false });
  const values: number[] = [];
  const { memory, ramPages } = machine.view;
  for (let sample = 0; sample < REVERTS; sample++) {
    if (sample % 100 === 0) progress.show("snapshot: revert", String(sample));
    for (let turn = 0; turn < REVERT_PAGES; turn++) {
      const page = (sample * 977 + turn * 13) % ramPages;
      memory.writeU64(0x8000_0000 + page * PAGE_BYTES, BigInt(sample));
    }
    const begin = now();
    const { isRemapped } = await manager.revert(machine, id);
    values.push((now() - begin) * 1000);
    if (!isRemapped) throw new Error("the snapshot's frames are gone");
  }
  machine.resume();
  await manager.remove(id); // or the next full one would find its pages in the store
  const cold = { suite: SUITE, case: `revert, the first ${QUICK_SAMPLES}`, unit: "us" };
  return [
    promised({ case: "revert of 704 KiB", unit: "us", values, must: 200, aim: 20 }),
    figureOf({ ...cold, values: values.slice(0, QUICK_SAMPLES), isMoreBetter: false }),
  ];
}

/** A new machine of a snapshot: until it executes, and until every page is there and checked. */
async function restores(bench: Bench): Promise<CaseResult[]> {
  const { running, manager, rivals, plan, progress } = bench;
  const { id } = await manager.create(running.machine, { type: "full", digest: false });
  manager.forgetFrames();
  running.machine.pause();
  const first: number[] = [];
  const speeds: number[] = [];
  for (const round of rounds(plan, now)) {
    progress.show("snapshot: restore", `${round + 1} of ${plan.pairs}`);
    let begin = now();
    const lazy = await manager.restore(id, { name: `lazy-${round}`, lazy: true });
    lazy.machine.resume();
    await lazy.machine.run(1);
    first.push(now() - begin);
    lazy.machine.dispose();
    begin = now();
    const whole = await manager.restore(id, { name: `whole-${round}` });
    speeds.push((whole.pages * PAGE_BYTES) / 1e9 / ((now() - begin) / 1000));
    whole.machine.dispose();
  }
  running.machine.resume();
  const perSecond = speeds.map((speed) => 1 / speed);
  return [
    promised({
      ...{ case: "restore to first instruction", unit: "ms", values: first, must: 20, aim: 5 },
      rivals: rivals.load,
    }),
    // less is better: 0.3 and 0.5 GB/s turned over
    promised({
      ...{ case: "restore, all verified", unit: "s/GB", values: perSecond },
      ...{ must: 1 / 0.3, aim: 1 / 0.5 },
    }),
    ...rivals.load.map(({ name, value }) =>
      figureOf({
        ...{ suite: SUITE, case: `restore, ${name}`, unit: "ms", values: [value] },
        isMoreBetter: false,
      }),
    ),
  ];
}

/** The same stretch of the same guest, with tracking and without: exits, and CPU time. */
async function tracking({ guest, plan, progress }: Bench): Promise<CaseResult[]> {
  // under the virtual clock twins do the same, instruction by instruction
  const running = await Running.boot(guest, "virtual");
  const { machine } = running;
  const values: number[] = [];
  const rivalValues: number[] = [];
  const exits: number[] = [];
  await running.do(`(while :; do ${STEADY}; done) > /dev/null 2>&1 &`);
  machine.pause();
  for (const round of rounds(plan, now)) {
    progress.show("snapshot: tracking", `${round + 1} of ${plan.pairs}`);
    const seconds = [0, 0];
    const slow = [0, 0];
    for (const tracked of round % 2 === 0 ? [1, 0] : [0, 1]) {
      const [twin] = await machine.fork(1, { exact: true, names: [`twin-${round}-${tracked}`] });
      twin.resume(); // its parent stands still
      const log = tracked === 1 ? twin.view.openLog() : null;
      await twin.run(HARVEST_INSTRUCTIONS); // the first stores after the fork copy their pages
      const before = [twin.stats().busyMs, twin.stats().core.slowExits, twin.instructions];
      const end = twin.instructions + TRACKED_INSTRUCTIONS;
      let dirty = 0;
      while (twin.instructions < end) {
        for (const batch of log?.take() ?? []) dirty += batch.length;
        await twin.run(HARVEST_INSTRUCTIONS);
      }
      if (log !== null && dirty === 0) throw new Error("a guest that writes nothing");
      const done = (twin.instructions - before[2]) / 1e6;
      seconds[tracked] = (twin.stats().busyMs - before[0]) / done;
      slow[tracked] = (twin.stats().core.slowExits - before[1]) / done;
      twin.dispose();
    }
    values.push(seconds[1]);
    rivalValues.push(seconds[0]);
    exits.push(slow[1] / slow[0]);
  }
  machine.resume();
  await running.end();
  const rival = "tracking off";
  const common = { suite: SUITE, isMoreBetter: false, rival };
  return [
    summarise({
      ...{ ...common, case: "tracking, time", unit: "ms / 10^6", values, rivalValues },
      ...{ ratios: values.map((ms, round) => ms / rivalValues[round]), must: 1.03, aim: 1.01 },
    }),
    summarise({
      ...{ ...common, case: "tracking, slow exits", unit: "ratio", values: exits },
      ...{ rivalValues: exits.map(() => 1), ratios: exits, must: 1.01, aim: 1.001 },
    }),
  ];
}

const CASES: readonly [name: string, measure: (bench: Bench) => Promise<CaseResult[]>][] = [
  ["cow", cow],
  ["revert", reverts],
  ["tracking", tracking],
  ["full", full],
  ["incremental", incremental],
  ["restore", restores],
];

/** Every case that the plan wants. */
export async function snapshotSuite(
  guest: LinuxGuest,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  const wanted = CASES.filter(([name]) => plan.only.test(`snapshot ${name}`));
  if (wanted.length === 0) return [];
  const rivals = await measureRivals(guest, progress);
  const folder = mkdtempSync(join(process.env["TMPDIR"] ?? tmpdir(), "rivulet-snapshots-"));
  const running = await Running.boot(guest, "host");
  const counted = new CountedDirectory(await openStoreDirectory(join(folder, "store")));
  const store = await SnapshotStore.open(counted.directory, { platform: running.host.platform });
  const manager = new SnapshotManager(store, { host: running.host });
  try {
    const all: CaseResult[] = [];
    for (const [, measure] of wanted) {
      all.push(
        ...(await measure({ guest, running, manager, folder, counted, rivals, plan, progress })),
      );
    }
    return all;
  } finally {
    await manager.close();
    await running.end();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
    progress.done();
  }
}
