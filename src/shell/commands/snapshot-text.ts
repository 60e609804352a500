/**
 * snapshot-text: what the commands of family `snapshot` share: parameters, shapes, and how
 * snapshots are named and shown.
 *
 * Used by commands/snapshot*.ts.
 */
import { z } from "zod";
import type { LongOptions, Snapshot, SnapshotManager } from "../../index.ts";
import { type Call, type CommandOption, type ParameterSpec, UsageError } from "../command.ts";
import { progressOf } from "../progress.ts";
import { bytesText, durationText, table } from "../render.ts";

/** The machine. */
export const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };

/** The snapshot. */
export const SNAPSHOT: ParameterSpec = {
  name: "SNAPSHOT",
  kind: "snapshot",
  help: "its name, VM/NAME where two machines have one of that name, or its id",
};

/** The store, where none is mounted. */
export const STORE = {
  store: { value: "DIR", kind: "file", help: "the store; it is mounted first" },
} as const satisfies Readonly<Record<string, CommandOption>>;

/** What every long operation takes. */
export const LONG = {
  limit: {
    value: "BYTES",
    kind: "bytes",
    least: 4096,
    help: "most bytes a second, also with K, M or G",
  },
} as const satisfies Readonly<Record<string, CommandOption>>;

/** One snapshot. */
export const SnapshotShape = z.object({
  id: z.string(),
  name: z.string(),
  machine: z.string(),
  type: z.enum(["full", "incremental", "differential", "cow"]),
  parent: z.string().nullable(),
  level: z.number().describe("snapshots that its chain has up to here"),
  createdMs: z.number().describe("since 1970"),
  ticks: z.number().describe("of 100 ns of machine time"),
  instructions: z.number(),
  digest: z.string().nullable(),
  pages: z.number().describe("of 4096 bytes that it holds itself"),
  bytes: z.object({ logical: z.number(), unique: z.number(), onDisk: z.number() }),
  labels: z.record(z.string(), z.string()),
  notes: z.string(),
  isInMemory: z.boolean(),
  isRetained: z.boolean(),
});

/** The manager of the store that is mounted, or that --store names; `create`: it may be made. */
export function managerOf(call: Call, create = false): Promise<SnapshotManager> {
  const path = call.has("store") ? call.path("store") : undefined;
  return call.fleet.snapshots.manager(path, create);
}

/** Says on stderr how many snapshots a list leaves out. */
export function sayDamaged({ streams }: Call, { damaged }: SnapshotManager): void {
  if (damaged.length === 0) return;
  const what = damaged.length === 1 ? "1 more is" : `${damaged.length} more are`;
  streams.say(`${what} damaged; \`snapshot verify\` says why\n`);
}

/** Progress on stderr, Ctrl-C, and --limit, for a long operation of the manager; and its end. */
export function longOf(call: Call): LongOptions & { end(): void } {
  const progress = progressOf(call);
  let shownMs = Number.NEGATIVE_INFINITY;
  const beganMs = call.world.monotonicMs();
  return {
    signal: call.signal,
    bytesPerSecond: call.has("limit") ? call.number("limit") : undefined,
    onProgress({ step, done, total }) {
      const nowMs = call.world.monotonicMs();
      // what is over in a second needs no progress
      if (nowMs - beganMs < 500 || nowMs - shownMs < 50) return;
      shownMs = nowMs;
      progress.show(step, total === null || total === 0 ? undefined : (100 * done) / total);
    },
    end: () => progress.end(),
  };
}

/** KEY=VALUE words as labels; KEY= takes one away. Throws UsageError. */
export function labelsOf(words: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const word of words) {
    const [, key, value] = /^([A-Za-z0-9][\w.-]{0,62})=(.*)$/s.exec(word) ?? [];
    if (key === undefined) {
      throw new UsageError(`label "${word}": accepted are KEY=VALUE, and KEY= to take one away`);
    }
    labels[key] = value;
  }
  return labels;
}

const DAY_MS = 86_400_000;
/** Days from 1 March of year 0 to 1 January 1970. */
const DAYS_TO_1970 = 719_468;
/** Days of 400 years of the Gregorian calendar, and of 100, 4 and 1. */
const [DAYS_400, DAYS_100, DAYS_4, DAYS_1] = [146_097, 36_524, 1461, 365];

/** "2026-11-23 06:40:12", in UTC, of milliseconds since 1970. */
export function timeText(ms: number): string {
  const days = Math.floor(ms / DAY_MS) + DAYS_TO_1970;
  const era = Math.floor(days / DAYS_400);
  const day = days - era * DAYS_400;
  // years begin in March, so that a leap day is the last of its year
  const leaps = Math.floor(day / (DAYS_4 - 1)) - Math.floor(day / DAYS_100);
  const year = Math.floor((day - leaps + Math.floor(day / (DAYS_400 - 1))) / DAYS_1);
  const inYear = day - (DAYS_1 * year + Math.floor(year / 4) - Math.floor(year / 100));
  const month = Math.floor((5 * inYear + 2) / 153);
  const inMonth = inYear - Math.floor((153 * month + 2) / 5) + 1;
  const shown = month < 10 ? month + 3 : month - 9;
  const two = (value: number) => `${value}`.padStart(2, "0");
  const seconds = Math.floor((ms % DAY_MS) / 1000);
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor).map(two);
  const fullYear = era * 400 + year + (month < 10 ? 0 : 1);
  return `${fullYear}-${two(shown)}-${two(inMonth)} ${clock.join(":")}`;
}

/** Labels as they are typed. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

/** "full", or "cow, in memory". */
export function typeText({ type, isInMemory }: Pick<Snapshot, "type" | "isInMemory">): string {
  return isInMemory ? `${type}, in memory` : type;
}

/** Snapshots, a line each. */
export function snapshotTable(
  snapshots: readonly z.output<typeof SnapshotShape>[],
  nameOf: (id: string, machine: string) => string | null,
): string {
  const right = (name: string) => ({ name, align: "right" }) as const;
  const columns = ["MACHINE", "NAME", "TYPE", "PARENT", right("PAGES"), right("ON DISK")];
  return table(
    [...columns, right("GUEST TIME"), "CREATED (UTC)", "LABELS"],
    snapshots.map((one) => [
      one.machine,
      one.name,
      typeText(one),
      one.parent === null ? "" : (nameOf(one.parent, one.machine) ?? one.parent),
      `${one.pages}`,
      bytesText(one.bytes.onDisk),
      durationText(one.ticks / 1e4),
      timeText(one.createdMs),
      labelsText(one.labels),
    ]),
  );
}
