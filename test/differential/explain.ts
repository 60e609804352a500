/**
 * explain: says in words where two machines disagree about a cell: registers, CSRs, the first trap
 * that differs, memory; and lists the code as words.
 *
 * Used by the tests and campaigns of this folder when a comparison fails.
 */
import type { Cell } from "./cell.ts";
import {
  AFTER_CSR,
  AFTER_F,
  AFTER_FIELDS,
  AFTER_X,
  BEFORE_CSR,
  BEFORE_FIELDS,
  CELL_CODE,
  CELL_DATA,
  CELL_TABLES,
  CODE_BYTES,
  LOG,
  LOG_BYTES,
  TRAP_COUNT,
} from "./layout.ts";

const LINES_MAX = 40;

const hex = (value: bigint): string => value.toString(16);

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function nameOf(offset: number): string {
  if (offset >= AFTER_X && offset < AFTER_X + 256) return `x${(offset - AFTER_X) / 8}`;
  if (offset >= AFTER_F && offset < AFTER_F + 256) return `f${(offset - AFTER_F) / 8}`;
  const field = AFTER_FIELDS[(offset - AFTER_CSR) / 8];
  if (offset >= AFTER_CSR && field !== undefined) return field;
  if (offset === TRAP_COUNT) return "trap count";
  if (offset >= LOG && offset < LOG + 0x800) {
    const part = ["cause", "value", "pc", "mstatus"][(offset & 31) / 8];
    return `trap ${Math.floor((offset - LOG) / LOG_BYTES)} ${part}`;
  }
  if (offset >= CELL_TABLES) return `table page ${(offset >> 12) - 8} entry ${(offset & 4095) / 8}`;
  if (offset >= CELL_DATA) return `data + 0x${(offset - CELL_DATA).toString(16)}`;
  return `cell + 0x${offset.toString(16)}`;
}

/** Doublewords of a cell that differ: what, here, there. */
export function differences(here: Uint8Array, there: Uint8Array): string[] {
  const [a, b] = [viewOf(here), viewOf(there)];
  const lines: string[] = [];
  for (let at = 0; at < here.length; at += 8) {
    const [mine, theirs] = [a.getBigUint64(at, true), b.getBigUint64(at, true)];
    if (mine !== theirs) lines.push(`${nameOf(at)}: here ${hex(mine)}, QEMU ${hex(theirs)}`);
  }
  return lines;
}

/** The cell's start and code, as text. */
export function listing(cell: Cell, bytes: Uint8Array): string[] {
  const view = viewOf(bytes);
  const fields = BEFORE_FIELDS.map((field, index) => {
    return `${field}=${hex(view.getBigUint64(BEFORE_CSR + index * 8, true))}`;
  });
  const lines = [`class ${cell.className}, cell seed ${cell.seed}`, fields.join(" ")];
  const start = Number(view.getBigUint64(BEFORE_CSR, true) & BigInt(CODE_BYTES - 1));
  const end = Number(view.getBigUint64(BEFORE_CSR + BEFORE_FIELDS.indexOf("end") * 8, true));
  for (let at = start; at <= end; ) {
    const low = view.getUint16(CELL_CODE + at, true);
    const isLong = (low & 3) === 3;
    const word = isLong ? view.getUint32(CELL_CODE + at, true) : low;
    lines.push(
      `  ${at.toString(16).padStart(4)}: ${word.toString(16).padStart(isLong ? 8 : 4, "0")}`,
    );
    at += isLong ? 4 : 2;
  }
  return lines;
}

/** The whole report of one disagreement. */
export function explain(
  cell: Cell,
  before: Uint8Array,
  here: Uint8Array,
  there: Uint8Array,
): string {
  const lines = differences(here, there);
  const rest = lines.length > LINES_MAX ? [`... and ${lines.length - LINES_MAX} more`] : [];
  return [...lines.slice(0, LINES_MAX), ...rest, ...listing(cell, before)].join("\n");
}
