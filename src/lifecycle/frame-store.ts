/**
 * frame-store: keeps states in the arena: a retained root, which shares every page that the machine
 * does not write. Made and taken back in microseconds.
 *
 * Used by manager.ts: what a checkpoint is kept in unless it is told otherwise.
 */
import { VmError } from "../errors.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { MachineConfig } from "../machine/config.ts";
import type { Machine } from "../machine/machine.ts";
import { bootFiles } from "./boot-files.ts";
import type { BackOptions, KeptState, MakeOptions, StateStore } from "./contract.ts";

const FRAME_BYTES = 4096;

/** A capture that stays. */
class KeptCapture implements KeptState {
  readonly #name: string;
  readonly #files: MachineConfig;
  readonly #capture: MachineCapture;

  constructor({ name, config }: Machine, capture: MachineCapture) {
    this.#name = name;
    this.#files = bootFiles(config);
    this.#capture = capture;
  }

  get bytes(): number {
    return this.#capture.isReleased ? 0 : this.#capture.root.frames * FRAME_BYTES;
  }

  get #saved(): MachineCapture {
    if (!this.#capture.isReleased) return this.#capture;
    throw new VmError("disposed", `the kept state of ${this.#name} was released`);
  }

  async awake(machine: Machine, to: "running" | "paused", options: BackOptions): Promise<void> {
    await machine.awake(this.#saved, to, options);
  }

  async revert(machine: Machine, { clock, identity }: BackOptions): Promise<void> {
    await machine.adopt(this.#saved, { clock, identity });
  }

  async make(options: MakeOptions): Promise<Machine> {
    const { clock, identity, host, disks = [], name = this.#name } = options;
    const config = { ...this.#files, consoleInput: "open", name, disks } as const;
    return host.createFrom(this.#saved, config, { clock, identity });
  }

  async drop(): Promise<void> {
    this.#capture.release();
  }
}

/** Keeps states in frames. */
export const frameStore: StateStore = {
  where: "frames",
  isApart: false,
  keep: async (machine) => new KeptCapture(machine, machine.capture()),
};
