/**
 * planted: hunts a planted bug with random programs: the batches that the sound core passes must
 * tell the mutant from QEMU.
 *
 * Used by planted.test.ts and planted.deep.ts.
 */
import { Random } from "../helpers/random.ts";
import { type Batch, buildBatch, compareBatch, roundRobin } from "./batch.ts";
import { TURNS } from "./campaign.ts";
import { buildMutant, type Mutation } from "./mutations.ts";
import { runInQemu } from "./qemu.ts";
import { createCore, loadBatch, ramOf, runSlots } from "./rivulet.ts";

const HUNT_CELLS = 440;
/** A sound core needs a quarter of this for a batch; a mutant may never come to the end. */
const SLOTS_MAX = 2_000_000;

/** A batch with QEMU's answer. */
interface Answered {
  readonly batch: Batch;
  readonly there: Uint8Array;
}

/** How a bug was found. */
export interface Catch {
  /** Batches run until it showed, from 1; 0 when it never did. */
  readonly batches: number;
  /** How many cells differ in that batch, or how the run went wrong. */
  readonly evidence: string;
}

/** The first batches are kept for the next mutant: each takes 60 MB. */
const KEPT_MAX = 4;

/** The batches of a hunt with their answers. */
export class Hunt {
  readonly #random: Random;
  readonly #seeds: number[] = [];
  readonly #kept: Answered[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  #batch(index: number): Answered {
    if (index < this.#kept.length) return this.#kept[index];
    while (this.#seeds.length <= index) this.#seeds.push(this.#random.u32());
    const batch = buildBatch(this.#seeds[index], roundRobin(TURNS, HUNT_CELLS));
    const answered = { batch, there: runInQemu(batch) };
    if (this.#kept.length < KEPT_MAX) this.#kept.push(answered);
    return answered;
  }

  /** Runs a core against up to `batchesMax` batches, until one shows a difference. */
  async run(wasm: Uint8Array, batchesMax: number): Promise<Catch> {
    for (let index = 0; index < batchesMax; index++) {
      const { batch, there } = this.#batch(index);
      const machine = loadBatch(await createCore(wasm), batch);
      let ending: string;
      try {
        ending = runSlots(machine, SLOTS_MAX);
      } catch (error) {
        ending = String(error);
      }
      if (ending !== "finished") return { batches: index + 1, evidence: `ended with ${ending}` };
      const differing = compareBatch(batch, ramOf(machine, batch), there);
      if (differing.length > 0) {
        return { batches: index + 1, evidence: `${differing.length} cells differ` };
      }
    }
    return { batches: 0, evidence: `not found in ${batchesMax} batches` };
  }

  /** Builds the mutant and hunts it. */
  async hunt(mutation: Mutation, batchesMax: number): Promise<Catch> {
    return this.run(buildMutant(mutation), batchesMax);
  }
}
