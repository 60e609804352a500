/**
 * convergence: whether it is time to switch over, and what is done about a guest that changes
 * memory faster than the link takes it.
 *
 * Owns    the limit, the policy, and what the guest is kept from: its allowance until `release`.
 * Used by source.ts.
 * Holds   a switch-over is begun only when it is predicted to keep the limit, or when somebody, or
 *         the policy once its time has come, says that it need not. A guest that is throttled gets
 *         as much of a round as leaves so many pages that the next switch-over would fit.
 */
import { VmError } from "../errors.ts";
import type { Share } from "../machine/accounting.ts";
import { type MigrateOptions, POLICIES, type Policy } from "./contract.ts";

/** Switch-overs that are tried before the policy decides; the journal has room for more. */
export const SWITCHES_MAX = 40;
/** A round that leaves more of the pages than it sent: it does not converge by itself. */
const STUCK_SHARE = 0.8;
/** What a throttled guest has at least of each `WINDOW_MS`; and once the policy's time is over. */
const PART_MIN = 0.12;
const PART_MIN_LATE = 0.03;
const WINDOW_MS = 100;
/** Of what would just fit: the guest may write faster than it did. */
const FITTING = 0.7;
const LIMIT_MS_MAX = 3_600_000;

/** How it stands when a round is over. */
export interface Standing {
  /** What a switch-over now would take. */
  readonly expectedMs: number;
  /** Since the session began. */
  readonly totalMs: number;
  /** Switch-overs that were abandoned. */
  readonly attempts: number;
  /** Pages that are left. */
  readonly pages: number;
  /** What a page of a switch-over takes, and all else of one. */
  readonly pageMs: number;
  readonly restMs: number;
  /** Pages that the guest writes while it has the host for a millisecond. */
  readonly dirtyPerMs: number;
}

/** Decides when a machine is switched over. */
export class Convergence {
  readonly #share: Share;
  #limitMs = 300;
  #policy: Policy = "throttle";
  #timeoutMs = 30_000;
  #isForced = false;
  #isPostcopy = false;
  #throttle = 0;
  /** What the guest may have of the host during the next round, ms; null for as much as it gets. */
  #allowanceMs: number | null = null;
  #pagesBefore = Number.POSITIVE_INFINITY;
  /** It does not converge by itself. */
  #isStuck = false;
  /** When rounds began, and what the guest had had of the host by then. */
  #marks: { readonly ms: number; readonly usedMs: number }[] = [];

  /** Throws "bad-argument". */
  constructor(share: Share, options: MigrateOptions) {
    this.#share = share;
    this.limitMs = options.downtimeLimitMs ?? this.#limitMs;
    this.setPolicy(options.policy ?? this.#policy, options.timeoutMs);
  }

  /** Milliseconds that the guest may stand still for. */
  get limitMs(): number {
    return this.#limitMs;
  }

  /** Throws "bad-argument". */
  set limitMs(ms: number) {
    if (!(ms > 0 && ms <= LIMIT_MS_MAX)) {
      const accepted = `accepted are more than 0 to ${LIMIT_MS_MAX} ms`;
      throw new VmError("bad-argument", `a downtime limit of ${ms} ms: ${accepted}`);
    }
    this.#limitMs = ms;
  }

  get policy(): Policy {
    return this.#policy;
  }

  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /** `timeoutMs`: since the session began; as it is when left out. Throws "bad-argument". */
  setPolicy(policy: Policy, timeoutMs = this.#timeoutMs): void {
    if (!POLICIES.includes(policy)) {
      throw new VmError("bad-argument", `policy "${policy}": accepted are ${POLICIES.join(", ")}`);
    }
    if (!(timeoutMs >= 0)) {
      throw new VmError("bad-argument", `a timeout of ${timeoutMs} ms: accepted are 0 and more`);
    }
    this.#policy = policy;
    this.#timeoutMs = timeoutMs;
  }

  /** Per cent that the guest is kept from; 0 when it runs freely. */
  get throttlePercent(): number {
    return this.#throttle;
  }

  /** True when the pause may take as long as it takes. */
  get isForced(): boolean {
    return this.#isForced;
  }

  /** Switches over at the end of this round, whatever it takes. */
  force(): void {
    this.#isForced = true;
  }

  /** True when the rest is to follow behind the switch-over. */
  get isPostcopy(): boolean {
    return this.#isPostcopy;
  }

  /** Switches over at the end of this round; what is left then follows. */
  postcopy(): void {
    this.#isPostcopy = true;
  }

  /** True when it is time to switch over. Throws "timeout" where the policy gives up. */
  isTime(standing: Standing): boolean {
    const { expectedMs, totalMs, attempts, pages } = standing;
    this.#allowanceMs = null;
    this.#throttle = 0;
    if (this.#isForced || expectedMs <= this.#limitMs) return true;
    if (this.#isPostcopy && attempts < SWITCHES_MAX) return true;
    if (pages > this.#pagesBefore * STUCK_SHARE) this.#isStuck = true;
    this.#pagesBefore = pages;
    this.#mark(totalMs);
    const isLate = totalMs >= this.#timeoutMs || attempts >= SWITCHES_MAX;
    if (this.#policy === "throttle" && attempts < SWITCHES_MAX) {
      if (isLate || this.#isStuck) this.#throttleRound(standing, isLate);
      return false;
    }
    if (!isLate) return false;
    if (this.#policy === "postcopy" && attempts < SWITCHES_MAX) {
      this.#isPostcopy = true;
      return true;
    }
    if (this.#policy === "force") {
      this.#isForced = true;
      return true;
    }
    const text = `it did not converge in ${Math.round(totalMs)} ms`;
    throw new VmError("timeout", `${text}: ${pages} pages are left, ${attempts} attempts`);
  }

  /** So much of the next round that what it writes meanwhile fits into a pause. */
  #throttleRound({ pages, pageMs, restMs, dirtyPerMs }: Standing, isLate: boolean): void {
    const roundMs = Math.max(1, pages * pageMs);
    const fitting = Math.max(0, (this.#limitMs - restMs) / pageMs) * FITTING;
    // the pause may follow at once
    const aheadMs = roundMs + Math.min(this.#limitMs, WINDOW_MS / 2);
    const part = isLate ? PART_MIN_LATE : PART_MIN;
    const leastMs = Math.max(WINDOW_MS, aheadMs) * part - this.#usedLately(WINDOW_MS - aheadMs);
    this.#allowanceMs = Math.max(0.5, leastMs, fitting / dirtyPerMs);
    this.#throttle = Math.max(0, 100 * (1 - this.#allowanceMs / (this.#allowanceMs + roundMs)));
  }

  #mark(ms: number): void {
    this.#marks = this.#marks.filter((one) => ms - one.ms < 2 * WINDOW_MS);
    this.#marks.push({ ms, usedMs: this.#share.usedMs });
  }

  /** What the guest has had of the host in the last `ms`: within a round evenly. */
  #usedLately(ms: number): number {
    const last = this.#marks[this.#marks.length - 1];
    const fromMs = last.ms - ms;
    if (ms <= 0) return 0;
    const at = this.#marks.findIndex((one) => one.ms > fromMs);
    const [before, after] = [this.#marks[at - 1], this.#marks[at]];
    if (before === undefined) return last.usedMs - after.usedMs;
    const part = (after.ms - fromMs) / (after.ms - before.ms);
    return last.usedMs - after.usedMs + (after.usedMs - before.usedMs) * part;
  }

  /** A round begins: the guest has what it was counted out. */
  beginRound(): void {
    this.#share.allowanceMs = this.#allowanceMs;
  }

  /** The guest runs freely again. */
  release(): void {
    this.#share.allowanceMs = null;
  }
}
