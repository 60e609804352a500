/**
 * fleet: the machines of one shell by name, each with its console log, running behind the prompt.
 *
 * Owns    the host, the machines, the list of what happened.
 * Used by every command; shared by all sessions of a process (prompt, script, control clients).
 */
import { type Host, VmError } from "../index.ts";
import { checkShareable } from "./disk-use.ts";
import { EventRing } from "./event-ring.ts";
import { type MadeMachine, Vm, type VmServices, type VmSpec } from "./vm.ts";
import { thereAre } from "./wording.ts";
import type { World } from "./world.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** How a fleet may be made. */
export interface FleetOptions {
  /** Machines at a time. */
  readonly machinesMax?: number;
}

/** The machines of a process. */
export class Fleet {
  readonly events: EventRing;
  readonly #world: World;
  /** Machines at a time. */
  readonly machinesMax: number;
  readonly #vms = new Map<string, Vm>();
  /** Names that are being made. */
  readonly #reserved = new Set<string>();
  #opening: Promise<Host> | null = null;
  #host: Host | null = null;

  constructor(world: World, options: FleetOptions = {}) {
    this.#world = world;
    this.machinesMax = options.machinesMax ?? 16;
    this.events = new EventRing(world.wallMs);
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
      this.#host = await this.#world.createHost({ machinesMax: this.machinesMax });
      return this.#host;
    } catch (error) {
      this.#opening = null;
      throw error;
    }
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
    return this.#enter(spec.name, async (services) => {
      for (const disk of spec.disks) await checkShareable(disk, this.vms, this.#world);
      return Vm.make(spec, services);
    });
  }

  /**
   * Takes in a machine that `make` makes otherwise: forked, or restored. Throws "bad-argument" for a
   * bad or taken name, before anything is made.
   */
  async adopt(spec: VmSpec, make: () => Promise<MadeMachine>): Promise<Vm> {
    return this.#enter(spec.name, async (services) => Vm.adopt(spec, services, await make()));
  }

  async #enter(name: string, make: (services: VmServices) => Promise<Vm>): Promise<Vm> {
    if (!NAME.test(name)) {
      const accepted = "accepted are 1 to 64 letters, digits, dots, dashes and underscores";
      throw new VmError("bad-argument", `name "${name}": ${accepted}, a letter or digit first`);
    }
    if (this.#vms.has(name) || this.#reserved.has(name)) {
      const hint = `\`vm destroy ${name}\` makes it free`;
      throw new VmError("bad-argument", `name "${name}": a machine is called so; ${hint}`);
    }
    this.#reserved.add(name);
    try {
      const vm = await make({
        world: this.#world,
        events: this.events,
        openHost: () => this.openHost(),
      });
      this.#vms.set(name, vm);
      this.events.add({ ticks: null, vm: name, kind: "created", detail: "" });
      return vm;
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** Throws VmError "not-found" naming those that exist. */
  get(name: string): Vm {
    const vm = this.#vms.get(name);
    if (vm !== undefined) return vm;
    const accepted = thereAre([...this.#vms.keys()], "there is none; `vm create` makes one");
    throw new VmError("not-found", `machine "${name}": ${accepted}`);
  }

  /** Ends a machine at once and forgets it. Throws "not-found". */
  async remove(name: string): Promise<void> {
    const vm = this.get(name);
    this.#vms.delete(name);
    await vm.destroy();
    this.events.add({ ticks: null, vm: name, kind: "removed", detail: "" });
  }

  /** Ends every machine. */
  async dispose(): Promise<void> {
    for (const { name } of this.vms) await this.remove(name);
    const host = this.#opening === null ? null : await this.#opening.catch(() => null);
    host?.dispose();
  }
}
