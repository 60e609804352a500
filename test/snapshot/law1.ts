/**
 * law1: law 1 through the files of a store: a machine kept at random points goes on as another one
 * that is made of each snapshot does, bit by bit.
 *
 * Used by law1.test.ts and law1.deep.ts.
 */
import * as assert from "uvu/assert";
import {
  type Host,
  type Machine,
  type MachineConfig,
  MemoryDirectory,
  nodePlatform,
  SnapshotManager,
  SnapshotStore,
} from "../../src/node.ts";
import { Random } from "../helpers/random.ts";

/** What a campaign needs. */
export interface Campaign {
  readonly host: Host;
  readonly machine: Machine;
  readonly seed: number;
  readonly points: number;
  /** Instructions between two points, at most. */
  readonly gap: number;
  /** Instructions that both run on. */
  readonly on: number;
  /** What a restored machine is told beside what the snapshot says. */
  readonly config?: MachineConfig;
}

/** How often each was done. */
export type Tally = Record<string, number>;

const LEVELS = 31;

/** Runs the campaign; what it did. */
export async function runCampaign(campaign: Campaign): Promise<Tally> {
  const { host, machine, seed, points, gap, on, config } = campaign;
  const random = new Random(seed);
  const platform = nodePlatform();
  const store = await SnapshotStore.open(new MemoryDirectory(), { platform });
  const manager = new SnapshotManager(store, { host });
  const tally: Tally = {};
  const count = (what: string) => {
    tally[what] = (tally[what] ?? 0) + 1;
  };
  let level = 0;
  for (let point = 0; point < points; point++) {
    await machine.run(random.between(1, gap));
    const what = `SEED=${seed}, point ${point}, ${machine.instructions} instructions`;
    if (level === 0) for (const { id } of [...manager.list()].reverse()) await manager.remove(id);
    const types = ["incremental", "incremental", "differential", "cow"] as const;
    const type = level === 0 ? "full" : random.pick(types);
    const { id, digest } = await manager.create(machine, { type });
    level = (level + 1) % LEVELS;
    count(type);
    if (digest !== null) assert.is(digest, machine.stateDigest(), what);
    if (random.chance(30)) manager.forgetFrames();
    const lazy = random.chance(50);
    const made = await manager.restore(id, { name: "copy", identity: "same", lazy, config });
    count(lazy ? "restored lazily" : "restored");
    made.machine.resume();
    await made.machine.run(on);
    await manager.quiet();
    const end = made.machine.stateDigest();
    made.machine.dispose();
    await machine.run(on);
    assert.is(machine.stateDigest(), end, what);
    if (!random.chance(25)) continue;
    const { isRemapped } = await manager.revert(machine, id);
    count(isRemapped ? "remapped" : "read back");
    await machine.run(on);
    assert.is(machine.stateDigest(), end, `${what}, reverted`);
  }
  await manager.close();
  await store.close();
  return tally;
}
