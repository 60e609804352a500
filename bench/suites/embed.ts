/**
 * suites/embed: what it costs to have Rivulet inside something: start, first output, console
 * throughput, many machines at once, idle memory, package size, page load; then v86 beside it.
 *
 * Used by run.
 * Holds   all but the page run in this process, which does nothing else meanwhile.
 */
import { spawn, spawnSync } from "node:child_process";
import { Assembler, elf64 } from "../../src/asm/index.ts";
import { builtinGuest, Host, type Machine } from "../../src/node.ts";
import { readWholeFile } from "../../src/platform/node/files.ts";
import type { LinuxGuest } from "../contenders.ts";
import { pageLoads } from "../page.ts";
import { type Plan, rounds } from "../plan.ts";
import type { Progress } from "../progress.ts";
import { type CaseResult, figureOf, summarise } from "../report.ts";
import { ROOT } from "../toolchain.ts";
import { v86Suite } from "./v86.ts";

const SUITE = "embed";
const MACHINES = 16;
const ARENA_BYTES = 1 << 30;

type Case = (plan: Plan, progress: Progress) => Promise<CaseResult[]>;

const figure = (name: string, unit: string, values: readonly number[], isMoreBetter = false) =>
  figureOf({ suite: SUITE, case: name, unit, values, isMoreBetter });

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** Reports the first output of a machine. */
const firstOutput = (machine: Machine) =>
  new Promise<void>((resolve) => {
    const end = machine.console.onOutput(() => {
      end();
      resolve();
    });
  });

/** Milliseconds from `Host.create` to the first instruction and to the first byte of output. */
const starts: Case = async (plan, progress) => {
  const instruction: number[] = [];
  const output: number[] = [];
  const kernel = builtinGuest();
  for (const round of rounds({ ...plan, pairs: plan.pairs * 4 }, () => performance.now())) {
    progress.show("embed: start", String(round));
    const begin = performance.now();
    const host = await Host.create();
    const machine = host.createMachine({ kernel, memoryBytes: "64M" });
    await machine.boot();
    await machine.run(1);
    instruction.push(performance.now() - begin);
    const seen = firstOutput(machine);
    const run = machine.run();
    await seen;
    output.push(performance.now() - begin);
    machine.stop();
    await run;
    host.dispose();
  }
  return [
    figure("first instruction", "ms", instruction),
    figure("first console byte", "ms", output),
  ];
};

/** Milliseconds from `Host.create` to the Linux kernel's first byte on its console. */
const firstLinuxByte =
  (guest: LinuxGuest): Case =>
  async (plan, progress) => {
    const values: number[] = [];
    const kernel = await readWholeFile(guest.kernel);
    const initrd = await readWholeFile(guest.initrd);
    for (const round of rounds(plan, () => performance.now())) {
      progress.show("embed: first byte of Debian", String(round));
      const begin = performance.now();
      const host = await Host.create();
      const machine = host.createMachine({ kernel, initrd, append: guest.append });
      await machine.boot();
      const seen = firstOutput(machine);
      const run = machine.run();
      await seen;
      values.push(performance.now() - begin);
      machine.stop();
      await run;
      host.dispose();
    }
    return [figure("first console byte debian", "ms", values)];
  };

const FLOOD_BYTES = 1 << 20;
const UART = 0x1000_0000;
const FINISHER = 0x10_0000;

/** Writes FLOOD_BYTES to the UART as a driver does, looking at LSR before each byte; powers off. */
function floodProgram(): Uint8Array {
  const a = new Assembler();
  a.li("t0", UART);
  a.li("t1", FLOOD_BYTES);
  a.li("t2", 0x61);
  a.label("again");
  a.lbu("t3", "t0", 5);
  a.andi("t3", "t3", 0x20);
  a.beqz("t3", "again");
  a.sb("t2", "t0");
  a.addi("t1", "t1", -1);
  a.bnez("t1", "again");
  a.li("t0", FINISHER);
  a.li("t1", 0x5555);
  a.sw("t1", "t0");
  const { base, bytes } = a.assemble();
  return elf64({ entry: base, segments: [{ address: base, bytes }] });
}

async function floodSeconds(program: Uint8Array): Promise<number> {
  const host = await Host.create({ arenaBytes: 1 << 26 });
  const machine = host.createMachine({ kernel: program, memoryBytes: "16M" });
  let bytes = 0;
  machine.console.onOutput((piece) => {
    bytes += piece.length;
  });
  await machine.boot();
  const begin = performance.now();
  await machine.run();
  const seconds = (performance.now() - begin) / 1000;
  host.dispose();
  if (bytes !== FLOOD_BYTES) throw new Error(`the flood was ${bytes} bytes, not ${FLOOD_BYTES}`);
  return seconds;
}

/** The same bytes from another process through a pipe. */
function pipeSeconds(): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("head", ["-c", String(FLOOD_BYTES), "/dev/zero"]);
    let bytes = 0;
    let begin = 0;
    child.stdout.on("data", (piece: Buffer) => {
      if (begin === 0) begin = performance.now();
      bytes += piece.length;
    });
    child.on("error", reject);
    child.on("close", () => {
      if (bytes === FLOOD_BYTES) resolve((performance.now() - begin) / 1000);
      else reject(new Error(`the pipe gave ${bytes} bytes, not ${FLOOD_BYTES}`));
    });
  });
}

const throughput: Case = async (plan, progress) => {
  const program = floodProgram();
  const rate = (seconds: number) => FLOOD_BYTES / 1e6 / seconds;
  const ours: number[] = [];
  const pipe: number[] = [];
  for (const round of rounds(plan, () => performance.now())) {
    progress.show("embed: console throughput", String(round));
    ours.push(rate(await floodSeconds(program)));
    pipe.push(rate(await pipeSeconds()));
  }
  const ratios = ours.map((value, round) => value / pipe[round]);
  const samples = { values: ours, rival: "pipe", rivalValues: pipe, ratios, isMoreBetter: true };
  return [summarise({ suite: SUITE, case: "console throughput", unit: "MB/s", ...samples })];
};

const PRIMES = 160_000;

/** Instructions and CPU seconds of `count` machines that compute at once. */
async function compute(host: Host, count: number): Promise<{ count: number; seconds: number }> {
  const kernel = builtinGuest();
  const machines = Array.from({ length: count }, (_, index) =>
    host.createMachine({ name: `m${index}`, kernel, memoryBytes: "16M" }),
  );
  for (const machine of machines) {
    await machine.boot();
    machine.console.write(`primes ${PRIMES}\npoweroff\n`);
  }
  const begin = cpuSeconds();
  await Promise.all(machines.map((machine) => machine.run()));
  const seconds = cpuSeconds() - begin;
  const instructions = machines.reduce((sum, machine) => sum + machine.instructions, 0);
  for (const machine of machines) machine.dispose();
  return { count: instructions, seconds };
}

/** Sixteen machines at once beside the same sixteen one after the other: MIPS of CPU time. */
const sixteen: Case = async (plan, progress) => {
  const host = await Host.create({ arenaBytes: ARENA_BYTES, machinesMax: MACHINES });
  await compute(host, 1); // the engine compiles
  const together: number[] = [];
  const alone: number[] = [];
  for (const round of rounds(plan, () => performance.now())) {
    progress.show("embed: sixteen machines", String(round));
    const one = { count: 0, seconds: 0 };
    for (let index = 0; index < MACHINES; index++) {
      const { count, seconds } = await compute(host, 1);
      one.count += count;
      one.seconds += seconds;
    }
    const many = await compute(host, MACHINES);
    alone.push(one.count / one.seconds / 1e6);
    together.push(many.count / many.seconds / 1e6);
  }
  host.dispose();
  const ratios = together.map((value, round) => value / alone[round]);
  const samples = { values: together, rival: "one by one", rivalValues: alone, ratios };
  const promise = { isMoreBetter: true, must: 0.9, aim: 0.97 };
  return [summarise({ suite: SUITE, case: "16 machines", unit: "MIPS", ...samples, ...promise })];
};

/** Bytes of a machine that waits at its prompt: guest memory held, and the process's growth. */
const idleMemory: Case = async (_plan, progress) => {
  progress.show("embed: idle memory");
  const host = await Host.create({ arenaBytes: ARENA_BYTES, machinesMax: MACHINES });
  const kernel = builtinGuest();
  const before = process.memoryUsage.rss();
  const machines: Machine[] = [];
  for (let index = 0; index < MACHINES; index++) {
    const machine = host.createMachine({ name: `m${index}`, kernel, memoryBytes: "64M" });
    await machine.boot();
    await machine.run(200_000);
    machines.push(machine);
  }
  const grown = (process.memoryUsage.rss() - before) / MACHINES / 1024;
  const held = machines.map((machine) => machine.stats().framesUsed * 4);
  host.dispose();
  return [
    figure("idle machine frames", "KiB", held),
    figure("idle machine process", "KiB", [grown]),
  ];
};

const packageSize: Case = async (_plan, progress) => {
  progress.show("embed: package size");
  const args = ["pack", "--json", "--dry-run", "--ignore-scripts"];
  const done = spawnSync("npm", args, { cwd: ROOT, encoding: "utf8" });
  const [packed] = JSON.parse(done.stdout) as { size: number; unpackedSize: number }[];
  return [
    figure("package packed", "kB", [packed.size / 1000]),
    figure("package unpacked", "kB", [packed.unpackedSize / 1000]),
  ];
};

const pageLoad: Case = async (plan, progress) => {
  progress.show("embed: page load");
  const found = await pageLoads(Math.min(plan.pairs, 30));
  if (found === null) {
    process.stderr.write("bench: page load skipped: Chromium (package chromium) is missing\n");
    return [];
  }
  return [
    figure("page to first instruction", "ms", found.instruction),
    figure("page to first output", "ms", found.output),
  ];
};

/** The suite. Without the Debian guest what needs it is left out. */
export async function embedSuite(
  guest: LinuxGuest | null,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  const cases: Record<string, Case> = {
    start: starts,
    throughput,
    "16 machines": sixteen,
    "idle memory": idleMemory,
    package: packageSize,
    page: pageLoad,
  };
  if (guest !== null) {
    cases["first byte debian"] = firstLinuxByte(guest);
  }
  const all: CaseResult[] = [];
  for (const [name, run] of Object.entries(cases)) {
    if (plan.only.test(name)) all.push(...(await run(plan, progress)));
  }
  if (guest !== null) all.push(...(await v86Suite(guest, plan, progress)));
  progress.done();
  return all;
}
