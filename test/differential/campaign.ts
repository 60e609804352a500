/**
 * campaign: batch after batch on both machines, with what was covered and every disagreement.
 *
 * Used by programs.test.ts and campaign.deep.ts.
 */
import type { Core } from "../../src/core/instance.ts";
import { Random } from "../helpers/random.ts";
import {
  type Batch,
  buildBatch,
  cellBytes,
  compareBatch,
  countTraps,
  roundRobin,
} from "./batch.ts";
import { type Cell, CLASS_NAMES, type ClassName } from "./cell.ts";
import { Coverage } from "./coverage.ts";
import { explain } from "./explain.ts";
import { runInQemu } from "./qemu.ts";
import { runHere } from "./rivulet.ts";

/** Cells of a batch: enough that starting QEMU does not count. */
export const BATCH_CELLS = 450;
/** Floating point has the most cells in its table, so it gets three turns for one of the others. */
export const TURNS: readonly ClassName[] = [...CLASS_NAMES, "float", "float"];

/** Where two machines disagree: enough to make the cell again. */
export interface Disagreement {
  readonly batchSeed: number;
  readonly cell: Cell;
  readonly text: string;
}

export class Campaign {
  readonly coverage = new Coverage();
  readonly disagreements: Disagreement[] = [];
  sequences = 0;
  instructions = 0;
  /** Sequences that ran under page tables or took a trap before the one that ended them. */
  pagedOrTrapped = 0;
  readonly #core: Core;
  readonly #seeds: Random;

  constructor(core: Core, seed: number) {
    this.#core = core;
    this.#seeds = new Random(seed);
  }

  /** Draws the seed of a batch that is not run: to go on where another process stopped. */
  skip(): void {
    this.#seeds.u32();
  }

  /** Generates one batch, runs it on both machines, keeps what differs. */
  step(): void {
    const batch = buildBatch(this.#seeds.u32(), roundRobin(TURNS, BATCH_CELLS), this.coverage);
    const here = runHere(this.#core, batch);
    const there = runInQemu(batch);
    for (const cell of batch.cells) this.#count(cell, cellBytes(there, cell));
    for (const cell of compareBatch(batch, here, there)) {
      this.disagreements.push(disagreement(batch, cell, here, there));
    }
  }

  #count(cell: Cell, bytes: Uint8Array): void {
    this.sequences++;
    this.instructions += cell.instructions;
    const traps = countTraps(bytes, this.coverage);
    if (cell.isPaged || traps > 0) this.pagedOrTrapped++;
  }

  /** Text of the first disagreements, or "" when there is none. */
  report(limit = 3): string {
    const texts = this.disagreements.slice(0, limit).map(({ text }) => text);
    const count = this.disagreements.length;
    return count === 0 ? "" : `${count} of ${this.sequences} differ\n${texts.join("\n\n")}`;
  }
}

function disagreement(batch: Batch, cell: Cell, here: Uint8Array, there: Uint8Array): Disagreement {
  const parts = [batch.bytes, here, there].map((ram) => cellBytes(ram, cell));
  const what = `batch seed ${batch.seed}, cell ${batch.cells.indexOf(cell)}`;
  const text = `${what}\n${explain(cell, parts[0], parts[1], parts[2])}`;
  return { batchSeed: batch.seed, cell, text };
}
