/**
 * vm: one machine of the shell: its specification, the machine made from it, its console's log,
 * and the run that goes on behind the prompt.
 *
 * Owns    the machine, the disks opened for it, the run under way.
 * Used by fleet.ts, which makes it, and by every command about a machine.
 * Holds   the specification changes only while nothing runs; then the machine is made anew.
 */
import {
  type Machine,
  type MachineState,
  type ResumeOptions,
  type RunResult,
  VmError,
  type VmLifecycleManager,
} from "../index.ts";
import { attachConsole } from "./attach.ts";
import type { SymbolLookup } from "./call.ts";
import type { AbortSignalLike, SessionStreams } from "./command.ts";
import { ConsoleLog } from "./console-log.ts";
import { checkShareable } from "./disk-use.ts";
import type { EventRing } from "./event-ring.ts";
import type { GdbDoor } from "./gdb.ts";
import { Recorder, type Recording } from "./recorder.ts";
import {
  closeAll,
  type DiskPart,
  type MadeMachine,
  type VmParts,
  type VmSpec,
} from "./vm-parts.ts";
import type { World } from "./world.ts";

/** What a fleet lends its machines. */
export interface VmServices {
  readonly world: World;
  readonly events: EventRing;
  openParts(spec: VmSpec): Promise<VmParts>;
  /** The fleet's other machines. */
  others(vm: Vm): readonly Vm[];
  lifecycle(): VmLifecycleManager;
}

/** A machine of the shell. Made by `fleet.create`. */
export class Vm {
  readonly log: ConsoleLog;
  /** Names for addresses, once `debug symbols` has read them. */
  symbols: SymbolLookup | null = null;
  /** Where gdb may attach, once `debug gdb` or `run --gdb` has opened it. */
  gdb: GdbDoor | null = null;
  readonly #services: VmServices;
  #spec: VmSpec;
  #made: MadeMachine;
  #run: Promise<RunResult> | null = null;
  /** The part of the run that is under way: `between` cuts a run into several. */
  #piece: Promise<void> | null = null;
  /** Calls of `between` under way. */
  #interludes = 0;
  #isStopping = false;
  #lastResult: RunResult | null = null;
  readonly #attachments = new Set<() => void>();
  #isRemoved = false;
  /** The machine is disposed of; there may be another one soon. */
  #isGone = false;
  #recorder: Recorder | null = null;
  /** A recording is about to begin. */
  #isOpeningRecorder = false;
  /** Changes under way, the last one at the end. */
  #changing: Promise<void> = Promise.resolve();

  /** For fleet.ts. */
  constructor(spec: VmSpec, services: VmServices, made: MadeMachine) {
    this.#spec = spec;
    this.#services = services;
    this.#made = made;
    this.log = new ConsoleLog(services.world.after);
    this.#watch();
  }

  /** The world's timer. */
  get after(): World["after"] {
    return this.#services.world.after;
  }

  get name(): string {
    return this.#spec.name;
  }

  get spec(): VmSpec {
    return this.#spec;
  }

  /** The machine as it is now: `reconfigure` and `reset` put another one in its place. */
  get machine(): Machine {
    return this.#made.machine;
  }

  /** Every disk by slot: the guest's own in front of those of `spec.disks`. */
  get disks(): readonly DiskPart[] {
    return this.#made.disks;
  }

  get state(): MachineState {
    return this.machine.state;
  }

  /** True while guest time may pass: a run is under way, paused or not. */
  get isRunning(): boolean {
    return this.#run !== null;
  }

  /** How the last run ended; null before the first has. */
  get lastResult(): RunResult | null {
    return this.#lastResult;
  }

  /** True once the fleet has forgotten it. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** Consoles that are attached now. */
  get attachments(): number {
    return this.#attachments.size;
  }

  #tell(kind: string, detail: string): void {
    const ticks = this.state === "created" || this.#isGone ? null : this.machine.stats().ticks;
    this.#services.events.add({ ticks, vm: this.name, kind, detail });
  }

  #watch(): void {
    const { machine } = this;
    this.#services.lifecycle().manage(machine);
    // a breakpoint pauses the machine: whoever waits for the end of its run waits on
    machine.debugger.isHolding = true;
    machine.console.onOutput((bytes) => this.log.append(bytes));
    machine.on("state", ({ from, to, reason }) => {
      // while a machine is disposed of its figures are gone
      if (reason !== "disposed") this.#tell("state", `${from} -> ${to} (${reason})`);
      this.#settleWaits();
    });
    machine.on("reboot", ({ count }) => this.#tell("reboot", `number ${count}`));
    machine.on("memory", ({ isShort, framesFree }) => {
      const what = isShort ? "waits for frames" : "goes on";
      this.#tell("memory", `${what}, ${framesFree} frames free`);
    });
  }

  // ---- running ----

  /** Loads the machine. Throws "bad-state" unless it is created or terminated. */
  async boot(): Promise<void> {
    this.#markStart();
    await this.machine.boot();
  }

  #markStart(): void {
    if (this.state !== "terminated" && this.state !== "created") return;
    this.log.startPosition = this.log.end;
    this.log.mark = this.log.end;
  }

  /**
   * Boots and lets it run in the background, or stands paused before its first instruction; how the
   * run ends is an event and `lastResult`.
   */
  async start(options: { readonly isPaused?: boolean } = {}): Promise<void> {
    this.#markStart();
    await this.#services.lifecycle().start(this.machine, options);
  }

  /** Runs a booted machine to the end of the budget or of the machine, as `machine.run` does. */
  run(instructions?: number): Promise<RunResult> {
    if (this.#run !== null) throw new VmError("busy", `${this.name} is running already`);
    const run = this.#runAll(instructions);
    this.#run = run;
    return run;
  }

  async #runAll(instructions?: number): Promise<RunResult> {
    const { machine } = this;
    const target = instructions === undefined ? undefined : machine.instructions + instructions;
    try {
      for (;;) {
        while (this.#interludes > 0) await this.#interludesOver();
        if (this.#isStopping || machine.isDisposed) return this.#ended({ kind: "stopped" });
        const left = target === undefined ? undefined : Math.max(0, target - machine.instructions);
        const piece = machine.run({ instructions: left });
        const over = () => {
          this.#piece = null;
        };
        this.#piece = piece.then(over, over);
        const result = await piece;
        const isInterlude = result.kind === "stopped" && this.#interludes > 0;
        if (!isInterlude) return this.#ended(result);
      }
    } catch (error) {
      this.#run = null;
      if (!this.#isRemoved) this.#tell("error", (error as Error).message);
      this.log.close();
      this.#settleWaits();
      throw error;
    }
  }

  #ended(result: RunResult): RunResult {
    this.#run = null;
    this.#isStopping = false;
    this.#lastResult = result;
    if (!this.#isRemoved) this.#tell("end", describeResult(result));
    if (this.state === "terminated") this.log.close();
    this.#settleWaits();
    return result;
  }

  /** Ends the run under way with "stopped"; the machine could run on. */
  stop(): void {
    if (this.#run === null) return;
    this.#isStopping = true;
    this.machine.stop();
  }

  #goOn(): void {
    // a failure is an event and a state; nobody waits for this promise
    this.run().catch(() => {});
  }

  /** Machine time stands still until `resume`. Throws "bad-state" unless it is running. */
  async pause(): Promise<void> {
    const { machine } = this;
    // one that waits for memory would go on by itself
    if (machine.state === "paused" && machine.reason !== "memory") {
      const how = `\`vm resume ${this.name}\` lets it go on`;
      throw new VmError("bad-state", `${this.name} is paused (${machine.reason}) already; ${how}`);
    }
    await this.#services.lifecycle().pause(machine);
  }

  /** Takes a pause back; after a breakpoint or a stop, runs on in the background. */
  async resume(options: ResumeOptions = {}): Promise<void> {
    const { machine } = this;
    if (machine.state === "running" && this.#run !== null) {
      throw new VmError("bad-state", `${this.name} is running: only a paused one resumes`);
    }
    if (machine.state === "created" || machine.state === "terminated") {
      const how = `\`vm start ${this.name}\` starts it`;
      throw new VmError("bad-state", `${this.name} is ${machine.state}: ${how}`);
    }
    // one that waits for memory was not paused: it goes on by itself, or with another run
    const isWaiting = machine.state === "paused" && machine.reason === "memory";
    if (!isWaiting) await this.#services.lifecycle().resume(machine, options);
    this.begin();
  }

  /** Lets it run behind the prompt, unless a run is under way. */
  begin(): void {
    if (this.#run === null && (this.state === "running" || this.state === "paused")) this.#goOn();
  }

  readonly #waits = new Set<() => void>();
  #interludeWaits: (() => void)[] = [];

  #interludesOver(): Promise<void> {
    return new Promise((resolve) => this.#interludeWaits.push(resolve));
  }

  /** Throws "bad-state" for a machine whose memory is put away. */
  checkHere(): void {
    if (this.state !== "suspended") return;
    const how = `\`vm resume ${this.name}\` brings it back`;
    throw new VmError("bad-state", `${this.name} is suspended: its memory is not here; ${how}`);
  }

  /**
   * Does `work` while no run is under way, so that registers, memory and the digest can be looked
   * at; a run that was under way goes on afterwards, and nobody sees that it had stopped.
   */
  async between<T>(work: (machine: Machine) => T | Promise<T>): Promise<T> {
    this.checkHere();
    this.#interludes++;
    try {
      if (this.#piece !== null) {
        this.machine.stop();
        await this.#piece;
      }
      return await work(this.machine);
    } finally {
      this.#interludes--;
      if (this.#interludes === 0) for (const wake of this.#interludeWaits.splice(0)) wake();
    }
  }

  #settleWaits(): void {
    for (const look of [...this.#waits]) look();
  }

  /**
   * Waits until the machine is in one of the states: "reached"; "timeout", "aborted" or "removed"
   * otherwise.
   */
  wait(
    states: readonly MachineState[],
    timeoutMs: number | null,
    signal: AbortSignalLike,
  ): Promise<"reached" | "timeout" | "aborted" | "removed"> {
    return new Promise((resolve) => {
      const settle = (outcome: "reached" | "timeout" | "aborted" | "removed") => {
        cancel();
        this.#waits.delete(look);
        signal.removeEventListener("abort", abort);
        resolve(outcome);
      };
      const look = () => {
        // a machine that ended has a result a moment later
        const isEnding = this.state === "terminated" && this.#run !== null;
        // its plug was pulled: another one is in its place at once
        const isCut = isEnding && this.#isGone && !this.#isRemoved;
        if (isCut && states.includes("terminated")) settle("reached");
        else if (states.includes(this.state) && !isEnding) settle("reached");
        else if (this.#isRemoved) settle("removed");
        else if (signal.aborted) settle("aborted");
      };
      const abort = () => settle("aborted");
      const late = () => settle("timeout");
      const cancel = timeoutMs === null ? () => {} : this.#services.world.after(timeoutMs, late);
      this.#waits.add(look);
      signal.addEventListener("abort", abort);
      look();
    });
  }

  /** Its machine has moved to a successor in this process, which goes on under this name. */
  async succeed(machine: Machine): Promise<void> {
    const { machine: old } = this.#made;
    this.#made = { ...this.#made, machine };
    await this.gdb?.close();
    this.#watch();
    await this.#run?.catch(() => {}); // that of the old one, told that it was stopped
    old.dispose();
    this.begin();
  }

  // ---- changing ----

  /** Refuses while something runs; says what to do. */
  checkIdle(what: string): void {
    if (this.state === "created" || this.state === "terminated") return;
    const how = `\`vm stop ${this.name}\` or \`vm destroy ${this.name} --keep\` ends it`;
    throw new VmError("bad-state", `${what}: ${this.name} is ${this.state}; ${how}`);
  }

  /** Refuses while nothing runs that could take what is typed. */
  checkStarted(): void {
    if (this.state === "running" || this.state === "paused") return;
    const how = `\`vm start ${this.name}\` starts it`;
    throw new VmError("bad-state", `${this.name} is ${this.state}; ${how}`);
  }

  /**
   * Makes the machine anew with the change, which gets the specification as it is by then; the old
   * machine stays when that fails.
   */
  async reconfigure(change: (spec: VmSpec) => Partial<Omit<VmSpec, "name">>): Promise<void> {
    let keys = "";
    await this.#inTurn(async () => {
      this.#checkChangeable();
      const changed = change(this.#spec);
      keys = Object.keys(changed).join(", ");
      await this.#replace({ ...this.#spec, ...changed }, () => this.#checkChangeable());
    });
    this.#tell("changed", keys);
  }

  #checkChangeable(): void {
    this.checkIdle("a machine changes only while it is not running");
  }

  /**
   * Ends it at once, as by pulling the plug, and makes it anew, ready to start. When a file that it
   * is made of is gone, it runs on.
   */
  async reset(): Promise<void> {
    await this.#inTurn(() => this.#replace(this.#spec, () => {}));
    this.#tell("destroyed", "kept for another start");
  }

  /** Another name, for a machine that is not running: it is made anew. For fleet.ts. */
  async rename(name: string): Promise<void> {
    await this.#inTurn(async () => {
      this.checkIdle("a machine is renamed only while it is not running");
      await this.#replace({ ...this.#spec, name }, () => {});
    });
  }

  /** One change at a time. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(work);
    this.#changing = turn.catch(() => {});
    return turn;
  }

  async #replace(spec: VmSpec, check: () => void): Promise<void> {
    const old = this.#made;
    const parts = await this.#services.openParts(spec);
    try {
      if (this.#isRemoved) throw new VmError("not-found", `${this.name} was destroyed meanwhile`);
      check();
      checkShareable(parts.disks, this.#services.others(this));
      const machine = this.#makeAnew(parts);
      if (!old.machine.isDisposed) this.#endMachine();
      this.#made = { ...parts, machine };
      this.#spec = spec;
    } catch (error) {
      await closeAll(parts.backends);
      throw error;
    }
    this.#isGone = false;
    this.symbols = null;
    this.#watch();
    this.#settleWaits();
    await closeAll(old.backends);
  }

  /** Beside the old machine, or in its room where there is no other. */
  #makeAnew({ host, config }: VmParts): Machine {
    try {
      return host.createMachine(config);
    } catch (error) {
      // the configuration was checked before
      if (!(error instanceof VmError) || error.code !== "no-memory") throw error;
    }
    this.#endMachine();
    return host.createMachine(config);
  }

  #endMachine(): void {
    this.#isGone = true;
    this.machine.dispose();
    this.log.close();
  }

  /** For fleet.ts, which forgets it: ends everything. Throws what went wrong, once all is ended. */
  async destroy(): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    // gdb first: it takes its breakpoints along
    const gdb = this.gdb?.close();
    this.#endMachine();
    this.detachAll();
    this.#settleWaits();
    const ends = [gdb, closeAll(this.#made.backends), this.#recorder?.stop()];
    for (const end of await Promise.allSettled(ends)) {
      if (end.status === "rejected") throw end.reason;
    }
  }

  // ---- console ----

  /**
   * Connects the streams with the console until the escape key, `detachAll`, the end of the
   * machine or an abort. Resolves with which of them it was.
   */
  async attach(
    streams: SessionStreams,
    signal: AbortSignalLike,
  ): Promise<"escape" | "detached" | "ended" | "aborted"> {
    this.#tell("attached", "console");
    try {
      return await attachConsole(this, streams, signal, this.#attachments);
    } finally {
      if (!this.#isRemoved) this.#tell("detached", "console");
    }
  }

  /**
   * Calls `onMore` at once and whenever the console has said more, one call at a time, until the
   * machine is over, or gone, or the signal is aborted.
   */
  async follow(signal: AbortSignalLike, onMore: () => Promise<void>): Promise<"ended" | "aborted"> {
    let wake = () => {};
    const stir = () => wake();
    const endOutput = this.log.onAppend(stir);
    signal.addEventListener("abort", stir);
    this.#waits.add(stir);
    try {
      for (;;) {
        const end = this.log.end;
        await onMore();
        if (signal.aborted) return "aborted";
        if (this.log.end > end) continue;
        if (this.#isRemoved || this.state === "terminated") return "ended";
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      endOutput();
      signal.removeEventListener("abort", stir);
      this.#waits.delete(stir);
    }
  }

  /** Starts a recording. Throws VmError "busy" when one goes on, "io". */
  async record(file: string): Promise<void> {
    if (this.#recorder !== null || this.#isOpeningRecorder) {
      const text = `${this.name} is being recorded into ${this.#recorder?.file ?? "another file"}`;
      throw new VmError("busy", `${text}; \`console record ${this.name} --stop\` ends that`);
    }
    this.#isOpeningRecorder = true;
    try {
      const recorder = await Recorder.open(file, this.name, this.log, this.#services.world);
      if (this.#isRemoved) await recorder.stop();
      else this.#recorder = recorder;
    } finally {
      this.#isOpeningRecorder = false;
    }
  }

  /** The file of the recording that goes on. */
  get recordingFile(): string | null {
    return this.#recorder?.file ?? null;
  }

  /** Ends the recording. Throws VmError "bad-state" when there is none, "io". */
  async stopRecording(): Promise<Recording> {
    const recorder = this.#recorder;
    if (recorder === null) {
      const how = `\`console record ${this.name} FILE\` starts one`;
      throw new VmError("bad-state", `${this.name} is not being recorded; ${how}`);
    }
    this.#recorder = null;
    return recorder.stop();
  }

  /** Ends every attachment; how many there were. */
  detachAll(): number {
    const count = this.#attachments.size;
    for (const detach of [...this.#attachments]) detach();
    return count;
  }
}

/** A result in a few words: "poweroff, code 0". */
export function describeResult(result: RunResult): string {
  switch (result.kind) {
    case "poweroff":
    case "failure":
    case "htif":
      return `${result.kind}, code ${result.code}`;
    case "trap-loop":
    case "break":
      return `${result.kind}, hart ${result.hart} at 0x${result.pc.toString(16)}`;
    default:
      return result.kind;
  }
}
