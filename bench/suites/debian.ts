/**
 * suites/debian: the two suites that need the Debian guest: booting it, and busybox inside it.
 *
 * Used by run.
 * Holds   both contenders boot the same kernel and initrd. A boot is charged from the start of the
 *         process to the shell prompt; a busybox case from the command sent on the console to its
 *         marker, in a guest that stays up.
 */
import { instructionsOf, type LinuxGuest, qemuLinux, rivuletLinux } from "../contenders.ts";
import { boot, powerOff, timed } from "../linux.ts";
import { type Plan, rounds } from "../plan.ts";
import type { Command, Console } from "../process.ts";
import type { Progress } from "../progress.ts";
import { type CaseResult, summarise } from "../report.ts";

async function bootSeconds(command: Command): Promise<{ seconds: number; stderr: string }> {
  const guest = await boot(command);
  const seconds = guest.cpuSeconds;
  await powerOff(guest);
  return { seconds, stderr: guest.stderr };
}

type Contender = "qemu" | "rivulet";

/** Who goes first alternates, so that a machine that speeds up or slows down does so for both. */
function orderOf(round: number): readonly Contender[] {
  return round % 2 === 0 ? ["qemu", "rivulet"] : ["rivulet", "qemu"];
}

/** CPU seconds from nothing to the shell prompt, under both. */
export async function bootSuite(
  guest: LinuxGuest,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  const seconds = { rivulet: [] as number[], qemu: [] as number[] };
  const mips: number[] = [];
  const one: Record<Contender, () => Promise<void>> = {
    qemu: async () => {
      seconds.qemu.push((await bootSeconds(qemuLinux(guest))).seconds);
    },
    rivulet: async () => {
      const done = await bootSeconds(rivuletLinux(guest, "virtual"));
      seconds.rivulet.push(done.seconds);
      mips.push(instructionsOf(done.stderr) / done.seconds / 1e6);
    },
  };
  if (!plan.only.test("debian")) return [];
  for (const round of rounds(plan, () => performance.now())) {
    for (const name of orderOf(round)) {
      progress.show(`boot: round ${round + 1} of ${plan.pairs}`, name);
      await one[name]();
    }
  }
  progress.done();
  const ratios = seconds.rivulet.map((value, round) => value / seconds.qemu[round]);
  const rivalMips = mips.map((value, round) => value * ratios[round]);
  const common = { suite: "boot", rival: "qemu", ratios };
  const cost = { ...common, unit: "CPU s", isMoreBetter: false, must: 3, aim: 2 };
  const speed = {
    ...common,
    unit: "MIPS",
    isMoreBetter: true,
    ratios: ratios.map((ratio) => 1 / ratio),
  };
  return [
    summarise({
      ...cost,
      case: "debian to shell",
      values: seconds.rivulet,
      rivalValues: seconds.qemu,
    }),
    summarise({ ...speed, case: "debian speed", values: mips, rivalValues: rivalMips }),
  ];
}

/**
 * The data of the cases: a file in memory with busybox itself, 1.6 MB of machine code. The sleep
 * lets the kernel finish what it does in the background after a boot: 0.5 G instructions, measured.
 */
const PREPARE = "mkdir -p /tmp; cd /tmp; cp /bin/busybox data; sleep 8";

/** Busybox at work; the last line that each prints is compared between the contenders. */
const CASES: readonly { name: string; command: string }[] = [
  { name: "sha256sum", command: "for i in 1 2 3 4 5 6; do sha256sum data; done" },
  { name: "md5sum", command: "for i in `seq 20`; do md5sum data; done" },
  { name: "gzip", command: "gzip -c data | md5sum" },
  { name: "awk", command: "awk 'BEGIN { for (; i < 80000; i++) s += i * i % 7; print s }'" },
  { name: "ash", command: "i=0; while [ $i -lt 25000 ]; do i=$((i+1)); done; echo $i" },
];

/** CPU seconds of one case, round by round. */
interface BusyboxRuns {
  name: string;
  command: string;
  qemu: number[];
  rivulet: number[];
}

/** Instructions that a fresh guest retires from start to power-off when it is asked `command`. */
async function retiredWith(guest: LinuxGuest, command: string): Promise<number> {
  const machine = await boot(rivuletLinux(guest, "virtual"));
  try {
    await timed(machine, PREPARE);
    await timed(machine, command);
    await powerOff(machine);
  } finally {
    await machine.kill();
  }
  return instructionsOf(machine.stderr);
}

/** Busybox inside Debian, both guests up all the time and asked in turns; printed, not promised. */
export async function busyboxSuite(
  guest: LinuxGuest,
  plan: Plan,
  progress: Progress,
): Promise<CaseResult[]> {
  const cases = CASES.filter((one) => plan.only.test(`busybox ${one.name}`));
  if (cases.length === 0) return [];
  const counts: number[] = [];
  progress.show("busybox: counting instructions");
  const idle = await retiredWith(guest, ":");
  for (const one of cases) counts.push((await retiredWith(guest, one.command)) - idle);
  progress.show("busybox: booting both guests");
  const guests: Record<Contender, Console> = {
    qemu: await boot(qemuLinux(guest)),
    rivulet: await boot(rivuletLinux(guest, "host")),
  };
  try {
    const runs = await busyboxRounds(guests, cases, plan, progress);
    return runs.map((one, index) => busyboxResult(one, counts[index]));
  } finally {
    await guests.qemu.kill();
    await guests.rivulet.kill();
    progress.done();
  }
}

async function busyboxRounds(
  guests: Record<Contender, Console>,
  cases: typeof CASES,
  plan: Plan,
  progress: Progress,
): Promise<BusyboxRuns[]> {
  for (const name of orderOf(0)) await timed(guests[name], PREPARE);
  const runs = cases.map((one): BusyboxRuns => ({ ...one, qemu: [], rivulet: [] }));
  for (const round of rounds(plan, () => performance.now())) {
    for (const one of runs) {
      progress.show(`busybox: round ${round + 1} of ${plan.pairs}`, one.name);
      const answers: string[] = [];
      for (const name of orderOf(round)) {
        const { seconds, answer } = await timed(guests[name], one.command);
        one[name].push(seconds);
        answers.push(answer);
      }
      if (answers[0] !== answers[1] || answers[0] === "") {
        throw new Error(`busybox ${one.name}: the guests answer ${JSON.stringify(answers)}`);
      }
    }
  }
  return runs;
}

function busyboxResult(runs: BusyboxRuns, instructions: number): CaseResult {
  const mips = (seconds: number) => instructions / seconds / 1e6;
  return summarise({
    suite: "hart",
    case: `busybox ${runs.name}`,
    unit: "MIPS",
    values: runs.rivulet.map(mips),
    rival: "qemu",
    rivalValues: runs.qemu.map(mips),
    ratios: runs.rivulet.map((seconds, round) => runs.qemu[round] / seconds),
    isMoreBetter: true,
  });
}
