/**
 * host: one arena and the machines in it.
 *
 * Owns    the core, the scheduler, the list of machines.
 * Used by every caller of the API: the first thing there is.
 */
import { Core } from "../core/instance.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import type { DeviceFactory } from "../device/custom.ts";
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { AdoptOptions } from "./adopt.ts";
import type { SavedMachine } from "./capture.ts";
import { type MachineConfig, type ResolvedConfig, resolveConfig } from "./config.ts";
import { configOf, disksFor } from "./fork.ts";
import { Machine, type MadeParts } from "./machine.ts";
import { Scheduler } from "./scheduler.ts";

/** What `Host.create` may be told. */
export interface HostOptions {
  /** Time, entropy, the event loop. */
  readonly platform: Platform;
  /** Address space to reserve for all machines; by default 4 GiB, or the most that can be had. */
  readonly arenaBytes?: number;
  /** Machines at a time, 1 to 1024; default 16. */
  readonly machinesMax?: number;
}

/** What a machine needs of its host. */
export interface HostServices {
  readonly core: Core;
  readonly platform: Platform;
  readonly scheduler: Scheduler;
  /** True when another machine could give frames back. */
  hasOthers(machine: Machine): boolean;
  /** Frames were given back. */
  framesFreed(): void;
  /** Frames ran out: true when somebody who kept some without need has given them back. */
  reclaim(): boolean;
  removed(machine: Machine): void;
  /** Throws "limit" unless `count` machines more may be made. */
  needRoom(count: number): void;
  /** Makes one of a configuration that is checked. */
  make(config: ResolvedConfig, made?: MadeParts): Machine;
}

/** Figures about a host. */
export interface HostStats {
  readonly arenaBytes: number;
  readonly framesTotal: number;
  readonly framesFree: number;
  readonly machines: number;
}

/** What a machine made from a saved one may be told. */
export interface RestoredConfig extends Omit<MachineConfig, "disks"> {
  readonly disks?: readonly (BlockBackend | null)[];
}

const MACHINES_DEFAULT = 16;
/** Machines at a time that a host can be made for. */
export const MACHINES_MAX = 1024;

/** A host of machines that share one pool of frames. */
export class Host {
  readonly #core: Core;
  readonly #services: HostServices;
  readonly #machines = new Set<Machine>();
  readonly #reclaimers = new Set<() => boolean>();
  readonly #deviceKinds = new Map<string, DeviceFactory>();
  readonly #machinesMax: number;
  #isDisposed = false;

  private constructor(core: Core, platform: Platform, machinesMax: number) {
    this.#core = core;
    this.#machinesMax = machinesMax;
    const framesFreed = () => {
      for (const machine of this.#machines) machine.framesFreed();
    };
    this.#services = {
      core,
      platform,
      scheduler: new Scheduler(platform),
      hasOthers: () => this.#machines.size > 1,
      framesFreed,
      reclaim: () => this.#reclaim(),
      removed: (machine) => {
        this.#machines.delete(machine);
        framesFreed();
      },
      needRoom: (count) => this.#needRoom(count),
      make: (config, made) => {
        const machine = new Machine(this.#services, config, made);
        this.#machines.add(machine);
        return machine;
      },
    };
  }

  /** Reserves the arena and instantiates the core. Throws "bad-config" or "no-memory". */
  static async create(options: HostOptions): Promise<Host> {
    const machinesMax = options.machinesMax ?? MACHINES_DEFAULT;
    if (!Number.isInteger(machinesMax) || machinesMax < 1 || machinesMax > MACHINES_MAX) {
      const accepted = `accepted are integers from 1 to ${MACHINES_MAX}`;
      throw new VmError("bad-config", `machinesMax ${machinesMax}: ${accepted}`);
    }
    const wasm = await options.platform.loadCore();
    // one more than there may be: what a machine is to become is put together beside it
    const { arenaBytes } = options;
    const core = await Core.create(wasm, { arenaBytes, machinesMax: machinesMax + 1 });
    return new Host(core, options.platform, machinesMax);
  }

  /**
   * Makes a machine, with empty RAM, in state "created". Throws "bad-config", "no-memory" or
   * "limit".
   */
  createMachine(config: MachineConfig): Machine {
    this.#needRoom(1);
    return this.#services.make(this.#resolve(config));
  }

  #resolve(config: MachineConfig): ResolvedConfig {
    return resolveConfig(config, {
      poolBytes: this.#core.poolBytes,
      deviceKinds: this.#deviceKinds,
    });
  }

  #needRoom(count: number): void {
    if (this.#isDisposed) throw new VmError("disposed", "the host is disposed");
    if (this.#machines.size + count <= this.#machinesMax) return;
    const text = `the host has ${this.#machines.size} machines`;
    const more = count === 1 ? "no more" : `no ${count} more`;
    throw new VmError("limit", `${text}: machinesMax allows ${more}`);
  }

  /**
   * Makes a machine that is what `saved` is, in state "paused". `config` says what is the host's:
   * name, disks by slot (null: as `disksFor` finds one), console, options of custom devices, the
   * files of a reboot (without any, a reboot ends the run). Throws what createMachine and
   * `machine.adopt` do.
   */
  async createFrom(
    saved: SavedMachine,
    config: RestoredConfig = {},
    options: AdoptOptions = {},
  ): Promise<Machine> {
    this.#needRoom(1);
    const { disks, owned, patched, users } = disksFor(saved, config.disks ?? []);
    let machine: Machine | null = null;
    try {
      const hasFiles = config.kernel !== undefined || config.firmware !== undefined;
      const shape = configOf(saved.shape);
      const resolved = this.#resolve({ noReboot: !hasFiles, ...shape, ...config, disks });
      machine = this.#services.make(resolved, {
        disks: owned,
        ...(users === undefined ? {} : { users }),
      });
      await machine.adopt(patched, options);
      return machine;
    } catch (error) {
      if (machine !== null) machine.dispose();
      else for (const disk of owned) void disk.close();
      throw error;
    }
  }

  /**
   * Makes `kind` known, so that machines may have such devices (`config.devices`). The factory is
   * called once for each; what it makes keeps the contract of `rivulet/contract`. Throws
   * "bad-argument" for a kind that is taken or not written in lower case, digits and hyphens.
   */
  registerDevice(kind: string, factory: DeviceFactory): void {
    if (!/^[a-z][a-z0-9-]{0,30}$/.test(kind)) {
      const accepted = "accepted are up to 31 lower-case letters, digits and hyphens";
      throw new VmError("bad-argument", `device kind "${kind}": ${accepted}`);
    }
    if (this.#deviceKinds.has(kind)) {
      throw new VmError("bad-argument", `device kind "${kind}" is registered already`);
    }
    this.#deviceKinds.set(kind, factory);
  }

  /** Time, entropy, the event loop. */
  get platform(): Platform {
    return this.#services.platform;
  }

  /**
   * Calls `reclaim` when a machine needs a frame and none is free: it gives back what it can do
   * without (retained roots, for instance) and answers whether that was anything. The returned
   * function ends that.
   */
  onShort(reclaim: () => boolean): () => void {
    this.#reclaimers.add(reclaim);
    return () => this.#reclaimers.delete(reclaim);
  }

  #reclaim(): boolean {
    const before = this.#core.framesFree;
    for (const reclaim of this.#reclaimers) {
      // what is shared gives no frame back: on to the next
      while (reclaim()) if (this.#core.framesFree > before) return true;
    }
    return false;
  }

  /** The machines that are not disposed. */
  get machines(): readonly Machine[] {
    return [...this.#machines];
  }

  stats(): HostStats {
    return {
      arenaBytes: this.#core.arenaBytes,
      framesTotal: this.#core.framesTotal,
      framesFree: this.#core.framesFree,
      machines: this.#machines.size,
    };
  }

  /** Disposes of every machine; the arena goes with the last reference to the host. */
  dispose(): void {
    this.#isDisposed = true;
    for (const machine of this.machines) machine.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }
}
