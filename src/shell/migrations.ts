/**
 * migrations: the live migrations of a shell: machines of the fleet that leave, and those that
 * arrive and become machines of the fleet.
 *
 * Owns    the migration manager, made on first use, and the places where it listens.
 * Used by fleet.ts, which has one; commands/migrate*.ts, commands/receive.ts.
 * Holds   a machine that is about to arrive has its name and its room in the fleet before the other
 *         end is told yes.
 */
import {
  type Arrival,
  type ArrivalParts,
  type BlockBackend,
  type Host,
  type LinkDoor,
  type LinkListener,
  type Machine,
  MigrationManager,
  type MigrationSession,
  type Recovered,
  VmError,
} from "../index.ts";
import type { DiskSpec } from "./command.ts";
import type { Seat } from "./fleet.ts";
import type { Vm } from "./vm.ts";
import type { DiskPart, VmSpec } from "./vm-parts.ts";
import { closeAll, diskPart } from "./vm-parts.ts";
import { thereAre } from "./wording.ts";
import type { LinkChoices, World } from "./world.ts";

/** What migrations need of their fleet. */
export interface MigrationsOwner {
  readonly world: World;
  openHost(): Promise<Host>;
  /** Keeps a name and room; a machine of that name that has left gives way. */
  reserve(name: string): Seat;
}

/** How machines are taken in. */
export interface ReceiveWish {
  /** By slot: what a shared disk is here, and where a carried one goes. */
  readonly disks: readonly DiskSpec[];
  /** Folder in which a carried disk without a file of its own gets one; null: kept in memory. */
  readonly folder: string | null;
  /** Throws to refuse. */
  readonly check?: (arrival: Arrival) => void;
  /** One that was not refused does not come after all. */
  readonly onDiscarded?: () => void;
  /** It is here, and in the fleet; nobody runs it yet. */
  readonly onArrived: (vm: Vm, session: MigrationSession) => void;
}

/** A disk of a machine that arrives, opened. */
interface OpenedDisk {
  readonly part: DiskPart;
  readonly backend: BlockBackend;
  /** It was made for the arrival. */
  readonly isNew: boolean;
}

/** The migrations of a fleet. */
export class Migrations {
  readonly #owner: MigrationsOwner;
  #opening: Promise<MigrationManager> | null = null;
  #manager: MigrationManager | null = null;
  /** Absolute path of the state directory; null: decisions are kept in memory. */
  #state: string | null = null;
  #links: LinkDoor | null = null;
  #listeners: LinkListener[] = [];
  #wish: ReceiveWish | null = null;
  /** What is kept for machines under way, by session. */
  readonly #seats = new Map<string, (machine: Machine, session: MigrationSession) => void>();

  constructor(owner: MigrationsOwner) {
    this.#owner = owner;
  }

  /** The manager, once something has opened it. */
  get manager(): MigrationManager | null {
    return this.#manager;
  }

  get state(): string | null {
    return this.#state;
  }

  /** Where machines arrive. */
  get addresses(): readonly string[] {
    return this.#listeners.map(({ address }) => address);
  }

  /**
   * The manager, made on first use. `state`: an absolute path; what is decided is kept there.
   * Throws "busy" when another process has it, or when this shell keeps its decisions elsewhere.
   */
  async open(state: string | null = null, links: LinkChoices | null = null) {
    if (links !== null || this.#links === null) {
      this.#links = this.#owner.world.openLinks(links ?? {});
    }
    if (this.#opening !== null && state !== null && state !== this.#state) {
      const now = this.#state ?? "in memory";
      const how = "the first migrate command of a shell names the directory";
      throw new VmError("busy", `state ${state}: decisions are kept ${now} already; ${how}`);
    }
    this.#opening ??= this.#make(state);
    return this.#opening;
  }

  async #make(path: string | null): Promise<MigrationManager> {
    const { world, openHost } = this.#owner;
    try {
      this.#state = path;
      const host = await openHost();
      // the certificates are those that the latest command has given
      const links = (): LinkDoor => this.#links as LinkDoor;
      this.#manager = await MigrationManager.create({
        host,
        door: {
          dial: (address) => links().dial(address),
          listen: (address, onLink) => links().listen(address, onLink),
        },
        state: path === null ? undefined : await world.openState(path),
        arrive: (arrival) => this.#arrive(arrival),
        arrived: (machine, session) => this.#seats.get(session.id)?.(machine, session),
      });
      return this.#manager;
    } catch (error) {
      this.#opening = null;
      this.#state = null;
      throw error;
    }
  }

  // ---- looking ----

  /** Sessions of this process, the oldest first: those that have ended, then those under way. */
  get sessions(): readonly MigrationSession[] {
    const manager = this.#manager;
    if (manager === null) return [];
    const open = manager.sessions.filter((one) => !manager.history.includes(one));
    return [...manager.history, ...open];
  }

  /** For completion. */
  get names(): string[] {
    return [...new Set(this.sessions.flatMap(({ id, name }) => [name, id.slice(0, 8)]))];
  }

  /**
   * The session that a text names: the latest of a machine, or one by the beginning of its id.
   * Throws "not-found", "bad-argument" for a beginning that several have.
   */
  find(text: string): MigrationSession {
    const all = [...this.sessions].reverse();
    const named = all.find(({ name }) => name === text);
    if (named !== undefined) return named;
    const found = /^[0-9a-f]{4,32}$/.test(text) ? all.filter(({ id }) => id.startsWith(text)) : [];
    if (found.length === 1) return found[0];
    if (found.length > 1) {
      const ids = found.map(({ id }) => id).join(", ");
      throw new VmError("bad-argument", `migration "${text}": ${ids} begin so`);
    }
    const names = [...new Set(all.map(({ name }) => name))];
    const accepted = thereAre(names, "there is none; `migrate start` begins one");
    throw new VmError("not-found", `migration "${text}": ${accepted}`);
  }

  /** What a process before this one has left. Throws "not-found". */
  recovered(text: string): Recovered {
    const all = this.#manager?.recovered ?? [];
    const found = all.find(({ id, machine }) => machine === text || id.startsWith(text));
    if (found !== undefined) return found;
    const accepted = thereAre(
      all.map(({ machine }) => machine),
      "nothing is undecided",
    );
    throw new VmError("not-found", `migration "${text}": ${accepted}`);
  }

  // ---- arriving ----

  /** Takes machines in at an address, as `wish` says; the address as others dial it. */
  async receive(address: string, wish: ReceiveWish): Promise<string> {
    const manager = await this.open();
    this.#wish = wish;
    const listener = await manager.listen(address);
    this.#listeners.push(listener);
    return listener.address;
  }

  /** Takes no more in; what is under way comes to its end. How many addresses there were. */
  async stopReceiving(): Promise<number> {
    const listeners = this.#listeners;
    this.#listeners = [];
    this.#wish = null;
    await Promise.all(listeners.map((listener) => listener.close()));
    return listeners.length;
  }

  /** What there is for a machine, or why it is refused. */
  async #arrive(arrival: Arrival): Promise<ArrivalParts> {
    const wish = this.#wish;
    if (wish === null) throw new VmError("bad-state", "no machine is taken in here");
    wish.check?.(arrival);
    const { session, name, shape } = arrival;
    const seat = this.#reserve(name, wish);
    let disks: readonly (OpenedDisk | null)[] = [];
    try {
      disks = await this.#openDisks(arrival, wish);
      seat.checkDisks(partsOf(disks).map(({ part }) => part));
    } catch (error) {
      await closeAll(partsOf(disks).map(({ backend }) => backend));
      await this.#discard(partsOf(disks));
      seat.release();
      wish.onDiscarded?.();
      throw error;
    }
    const opened = partsOf(disks);
    const spec: VmSpec = {
      name,
      memoryBytes: shape.ramBytes,
      harts: shape.harts,
      clock: shape.clock,
      consoleDevice: shape.consoleDevice,
      mmu: shape.mmu,
      noReboot: true,
      disks: opened.map(({ part }) => part.spec),
    };
    this.#seats.set(session, (machine, of) => {
      this.#seats.delete(session);
      const made = {
        disks: opened.map(({ part }) => part),
        backends: opened.map((o) => o.backend),
      };
      wish.onArrived(seat.enter(spec, { ...made, machine }), of);
    });
    return {
      disks: disks.map((one) => one?.backend ?? null),
      consoleInput: "open",
      discarded: () => {
        this.#seats.delete(session);
        seat.release();
        void this.#discard(opened);
        wish.onDiscarded?.();
      },
    };
  }

  #reserve(name: string, wish: ReceiveWish): Seat {
    try {
      return this.#owner.reserve(name);
    } catch (error) {
      wish.onDiscarded?.();
      throw error;
    }
  }

  async #openDisks({ shape, name, disks }: Arrival, wish: ReceiveWish) {
    const { world } = this.#owner;
    const opened: (OpenedDisk | null)[] = [];
    try {
      for (const [slot, { bytes }] of shape.disks.entries()) {
        const given = wish.disks[slot];
        const isCarried = disks[slot].way === "carried";
        if (given === undefined && (!isCarried || wish.folder === null)) {
          opened.push(null); // refused by the session, or kept in memory
          continue;
        }
        const isThere = given !== undefined && (await isFile(given.path, world));
        if (isCarried && isThere) {
          const text = `disk ${slot} goes to ${given.path}, which is there`;
          throw new VmError("bad-config", `${text}: give it a new file, or share it`);
        }
        const path = given?.path ?? (await freePath(`${wish.folder}/${name}-disk${slot}`, world));
        if (isCarried) await makeDisk(path, bytes, world);
        const spec: DiskSpec = given ?? { path, mode: "rw" };
        try {
          const backend = await world.openDisk(path, isCarried ? "rw" : spec.mode);
          opened.push({ part: await diskPart(spec, world), backend, isNew: isCarried });
        } catch (error) {
          if (isCarried) await world.disks.remove(path);
          throw error;
        }
      }
      return opened;
    } catch (error) {
      const all = partsOf(opened);
      await closeAll(all.map(({ backend }) => backend));
      await this.#discard(all);
      throw error;
    }
  }

  /** Files that were made for a machine that does not come. */
  async #discard(disks: readonly OpenedDisk[]): Promise<void> {
    const { world } = this.#owner;
    for (const { isNew, part } of disks) {
      if (isNew) await world.disks.remove(part.spec.path).catch(() => {});
    }
  }

  /** For fleet.ts: everything is over. */
  async close(): Promise<void> {
    const manager = await this.#opening?.catch(() => null);
    this.#listeners = [];
    await manager?.close();
  }
}

function partsOf(disks: readonly (OpenedDisk | null)[]): OpenedDisk[] {
  return disks.filter((one) => one !== null);
}

async function isFile(path: string, world: World): Promise<boolean> {
  return world.disks.facts(path).then(
    () => true,
    () => false,
  );
}

/** STEM.img, or STEM.2.img when that is there. */
async function freePath(stem: string, world: World): Promise<string> {
  for (let number = 1; ; number++) {
    const path = number === 1 ? `${stem}.img` : `${stem}.${number}.img`;
    if (!(await isFile(path, world))) return path;
  }
}

async function makeDisk(path: string, bytes: number, world: World): Promise<void> {
  const signal = { aborted: false, addEventListener: () => {}, removeEventListener: () => {} };
  const options = { isPreallocated: false, isReplacing: false, signal, onPercent: () => {} };
  await world.disks.create(path, bytes, options);
}
