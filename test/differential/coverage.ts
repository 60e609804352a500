/**
 * coverage: what a campaign exercised: every instruction, each floating-point operation by rounding
 * mode and special class of its operands, each trap cause by the mode that took it.
 *
 * Used by the generators (which count what they emit), the batch (which counts the traps that the
 * logs show), the tests (which print the table and require that no cell is empty).
 */
import { FLOAT_CLASSES, type FloatClass } from "./values.ts";

export const ROUNDINGS = ["rne", "rtz", "rdn", "rup", "rmm", "dyn"] as const;
export type RoundingName = (typeof ROUNDINGS)[number];

const CAUSES = new Map([
  [1, "fetch access fault"],
  [2, "illegal instruction"],
  [3, "breakpoint"],
  [4, "load misaligned"],
  [5, "load access fault"],
  [6, "store misaligned"],
  [7, "store access fault"],
  [8, "ecall from U"],
  [9, "ecall from S"],
  [11, "ecall from M"],
  [12, "fetch page fault"],
  [13, "load page fault"],
  [15, "store page fault"],
]);
const INTERRUPTS = new Map([
  [1, "supervisor software"],
  [3, "machine software"],
  [5, "supervisor timer"],
  [7, "machine timer"],
  [9, "supervisor external"],
]);
/** Traps that no sequence can hand to S-mode: the runner keeps them, or M-mode alone has them. */
const MACHINE_ONLY = new Set(["ecall from S", "ecall from M", "machine software", "machine timer"]);

const keyOf = (...parts: readonly string[]): string => parts.join("|");

export class Coverage {
  readonly #counts = new Map<string, number>();
  /** Sequences by class name. */
  readonly sequences = new Map<string, number>();

  #add(key: string, count = 1): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }

  /** An instruction was emitted. */
  instruction(name: string): void {
    this.#add(keyOf("instruction", name));
  }

  /** A floating-point operation was emitted with an operand of a known class. */
  float(name: string, rounding: RoundingName | "", kind: FloatClass): void {
    this.#add(keyOf("float", name, rounding, kind));
  }

  /** A trap was logged; `cause` as mcause holds it. */
  trap(cause: bigint, taker: "M" | "S"): void {
    const code = Number(cause & 63n);
    const names = cause >> 63n === 1n ? INTERRUPTS : CAUSES;
    this.#add(keyOf("trap", names.get(code) ?? `cause ${code}`, taker));
  }

  sequence(name: string): void {
    this.sequences.set(name, (this.sequences.get(name) ?? 0) + 1);
  }

  count(...parts: readonly string[]): number {
    return this.#counts.get(keyOf(...parts)) ?? 0;
  }

  /** Instructions of `names` that were never emitted. */
  missingInstructions(names: readonly string[]): string[] {
    return names.filter((name) => this.count("instruction", name) === 0);
  }

  /** Cells of operation x rounding x class that are empty, as text. */
  missingFloat(operations: readonly FloatOperation[]): string[] {
    return operations.flatMap((operation) =>
      cellsOf(operation)
        .filter(([rounding, kind]) => this.count("float", operation.name, rounding, kind) === 0)
        .map(([rounding, kind]) => `${operation.name} ${rounding} ${kind}`),
    );
  }

  /** Causes (with the mode that may take them) that never occurred. */
  missingTraps(): string[] {
    return [...CAUSES.values(), ...INTERRUPTS.values()].flatMap((name) =>
      (MACHINE_ONLY.has(name) ? ["M"] : ["M", "S"])
        .filter((taker) => this.count("trap", name, taker) === 0)
        .map((taker) => `${name} in ${taker}`),
    );
  }

  /** The table, as lines of text. */
  table(operations: readonly FloatOperation[]): string {
    const lines = ["sequences"];
    for (const [name, count] of this.sequences) lines.push(`  ${name.padEnd(22)}${count}`);
    lines.push("", "traps" + "M".padStart(25) + "S".padStart(9));
    for (const name of [...CAUSES.values(), ...INTERRUPTS.values()]) {
      const counts = ["M", "S"].map((taker) => String(this.count("trap", name, taker)).padStart(9));
      lines.push(`  ${name.padEnd(19)}${counts.join("")}`);
    }
    lines.push("", "operands by special class; least and greatest count over the rounding modes");
    const head = FLOAT_CLASSES.map((kind) => kind.slice(0, 10).padStart(11)).join("");
    lines.push(" ".repeat(10) + "modes".padStart(6) + head);
    for (const operation of operations) lines.push(this.#row(operation));
    return lines.join("\n");
  }

  #row(operation: FloatOperation): string {
    const columns = FLOAT_CLASSES.map((kind) => {
      const cells = cellsOf(operation).filter((cell) => cell[1] === kind);
      if (cells.length === 0) return "-".padStart(11);
      const counts = cells.map(([mode]) => this.count("float", operation.name, mode, kind));
      const [least, most] = [Math.min(...counts), Math.max(...counts)];
      return (least === most ? String(least) : `${least}-${most}`).padStart(11);
    });
    const modes = operation.isRounded ? ROUNDINGS.length : 1;
    return `  ${operation.name.padEnd(8)}${String(modes).padStart(6)}${columns.join("")}`;
  }
}

/** A row of the table. */
export interface FloatOperation {
  readonly name: string;
  /** False when the encoding has no rounding mode. */
  readonly isRounded: boolean;
  /** Classes that its operands can have. */
  readonly classes: readonly FloatClass[];
}

function cellsOf(operation: FloatOperation): (readonly [RoundingName | "", FloatClass])[] {
  const modes = operation.isRounded ? ROUNDINGS : ([""] as const);
  return modes.flatMap((mode) => operation.classes.map((kind) => [mode, kind] as const));
}
