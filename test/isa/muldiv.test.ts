/**
 * M: multiplication and division against the reference model, division by zero and overflow among
 * the pairs.
 */
import type { Assembler, Reg } from "../../src/asm/index.ts";
import { BINARY } from "../helpers/isa-reference.ts";
import { addBinary } from "./program.ts";
import { isaSuite } from "./suite.ts";
import { PAIRS } from "./values.ts";

const OPS = "mul mulh mulhsu mulhu div divu rem remu mulw divw divuw remw remuw".split(
  " ",
) as "mul"[];

const test = isaSuite("isa/muldiv", (program) => {
  for (const name of OPS) {
    const emit = (a: Assembler, rd: Reg, rs1: Reg, rs2: Reg) => a[name](rd, rs1, rs2);
    addBinary(program, name, emit, BINARY[name], PAIRS);
  }
});

test.run();
