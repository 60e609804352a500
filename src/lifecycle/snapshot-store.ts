/**
 * snapshot-store: keeps states as full snapshots in a store: they outlive the process, and can be
 * restored on another host as any snapshot can.
 *
 * Used by the shell, once a store is mounted; by callers who want `suspend` to reach the disk.
 * Holds   a snapshot is removed only when no machine reads its pages from it any more.
 */
import type { MachineView } from "../core/machine-view.ts";
import { VmError } from "../errors.ts";
import type { MachineConfig } from "../machine/config.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import { readFacts } from "../snapshot/facts.ts";
import { LazyImage } from "../snapshot/image.ts";
import type { SnapshotManager } from "../snapshot/manager.ts";
import { Pace } from "../snapshot/throttle.ts";
import { bootFiles } from "./boot-files.ts";
import type { BackOptions, KeepOptions, KeptState, MakeOptions, StateStore } from "./contract.ts";

/** Label of the snapshots that are made here. */
export const KEPT_LABEL = "kept-by";

/** A machine in a snapshot. */
class KeptSnapshot implements KeptState {
  readonly bytes: number;
  readonly #id: string;
  readonly #files: MachineConfig;
  readonly #owner: SnapshotStateStore;
  /** Pages that a machine still reads from it. */
  #reading: Promise<boolean> = Promise.resolve(true);

  constructor(id: string, bytes: number, files: MachineConfig, owner: SnapshotStateStore) {
    this.#id = id;
    this.bytes = bytes;
    this.#files = files;
    this.#owner = owner;
  }

  async awake(machine: Machine, to: "running" | "paused", options: BackOptions): Promise<void> {
    const { manager, host } = this.#owner;
    const reader = await manager.store.reader(this.#id);
    const { facts, own: sections } = readFacts(reader.sections);
    const image = new LazyImage(reader, () => void reader.close());
    const { shape, wallMs } = facts;
    const fill = (view: MachineView) => void image.spread(view);
    machine.setPager(image);
    try {
      const { clock, identity } = options;
      await machine.awake({ shape, sections, wallMs, fill }, to, { clock, identity });
    } catch (error) {
      machine.pages.done(image);
      throw error;
    }
    const pace = new Pace(host.platform, {}, `waking ${machine.name}`);
    this.#reading = this.#readRest(machine, image, pace);
  }

  /** From behind, while the machine runs. True when nothing of it is in the snapshot alone. */
  async #readRest(machine: Machine, image: LazyImage, pace: Pace): Promise<boolean> {
    try {
      const isAll = await image.fill(machine, image.pages, pace, () => false);
      if (isAll) machine.pages.done(image);
      return isAll;
    } catch {
      return false; // the machine is paused, and says so, when it wants what cannot be read
    }
  }

  async revert(machine: Machine, { clock, signal, job }: BackOptions): Promise<void> {
    await this.#owner.manager.revert(machine, this.#id, { clock, signal, within: job });
  }

  async make(options: MakeOptions): Promise<Machine> {
    const { manager, host } = this.#owner;
    if (options.host !== host) {
      const accepted = "a manager of that host, with the store, restores it there";
      throw new VmError("unsupported", `a snapshot store belongs to one host; ${accepted}`);
    }
    const { name, disks, clock, identity, signal } = options;
    const long = { name, disks, clock, identity, signal, config: this.#files, lazy: true };
    return (await manager.restore(this.#id, long)).machine;
  }

  async drop(): Promise<void> {
    const { manager } = this.#owner;
    const remove = async () => {
      if (await this.#reading) await manager.remove(this.#id);
    };
    // what cannot be removed is a snapshot like any other: the store's owner sees it
    void remove().catch(() => {});
  }
}

/** Keeps states through a snapshot manager. */
export class SnapshotStateStore implements StateStore {
  readonly isApart = true;
  readonly where: string;
  readonly manager: SnapshotManager;
  readonly host: Host;

  /** `where` is for people: the store's folder. */
  constructor(manager: SnapshotManager, host: Host, where: string) {
    this.manager = manager;
    this.host = host;
    this.where = where;
  }

  async keep(machine: Machine, { name, signal, onProgress, job }: KeepOptions): Promise<KeptState> {
    const isTaken = this.manager.list(machine.name).some((one) => one.name === name);
    const { id } = await this.manager.create(machine, {
      name: isTaken ? undefined : name,
      type: "full",
      labels: { [KEPT_LABEL]: "lifecycle" },
      digest: false,
      signal,
      within: job,
      onProgress: ({ done, total }) => total !== null && total > 0 && onProgress?.(done / total),
    });
    // frames of what is on disk now are not kept for quick reverts
    this.manager.forgetFrames();
    const { bytes } = this.manager.get(id);
    return new KeptSnapshot(id, bytes.onDisk, bootFiles(machine.config), this);
  }
}
