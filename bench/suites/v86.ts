/**
 * suites/v86: the same work beside v86: boot to the shell, busybox, memory and idle CPU at the
 * prompt.
 *
 * Used by run, as a part of the suite `embed`.
 * Holds   each boots Debian's kernel for its own architecture, with Debian's busybox and the same
 *         /init; both run under this Node. The data of the busybox cases are made in the guest, so
 *         that both work on the same bytes.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type LinuxGuest, rivuletLinux } from "../contenders.ts";
import { boot, timed } from "../linux.ts";
import { type Plan, rounds } from "../plan.ts";
import type { Command, Console } from "../process.ts";
import type { Progress } from "../progress.ts";
import { type CaseResult, summarise } from "../report.ts";
import { v86Guest } from "../v86/guest.ts";

const SUITE = "embed";
const MACHINE = fileURLToPath(new URL("../v86/machine.js", import.meta.url));
/** After the boot the kernel works on in the background for this long (0.5 G instructions here). */
const SETTLE_MS = 12_000;
const IDLE_MS = 10_000;
/** Idling takes real time, and varies little. */
const IDLE_ROUNDS_MAX = 3;
/** 2 MB of text, and quiet after the boot. */
const PREPARE = "cd /tmp; seq 300000 > data; sleep 8";

/** The last line that each prints is compared. */
const CASES: readonly { name: string; command: string }[] = [
  { name: "sha256sum", command: "for i in 1 2 3; do sha256sum data; done" },
  { name: "md5sum", command: "for i in 1 2 3 4 5 6; do md5sum data; done" },
  { name: "gzip", command: "gzip -c data | wc -c" },
  { name: "awk", command: "awk 'BEGIN { for (; i < 40000; i++) s += i * i % 7; print s }'" },
  { name: "ash", command: "i=0; while [ $i -lt 12000 ]; do i=$((i+1)); done; echo $i" },
];

type Contender = "rivulet" | "v86";
type Commands = Readonly<Record<Contender, Command>>;

const orderOf = (round: number): readonly Contender[] =>
  round % 2 === 0 ? ["v86", "rivulet"] : ["rivulet", "v86"];

const residentBytes = (guest: Console): number => {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${guest.pid}/status`, "utf8"));
  if (found === null) throw new Error(`process ${guest.pid} has no VmRSS`);
  return Number(found[1]) * 1024;
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Share of a core that a guest at its prompt takes, at least one clock tick's worth. */
async function idlePercent(guest: Console): Promise<number> {
  await pause(SETTLE_MS);
  const before = guest.cpuSeconds;
  await pause(IDLE_MS);
  return (Math.max(0.01, guest.cpuSeconds - before) / IDLE_MS) * 100_000;
}

/** Samples of both, one of each per round. */
type Pairs = Record<Contender, number[]>;
const noPairs = (): Pairs => ({ rivulet: [], v86: [] });

/** v86's figure over ours: how many times better we are where less is better. */
function lessIsBetter(name: string, unit: string, pairs: Pairs, promise = {}): CaseResult {
  return summarise({
    ...{ suite: SUITE, case: name, unit, values: pairs.rivulet, rivalValues: pairs.v86 },
    ratios: pairs.rivulet.map((value, round) => pairs.v86[round] / value),
    ...{ rival: "v86", isMoreBetter: false, ...promise },
  });
}

async function boots(commands: Commands, plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const seconds = noPairs();
  const memory = noPairs();
  const idle = noPairs();
  for (const round of rounds(plan, () => performance.now())) {
    for (const name of orderOf(round)) {
      progress.show(`v86: boot ${round + 1} of ${plan.pairs}`, name);
      const guest = await boot(commands[name]);
      try {
        seconds[name].push(guest.cpuSeconds);
        memory[name].push(residentBytes(guest) / 2 ** 20);
        if (round < IDLE_ROUNDS_MAX) idle[name].push(await idlePercent(guest));
      } finally {
        await guest.kill();
      }
    }
  }
  progress.done();
  return [
    lessIsBetter("boot to shell", "CPU s", seconds, { must: 3, aim: 6 }),
    lessIsBetter("memory at the shell", "MiB", memory),
    lessIsBetter("idle at the prompt", "% of a core", idle),
  ];
}

async function busybox(commands: Commands, plan: Plan, progress: Progress): Promise<CaseResult[]> {
  const cases = CASES.filter(({ name }) => plan.only.test(`v86 busybox ${name}`));
  if (cases.length === 0) return [];
  const runs = cases.map((one) => ({ ...one, seconds: noPairs() }));
  progress.show("v86: booting both guests");
  const guests = { rivulet: await boot(commands.rivulet), v86: await boot(commands.v86) };
  try {
    for (const name of orderOf(0)) await timed(guests[name], PREPARE);
    for (const round of rounds(plan, () => performance.now())) {
      for (const { name: title, command, seconds } of runs) {
        progress.show(`v86: busybox round ${round + 1} of ${plan.pairs}`, title);
        const answers = new Set<string>();
        for (const name of orderOf(round)) {
          const done = await timed(guests[name], command);
          seconds[name].push(done.seconds);
          answers.add(done.answer);
        }
        if (answers.size === 1 && !answers.has("")) continue;
        throw new Error(`busybox ${title}: the guests answer ${JSON.stringify([...answers])}`);
      }
    }
  } finally {
    await guests.rivulet.kill();
    await guests.v86.kill();
    progress.done();
  }
  return runs.map(({ name, seconds }) =>
    lessIsBetter(`busybox ${name}`, "CPU s", seconds, { must: 0.7, aim: 1 }),
  );
}

/** Everything beside v86. `guest` is ours. */
export async function v86Suite(
  guest: LinuxGuest,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  if (
    !plan.only.test("v86 boot") &&
    !CASES.some(({ name }) => plan.only.test(`v86 busybox ${name}`))
  )
    return [];
  const files = await v86Guest((step) => progress.show(step));
  const theirs = [files.kernel, files.initrd, files.bios, files.vgaBios, "console=ttyS0"];
  const commands: Commands = {
    rivulet: rivuletLinux(guest, "host"),
    v86: [process.execPath, MACHINE, ...theirs],
  };
  const all = plan.only.test("v86 boot") ? await boots(commands, plan, progress) : [];
  return [...all, ...(await busybox(commands, plan, progress))];
}
