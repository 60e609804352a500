/**
 * machine: one virtual machine as its user sees it: boot, run, console, events, digest.
 *
 * Owns    its part of the core, its devices, its state and the one run that may be under way.
 * Used by host.ts, which makes it, and by every caller of the API.
 * Holds   guest time passes only while a run is under way and the machine is not paused; states
 *         change between slices.
 */
import type { StopEntry } from "../core/debug-view.ts";
import { MachineView } from "../core/machine-view.ts";
import { VmError } from "../errors.ts";
import { type BootPlan, enterBoot, planBoot } from "./boot.ts";
import { type MachineClock, makeClock } from "./clock.ts";
import type { ResolvedConfig } from "./config.ts";
import { ConsoleEnd, type MachineConsole } from "./console.ts";
import { Debugger } from "./debugger.ts";
import { DeviceSet } from "./devices.ts";
import { stateDigest } from "./digest.ts";
import { Emitter } from "./events.ts";
import { type ExecOptions, type ExecWay, GuestExec, type WaitOptions } from "./exec.ts";
import type { ExecResult } from "./exec-result.ts";
import type { HostServices } from "./host.ts";
import { type LoaderHost, loadPlan, reserveMemory } from "./loader.ts";
import type { MachineEvents, MachineStats, RunBudget } from "./machine-facts.ts";
import { buildTree } from "./machine-tree.ts";
import { makeRunner } from "./make-runner.ts";
import { canGo, isFinal, type MachineState, type RunResult } from "./result.ts";
import type { ExitCounts, Runner, SliceOutcome } from "./runner.ts";
import { Waiter } from "./waiter.ts";

export type { MachineEvents, MachineStats, RunBudget } from "./machine-facts.ts";

interface ActiveRun {
  readonly target: number;
  readonly resolve: (result: RunResult) => void;
  readonly reject: (error: unknown) => void;
  isStopping: boolean;
}

const SLICE_MS = 4;
const SLICE_SLOTS_MIN = 20_000;
const SLICE_SLOTS_MAX = 1_000_000;

/** One machine. Made by `host.createMachine`. */
export class Machine {
  readonly name: string;
  readonly config: ResolvedConfig;
  readonly #host: HostServices;
  readonly #view: MachineView;
  readonly #console: ConsoleEnd;
  readonly #devices: DeviceSet;
  readonly #clock: MachineClock;
  readonly #waiter: Waiter;
  readonly #exec: GuestExec;
  readonly #events = new Emitter<MachineEvents>();
  #plan: BootPlan | null = null;
  #runner: Runner | null = null;
  #state: MachineState = "created";
  #reason = "";
  #run: ActiveRun | null = null;
  #isBooting = false;
  /** Frames that were free when they did not suffice, while the machine waits for more. */
  #starvedAt: number | null = null;
  #isDisposed = false;
  /** The task is out of the scheduler until something that it waits for is done. */
  #isSleeping = false;
  /** A slice is under way: whoever is called from it may dispose of the machine. */
  #isInSlice = false;
  /** The core's part and the frames are given back. */
  #isGone = false;
  /** A reboot was cut short by `stop`; the next run begins it anew. */
  #isReloading = false;
  #pauseReason: string | null = null;
  /** The pause is that of a stop which ended the run: a new run takes it back. */
  #isStopped = false;
  readonly #debugger: Debugger;
  #sliceSlots = 100_000;
  #busyMs = 0;
  #reboots = 0;
  readonly #counts: ExitCounts = { mmio: 0, sbi: 0, idle: 0, alarm: 0 };

  /** For host.ts alone. */
  constructor(host: HostServices, config: ResolvedConfig) {
    this.name = config.name;
    this.config = config;
    this.#host = host;
    this.#view = MachineView.create(host.core, config);
    this.#waiter = new Waiter(host.platform);
    const wake = () => this.#waiter.wake();
    this.#console = new ConsoleEnd(config.consoleInput === "open", wake);
    this.#clock = makeClock(config.clock, host.platform);
    this.#debugger = new Debugger(this);
    try {
      this.#devices = new DeviceSet(config, this.#view, this.#console, host.platform, wake);
    } catch (error) {
      this.#view.dispose(); // a custom device that does not fit
      throw error;
    }
    this.#exec = new GuestExec(this, host.platform, this.#console, this.#devices.agent);
  }

  /** The terminal. */
  get console(): MachineConsole {
    return this.#console;
  }

  get state(): MachineState {
    return this.#state;
  }

  /**
   * Why the machine is in its state: "memory", a pause's reason, the kind of the result that ended
   * it.
   */
  get reason(): string {
    return this.#reason;
  }

  /**
   * The core's side of the machine, for debuggers and tests: registers, memory. Only between runs.
   */
  get view(): MachineView {
    this.#needAlive();
    return this.#view;
  }

  /** Breakpoints, steps, registers, memory. */
  get debugger(): Debugger {
    this.#needAlive();
    return this.#debugger;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** True while a run is under way, paused or not. */
  get hasRun(): boolean {
    return this.#run !== null;
  }

  /** The devices by address, for tools and tests. */
  get devices(): DeviceSet {
    return this.#devices;
  }

  /** Calls `listener` on every `event`; the returned function ends that. */
  on<K extends keyof MachineEvents>(event: K, listener: (e: MachineEvents[K]) => void): () => void {
    return this.#events.on(event, listener);
  }

  #needAlive(): void {
    if (this.#isDisposed) throw new VmError("disposed", `${this.name} is disposed`);
  }

  #go(to: MachineState, reason: string): void {
    const from = this.#state;
    if (from !== to && !canGo(from, to)) {
      throw new VmError("bad-state", `${this.name} is ${from}: it cannot become ${to}`);
    }
    this.#state = to;
    const isNews = from !== to || this.#reason !== reason;
    this.#reason = reason;
    if (isNews) this.#events.emit("state", { from, to, reason });
  }

  // ---- boot ----

  /**
   * Loads what the configuration names and makes the machine ready to run; from "terminated" it
   * starts afresh. Waits while another machine holds the frames it needs. Throws "bad-config",
   * "bad-file" or "no-memory".
   */
  async boot(): Promise<void> {
    this.#needAlive();
    if ((this.#state !== "created" && this.#state !== "terminated") || this.#isBooting) {
      const accepted = "only a created or terminated one boots";
      throw new VmError("bad-state", `${this.name} is ${this.#state}: ${accepted}`);
    }
    this.#isBooting = true;
    try {
      const plan = this.#planned();
      if (this.#state === "terminated") this.#resetAll();
      this.#isReloading = false;
      await this.#load(plan);
      this.#go("running", "booted");
    } finally {
      this.#isBooting = false;
    }
    this.#showPause();
  }

  #planned(): BootPlan {
    this.#plan ??= planBoot(this.config, (facts) =>
      buildTree(this.config, this.#devices.nodes(), facts),
    );
    return this.#plan;
  }

  #resetAll(): void {
    this.#devices.reset();
    if (!this.#view.reset()) throw new VmError("no-memory", `${this.name}: no frame is free`);
    this.#host.framesFreed();
  }

  /** False when `stop` cut it short. */
  async #load(plan: BootPlan): Promise<boolean> {
    const { memory } = this.#view;
    const loader: LoaderHost = {
      moreFrames: () => this.#framesForLoader(),
      breathe: async () => {
        await this.#host.platform.yieldToEventLoop();
        this.#needAlive();
        return !this.#isStopping();
      },
    };
    if (this.config.reserve && !(await reserveMemory(memory, loader))) return false;
    if (!(await loadPlan(memory, plan, loader))) return false;
    enterBoot(this.#view, plan);
    this.#runner = makeRunner(
      {
        view: this.#view,
        devices: this.#devices,
        console: this.#console,
        clock: this.#clock,
        counts: this.#counts,
      },
      plan,
    );
    return true;
  }

  /**
   * Waits until frames are free. False when `stop` cut that short. Throws when nobody could free
   * any.
   */
  async #framesForLoader(): Promise<boolean> {
    if (!this.#host.hasOthers(this)) {
      const has = `${this.#host.core.framesTotal} frames of 4096 bytes`;
      throw new VmError("no-memory", `${this.name} does not fit: the host has ${has}`);
    }
    this.#starve();
    await this.#sleepForFrames();
    this.#needAlive();
    if (this.#isStopping()) return false;
    this.#fed();
    return true;
  }

  // ---- memory pressure ----

  /** Frames ran out: machine time stands still at this instruction. */
  #starve(): void {
    const framesFree = this.#host.core.framesFree;
    this.#starvedAt = framesFree;
    this.#clock.stop();
    if (this.#state === "running") this.#go("paused", "memory");
    this.#events.emit("memory", { isShort: true, framesFree });
  }

  /** Sleeps until more frames are free than were when they did not suffice. */
  async #sleepForFrames(): Promise<void> {
    const starvedAt = this.#starvedAt ?? 0;
    while (!this.#isDisposed && !this.#isStopping()) {
      if (this.#host.core.framesFree > starvedAt) return;
      this.#waiter.clear();
      await this.#waiter.sleep(null);
    }
  }

  /** Frames are there again. */
  #fed(): void {
    this.#starvedAt = null;
    this.#events.emit("memory", { isShort: false, framesFree: this.#host.core.framesFree });
    if (this.#state !== "paused" || this.#pauseReason !== null) return;
    this.#go("running", "memory");
    if (this.#run !== null) this.#clock.start(this.#view);
  }

  /** For host.ts: frames were given back somewhere. */
  framesFreed(): void {
    if (this.#starvedAt !== null) this.#waiter.wake();
  }

  // ---- running ----

  /**
   * Runs until the budget is spent or something ends the run. A pause does not end it: `resume`
   * goes on. Throws "busy" when a run is under way, "bad-state" before boot and after the end.
   */
  run(budget?: RunBudget): Promise<RunResult> {
    this.#needAlive();
    const instructions = typeof budget === "number" ? budget : budget?.instructions;
    if (instructions !== undefined && !(Number.isSafeInteger(instructions) && instructions >= 0)) {
      const text = `run(${instructions}): accepted are whole numbers of instructions from 0`;
      throw new VmError("bad-argument", text);
    }
    if (this.#exec.isDriving) return this.#exec.handOver(() => this.run(budget));
    if (this.#run !== null) throw new VmError("busy", `${this.name} is running already`);
    if (this.#state !== "running" && this.#state !== "paused") {
      throw new VmError("bad-state", `${this.name} is ${this.#state}: call boot() first`);
    }
    const target = this.#view.retired + (instructions ?? Number.POSITIVE_INFINITY);
    return new Promise((resolve, reject) => {
      this.#run = { target, resolve, reject, isStopping: false };
      if (this.#isStopped) this.resume();
      if (this.#starvedAt !== null) this.#fed();
      this.#devices.retry();
      if (this.#pauseReason === null) this.#clock.start(this.#view);
      this.#host.scheduler.add(this);
    });
  }

  /** Ends the run under way at the next slice's end, with "stopped". */
  stop(): void {
    if (this.#run === null) return;
    this.#run.isStopping = true;
    this.#waiter.wake();
    if (this.#pauseReason !== null) this.#host.scheduler.add(this);
  }

  #isStopping(): boolean {
    return this.#run?.isStopping ?? false;
  }

  /**
   * Machine time stands still from the next instruction boundary on. A run under way stays under
   * way.
   */
  pause(reason = "user"): void {
    this.#needAlive();
    if (this.#state !== "running" && this.#state !== "paused") {
      throw new VmError("bad-state", `${this.name} is ${this.#state}: only a running one pauses`);
    }
    this.#pauseReason = reason;
    this.#isStopped = false;
    this.#clock.stop();
    this.#showPause();
  }

  #showPause(): void {
    if (this.#pauseReason !== null) this.#go("paused", this.#pauseReason);
  }

  /** Takes a pause back. A machine that waits for memory goes on waiting. */
  resume(): void {
    this.#needAlive();
    if (this.#pauseReason === null) {
      throw new VmError("bad-state", `${this.name} is ${this.#state}: it was not paused`);
    }
    this.#pauseReason = null;
    this.#isStopped = false;
    if (this.#starvedAt !== null) {
      this.#go("paused", "memory");
      return;
    }
    this.#go("running", "resumed");
    if (this.#run === null) return;
    this.#clock.start(this.#view);
    this.#waiter.wake();
    this.#host.scheduler.add(this);
  }

  /** For the scheduler alone. */
  slice(): boolean {
    const run = this.#run;
    const runner = this.#runner;
    if (run === null || runner === null || this.#isSleeping) return false;
    if (run.isStopping) return this.#finish({ kind: "stopped" });
    if (this.#pauseReason !== null) return false;
    if (this.#isReloading) {
      this.#sleep(this.#reload());
      return false;
    }
    this.#isInSlice = true;
    try {
      const begin = this.#host.platform.monotonicMs();
      const outcome = runner.slice(this.#sliceSlots, run.target);
      const ms = this.#host.platform.monotonicMs() - begin;
      this.#busyMs += ms;
      this.#adapt(ms);
      this.#console.flush();
      return this.#isDisposed ? false : this.#after(outcome, runner);
    } catch (error) {
      this.#fail(error);
      return false;
    } finally {
      this.#isInSlice = false;
      if (this.#isDisposed) this.#giveBack();
    }
  }

  /**
   * Keeps a slice near SLICE_MS, at once when it was too long: a guest may change from cheap to
   * costly instructions as it likes. The length of a slice is invisible to the guest.
   */
  #adapt(ms: number): void {
    const slots = this.#sliceSlots;
    if (ms > SLICE_MS) {
      const fitting = Math.floor((slots * SLICE_MS) / ms);
      this.#sliceSlots = Math.max(SLICE_SLOTS_MIN, fitting);
    } else if (ms < SLICE_MS / 2) this.#sliceSlots = Math.min(SLICE_SLOTS_MAX, slots * 2);
  }

  #after(outcome: SliceOutcome, runner: Runner): boolean {
    switch (outcome.kind) {
      case "again":
        return true;
      case "end":
        return this.#finish(outcome.result);
      case "wait":
        this.#sleep(this.#wait(runner, outcome.untilTicks));
        return false;
      case "held":
        this.#sleep(this.#untilReleased());
        return false;
      case "memory":
        this.#starve();
        if (!this.#host.hasOthers(this)) return this.#finish({ kind: "memory" });
        this.#sleep(this.#untilFed());
        return false;
      case "stop":
        return this.#stopped(outcome.stop);
      case "reset":
        if (this.config.noReboot) return this.#finish({ kind: "reboot" });
        this.#sleep(this.#reboot());
        return false;
    }
  }

  /** The debugger's stop: ends the run, or holds it. */
  #stopped(entry: StopEntry): false {
    const stop = this.#debugger.told(entry);
    this.pause(stop.cause);
    this.#isStopped = !this.#debugger.isHolding;
    if (this.#isStopped) this.#finish({ kind: "break", ...stop });
    this.#events.emit("stop", stop);
    return false;
  }

  /** Leaves the scheduler until `work` is done. */
  #sleep(work: Promise<void>): void {
    this.#isSleeping = true;
    work.then(
      () => {
        this.#isSleeping = false;
        if (this.#run !== null) this.#host.scheduler.add(this);
      },
      (error) => {
        this.#isSleeping = false;
        this.#fail(error);
      },
    );
  }

  async #wait(runner: Runner, untilTicks: number): Promise<void> {
    const { platform } = this.#host;
    const begin = platform.monotonicMs();
    this.#waiter.clear();
    await this.#waiter.sleep(runner.waitMs(untilTicks));
    if (this.#isDisposed || this.#pauseReason !== null) return;
    runner.waited(untilTicks, platform.monotonicMs() - begin);
  }

  /** Host work may be late for ever: `stop` ends the wait. */
  async #untilReleased(): Promise<void> {
    const { hub } = this.#devices;
    void hub.released().then(() => this.#waiter.wake());
    while (hub.isHeld && !this.#isDisposed && !this.#isStopping()) {
      this.#waiter.clear();
      await this.#waiter.sleep(null);
    }
  }

  async #untilFed(): Promise<void> {
    await this.#sleepForFrames();
    if (this.#isDisposed || this.#isStopping()) return;
    this.#fed();
    this.#devices.retry();
  }

  /** Resets everything and loads again, within the same run. */
  async #reboot(): Promise<void> {
    this.#reboots++;
    this.#events.emit("reboot", { count: this.#reboots });
    await this.#reload();
  }

  async #reload(): Promise<void> {
    this.#isReloading = true;
    this.#resetAll();
    this.#isReloading = !(await this.#load(this.#plan as BootPlan));
  }

  #finish(result: RunResult): false {
    const run = this.#run;
    this.#run = null;
    this.#clock.stop();
    this.#console.flush();
    if (isFinal(result)) this.#go("terminated", result.kind);
    this.#events.emit("end", result);
    run?.resolve(result);
    return false;
  }

  #fail(error: unknown): void {
    const run = this.#run;
    this.#run = null;
    this.#clock.stop();
    if (canGo(this.#state, "terminated")) this.#go("terminated", "error");
    run?.reject(error);
  }

  // ---- commands in a Linux guest: docs/exec.md ----

  /**
   * Runs a command in the guest: a script for its shell, or a program with its arguments. Waits for
   * the guest, and runs the machine itself when nobody does. A command that fails, is cut short or
   * ran out of time is a result. Throws "bad-argument", "bad-state", "aborted", "timeout", "io".
   */
  exec(command: string | readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.#exec.exec(command, options);
  }

  /** Waits until the guest takes commands; by what. Throws "bad-state", "aborted", "timeout". */
  ready(options?: WaitOptions): Promise<ExecWay> {
    return this.#exec.ready(options);
  }

  /** Asks the guest to switch itself off. Throws as `exec` does; the machine then runs on. */
  powerdown(options?: WaitOptions): Promise<RunResult> {
    return this.#exec.powerdown(options);
  }

  // ---- looking at it ----

  /** Hash of everything the machine is; equal digests are equal machines. Not while it runs. */
  stateDigest(): string {
    this.#needAlive();
    if (this.#run !== null && this.#state !== "paused") {
      throw new VmError("busy", `${this.name} is running: stop or pause it first`);
    }
    return stateDigest(this.#view, this.#devices.bus.devices, this.#devices.digestExtras());
  }

  /**
   * The flattened device tree as the guest is handed it at boot. Throws what `boot` would: the tree
   * names what is loaded where.
   */
  deviceTree(): Uint8Array {
    this.#needAlive();
    return this.#planned().tree.slice();
  }

  /** Instructions retired over all harts. */
  get instructions(): number {
    this.#needAlive();
    return this.#view.retired;
  }

  stats(): MachineStats {
    this.#needAlive();
    this.#clock.update(this.#view); // the host's clock goes on while every hart waits
    return {
      instructions: this.#view.retired,
      slots: this.#view.slots,
      ticks: this.#view.ticks,
      idleTicks: this.#view.idleTicks,
      framesUsed: this.#view.frames,
      reboots: this.#reboots,
      busyMs: this.#busyMs,
      exits: { ...this.#counts },
      core: this.#view.counters,
    };
  }

  /** Ends the machine and gives its frames back. A run under way ends with "stopped". */
  dispose(): void {
    if (this.#isDisposed) return;
    if (this.#run !== null) this.#finish({ kind: "stopped" });
    if (canGo(this.#state, "terminated")) this.#go("terminated", "disposed");
    this.#isDisposed = true;
    this.#waiter.wake();
    this.#console.end();
    this.#devices.hub.close();
    if (!this.#isInSlice) this.#giveBack();
  }

  /** Once: whoever heard of the end may have disposed of the machine already. */
  #giveBack(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#view.dispose();
    this.#host.removed(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }
}
