/**
 * suites/migration: what it takes to move a machine of 256 MiB: within a host, to another process
 * over loopback, back again; beside QEMU with the same guest over the same loopback.
 *
 * Used by run.
 * Holds   both ends are processes of their own. The guest's pause is seen in its own output: from
 *         the last byte here to the first one there. QEMU is given up after `QEMU_SECONDS`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Host,
  type Machine,
  type MigrateOptions,
  MigrationManager,
  type MigrationProgress,
  moveLocally,
  nodeLinks,
} from "../../src/node.ts";
import { migrationGuest } from "../migration-guest.ts";
import { type QemuMove, qemuMove } from "../migration-qemu.ts";
import { sharedMs, type WorkerNews, type WorkerOrder } from "../migration-worker.ts";
import { type Plan, rounds } from "../plan.ts";
import { Canary, type Progress } from "../progress.ts";
import { type CaseResult, figureOf, type Promised, promisedOf } from "../report.ts";
import { median } from "../statistics.ts";

const SUITE = "migration";
const WORKER = fileURLToPath(new URL("../migration-worker.js", import.meta.url));
const MEBIBYTE = 1 << 20;
const MEMORY_MIB = 256;
const RANDOM_MIB = 240;
const LOCAL_MOVES = 300;
const SESSIONS = 64;
/** Totals are of so many runs; QEMU's of as many, those that may not converge of fewer. */
const TOTALS = 5;
const QEMU_HOT = 2;
const QEMU_SECONDS = 20;
/** After its boot a guest has been compiled. */
const WARM_MS = 300;
/** How fast the guest is alone is seen over so long; its progress in windows of so long. */
const ALONE_MS = 200;
const WINDOW_MS = 100;

const promised = (figure: Omit<Promised, "suite">) => promisedOf({ suite: SUITE, ...figure });
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** How a move to the other process went. */
interface Move {
  readonly kind: string;
  readonly progress: MigrationProgress;
  /** Before the last round, what was foretold. */
  readonly predictedMs: number | null;
  readonly gapMs: number;
  /** Instructions over those of the guest alone in the same time; the least of any window. */
  readonly part: number;
  readonly leastPart: number;
}

/** This process and the one that machines go to. */
class Ends {
  readonly host: Host;
  readonly manager: MigrationManager;
  readonly #child: ChildProcess;
  readonly #news: ((news: WorkerNews) => void)[] = [];
  readonly spoken = new Map<string, number>();
  address = "";
  own = "";
  arrived: Machine | null = null;
  #count = 0;

  private constructor(host: Host, manager: MigrationManager, child: ChildProcess) {
    this.host = host;
    this.manager = manager;
    this.#child = child;
    child.on("message", (news: WorkerNews) => {
      if (news.is === "spoke") this.spoken.set(news.name, news.atMs);
      else this.#news.shift()?.(news);
    });
  }

  static async open(): Promise<Ends> {
    const host = await Host.create({ machinesMax: 70 });
    const arrived = (machine: Machine) => {
      ends.arrived = machine;
    };
    const manager = await MigrationManager.create({ host, door: nodeLinks(), arrived });
    const child = fork(WORKER, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const ends: Ends = new Ends(host, manager, child);
    const news = await ends.#next();
    ends.address = news.is === "listening" ? news.address : "";
    ends.own = (await manager.listen("tcp://127.0.0.1:0")).address;
    return ends;
  }

  #next(): Promise<WorkerNews> {
    return new Promise((resolve) => this.#news.push(resolve));
  }

  order(order: WorkerOrder): Promise<WorkerNews> {
    this.#child.send(order);
    return this.#next();
  }

  /** A guest that has said R, and runs. */
  async boot(kernel: Uint8Array, memoryMib: number, clock: "virtual" | "host"): Promise<Machine> {
    const name = `guest${++this.#count}`;
    const config = { kernel, memoryBytes: memoryMib * MEBIBYTE, clock, name };
    const machine = this.host.createMachine(config);
    const isReady = new Promise<void>((resolve) => {
      const stop = machine.console.onOutput(() => {
        stop();
        resolve();
      });
    });
    await machine.boot();
    void machine.run().catch(() => {});
    await isReady;
    await later(WARM_MS);
    return machine;
  }

  /** Moves a machine away and clears the other process. */
  async move(machine: Machine, options: MigrateOptions, isPostcopy = false): Promise<Move> {
    const alone = machine.instructions;
    const aloneMs = performance.now();
    await later(ALONE_MS);
    const rate = (machine.instructions - alone) / (performance.now() - aloneMs);
    let lastByteMs = 0;
    const stop = machine.console.onOutput(() => {
      lastByteMs = sharedMs();
    });
    const beganMs = performance.now();
    let [windowMs, windowCount, leastPart] = [beganMs, machine.instructions, 1];
    const began = machine.instructions;
    const look = setInterval(() => {
      if (machine.state === "terminated") return; // it runs there
      const nowMs = performance.now();
      const part = (machine.instructions - windowCount) / ((nowMs - windowMs) * rate);
      leastPart = Math.min(leastPart, part);
      [windowMs, windowCount] = [nowMs, machine.instructions];
    }, WINDOW_MS);
    const session = await this.manager.start(machine, this.address, options);
    if (isPostcopy) session.convergence.postcopy();
    const result = await session.ended;
    clearInterval(look);
    stop();
    const ms = performance.now() - beganMs;
    const part = (machine.instructions - began) / (ms * rate);
    for (let turn = 0; lastByteMs > 0 && !this.spoken.has(machine.name) && turn < 500; turn++) {
      await later(2);
    }
    const spokeMs = this.spoken.get(machine.name) ?? 0;
    const { progress } = session;
    const gapMs = lastByteMs > 0 ? spokeMs - lastByteMs : (progress.downtimeMs ?? 0);
    const predictedMs = progress.expectedDowntimeMs;
    return { kind: result.kind, progress, predictedMs, gapMs, part, leastPart };
  }

  async clear(): Promise<void> {
    await this.order({ do: "clear" });
    for (const machine of this.host.machines) machine.dispose();
    this.spoken.clear();
  }

  async close(): Promise<void> {
    await this.manager.close();
    this.host.dispose();
    this.#child.kill();
  }
}

/** Milliseconds that so many bytes take over loopback, from one end of a socket to the other. */
async function rawTcpMs(bytes: number): Promise<number> {
  const piece = new Uint8Array(MEBIBYTE);
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      let left = bytes;
      socket.on("data", (part) => {
        left -= part.length;
        if (left > 0) return;
        resolve(performance.now() - beganMs);
        socket.destroy();
        server.close();
      });
    });
    let beganMs = 0;
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const socket = connect(port, "127.0.0.1", () => {
        beganMs = performance.now();
        let sent = 0;
        const more = () => {
          while (sent < bytes) {
            sent += piece.length;
            if (!socket.write(piece)) return void socket.once("drain", more);
          }
        };
        more();
      });
    });
  });
}

async function localCases(ends: Ends, progress: Progress): Promise<CaseResult[]> {
  progress.show(`migration: ${LOCAL_MOVES} local moves`);
  const kernel = migrationGuest({ fillMib: RANDOM_MIB, hotMib: 0 });
  let machine = await ends.boot(kernel, MEMORY_MIB, "virtual");
  const values: number[] = [];
  const canary = new Canary();
  for (let move = 0; move < LOCAL_MOVES; move++) {
    const moved = await moveLocally(ends.host, machine);
    machine.dispose();
    machine = moved.machine;
    void machine.run().catch(() => {});
    values.push(moved.downtimeMs);
    await later(2);
  }
  progress.show(`migration: local moves: ${canary.end()}`);
  await ends.clear();
  const blackout = { unit: "ms", values };
  return [
    promised({ ...blackout, case: "local move, p50", must: 1, aim: 0.3 }),
    promised({ ...blackout, case: "local move, p99", part: 0.99, must: 3, aim: 1 }),
  ];
}

async function idleCases(ends: Ends, folder: string, progress: Progress): Promise<CaseResult[]> {
  const kernel = migrationGuest({ fillMib: RANDOM_MIB, hotMib: 0 });
  const elf = join(folder, "idle.elf");
  writeFileSync(elf, kernel);
  const [totals, ratios, raws, gaps, qemuTotals, qemuGaps]: number[][] = [[], [], [], [], [], []];
  for (let run = 0; run < TOTALS; run++) {
    progress.show(`migration: idle, ${run + 1} of ${TOTALS}`);
    const machine = await ends.boot(kernel, MEMORY_MIB, "host");
    const move = await ends.move(machine, {});
    await ends.clear();
    const rival = await qemuMove(elf, MEMORY_MIB, 300, QEMU_SECONDS);
    totals.push(move.progress.totalMs);
    gaps.push(move.gapMs);
    qemuTotals.push(rival.totalMs);
    if (rival.gapMs !== null) qemuGaps.push(rival.gapMs);
    ratios.push(move.progress.totalMs / rival.totalMs);
    raws.push(move.progress.totalMs / (await rawTcpMs(RANDOM_MIB * MEBIBYTE)));
  }
  const qemu = (values: number[]) =>
    values.length === 0 ? [] : [{ name: "QEMU", value: median(values) }];
  return [
    figureOf({
      ...{ suite: SUITE, case: "idle, 240 MiB random: total", unit: "ms" },
      ...{ values: totals, isMoreBetter: false },
    }),
    promised({
      ...{ case: "the same, over QEMU's", unit: "", values: ratios, must: 1, aim: 0.5 },
      rivals: qemu(qemuTotals),
    }),
    figureOf({
      ...{ suite: SUITE, case: "the same, over raw TCP", unit: "" },
      ...{ values: raws, isMoreBetter: false },
    }),
    promised({
      ...{ case: "idle: gap in its output", unit: "ms", values: gaps, must: 20, aim: 10 },
      rivals: qemu(qemuGaps),
    }),
  ];
}

/** What QEMU took for something, where it ran. */
const rivalOf = (rivals: readonly QemuMove[], pick: (move: QemuMove) => number) =>
  rivals.length === 0 ? [] : [{ name: "QEMU", value: median(rivals.map(pick)) }];

/** Of a guest that writes again and again: how often a promise was broken. */
function brokenPromises(
  name: string,
  limitMs: number,
  missesMost: number,
  moves: readonly Move[],
  rivals: readonly QemuMove[],
): CaseResult[] {
  const done = moves.filter(({ kind }) => kind === "completed");
  const over = done.filter(({ progress }) => (progress.downtimeMs ?? 0) > limitMs).length;
  const predictedOver = done.filter(({ predictedMs }) => (predictedMs ?? 0) > limitMs).length;
  const share = (of: string, count: number, must: number) => {
    const values = [count / Math.max(1, moves.length)];
    return promised({ case: `${name}: ${of}`, unit: "of all", values, must, aim: 0 });
  };
  const stuck = rivals.filter(({ hasConverged }) => !hasConverged).length;
  const notMoved = share("not moved", moves.length - done.length, 0);
  const beside = rivals.length === 0 ? [] : [{ name: "QEMU", value: stuck / rivals.length }];
  return [
    { ...notMoved, rivals: beside },
    share("predicted over", predictedOver, 0),
    share("over the limit", over, Number((missesMost / 30).toFixed(3))),
  ];
}

/** What the moves of such a guest took, and what they left it. */
function costs(
  name: string,
  hotMib: number,
  moves: readonly Move[],
  rivals: readonly QemuMove[],
): CaseResult[] {
  const done = moves.filter(({ kind }) => kind === "completed");
  if (done.length === 0) return [];
  const figure = (of: string, unit: string, pick: (move: Move) => number) => {
    const values = done.map(pick);
    return figureOf({ suite: SUITE, case: `${name}: ${of}`, unit, values, isMoreBetter: false });
  };
  const promise = (of: string, must: number, aim: number, pick: (move: Move) => number) =>
    promised({ case: `${name}: ${of}`, unit: "", values: done.map(pick), must, aim });
  const hotBytes = hotMib * MEBIBYTE;
  const sent = promise("sent over hot", 3, 2, (one) => one.progress.ram.transferred / hotBytes);
  const downtime = figure("downtime", "ms", (one) => one.progress.downtimeMs ?? 0);
  const total = figure("total", "ms", (one) => one.progress.totalMs);
  return [
    { ...downtime, rivals: rivalOf(rivals, (one) => one.downtimeMs) },
    { ...total, rivals: rivalOf(rivals, (one) => one.totalMs) },
    { ...sent, rivals: rivalOf(rivals, (one) => one.bytes / hotBytes) },
    figure("rounds", "", (one) => one.progress.ram.dirtySyncCount),
    promise("kept from the guest", 0.6, 0.4, ({ part }) => 1 - part),
    promise("in any 100 ms", 0.9, 0.8, ({ leastPart }) => 1 - leastPart),
  ];
}

async function hotCases(
  ends: Ends,
  folder: string,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [hotMib, limitMs, missesMost] of [
    [16, 300, 1],
    [16, 30, 1],
    [16, 10, 3],
    [64, 10, 3],
  ] as const) {
    const name = `${hotMib} MiB hot, ${limitMs} ms`;
    const kernel = migrationGuest({ fillMib: 0, hotMib });
    const elf = join(folder, `hot${hotMib}.elf`);
    writeFileSync(elf, kernel);
    const moves: Move[] = [];
    const canary = new Canary();
    for (const round of rounds(plan, () => performance.now())) {
      progress.show(`migration: ${name}, ${round + 1} of ${plan.pairs}`);
      const machine = await ends.boot(kernel, MEMORY_MIB, "virtual");
      moves.push(await ends.move(machine, { downtimeLimitMs: limitMs }));
      await ends.clear();
    }
    progress.show(`migration: ${name}: ${canary.end()}`);
    const rivals: QemuMove[] = [];
    for (let run = 0; run < QEMU_HOT; run++) {
      rivals.push(await qemuMove(elf, MEMORY_MIB, limitMs, QEMU_SECONDS));
    }
    results.push(...brokenPromises(name, limitMs, missesMost, moves, rivals));
    results.push(...costs(name, hotMib, moves, rivals));
  }
  return results;
}

async function postcopyCases(ends: Ends, plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const hotMib = 64;
  const kernel = migrationGuest({ fillMib: 0, hotMib });
  const [starts, faults]: number[][] = [[], []];
  for (const round of rounds(plan, () => performance.now())) {
    progress.show(`migration: post-copy, ${round + 1} of ${plan.pairs}`);
    const machine = await ends.boot(kernel, MEMORY_MIB, "virtual");
    const { progress: figures } = await ends.move(machine, { downtimeLimitMs: 10_000 }, true);
    starts.push(figures.downtimeMs ?? 0);
    faults.push(figures.ram.postcopyRequests / ((hotMib * MEBIBYTE) / 4096));
    await ends.clear();
  }
  return [
    promised({
      ...{ case: "post-copy: until it runs there", unit: "ms", values: starts, must: 30, aim: 15 },
    }),
    promised({
      ...{ case: "post-copy: faults over its pages", unit: "", values: faults },
      ...{ must: 0.2, aim: 0.1 },
    }),
  ];
}

async function backCase(ends: Ends, progress: Progress): Promise<CaseResult[]> {
  progress.show("migration: there and back");
  const kernel = migrationGuest({ fillMib: RANDOM_MIB, hotMib: 0 });
  const values: number[] = [];
  for (let run = 0; run < TOTALS; run++) {
    const machine = await ends.boot(kernel, MEMORY_MIB, "host");
    await ends.move(machine, {});
    const pages = Math.floor(RANDOM_MIB * 256 * 0.15);
    const news = await ends.order({ do: "back", address: ends.own, pages });
    if (news.is === "back") values.push(news.sentBytes / (RANDOM_MIB * MEBIBYTE));
    ends.arrived?.dispose();
    await ends.clear();
  }
  return [
    promised({
      ...{ case: "back, 15 % changed: sent", unit: "of RAM", values, must: 0.3, aim: 0.18 },
      rivals: [{ name: "QEMU", value: 1 }],
    }),
  ];
}

async function manyCases(ends: Ends, progress: Progress): Promise<CaseResult[]> {
  progress.show(`migration: ${SESSIONS} at once`);
  const kernel = migrationGuest({ fillMib: 12, hotMib: 0 });
  const size = 32;
  const rateOf = async (count: number) => {
    const machines: Machine[] = [];
    for (let index = 0; index < count; index++) {
      const machine = ends.host.createMachine({
        ...{ kernel, memoryBytes: size * MEBIBYTE, name: `many${count}-${index}` },
      });
      await machine.boot();
      await machine.run(30_000_000);
      machines.push(machine);
    }
    const beganMs = performance.now();
    const sessions = await Promise.all(
      machines.map((machine) => ends.manager.start(machine, ends.address, {})),
    );
    const results = await Promise.all(sessions.map(({ ended }) => ended));
    if (results.some(({ kind }) => kind !== "completed")) throw new Error(JSON.stringify(results));
    const ms = performance.now() - beganMs;
    const bytes = sessions.reduce((sum, one) => sum + one.progress.ram.transferred, 0);
    const totals = sessions.map((one) => one.progress.totalMs);
    await ends.clear();
    return { rate: bytes / ms, spread: Math.max(...totals) / Math.min(...totals) };
  };
  await rateOf(1);
  const ones: number[] = [];
  for (let run = 0; run < TOTALS; run++) ones.push((await rateOf(1)).rate);
  const many = await rateOf(SESSIONS);
  const values = [median(ones) / many.rate];
  return [
    promised({
      ...{ case: "one session's rate over 64's", unit: "", values, must: 1.43, aim: 1.25 },
    }),
    promised({
      ...{ case: "64: slowest over fastest", unit: "", values: [many.spread], must: 4, aim: 3 },
    }),
  ];
}

/** Everything about migration. */
export async function migrationSuite(plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-bench-"));
  const ends = await Ends.open();
  const results: CaseResult[] = [];
  const wants = (name: string) => plan.only.test(`migration ${name}`);
  try {
    if (wants("local")) results.push(...(await localCases(ends, progress)));
    if (wants("idle")) results.push(...(await idleCases(ends, folder, progress)));
    if (wants("hot")) results.push(...(await hotCases(ends, folder, plan, progress)));
    if (wants("postcopy")) results.push(...(await postcopyCases(ends, plan, progress)));
    if (wants("back")) results.push(...(await backCase(ends, progress)));
    if (wants("many")) results.push(...(await manyCases(ends, progress)));
    progress.done();
    return results;
  } finally {
    await ends.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
