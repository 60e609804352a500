/**
 * A: every AMO of both widths against the reference model, and what LR and SC promise a lone hart.
 */
import type { Assembler } from "../../src/asm/index.ts";
import { AMO, u64, word } from "../helpers/isa-reference.ts";
import { type IsaProgram, WINDOW } from "./program.ts";
import { isaSuite } from "./suite.ts";
import { PAIRS } from "./values.ts";

function amos(program: IsaProgram): void {
  for (const name of Object.keys(AMO)) {
    const wide = `${name}D` as "amoaddD";
    const narrow = `${name}W` as "amoaddW";
    for (const ordering of ["", "aqrl"] as const) {
      program.block({
        title: `${wide} a0, a2, (s3) ${ordering}`,
        rows: PAIRS,
        loads: ["a1", "a2"],
        stores: ["a0", "a3"],
        body: (a) => {
          a.sd("a1", "s3");
          a[wide]("a0", "a2", "s3", ordering);
          a.ld("a3", "s3");
        },
        model: ([memory, source]) => [memory, AMO[name](memory, source)],
      });
    }
    for (const at of [0, 4]) {
      program.block({
        title: `${narrow} a0, a2, ${at}(s3)`,
        rows: PAIRS,
        loads: ["a1", "a2"],
        stores: ["a0", "a3", "a4"],
        body: (a) => {
          a.sd("a1", "s3");
          a.addi("a5", "s3", at);
          a[narrow]("a0", "a2", "a5");
          a.lwu("a3", "s3", at);
          a.lwu("a4", "s3", 4 - at);
        },
        model: ([doubleword, source]) => {
          const old = word(doubleword >> BigInt(at * 8));
          const other = BigInt.asUintN(32, doubleword >> BigInt((4 - at) * 8));
          return [old, BigInt.asUintN(32, AMO[name](old, word(source))), other];
        },
      });
    }
    for (const [rd, source] of [
      ["zero", "a2"],
      ["a2", "a2"],
      ["a0", "zero"],
    ] as const) {
      program.block({
        title: `${wide} ${rd}, ${source}, (s3)`,
        rows: PAIRS.slice(0, 64),
        loads: ["a1", "a2"],
        stores: [rd, "a3"],
        body: (a) => {
          a.sd("a1", "s3");
          a[wide](rd, source, "s3");
          a.ld("a3", "s3");
        },
        model: ([memory, value]) => [
          rd === "zero" ? 0n : memory,
          AMO[name](memory, source === "zero" ? 0n : value),
        ],
      });
    }
  }
  // The address register may be overwritten by the old value.
  const overwrite = (a: Assembler) => {
    a.li("a1", 5);
    a.sd("a1", "s3");
    a.mv("a0", "s3");
    a.amoaddD("a0", "a1", "a0");
    a.ld("a3", "s3");
  };
  program.once("amoaddD a0, a1, (a0)", ["a0", "a3"], overwrite, [5n, 10n]);
}

/** LR, then something, then SC of `a2`: result of SC, what LR saw, memory afterwards. */
function reserved(
  program: IsaProgram,
  title: string,
  between: (a: Assembler) => void,
  expected: readonly bigint[],
): void {
  const body = (a: Assembler) => {
    a.li("a1", 0x1234567880000001n);
    a.li("a2", -7);
    a.sd("a1", "s3");
    a.sd("a1", "s3", 64);
    a.lrD("a4", "s3");
    between(a);
    a.ld("a3", "s3");
  };
  program.once(title, ["a0", "a4", "a3"], body, expected);
}

function reservations(program: IsaProgram): void {
  const [old, fresh] = [0x1234567880000001n, u64(-7n)];
  reserved(program, "scD after lrD", (a) => a.scD("a0", "a2", "s3"), [0n, old, fresh]);
  const twice = (a: Assembler) => {
    a.scD("a5", "a2", "s3");
    a.scD("a0", "a1", "s3");
  };
  // Unprivileged 8.2: every SC gives the reservation up, whether it stored or not.
  reserved(program, "scD twice", twice, [1n, old, fresh]);
  const elsewhere = (a: Assembler) => {
    a.addi("a5", "s3", 64);
    a.scD("a0", "a2", "a5");
  };
  reserved(program, "scD elsewhere", elsewhere, [1n, old, old]);
  const afterElsewhere = (a: Assembler) => {
    elsewhere(a);
    a.scD("a0", "a2", "s3");
  };
  reserved(program, "scD after scD elsewhere", afterElsewhere, [1n, old, old]);
  const words = (a: Assembler) => {
    a.lrW("a4", "s3");
    a.scW("a0", "a2", "s3");
    a.lwu("a5", "s3", 4);
  };
  reserved(program, "scW after lrW", words, [0n, word(old), (old & ~0xffffffffn) | 0xfffffff9n]);
  const intoZero = (a: Assembler) => {
    a.scD("zero", "a2", "s3");
    a.mv("a0", "zero");
  };
  reserved(program, "scD zero", intoZero, [0n, old, fresh]);
  const failed = (a: Assembler) => {
    a.scD("a0", "a2", "s3");
    a.scD("zero", "a1", "s3");
    a.mv("a0", "zero");
  };
  reserved(program, "scD zero fails", failed, [0n, old, fresh]);
  const sameRegister = (a: Assembler) => {
    a.mv("a0", "a2");
    a.scD("a0", "a0", "s3");
  };
  reserved(program, "scD a0, a0", sameRegister, [0n, old, fresh]);
  const reloaded = (a: Assembler) => {
    a.sd("a1", "s3", 64);
    a.lrD("a4", "s3", "aqrl");
    a.scD("a0", "a2", "s3", "rl");
  };
  reserved(program, "scD after a new lrD", reloaded, [0n, old, fresh]);
}

/** The loop that the specification guarantees to end: a counter incremented by LR and SC. */
function loop(program: IsaProgram): void {
  const body = (a: Assembler) => {
    const again = a.fresh();
    a.sd("zero", "s3");
    a.li("a1", 1000);
    a.label(again);
    a.lrD("a0", "s3");
    a.addi("a0", "a0", 1);
    a.scD("a2", "a0", "s3");
    a.bnez("a2", again);
    a.addi("a1", "a1", -1);
    a.bnez("a1", again);
    a.ld("a0", "s3");
  };
  program.once("lrD and scD loop", ["a0"], body, [1000n]);
}

const test = isaSuite("isa/atomic", (program) => {
  program.once("window is where it is said", ["s3"], () => {}, [BigInt(WINDOW)]);
  amos(program);
  reservations(program);
  loop(program);
});

test.run();
