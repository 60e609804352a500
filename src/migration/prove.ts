/**
 * prove: shows that nobody can tell from inside: a copy of a machine moves to and fro between two
 * hosts while it runs, a twin of it stays, and after every move both are the same, bit by bit.
 *
 * Used by the shell, tests and programs.
 * Holds   both begin as the machine is now; the machine itself is only captured. Sessions, links
 *         and journal are those of any migration.
 */
import { VmError } from "../errors.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import type { LinkDoor } from "../platform/link.ts";
import type { MigrateOptions, MigrationSignal } from "./contract.ts";
import { MigrationManager } from "./manager.ts";

/** Most instructions between two comparisons, unless it was told otherwise. */
const STRIDE_MAX = 20_000_000;

/** How it is shown. */
export interface ProveOptions {
  /** Moves; by default 10. */
  readonly points?: number;
  /** Of what is random: when it moves. */
  readonly seed: number;
  /** Most instructions from one comparison to the next. */
  readonly strideMax?: number;
  /** The machine's. */
  readonly host: Host;
  /** The other one. */
  readonly other: Host;
  readonly door: LinkDoor;
  /** Where hosts listen; with any port, or a name for each of the two. */
  readonly addresses: readonly [string, string];
  readonly migrate?: MigrateOptions;
  readonly signal?: MigrationSignal;
  readonly onMove?: (move: ProvenMove) => void;
}

/** A move, and what came of it. */
export interface ProvenMove {
  readonly index: number;
  /** Instructions when it began, when the guest was stopped, and when it was compared. */
  readonly began: number;
  readonly switched: number;
  readonly compared: number;
  readonly digest: string;
  readonly isSame: boolean;
  readonly rounds: number;
  readonly downtimeMs: number;
}

/** What was shown. */
export interface Proof {
  readonly moves: number;
  /** Moves after which the two were not the same. */
  readonly differences: number;
  /** Moves before and after which the guest ran on; else it waited, or had come too far. */
  readonly whileRunning: number;
  /** The guest ended, so that there were fewer moves than asked for. */
  readonly hasEnded: boolean;
}

/** Numbers from 0 to below 1: xorshift32. */
function draws(seed: number): () => number {
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 0x1_0000_0000;
  };
}

/** One of the two hosts. */
interface End {
  readonly manager: MigrationManager;
  readonly address: string;
}

/**
 * Moves a copy of a machine to and fro. Throws "bad-state" when the machine cannot be captured,
 * "aborted", and what a move fails with.
 */
export async function proveMigration(machine: Machine, options: ProveOptions): Promise<Proof> {
  const proving = new Proving(options);
  try {
    await proving.begin(machine);
    return await proving.run();
  } finally {
    await proving.end();
  }
}

class Proving {
  readonly #options: ProveOptions;
  readonly #draw: () => number;
  readonly #ends: End[] = [];
  #twin: Machine | null = null;
  #traveller: Machine | null = null;
  #arrived: Machine | null = null;

  constructor(options: ProveOptions) {
    this.#options = options;
    this.#draw = draws(options.seed);
  }

  /** Both are made of the same capture. */
  async begin(machine: Machine): Promise<void> {
    const { host, other, door, addresses } = this.#options;
    for (const [index, on] of [host, other].entries()) {
      const arrived = (one: Machine) => {
        this.#arrived = one;
      };
      // nobody types: one that waits for input comes to an end
      const arrive = () => ({ consoleInput: "closed" }) as const;
      const manager = await MigrationManager.create({ host: on, door, arrive, arrived });
      const { address } = await manager.listen(addresses[index]);
      this.#ends.push({ manager, address });
    }
    using capture = machine.capture();
    const make = (suffix: string) => {
      const config = { name: `${machine.name}-${suffix}`, consoleInput: "closed" } as const;
      return host.createFrom(capture, config, { identity: "same" });
    };
    this.#twin = await make("twin");
    this.#traveller = await make("traveller");
    for (const one of [this.#twin, this.#traveller]) if (one.state === "paused") one.resume();
  }

  async run(): Promise<Proof> {
    const { points = 10, signal, onMove } = this.#options;
    let [moves, differences, whileRunning] = [0, 0, 0];
    for (; moves < points; moves++) {
      if (signal?.aborted === true) throw new VmError("aborted", "it was given up");
      const move = await this.#move(moves);
      if (move === null) break;
      if (!move.isSame) differences++;
      if (move.began < move.switched && move.switched < move.compared) whileRunning++;
      onMove?.(move);
    }
    return { moves, differences, whileRunning, hasEnded: moves < points };
  }

  /** Null: the guest has ended. */
  async #move(index: number): Promise<ProvenMove | null> {
    const { strideMax = STRIDE_MAX, migrate } = this.#options;
    const [from, to] = [this.#ends[index % 2], this.#ends[(index + 1) % 2]];
    const [twin, leaving] = [this.#twin as Machine, this.#traveller as Machine];
    const began = leaving.instructions;
    const goal = began + 1 + Math.floor(this.#draw() ** 2 * strideMax);
    this.#arrived = null;
    const run = leaving.run({ instructions: goal - began });
    const session = await from.manager.start(leaving, to.address, migrate);
    const result = await session.ended;
    await run;
    const arrived = this.#arrived as Machine | null;
    if (result.kind !== "completed" || arrived === null) {
      if (leaving.state === "terminated") return null;
      throw new VmError("io", `move ${index}: ${"reason" in result ? result.reason : result.kind}`);
    }
    leaving.dispose();
    this.#traveller = arrived;
    const switched = arrived.instructions;
    // a machine that waits for nothing stops before that, and so does its twin
    await arrived.run({ instructions: goal - switched });
    await twin.run({ instructions: goal - twin.instructions });
    const compared = arrived.instructions;
    const digest = twin.stateDigest();
    const isSame = arrived.stateDigest() === digest;
    if (twin.state === "terminated" && isSame) return null;
    const { ram, downtimeMs } = session.progress;
    const rounds = ram.dirtySyncCount;
    const facts = { index, began, switched, compared, digest, isSame, rounds };
    return { ...facts, downtimeMs: downtimeMs ?? 0 };
  }

  async end(): Promise<void> {
    this.#twin?.dispose();
    this.#traveller?.dispose();
    for (const { manager } of this.#ends) await manager.close();
  }
}
