/**
 * Disassembler: golden texts, every instruction of the table there and back, and words against
 * riscv64-unknown-elf-objdump, with and without pseudo-instructions.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type DisassembleOptions,
  decode,
  disassemble,
  encode,
  INSTRUCTIONS,
  type InstructionName,
} from "../../src/asm/index.ts";
import { CROSS_BINUTILS, testNeeding } from "../helpers/need.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { instructionCase } from "./operands.ts";

const test = suite("asm/disassemble");
const SEED = seedOf(1);
const DRAWS = 40;
const RANDOM_WORDS = 40_000;
const BASE = 0x80000000n;

const NAMES = Object.keys(INSTRUCTIONS) as InstructionName[];
const encodeAny = encode as (
  name: InstructionName,
  ...operands: readonly (string | number)[]
) => number;
const textOf = (word: number, options?: DisassembleOptions) =>
  disassemble(word, BASE, options).text;

test("golden texts", () => {
  const golden: [number, string][] = [
    [0xff010113, "addi sp,sp,-16"],
    [0x80000537, "lui a0,0x80000"],
    [0x00008067, "ret"],
    [0x00850067, "jr 8(a0)"],
    [0x000500e7, "jalr a0"],
    [0x0080006f, "j 0x80000008"],
    [0xffdff0ef, "jal 0x7ffffffc"],
    [0x00050463, "beqz a0,0x80000008"],
    [0x00a05463, "blez a0,0x80000008"],
    [0x00500513, "li a0,5"],
    [0x00000013, "nop"],
    [0x00058513, "mv a0,a1"],
    [0x00813083, "ld ra,8(sp)"],
    [0x43f55513, "srai a0,a0,63"],
    [0x30051073, "csrw mstatus,a0"],
    [0x30002573, "csrr a0,mstatus"],
    [0x30047573, "csrrci a0,mstatus,8"],
    [0xb1f02573, "csrr a0,mhpmcounter31"],
    [0x7c002573, "csrr a0,0x7c0"],
    [0xc0102573, "rdtime a0"],
    [0x00259573, "fsrm a0,a1"],
    [0xc0001073, "unimp"],
    [0x12000073, "sfence.vma"],
    [0x0ff0000f, "fence"],
    [0x0330000f, "fence rw,rw"],
    [0x0100000f, "pause"],
    [0x1ab6252f, "sc.w.rl a0,a1,(a2)"],
    [0x1605a52f, "lr.w.aqrl a0,(a1)"],
    [0x00c5f553, "fadd.s fa0,fa1,fa2"],
    [0x00c58553, "fadd.s fa0,fa1,fa2,rne"],
    [0x22b59553, "fneg.d fa0,fa1"],
    [0x0045200f, "cbo.zero (a0)"],
    [0x0000157d, "addi a0,a0,-1"],
    [0x00008082, "ret"],
    [0x0000757d, "lui a0,0xfffff"],
    [0x00000001, "nop"],
    [0x00000000, "unimp"],
    [0x0000000d, "c.nop 3"],
    [0x00000502, "c.slli64 a0"],
    [0xffffffff, ".4byte 0xffffffff"],
    [0x00c5d553, ".4byte 0x00c5d553"],
    [0x00009c41, ".2byte 0x9c41"],
    [0x00002001, ".2byte 0x2001"],
  ];
  for (const [word, text] of golden) assert.is(textOf(word), text);
  assert.is(textOf(0x157d, { isCanonical: true }), "c.addi a0,-1");
  assert.is(textOf(0x00500513, { isCanonical: true }), "addi a0,zero,5");
});

test("length, operands and target come with the text; what lies behind a short one is ignored", () => {
  const { text, bytes, instruction, target } = disassemble(0x1234c501, 0x1000n);
  assert.equal([text, bytes, target], ["beqz a0,0x1008", 2, 0x1008n]);
  assert.equal(instruction, { name: "cBeqz", operands: ["a0", 8] });
  assert.equal(disassemble(0xffffffff, 0n).instruction, null);
  assert.is(disassemble(0xffdff06f, 0n).target, 2n ** 64n - 4n);
  assert.is(disassemble(0x00008067, 0n).target, null);
});

test("what the assembler makes, the decoder takes apart into the same operands", () => {
  const random = new Random(SEED);
  for (const name of NAMES) {
    for (let draw = 0; draw < DRAWS; draw++) {
      const { operands } = instructionCase(name, (bound) => random.below(bound));
      const word = encodeAny(name, ...operands);
      const found = decode(word);
      assert.ok(found !== null, `${name} ${operands} (SEED=${SEED})`);
      assert.equal(normal(found.operands, found.name), normal(operands, name), `SEED=${SEED}`);
    }
  }
});

/** Operands as decode gives them: the name comes first, a distance within pages unsigned. */
function normal(operands: readonly (string | number)[], name: InstructionName) {
  // c.addi of x0 by 0 is c.nop
  if (name === "cAddi" && operands[0] === "zero" && operands[1] === 0) return ["cNop"];
  return [name, ...operands];
}

/** Fields that the table fixes and the text does not show: FCVT.D.W[U] is exact in any mode. */
const isExactConversion = (name: InstructionName) => ["fcvtDW", "fcvtDWu", "fcvtDS"].includes(name);

test("what is decoded from any halfword or random word is encoded as the same", () => {
  const random = new Random(SEED);
  let known = 0;
  for (let draw = 0; draw < 65536 + RANDOM_WORDS; draw++) {
    const word = draw < 65536 ? draw : (random.below(2 ** 32) | 3) >>> 0;
    if (draw < 65536 && (draw & 3) === 3) continue;
    const found = decode(word);
    if (found === null) continue;
    known++;
    if (isExactConversion(found.name)) continue;
    const again = encodeAny(found.name, ...found.operands);
    assert.is(again, word, `0x${word.toString(16)} ${found.name} (SEED=${SEED})`);
  }
  assert.ok(known > 40_000, `${known} words decoded`);
});

// ---- against binutils ----

/** Words that are likely to be instructions: those of the table with some bits flipped. */
function likelyWords(random: Random): number[] {
  return NAMES.flatMap((name) =>
    Array.from({ length: DRAWS * 2 }, (_, index) => {
      const { operands } = instructionCase(name, (bound) => random.below(bound));
      const word = encodeAny(name, ...operands);
      if ((word & 3) !== 3) return word;
      return index < DRAWS ? word : (word ^ (1 << (7 + random.below(25)))) >>> 0;
    }),
  );
}

const MARCH = "rv64imafdc_zicsr_zifencei_zba_zbb_zbs_zicboz_zihintpause";

/** Text of each word by objdump, at addresses that follow each other from BASE. */
function objdump(words: readonly number[], options: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-disassemble-"));
  try {
    const [source, object] = ["a.s", "a.o"].map((name) => join(folder, name));
    writeFileSync(source, words.map((word) => `.insn 0x${word.toString(16)}`).join("\n") + "\n");
    execFileSync("riscv64-unknown-elf-as", [`-march=${MARCH}`, source, "-o", object]);
    const more = ["-d", "-z", `--adjust-vma=0x${BASE.toString(16)}`, ...options, object];
    const output = execFileSync("riscv64-unknown-elf-objdump", more, {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    return output
      .split("\n")
      .map((line) => line.split("\t"))
      .filter(([address]) => /^ *[0-9a-f]+:$/.test(address))
      .map(([, , ...text]) => text.join(" "));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Reserved, and yet binutils name it. */
const C_ADDI16SP_0 = 0x6101;

/** Instructions of old drafts that binutils still name. */
const WITHDRAWN = /^(uret|hret|sfence.vm)\b(?!a)/;

/**
 * One spelling for both: numbers in decimal, no symbol behind an address and no comment; and what
 * binutils of 2.40 spell otherwise.
 */
function plain(text: string, isBinutils: boolean): string {
  const bare = text.replace(/ *(<[^>]*>|#.*)/g, "").trim();
  const words = bare.replaceAll(/\b0x[0-9a-f]+|\b[0-9a-f]{8,}$/g, (number) =>
    String(Number(number.startsWith("0x") ? number : `0x${number}`)),
  );
  if (!isBinutils) return words;
  return words
    .replace(/^jalr (\w+),(\w+)$/, "jalr $1,0($2)")
    .replace(/^add (\w+),\1,0$/, "mv $1,$1")
    .replace(/^c.addi zero,0$/, "c.nop")
    .replace(/^(fs\w+) zero,/, "$1 ");
}

/** A mnemonic that binutils write without its i: `add` for `addi`, when the last is a number. */
function withoutI(text: string): string {
  return /,-?\d+$/.test(text)
    ? text.replace(
        /^(add|and|or|xor|sll|srl|sra|ror|slt|bset|bclr|binv|bext|csrr[wsc]?|csr[wsc])i(w|u)?\b/,
        "$1$2",
      )
    : text;
}

/** True when both texts say the same; or one side has no name for a CSR. */
function isEqual(ours: string, theirs: string): boolean {
  if (WITHDRAWN.test(theirs)) return ours.startsWith(".4byte");
  if (theirs.includes("unknown")) {
    return theirs.startsWith("fence")
      ? ours === theirs.replaceAll("unknown", "0")
      : ours.startsWith(".");
  }
  if (ours === theirs) return true;
  // a CSR that one side has no name for
  const [left, right] = [ours, theirs].map((text) => text.split(/[ ,]/));
  if (!/^(csr|fs|fr|rd)/.test(ours) || left.length !== right.length) return false;
  const differing = left.filter((word, index) => word !== right[index]);
  const others = right.filter((word, index) => word !== left[index]);
  return differing.length === 1 && /^\d+$/.test(differing[0]) !== /^\d+$/.test(others[0]);
}

function compare(words: readonly number[], isCanonical: boolean): number {
  const theirs = objdump(words, isCanonical ? ["-M", "no-aliases"] : []);
  assert.is(theirs.length, words.length);
  let at = BASE;
  let known = 0;
  const differing: string[] = [];
  words.forEach((word, index) => {
    const { text, bytes, instruction } = disassemble(word, at, { isCanonical });
    const [left, right] = [plain(text, false), plain(theirs[index], true)];
    const isSame =
      isEqual(left, right) || (!isCanonical && isEqual(withoutI(left), withoutI(right)));
    if (!isSame && !(instruction !== null && isExactConversion(instruction.name))) {
      differing.push(`0x${word.toString(16)}: "${text}", objdump "${theirs[index]}"`);
    }
    if (instruction !== null) known++;
    at += BigInt(bytes);
  });
  assert.equal(differing.slice(0, 20), [], `SEED=${SEED}`);
  return known;
}

for (const isCanonical of [false, true]) {
  const how = isCanonical ? "without pseudo-instructions" : "as people read it";
  const title = `objdump reads every halfword and likely words the same way, ${how}`;
  testNeeding(test, [CROSS_BINUTILS], title, () => {
    const random = new Random(SEED);
    const halfwords = Array.from({ length: 49152 }, (_, index) => {
      return Math.floor(index / 3) * 4 + (index % 3);
    }).filter((word) => word !== C_ADDI16SP_0);
    assert.ok(compare([...halfwords, ...likelyWords(random)], isCanonical) > 50_000);
  });
}

test.run();
