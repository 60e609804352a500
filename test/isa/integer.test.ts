/**
 * RV64I: arithmetic, shifts, constants, jumps and branches against the reference model.
 */
import type { Assembler, Reg } from "../../src/asm/index.ts";
import {
  BINARY,
  BRANCH,
  IMMEDIATE,
  SHIFT_IMMEDIATE,
  SHIFT_WORD_IMMEDIATE,
  u64,
} from "../helpers/isa-reference.ts";
import { addBinary, addUnary, type IsaProgram } from "./program.ts";
import { isaSuite } from "./suite.ts";
import { PAIRS, VALUES } from "./values.ts";

const REGISTER_OPS = "add sub sll slt sltu xor srl sra or and addw subw sllw srlw sraw".split(
  " ",
) as "add"[];
const IMMEDIATES = [-2048, -2047, -1024, -33, -1, 0, 1, 2, 31, 0x555, 2047];
const IMMEDIATE_OPS = Object.keys(IMMEDIATE) as "addi"[];
const AMOUNTS = [0, 1, 7, 8, 31, 32, 33, 62, 63];

function arithmetic(program: IsaProgram): void {
  for (const name of REGISTER_OPS) {
    const emit = (a: Assembler, rd: Reg, rs1: Reg, rs2: Reg) => a[name](rd, rs1, rs2);
    addBinary(program, name, emit, BINARY[name], PAIRS);
  }
  for (const name of IMMEDIATE_OPS) {
    for (const immediate of IMMEDIATES) {
      const emit = (a: Assembler, rd: Reg, rs1: Reg) => a[name](rd, rs1, immediate);
      const model = (a: bigint) => IMMEDIATE[name](a, u64(BigInt(immediate)));
      addUnary(program, `${name} ${immediate}`, emit, model, VALUES);
    }
  }
}

function shifts(program: IsaProgram): void {
  for (const name of ["slli", "srli", "srai"] as const) {
    for (const amount of AMOUNTS) {
      const emit = (a: Assembler, rd: Reg, rs1: Reg) => a[name](rd, rs1, amount);
      const model = (a: bigint) => SHIFT_IMMEDIATE[name](a, BigInt(amount));
      addUnary(program, `${name} ${amount}`, emit, model, VALUES);
    }
  }
  for (const name of ["slliw", "srliw", "sraiw"] as const) {
    for (const amount of AMOUNTS.filter((amount) => amount < 32)) {
      const emit = (a: Assembler, rd: Reg, rs1: Reg) => a[name](rd, rs1, amount);
      const model = (a: bigint) => SHIFT_WORD_IMMEDIATE[name](a, BigInt(amount));
      addUnary(program, `${name} ${amount}`, emit, model, VALUES);
    }
  }
}

function constants(program: IsaProgram): void {
  for (const immediate of [0, 1, 0x7ffff, 0x80000, 0xfffff, 0x12345]) {
    const value = u64(BigInt.asIntN(32, BigInt(immediate) << 12n));
    program.once(`lui ${immediate}`, ["a0"], (a) => a.lui("a0", immediate), [value]);
    program.once(`lui zero ${immediate}`, ["zero"], (a) => a.lui("zero", immediate), [0n]);
    // Two auipc 4 bytes apart differ by 4 and their immediates.
    const distance = (a: Assembler) => {
      a.auipc("a1", 0);
      a.auipc("a0", immediate);
      a.sub("a0", "a0", "a1");
    };
    program.once(`auipc ${immediate}`, ["a0"], distance, [u64(value + 4n)]);
  }
}

function branches(program: IsaProgram): void {
  for (const name of Object.keys(BRANCH) as "beq"[]) {
    for (const [rs1, rs2] of [
      ["a1", "a2"],
      ["a1", "a1"],
      ["zero", "a2"],
      ["a1", "zero"],
    ] as const) {
      program.block({
        title: `${name} ${rs1}, ${rs2} forwards`,
        rows: PAIRS,
        loads: ["a1", "a2"],
        stores: ["a0"],
        body: (a) => {
          a.li("a0", 1);
          a[name](rs1, rs2, 8);
          a.li("a0", 0);
        },
        model: ([a, b]) => {
          const first = rs1 === "zero" ? 0n : a;
          const second = rs2 === "zero" ? 0n : rs2 === "a1" ? a : b;
          return [BRANCH[name](first, second) ? 1n : 0n];
        },
      });
    }
    program.block({
      title: `${name} backwards`,
      rows: PAIRS.filter((_, index) => index % 5 === 0),
      loads: ["a1", "a2"],
      stores: ["a0"],
      body: (a) => {
        const [back, test, end] = [a.fresh(), a.fresh(), a.fresh()];
        a.li("a0", 0);
        a.j(test);
        a.label(back);
        a.addi("a0", "a0", 1);
        a.j(end);
        a.label(test);
        a[name]("a1", "a2", back);
        a.label(end);
      },
      model: ([a, b]) => [BRANCH[name](a, b) ? 1n : 0n],
    });
  }
}

/** The longest distances of a branch and a jump, both ways. */
function distances(program: IsaProgram): void {
  const forward = (reach: number, jump: (a: Assembler, target: string) => void) => {
    return (a: Assembler) => {
      const end = a.fresh();
      a.li("a0", 1);
      jump(a, end);
      a.li("a0", 0);
      a.space(reach - 2 - 8);
      a.label(end);
    };
  };
  const backward = (reach: number, jump: (a: Assembler, target: string) => void) => {
    return (a: Assembler) => {
      const [before, middle, end] = [a.fresh(), a.fresh(), a.fresh()];
      a.la("t0", middle);
      a.jr("t0");
      a.label(before);
      a.li("a0", 1);
      a.la("t0", end);
      a.jr("t0");
      a.space(reach - 16);
      a.label(middle);
      jump(a, before);
      a.li("a0", 0);
      a.label(end);
    };
  };
  const branch = (a: Assembler, target: string) => a.beq("zero", "zero", target);
  const jump = (a: Assembler, target: string) => a.j(target);
  program.once("beq far forwards", ["a0"], forward(4096, branch), [1n]);
  program.once("beq far backwards", ["a0"], backward(4096, branch), [1n]);
  program.once("jal far forwards", ["a0"], forward(1 << 20, jump), [1n]);
  program.once("jal far backwards", ["a0"], backward(1 << 20, jump), [1n]);
}

function jumps(program: IsaProgram): void {
  const linkOf = (rd: Reg, jump: (a: Assembler, over: string) => void) => (a: Assembler) => {
    const over = a.fresh();
    jump(a, over);
    a.label(over + ".behind");
    a.li(rd, 0);
    a.label(over);
    a.la("a1", over + ".behind");
    a.sub("a0", rd, "a1");
  };
  program.once(
    "jal link",
    ["a0"],
    linkOf("a2", (a, over) => a.jal("a2", over)),
    [0n],
  );
  const throughRegister = (rd: Reg, base: Reg, offset: number) => (a: Assembler, over: string) => {
    a.la(base, over, -offset);
    a.jalr(rd, base, offset);
  };
  for (const [rd, base, offset] of [
    ["ra", "a2", 0],
    ["a2", "a2", 0],
    ["t0", "t1", 2047],
    ["t0", "t1", -2048],
  ] as const) {
    const body = linkOf(rd, throughRegister(rd, base, offset));
    program.once(`jalr ${rd}, ${offset}(${base})`, ["a0"], body, [0n]);
  }
  // Unprivileged 2.5.1: the lowest bit of the sum is cleared.
  const odd = (a: Assembler) => {
    const over = a.fresh();
    a.la("a2", over, 1);
    a.li("a0", 1);
    a.jalr("zero", "a2");
    a.li("a0", 0);
    a.label(over);
  };
  program.once("jalr odd target", ["a0"], odd, [1n]);
}

const test = isaSuite("isa/integer", (program) => {
  arithmetic(program);
  shifts(program);
  constants(program);
  branches(program);
  distances(program);
  jumps(program);
});

test.run();
