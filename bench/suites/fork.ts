/**
 * suites/fork: what a fork of a running Debian of 256 MiB takes, in time and in memory; beside a
 * copy of the same memory, QEMU's savevm and loadvm, v86's states.
 *
 * Used by run.
 * Holds   the guest runs while it is forked: each fork comes between two of its slices, and is
 *         timed from the call to the child, ready to run. The copy is of the pages that the guest
 *         uses, in the same rounds. Heap is counted after collections, over all children at once.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { HART_BYTES, MACHINE_BYTES } from "../../assembly/layout.ts";
import { Host, type Machine } from "../../src/node.ts";
import type { LinuxGuest } from "../contenders.ts";
import { boot } from "../linux.ts";
import type { Plan } from "../plan.ts";
import type { Progress } from "../progress.ts";
import { QemuVm } from "../qemu-vm.ts";
import { type CaseResult, figureOf, type Promised, promisedOf } from "../report.ts";
import { v86Guest } from "../v86/guest.ts";
import { saveState, v86Command } from "../v86/snapshots.ts";

const SUITE = "fork";
const PAGE_BYTES = 4096;
const FORKS = 300;
/** Before them, so that the compiler has seen all of it. */
const WARM_FORKS = 1000;
const CHILDREN = 1000;
/** Of those that are looked at after a second at their prompt. */
const AWAKE = 16;
const AWAKE_MS = 1000;

const now = () => performance.now();
const promised = (figure: Omit<Promised, "suite">) => promisedOf({ suite: SUITE, ...figure });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What the rivals take; nothing without their programs. */
interface Rivals {
  readonly forkUs: { name: string; value: number }[];
  readonly bytes: { name: string; value: number }[];
}

async function measureRivals(guest: LinuxGuest, progress: Progress): Promise<Rivals> {
  const rivals: Rivals = { forkUs: [], bytes: [] };
  progress.show("fork: QEMU");
  const vm = await QemuVm.boot(guest);
  try {
    const saved = await vm.monitor("savevm one");
    const loaded = await vm.monitor("loadvm one");
    const value = (saved.totalMs + loaded.totalMs) * 1000;
    rivals.forkUs.push({ name: "QEMU savevm + loadvm", value });
  } finally {
    await vm.end();
  }
  progress.show("fork: v86");
  const other = await boot(v86Command(await v86Guest((step) => progress.show(step))));
  try {
    rivals.bytes.push({ name: "v86 save_state", value: (await saveState(other)).bytes });
  } finally {
    await other.kill();
  }
  return rivals;
}

/** A Debian at its prompt, with a run under way. */
async function bootDebian(host: Host, guest: LinuxGuest): Promise<Machine> {
  const machine = host.createMachine({
    ...{ name: "debian", memoryBytes: "256M", clock: "host", agent: true },
    kernel: readFileSync(guest.kernel),
    initrd: readFileSync(guest.initrd),
    append: guest.append,
    consoleInput: "open",
  });
  await machine.boot();
  await machine.ready();
  void machine.run();
  return machine;
}

/** Copies every page that the machine uses into `target`; microseconds. */
function copyUs(machine: Machine, target: Uint8Array): number {
  using root = machine.view.retainRoot();
  const begin = now();
  let at = 0;
  for (const batch of root.pages()) {
    for (const page of batch.slice()) {
      const bytes = root.page(page);
      if (bytes !== null) target.set(bytes, at);
      at += PAGE_BYTES;
    }
  }
  return (now() - begin) * 1000;
}

/** One fork at a time, each given back; and in turns with them, copies. */
async function timeForks(
  machine: Machine,
): Promise<Record<"first" | "forks" | "copies", number[]>> {
  const target = new Uint8Array(machine.config.memoryBytes);
  const [first, forks, copies]: number[][] = [[], [], []];
  for (let round = -WARM_FORKS; round < FORKS; round++) {
    await turn();
    const begin = now();
    const [child] = await machine.fork();
    const us = (now() - begin) * 1000;
    child.dispose();
    if (round < FORKS - WARM_FORKS) first.push(us);
    if (round < 0) continue;
    forks.push(us);
    if (round % 10 === 0) copies.push(copyUs(machine, target));
  }
  return { first, forks, copies };
}

/** Collects garbage, whatever Node was started with. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

function heapBytes(collect: () => void): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Many children at once: how long, and what each costs. */
async function timeMany(
  host: Host,
  machine: Machine,
): Promise<{ seconds: number; bytes: number; awakeBytes: number }> {
  const collect = collector();
  const frames = host.stats().framesFree;
  const heap = heapBytes(collect);
  const begin = now();
  const children = await machine.fork(CHILDREN);
  const seconds = (now() - begin) / 1000;
  const blocks = MACHINE_BYTES + machine.config.harts * HART_BYTES;
  const taken = (frames - host.stats().framesFree) / CHILDREN;
  const bytes = (heapBytes(collect) - heap) / CHILDREN + taken * PAGE_BYTES + blocks;
  const awake = children.slice(0, AWAKE);
  for (const child of children.slice(AWAKE)) child.dispose();
  const runs = awake.map((child) => child.run());
  await new Promise((resolve) => setTimeout(resolve, AWAKE_MS));
  const own = awake.map((child) => child.view.framesOwn * PAGE_BYTES);
  for (const child of awake) child.dispose();
  await Promise.all(runs);
  return { seconds, bytes, awakeBytes: own.reduce((sum, one) => sum + one, 0) / AWAKE };
}

/** Everything about forks. `guest` is ours. */
export async function forkSuite(
  guest: LinuxGuest,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  if (!plan.only.test("fork")) return [];
  const rivals = await measureRivals(guest, progress);
  progress.show("fork: booting Debian");
  const host = await Host.create({ machinesMax: CHILDREN + 2 });
  try {
    const machine = await bootDebian(host, guest);
    progress.show(`fork: ${FORKS} forks`);
    const { first, forks, copies } = await timeForks(machine);
    progress.show(`fork: ${CHILDREN} forks at once`);
    const { seconds, bytes, awakeBytes } = await timeMany(host, machine);
    progress.done();
    const middle = copies.sort((a, b) => a - b)[copies.length >> 1];
    const beside = [{ name: "copy of its memory", value: middle }, ...rivals.forkUs];
    const fork = { unit: "us", values: forks, rivals: beside };
    return [
      promised({ ...fork, case: "running Debian, p50", must: 300, aim: 100 }),
      promised({ ...fork, case: "running Debian, p99", part: 0.99, must: 2000, aim: 500 }),
      figureOf({
        ...{ suite: SUITE, case: `the first ${FORKS}, p50`, unit: "us" },
        ...{ values: first, isMoreBetter: false },
      }),
      promised({
        ...{ case: `${CHILDREN} forks`, unit: "s", values: [seconds], must: 1, aim: 0.2 },
      }),
      promised({
        ...{ case: "an idle fork", unit: "bytes", values: [bytes], must: 65_536, aim: 32_768 },
        rivals: rivals.bytes,
      }),
      figureOf({
        ...{ suite: SUITE, case: "a fork after 1 s at its prompt", unit: "bytes" },
        ...{ values: [awakeBytes], isMoreBetter: false },
      }),
    ];
  } finally {
    host.dispose();
  }
}
