/**
 * world: two simulated processes that move a machine, whatever is done to their link, their disks
 * and themselves: the shipped sessions, journal and core; only links, clock, disks and death are
 * simulated.
 *
 * Used by sim.test.ts, sim.deep.ts.
 * Holds   law 3: never two. The machine is the same program wherever it runs, so that each run of a
 *         few instructions is looked at: one that begins behind what another one has run is a
 *         second machine.
 */
import * as assert from "uvu/assert";
import { PageCodec } from "../../src/core/page-codec.ts";
import {
  Host,
  type Machine,
  MigrationManager,
  type MigrationResult,
  nodePlatform,
  SourceSession,
  TargetSession,
  VmError,
} from "../../src/node.ts";
import type { Platform } from "../../src/platform/contract.ts";
import { type LinkFault, SimNet } from "../../src/platform/sim/links.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import { SimDirectory } from "../../src/platform/sim/store-directory.ts";
import { elfProgram } from "../helpers/guest-program.ts";
import type { Random } from "../helpers/random.ts";

const MEBIBYTE = 1 << 20;
/** Of simulated time, until everything must have come to its end. */
const PATIENCE_MS = 120_000;
/** Between two runs of a machine. */
const BEAT_MS = 1;
/** How often the operator looks. */
const OPERATOR_MS = 100;

const real = nodePlatform();

/** Counts in every page of some, round and round: what is lost of one is never made good. */
function writer(): Uint8Array {
  return elfProgram((a) => {
    a.li("s0", 0x8004_0000);
    a.li("s1", 0);
    a.label("round");
    a.andi("t0", "s1", 15);
    a.slli("t0", "t0", 12);
    a.add("t0", "t0", "s0");
    a.ld("t1", "t0", 0);
    a.add("t1", "t1", "s1");
    a.addi("t1", "t1", 1);
    a.sd("t1", "t0", 0);
    a.sd("s1", "t0", 1000);
    a.addi("s1", "s1", 1);
    a.j("round");
  });
}

/** What is done to one run of the world. */
export interface Faults {
  /** The chunk, from 1, and what becomes of it. */
  readonly link?: { readonly at: number; readonly fault: LinkFault } | null;
  /** A process is killed when so many chunks were sent. */
  readonly kill?: {
    readonly at: number;
    readonly process: "a" | "b";
    readonly afterMs: number;
  } | null;
  /** Operation of a journal that fails. */
  readonly disk?: { readonly process: "a" | "b"; readonly at: number } | null;
  /** A journal's disk stands still before that operation, and the process is killed then. */
  readonly crash?: { readonly process: "a" | "b"; readonly at: number } | null;
  /** Cancelled when so many chunks were sent. */
  readonly cancelAt?: number | null;
  readonly latencyMs?: number;
  /** The source's machine is let go on behind the commit: the world has to see that. */
  readonly isTwin?: boolean;
  readonly downtimeLimitMs?: number;
  /** What is left when it is switched over follows; an operator recovers what was paused. */
  readonly isPostcopy?: boolean;
}

/** How a run of the world ended. */
export type Outcome =
  | "at-target"
  | "at-source"
  | "taken-back"
  | "zero: source was killed"
  | "zero: target was killed";

/** What is shared by all runs: hosts and a machine to be copied. */
export class Scene {
  readonly platform: SimPlatform;
  readonly hosts: { readonly a: Host; readonly b: Host };
  readonly #template: Machine;
  /** Digests of the machine by instructions. */
  readonly #digests = new Map<number, string>();
  readonly #twin: Machine;

  private constructor(platform: SimPlatform, a: Host, b: Host, template: Machine, twin: Machine) {
    this.platform = platform;
    this.hosts = { a, b };
    this.#template = template;
    this.#twin = twin;
  }

  static async create(): Promise<Scene> {
    const platform = new SimPlatform(await real.loadCore(), await real.loadPages());
    await PageCodec.create({ platform }); // compiled once: that takes real time
    const make = () => Host.create({ platform, arenaBytes: 32 * MEBIBYTE, machinesMax: 4 });
    const [a, b] = [await make(), await make()];
    const config = { memoryBytes: MEBIBYTE, kernel: writer(), name: "mover" };
    const template = a.createMachine(config);
    await template.boot();
    await template.run(1000);
    const [twin] = await template.fork(1, { exact: true });
    return new Scene(platform, a, b, template, twin);
  }

  /** The machine as it is at the beginning of every run. */
  async machine(): Promise<Machine> {
    const [machine] = await this.#template.fork(1, { exact: true, names: ["mover"] });
    return machine;
  }

  /** What the machine's digest is after so many instructions, unmigrated. */
  async digestAt(instructions: number): Promise<string> {
    const known = this.#digests.get(instructions);
    if (known !== undefined) return known;
    let twin = this.#twin;
    if (instructions < twin.instructions) [twin] = await this.#template.fork(1, { exact: true });
    if (instructions > twin.instructions) await twin.run(instructions - twin.instructions);
    const digest = twin.stateDigest();
    this.#digests.set(instructions, digest);
    if (twin !== this.#twin) twin.dispose();
    return digest;
  }

  dispose(): void {
    this.hosts.a.dispose();
    this.hosts.b.dispose();
  }
}

/** One process at a time of one name. */
class Process {
  readonly name: "a" | "b";
  readonly host: Host;
  readonly directory: SimDirectory;
  manager: MigrationManager | null = null;
  isAlive = true;

  constructor(name: "a" | "b", host: Host, directory: SimDirectory) {
    this.name = name;
    this.host = host;
    this.directory = directory;
  }

  /** The world's clock, which tells the dead nothing. */
  platform(clock: SimPlatform): Platform {
    return {
      name: "sim",
      monotonicMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      entropy: (count) => clock.entropy(count),
      loadCore: () => clock.loadCore(),
      loadPages: () => clock.loadPages(),
      yieldToEventLoop: () => (this.isAlive ? clock.yieldToEventLoop() : new Promise(() => {})),
      after: (ms, wake) => clock.after(ms, () => this.isAlive && wake()),
    };
  }
}

/** One run of the world. */
export class World {
  readonly #scene: Scene;
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #net: SimNet;
  readonly #processes: Record<"a" | "b", Process>;
  /** Instructions that each machine has run. */
  readonly #ranges = new Map<Machine, { readonly from: number; to: number }>();
  #session: SourceSession | null = null;
  /** When the operator looked last. */
  #lookedMs = 0;
  #arrived: Machine | null = null;
  #source: Machine | null = null;
  readonly #killed = new Set<string>();
  #hasCancelled = false;
  #isOver = false;
  #failure: string | null = null;
  /** What went on, for messages. */
  readonly log: string[] = [];

  constructor(scene: Scene, faults: Faults, random: Random) {
    this.#scene = scene;
    this.#faults = faults;
    this.#random = random;
    const { latencyMs = 0 } = faults;
    this.#net = new SimNet(scene.platform, {
      ...(latencyMs > 0 ? { latencyMs: () => random.between(0, latencyMs) } : {}),
      fault: (count) => this.#onChunk(count),
    });
    const directory = (name: "a" | "b") => {
      const { disk, crash } = faults;
      return new SimDirectory({
        ...(disk?.process === name ? { failAt: disk.at } : {}),
        ...(crash?.process === name ? { crashAt: crash.at } : {}),
      });
    };
    this.#processes = {
      a: new Process("a", scene.hosts.a, directory("a")),
      b: new Process("b", scene.hosts.b, directory("b")),
    };
  }

  /** Chunks that were sent. */
  get sends(): number {
    return this.#net.sends;
  }

  /** Operations of both journals. */
  get operations(): { a: number; b: number } {
    return { a: this.#processes.a.directory.count, b: this.#processes.b.directory.count };
  }

  #onChunk(count: number): LinkFault | null {
    const { link, kill, cancelAt } = this.#faults;
    if (kill?.at === count) {
      this.#scene.platform.after(kill.afterMs, () => void this.#kill(kill.process));
    }
    if (cancelAt === count && !this.#hasCancelled) {
      this.#hasCancelled = true;
      try {
        this.#session?.cancel();
      } catch {
        // it is committed
      }
    }
    return link?.at === count ? link.fault : null;
  }

  async #boot(name: "a" | "b"): Promise<void> {
    const process = this.#processes[name];
    const manager = await MigrationManager.create({
      host: process.host,
      platform: process.platform(this.#scene.platform),
      door: this.#net.door(name),
      state: process.directory,
      arrived: (machine) => {
        this.log.push(`arrived at ${name} with ${machine.instructions}`);
        this.#arrived = machine;
        if (this.#faults.isTwin === true) this.#source?.mover.goOn();
        void this.#guest(process, machine);
      },
    });
    process.manager = manager;
    await manager.listen(`sim:${name}`);
  }

  /** Lets a machine run, a little at a time, for as long as it may. */
  async #guest(process: Process, machine: Machine): Promise<void> {
    while (process.isAlive && !this.#isOver && !machine.isDisposed) {
      if (machine.state === "terminated") return;
      const before = machine.instructions;
      let result: { kind: string };
      try {
        result = await machine.run(this.#random.between(20, 200));
      } catch {
        return;
      }
      if (!process.isAlive || machine.isDisposed) return;
      this.#ran(machine, before, machine.instructions);
      if (result.kind !== "budget") return;
      await this.#sleep(BEAT_MS);
    }
  }

  /** What no two machines have run is what one has. */
  #ran(machine: Machine, from: number, to: number): void {
    if (to === from) return;
    const own = this.#ranges.get(machine);
    if (own === undefined) {
      this.log.push(
        `${this.#scene.hosts.a.machines.includes(machine) ? "a" : "b"} runs from ${from}`,
      );
      this.#ranges.set(machine, { from, to });
    } else own.to = to;
    for (const [other, range] of this.#ranges) {
      if (other === machine || range.to <= from || range.from >= to) continue;
      this.#failure ??= `two machines run: ${from} to ${to}, and ${range.from} to ${range.to}`;
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#scene.platform.after(ms, resolve));
  }

  /** A process ends between two instructions of its program; another one takes its place. */
  async #kill(name: "a" | "b"): Promise<void> {
    const process = this.#processes[name];
    if (!process.isAlive || this.#killed.has(name)) return;
    this.log.push(`${name} is killed`);
    this.#killed.add(name);
    process.isAlive = false;
    this.#net.kill(name);
    const files = process.directory.crash(this.#random);
    const { host } = process;
    const own = name === "a" ? this.#source : this.#arrived;
    if (own !== null && host.machines.includes(own)) own.dispose();
    for (const machine of host.machines)
      if (machine.state.startsWith("migration")) machine.dispose();
    await this.#sleep(this.#random.between(0, 300));
    this.#processes[name] = new Process(name, host, new SimDirectory({ files }));
    await this.#boot(name);
    this.log.push(`${name} is back`);
  }

  /** Runs until everything has come to its end; how that was. Throws when law 3 is broken. */
  async run(): Promise<Outcome> {
    await this.#boot("a");
    await this.#boot("b");
    const machine = await this.#scene.machine();
    this.#source = machine;
    void this.#guest(this.#processes.a, machine);
    const { downtimeLimitMs = 300 } = this.#faults;
    const options = { downtimeLimitMs, timeoutMs: 2_000, policy: "cancel" } as const;
    const manager = this.#processes.a.manager as MigrationManager;
    this.#session = await manager.start(machine, "sim:b", options);
    if (this.#faults.isPostcopy === true) this.#session.convergence.postcopy();
    void this.#session.ended.then((result) => this.log.push(JSON.stringify(result)));
    await this.#settle();
    const outcome = await this.#judge(machine);
    this.#isOver = true;
    await this.#end();
    return outcome;
  }

  /** True when nobody has anything left to decide or to say. */
  get #isSettled(): boolean {
    const { a, b } = this.#processes;
    if (a.manager === null || b.manager === null) return false;
    const count = [a, b].reduce((sum, { manager }) => {
      return sum + (manager?.sessions.length ?? 0) + (manager?.recovered.length ?? 0);
    }, 0);
    return count === 0;
  }

  #describe(): string {
    return Object.values(this.#processes)
      .map(({ name, manager }) => {
        const sessions = manager?.sessions.map((one) => `${one.side} ${one.phase} ${one.status}`);
        const left = manager?.recovered.map(({ side, record }) => `${side} ${record?.kind}`);
        return `${name}: ${sessions?.join(", ")}; ${left?.join(", ")}`;
      })
      .join(" / ");
  }

  async #settle(): Promise<void> {
    const { platform } = this.#scene;
    const began = platform.monotonicMs();
    let quiet = 0;
    while (quiet < 20) {
      await real.yieldToEventLoop(); // whatever can happen now has happened then
      const { crash } = this.#faults;
      const crashed = crash ? this.#processes[crash.process] : null;
      if (crash && crashed?.isAlive === true && crashed.directory.count >= crash.at) {
        if (!this.#killed.has(crash.process)) void this.#kill(crash.process);
      }
      this.#operate();
      quiet = this.#isSettled ? quiet + 1 : 0;
      const ms = platform.monotonicMs() - began;
      assert.ok(quiet > 0 || ms < PATIENCE_MS, `not settled after ${ms} ms: ${this.#describe()}`);
      platform.advance(Math.max(platform.nextTimerMs ?? BEAT_MS, 0.25));
    }
  }

  /** What an operator does about post-copies whose link was lost, or whose target is dead. */
  #operate(): void {
    const { platform } = this.#scene;
    if (platform.monotonicMs() - this.#lookedMs < OPERATOR_MS) return;
    this.#lookedMs = platform.monotonicMs();
    for (const { manager } of Object.values(this.#processes)) {
      for (const session of manager?.sessions ?? []) {
        if (session.status !== "postcopy-paused") continue;
        // only who was killed is known to be dead
        const isAbandoning = session instanceof SourceSession && this.#killed.has("b");
        if (isAbandoning) {
          this.log.push("the target is abandoned");
          if (this.#arrived !== null) this.#ranges.delete(this.#arrived);
        }
        if (session instanceof SourceSession)
          void session.recover({ isAbandoning }).catch(() => {});
        else if (session instanceof TargetSession) void session.recover().catch(() => {});
      }
    }
  }

  /** It gets on, whatever was done to it. */
  async #mustRun(machine: Machine): Promise<void> {
    for (let turn = 0; machine.hasRun && turn < 100; turn++) await real.yieldToEventLoop();
    assert.not.ok(machine.hasRun, "it has a run that does not end");
    let isDone = false;
    void machine.run(50).then(() => {
      isDone = true;
    });
    for (let turn = 0; !isDone && turn < 100; turn++) await real.yieldToEventLoop();
    assert.ok(isDone, `it is ${machine.state}, and does not run`);
  }

  async #judge(machine: Machine): Promise<Outcome> {
    const result = this.#session?.result as MigrationResult | null;
    const isAt = (one: Machine | null): one is Machine => {
      return one !== null && !one.isDisposed && (one.state === "running" || one.state === "paused");
    };
    if (this.#failure !== null) throw new Error(this.#failure);
    const here = [machine, this.#arrived].filter(isAt);
    assert.ok(here.length <= 1, `${here.length} machines run`);
    const [last] = here;
    const saysHere = result !== null && result.machine === "at-source" && !this.#killed.has("a");
    assert.ok(!saysHere || last === machine, `${result?.kind}, and it is not at the source`);
    if (last === undefined) {
      assert.ok(this.#killed.size > 0, "the machine is nowhere, and nobody was killed");
      if (this.#arrived?.isDisposed === false && this.#arrived.reason === "pages lost") {
        assert.ok(this.#killed.has("a"), "pages are lost, and nobody lost them");
        return "zero: source was killed";
      }
      const who = this.#arrived !== null ? "target" : "source";
      return `zero: ${who} was killed`;
    }
    this.#isOver = true; // its guest's loop ends with the run that is under way
    await this.#mustRun(last);
    const expected = await this.#scene.digestAt(last.instructions);
    assert.is(last.stateDigest(), expected, "the machine is not what it would have been");
    if (last === this.#arrived) return "at-target";
    return result?.kind === "taken-back" ? "taken-back" : "at-source";
  }

  async #end(): Promise<void> {
    for (const process of Object.values(this.#processes)) {
      process.isAlive = false;
      this.#net.kill(process.name);
    }
    for (const machine of [this.#source, this.#arrived]) machine?.dispose();
    for (const host of Object.values(this.#scene.hosts)) {
      for (const machine of host.machines) {
        if (machine.state.startsWith("migration")) machine.dispose();
      }
    }
  }
}

/** For messages: what went wrong and how to see it again. */
export async function runWorld(scene: Scene, faults: Faults, random: Random): Promise<Outcome> {
  const world = new World(scene, faults, random);
  try {
    return await world.run();
  } catch (error) {
    const text = `${(error as Error).message}\n${JSON.stringify(faults)}\n${world.log.join("\n")}`;
    throw error instanceof VmError ? new Error(text, { cause: error }) : new Error(text);
  }
}
