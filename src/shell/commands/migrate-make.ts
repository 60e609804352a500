/**
 * migrate-make: the commands of family `migrate` that move machines, and what foretells and proves
 * that: start, local, receive, plan, prove.
 *
 * Used by commands/migrate.ts.
 */
import { z } from "zod";
import {
  type DiskWay,
  type MigrationSession,
  moveLocally,
  type Policy,
  planMigration,
  proveMigration,
} from "../../index.ts";
import { diskOf } from "../call.ts";
import { type Call, CommandFailed, command, Interrupted, UsageError } from "../command.ts";
import type { ReceiveWish } from "../migrations.ts";
import { progressOf } from "../progress.ts";
import { bytesText, durationText, table } from "../render.ts";
import {
  LIMITS,
  openMigrations,
  outcomeText,
  ReportShape,
  reportOf,
  STATE,
  stepText,
  VM,
} from "./migrate-text.ts";

/** What a link is taken to take when nothing is known of it, bytes per second. */
const BANDWIDTH_ASSUMED = 500_000_000;
const SHOWN_MS = 100;

/** Shows how a migration goes until it is over; Ctrl-C gives it up, unless it is committed. */
export async function followMigration(call: Call, session: MigrationSession): Promise<void> {
  const progress = progressOf(call);
  const cancel = () => {
    try {
      session.cancel("interrupted");
    } catch {
      call.streams.say(`${session.name} is handed over already: it goes to the target\n`);
    }
  };
  call.signal.addEventListener("abort", cancel);
  if (call.signal.aborted) cancel();
  try {
    for await (const figures of session.updates(SHOWN_MS)) {
      if (figures.totalMs < 2 * SHOWN_MS || session.result !== null) continue;
      const { ram } = figures;
      const part = ram.dirtySyncCount === 1 ? 100 * (1 - ram.remaining / ram.total) : undefined;
      // where lines stay, one for each change of the figures would be too many
      const isLive = call.streams.isProgressLive;
      progress.show(isLive ? stepText(session.name, figures) : `migrating ${session.name}`, part);
    }
  } finally {
    progress.end();
    call.signal.removeEventListener("abort", cancel);
  }
}

/** The report of a session that is over; whatever is not a success is a failure. */
export function ended(call: Call, session: MigrationSession) {
  const report = reportOf(session);
  if (report.result?.kind === "completed" || report.result?.kind === undefined) return report;
  if (call.signal.aborted) throw new Interrupted();
  throw new CommandFailed(1, report, outcomeText(report).trimEnd());
}

const start = command({
  family: "migrate",
  name: "start",
  summary: "move a running machine to whoever listens at an address",
  details: `
The other end is \`rivulet receive\` or \`migrate receive\`. The guest goes on here while its memory is
copied, stands still for the rest, and goes on there; what fails before it is handed over leaves it
running here. Ctrl-C takes it back until then. Addresses: tcp://HOST:PORT, tls://HOST:PORT with the
three --tls options, unix:///PATH, ws://HOST:PORT/. Disks are carried along, or shared: the other
end opens the same storage.`,
  parameters: [VM, { name: "ADDRESS", kind: "text", help: "tcp://HOST:PORT and the like" }],
  options: {
    name: { value: "NAME", kind: "text", help: "name at the target; default its own" },
    ...LIMITS,
    disks: {
      value: "WAY",
      kind: "choice",
      choices: ["carried", "shared"],
      help: "how disks come along (carried)",
    },
    background: { help: "do not wait: `migrate watch` shows how it goes" },
    ...STATE,
  },
  example: "migrate start web tcp://127.0.0.1:7000",
  result: ReportShape,
  async run(call) {
    const vm = call.vm();
    vm.checkHere();
    vm.checkStarted();
    const manager = await openMigrations(call);
    const session = await manager.start(vm.machine, call.text("ADDRESS") as string, {
      name: call.text("name"),
      downtimeLimitMs: call.number("downtime"),
      bandwidth: call.number("bandwidth"),
      policy: call.text("policy") as Policy | undefined,
      timeoutMs: call.number("timeout"),
      disks: call.text("disks") as DiskWay | undefined,
    });
    if (call.has("background")) return reportOf(session);
    await followMigration(call, session);
    return ended(call, session);
  },
  text: (report) => outcomeText(report),
});

const local = command({
  family: "migrate",
  name: "local",
  summary: "move a machine to a successor in this process: no page is copied",
  parameters: [VM],
  options: {},
  example: "migrate local web",
  result: z.object({
    name: z.string(),
    downtimeMs: z.number(),
    pages: z.number().describe("that changed hands; of none a byte was moved"),
  }),
  async run(call) {
    const vm = call.vm();
    vm.checkHere();
    vm.checkStarted();
    const host = await call.fleet.openHost();
    const { machine, downtimeMs, pages } = await moveLocally(host, vm.machine);
    await vm.succeed(machine);
    return { name: vm.name, downtimeMs, pages };
  },
  text: ({ name, downtimeMs, pages }) =>
    `${name}: ${pages} pages changed hands, it stood still for ${downtimeMs.toFixed(2)} ms\n`,
});

/** How `receive` and `migrate receive` are told what there is. */
export const RECEIVE = {
  listen: { value: "ADDRESS", kind: "text", help: "tcp://127.0.0.1:0 (any port) and the like" },
  disk: {
    value: "F[,ro|,cow]",
    kind: "disk",
    help: "by slot: a shared disk here, or a new file for a carried one",
    isRepeated: true,
  },
  disks: {
    value: "DIR",
    kind: "file",
    help: "folder for carried disks: NAME-disk0.img; else they are kept in memory",
  },
  ...STATE,
} as const;

/** Opens an address for machines; where it is. Throws UsageError without --listen. */
export async function receiveAt(
  call: Call,
  wish: Pick<ReceiveWish, "check" | "onArrived" | "onDiscarded">,
): Promise<string> {
  const address = call.text("listen");
  if (address === undefined) {
    throw new UsageError("--listen is missing: --listen tcp://127.0.0.1:0 takes any free port");
  }
  await openMigrations(call);
  return call.fleet.migrations.receive(address, {
    disks: call.all("disk").map((text) => diskOf(text, (path) => call.resolve(path))),
    folder: call.path("disks") ?? null,
    ...wish,
  });
}

const receive = command({
  family: "migrate",
  name: "receive",
  summary: "take machines in that other processes send: they become machines of this shell",
  details: `
Goes on behind the prompt until --stop. Without --listen, says where machines are taken in. A
machine arrives under the name that it has, or was given; one of that name that has left gives way.
Carried disks go to new files in --disks, or into memory, and are gone with the process then.`,
  parameters: [],
  options: { ...RECEIVE, stop: { help: "take no more in" } },
  example: "migrate receive --listen tcp://127.0.0.1:0",
  isShellOnly: true,
  result: z.object({ addresses: z.array(z.string()) }),
  async run(call) {
    const { migrations } = call.fleet;
    if (call.has("stop")) await migrations.stopReceiving();
    else if (call.has("listen")) await receiveAt(call, { onArrived: (vm) => vm.begin() });
    return { addresses: [...migrations.addresses] };
  },
  text: ({ addresses }) => {
    if (addresses.length === 0) return "none; --listen ADDRESS opens one\n";
    return addresses.map((address) => `${address}\n`).join("");
  },
});

const PlanShape = z.object({
  name: z.string(),
  bandwidth: z.number().describe("bytes a second"),
  isAssumed: z.boolean().describe("nothing was measured of the link: the bandwidth is a guess"),
  downtimeLimitMs: z.number(),
  pages: z.number().describe("that are not zero"),
  dirtyPagesRate: z.number().describe("a second"),
  workingSetPages: z.number().describe("different ones written while it was looked"),
  rounds: z.array(z.object({ pages: z.number(), ms: z.number() })),
  isConverging: z.boolean(),
  expectedDowntimeMs: z.number(),
  expectedTotalMs: z.number(),
  expectedBytes: z.number(),
});

const plan = command({
  family: "migrate",
  name: "plan",
  summary: "foretell a migration: rounds, time and pause, from how fast the guest writes now",
  details: `
Counts the pages that the guest writes for --sample, and changes nothing. The link is taken to be as
fast as the last migration found it, or as --bandwidth says.`,
  parameters: [VM],
  options: {
    downtime: LIMITS.downtime,
    bandwidth: LIMITS.bandwidth,
    sample: { value: "TIME", kind: "duration", help: "count writes for so long (1s)" },
  },
  example: "migrate plan web --sample 100ms",
  result: PlanShape,
  async run(call) {
    const vm = call.vm();
    vm.checkHere();
    vm.checkStarted();
    const past = [...call.fleet.migrations.sessions]
      .reverse()
      .find(({ progress }) => progress.ram.mbps > 0);
    const measured = past === undefined ? undefined : (past.progress.ram.mbps * 1e6) / 8;
    const given = call.number("bandwidth") ?? measured;
    const { platform } = await call.fleet.openHost();
    const progress = progressOf(call);
    const sampleMs = call.number("sample") ?? 1000;
    if (sampleMs >= 1000) progress.show(`counting what ${vm.name} writes`);
    try {
      const found = await planMigration(platform, vm.machine, {
        bandwidth: given ?? BANDWIDTH_ASSUMED,
        downtimeLimitMs: call.number("downtime"),
        sampleMs,
        signal: call.signal,
      });
      return PlanShape.parse({ ...found, name: vm.name, isAssumed: given === undefined });
    } catch (error) {
      if (call.signal.aborted) throw new Interrupted();
      throw error;
    } finally {
      progress.end();
    }
  },
  text: (found) => {
    const right = (name: string) => ({ name, align: "right" }) as const;
    const guess = found.isAssumed ? ", a guess: --bandwidth says better" : "";
    const rows = found.rounds.map(({ pages, ms }, index) => [
      `${index + 1}`,
      `${pages}`,
      bytesText(pages * 4096),
      durationText(ms),
    ]);
    const verdict = found.isConverging
      ? `it would stand still for ${Math.round(found.expectedDowntimeMs)} ms`
      : "it would not converge: the policy would decide";
    return `${table([right("ROUND"), right("PAGES"), right("BYTES"), right("TIME")], rows)}
link: ${bytesText(found.bandwidth)} a second${guess}
dirty: ${Math.round(found.dirtyPagesRate)} pages a second, ${found.workingSetPages} different ones
in all: ${durationText(found.expectedTotalMs)}, ${bytesText(found.expectedBytes)}; ${verdict}
`;
  },
});

const ProofShape = z.object({
  name: z.string(),
  seed: z.number(),
  moves: z.number(),
  differences: z.number(),
  whileRunning: z.number().describe("moves in whose midst the guest ran"),
  hasEnded: z.boolean().describe("the guest ended: there were fewer moves than asked for"),
});

const prove = command({
  family: "migrate",
  name: "prove",
  summary: "show that a move cannot be seen: a copy moves, a twin stays, both are equal",
  details: `
The machine itself goes on untouched. Two machines are made of what it is now; one of them moves
between two hosts over TCP, at random moments while it runs. After each move both run to the same
instruction, and the digests of all that they are (memory, harts, devices, disks) are compared. Exit
status 1 when any differs.`,
  parameters: [VM],
  options: {
    points: { value: "N", kind: "integer", least: 1, most: 1_000_000, help: "moves (10)" },
    stride: {
      value: "N",
      kind: "integer",
      least: 1,
      help: "most instructions between two comparisons (20 million)",
    },
    seed: { value: "N", kind: "integer", help: "of the moments; drawn and shown when left out" },
  },
  example: "migrate prove web --points 2 --seed 1",
  result: ProofShape,
  async run(call) {
    const vm = call.vm();
    vm.checkHere();
    vm.checkStarted();
    const { world, fleet } = call;
    const host = await fleet.openHost();
    const other = await world.createHost({ machinesMax: 4 });
    const seed = call.number("seed") ?? Math.floor(world.wallMs()) % 1_000_000;
    const points = call.number("points") ?? 10;
    const progress = progressOf(call);
    try {
      const proof = await proveMigration(vm.machine, {
        ...{ host, other, seed, points, door: world.openLinks({}), signal: call.signal },
        strideMax: call.number("stride"),
        addresses: ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"],
        onMove: ({ index }) => {
          progress.show(`moving to and fro (seed ${seed})`, (100 * (index + 1)) / points);
        },
      });
      const result = { name: vm.name, seed, ...proof };
      if (proof.differences === 0) return result;
      const text = `${proof.differences} of ${proof.moves} moves made a difference (seed ${seed})`;
      throw new CommandFailed(1, result, text);
    } catch (error) {
      if (call.signal.aborted) throw new Interrupted();
      throw error;
    } finally {
      progress.end();
      other.dispose();
    }
  },
  text: ({ name, seed, moves, differences, whileRunning }) =>
    `${name}: ${moves} moves, ${whileRunning} while it ran, ${differences} differences (seed ${seed})\n`,
});

/** These commands, in the order of help. */
export const makeCommands = [start, local, receive, plan, prove];
