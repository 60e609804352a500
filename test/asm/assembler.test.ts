/**
 * The assembler around its encoder: constants of any 64-bit value (executed by a four-instruction
 * reference), labels and their errors, data, and the ELF file that it writes.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Assembler, elf64, encode } from "../../src/asm/index.ts";
import { CROSS_BINUTILS, testNeeding } from "../helpers/need.ts";

const test = suite("asm/assembler");

/** Words of the instructions that `li a0` may use, executed. */
function runConstant(words: Uint32Array): bigint {
  let a0 = 0n;
  for (const word of words) {
    assert.is((word >>> 7) & 31, 10, "writes a0");
    const immediate = BigInt(word | 0) >> 20n;
    const source = ((word >>> 15) & 31) === 10 ? a0 : 0n;
    const opcode = (word & 0x7f) | (word & 0x7000);
    if ((word & 0x7f) === 0x37) a0 = BigInt(word & ~0xfff);
    else if (opcode === 0x0013) a0 = source + immediate;
    else if (opcode === 0x001b) a0 = BigInt.asIntN(32, source + immediate);
    else if (opcode === 0x1013) a0 = source << BigInt((word >>> 20) & 63);
    else assert.unreachable(`word ${word.toString(16)} in a constant`);
    a0 = BigInt.asIntN(64, a0);
  }
  return BigInt.asUintN(64, a0);
}

function constants(): bigint[] {
  const values: bigint[] = [];
  for (let bit = 0n; bit < 64n; bit++) {
    for (const delta of [-0x801n, -0x800n, -1n, 0n, 1n, 0x7ffn, 0x800n, 0xfffn]) {
      values.push((1n << bit) + delta, -(1n << bit) + delta);
    }
  }
  let state = 0x9e3779b97f4a7c15n;
  for (let count = 0; count < 2000; count++) {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    values.push(state, state >> BigInt(count % 64));
  }
  return values.map((value) => BigInt.asUintN(64, value));
}

test("li loads every 64-bit constant in at most 8 instructions", () => {
  for (const value of constants()) {
    const a = new Assembler();
    a.li("a0", value);
    const { bytes } = a.assemble();
    const words = new Uint32Array(bytes.buffer, 0, bytes.length / 4);
    assert.is(runConstant(words), value, `li ${value.toString(16)}`);
    assert.ok(words.length >= 1 && words.length <= 8, `${words.length} instructions`);
  }
});

test("li refuses what is not a 64-bit integer", () => {
  for (const value of [1 << 31, -1, 2 ** 53 - 1, -(1n << 63n), (1n << 64n) - 1n]) {
    new Assembler().li("a0", value);
  }
  for (const value of [2 ** 53, 0.5, Number.NaN, 1n << 64n, -(1n << 63n) - 1n]) {
    assert.throws(() => new Assembler().li("a0", value), /accepted are safe integers and bigints/);
  }
});

test("labels are resolved forwards and backwards, also by short jumps", () => {
  const a = new Assembler({ base: 0x1000 });
  a.label("start");
  a.beq("a0", "a1", "end");
  a.j("start");
  a.cJ("end");
  a.cBeqz("a0", "start");
  a.label("end");
  a.call("start");
  const { bytes, symbols } = a.assemble();
  const view = new DataView(bytes.buffer);
  assert.is(view.getUint32(0, true), encode("beq", "a0", "a1", 12));
  assert.is(view.getUint32(4, true), encode("jal", "zero", -4));
  assert.is(view.getUint16(8, true), encode("cJ", 4));
  assert.is(view.getUint16(10, true), encode("cBeqz", "a0", -10));
  assert.is(view.getUint32(12, true), encode("auipc", "ra", 0));
  assert.is(view.getUint32(16, true), encode("jalr", "ra", "ra", -12));
  assert.equal(
    [...symbols],
    [
      ["start", 0x1000n],
      ["end", 0x100cn],
    ],
  );
});

test("la reaches labels on both sides of the 2 KiB rounding", () => {
  for (const gap of [0, 0x7f0, 0x7f8, 0x800, 0x1000, 0x12345]) {
    const a = new Assembler({ base: 0xffffffc000000000n });
    a.la("a0", "there", 4);
    a.space(gap);
    a.label("there");
    const { bytes, symbols } = a.assemble();
    const view = new DataView(bytes.buffer);
    const high = BigInt(view.getInt32(0, true) & ~0xfff);
    const low = BigInt(view.getInt32(4, true) >> 20);
    assert.is(BigInt.asUintN(64, a.base + high + low), symbols.get("there")! + 4n);
  }
});

test("wrong labels are reported by name", () => {
  const twice = new Assembler();
  twice.label("one");
  assert.throws(() => twice.label("one"), /label one is defined twice/);
  const missing = new Assembler();
  missing.j("nowhere");
  assert.throws(() => missing.assemble(), /label nowhere, used at 0x80000000, is not defined/);
  for (const [gap, isFine] of [
    [4090, true],
    [4092, false],
  ] as const) {
    const far = new Assembler();
    far.beq("a0", "a1", "far");
    far.space(gap);
    far.label("far");
    if (isFine) far.assemble();
    else assert.throws(() => far.assemble(), /beq at 0x80000000 to far: distance 4096, accepted/);
  }
});

test("data, alignment and padding", () => {
  const a = new Assembler();
  a.u8(1, -1);
  a.align(4);
  a.u16(0x1234);
  a.alignCode(8);
  a.label("here");
  a.u64("here", -1n);
  a.asciz("hi");
  a.padTo(0x80000020);
  const hex = [...a.assemble().bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const expected =
    "01ff0000" + "34120100" + "0800008000000000" + "ffffffffffffffff" + "686900" + "0000000000";
  assert.is(hex, expected);
  assert.throws(() => a.padTo(0x80000000), /accepted is 0x80000020 or later/);
  assert.throws(() => a.align(3), /powers of two/);
  assert.throws(() => a.u8(256), /u8 256/);
});

function exampleElf(): Uint8Array {
  const a = new Assembler();
  a.label("_start");
  a.j("_start");
  a.label("tohost");
  a.u64(0);
  const { base, bytes, symbols } = a.assemble();
  const data = { address: 0x80002345n, bytes: Uint8Array.of(1, 2, 3), memoryBytes: 64 };
  const code = { address: base, bytes, flags: "rx" };
  return elf64({ entry: "_start", segments: [code, data], symbols });
}

test("the ELF header, segments and contents are where the format says", () => {
  const file = exampleElf();
  const view = new DataView(file.buffer);
  assert.is(view.getUint32(0, false), 0x7f454c46);
  assert.is(view.getUint16(18, true), 243);
  assert.is(view.getBigUint64(24, true), 0x80000000n);
  assert.is(view.getUint16(56, true), 2);
  const second = 64 + 56;
  const offset = Number(view.getBigUint64(second + 8, true));
  assert.is(offset % 4096, 0x345);
  assert.equal([...file.subarray(offset, offset + 3)], [1, 2, 3]);
  assert.is(view.getBigUint64(second + 40, true), 64n);
  assert.throws(() => elf64({ entry: "main", segments: [] }), /entry main/);
});

const READS = "readelf finds the entry, both segments and every symbol";
testNeeding(test, [CROSS_BINUTILS], READS, () => {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-elf-"));
  try {
    const path = join(folder, "a.elf");
    writeFileSync(path, exampleElf());
    const options = ["-W", "-h", "-l", "-s", path];
    const text = execFileSync("riscv64-unknown-elf-readelf", options, { encoding: "utf8" });
    assert.match(text, /Entry point address: +0x80000000/);
    assert.match(text, /LOAD +0x001000 0x0+80000000 0x0+80000000 0x00000c 0x00000c R E/);
    assert.match(text, /LOAD +0x001345 0x0+80002345 0x0+80002345 0x000003 0x000040 RWE/);
    assert.match(text, /0+80000004 .* tohost/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
