/**
 * batch: many cells behind one runner: the RAM of both machines, generated, run, compared.
 *
 * Used by the tests and campaigns of this folder.
 * Holds   what is compared is all of it, byte for byte: results, logs, data, page tables.
 */
import { Random } from "../helpers/random.ts";
import { buildCell, type Cell, type ClassName } from "./cell.ts";
import { Coverage } from "./coverage.ts";
import {
  CELL_BYTES,
  CELLS,
  CELLS_MAX,
  LOG,
  LOG_BYTES,
  LOG_SUPERVISOR,
  RAM,
  TRAP_COUNT,
} from "./layout.ts";
import { ALONE, runnerFor } from "./runner.ts";

/** The RAM of a batch before the run, from RAM's first byte on. */
export interface Batch {
  readonly seed: number;
  readonly cells: readonly Cell[];
  readonly bytes: Uint8Array;
}

/** Generates one cell per class name, in order. */
export function buildBatch(
  seed: number,
  classNames: readonly ClassName[],
  coverage = new Coverage(),
  sharing = ALONE,
): Batch {
  if (classNames.length > CELLS_MAX) throw new Error(`a batch has at most ${CELLS_MAX} cells`);
  const random = new Random(seed);
  const bytes = new Uint8Array(CELLS - RAM + classNames.length * CELL_BYTES);
  bytes.set(runnerFor(classNames.length, sharing));
  const cells = classNames.map((className, index) => {
    const at = CELLS - RAM + index * CELL_BYTES;
    const room = bytes.subarray(at, at + CELL_BYTES);
    return buildCell(room, { index, seed: random.u32(), className, coverage });
  });
  return { seed, cells, bytes };
}

/** A class name per cell: each of `classNames` in turn. */
export function roundRobin(classNames: readonly ClassName[], count: number): ClassName[] {
  return Array.from({ length: count }, (_, index) => classNames[index % classNames.length]);
}

/** Counts the traps that a cell's log shows; returns how many there were before the last. */
export function countTraps(bytes: Uint8Array, coverage: Coverage): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(TRAP_COUNT, true);
  for (let index = 0; index < count; index++) {
    const cause = view.getBigUint64(LOG + index * LOG_BYTES, true);
    const isSupervisor = (cause & LOG_SUPERVISOR) !== 0n;
    coverage.trap(cause & ~LOG_SUPERVISOR, isSupervisor ? "S" : "M");
  }
  return count - 1;
}

/** Bytes of a cell in RAM as a machine left it. */
export function cellBytes(ram: Uint8Array, cell: Cell): Uint8Array {
  return ram.subarray(cell.address - RAM, cell.address - RAM + CELL_BYTES);
}

/** Cells whose bytes differ. */
export function compareBatch(batch: Batch, here: Uint8Array, there: Uint8Array): Cell[] {
  return batch.cells.filter(
    (cell) => Buffer.compare(cellBytes(here, cell), cellBytes(there, cell)) !== 0,
  );
}
