/**
 * C: each compressed instruction against the reference of the instruction it stands for, and code
 * in which both lengths mix.
 */
import type { Assembler, Reg } from "../../src/asm/index.ts";
import { BINARY, loadValue, u64, word } from "../helpers/isa-reference.ts";
import { type IsaProgram, WINDOW } from "./program.ts";
import { isaSuite } from "./suite.ts";
import { PAIRS, VALUES } from "./values.ts";

const IMMEDIATES = [-32, -17, -1, 1, 2, 15, 31];
const rowsOf = (values: readonly bigint[]) => values.map((value) => [value]);

type AddCase = (
  title: string,
  rd: Reg,
  emit: (a: Assembler) => void,
  model: (a: bigint) => bigint,
) => void;

/** Adds blocks whose one register is operand and result. */
function adder(program: IsaProgram): AddCase {
  return (title, rd, emit, model) =>
    program.block({
      title,
      rows: rowsOf(VALUES),
      loads: [rd],
      stores: [rd],
      body: emit,
      model: ([a]) => [model(a)],
    });
}

function immediates(program: IsaProgram): void {
  const add = adder(program);
  for (const immediate of IMMEDIATES) {
    const wide = u64(BigInt(immediate));
    for (const rd of ["a0", "ra", "t6", "s4"] as const) {
      add(
        `cAddi ${rd} ${immediate}`,
        rd,
        (a) => a.cAddi(rd, immediate),
        (a) => u64(a + wide),
      );
      add(
        `cAddiw ${rd} ${immediate}`,
        rd,
        (a) => a.cAddiw(rd, immediate),
        (a) => word(a + wide),
      );
      add(
        `cLi ${rd} ${immediate}`,
        rd,
        (a) => a.cLi(rd, immediate),
        () => wide,
      );
      add(
        `cLui ${rd} ${immediate}`,
        rd,
        (a) => a.cLui(rd, immediate),
        () => u64(wide << 12n),
      );
    }
    add(
      `cAndi ${immediate}`,
      "a5",
      (a) => a.cAndi("a5", immediate),
      (a) => a & wide,
    );
  }
  add(
    "cAddiw 0",
    "a0",
    (a) => a.cAddiw("a0", 0),
    (a) => word(a),
  );
}

function shifts(program: IsaProgram): void {
  const add = adder(program);
  for (const amount of [1, 7, 31, 32, 33, 63]) {
    const by = BigInt(amount);
    add(
      `cSlli ${amount}`,
      "t3",
      (a) => a.cSlli("t3", amount),
      (a) => BINARY.sll(a, by),
    );
    add(
      `cSrli ${amount}`,
      "a4",
      (a) => a.cSrli("a4", amount),
      (a) => BINARY.srl(a, by),
    );
    add(
      `cSrai ${amount}`,
      "a4",
      (a) => a.cSrai("a4", amount),
      (a) => BINARY.sra(a, by),
    );
  }
  for (const immediate of [-512, -16, 16, 496]) {
    const model = (a: bigint) => u64(a + BigInt(immediate));
    add(`cAddi16sp ${immediate}`, "sp", (a) => a.cAddi16sp(immediate), model);
  }
  for (const immediate of [4, 8, 252, 1020]) {
    program.block({
      title: `cAddi4spn ${immediate}`,
      rows: rowsOf(VALUES),
      loads: ["sp"],
      stores: ["a3", "sp"],
      body: (a) => a.cAddi4spn("a3", immediate),
      model: ([sp]) => [u64(sp + BigInt(immediate)), sp],
    });
  }
}

function registers(program: IsaProgram): void {
  const ops: [name: string, emit: (a: Assembler, rd: Reg, rs2: Reg) => void][] = [
    ["sub", (a, rd, rs2) => a.cSub(rd, rs2)],
    ["xor", (a, rd, rs2) => a.cXor(rd, rs2)],
    ["or", (a, rd, rs2) => a.cOr(rd, rs2)],
    ["and", (a, rd, rs2) => a.cAnd(rd, rs2)],
    ["subw", (a, rd, rs2) => a.cSubw(rd, rs2)],
    ["addw", (a, rd, rs2) => a.cAddw(rd, rs2)],
    ["add", (a, rd, rs2) => a.cAdd(rd, rs2)],
  ];
  for (const [name, emit] of ops) {
    for (const [rd, rs2] of [
      ["a0", "a1"],
      ["a5", "a4"],
      ["a2", "a2"],
    ] as const) {
      program.block({
        title: `c.${name} ${rd}, ${rs2}`,
        rows: PAIRS.filter((_, index) => index % 3 === 0),
        loads: [rd, rs2],
        stores: [rd],
        body: (a) => emit(a, rd, rs2),
        model: ([a, b]) => [BINARY[name](rd === rs2 ? b : a, b)],
      });
    }
  }
  program.block({
    title: "cMv t6, ra",
    rows: rowsOf(VALUES),
    loads: ["ra"],
    stores: ["t6"],
    body: (a) => a.cMv("t6", "ra"),
    model: ([a]) => [a],
  });
  program.block({
    title: "cMv and cAdd to zero are hints",
    rows: rowsOf(VALUES.slice(0, 8)),
    loads: ["ra"],
    stores: ["zero"],
    body: (a) => {
      a.cMv("zero", "ra");
      a.cAdd("zero", "ra");
      a.cLi("zero", 5);
      a.cNop();
    },
    model: () => [0n],
  });
}

/** Each store and load form writes to the window and reads back. */
function memory(program: IsaProgram): void {
  const place = (
    title: string,
    base: Reg,
    at: number,
    emit: (a: Assembler) => void,
    bytes: number,
  ) =>
    program.block({
      title,
      rows: VALUES.map((value) => [BigInt(WINDOW), value]),
      loads: [base, "a1"],
      stores: ["a2", "a3"],
      body: (a) => {
        a.li("a3", -1);
        a.sd("a3", "s3", at & ~7);
        emit(a);
        a.ld("a3", "s3", at & ~7);
      },
      model: ([, value]) => {
        const around = new Uint8Array(8).fill(0xff);
        for (let index = 0; index < bytes; index++) {
          around[(at & 7) + index] = Number((value >> BigInt(index * 8)) & 0xffn);
        }
        return [bytes === 4 ? word(value) : value, loadValue(around, 0, 8, false)];
      },
    });
  for (const at of [0, 4, 64, 124]) {
    const emit = (a: Assembler) => {
      a.cSw("a1", "a5", at);
      a.cLw("a2", "a5", at);
    };
    place(`cSw and cLw ${at}`, "a5", at, emit, 4);
  }
  for (const at of [0, 8, 64, 248]) {
    const emit = (a: Assembler) => {
      a.cSd("a1", "a0", at);
      a.cLd("a2", "a0", at);
    };
    place(`cSd and cLd ${at}`, "a0", at, emit, 8);
  }
  for (const at of [0, 4, 64, 128, 252]) {
    const emit = (a: Assembler) => {
      a.cSwsp("a1", at);
      a.cLwsp("a2", at);
    };
    place(`cSwsp and cLwsp ${at}`, "sp", at, emit, 4);
  }
  for (const at of [0, 8, 64, 256, 504]) {
    const emit = (a: Assembler) => {
      a.cSdsp("a1", at);
      a.cLdsp("a2", at);
    };
    place(`cSdsp and cLdsp ${at}`, "sp", at, emit, 8);
  }
}

function jumps(program: IsaProgram): void {
  for (const [name, isTaken] of [
    ["cBeqz", (a: bigint) => a === 0n],
    ["cBnez", (a: bigint) => a !== 0n],
  ] as const) {
    program.block({
      title: `${name} forwards and backwards`,
      rows: rowsOf(VALUES),
      loads: ["a4"],
      stores: ["a0"],
      body: (a) => {
        const [back, test, end] = [a.fresh(), a.fresh(), a.fresh()];
        a.cLi("a0", 0);
        a.cJ(test);
        a.label(back);
        a.ori("a0", "a0", 1);
        a.cJ(end);
        a.label(test);
        a[name]("a4", back);
        a.label(end);
        a[name]("a4", end + ".over");
        a.addi("a0", "a0", 2);
        a.label(end + ".over");
      },
      model: ([value]) => [isTaken(value) ? 1n : 2n],
    });
  }
  const call = (jump: (a: Assembler, target: string) => void) => (a: Assembler) => {
    const [target, behind] = [a.fresh(), a.fresh()];
    // An odd number of halfwords puts the 4-byte instructions across a word boundary.
    a.cNop();
    a.la("a5", target);
    jump(a, target);
    a.label(behind);
    a.li("ra", 0);
    a.label(target);
    a.la("a1", behind);
    a.sub("a0", "ra", "a1");
    a.cNop();
  };
  program.once(
    "cJalr links to the halfword behind it",
    ["a0"],
    call((a) => a.cJalr("a5")),
    [0n],
  );
  const throughRa = (a: Assembler) => {
    const target = a.fresh();
    a.la("ra", target);
    a.li("a0", 1);
    a.cJr("ra");
    a.li("a0", 2);
    a.label(target);
  };
  program.once("cJr", ["a0"], throughRa, [1n]);
  const selfLink = (a: Assembler) => {
    const target = a.fresh();
    a.la("ra", target);
    a.cJalr("ra");
    a.label(target + ".behind");
    a.li("ra", 0);
    a.label(target);
    a.la("a1", target + ".behind");
    a.sub("a0", "ra", "a1");
  };
  program.once("cJalr ra", ["a0"], selfLink, [0n]);
}

/**
 * The same bytes entered at two places: a halfword inside a long instruction is code of its own.
 */
function overlap(program: IsaProgram): void {
  const body = (a: Assembler) => {
    const [inside, end] = [a.fresh(), a.fresh()];
    a.li("a0", 0);
    a.li("t1", 0);
    a.la("t0", inside);
    // lui t2 whose upper half is c.addi a0, 5: 0x0515.
    a.u16(0x03b7);
    a.label(inside);
    a.u16(0x0515);
    a.addi("t1", "t1", 1);
    a.li("t2", 2);
    a.beq("t1", "t2", end);
    a.jr("t0");
    a.label(end);
  };
  program.once("overlap", ["a0", "t1"], body, [5n, 2n]);
}

const test = isaSuite("isa/compressed", (program) => {
  immediates(program);
  shifts(program);
  registers(program);
  memory(program);
  jumps(program);
  overlap(program);
});

test.run();
