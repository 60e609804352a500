/**
 * store-mount: the store of snapshots of a shell, and what its commands do with it beyond the
 * manager: machines of the fleet made of snapshots.
 *
 * Owns    the store that is mounted, and its manager.
 * Used by fleet.ts, which has one; commands/snapshot*.ts.
 * Holds   one store at a time. It is opened when a command names it and closed with the fleet, so
 *         that another process may have it.
 */
import { z } from "zod";
import {
  type BlockBackend,
  type Host,
  type ImportOptions,
  type LongOptions,
  type RestoreOptions,
  type Snapshot,
  SnapshotManager,
  type SnapshotStorePort,
  VmError,
} from "../index.ts";
import type { DiskSpec } from "./command.ts";
import type { AdoptedMachine } from "./fleet.ts";
import type { Vm } from "./vm.ts";
import { bootFiles, closeAll, type VmSpec } from "./vm-parts.ts";
import type { World } from "./world.ts";

/** What a mount needs of its fleet. */
export interface MountOwner {
  readonly world: World;
  openHost(): Promise<Host>;
  adopt(spec: VmSpec, make: () => Promise<AdoptedMachine>): Promise<Vm>;
}

interface Mounted {
  readonly path: string;
  readonly store: SnapshotStorePort;
  readonly manager: SnapshotManager;
}

const DiskShape = z.object({ path: z.string(), mode: z.enum(["rw", "ro", "cow"]) });

/** What the shell writes into a snapshot, to make a machine of it again; it may be anybody's. */
const Origin = z.object({
  spec: z.object({
    guest: z.string().optional(),
    kernel: z.string().optional(),
    initrd: z.string().optional(),
    firmware: z.string().optional(),
    append: z.string().optional(),
    seed: z.number().optional(),
    htif: z.boolean().optional(),
    noReboot: z.boolean().optional(),
  }),
  /** By slot. */
  disks: z.array(DiskShape),
});

/** What a snapshot of a machine of the shell says of it. */
export function originOf({ spec, disks }: Vm): z.output<typeof Origin> {
  return Origin.parse({ spec, disks: disks.map((disk) => disk.spec) });
}

/** How a machine of the fleet is restored. */
export interface RestoreWish extends Omit<RestoreOptions, "disks" | "config"> {
  /** By slot; those of the snapshot where they are left out. */
  readonly disks?: readonly DiskSpec[];
}

/** The mounted store. */
export class StoreMount {
  readonly #owner: MountOwner;
  #mounted: Mounted | null = null;
  /** Mounts and closings, one behind the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(owner: MountOwner) {
    this.#owner = owner;
  }

  get isMounted(): boolean {
    return this.#mounted !== null;
  }

  /** For completion: names, and those with their machine's in front. */
  get names(): string[] {
    const all = this.#mounted?.manager.list() ?? [];
    return [...new Set(all.flatMap(({ machine, name }) => [name, `${machine}/${name}`]))];
  }

  /** Absolute path of the store that is mounted. */
  get path(): string | null {
    return this.#mounted?.path ?? null;
  }

  /** How a snapshot is called, for one of `machine`: with its own machine where that is another. */
  nameOf(id: string, machine: string): string | null {
    const found = this.#mounted?.manager.list().find((one) => one.id === id);
    if (found === undefined) return null;
    return found.machine === machine ? found.name : `${found.machine}/${found.name}`;
  }

  /** Snapshots that are just being written: they are not kept when the shell ends now. */
  get unwritten(): string[] {
    const running = this.#mounted?.manager.jobs.filter((job) => {
      return job.operation === "create" && job.state === "running";
    });
    return (running ?? []).map(({ machine, snapshot }) => `${machine}/${snapshot}`);
  }

  /**
   * Mounts the store in a folder, in place of another. Throws "busy" when another process has it,
   * when machines here still read from the one before, or when snapshots of that are only in
   * memory; "not-found" unless it may be made; "io", "bad-file".
   */
  mount(path: string, create = true): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#mounted?.path === path) return;
      this.#checkUnused(path);
      await this.#unmount();
      const store = await this.#owner.world.openStore(path, { create });
      const manager = new SnapshotManager(store, { host: await this.#owner.openHost() });
      this.#mounted = { path, store, manager };
    });
  }

  /** Throws "busy" while machines need the store that is mounted, or snapshots would be lost. */
  #checkUnused(path: string): void {
    if (this.#mounted === null) return;
    const { manager } = this.#mounted;
    const text = `${path} cannot take the place of ${this.path}`;
    const users = manager.diskUsers.join(", ");
    if (users !== "") {
      throw new VmError(
        "busy",
        `${text}: ${users} read disks there; \`vm destroy\` ends a machine`,
      );
    }
    const volatile = manager.list().filter(({ isInMemory }) => isInMemory);
    if (volatile.length === 0) return;
    const names = volatile.map(({ machine, name }) => `${machine}/${name}`).join(", ");
    const how = "`snapshot verify` writes it, `snapshot delete` gives it up";
    throw new VmError("busy", `${text}: only in memory there: ${names}; ${how}`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #unmount(): Promise<void> {
    const mounted = this.#mounted;
    if (mounted === null) return;
    await mounted.manager.close();
    this.#mounted = null;
    await mounted.store.close();
  }

  /**
   * The manager of the store at `path`, which is mounted first, or of the one that is mounted.
   * Throws as `mount` does, and "not-found" where there is none.
   */
  async manager(path?: string, create = false): Promise<SnapshotManager> {
    if (path !== undefined) await this.mount(path, create);
    await this.#turn;
    if (this.#mounted !== null) return this.#mounted.manager;
    const how = "`snapshot mount-store DIR` mounts one";
    throw new VmError("not-found", `no store of snapshots is mounted; ${how}`);
  }

  /** Makes a machine of the fleet of a snapshot. Throws as `manager.restore`, `fleet.adopt`. */
  async restore(
    manager: SnapshotManager,
    snapshot: Snapshot,
    wish: RestoreWish,
  ): Promise<{ readonly vm: Vm; readonly pages: number }> {
    const { world } = this.#owner;
    const { shape, wholeDisks, origin: given } = await manager.facts(snapshot.id);
    const [known, wanted] = [shape.disks.length, wish.disks?.length ?? 0];
    if (wanted > known) {
      const name = `${snapshot.machine}/${snapshot.name}`;
      throw new VmError("bad-argument", `${wanted} disks are given: ${name} has ${known}`);
    }
    const origin = Origin.safeParse(given).data ?? { spec: {}, disks: [] };
    // files that are gone are missed at the next boot only
    const boot = await bootFiles(origin.spec, world).catch(() => ({}));
    const { disk: _, ...files } = boot as Awaited<ReturnType<typeof bootFiles>>;
    const specs = shape.disks.map((_disk, slot): DiskSpec | null => {
      const known = wholeDisks[slot] ? null : (origin.disks[slot] ?? null);
      return wish.disks?.[slot] ?? known;
    });
    const spec: VmSpec = {
      ...origin.spec,
      name: wish.name ?? snapshot.machine,
      memoryBytes: shape.ramBytes,
      harts: shape.harts,
      clock: shape.clock,
      consoleDevice: shape.consoleDevice,
      mmu: shape.mmu,
      disks: specs.filter((one) => one !== null),
    };
    let pages = 0;
    const vm = await this.#owner.adopt(spec, async () => {
      const backends: (BlockBackend | null)[] = [];
      const opened = () => backends.filter((one) => one !== null);
      try {
        for (const [slot, disk] of specs.entries()) {
          // what is written over a file that the snapshot does not hold stays in memory
          const mode = wholeDisks[slot] ? disk?.mode : "ro";
          backends.push(disk === null ? null : await world.openDisk(disk.path, mode ?? "rw"));
        }
        const { name } = spec;
        const { htif, noReboot } = origin.spec;
        const config = { ...files, noReboot, htif, consoleInput: "open" } as const;
        const made = await manager.restore(snapshot.id, { ...wish, name, disks: backends, config });
        pages = made.pages;
        return { machine: made.machine, diskSpecs: spec.disks, disks: opened() };
      } catch (error) {
        await closeAll(opened());
        throw error;
      }
    });
    return { vm, pages };
  }

  /** Writes an export, whole or not at all. Throws "bad-argument" for a file that is there. */
  async exportTo(
    manager: SnapshotManager,
    id: string,
    file: string,
    options: LongOptions & { readonly isReplacing: boolean },
  ): Promise<number> {
    const { world } = this.#owner;
    const isThere = await world.disks.facts(file).then(
      () => true,
      () => false,
    );
    if (isThere && !options.isReplacing) {
      throw new VmError("bad-argument", `${file} is there; --force takes its place`);
    }
    const sink = await world.openSink(file);
    let isWhole = false;
    try {
      const bytes = await manager.exportTo(id, sink, options);
      isWhole = true;
      return bytes;
    } finally {
      await sink.close(isWhole);
    }
  }

  /** Takes a snapshot from an export. */
  async importFrom(
    manager: SnapshotManager,
    file: string,
    options: ImportOptions,
  ): Promise<Snapshot> {
    const source = await this.#owner.world.openSource(file);
    try {
      return await manager.importFrom(source, options);
    } finally {
      await source.close();
    }
  }

  /** For fleet.ts: everything is over. */
  async close(): Promise<void> {
    await this.#inTurn(() => this.#unmount());
  }
}
