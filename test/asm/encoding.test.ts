/**
 * Encodings of every instruction: golden words that need no tool, and each instruction of the table
 * with random operands against riscv64-unknown-elf-as.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encode, INSTRUCTIONS, type InstructionName, mnemonicOf } from "../../src/asm/index.ts";
import { CROSS_BINUTILS, testNeeding } from "../helpers/need.ts";
import { instructionCase, type Pick } from "./operands.ts";

const test = suite("asm/encoding");
const SEED = Number(process.env["SEED"] ?? 1);
const DRAWS = 40;

/** xorshift32; the same seed gives the same operands. */
function generator(seed: number): Pick {
  let state = (seed * 0x9e3779b1) | 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

const encodeAny = encode as (name: InstructionName, ...operands: (string | number)[]) => number;

test("golden words", () => {
  const golden: [number, number][] = [
    [encode("addi", "sp", "sp", -16), 0xff010113],
    [encode("lui", "a0", 0x80000), 0x80000537],
    [encode("auipc", "t0", 0), 0x00000297],
    [encode("jal", "zero", -4), 0xffdff06f],
    [encode("jalr", "zero", "ra"), 0x00008067],
    [encode("beq", "a0", "a1", 8), 0x00b50463],
    [encode("bgeu", "t6", "zero", -4096), 0x800ff063],
    [encode("ld", "ra", "sp", 8), 0x00813083],
    [encode("sd", "ra", "sp", 8), 0x00113423],
    [encode("srai", "a0", "a0", 63), 0x43f55513],
    [encode("sraiw", "a0", "a0", 31), 0x41f5551b],
    [encode("ecall"), 0x00000073],
    [encode("ebreak"), 0x00100073],
    [encode("mret"), 0x30200073],
    [encode("sret"), 0x10200073],
    [encode("wfi"), 0x10500073],
    [encode("fence"), 0x0ff0000f],
    [encode("fenceI"), 0x0000100f],
    [encode("sfenceVma"), 0x12000073],
    [encode("csrrw", "zero", "mtvec", "t0"), 0x30529073],
    [encode("csrrsi", "a0", "mstatus", 8), 0x30046573],
    [encode("mulhsu", "a0", "a1", "a2"), 0x02c5a533],
    [encode("remuw", "a0", "a1", "a2"), 0x02c5f53b],
    [encode("lrD", "a0", "a1", "aq"), 0x1405b52f],
    [encode("scW", "a0", "a1", "a2", "rl"), 0x1ab6252f],
    [encode("amoaddD", "a0", "a1", "a2", "aqrl"), 0x06b6352f],
    [encode("faddD", "fa0", "fa1", "fa2"), 0x02c5f553],
    [encode("fmaddS", "fa0", "fa1", "fa2", "fa3", "rne"), 0x68c58543],
    [encode("fcvtWD", "a0", "fa0", "rtz"), 0xc2051553],
    [encode("fmvXD", "a0", "fa0"), 0xe2050553],
    [encode("sh3add", "a0", "a1", "a2"), 0x20c5e533],
    [encode("cpop", "a0", "a1"), 0x60259513],
    [encode("rev8", "a0", "a1"), 0x6b85d513],
    [encode("bseti", "a0", "a1", 63), 0x2bf59513],
    [encode("cboZero", "a0"), 0x0045200f],
    [encode("cNop"), 0x0001],
    [encode("cAddi", "sp", -16), 0x1141],
    [encode("cLi", "a0", 0), 0x4501],
    [encode("cJr", "ra"), 0x8082],
    [encode("cSdsp", "ra", 8), 0xe406],
    [encode("cAddi16sp", -64), 0x7139],
    [encode("cEbreak"), 0x9002],
    [encode("cUnimp"), 0],
  ];
  golden.forEach(([actual, expected], index) => {
    assert.is(actual.toString(16), expected.toString(16), `golden word ${index}`);
  });
});

test("an operand that does not fit is refused with its range", () => {
  const refused: [() => number, RegExp][] = [
    [() => encode("addi", "a0", "a0", 2048), /immediate 2048: accepted are -2048 to 2047/],
    [() => encode("slliw", "a0", "a0", 32), /accepted are 0 to 31/],
    [() => encode("beq", "a0", "a0", 4096), /accepted are -4096 to 4094, multiples of 2/],
    [() => encode("beq", "a0", "a0", 3), /multiples of 2/],
    [() => encode("cLw", "t0", "a0", 0), /accepted are 8 to 15/],
    [() => encode("cLw", "a0", "a0", 2), /multiples of 4/],
    [() => encode("cAddi16sp", 0), /accepted is anything else/],
    [() => encode("cLui", "sp", 1), /any other register/],
    [() => encode("cJr", "zero"), /accepted is anything else/],
    [() => encode("add", "a8" as "a7", "a0", "a0"), /integer register a8/],
    [() => encode("add", 32, "a0", "a0"), /integer register 32/],
    [() => encode("csrrw", "a0", 4096, "a0"), /CSR 4096/],
    [() => encode("fence", "x", "w"), /fence set x/],
  ];
  for (const [attempt, message] of refused) {
    assert.throws(attempt, (error: Error & { code: string }) => {
      return error.code === "bad-argument" && message.test(error.message);
    });
  }
});

const AGAINST = "every instruction of the table equals what binutils makes of its text";

testNeeding(test, [CROSS_BINUTILS], AGAINST, () => {
  const pick = generator(SEED);
  const cases = (Object.keys(INSTRUCTIONS) as InstructionName[]).flatMap((name) =>
    Array.from({ length: DRAWS }, () => ({ name, ...instructionCase(name, pick) })),
  );
  const lines = cases.map(({ name, text }) => {
    // Exactly the instruction named: compressed only where the mnemonic asks for it.
    return `.option ${mnemonicOf(name).startsWith("c.") ? "rvc" : "norvc"}\n${text}`;
  });
  const folder = mkdtempSync(join(tmpdir(), "rivulet-asm-"));
  try {
    const [source, object, flat] = ["a.s", "a.o", "a.bin"].map((name) => join(folder, name));
    writeFileSync(source, lines.join("\n") + "\n");
    const march = "rv64imafdc_zicsr_zifencei_zba_zbb_zbs_zicboz";
    execFileSync("riscv64-unknown-elf-as", [`-march=${march}`, source, "-o", object]);
    execFileSync("riscv64-unknown-elf-objcopy", ["-O", "binary", object, flat]);
    const expected = readFileSync(flat);
    let at = 0;
    for (const { name, operands, text } of cases) {
      const word = encodeAny(name, ...operands);
      const isShort = (word & 3) !== 3;
      const wanted = isShort ? expected.readUInt16LE(at) : expected.readUInt32LE(at);
      assert.is(word.toString(16), wanted.toString(16), `${text} (SEED=${SEED})`);
      at += isShort ? 2 : 4;
    }
    assert.is(at, expected.length);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
