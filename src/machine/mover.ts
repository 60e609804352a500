/**
 * mover: what a machine does to go to another host, or to come from one.
 *
 * Owns    the hold of a machine that stands still for its switch-over.
 * Used by machine.ts, which has one; migration/.
 * Holds   a machine that departs runs as before until it is told to stand still; one that is to
 *         arrive never runs before `arrive`. Reasons to be paused come along.
 */
import type { DeviceSection } from "../device/contract.ts";
import { VmError } from "../errors.ts";
import type { MachineShapeFacts } from "./capture.ts";
import type { DeviceSet } from "./devices.ts";
import { type MachineState, refuseState } from "./result.ts";
import type { RunLoop } from "./run-loop.ts";

/** Pauses that end with the host that made them. */
const LOCAL_REASONS: readonly string[] = ["console", "memory"];

/** What another host has to know before it takes the machine. */
export interface MoveFacts {
  readonly shape: MachineShapeFacts;
  /** Name and version of each section that it will be sent. */
  readonly sections: readonly Pick<DeviceSection, "name" | "version">[];
}

/** What a mover needs of its machine. */
export interface MoverOwner {
  readonly name: string;
  readonly loop: RunLoop;
  readonly devices: DeviceSet;
  /** Throws "disposed" when it is. */
  needAlive(): void;
  facts(): MoveFacts;
}

/** Moves one machine. */
export class Mover {
  readonly #owner: MoverOwner;
  #isStill = false;

  constructor(owner: MoverOwner) {
    this.#owner = owner;
  }

  /** Shape and sections, as they are now. */
  facts(): MoveFacts {
    this.#owner.needAlive();
    return this.#owner.facts();
  }

  /**
   * True when somebody has paused the machine: whoever gets it pauses it, too. What only this host
   * makes it wait for (a slow reader of its console, frames) does not come along.
   */
  get isPaused(): boolean {
    const reason = this.#owner.loop.pauseReason;
    return reason !== null && !LOCAL_REASONS.includes(reason);
  }

  /** Goes to "migration-source"; what runs goes on. Throws "bad-state". */
  depart(reason = "migration"): void {
    this.#owner.needAlive();
    this.#owner.loop.go("migration-source", reason);
  }

  /** It does not go: running or paused, whichever it would be. Throws "bad-state". */
  remain(reason: string): void {
    this.#owner.needAlive();
    this.goOn();
    this.#owner.loop.remain(reason);
  }

  /**
   * Machine time stands still until `goOn`, and no device waits for the host any more. Throws
   * "disposed", "bad-state" when the machine ended meanwhile.
   */
  async standStill(): Promise<void> {
    const { loop, devices, name } = this.#owner;
    this.#owner.needAlive();
    if (this.#isStill) throw new VmError("busy", `${name} stands still already`);
    this.#isStill = true;
    loop.hold();
    await devices.hub.devicesReleased();
    this.#owner.needAlive();
    if (loop.state === "migration-source") return;
    this.goOn();
    throw refuseState(name, loop.state, "standing still");
  }

  /** Ends that. Once is enough; more does no harm. */
  goOn(): void {
    if (!this.#isStill) return;
    this.#isStill = false;
    this.#owner.loop.letGo();
  }

  /** Goes to "migration-target": its memory comes from elsewhere. Throws "bad-state". */
  expect(reason = "migration"): void {
    this.#owner.needAlive();
    this.#owner.loop.go("migration-target", reason);
  }

  /** All of it is here: it goes on from where it was stopped. Throws "bad-state". */
  arrive(to: Extract<MachineState, "running" | "paused">, reason = "migrated"): void {
    this.#owner.needAlive();
    const { loop, devices } = this.#owner;
    loop.arrive(to, reason);
    devices.retry();
  }
}
