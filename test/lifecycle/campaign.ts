/**
 * campaign: random operations on 16 machines in simulation, beside a model of what each may do.
 *
 * Used by random.test.ts, shortly, and random.deep.ts.
 * Holds   after each operation every machine is in the state that the model says, the core's
 *         invariants hold, and at the end no frame is left over.
 */
import * as assert from "uvu/assert";
import {
  canGo,
  MACHINE_STATES,
  type Machine,
  type MachineState,
  type VmCheckpoint,
  VmError,
  VmLifecycleManager,
} from "../../src/node.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import type { Random } from "../helpers/random.ts";
import { brokenInvariants } from "../memory/invariants.ts";
import { endHosts, simHost, turns, wasm, worker } from "./life.ts";

const MACHINES = 16;
const CHECKPOINTS = 12;
const CHECK_EVERY = 64;

/** What an operation may throw: a refusal, never anything else. */
const REFUSALS = [
  "bad-state",
  "bad-config",
  "busy",
  "aborted",
  "vetoed",
  "limit",
  "disposed",
  "bad-argument",
];

/** How often each operation was done and refused. */
export type Tally = Map<string, { done: number; refused: number }>;

/** Every look at the clock takes 5 ms: slices are as short as they get. */
class SlowPlatform extends SimPlatform {
  override monotonicMs(): number {
    this.advance(5);
    return super.monotonicMs();
  }
}

class Campaign {
  readonly manager: VmLifecycleManager;
  readonly random: Random;
  readonly tally: Tally = new Map();
  readonly machines: Machine[] = [];
  readonly checkpoints: VmCheckpoint[] = [];
  /** The state of each machine by its own events. */
  readonly model = new Map<Machine, MachineState>();
  /** Vetoes of the next operation. */
  isVetoing = false;

  constructor(manager: VmLifecycleManager, random: Random) {
    this.manager = manager;
    this.random = random;
    manager.hooks.before(async () => {
      await turns(random.below(3));
      if (this.isVetoing) return { veto: "the campaign" };
    });
  }

  enter(machine: Machine): void {
    this.machines.push(machine);
    this.model.set(machine, machine.state);
    this.manager.manage(machine);
    machine.on("state", ({ from, to }) => {
      assert.is(this.model.get(machine), from, "a change that nobody was told of");
      const isAgain = from === "terminated" && to === "created";
      assert.ok(from === to || isAgain || canGo(from, to), `${from} -> ${to}`);
      this.model.set(machine, to);
    });
  }

  dispose(machine: Machine): void {
    machine.dispose();
    this.machines.splice(this.machines.indexOf(machine), 1);
    this.model.delete(machine);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)];
  }

  readonly operations: Record<string, (machine: Machine) => Promise<unknown> | unknown> = {
    start: (machine) => this.manager.start(machine, { isPaused: this.random.below(4) === 0 }),
    pause: (machine) => this.manager.pause(machine),
    resume: (machine) => this.manager.resume(machine, { isPaused: this.random.below(4) === 0 }),
    suspend: (machine) => this.manager.suspend(machine),
    cancelled: (machine) =>
      this.manager.suspend(machine, { onProgress: () => void machine.jobs.cancel() }),
    reset: (machine) => this.manager.reset(machine),
    terminate: (machine) => this.manager.terminate(machine),
    vetoed: async (machine) => {
      this.isVetoing = true;
      try {
        await this.manager.pause(machine);
      } finally {
        this.isVetoing = false;
      }
    },
    stopRun: (machine) => machine.stop(),
    fork: async (machine) => {
      for (const child of await this.manager.fork(machine)) this.enter(child);
    },
    checkpoint: async (machine) => {
      if (this.checkpoints.length >= CHECKPOINTS) await this.checkpoints.shift()?.release();
      this.checkpoints.push(await this.manager.checkpoint(machine));
    },
    restore: async (machine) => {
      if (this.checkpoints.length === 0) return;
      await this.manager.restore(this.pick(this.checkpoints), { into: machine });
    },
    restoreNew: async () => {
      if (this.checkpoints.length === 0 || this.machines.length === MACHINES) return;
      const checkpoint = this.pick(this.checkpoints);
      const { host } = this.manager;
      const { machine } = await this.manager.restore(checkpoint, { host });
      this.enter(machine);
    },
    make: () => {
      if (this.machines.length < MACHINES) this.enter(worker(this.manager.host));
    },
    dispose: (machine) => {
      if (this.machines.length > 4) this.dispose(machine);
    },
    breathe: () => turns(this.random.below(24)),
  };

  /** One operation, or two that race. */
  async step(): Promise<void> {
    if (this.machines.length === 0) this.enter(worker(this.manager.host));
    const machine = this.pick(this.machines);
    const names = Object.keys(this.operations);
    const count = this.random.below(4) === 0 ? 2 : 1;
    const chosen = Array.from({ length: count }, () => this.pick(names));
    await Promise.all(chosen.map((name) => this.#try(name, machine)));
  }

  async #try(name: string, machine: Machine): Promise<void> {
    const counts = this.tally.get(name) ?? { done: 0, refused: 0 };
    this.tally.set(name, counts);
    try {
      if (machine.isDisposed) return;
      await this.operations[name](machine);
      counts.done++;
    } catch (error) {
      if (!(error instanceof VmError) || !REFUSALS.includes(error.code)) throw error;
      counts.refused++;
    }
  }

  check(): void {
    for (const machine of this.machines) {
      assert.is(machine.state, this.model.get(machine));
      assert.ok(MACHINE_STATES.includes(machine.state));
      const { keptIn, underWay } = this.manager.state(machine);
      assert.is(underWay, null, "a claim that nobody gave back");
      assert.is(keptIn !== null, machine.state === "suspended");
      assert.is(machine.jobs.current, null, "a job that nobody ended");
      if (machine.state === "suspended") assert.is(machine.view.frames, 1);
    }
  }

  /** The walker wants to know of every root: there are none but the machines' then. */
  async checkCore(): Promise<void> {
    for (const checkpoint of this.checkpoints.splice(0)) await checkpoint.release();
    const views = this.machines.map(({ view }) => view);
    if (views.length > 0) assert.equal(brokenInvariants(views[0].core, views), []);
  }
}

/** Does `count` operations; what was done how often. Fails with the operation's number. */
export async function runCampaign(random: Random, count: number): Promise<Tally> {
  const host = await simHost({ machinesMax: MACHINES, platform: new SlowPlatform(wasm) });
  const free = host.stats().framesFree;
  const manager = new VmLifecycleManager(host);
  const campaign = new Campaign(manager, random);
  try {
    for (let step = 0; step < count; step++) {
      try {
        await campaign.step();
        campaign.check();
        if (step % CHECK_EVERY === 0) await campaign.checkCore();
      } catch (error) {
        throw new Error(`operation ${step}: ${(error as Error).message}`, { cause: error });
      }
    }
    for (const machine of [...campaign.machines]) campaign.dispose(machine);
    await manager.close();
    assert.is(host.stats().framesFree, free, "frames were leaked");
    assert.equal(host.machines, []);
    return campaign.tally;
  } finally {
    endHosts();
  }
}
