/**
 * Zicsr: the six instructions on a register that holds anything, with every way in which operands
 * coincide, and on fcsr, whose fields overlap.
 */
import type { Assembler, Reg } from "../../src/asm/index.ts";
import { u64 } from "../helpers/isa-reference.ts";
import type { IsaProgram } from "./program.ts";
import { isaSuite } from "./suite.ts";
import { PAIRS } from "./values.ts";

type Change = (old: bigint, operand: bigint) => bigint;
const CHANGES: Record<string, Change> = {
  csrrw: (_, operand) => operand,
  csrrs: (old, operand) => old | operand,
  csrrc: (old, operand) => old & u64(~operand),
};

function registers(program: IsaProgram): void {
  for (const name of Object.keys(CHANGES) as "csrrw"[]) {
    const shapes: readonly (readonly [rd: Reg, rs1: Reg])[] = [
      ["a0", "a2"],
      ["a2", "a2"],
      ["zero", "a2"],
      ["a0", "zero"],
      ["t6", "ra"],
    ];
    for (const [rd, rs1] of shapes) {
      program.block({
        title: `${name} ${rd}, mscratch, ${rs1}`,
        rows: PAIRS.filter((_, index) => index % 4 === 0),
        loads: ["a1", rs1],
        stores: [rd, "a3"],
        body: (a) => {
          a.csrw("mscratch", "a1");
          a[name](rd, "mscratch", rs1);
          a.csrr("a3", "mscratch");
        },
        model: ([old, operand]) => {
          const used = rs1 === "zero" ? 0n : operand;
          return [rd === "zero" ? 0n : old, CHANGES[name](old, used)];
        },
      });
    }
    const immediate = `${name}i` as "csrrwi";
    for (const value of [0, 1, 15, 16, 31]) {
      program.block({
        title: `${immediate} a0, mscratch, ${value}`,
        rows: PAIRS.filter((_, index) => index % 16 === 0).map(([old]) => [old]),
        loads: ["a1"],
        stores: ["a0", "a3"],
        body: (a) => {
          a.csrw("mscratch", "a1");
          a[immediate]("a0", "mscratch", value);
          a.csrr("a3", "mscratch");
        },
        model: ([old]) => [old, CHANGES[name](old, BigInt(value))],
      });
    }
  }
}

/** fcsr is frm above fflags (Unprivileged 11.2); mstatus.FS must be on to see them. */
function floatingPoint(program: IsaProgram): void {
  const switchOn = (a: Assembler) => {
    a.li("t0", 0x6000);
    a.csrs("mstatus", "t0");
  };
  program.once("fcsr starts when FS is on", ["zero"], switchOn, [0n]);
  program.block({
    title: "fcsr frm fflags",
    rows: PAIRS.filter((_, index) => index % 8 === 0),
    loads: ["a1", "a2"],
    stores: ["a3", "a4", "a5", "a6"],
    body: (a) => {
      a.csrw("fcsr", "a1");
      a.csrr("a3", "frm");
      a.csrrw("a4", "fflags", "a2");
      a.csrr("a5", "fcsr");
      a.csrrwi("a6", "frm", 2);
    },
    model: ([fcsr, fflags]) => {
      const frm = (fcsr >> 5n) & 7n;
      return [frm, fcsr & 31n, (frm << 5n) | (fflags & 31n), frm];
    },
  });
}

const test = isaSuite("isa/zicsr", (program) => {
  registers(program);
  floatingPoint(program);
});

test.run();
