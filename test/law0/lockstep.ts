/**
 * lockstep: two machines from the same start, one run straight, one with its budget split and its
 * caches flushed at random; after every stretch their digests must be equal (law 0).
 *
 * Used by the suites of this folder.
 */

import type { Core } from "../../src/core/instance.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { stateDigest } from "../../src/machine/digest.ts";
import type { Batch } from "../differential/batch.ts";
import { type Ending, loadBatch, runSlots } from "../differential/rivulet.ts";
import type { Random } from "../helpers/random.ts";

/** What a machine is, without devices. */
export function digestOf(view: MachineView): string {
  return stateDigest(view, [], { entropyCounter: 0, alarmOf: () => null });
}

/** At least this many pieces to a stretch. */
export const SPLITS_MIN = 8;

/** Pieces of a budget: many of a few slots, some long ones; at least SPLITS_MIN, if it is enough. */
export function splitBudget(random: Random, slots: number): number[] {
  const pieces: number[] = [];
  const longest = Math.max(1, Math.floor(slots / SPLITS_MIN));
  for (let left = slots; left > 0; ) {
    const wish = random.chance(60) ? random.between(1, 40) : random.between(1, longest);
    // however long the stretch, it ends after a bounded number of pieces
    const piece = pieces.length > 2000 ? left : Math.min(wish, left, longest);
    pieces.push(piece);
    left -= piece;
  }
  return pieces;
}

/** Runs a stretch in pieces, with translations or decoded code dropped before a third of them. */
export function runSplit(machine: MachineView, random: Random, slots: number): Ending {
  const end = machine.slots + slots;
  for (const piece of splitBudget(random, slots)) {
    if (random.chance(33)) machine.flush(random.between(1, 3));
    const ending = runSlots(machine, piece);
    if (ending !== "budget") return ending;
  }
  if (machine.slots !== end) throw new Error(`${machine.slots} slots used, ${end} were due`);
  return "budget";
}

/** One program of a lockstep. */
export interface LockstepOptions {
  readonly harts: number;
  readonly quantum: number;
  readonly stretchSlots: number;
  readonly stretchesMax: number;
}

/** How far a lockstep came; `difference` is "" when the machines stayed equal. */
export interface Outcome {
  readonly stretches: number;
  readonly slots: number;
  readonly ending: Ending;
  readonly difference: string;
}

/** Runs a batch on two cores until its end, or for `stretchesMax` stretches. */
export function runLockstep(
  cores: readonly [Core, Core],
  batch: Batch,
  random: Random,
  options: LockstepOptions,
): Outcome {
  const { harts, quantum, stretchSlots, stretchesMax } = options;
  const [straight, split] = cores.map((core) => loadBatch(core, batch, harts, quantum));
  let ending: Ending = "budget";
  let stretches = 0;
  let difference = "";
  while (ending === "budget" && difference === "" && stretches < stretchesMax) {
    stretches++;
    ending = runSlots(straight, stretchSlots);
    const other = runSplit(split, random, stretchSlots);
    const where = `stretch ${stretches}, slots ${straight.slots}`;
    if (other !== ending) difference = `${where}: ${ending} and, split, ${other}`;
    else if (digestOf(straight) !== digestOf(split)) difference = `${where}: digests differ`;
  }
  const { slots } = straight;
  straight.dispose();
  split.dispose();
  return { stretches, slots, ending, difference };
}
