/**
 * session-log: where a session stands, since when, and its figures.
 *
 * Used by source.ts, target.ts.
 */
import type { Platform } from "../platform/contract.ts";
import type {
  MigrationProgress,
  MigrationResult,
  MigrationSession,
  Phase,
  PhaseMark,
  Status,
} from "./contract.ts";

const PAGE_BYTES = 4096;

/** What only the session knows. */
export interface LiveCounts {
  readonly transferred: number;
  readonly remaining: number;
  readonly total: number;
  readonly duplicate: number;
  readonly normal: number;
  readonly delta: number;
  readonly lz4: number;
  readonly rounds: number;
  readonly bytesPerMs: number | null;
  readonly diskBytes: number;
  readonly throttle: number;
  readonly expectedMs: number | null;
  readonly requests: number;
}

/** The times of one session. */
export class SessionLog {
  readonly #platform: Platform;
  readonly #beganMs: number;
  #phase: Phase = "init";
  #isInDoubt = false;
  #postcopy: "active" | "paused" | null = null;
  #result: MigrationResult | null = null;
  #setupMs: number | null = null;
  #totalMs: number | null = null;
  #pausedMs: number | null = null;
  #downtimeMs: number | null = null;
  #expectedMs: number | null = null;
  #roundMs: number | null = null;
  #dirtyRate = 0;
  readonly #abandoned: number[] = [];
  readonly #timeline: PhaseMark[] = [{ phase: "init", ms: 0 }];

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#beganMs = platform.monotonicMs();
  }

  get phase(): Phase {
    return this.#phase;
  }

  get status(): Status {
    if (this.#result !== null) {
      const { kind } = this.#result;
      if (kind === "completed" || kind === "cancelled") return kind;
      return "failed";
    }
    if (this.#isInDoubt) return "in-doubt";
    if (this.#postcopy !== null) return `postcopy-${this.#postcopy}`;
    if (this.#phase === "init") return "setup";
    return this.#phase === "copy-memory" ? "active" : "device";
  }

  get timeline(): readonly PhaseMark[] {
    return this.#timeline;
  }

  /** Since it began, until it ended. */
  get totalMs(): number {
    return this.#totalMs ?? this.#platform.monotonicMs() - this.#beganMs;
  }

  /** What pauses of abandoned switch-overs took. */
  get abandoned(): readonly number[] {
    return this.#abandoned;
  }

  enter(phase: Phase): void {
    this.#phase = phase;
    if (phase === "copy-memory") this.#setupMs ??= this.totalMs;
    this.#timeline.push({ phase, ms: this.totalMs });
  }

  doubt(isInDoubt: boolean): void {
    this.#isInDoubt = isInDoubt;
  }

  /** It runs at the target, and pages are still at the source; null: no more. */
  postcopy(how: "active" | "paused" | null): void {
    this.#postcopy = how;
  }

  /** A round begins, with so many pages. */
  round(pages: number): void {
    const nowMs = this.#platform.monotonicMs();
    if (this.#roundMs !== null) {
      this.#dirtyRate = (pages * 1000) / Math.max(0.1, nowMs - this.#roundMs);
    }
    this.#roundMs = nowMs;
  }

  expect(ms: number): void {
    this.#expectedMs = ms;
  }

  /** The guest has stood still since `sinceMs`, on the platform's clock. */
  paused(sinceMs: number): void {
    this.#pausedMs = sinceMs;
  }

  abandon(ms: number): void {
    this.#abandoned.push(ms);
    this.#pausedMs = null;
  }

  /** It runs at the target. */
  resumed(): void {
    if (this.#pausedMs === null) return;
    this.#downtimeMs = this.#platform.monotonicMs() - this.#pausedMs;
    this.#pausedMs = null;
  }

  end(result: MigrationResult): void {
    this.#totalMs = this.totalMs;
    this.#result = result;
    this.#isInDoubt = false;
  }

  progress(counts: LiveCounts): MigrationProgress {
    const pausedMs = this.#pausedMs;
    const soFarMs = pausedMs === null ? null : this.#platform.monotonicMs() - pausedMs;
    return {
      status: this.status,
      phase: this.#phase,
      totalMs: this.totalMs,
      setupMs: this.#setupMs ?? this.totalMs,
      downtimeMs: this.#downtimeMs ?? soFarMs,
      expectedDowntimeMs: this.#result === null ? counts.expectedMs : this.#expectedMs,
      ram: {
        transferred: counts.transferred,
        remaining: counts.remaining,
        total: counts.total,
        duplicate: counts.duplicate,
        normal: counts.normal,
        dirtyPagesRate: this.#dirtyRate,
        dirtySyncCount: counts.rounds,
        mbps: ((counts.bytesPerMs ?? 0) * 8) / 1000,
        pageBytes: PAGE_BYTES,
        delta: counts.delta,
        lz4: counts.lz4,
        postcopyRequests: counts.requests,
      },
      disk: { transferred: counts.diskBytes },
      throttlePercent: counts.throttle,
      abandoned: [...this.#abandoned],
    };
  }
}

/** The figures of a session, again and again until it has ended: see MigrationSession.updates. */
export async function* updatesOf(
  session: Pick<MigrationSession, "progress" | "result" | "ended">,
  platform: Platform,
  everyMs = 250,
): AsyncGenerator<MigrationProgress, void> {
  while (session.result === null) {
    yield session.progress;
    let stop = () => {};
    const later = new Promise<void>((resolve) => {
      stop = platform.after(everyMs, resolve);
    });
    await Promise.race([later, session.ended]);
    stop();
  }
  yield session.progress;
}
