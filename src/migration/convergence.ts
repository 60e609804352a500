/**
 * convergence: whether it is time to switch over, and what is done about a guest that changes
 * memory faster than the link takes it.
 *
 * Owns    the limit, the policy, and what the guest is kept from: its cap until `release`.
 * Used by source.ts.
 * Holds   a switch-over is begun only when it is predicted to keep the limit, or when somebody, or
 *         the policy once its time has come, says that it need not.
 */
import { VmError } from "../errors.ts";
import type { Share } from "../machine/accounting.ts";
import { type MigrateOptions, POLICIES, type Policy } from "./contract.ts";

/** Switch-overs that are tried before the policy decides; the journal has room for more. */
export const SWITCHES_MAX = 40;
/** Of the host's time, per cent, that a throttled guest gets at first, and at last. */
const CAP_FIRST = 50;
const CAP_LAST = 5;
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
}

/** Decides when a machine is switched over. */
export class Convergence {
  readonly #share: Share;
  #limitMs = 300;
  #policy: Policy = "throttle";
  #timeoutMs = 30_000;
  #isForced = false;
  #isPostcopy = false;
  #capBefore: number | null = null;
  #throttle = 0;

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
  isTime({ expectedMs, totalMs, attempts, pages }: Standing): boolean {
    if (this.#isForced || expectedMs <= this.#limitMs) return true;
    if (this.#isPostcopy && attempts < SWITCHES_MAX) return true;
    if (totalMs < this.#timeoutMs && attempts < SWITCHES_MAX) return false;
    if (this.#policy === "force") {
      this.#isForced = true;
      return true;
    }
    if (this.#policy === "postcopy" && attempts < SWITCHES_MAX) {
      this.#isPostcopy = true;
      return true;
    }
    if (this.#policy === "cancel" || attempts >= SWITCHES_MAX) {
      const text = `it did not converge in ${Math.round(totalMs)} ms`;
      throw new VmError("timeout", `${text}: ${pages} pages are left, ${attempts} attempts`);
    }
    this.#throttleMore();
    return false;
  }

  #throttleMore(): void {
    if (this.#throttle === 0) this.#capBefore = this.#share.capPercent;
    const now = this.#throttle === 0 ? CAP_FIRST : Math.max(CAP_LAST, (100 - this.#throttle) / 1.5);
    this.#share.capPercent = Math.min(now, this.#capBefore ?? 100);
    this.#throttle = 100 - this.#share.capPercent;
  }

  /** The guest runs freely again. */
  release(): void {
    if (this.#throttle > 0) this.#share.capPercent = this.#capBefore;
    this.#throttle = 0;
  }
}
