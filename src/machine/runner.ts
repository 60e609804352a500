/**
 * runner: the loop between the core and everything that its exits need: devices, SBI, HTIF, time.
 *
 * Owns    the order in which things happen between two runs of the core; law 0 (DESIGN.md section
 *         4) rests on it.
 * Used by machine.ts, slice by slice.
 * Holds   what is done depends on machine state alone: an alarm fires when machine time reaches it,
 *         never because a slice or a budget ended; the core is never given more slots than lie
 *         before the next alarm.
 */
import {
  EXIT_BREAK,
  EXIT_BUDGET,
  EXIT_HTIF,
  EXIT_IDLE,
  EXIT_MEMORY,
  EXIT_MMIO,
  EXIT_PAGE,
  EXIT_SBI,
  EXIT_TRAP_LOOP,
  MACHINE_WORK_MAX,
} from "../../assembly/layout.ts";
import { DebugView, type StopEntry } from "../core/debug-view.ts";
import type { MachineView } from "../core/machine-view.ts";
import { VmError } from "../errors.ts";
import type { AgentChannel } from "./agent.ts";
import type { Bus } from "./bus.ts";
import { type MachineClock, TICKS_PER_MS, TIME_END_TICKS } from "./clock.ts";
import type { ConsoleEnd } from "./console.ts";
import type { Htif } from "./htif.ts";
import type { DeviceHub } from "./hub.ts";
import type { PageDesk } from "./pager.ts";
import type { RunResult } from "./result.ts";
import type { Sbi } from "./sbi.ts";

/** The parts of one machine that take part in a run. */
export interface RunnerParts {
  readonly view: MachineView;
  readonly bus: Bus;
  readonly hub: DeviceHub;
  readonly sbi: Sbi;
  readonly htif: Htif | null;
  readonly clock: MachineClock;
  readonly console: ConsoleEnd;
  readonly agent: AgentChannel | null;
  readonly pages: PageDesk;
}

/** What came of a slice. */
export type SliceOutcome =
  /** Ready for more. */
  | { readonly kind: "again" }
  /** Nothing to do before machine time `untilTicks`, or input. Infinity waits for input alone. */
  | { readonly kind: "wait"; readonly untilTicks: number }
  /** Machine time stands still until host work is done. */
  | { readonly kind: "held" }
  /** Frames ran out. */
  | { readonly kind: "memory" }
  /** RAM page `page` is not here. */
  | { readonly kind: "page"; readonly page: number }
  /** The debugger is to look. */
  | { readonly kind: "stop"; readonly stop: StopEntry }
  /** The guest asked for a reset. */
  | { readonly kind: "reset" }
  | { readonly kind: "end"; readonly result: RunResult };

/** Slots that serving one exit counts for, so that a slice full of exits does not last longer. */
const EXIT_CHARGE = 100;
/** Work beside instructions (flushes, decoding) that ends a slice: a few milliseconds of it. */
const CORE_WORK_MAX = 2_000_000;
const AGAIN: SliceOutcome = { kind: "again" };
const HELD: SliceOutcome = { kind: "held" };
const MEMORY: SliceOutcome = { kind: "memory" };
const RESET: SliceOutcome = { kind: "reset" };

const end = (result: RunResult): SliceOutcome => ({ kind: "end", result });

/** Counts for --stats. */
export interface ExitCounts {
  mmio: number;
  sbi: number;
  idle: number;
  alarm: number;
}

/** Runs one machine, a slice at a time. */
export class Runner {
  readonly parts: RunnerParts;
  readonly counts: ExitCounts;
  /** Frames for the answer to an HTIF command were short: it is served before anything else. */
  isHtifLeft = false;
  readonly #debug: DebugView;
  /** The debugger's stop, told once what led to it is done. */
  #stop: StopEntry | null = null;

  constructor(parts: RunnerParts, counts: ExitCounts) {
    this.parts = parts;
    this.#debug = new DebugView(parts.view);
    this.counts = counts;
    parts.view.set32(MACHINE_WORK_MAX, CORE_WORK_MAX);
  }

  /** Runs for about `slots` slots, and not past `target` instructions retired. */
  slice(slots: number, target: number): SliceOutcome {
    const { view, hub, clock } = this.parts;
    clock.update(view);
    hub.beginSlice();
    for (let left = slots; left > 0 && !hub.isTired; ) {
      const due = this.#due(target);
      if (due !== null) return due;
      let share = Math.min(left, clock.catchUp(view), target - view.retired);
      if (hub.nextAlarm !== Number.POSITIVE_INFINITY) {
        share = Math.min(share, clock.slotsUntil(view, hub.nextAlarm));
      }
      const before = view.slots;
      const exit = view.run(share);
      left -= view.slots - before;
      if (exit === EXIT_BUDGET) {
        // Fewer slots than asked for: they cost the host so much that the next ones are for another
        // slice.
        if (view.slots - before < share) break;
        continue;
      }
      const outcome = this.#serve(exit, target);
      this.#stop = this.#debug.stop; // told once what has been left undone is done
      if (outcome !== null) return outcome;
      left -= EXIT_CHARGE;
    }
    // What the last instructions led to belongs to them, not to the next slice.
    return this.#due(target) ?? AGAIN;
  }

  /** What is to be done or told before the next instruction. */
  #due(target: number): SliceOutcome | null {
    const between = this.#between();
    if (between !== null) return between;
    const stop = this.#stop;
    this.#stop = null;
    if (stop !== null) return { kind: "stop", stop };
    return this.parts.view.retired >= target ? end({ kind: "budget" }) : null;
  }

  /** Everything that may keep the next instruction from running. */
  #between(): SliceOutcome | null {
    const { view, hub, bus } = this.parts;
    if (hub.isClosed) return end({ kind: "stopped" });
    while (hub.isUnfinished) {
      if (hub.isTired) return AGAIN;
      hub.goOn();
    }
    if (this.isHtifLeft) {
      const outcome = this.#htif();
      if (outcome !== null) return outcome;
    }
    this.parts.console.pump();
    this.parts.agent?.pump();
    if (hub.nextAlarm !== Number.POSITIVE_INFINITY) {
      const now = view.ticks;
      if (hub.nextAlarm <= now) {
        this.counts.alarm++;
        hub.fire(bus.devices, now);
        if (hub.isUnfinished) return AGAIN;
      }
    }
    if (hub.request !== null) return this.#request();
    if (hub.isHeld) return HELD;
    const page = hub.awaitedPage;
    if (page !== null) return { kind: "page", page };
    return hub.isStarved ? MEMORY : null;
  }

  #request(): SliceOutcome {
    const what = this.parts.hub.request;
    if (what === null || what.kind === "reboot") return RESET;
    return end(what);
  }

  #serve(exit: number, target: number): SliceOutcome | null {
    const { view, bus } = this.parts;
    switch (exit) {
      case EXIT_MMIO:
        this.counts.mmio++;
        bus.serve(view);
        return null;
      case EXIT_SBI:
        this.counts.sbi++;
        return this.#sbi();
      case EXIT_IDLE:
        this.counts.idle++;
        return this.#idle(target);
      case EXIT_MEMORY:
        return MEMORY;
      case EXIT_PAGE:
        return this.#page();
      case EXIT_HTIF:
        return this.#htif();
      case EXIT_TRAP_LOOP:
        return end({ kind: "trap-loop", hart: view.exitHart.id, pc: view.exitHart.pc });
      case EXIT_BREAK:
        return null;
      default:
        throw new VmError("bad-state", `the core left with unknown exit ${exit}`);
    }
  }

  #sbi(): SliceOutcome | null {
    const outcome = this.parts.sbi.serve();
    if (outcome === "done") return null;
    return outcome === "memory" ? MEMORY : this.#page();
  }

  /** A page is not here: it comes at once, or the machine sleeps. */
  #page(): SliceOutcome | null {
    const page = this.parts.view.exitPage;
    return this.parts.pages.bringNow(page) ? null : { kind: "page", page };
  }

  #htif(): SliceOutcome | null {
    const outcome = this.parts.htif?.serve() ?? null;
    this.isHtifLeft = outcome === "memory" || outcome === "page";
    if (outcome === "memory") return MEMORY;
    if (outcome === "page") return { kind: "page", page: this.parts.view.exitPage };
    return outcome === null ? null : end({ kind: "htif", code: outcome });
  }

  /** Every hart waits. Null to go on at once. */
  #idle(target: number): SliceOutcome | null {
    const { view, hub, clock, console } = this.parts;
    // An idle jump follows the last instruction of a budget no more than the next instruction does.
    if (view.retired >= target) return null;
    clock.update(view);
    const next = Math.min(view.idleUntil, hub.nextAlarm);
    if (next <= view.ticks) return null;
    if (clock.isBehind) {
      clock.catchUpIdle(view, next);
      return null;
    }
    const until = next <= TIME_END_TICKS ? next : Number.POSITIVE_INFINITY;
    const mayComeInput = console.isInputOpen && console.inputPending === 0;
    if (until === Number.POSITIVE_INFINITY) {
      return mayComeInput ? { kind: "wait", untilTicks: until } : end({ kind: "idle" });
    }
    if (clock.kind === "host" || mayComeInput) return { kind: "wait", untilTicks: until };
    view.idleJump(until);
    return null;
  }

  /** Milliseconds of host time that a wait until `ticks` takes; null when only input ends it. */
  waitMs(ticks: number): number | null {
    if (ticks === Number.POSITIVE_INFINITY) return null;
    return Math.max(0, (ticks - this.parts.view.ticks) / TICKS_PER_MS);
  }

  /**
   * A wait of `passedMs` for machine time `ticks` is over. Virtual time advances by what passed,
   * and when the wait was not cut short by input, exactly to `ticks`.
   */
  waited(ticks: number, passedMs: number): void {
    const { view, clock } = this.parts;
    if (clock.kind === "host") return;
    const passed = view.ticks + Math.floor(passedMs * TICKS_PER_MS);
    const to = Math.min(ticks, passed);
    if (to > view.ticks) view.idleJump(to);
  }
}
