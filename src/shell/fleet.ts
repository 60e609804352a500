/**
 * fleet: the machines of one shell by name, each with its console log, running behind the prompt.
 *
 * Owns    the host, the machines, the list of what happened.
 * Used by every command; shared by all sessions of a process (prompt, script, control clients).
 */
import {
  type BlockBackend,
  type Host,
  type Machine,
  VmError,
  VmLifecycleManager,
} from "../index.ts";
import type { DiskSpec } from "./command.ts";
import { checkShareable } from "./disk-use.ts";
import { EventRing } from "./event-ring.ts";
import { Migrations } from "./migrations.ts";
import { StoreMount } from "./store-mount.ts";
import { Vm, type VmServices } from "./vm.ts";
import {
  closeAll,
  type DiskPart,
  diskPart,
  type MadeMachine,
  openParts,
  type VmSpec,
} from "./vm-parts.ts";
import { thereAre } from "./wording.ts";
import type { World } from "./world.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** How a fleet may be made. */
export interface FleetOptions {
  /** Machines at a time. */
  readonly machinesMax?: number;
}

/** A machine that was made otherwise, and its disks. */
export interface AdoptedMachine {
  readonly machine: Machine;
  /** By slot. */
  readonly diskSpecs: readonly DiskSpec[];
  /** What is closed with it; nothing where others close theirs. */
  readonly disks: readonly BlockBackend[];
}

/** A name and room for a machine that is to come. */
export interface Seat {
  /** Throws "busy" for a disk that another machine writes to. */
  checkDisks(disks: readonly DiskPart[]): void;
  /** It is there. Once. */
  enter(spec: VmSpec, made: MadeMachine): Vm;
  /** It does not come. Does no harm once it has. */
  release(): void;
}

/** A machine about to enter; `make` is called once nothing stands against it. */
interface Entry extends Omit<MadeMachine, "machine"> {
  make(): Machine;
}

/** The machines of a process. */
export class Fleet {
  readonly events: EventRing;
  /** The store of snapshots. */
  readonly snapshots: StoreMount;
  readonly migrations: Migrations;
  readonly #world: World;
  /** Machines at a time. */
  readonly machinesMax: number;
  readonly #vms = new Map<string, Vm>();
  /** Names that are being made. */
  readonly #reserved = new Set<string>();
  #opening: Promise<Host> | null = null;
  #host: Host | null = null;
  #lifecycle: VmLifecycleManager | null = null;
  readonly #services: VmServices;

  constructor(world: World, options: FleetOptions = {}) {
    this.#world = world;
    this.machinesMax = options.machinesMax ?? 16;
    this.events = new EventRing(world.wallMs);
    this.snapshots = new StoreMount({
      world,
      openHost: () => this.openHost(),
      adopt: (spec, make) => this.adopt(spec, make),
    });
    this.migrations = new Migrations({
      world,
      openHost: () => this.openHost(),
      reserve: (name) => this.reserve(name),
    });
    this.#services = {
      world,
      events: this.events,
      openParts: (spec) => openParts(spec, world, () => this.openHost()),
      others: (vm) => this.vms.filter((one) => one !== vm),
      lifecycle: () => this.lifecycle,
    };
  }

  /** The host of all machines; null until the first one was made or `openHost` was called. */
  get host(): Host | null {
    return this.#host;
  }

  /** The host, made on first use. */
  openHost(): Promise<Host> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<Host> {
    try {
      // one more than there may be: what is made anew is made beside the old one
      this.#host = await this.#world.createHost({ machinesMax: this.machinesMax + 1 });
      this.#lifecycle = new VmLifecycleManager(this.#host, { run: (one) => this.#run(one) });
      return this.#host;
    } catch (error) {
      this.#opening = null;
      throw error;
    }
  }

  /** The validated door to the lives of the machines. Only once there is a host. */
  get lifecycle(): VmLifecycleManager {
    if (this.#lifecycle !== null) return this.#lifecycle;
    throw new VmError("bad-state", "there is no machine yet; `vm create` makes one");
  }

  /** A machine of the shell runs by its Vm; one that is not in the shell yet waits for that. */
  async #run(machine: Machine): ReturnType<Machine["run"]> {
    const vm = this.vms.find((one) => one.machine === machine);
    return vm === undefined ? { kind: "stopped" } : vm.run();
  }

  /** The machines, in the order in which they were made. */
  get vms(): readonly Vm[] {
    return [...this.#vms.values()];
  }

  /**
   * Makes a machine. Throws "bad-argument" for a bad or taken name, "bad-config", "busy" for a disk
   * that another machine writes to, "limit".
   */
  async create(spec: VmSpec): Promise<Vm> {
    return this.#enter(spec, async () => {
      const parts = await this.#services.openParts(spec);
      const make = () => {
        checkShareable(parts.disks, this.vms);
        return parts.host.createMachine(parts.config);
      };
      return { ...parts, make };
    });
  }

  /**
   * Takes in a machine that `make` makes otherwise: forked, or restored. Throws "bad-argument" for
   * a bad or taken name, "limit", before anything is made.
   */
  async adopt(spec: VmSpec, make: () => Promise<AdoptedMachine>): Promise<Vm> {
    return this.#enter(spec, async () => {
      const { machine, diskSpecs, disks: backends } = await make();
      // a file may have gone since
      const part = (spec: DiskSpec) =>
        diskPart(spec, this.#world).catch(() => ({ spec, id: spec.path }));
      const disks = await Promise.all(diskSpecs.map(part));
      return { disks, backends, make: () => machine };
    });
  }

  /** From the name's check to the machine's entry nothing comes between that is of that name. */
  async #enter(spec: VmSpec, prepare: () => Promise<Entry>): Promise<Vm> {
    const { name } = spec;
    this.#checkName(name);
    const seat = this.#seat(name, null);
    try {
      const { disks, backends, make } = await prepare();
      try {
        return seat.enter(spec, { machine: make(), disks, backends });
      } catch (error) {
        await closeAll(backends);
        throw error;
      }
    } finally {
      seat.release();
    }
  }

  /**
   * Keeps a name and room for a machine that is to come from elsewhere; one of that name that has
   * left gives way to it. Throws "bad-argument" for a bad or taken name, "limit".
   */
  reserve(name: string): Seat {
    const before = this.#vms.get(name) ?? null;
    const hasLeft = before?.state === "terminated" && before.machine.reason === "migrated";
    if (!hasLeft || this.#reserved.has(name)) this.#checkName(name);
    return this.#seat(name, hasLeft ? before : null);
  }

  #seat(name: string, before: Vm | null): Seat {
    const others = this.#vms.size + this.#reserved.size - (before === null ? 0 : 1);
    if (others >= this.machinesMax) {
      const text = `there are ${this.machinesMax} machines: accepted are no more`;
      throw new VmError("limit", `${text}; \`vm destroy\` makes room`);
    }
    this.#reserved.add(name);
    const release = () => {
      this.#reserved.delete(name);
    };
    return {
      checkDisks: (disks) =>
        checkShareable(
          disks,
          this.vms.filter((vm) => vm !== before),
        ),
      enter: (spec, made) => {
        const vm = new Vm(spec, this.#services, made);
        if (before !== null) void before.destroy().catch(() => {});
        this.#vms.set(name, vm);
        this.events.add({ ticks: null, vm: name, kind: "created", detail: "" });
        release();
        return vm;
      },
      release,
    };
  }

  #checkName(name: string): void {
    if (!NAME.test(name)) {
      const accepted = "accepted are 1 to 64 letters, digits, dots, dashes and underscores";
      throw new VmError("bad-argument", `name "${name}": ${accepted}, a letter or digit first`);
    }
    if (this.#vms.has(name) || this.#reserved.has(name)) {
      const hint = `\`vm destroy ${name}\` makes it free`;
      throw new VmError("bad-argument", `name "${name}": a machine is called so; ${hint}`);
    }
  }

  /** Throws "bad-argument" or "limit" unless machines of these names may be made. */
  checkRoom(names: readonly string[]): void {
    for (const name of names) this.#checkName(name);
    const twin = names.find((name, index) => names.indexOf(name) !== index);
    if (twin !== undefined) throw new VmError("bad-argument", `name "${twin}" is given twice`);
    const room = this.machinesMax - this.#vms.size - this.#reserved.size;
    if (names.length <= room) return;
    const text = `${names.length} machines more: accepted are ${Math.max(0, room)}`;
    throw new VmError("limit", `${text}, of ${this.machinesMax}; \`vm destroy\` makes room`);
  }

  /** Gives a machine that is not running another name. Throws "bad-argument", "bad-state". */
  async rename(vm: Vm, name: string): Promise<void> {
    this.#checkName(name);
    const old = vm.name;
    this.#reserved.add(name);
    try {
      await vm.rename(name);
      const vms = [...this.#vms.values()];
      this.#vms.clear();
      for (const one of vms) this.#vms.set(one.name, one);
    } finally {
      this.#reserved.delete(name);
    }
    this.events.add({ ticks: null, vm: name, kind: "changed", detail: `its name was ${old}` });
  }

  /** Throws VmError "not-found" naming those that exist. */
  get(name: string): Vm {
    const vm = this.#vms.get(name);
    if (vm !== undefined) return vm;
    const accepted = thereAre([...this.#vms.keys()], "there is none; `vm create` makes one");
    throw new VmError("not-found", `machine "${name}": ${accepted}`);
  }

  /**
   * Ends a machine at once and forgets it. Throws "not-found"; "io" when what it leaves behind (a
   * recording, a disk) could not be written whole.
   */
  async remove(name: string): Promise<void> {
    const vm = this.get(name);
    this.#vms.delete(name);
    try {
      await vm.destroy();
    } finally {
      await this.#lifecycle?.forget(name);
      this.events.add({ ticks: null, vm: name, kind: "removed", detail: "" });
    }
  }

  /** Ends every machine. Throws what the first one threw, once all are ended. */
  async dispose(): Promise<void> {
    await this.migrations.close();
    const ends = await Promise.allSettled(this.vms.map(({ name }) => this.remove(name)));
    const [closed] = await Promise.allSettled([this.snapshots.close()]);
    const host = this.#opening === null ? null : await this.#opening.catch(() => null);
    host?.dispose();
    for (const end of [...ends, closed]) if (end.status === "rejected") throw end.reason;
  }
}
