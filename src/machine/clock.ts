/**
 * clock: where guest time comes from: the instruction count, or the host.
 *
 * Owns    the host clock's offset, so that time stands still while a machine does not run.
 * Used by runner.ts around every slice.
 * Holds   machine time never goes back. Under the host clock the core estimates within a slice from
 *         the slots used, at a measured rate and by a bounded span, so that a guest that reads time
 *         in a loop sees it move.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { Platform } from "../platform/contract.ts";
import type { ClockKind } from "./config.ts";

/** Ticks of the 10 MHz timebase in a millisecond. */
export const TICKS_PER_MS = 10_000;
/**
 * The end of machine time: 14 years. A guest gets there in a moment when it waits for a timer; what
 * lies behind it never comes, so that sums of times stay exact numbers.
 */
export const TIME_END_TICKS = 2 ** 52;
/** Slots of 10 ns in a tick, when one hart runs. */
const SLOTS_PER_TICK = 10;
/** The estimate within a slice runs ahead of the host by this much at most. */
const SPAN_TICKS = 8 * TICKS_PER_MS;
/**
 * Machine time catches up with a gap in steps: whenever every hart waits, to the next timer or as
 * far as a step goes; and after some slots without such a wait, at a moment when no hart has its
 * interrupts masked: a handler would seem to have taken as long as the step. So each timer of the
 * guest comes and its watchdogs (4 s and more) are fed: an hour at once would look like a machine
 * that hung for an hour. Linux says that its deadline scheduler lags when a step is longer
 * than a second; only gaps of more than some hours have such.
 */
const STEP_TICKS_MIN = 250 * TICKS_PER_MS;
const STEP_TICKS_MAX = 2000 * TICKS_PER_MS;
const STEPS = 14_400;
/** Slots of each hart between two steps. */
const STEP_SLOTS = 100_000;
/** Slots of each hart to the next look whether all are out of their handlers; and looks at most. */
const CALM_SLOTS = 1000;
const CALM_LOOKS_MAX = 200;
const RATE_ONE = 65536;
/** 100 MIPS until measured. */
const RATE_START = RATE_ONE / SLOTS_PER_TICK;

/** The clock of one machine. */
export interface MachineClock {
  readonly kind: ClockKind;
  /** The machine begins to run. */
  start(view: MachineView): void;
  /** The machine does not run any more; time stands still. */
  stop(): void;
  /** Brings machine time up to date; called before a slice and after a wait. */
  update(view: MachineView): void;
  /**
   * Slots after which machine time is `ticks`: exact when virtual, an estimate otherwise. At least
   * 1.
   */
  slotsUntil(view: MachineView, ticks: number): number;
  /**
   * The machine was made what another one was at `ticks`. With `gapTicks` its time catches up by as
   * much: see STEP_TICKS_MIN.
   */
  adopt(view: MachineView, ticks: number, gapTicks: number): void;
  /** True while machine time has a gap to catch up with: an idle machine does not wait. */
  readonly isBehind: boolean;
  /** A step of that when it is due, unless the guest waits now and then; slots to the next look. */
  catchUp(view: MachineView): number;
  /** Every hart waits, for `ticks` at the latest: a step of that. */
  catchUpIdle(view: MachineView, ticks: number): void;
  /** What of host time this machine has not seen: a gap that it catches up with, a pause. */
  readonly behindTicks: number;
}

/** Time is slots / harts x 10 ns plus idle jumps. */
class VirtualClock implements MachineClock {
  readonly kind = "virtual";
  readonly isBehind = false;
  readonly behindTicks = 0;
  catchUp(): number {
    return Number.POSITIVE_INFINITY;
  }
  catchUpIdle(): void {}
  /** Its time is in the core's blocks. */
  adopt(): void {}
  start(): void {}
  stop(): void {}
  update(): void {}

  slotsUntil(view: MachineView, ticks: number): number {
    const due = (ticks - view.idleTicks) * SLOTS_PER_TICK * view.harts.length;
    return Math.max(1, due - view.slots);
  }
}

/** Time follows the platform's monotonic clock while the machine runs. */
class HostClock implements MachineClock {
  readonly kind = "host";
  readonly #platform: Platform;
  /** Host time at which machine time would have been 0. */
  #zeroMs = 0;
  #isRunning = false;
  #rate = RATE_START;
  #lastMs = 0;
  #lastSlots = 0;
  /** What machine time has to catch up with. */
  #gapTicks = 0;
  #stepTicks = STEP_TICKS_MIN;
  /** Every hart has waited since the last step that came without. */
  #hasIdled = false;
  /** The slot at which the next step is looked for. */
  #lookSlots = 0;
  /** Looks since the guest was to have a step and a hart was masked. */
  #calmLooks = 0;
  /** When it last stopped; null before it first ran. */
  #stoppedMs: number | null = null;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  start(view: MachineView): void {
    const now = this.#platform.monotonicMs();
    this.#zeroMs = now - view.ticks / TICKS_PER_MS;
    this.#isRunning = true;
    this.#lastMs = now;
    this.#lastSlots = view.slots;
    this.update(view);
  }

  stop(): void {
    if (this.#isRunning) this.#stoppedMs = this.#platform.monotonicMs();
    this.#isRunning = false;
  }

  get behindTicks(): number {
    const isStanding = !this.#isRunning && this.#stoppedMs !== null;
    const stoodMs = isStanding ? this.#platform.monotonicMs() - (this.#stoppedMs ?? 0) : 0;
    return this.#gapTicks + Math.floor(stoodMs * TICKS_PER_MS);
  }

  get isBehind(): boolean {
    return this.#gapTicks > 0;
  }

  adopt(view: MachineView, ticks: number, gapTicks: number): void {
    this.#gapTicks = gapTicks;
    this.#lookSlots = view.slots;
    this.#calmLooks = 0;
    this.#stepTicks = Math.min(STEP_TICKS_MAX, Math.max(STEP_TICKS_MIN, gapTicks / STEPS));
    view.setHostTime(ticks, this.#rate, 0);
    if (this.#isRunning) this.start(view);
  }

  catchUp(view: MachineView): number {
    if (!this.isBehind) return Number.POSITIVE_INFINITY;
    const left = this.#lookSlots - view.slots;
    if (left > 0) return left;
    let slots = STEP_SLOTS;
    if (!this.#hasIdled) {
      const isMasked = view.harts.some((hart) => hart.isMasked);
      if (isMasked && ++this.#calmLooks <= CALM_LOOKS_MAX) slots = CALM_SLOTS;
      else this.#step(view, this.#stepTicks);
    }
    if (slots === STEP_SLOTS) {
      this.#calmLooks = 0;
      this.#hasIdled = false;
    }
    slots *= view.harts.length;
    this.#lookSlots = view.slots + slots;
    return slots;
  }

  catchUpIdle(view: MachineView, ticks: number): void {
    this.#hasIdled = true;
    this.#step(view, Math.min(this.#stepTicks, Math.max(1, Math.ceil(ticks - view.ticks))));
  }

  #step(view: MachineView, ticks: number): void {
    const step = Math.min(this.#gapTicks, ticks);
    this.#gapTicks -= step;
    this.#zeroMs -= step / TICKS_PER_MS;
    this.update(view);
  }

  update(view: MachineView): void {
    if (!this.#isRunning) return;
    const nowMs = this.#platform.monotonicMs();
    this.#measure(nowMs, view.slots);
    const ticks = Math.floor((nowMs - this.#zeroMs) * TICKS_PER_MS);
    view.setHostTime(Math.max(ticks, view.ticks), this.#rate, SPAN_TICKS);
  }

  /**
   * Ticks per slot over the last stretch that was long enough to tell, a little low so as not to
   * run ahead.
   */
  #measure(nowMs: number, slots: number): void {
    const ms = nowMs - this.#lastMs;
    const used = slots - this.#lastSlots;
    if (ms >= 0.5 && used >= 10_000) {
      const rate = ((ms * TICKS_PER_MS) / used) * RATE_ONE * 0.9;
      this.#rate = Math.max(1, Math.min(RATE_ONE * SLOTS_PER_TICK, Math.round(rate)));
    }
    this.#lastMs = nowMs;
    this.#lastSlots = slots;
  }

  slotsUntil(view: MachineView, ticks: number): number {
    return Math.max(1, Math.ceil(((ticks - view.ticks) * RATE_ONE) / this.#rate));
  }
}

/** The clock that a configuration asks for. */
export function makeClock(kind: ClockKind, platform: Platform): MachineClock {
  return kind === "host" ? new HostClock(platform) : new VirtualClock();
}
