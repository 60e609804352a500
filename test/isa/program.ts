/**
 * program: many checks of single instructions as one bare-metal program for M-mode.
 *
 * Used by the suites of this folder; test/isa/suite.ts runs it on the core and in QEMU.
 * Holds   s0 to s3 belong to the harness (row, end of rows, results, window); a body may use every
 *         other register. Results are doublewords in the order in which the blocks were added.
 *
 *   0x80000000 code, rows of operands    WINDOW memory for loads and stores    RESULTS results
 */
import { Assembler, type Program, type Reg } from "../../src/asm/index.ts";
import { u64 } from "../helpers/isa-reference.ts";

export const FINISHER = 0x100000;
export const FINISHER_PASS = 0x5555;
/** Memory that bodies may load from and store to, also reached through s3; 64 KiB. */
export const WINDOW = 0x80800000;
export const RESULTS = 0x80900000;
export const RAM_BYTES = 16 * 1024 * 1024;

/**
 * One loop of the program: each row is loaded into registers, the body runs, results are stored.
 */
export interface Block {
  readonly title: string;
  /** Operands; each column goes to the register of `loads` at its index. */
  readonly rows: readonly (readonly bigint[])[];
  readonly loads: readonly Reg[];
  readonly stores: readonly Reg[];
  readonly body: (a: Assembler) => void;
  /** Expected results of a row, as many as `stores`. */
  readonly model: (row: readonly bigint[], index: number) => readonly bigint[];
}

interface PlacedBlock extends Block {
  readonly firstResult: number;
}

/** Collects blocks and becomes an image. */
export class IsaProgram {
  readonly blocks: PlacedBlock[] = [];
  readonly #a = new Assembler();
  readonly #tables: [label: string, rows: readonly (readonly bigint[])[]][] = [];
  #results = 0;

  constructor() {
    const a = this.#a;
    a.la("t0", "trap");
    a.csrw("mtvec", "t0");
    a.li("s2", RESULTS);
    a.li("s3", WINDOW);
  }

  /** Number of results. */
  get resultCount(): number {
    return this.#results;
  }

  /** Adds a loop over `block.rows`. */
  block(block: Block): void {
    const a = this.#a;
    const [table, loop] = [a.fresh("table"), a.fresh("loop")];
    this.blocks.push({ ...block, firstResult: this.#results });
    this.#tables.push([table, block.rows]);
    this.#results += block.rows.length * block.stores.length;
    a.la("s0", table);
    a.li("s1", block.rows.length * block.loads.length * 8);
    a.add("s1", "s1", "s0");
    a.label(loop);
    block.loads.forEach((reg, index) => {
      a.ld(reg, "s0", index * 8);
    });
    block.body(a);
    block.stores.forEach((reg, index) => {
      a.sd(reg, "s2", index * 8);
    });
    a.addi("s0", "s0", block.loads.length * 8);
    a.addi("s2", "s2", block.stores.length * 8);
    // A single row may be longer than a branch reaches.
    if (block.rows.length > 1) a.bltu("s0", "s1", loop);
  }

  /** A block that runs once, without operands. */
  once(
    title: string,
    stores: readonly Reg[],
    body: (a: Assembler) => void,
    expected: readonly bigint[],
  ): void {
    // One row of one unused column, so that the loop has something to go over.
    this.block({ title, rows: [[0n]], loads: ["zero"], stores, body, model: () => expected });
  }

  /** Ends the program; the image ends itself through the finisher, by 0x3333 when it trapped. */
  assemble(): Program {
    const a = this.#a;
    a.li("t0", FINISHER);
    a.li("t1", FINISHER_PASS);
    a.sw("t1", "t0");
    a.label("end");
    a.j("end");
    a.align(4);
    a.label("trap");
    a.la("t0", "trapRecord");
    for (const [index, csr] of (["mcause", "mepc", "mtval"] as const).entries()) {
      a.csrr("t1", csr);
      a.sd("t1", "t0", index * 8);
    }
    a.li("t0", FINISHER);
    a.li("t1", 0x13333);
    a.sw("t1", "t0");
    a.j("end");
    a.align(8);
    a.label("trapRecord");
    a.u64(0, 0, 0);
    for (const [label, rows] of this.#tables) {
      a.label(label);
      for (const row of rows) a.u64(...row.map(u64));
    }
    return a.assemble();
  }
}

/** Adds the same binary instruction with every way in which registers may coincide. */
export function addBinary(
  program: IsaProgram,
  name: string,
  emit: (a: Assembler, rd: Reg, rs1: Reg, rs2: Reg) => void,
  model: (a: bigint, b: bigint) => bigint,
  rows: readonly (readonly bigint[])[],
): void {
  const shapes: readonly (readonly [rd: Reg, rs1: Reg, rs2: Reg])[] = [
    ["a0", "a1", "a2"],
    ["a1", "a1", "a2"],
    ["a2", "a1", "a2"],
    ["a0", "a1", "a1"],
    ["a1", "a1", "a1"],
    ["zero", "a1", "a2"],
    ["a0", "zero", "a2"],
    ["a0", "a1", "zero"],
    ["a1", "zero", "zero"],
    ["t6", "sp", "ra"],
    ["gp", "tp", "t5"],
  ];
  shapes.forEach(([rd, rs1, rs2], index) => {
    const value = (reg: Reg, loaded: bigint) => (reg === "zero" ? 0n : loaded);
    program.block({
      title: `${name} ${rd}, ${rs1}, ${rs2}`,
      // Every row for the plain shape, a sample of them for the others.
      rows: index === 0 ? rows : rows.filter((_, at) => at % 17 === index),
      loads: [rs1, rs2],
      stores: [rd],
      body: (a) => emit(a, rd, rs1, rs2),
      model: ([a, b]) => {
        const first = rs1 === rs2 ? b : a;
        return [rd === "zero" ? 0n : model(value(rs1, first), value(rs2, b))];
      },
    });
  });
}

/** Adds an instruction with one source register, in the shapes that can coincide. */
export function addUnary(
  program: IsaProgram,
  name: string,
  emit: (a: Assembler, rd: Reg, rs1: Reg) => void,
  model: (a: bigint) => bigint,
  values: readonly bigint[],
): void {
  const shapes: readonly (readonly [rd: Reg, rs1: Reg])[] = [
    ["a0", "a1"],
    ["a1", "a1"],
    ["zero", "a1"],
    ["a0", "zero"],
    ["t6", "ra"],
  ];
  for (const [rd, rs1] of shapes) {
    program.block({
      title: `${name} ${rd}, ${rs1}`,
      rows: values.map((value) => [value]),
      loads: [rs1],
      stores: [rd],
      body: (a) => emit(a, rd, rs1),
      model: ([a]) => [rd === "zero" ? 0n : model(rs1 === "zero" ? 0n : a)],
    });
  }
}
