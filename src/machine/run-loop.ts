/**
 * run-loop: lets one machine run: its state, the run that may be under way, its slices, and why it
 * sleeps between them.
 *
 * Owns    state and reason, the run under way, pauses, the wait for frames.
 * Used by machine.ts, whose task it is in the host's scheduler.
 * Holds   guest time passes only while a run is under way and the machine is not paused; states
 *         change between slices.
 */
import type { StopEntry } from "../core/debug-view.ts";
import { VmError } from "../errors.ts";
import { Share } from "./accounting.ts";
import type { LoopOwner } from "./loop-owner.ts";
import type { Brought } from "./pager.ts";
import { canGo, isFinal, type MachineState, type RunResult, refuseState } from "./result.ts";
import type { Runner, SliceOutcome } from "./runner.ts";
import { SliceSize } from "./slice-size.ts";
import { Waiter } from "./waiter.ts";

interface ActiveRun {
  readonly target: number;
  readonly resolve: (result: RunResult) => void;
  readonly reject: (error: unknown) => void;
  isStopping: boolean;
}

/** Runs one machine. */
export class RunLoop {
  /** Of the last boot; null before the first. */
  runner: Runner | null = null;
  /** Host milliseconds spent in slices. */
  busyMs = 0;
  reboots = 0;
  /** Lives so far; another begins when a terminated machine is booted or restored. */
  incarnation = 1;
  /** What it gets of the host, and has got. */
  readonly share = new Share();
  readonly #owner: LoopOwner;
  readonly #waiter: Waiter;
  #state: MachineState = "created";
  #reason = "";
  #run: ActiveRun | null = null;
  /** Frames that were free when they did not suffice, while the machine waits for more. */
  #starvedAt: number | null = null;
  /** The task is out of the scheduler until something that it waits for is done. */
  #isSleeping = false;
  /** A slice is under way: whoever is called from it may dispose of the machine. */
  #isInSlice = false;
  /** The guest, or what serves it, is executing: it stands between no two instructions. */
  #isInGuest = false;
  #isDisposed = false;
  /** A reboot is under way, or was cut short by `stop`: the next run begins it anew. */
  #isReloading = false;
  /** Files are being loaded for a reboot. */
  isLoading = false;
  #pauseReason: string | null = null;
  /** Reasons to stand still that are no state: a change of state that is under way. */
  #holds = 0;
  /** The pause is that of a stop which ended the run: a new run takes it back. */
  #isStopped = false;
  readonly #sliceSize = new SliceSize();

  constructor(owner: LoopOwner) {
    this.#owner = owner;
    this.#waiter = new Waiter(owner.host.platform);
  }

  get state(): MachineState {
    return this.#state;
  }

  get reason(): string {
    return this.#reason;
  }

  /** True while a run is under way, paused or not. */
  get hasRun(): boolean {
    return this.#run !== null;
  }

  /** True while the guest stands between two instructions, ready to go on. */
  get isAtBoundary(): boolean {
    return !this.#isInGuest && !this.#isReloading;
  }

  /** True once `stop` was asked of the run under way, or the machine was terminated. */
  get isStopping(): boolean {
    return this.#run?.isStopping ?? this.#state === "terminated";
  }

  /** Ends what the machine sleeps for, to look again. */
  wake(): void {
    this.#waiter.wake();
  }

  /** What keeps it from running, but for a change of state that is under way; null: nothing. */
  get pauseReason(): string | null {
    return this.#pauseReason;
  }

  /** Takes an edge of the table of states. Throws "bad-state" when there is none. */
  go(to: MachineState, reason: string): void {
    const from = this.#state;
    if (from !== to && !canGo(from, to)) {
      throw refuseState(this.#owner.name, from, `becoming ${to}`);
    }
    this.#state = to;
    const isNews = from !== to || this.#reason !== reason;
    this.#reason = reason;
    if (isNews) this.#owner.events.emit("state", { from, to, reason });
  }

  /** A boot has begun anew: nothing of a reboot is left. */
  booting(): void {
    this.#isReloading = false;
    this.#beginIncarnation();
  }

  /** What was terminated stays so: what comes now is another life of the same configuration. */
  #beginIncarnation(): void {
    const from = this.#state;
    if (from !== "terminated") return;
    this.incarnation++;
    this.#pauseReason = null;
    this.#starvedAt = null;
    this.#state = "created";
    this.#reason = "again";
    this.#owner.events.emit("state", { from, to: "created", reason: "again" });
  }

  // ---- memory pressure ----

  /**
   * Waits until frames are free. False when `stop` cut that short. Throws when nobody could free
   * any.
   */
  async framesForLoader(): Promise<boolean> {
    const { name, host } = this.#owner;
    if (host.reclaim()) return true;
    if (!this.#owner.hasOthers()) {
      const has = `${host.core.framesTotal} frames of 4096 bytes`;
      throw new VmError("no-memory", `${name} does not fit: the host has ${has}`);
    }
    this.#starve();
    await this.#sleepForFrames();
    if (this.#isDisposed) throw new VmError("disposed", `${name} is disposed`);
    if (this.isStopping) return false;
    this.#fed();
    return true;
  }

  /** Frames ran out: machine time stands still at this instruction. */
  #starve(): void {
    const { framesFree } = this.#owner.host.core;
    this.#starvedAt = framesFree;
    this.#owner.clock.stop();
    if (this.#state === "running") this.go("paused", "memory");
    this.#owner.events.emit("memory", { isShort: true, framesFree });
  }

  /** Sleeps until more frames are free than were when they did not suffice. */
  async #sleepForFrames(): Promise<void> {
    const starvedAt = this.#starvedAt ?? 0;
    while (!this.#isDisposed && !this.isStopping && this.#starvedAt !== null) {
      if (this.#owner.host.core.framesFree > starvedAt) return;
      this.#waiter.clear();
      await this.#waiter.sleep(null);
    }
  }

  /** Frames are there again. */
  #fed(): void {
    this.#starvedAt = null;
    const { framesFree } = this.#owner.host.core;
    this.#owner.events.emit("memory", { isShort: false, framesFree });
    if (this.#pauseReason !== null) return;
    if (this.#state === "paused") this.go("running", "memory");
    else if (this.#state !== "migration-source") return;
    if (this.#run !== null && !this.#isStill) this.#owner.clock.start(this.#owner.view);
  }

  /** Frames were given back somewhere. */
  framesFreed(): void {
    if (this.#starvedAt !== null) this.#waiter.wake();
  }

  // ---- running ----

  /** Runs until `target` instructions are retired, or something ends the run. */
  run(target: number): Promise<RunResult> {
    const { host, clock, devices, view } = this.#owner;
    return new Promise((resolve, reject) => {
      this.#run = { target, resolve, reject, isStopping: false };
      if (this.#isStopped) this.resume();
      if (this.#starvedAt !== null) this.#fed();
      devices.retry();
      if (!this.#isStill) clock.start(view);
      host.scheduler.add(this);
    });
  }

  /** Ends the run under way at the next slice's end, with "stopped". */
  stop(): void {
    if (this.#run === null) return;
    this.#run.isStopping = true;
    this.#waiter.wake();
    this.#owner.host.scheduler.add(this);
  }

  /** For the scheduler: nothing of it is left but its end. */
  get isEnding(): boolean {
    return this.isStopping;
  }

  /** Machine time stands still from the next instruction boundary on. */
  pause(reason: string): void {
    if (!["running", "paused", "migration-source"].includes(this.#state)) {
      const text = `${this.#owner.name} is ${this.#state}: only a running one pauses`;
      throw new VmError("bad-state", text);
    }
    this.#pauseReason = reason;
    this.#isStopped = false;
    this.#owner.clock.stop();
    this.showPause();
  }

  /** A machine that is made as another one was begins paused. */
  beginPaused(reason: string): void {
    this.#pauseReason = reason;
    this.go("paused", reason);
  }

  /** The machine was made what another one was: what runs now is that. */
  adopted(runner: Runner, reason: string): void {
    this.runner = runner;
    this.#isReloading = false;
    this.#beginIncarnation();
    if (this.#state === "created") this.beginPaused(reason);
    this.#waiter.wake();
  }

  // ---- changes of state that take time ----

  /** True while no slice may run. */
  get #isStill(): boolean {
    return this.#pauseReason !== null || this.#holds > 0;
  }

  /** Machine time stands still, whatever the state says, until as many calls of `letGo`. */
  hold(): void {
    this.#holds++;
    this.#owner.clock.stop();
    this.#waiter.wake();
  }

  /** Takes a hold back. */
  letGo(): void {
    this.#holds--;
    this.#goOn();
  }

  /** A run under way goes on, unless something else keeps it. */
  #goOn(): void {
    if (this.#run === null || this.#isStill || this.#isDisposed) return;
    if (this.#starvedAt === null) this.#owner.clock.start(this.#owner.view);
    this.#waiter.wake();
    this.#owner.host.scheduler.add(this);
  }

  /** What is held is elsewhere now; it stays held until `awake`. */
  suspended(reason: string): void {
    this.#pauseReason = null;
    this.#isStopped = false;
    this.#starvedAt = null;
    this.go("suspended", reason);
    this.#waiter.wake();
  }

  /** A suspended machine is whole again. */
  awake(to: "running" | "paused", reason: string): void {
    if (to === "paused") this.#pauseReason = reason;
    this.go(to, reason);
    this.#owner.devices.retry();
    this.letGo();
  }

  /**
   * Resets everything and loads again, as the reset button does; state and run stay. Throws what
   * loading does; the machine is terminated then.
   */
  async restart(): Promise<void> {
    this.hold();
    try {
      await this.#reload();
      if (!this.#isDisposed) this.#rebooted("reset");
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      this.letGo();
    }
  }

  #rebooted(cause: "guest" | "reset"): void {
    this.reboots++;
    this.#owner.events.emit("reboot", { count: this.reboots, cause });
  }

  /** Ends this incarnation at once. True when nothing of it is executing. */
  terminate(reason: string): boolean {
    if (this.#state === "suspended") this.#holds--;
    this.go("terminated", reason);
    if (this.#run !== null) this.finish({ kind: "stopped" });
    this.#pauseReason = null;
    this.#starvedAt = null;
    this.#waiter.wake();
    return !this.#isInSlice;
  }

  /** The state says what a pause that came while it could not be shown has meant. */
  showPause(): void {
    if (this.#pauseReason === null || this.#state === "migration-source") return;
    this.go("paused", this.#pauseReason);
  }

  /** It does not move after all. */
  remain(reason: string): void {
    if (this.#pauseReason !== null) this.go("paused", this.#pauseReason);
    else if (this.#starvedAt !== null) this.go("paused", "memory");
    else this.go("running", reason);
  }

  /** It has moved here. */
  arrive(to: "running" | "paused", reason: string): void {
    if (to === "paused") this.#pauseReason = reason;
    this.go(to, reason);
  }

  /** Takes a pause back. A machine that waits for memory goes on waiting. */
  resume(): void {
    if (this.#pauseReason === null) {
      const text = `${this.#owner.name} is ${this.#state}: it was not paused`;
      throw new VmError("bad-state", text);
    }
    this.#pauseReason = null;
    this.#isStopped = false;
    const isMoving = this.#state === "migration-source";
    if (this.#starvedAt !== null) {
      if (!isMoving) this.go("paused", "memory");
      return;
    }
    if (!isMoving) this.go("running", "resumed");
    this.#goOn();
  }

  /** For the scheduler alone. */
  slice(): boolean {
    const run = this.#run;
    const { runner } = this;
    if (run === null || runner === null || this.#isSleeping) return false;
    if (run.isStopping) return this.finish({ kind: "stopped" });
    if (this.#isStill) return false;
    if (this.#isReloading) {
      this.#sleep(this.#reload());
      return false;
    }
    this.#isInSlice = true;
    try {
      const outcome = this.#runSlice(runner, run.target);
      this.#owner.console.flush();
      // whoever was called from it may have ended it
      return this.#isDisposed || this.#run !== run ? false : this.#after(outcome, runner);
    } catch (error) {
      this.#fail(error);
      return false;
    } finally {
      this.#isInSlice = false;
      if (this.#isDisposed) this.#owner.giveBack();
    }
  }

  #runSlice(runner: Runner, target: number): SliceOutcome {
    const { platform } = this.#owner.host;
    const begin = platform.monotonicMs();
    this.#isInGuest = true;
    try {
      return runner.slice(this.#sliceSize.slots(this.share.allowanceMs), target);
    } finally {
      this.#isInGuest = false;
      const ms = platform.monotonicMs() - begin;
      this.busyMs += ms;
      this.#sliceSize.tell(ms);
    }
  }

  #after(outcome: SliceOutcome, runner: Runner): boolean {
    switch (outcome.kind) {
      case "again":
        return true;
      case "end":
        return this.finish(outcome.result);
      case "wait":
        this.#sleep(this.#wait(runner, outcome.untilTicks));
        return false;
      case "held":
        this.#sleep(this.#untilReleased());
        return false;
      case "memory":
        return this.#short();
      case "page":
        return this.#bring(outcome.page);
      case "stop":
        return this.#stopped(outcome.stop);
      case "reset":
        if (this.#owner.noReboot) return this.finish({ kind: "reboot" });
        this.#rebooted("guest");
        this.#sleep(this.#reload());
        return false;
    }
  }

  /**
   * Frames ran out: goes on when somebody gives some back at once, else waits for some, unless
   * nobody could give any.
   */
  #short(): boolean {
    if (this.#owner.host.reclaim()) {
      this.#owner.devices.retry();
      return true;
    }
    this.#starve();
    if (!this.#owner.hasOthers()) return this.finish({ kind: "memory" });
    this.#sleep(this.#untilFed());
    return false;
  }

  /** A page is not here. Machine time stands still until it is. */
  #bring(page: number): boolean {
    let brought: Brought | Promise<Brought>;
    try {
      brought = this.#owner.pages.bring(page);
    } catch (error) {
      this.#pageFailed(page, error);
      return false;
    }
    if (brought === "short") return this.#short();
    if (brought === "here") this.#owner.devices.retry();
    else this.#sleep(this.#untilBrought(page, brought));
    return brought === "here";
  }

  async #untilBrought(page: number, coming: Promise<Brought>): Promise<void> {
    try {
      const brought = await coming;
      if (this.#isDisposed) return;
      const isFed = brought === "here" || this.#owner.host.reclaim();
      if (isFed) this.#owner.devices.retry();
      else if (this.#owner.hasOthers()) {
        this.#starve();
        await this.#untilFed();
      } else this.finish({ kind: "memory" });
    } catch (error) {
      this.#pageFailed(page, error);
    }
  }

  /** A page cannot be had: whoever resumes the machine has it asked for again. */
  #pageFailed(page: number, error: unknown): void {
    if (this.#isDisposed || this.#state === "terminated") return;
    this.pause("io-error");
    this.#owner.events.emit("pageError", { page, message: (error as Error).message });
  }

  /** The debugger's stop: ends the run, or holds it. */
  #stopped(entry: StopEntry): false {
    const { stop, isHolding } = this.#owner.stopped(entry);
    this.pause(stop.cause);
    this.#isStopped = !isHolding;
    if (this.#isStopped) this.finish({ kind: "break", ...stop });
    this.#owner.events.emit("stop", stop);
    return false;
  }

  /** Leaves the scheduler until `work` is done. */
  #sleep(work: Promise<void>): void {
    this.#isSleeping = true;
    work.then(
      () => {
        this.#isSleeping = false;
        if (this.#run !== null) this.#owner.host.scheduler.add(this);
      },
      (error) => {
        this.#isSleeping = false;
        this.#fail(error);
      },
    );
  }

  async #wait(runner: Runner, untilTicks: number): Promise<void> {
    const { platform } = this.#owner.host;
    const begin = platform.monotonicMs();
    this.#waiter.clear();
    await this.#waiter.sleep(runner.waitMs(untilTicks));
    if (this.#isDisposed || this.#pauseReason !== null) return;
    if (runner !== this.runner) return; // it was waited for in another machine's time
    runner.waited(untilTicks, platform.monotonicMs() - begin);
  }

  /** Host work may be late for ever: `stop` ends the wait. */
  async #untilReleased(): Promise<void> {
    const { hub } = this.#owner.devices;
    void hub.released().then(() => this.#waiter.wake());
    while (hub.isHeld && !this.#isDisposed && !this.isStopping) {
      this.#waiter.clear();
      await this.#waiter.sleep(null);
    }
  }

  async #untilFed(): Promise<void> {
    await this.#sleepForFrames();
    // one that was suspended meanwhile starves no more
    if (this.#isDisposed || this.isStopping || this.#starvedAt === null) return;
    this.#fed();
    this.#owner.devices.retry();
  }

  /** Resets everything and loads again, within the same run. */
  async #reload(): Promise<void> {
    this.#isReloading = true;
    this.isLoading = true;
    try {
      const runner = await this.#owner.reload();
      if (runner === null) return;
      this.runner = runner;
      this.#isReloading = false;
    } finally {
      this.isLoading = false;
    }
  }

  /** Ends the run under way. */
  finish(result: RunResult): false {
    const run = this.#run;
    this.#run = null;
    this.#owner.clock.stop();
    this.#owner.console.flush();
    if (isFinal(result)) this.go("terminated", result.kind);
    this.#owner.events.emit("end", result);
    run?.resolve(result);
    return false;
  }

  #fail(error: unknown): void {
    const run = this.#run;
    this.#run = null;
    this.#owner.clock.stop();
    if (canGo(this.#state, "terminated")) this.go("terminated", "error");
    run?.reject(error);
  }

  /** The machine goes away; false when its frames are given back only after this slice. */
  dispose(): boolean {
    if (this.#run !== null) this.finish({ kind: "stopped" });
    if (canGo(this.#state, "terminated")) this.go("terminated", "disposed");
    this.#owner.events.emit("disposed", undefined);
    this.#isDisposed = true;
    this.#waiter.wake();
    return !this.#isInSlice;
  }
}
