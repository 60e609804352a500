/**
 * machine: one virtual machine as its user sees it: boot, run, console, events, digest.
 *
 * Owns    its part of the core, its devices and what wires them together.
 * Used by host.ts, which makes it, and by every caller of the API.
 * Holds   everything that a call needs to be allowed is checked here; run-loop.ts does the running.
 */
import { MachineView } from "../core/machine-view.ts";
import type { BlockBackend, MaybePromise } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";
import type { Share } from "./accounting.ts";
import type { AdoptOptions } from "./adopt.ts";
import type { CaptureOptions, MachineCapture, SavedMachine } from "./capture.ts";
import { type MachineClock, makeClock } from "./clock.ts";
import type { ResolvedConfig } from "./config.ts";
import { ConsoleEnd, type MachineConsole } from "./console.ts";
import { Copier } from "./copier.ts";
import { Debugger } from "./debugger.ts";
import { DeviceSet } from "./devices.ts";
import { stateDigest } from "./digest.ts";
import { Emitter } from "./events.ts";
import { type ExecOptions, type ExecWay, GuestExec, type WaitOptions } from "./exec.ts";
import type { ExecResult } from "./exec-result.ts";
import { checkFork, type ForkOptions } from "./fork.ts";
import type { HostServices } from "./host.ts";
import { JobDesk, type JobOperation } from "./jobs.ts";
import type { MachineEvents, MachineStats, RunBudget } from "./machine-facts.ts";
import type { LastingParts } from "./make-runner.ts";
import { Mover } from "./mover.ts";
import { PageDesk, type Pager } from "./pager.ts";
import { type MachineState, type RunResult, refuseState } from "./result.ts";
import { RunLoop } from "./run-loop.ts";
import type { ExitCounts } from "./runner.ts";
import { Starter } from "./starter.ts";
import { DiskUsers } from "./users.ts";

export type { MachineEvents, MachineStats, RunBudget } from "./machine-facts.ts";

/** What of a machine was made before it. */
export interface MadeParts {
  readonly view?: MachineView;
  /** Closed with the machine. */
  readonly disks?: readonly BlockBackend[];
  /** Of the machine that this one is a copy of. */
  readonly users?: DiskUsers;
}

/** One machine. Made by `host.createMachine`. */
export class Machine {
  readonly name: string;
  readonly config: ResolvedConfig;
  /** The long work about it that is under way. */
  readonly jobs: JobDesk;
  /** How it goes to another host, or comes from one: for migration/. */
  readonly mover: Mover;
  readonly #host: HostServices;
  readonly #view: MachineView;
  readonly #console: ConsoleEnd;
  readonly #devices: DeviceSet;
  readonly #clock: MachineClock;
  readonly #pages: PageDesk;
  readonly #events = new Emitter<MachineEvents>();
  readonly #loop: RunLoop;
  readonly #starter: Starter;
  readonly #copier: Copier;
  #exec: GuestExec | null = null;
  #debugger: Debugger | null = null;
  #isBooting = false;
  #isDisposed = false;
  /** The core's part and the frames are given back. */
  #isGone = false;
  #ownDisks: readonly BlockBackend[];
  readonly #users: DiskUsers;
  readonly #leaveDisks: () => void;
  readonly #counts: ExitCounts = { mmio: 0, sbi: 0, idle: 0, alarm: 0 };

  /** For host.ts alone: `view` of a fork, and disks that are this machine's to close. */
  constructor(host: HostServices, config: ResolvedConfig, made: MadeParts = {}) {
    this.name = config.name;
    this.config = config;
    this.jobs = new JobDesk(config.name);
    this.#host = host;
    this.#ownDisks = made.disks ?? [];
    this.#users = made.users ?? new DiskUsers();
    this.#leaveDisks = this.#users.take();
    this.#view = made.view ?? MachineView.create(host.core, config);
    const wake = () => this.#loop.wake();
    this.#console = new ConsoleEnd(config.consoleInput === "open", wake);
    this.#clock = makeClock(config.clock, host.platform);
    try {
      this.#devices = new DeviceSet(config, this.#view, this.#console, host.platform, wake);
    } catch (error) {
      this.#view.dispose(); // a custom device that does not fit
      throw error;
    }
    this.#pages = new PageDesk(this.#view);
    this.#loop = this.#makeLoop();
    this.#starter = this.#makeStarter();
    this.#copier = this.#makeCopier();
    this.mover = new Mover({
      name: this.name,
      loop: this.#loop,
      devices: this.#devices,
      needAlive: () => this.#needAlive(),
      facts: () => this.#copier.facts(),
    });
  }

  #makeLoop(): RunLoop {
    return new RunLoop({
      name: this.name,
      host: this.#host,
      view: this.#view,
      console: this.#console,
      devices: this.#devices,
      clock: this.#clock,
      pages: this.#pages,
      events: this.#events,
      noReboot: this.config.noReboot,
      hasOthers: () => this.#host.hasOthers(this),
      reload: () => this.#starter.reload(),
      stopped: (entry) => {
        const { debugger: debug } = this;
        return { stop: debug.told(entry), isHolding: debug.isHolding };
      },
      giveBack: () => this.#giveBack(),
    });
  }

  get #lasting(): LastingParts {
    return {
      view: this.#view,
      devices: this.#devices,
      console: this.#console,
      clock: this.#clock,
      counts: this.#counts,
      pages: this.#pages,
    };
  }

  #makeCopier(): Copier {
    return new Copier({
      config: this.config,
      host: this.#host,
      parts: this.#lasting,
      loop: this.#loop,
      users: this.#users,
      make: (config, made) => {
        const machine = this.#host.make(config, made);
        return { machine, copier: machine.#copier };
      },
    });
  }

  #makeStarter(): Starter {
    return new Starter({
      config: this.config,
      parts: this.#lasting,
      loader: {
        moreFrames: () => this.#loop.framesForLoader(),
        breathe: async () => {
          await this.#host.platform.yieldToEventLoop();
          this.#needAlive();
          return !this.#loop.isStopping;
        },
      },
      framesFreed: () => this.#host.framesFreed(),
    });
  }

  /** The terminal. */
  get console(): MachineConsole {
    return this.#console;
  }

  get state(): MachineState {
    return this.#loop.state;
  }

  /**
   * Why the machine is in its state: "memory", a pause's reason, the kind of the result that ended
   * it.
   */
  get reason(): string {
    return this.#loop.reason;
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
    this.#debugger ??= new Debugger(this);
    return this.#debugger;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** True while a run is under way, paused or not. */
  get hasRun(): boolean {
    return this.#loop.hasRun;
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

  // ---- boot ----

  /**
   * Loads what the configuration names and makes the machine ready to run; from "terminated" it
   * starts afresh. Waits while another machine holds the frames it needs. Throws "bad-config",
   * "bad-file" or "no-memory".
   */
  async boot(): Promise<void> {
    this.#needAlive();
    const { state } = this;
    if ((state !== "created" && state !== "terminated") || this.#isBooting) {
      const accepted = "only a created or terminated one boots";
      throw new VmError("bad-state", `${this.name} is ${state}: ${accepted}`);
    }
    if (this.#loop.isLoading) throw new VmError("busy", `${this.name} ends a reboot just now`);
    this.#isBooting = true;
    try {
      void this.#starter.plan; // what does not fit is refused before anything is thrown away
      this.#loop.booting();
      if (state === "terminated") this.#starter.reset();
      this.#loop.runner = (await this.#starter.load()) ?? this.#loop.runner;
      this.#loop.go("running", "booted");
    } finally {
      this.#isBooting = false;
    }
    this.#loop.showPause();
  }

  /** For host.ts: frames were given back somewhere. */
  framesFreed(): void {
    this.#loop.framesFreed();
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
    if (this.#exec?.isDriving === true) return this.#exec.handOver(() => this.run(budget));
    if (this.hasRun) throw new VmError("busy", `${this.name} is running already`);
    if (!["running", "paused", "migration-source"].includes(this.state)) {
      throw new VmError("bad-state", `${this.name} is ${this.state}: call boot() first`);
    }
    return this.#loop.run(this.#view.retired + (instructions ?? Number.POSITIVE_INFINITY));
  }

  /** Ends the run under way at the next slice's end, with "stopped". */
  stop(): void {
    this.#loop.stop();
  }

  /**
   * Machine time stands still from the next instruction boundary on. A run under way stays under
   * way.
   */
  pause(reason = "user"): void {
    this.#needAlive();
    this.#loop.pause(reason);
  }

  /** Takes a pause back. A machine that waits for memory goes on waiting. */
  resume(): void {
    this.#needAlive();
    this.#loop.resume();
  }

  // ---- the rest of its life; lifecycle/ is the validated door ----

  /**
   * Goes to "suspended": machine time stands still while `save` keeps somewhere all that the
   * machine is, then RAM is given back. A run under way stays so. When `save` throws, the machine
   * goes on as it was. Throws "bad-state" unless it is running or paused, "busy".
   */
  async suspend(save: () => Promise<void>, reason = "user"): Promise<void> {
    this.#needGuest("is suspended");
    this.#loop.hold();
    let isAway = false;
    try {
      await this.#devices.hub.devicesReleased();
      this.#needGuest("is suspended");
      await save();
      this.#needGuest("is suspended");
      this.#loop.suspended(reason);
      isAway = true;
      this.#emptyRam();
    } finally {
      if (!isAway) this.#loop.letGo();
    }
  }

  /**
   * A suspended machine becomes what was saved, and goes on. Throws what `adopt` does; the machine
   * is suspended still, then.
   */
  async awake(
    saved: SavedMachine,
    to: "running" | "paused",
    options: AdoptOptions = {},
  ): Promise<void> {
    this.#needAlive();
    if (this.state !== "suspended") throw refuseState(this.name, this.state, "waking up");
    await this.#become(saved, { identity: "same", ...options });
    this.#loop.awake(to, "awake");
  }

  /**
   * As by its reset button: everything is reset and loaded again; state and run stay. Throws
   * "bad-state" unless it is running or paused, "busy", "bad-config" when it has nothing to load.
   */
  async restart(): Promise<void> {
    this.#needGuest("is reset");
    if (this.config.kernel === null && this.config.firmware === null) {
      const text = `${this.name} was restored without the files that it began with`;
      throw new VmError("bad-config", `${text}: it has nothing to start from`);
    }
    await this.#loop.restart();
  }

  /**
   * Ends this incarnation at once and gives its RAM back; a run under way ends with "stopped". The
   * configuration is kept: `boot` begins another one. Throws "bad-state" when it is over already.
   */
  terminate(reason = "destroyed"): void {
    this.#needAlive();
    if (this.state === "terminated") throw refuseState(this.name, this.state, "being ended");
    // a slice that is under way still needs what it runs on
    if (this.#loop.terminate(reason)) this.#emptyRam();
  }

  #emptyRam(): void {
    this.#pages.close();
    this.#view.reset();
    this.#host.framesFreed();
  }

  /** What it gets of the host's time, and has got. */
  get share(): Share {
    return this.#loop.share;
  }

  /** Pages that are not in memory. */
  get pages(): PageDesk {
    return this.#pages;
  }

  /** Lives so far: another begins when a terminated machine is booted or restored. */
  get incarnation(): number {
    return this.#loop.incarnation;
  }

  // ---- commands in a Linux guest: docs/exec.md ----

  /**
   * Runs a command in the guest: a script for its shell, or a program with its arguments. Waits for
   * the guest, and runs the machine itself when nobody does. A command that fails, is cut short or
   * ran out of time is a result. Throws "bad-argument", "bad-state", "aborted", "timeout", "io".
   */
  exec(command: string | readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.#commands().exec(command, options);
  }

  /** Waits until the guest takes commands; by what. Throws "bad-state", "aborted", "timeout". */
  ready(options?: WaitOptions): Promise<ExecWay> {
    return this.#commands().ready(options);
  }

  /** Asks the guest to switch itself off. Throws as `exec` does; the machine then runs on. */
  powerdown(options?: WaitOptions): Promise<RunResult> {
    return this.#commands().powerdown(options);
  }

  #commands(): GuestExec {
    const { platform } = this.#host;
    this.#exec ??= new GuestExec(this, platform, this.#console, this.#devices.agent);
    return this.#exec;
  }

  /**
   * Where pages not in memory come from (`view.pagesLeave`); null when none is. The machine
   * closes it, and so does the next call; forks share it.
   */
  setPager(pager: Pager | null): void {
    this.#needAlive();
    this.#pages.set(pager);
  }

  /**
   * Settles when nobody needs the disks that this machine was given: it is disposed, and so are its
   * forks; captures are released, and what was made from them is disposed. Whoever opened the disks
   * closes them then.
   */
  disksFree(): Promise<void> {
    return this.#users.free();
  }

  // ---- copies: capture.ts, adopt.ts, fork.ts ----

  /** Throws unless the guest stands between two instructions. */
  #needBoundary(what: string): void {
    this.#needAlive();
    if (this.#loop.isAtBoundary && !this.#isBooting) return;
    const how = this.#isBooting ? "is booting" : "is in the midst of an instruction, or reboots";
    throw new VmError("busy", `${this.name} ${how}: it ${what} between two slices`);
  }

  #needGuest(what: string): void {
    this.#needBoundary(what);
    if (this.state === "running" || this.state === "paused") return;
    throw new VmError("bad-state", `${this.name} is ${this.state}: only a booted one ${what}`);
  }

  /** Throws "busy" while some of its pages are at another host. */
  #needWhole(operation: JobOperation): void {
    if (this.jobs.current?.kind === "postcopy") this.jobs.check(operation);
  }

  /** As it is, or on its way to another host. */
  #needSource(what: string): void {
    if (this.state === "migration-source") this.#needBoundary(what);
    else this.#needGuest(what);
  }

  /**
   * All that the machine is now, in microseconds; a run under way goes on. Release it. Throws
   * "busy" from within a device or its output, "bad-state" before boot and after the end,
   * "no-memory".
   */
  capture(options: CaptureOptions = {}): MachineCapture {
    this.#needSource("is captured");
    this.#needWhole("snapshot");
    return this.#copier.capture(options);
  }

  /**
   * Becomes what `saved` is: a capture, or what was read from somewhere. One that was never booted
   * is paused then; another goes on as it was, a run under way with it. A promise when a disk takes
   * time. Throws "busy", "bad-config" for another shape, "bad-section", "no-memory"; the machine is
   * then as it was, but for its disks.
   */
  adopt(saved: SavedMachine, options: AdoptOptions = {}): MaybePromise<void> {
    // its memory is elsewhere: it comes back by `awake` alone
    if (this.state === "suspended") throw refuseState(this.name, this.state, "becoming another");
    return this.#become(saved, options);
  }

  #become(saved: SavedMachine, options: AdoptOptions): MaybePromise<void> {
    const { incarnation, state } = this;
    const wasOver = state === "terminated";
    const check = () => {
      this.#needBoundary("becomes another one");
      // somebody may have ended it, or begun it again, while its disks were made ready
      if (this.incarnation === incarnation && (this.state === "terminated") === wasOver) return;
      throw refuseState(this.name, this.state, "becoming another");
    };
    check();
    return this.#copier.adopt(saved, options, check);
  }

  /**
   * Makes `count` machines that begin as this one is now and share its memory; a run under way goes
   * on. They are ready to run, or paused when this one is. Their disks are copies that live in
   * memory. Throws "busy", "bad-state", "limit", "no-memory"; then there are none.
   */
  async fork(count = 1, options: ForkOptions = {}): Promise<Machine[]> {
    checkFork(count, options);
    this.#needGuest("is forked");
    this.#needWhole("fork");
    this.#host.needRoom(count);
    return this.#copier.fork(count, options);
  }

  /**
   * A machine of this host with the same configuration and the same disks, in state "created": for
   * a move within the host. Only one of the two may run. Throws "limit", "no-memory".
   */
  successor(name = this.name): Machine {
    this.#needAlive();
    this.#host.needRoom(1);
    const config = { ...this.config, name, disks: this.#devices.disks };
    return this.#host.make(config, { users: this.#users });
  }

  /** The successor has taken over: disks that were closed with this machine are closed with it. */
  leaveDisksTo(successor: Machine): void {
    successor.#ownDisks = this.#ownDisks;
    this.#ownDisks = [];
  }

  // ---- looking at it ----

  /** Hash of everything the machine is; equal digests are equal machines. Not while it runs. */
  stateDigest(): string {
    this.#needAlive();
    if (this.state === "suspended") {
      throw new VmError("bad-state", `${this.name} is suspended: its memory is not here`);
    }
    if (this.hasRun && this.state !== "paused") {
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
    return this.#starter.plan.tree.slice();
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
      behindTicks: this.#clock.behindTicks,
      framesUsed: this.#view.frames,
      reboots: this.#loop.reboots,
      busyMs: this.#loop.busyMs,
      exits: { ...this.#counts },
      core: this.#view.counters,
    };
  }

  /** Ends the machine and gives its frames back. A run under way ends with "stopped". */
  dispose(): void {
    if (this.#isDisposed) return;
    const isAtRest = this.#loop.dispose();
    this.#isDisposed = true;
    this.jobs.close();
    this.#console.end();
    this.#devices.hub.close();
    if (isAtRest) this.#giveBack();
  }

  /** Once: whoever heard of the end may have disposed of the machine already. */
  #giveBack(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#pages.close();
    this.#view.dispose();
    for (const disk of this.#ownDisks) void disk.close();
    this.#leaveDisks();
    this.#host.removed(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }
}
