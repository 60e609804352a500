/**
 * lockstep: two machines from the same start, one run straight, one with its budget split and its
 * caches flushed at random; after every stretch their digests must be equal (law 0).
 *
 * Used by the suites of this folder.
 */

import type { Core } from "../../src/core/instance.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { stateDigest } from "../../src/machine/digest.ts";
import { type Batch, buildBatch, cellBytes, roundRobin } from "../differential/batch.ts";
import { CLASS_NAMES } from "../differential/cell.ts";
import { beforeAt } from "../differential/layout.ts";
import { type Ending, loadBatch, runSlots } from "../differential/rivulet.ts";
import type { Sharing } from "../differential/runner.ts";
import { Random } from "../helpers/random.ts";

/** What a machine is, without devices. */
export function digestOf(view: MachineView): string {
  return stateDigest(view, [], { entropyCounter: 0, alarmOf: () => null });
}

const MTIE = 1n << 7n;
/** Ticks of 10 slots from when a sequence begins: about as many as it takes with its traps. */
const TICKS_MAX = 60;

/** Arms the timer of most cells, so that interrupts fall due in the midst of what computes. */
export function armTimers(batch: Batch, random: Random): void {
  for (const cell of batch.cells) {
    const bytes = cellBytes(batch.bytes, cell);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (random.chance(25)) continue;
    view.setBigUint64(beforeAt("mtimecmp"), BigInt(random.below(TICKS_MAX)), true);
    view.setBigUint64(beforeAt("mie"), view.getBigUint64(beforeAt("mie"), true) | MTIE, true);
  }
}

/** At least this many pieces to a stretch. */
export const SPLITS_MIN = 8;

/**
 * Pieces of a budget: many of a few slots, some long ones; at least SPLITS_MIN, if it is enough.
 */
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

/** Classes of sequences, cells of a program, stretches of each: what the suites here run. */
const CELLS = 45;
const STRETCH_SLOTS = 4_000;
const STRETCHES_MAX = 40;

/** What a number of programs came to. */
export interface LockstepTally {
  stretches: number;
  slots: number;
  /** "" when all stayed equal, else the first difference with what makes it again. */
  difference: string;
}

/** Runs `programs` random programs in lockstep, until one differs. */
export function runPrograms(
  cores: readonly [Core, Core],
  seed: number,
  programs: number,
  sharing: Sharing,
): LockstepTally {
  const random = new Random(seed);
  const tally: LockstepTally = { stretches: 0, slots: 0, difference: "" };
  for (let program = 0; program < programs && tally.difference === ""; program++) {
    const batchSeed = random.u32();
    const timed = { ...sharing, isTimed: true };
    const batch = buildBatch(batchSeed, roundRobin(CLASS_NAMES, CELLS), undefined, timed);
    armTimers(batch, random.fork());
    const quantum = random.pick([1, 7, 100, 1_000, 10_000]);
    const options = { quantum, stretchSlots: STRETCH_SLOTS, stretchesMax: STRETCHES_MAX };
    const outcome = runLockstep(cores, batch, random.fork(), { harts: sharing.harts, ...options });
    tally.stretches += outcome.stretches;
    tally.slots += outcome.slots;
    if (outcome.difference === "") continue;
    const what = `batch seed ${batchSeed}, quantum ${quantum}`;
    tally.difference = `program ${program} of seed ${seed}, ${what}: ${outcome.difference}`;
  }
  return tally;
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
