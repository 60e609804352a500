/**
 * plan: what a migration would be like, without one: how fast the guest writes, and what rounds,
 * pause and time follow from that.
 *
 * Used by the shell and programs.
 * Holds   nothing of the machine changes; its writes are counted for a while. The rounds are those
 *         of source.ts, with pages as they are: what deltas and compression save is not counted.
 */
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import type { MigrationSignal } from "./contract.ts";

const PAGE_BYTES = 4096;
/** Counted so many times within the sample. */
const SAMPLES = 40;
/** More rounds than that do not converge. */
const ROUNDS_MAX = 40;
/** What stops, commits and starts a guest, ms: see downtime.ts. */
const SWITCH_MS = 6;
/** Over what the link has shown, as downtime.ts has it. */
const SAFETY = 1.3;

/** What a plan is made with. */
export interface PlanOptions {
  /** The guest may stand still for so long; by default 300. */
  readonly downtimeLimitMs?: number;
  /** Bytes per second that the link takes. */
  readonly bandwidth: number;
  /** For how long writes are counted; by default 1000. */
  readonly sampleMs?: number;
  readonly signal?: MigrationSignal;
}

/** A round of the plan. */
export interface PlannedRound {
  readonly pages: number;
  readonly ms: number;
}

/** What is expected of a migration. */
export interface MigrationPlan {
  readonly bandwidth: number;
  readonly downtimeLimitMs: number;
  /** Pages that are not zero. */
  readonly pages: number;
  /** While it was looked: pages written a second, and different ones in all. */
  readonly dirtyPagesRate: number;
  readonly workingSetPages: number;
  readonly rounds: readonly PlannedRound[];
  /** False: the guest writes faster than the link takes it; the policy would decide. */
  readonly isConverging: boolean;
  readonly expectedDowntimeMs: number;
  readonly expectedTotalMs: number;
  readonly expectedBytes: number;
}

/**
 * Counts what a machine writes while it runs, and foretells its migration. Throws "bad-argument",
 * "limit" (dirty logs), "aborted".
 */
export async function planMigration(
  platform: Platform,
  machine: Machine,
  { downtimeLimitMs = 300, bandwidth, sampleMs = 1000, signal }: PlanOptions,
): Promise<MigrationPlan> {
  if (!(bandwidth >= PAGE_BYTES)) {
    throw new VmError("bad-argument", `a bandwidth of ${bandwidth}: accepted are 4096 and more`);
  }
  if (!(sampleMs >= SAMPLES && sampleMs <= 600_000)) {
    const accepted = `accepted are ${SAMPLES} to 600000 ms`;
    throw new VmError("bad-argument", `a sample of ${sampleMs} ms: ${accepted}`);
  }
  const curve = await workingSet(platform, machine, sampleMs, signal);
  const pages = machine.view.frames;
  const rounds: PlannedRound[] = [];
  const perPageMs = (PAGE_BYTES * 1000) / bandwidth;
  let left = pages;
  let isConverging = false;
  while (rounds.length < ROUNDS_MAX) {
    const ms = Math.max(2, left * perPageMs);
    rounds.push({ pages: left, ms });
    const before = left;
    left = Math.min(pages, dirtied(curve, ms));
    isConverging = left * perPageMs * SAFETY + SWITCH_MS <= downtimeLimitMs;
    if (isConverging || (rounds.length > 1 && left > before * 0.95)) break;
  }
  const expectedDowntimeMs = left * perPageMs * SAFETY + SWITCH_MS;
  const sent = rounds.reduce((sum, round) => sum + round.pages, left);
  const last = curve[curve.length - 1];
  return {
    ...{ bandwidth, downtimeLimitMs, pages, rounds, isConverging, expectedDowntimeMs },
    dirtyPagesRate: (dirtied(curve, sampleMs / SAMPLES) * 1000 * SAMPLES) / sampleMs,
    workingSetPages: last.pages,
    expectedTotalMs: rounds.reduce((sum, { ms }) => sum + ms, expectedDowntimeMs),
    expectedBytes: sent * PAGE_BYTES,
  };
}

/** Different pages that were written within so long. */
interface Point {
  readonly ms: number;
  readonly pages: number;
}

async function workingSet(
  platform: Platform,
  machine: Machine,
  sampleMs: number,
  signal: MigrationSignal | undefined,
): Promise<readonly Point[]> {
  const log = machine.view.openLog();
  try {
    const beganMs = platform.monotonicMs();
    const curve: Point[] = [{ ms: 0, pages: 0 }];
    for (;;) {
      await new Promise<void>((resolve) => platform.after(sampleMs / SAMPLES, resolve));
      if (signal?.aborted === true) throw new VmError("aborted", "the plan was given up");
      if (machine.isDisposed) throw new VmError("bad-state", `${machine.name} has ended`);
      const ms = platform.monotonicMs() - beganMs;
      curve.push({ ms, pages: log.count });
      if (ms >= sampleMs) return curve;
    }
  } finally {
    log.close();
  }
}

/** Read off the curve; behind its end it goes on as its second half did. */
function dirtied(curve: readonly Point[], ms: number): number {
  const at = curve.findIndex((point) => point.ms >= ms);
  if (at > 0) {
    const [from, to] = [curve[at - 1], curve[at]];
    const part = (ms - from.ms) / Math.max(1e-3, to.ms - from.ms);
    return Math.round(from.pages + (to.pages - from.pages) * part);
  }
  const [middle, last] = [curve[curve.length >> 1], curve[curve.length - 1]];
  const slope = (last.pages - middle.pages) / Math.max(1e-3, last.ms - middle.ms);
  return Math.round(last.pages + slope * (ms - last.ms));
}
