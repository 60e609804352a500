/**
 * checkpoint: a machine as it was at one moment, kept somewhere, and the ways back to it.
 *
 * Owns    a kept state, until `release`.
 * Used by manager.ts, which makes them, and by callers.
 * Holds   going back changes nothing of the checkpoint: it can be done again.
 */
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import type { BackOptions, KeptState, MakeOptions } from "./contract.ts";

/** What is known of a checkpoint. Plain data. */
export interface CheckpointFacts {
  /** Unique among the checkpoints of its machine. */
  readonly name: string;
  /** Name of the machine that it is of. */
  readonly machine: string;
  /** Where it is kept: "frames", "memory", a folder. */
  readonly where: string;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  /** Machine time in ticks of 100 ns. */
  readonly ticks: number;
  readonly instructions: number;
  /** How long the machine stood still for it, in host milliseconds. */
  readonly pauseMs: number;
}

/** Into what a checkpoint is restored. */
export type RestoreTarget =
  | ({ readonly into: Machine } & BackOptions)
  | ({ readonly into?: undefined } & MakeOptions);

/** What came of a restoration. */
export class VmRestoration {
  readonly checkpoint: VmCheckpoint;
  /** The machine that is what the checkpoint holds. */
  readonly machine: Machine;
  /** It was made for this. */
  readonly isNew: boolean;
  /** How long it took, in host milliseconds. */
  readonly totalMs: number;

  /** For VmLifecycleManager. */
  constructor(checkpoint: VmCheckpoint, machine: Machine, isNew: boolean, totalMs: number) {
    this.checkpoint = checkpoint;
    this.machine = machine;
    this.isNew = isNew;
    this.totalMs = totalMs;
  }
}

/** A machine at one moment. Made by `VmLifecycleManager.checkpoint`. */
export class VmCheckpoint {
  readonly facts: CheckpointFacts;
  readonly #state: KeptState;
  readonly #onRelease: (checkpoint: VmCheckpoint) => void;
  #isReleased = false;

  /** For VmLifecycleManager. */
  constructor(
    facts: CheckpointFacts,
    state: KeptState,
    onRelease: (checkpoint: VmCheckpoint) => void,
  ) {
    this.facts = facts;
    this.#state = state;
    this.#onRelease = onRelease;
  }

  get name(): string {
    return this.facts.name;
  }

  /** What is held for it now, in bytes; what is shared with others counts. */
  get bytes(): number {
    return this.#isReleased ? 0 : this.#state.bytes;
  }

  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** For VmLifecycleManager. Throws "disposed" once it is released. */
  get state(): KeptState {
    if (!this.#isReleased) return this.#state;
    const { machine, name } = this.facts;
    throw new VmError("disposed", `checkpoint ${name} of ${machine} was released`);
  }

  /** Gives back what is held for it. Once is enough; more does no harm. */
  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#onRelease(this);
    await this.#state.drop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
