/**
 * migrate-text: what the commands of family `migrate` share: parameters, shapes, and how sessions
 * and their figures are shown.
 *
 * Used by commands/migrate*.ts, commands/receive.ts.
 */
import { z } from "zod";
import {
  type MigrationProgress,
  type MigrationSession,
  POLICIES,
  SourceSession,
  VmError,
} from "../../index.ts";
import type { Call, CommandOption, ParameterSpec } from "../command.ts";
import { bytesText, durationText, table } from "../render.ts";
import type { LinkChoices } from "../world.ts";

/** The machine. */
export const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };

/** The session. */
export const MIGRATION: ParameterSpec = {
  name: "MIGRATION",
  kind: "migration",
  help: "name of its machine, for the latest one, or the beginning of its id",
};

/** Where decisions are kept, and how links are made. */
export const STATE = {
  state: {
    value: "DIR",
    kind: "file",
    help: "keep what is decided here, for whoever is started after this process; else in memory",
  },
  "tls-ca": { value: "FILE", kind: "file", help: "authority of the other end's certificate" },
  "tls-cert": { value: "FILE", kind: "file", help: "certificate to show" },
  "tls-key": { value: "FILE", kind: "file", help: "its key" },
  plain: { help: "let tcp:// and ws:// leave this host: whoever is on the way reads the guest" },
} as const satisfies Readonly<Record<string, CommandOption>>;

/** What a migration may be told, at its start and later. */
export const LIMITS = {
  downtime: {
    value: "TIME",
    kind: "duration",
    help: "the guest stands still for no longer (300ms)",
  },
  bandwidth: {
    value: "BYTES",
    kind: "bytes",
    least: 4096,
    help: "most bytes a second, also with K, M or G",
  },
  policy: {
    value: "POLICY",
    kind: "choice",
    choices: POLICIES,
    help: "what is done when it has not converged in time (throttle)",
  },
  timeout: {
    value: "TIME",
    kind: "duration",
    help: "time after which the policy is applied (30s)",
  },
} as const satisfies Readonly<Record<string, CommandOption>>;

/** The figures of a session. */
export const ProgressShape = z.object({
  status: z.string(),
  phase: z.string(),
  totalMs: z.number(),
  setupMs: z.number(),
  downtimeMs: z.number().nullable(),
  expectedDowntimeMs: z.number().nullable(),
  ram: z.object({
    transferred: z.number(),
    remaining: z.number(),
    total: z.number(),
    duplicate: z.number().describe("pages that were zeros, or that the target had"),
    normal: z.number().describe("pages that were sent"),
    dirtyPagesRate: z.number(),
    dirtySyncCount: z.number().describe("rounds"),
    mbps: z.number(),
    pageBytes: z.number(),
    delta: z.number(),
    lz4: z.number(),
    postcopyRequests: z.number().describe("times that the guest waited for a page"),
  }),
  disk: z.object({ transferred: z.number() }),
  throttlePercent: z.number(),
  abandoned: z.array(z.number()).describe("pauses of switch-overs that were given up, ms"),
});

/** How it ended. */
export const ResultShape = z.object({
  kind: z.string(),
  machine: z.string().describe("where the machine is: at-target, at-source or nowhere"),
  reason: z.string().optional(),
});

/** One session. */
export const SessionShape = z.object({
  id: z.string(),
  side: z.enum(["source", "target"]),
  name: z.string(),
  peer: z.string(),
  ...ProgressShape.shape,
  result: ResultShape.nullable(),
});

/** A session with where its time went. */
export const ReportShape = SessionShape.extend({
  timeline: z.array(z.object({ phase: z.string(), ms: z.number() })),
});

/** A session as `--json` shows it. */
export function sessionOf(session: MigrationSession): z.output<typeof SessionShape> {
  const { id, side, name, peer, progress, result } = session;
  return SessionShape.parse({ id, side, name, peer, ...progress, result });
}

/** A session and its phases. */
export function reportOf(session: MigrationSession): z.output<typeof ReportShape> {
  return { ...sessionOf(session), timeline: [...session.timeline] };
}

/** The session that the call names, at the end that sends. Throws "bad-state". */
export function sourceOf(call: Call): SourceSession {
  const session = call.fleet.migrations.find(call.text("MIGRATION") as string);
  if (session instanceof SourceSession) return session;
  const text = `the migration of ${session.name} comes from ${session.peer}`;
  throw new VmError("bad-state", `${text}: only the source can do that`);
}

/** --state, --tls-... and --plain. Throws "bad-argument", "bad-file". */
export async function openMigrations(call: Call) {
  const text = async (name: string) =>
    new TextDecoder().decode(await call.world.readFile(call.path(name) as string));
  const names = ["tls-ca", "tls-cert", "tls-key"] as const;
  const given = names.filter((name) => call.has(name));
  if (given.length > 0 && given.length < names.length) {
    const missing = names.filter((name) => !call.has(name)).map((name) => `--${name}`);
    throw new VmError("bad-argument", `TLS needs all three: ${missing.join(" and ")} missing`);
  }
  const tls =
    given.length === 0
      ? undefined
      : { ca: await text("tls-ca"), cert: await text("tls-cert"), key: await text("tls-key") };
  const isAsking = tls !== undefined || call.has("plain");
  const choices: LinkChoices | null = isAsking ? { tls, isPlainAllowed: call.has("plain") } : null;
  return call.fleet.migrations.open(call.path("state") ?? null, choices);
}

const ms = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/** One line while it goes on: "round 3, 120 MiB left, 940 MB/s, 2 s to go". */
export function stepText(name: string, figures: MigrationProgress): string {
  const { phase, status, ram, disk } = figures;
  if (phase === "init") return `migrating ${name}: asking`;
  if (status === "postcopy-paused")
    return `${name}: the link is lost; \`migrate recover\` calls again`;
  if (status === "postcopy-active") {
    return `${name} runs there, ${bytesText(ram.remaining)} follow`;
  }
  if (phase !== "copy-memory") return `migrating ${name}: switching over`;
  const rate = ram.mbps === 0 ? "" : `, ${Math.round(ram.mbps / 8)} MB/s`;
  const disks = disk.transferred === 0 ? "" : `, ${bytesText(disk.transferred)} of disks`;
  const leftS = ram.mbps === 0 ? null : (ram.remaining * 8) / 1e6 / ram.mbps;
  const left = leftS === null || leftS < 1 ? "" : `, ${Math.round(leftS)} s to go`;
  const what = `round ${ram.dirtySyncCount}, ${bytesText(ram.remaining)} left${disks}`;
  return `migrating ${name}: ${what}${rate}${left}`;
}

/** How a session ended, in one line. */
export function outcomeText(session: z.output<typeof SessionShape>): string {
  const { name, peer, result, ram, downtimeMs, totalMs } = session;
  if (result === null) return `${name}: ${session.status}, ${session.phase}\n`;
  const reason = result.reason === undefined ? "" : `: ${result.reason}`;
  if (result.kind !== "completed") return `${name}: ${result.kind}${reason}\n`;
  const how = session.side === "source" ? `is at ${peer}` : `came from ${peer}`;
  const pause = downtimeMs === null ? "" : `, it stood still for ${ms(downtimeMs)}`;
  const sent = `${bytesText(ram.transferred)} in ${durationText(totalMs)}`;
  return `${name} ${how}: ${sent}, ${ram.dirtySyncCount} rounds${pause}\n`;
}

/** All figures of a session, a line each, in QEMU's words. */
export function figuresText(session: z.output<typeof SessionShape>): string {
  const { ram } = session;
  const optional = (value: number | null) => (value === null ? "unknown" : ms(value));
  const rows: [string, string][] = [
    ["id", session.id],
    ["machine", session.name],
    [session.side === "source" ? "to" : "from", session.peer],
    ["status", session.status],
    ["phase", session.phase],
    ["total time", durationText(session.totalMs)],
    ["setup time", ms(session.setupMs)],
    ["downtime", optional(session.downtimeMs)],
    ["expected downtime", optional(session.expectedDowntimeMs)],
    ["transferred ram", bytesText(ram.transferred)],
    ["remaining ram", bytesText(ram.remaining)],
    ["total ram", bytesText(ram.total)],
    ["duplicate pages", `${ram.duplicate}`],
    ["normal pages", `${ram.normal} (${ram.delta} deltas, ${ram.lz4} compressed)`],
    ["dirty pages rate", `${Math.round(ram.dirtyPagesRate)} a second`],
    ["dirty sync count", `${ram.dirtySyncCount}`],
    ["throughput", `${ram.mbps.toFixed(1)} mbps`],
    ["transferred disks", bytesText(session.disk.transferred)],
    ["postcopy requests", `${ram.postcopyRequests}`],
    ["throttle", `${Math.round(session.throttlePercent)} %`],
  ];
  if (session.abandoned.length > 0) rows.push(["abandoned", session.abandoned.map(ms).join(", ")]);
  if (session.result !== null) {
    const { kind, reason } = session.result;
    rows.push(["result", reason === undefined ? kind : `${kind}: ${reason}`]);
  }
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, value]) => `${name.padEnd(width)}${value}\n`).join("");
}

/** Sessions, a line each. */
export function sessionTable(sessions: readonly z.output<typeof SessionShape>[]): string {
  const right = (name: string) => ({ name, align: "right" }) as const;
  return table(
    ["ID", "MACHINE", "SIDE", "PEER", "STATUS", right("RAM"), right("LEFT"), right("DOWNTIME")],
    sessions.map(({ id, name, side, peer, status, ram, downtimeMs }) => [
      id.slice(0, 8),
      name,
      side,
      peer,
      status,
      bytesText(ram.transferred),
      bytesText(ram.remaining),
      downtimeMs === null ? "" : ms(downtimeMs),
    ]),
  );
}
