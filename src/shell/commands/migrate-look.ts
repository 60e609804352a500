/**
 * migrate-look: the commands of family `migrate` that say how migrations stand: list, status,
 * watch, info, report, history, journal, capabilities, parameters.
 *
 * Used by commands/migrate.ts.
 */
import { z } from "zod";
import { DISK_WAYS, MIGRATION_VERSIONS, POLICIES, SourceSession } from "../../index.ts";
import { type CommandSpec, command } from "../command.ts";
import { bytesText, durationText, pairs, table } from "../render.ts";
import { ended, followMigration } from "./migrate-make.ts";
import {
  figuresText,
  MIGRATION,
  openMigrations,
  outcomeText,
  ReportShape,
  reportOf,
  SessionShape,
  STATE,
  sessionOf,
  sessionTable,
} from "./migrate-text.ts";

const Sessions = z.array(SessionShape);

const list = command({
  family: "migrate",
  name: "list",
  summary: "list the migrations under way, from here and to here",
  parameters: [],
  options: { all: { help: "also those that have ended" } },
  example: "migrate list",
  result: Sessions,
  async run(call) {
    const { sessions } = call.fleet.migrations;
    return sessions.filter(({ result }) => call.has("all") || result === null).map(sessionOf);
  },
  text: (sessions) => (sessions.length === 0 ? "none\n" : sessionTable(sessions)),
});

const history = command({
  family: "migrate",
  name: "history",
  summary: "list the migrations that have ended, the latest last",
  parameters: [],
  options: {},
  example: "migrate history",
  result: Sessions,
  async run(call) {
    return call.fleet.migrations.sessions.filter(({ result }) => result !== null).map(sessionOf);
  },
  text: (sessions) => sessions.map(outcomeText).join("") || "none\n",
});

const status = command({
  family: "migrate",
  name: "status",
  summary: "show the figures of a migration, in QEMU's words",
  parameters: [MIGRATION],
  options: {},
  example: "migrate status web",
  result: SessionShape,
  async run(call) {
    return sessionOf(call.fleet.migrations.find(call.text("MIGRATION") as string));
  },
  text: figuresText,
});

const watch = command({
  family: "migrate",
  name: "watch",
  summary: "show how a migration goes until it is over",
  details: "Ctrl-C gives the migration up, unless it is handed over already.",
  parameters: [MIGRATION],
  options: {},
  example: "migrate watch web",
  result: ReportShape,
  async run(call) {
    const session = call.fleet.migrations.find(call.text("MIGRATION") as string);
    await followMigration(call, session);
    return ended(call, session);
  },
  text: outcomeText,
});

const Info = z.object({
  id: z.string(),
  side: z.string(),
  name: z.string(),
  peer: z.string(),
  status: z.string(),
  phase: z.string(),
  downtimeLimitMs: z.number().nullable().describe("this and what follows: null at the target"),
  bandwidth: z.number().nullable().describe("bytes a second; null for no limit"),
  policy: z.string().nullable(),
  timeoutMs: z.number().nullable(),
  isPaused: z.boolean(),
});

const info = command({
  family: "migrate",
  name: "info",
  summary: "show what a migration was asked for",
  parameters: [MIGRATION],
  options: {},
  example: "migrate info web",
  result: Info,
  async run(call) {
    const session = call.fleet.migrations.find(call.text("MIGRATION") as string);
    const { id, side, name, peer, phase } = session;
    const source = session instanceof SourceSession ? session : null;
    return {
      ...{ id, side, name, peer, status: session.status, phase },
      downtimeLimitMs: source?.convergence.limitMs ?? null,
      bandwidth: source?.bandwidth.limit ?? null,
      policy: source?.convergence.policy ?? null,
      timeoutMs: source?.convergence.timeoutMs ?? null,
      isPaused: source?.bandwidth.isHeld ?? false,
    };
  },
  text: (found) =>
    `${pairs(
      [
        ["id", found.id],
        ["machine", found.name],
        [found.side === "source" ? "to" : "from", found.peer],
        ["status", `${found.status}, ${found.phase}${found.isPaused ? ", paused" : ""}`],
        ["downtime limit", found.downtimeLimitMs === null ? "" : `${found.downtimeLimitMs} ms`],
        ["bandwidth", found.bandwidth === null ? "no limit" : bytesText(found.bandwidth)],
        ["policy", found.policy === null ? "" : `${found.policy} after ${found.timeoutMs} ms`],
      ],
      "",
    )}\n`,
});

const report = command({
  family: "migrate",
  name: "report",
  summary: "show where the time of a migration went, and its figures",
  parameters: [MIGRATION],
  options: {},
  example: "migrate report web",
  result: ReportShape,
  async run(call) {
    return reportOf(call.fleet.migrations.find(call.text("MIGRATION") as string));
  },
  text: (found) => {
    const right = (name: string) => ({ name, align: "right" }) as const;
    const rows = found.timeline.map(({ phase, ms }, index) => {
      const next = found.timeline[index + 1]?.ms ?? found.totalMs;
      return [phase, durationText(ms), durationText(Math.max(0, next - ms))];
    });
    return `${table(["PHASE", right("AT"), right("TOOK")], rows)}\n${figuresText(found)}`;
  },
});

const JournalShape = z.object({
  directory: z.string().nullable().describe("null: in memory, gone with the process"),
  undecided: z.array(
    z.object({
      id: z.string(),
      side: z.string(),
      machine: z.string(),
      peer: z.string(),
      record: z.string().nullable().describe("the last decision"),
    }),
  ),
});

const journal = command({
  family: "migrate",
  name: "journal",
  summary: "show what processes before this one have left undecided",
  details: `
Both ends talk about it as soon as they reach each other, and it is settled then; \`migrate
resolve\` says what is known of one.`,
  parameters: [],
  options: STATE,
  example: "migrate journal --state migrations",
  result: JournalShape,
  async run(call) {
    const manager = await openMigrations(call);
    const undecided = manager.recovered.map(({ id, side, machine, peer, record }) => {
      return { id, side, machine, peer, record: record?.kind ?? null };
    });
    return { directory: call.fleet.migrations.state, undecided };
  },
  text: ({ directory, undecided }) => {
    const where = directory ?? "in memory, gone with the process; --state DIR keeps it";
    if (undecided.length === 0) return `${where}\nnothing is undecided\n`;
    const rows = undecided.map((one) => {
      return [one.id.slice(0, 8), one.machine, one.side, one.peer, one.record ?? "unknown"];
    });
    return `${where}\n${table(["ID", "MACHINE", "SIDE", "PEER", "DECIDED"], rows)}`;
  },
});

const capabilities = command({
  family: "migrate",
  name: "capabilities",
  summary: "show what migrations from and to this process can do",
  parameters: [],
  options: {},
  example: "migrate capabilities",
  result: z.object({
    protocolVersions: z.array(z.number()),
    transports: z.array(z.string()),
    policies: z.array(z.string()),
    disks: z.array(z.string()),
    sessionsMax: z.number(),
  }),
  async run() {
    return {
      protocolVersions: [...MIGRATION_VERSIONS],
      transports: ["tcp", "tls", "unix", "ws", "local"],
      policies: [...POLICIES],
      disks: [...DISK_WAYS],
      sessionsMax: 64,
    };
  },
  text: (found) =>
    `${pairs(
      Object.entries(found).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.join(", ") : `${value}`,
      ]),
      "",
    )}\n`,
});

const parameters = command({
  family: "migrate",
  name: "parameters",
  summary: "show what migrations are begun with, and the limit for all of them",
  parameters: [],
  options: {},
  example: "migrate parameters",
  result: z.object({
    downtimeLimitMs: z.number(),
    policy: z.string(),
    timeoutMs: z.number(),
    bandwidth: z.number().nullable().describe("of all together, bytes a second"),
    disks: z.string(),
    state: z.string().nullable(),
  }),
  async run(call) {
    const { manager, state } = call.fleet.migrations;
    const bandwidth = manager?.bandwidth.limit ?? null;
    const defaults = { downtimeLimitMs: 300, policy: "throttle", timeoutMs: 30_000 };
    return { ...defaults, bandwidth, disks: "carried", state };
  },
  text: (found) =>
    `${pairs(
      [
        ["downtime limit", `${found.downtimeLimitMs} ms`],
        ["policy", `${found.policy} after ${durationText(found.timeoutMs)}`],
        ["bandwidth", found.bandwidth === null ? "no limit" : `${bytesText(found.bandwidth)}/s`],
        ["disks", found.disks],
        ["state", found.state ?? "in memory"],
      ],
      "",
    )}\n`,
});

/** These commands, in the order of help. */
export const lookCommands: readonly CommandSpec[] = [
  status,
  watch,
  list,
  info,
  report,
  history,
  journal,
  capabilities,
  parameters,
];
