/**
 * lz4: blocks that the reference implementation reads and writes, and blocks that are none.
 */
import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LZ4_TABLE_BYTES } from "../../assembly/layout.ts";
import { LZ4, testNeeding } from "../helpers/need.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { legacyBlocks, legacyFile, readBlock } from "./lz4-reference.ts";
import { Bench, PAGE, sameBytes } from "./pages.ts";

const test = suite("memory/lz4");
const SEED = seedOf(44);
const PIECE = 65536;
const bench = await Bench.create();
const { exports } = bench;

/** Compresses into `limit` bytes with guards around; null when they are not enough. */
function compress(bytes: Uint8Array, limit: number): Uint8Array | null {
  bench.reset();
  const source = bench.lastPiece(bytes.length);
  const target = bench.piece(limit, 9);
  const table = bench.piece(LZ4_TABLE_BYTES);
  source.bytes.set(bytes);
  const { at } = source;
  const count = exports.lz4Compress(at, bytes.length, target.at, limit, table.at) >>> 0;
  bench.check();
  sameBytes(source.bytes, bytes, "the source");
  return count === 0 ? null : target.bytes.slice(0, count);
}

/** Decompresses into `limit` bytes with guards around; null when it is refused. */
function decompress(block: Uint8Array, limit: number): Uint8Array | null {
  bench.reset();
  const source = bench.lastPiece(block.length);
  const target = bench.piece(limit, 1);
  source.bytes.set(block);
  const count = exports.lz4Decompress(source.at, block.length, target.at, limit) >>> 0;
  bench.check();
  return count === 0 ? null : target.bytes.slice(0, count);
}

const roomFor = (bytes: number) => bytes + Math.ceil(bytes / 255) + 16;

/** Bytes of some kind that guests have: zeros, text, code, tables, noise, periods. */
function someBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const kind = random.below(6);
  const words = Array.from({ length: 40 }, () =>
    Uint8Array.from({ length: random.between(1, 12) }, () => random.between(97, 122)),
  );
  for (let at = 0; at < length; ) {
    if (kind === 0) {
      bytes[random.below(length)] = random.u32();
      at += random.between(1, 400);
    } else if (kind === 1) {
      const word = random.pick(words).subarray(0, length - at);
      bytes.set(word, at);
      at += word.length + 1;
    } else if (kind === 2) {
      bytes[at++] = random.u32();
    } else if (kind === 3) {
      bytes[at] = at % 8 === 0 ? random.u32() : at % 8 < 5 ? at >> 6 : 0;
      at++;
    } else if (kind === 4) {
      const period = random.between(1, 40);
      const end = Math.min(length, at + random.between(1, 700));
      for (const first = at; at < end; at++) {
        bytes[at] = at < first + period ? random.u32() : bytes[at - period];
      }
    } else {
      // runs of literals and matches of lengths around what four bits and a byte hold
      const count = random.pick([1, 4, 14, 15, 16, 18, 19, 20, 269, 270, 271, 273, 274, 525]);
      const end = Math.min(length, at + count);
      const isMatch = random.chance(50) && at > 0;
      const from = random.below(Math.max(at, 1));
      for (let n = 0; at < end; n++, at++) bytes[at] = isMatch ? bytes[from + n] : random.u32();
    }
  }
  return bytes;
}

const SIZES = [1, 2, 4, 5, 11, 12, 13, 14, 17, 18, 100, PAGE - 1, PAGE, PAGE, PAGE, 9999, PIECE];

test("what is compressed is decompressed, by the reference reader too, and keeps the rules of the end", () => {
  const random = new Random(SEED);
  let shorter = 0;
  for (let round = 0; round < 300; round++) {
    const what = `SEED=${SEED}, round ${round}`;
    const length = round % 3 === 0 ? random.between(1, 300) : random.pick(SIZES);
    const bytes = someBytes(random, length);
    const block = compress(bytes, roomFor(length));
    if (block === null) throw new Error(`${what}: no room`);
    const read = readBlock(block, length);
    sameBytes(read?.bytes ?? block, bytes, `${what}, by the reference`);
    assert.ok(read?.isEndKept, what);
    sameBytes(decompress(block, length) ?? block, bytes, what);
    sameBytes(decompress(block, length + 100) ?? block, bytes, `${what}, with room`);
    assert.is(decompress(block, length - 1), null, what);
    if (block.length < length / 2) shorter++;
  }
  assert.ok(shorter > 50, `${shorter} of 300 to less than half`);
});

test("a limit is kept to the byte", () => {
  const random = new Random(SEED + 1);
  for (let round = 0; round < 60; round++) {
    const bytes = someBytes(random, random.pick(SIZES));
    const whole = compress(bytes, roomFor(bytes.length)) ?? bytes;
    const what = `SEED=${SEED}, round ${round}`;
    sameBytes(compress(bytes, whole.length) ?? bytes, whole, what);
    for (const less of [1, 2, 3, 16, 17, whole.length]) {
      if (less <= whole.length) assert.is(compress(bytes, whole.length - less), null, what);
    }
  }
});

test("nothing, and more than 64 KiB, is no piece", () => {
  bench.reset();
  const piece = bench.piece(1 << 17);
  assert.is(exports.lz4Compress(piece.at, 0, piece.at, 1 << 17, piece.at), 0);
  assert.is(exports.lz4Compress(piece.at, PIECE + 1, piece.at, 1 << 17, piece.at), 0);
});

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("blocks written by hand", () => {
  const read = (block: string, limit = 1000) => {
    const got = decompress(hex(block), limit);
    return got === null ? null : Buffer.from(got).toString("latin1");
  };
  assert.is(read("10 61"), "a");
  assert.is(read("1f 61 0100 00 50 6262626262"), `${"a".repeat(20)}bbbbb`);
  assert.is(read("20 6162 0200 10 63"), "abababc");
  assert.is(read("31 616263 0300 00 50 6262626262"), null, "a block ends when its bytes do");
  assert.is(read("31 616263 0300 50 6262626262"), "abcabcabbbbbb");
  assert.is(read(`f0 00 ${"61".repeat(15)}`), "a".repeat(15));
  assert.is(read(`f0 f1 ${"61".repeat(256)}`), "a".repeat(256));
  assert.is(read(`f0 ff00 ${"61".repeat(270)}`), "a".repeat(270));
  for (const [why, block] of Object.entries({
    "no bytes": "",
    "literals are missing": "20 61",
    "a length is missing": "f0",
    "a length goes on": "f0 ff",
    "no offset": "10 61 01",
    "offset 0": "10 61 0000 50 6262626262",
    "before the beginning": "10 61 0200 50 6262626262",
    "ends with a match": "10 61 0100",
    "a match's length is missing": "1f 61 0100",
    "more than the limit": `1f 61 0100 ${"ff".repeat(10)} 00 10 61`,
    "a bomb": `1f 61 0100 ${"ff".repeat(20000)} 00 10 61`,
  })) {
    assert.is(read(block), null, why);
  }
  // an empty block is one byte and holds nothing: no piece
  assert.is(read("00"), null);
});

test("what is no block is refused as the reference reader does, and nothing is written outside", () => {
  const random = new Random(SEED + 2);
  const tally = { taken: 0, refused: 0 };
  for (let round = 0; round < 6000; round++) {
    let block: Uint8Array;
    const limit = random.pick([1, 16, 100, 400]);
    if (round % 2 === 0) {
      block = Uint8Array.from({ length: random.between(1, 60) }, () =>
        random.chance(40) ? random.pick([0, 1, 2, 4, 0x10, 0x11, 0x1f, 0xf0, 0xff]) : random.u32(),
      );
    } else {
      const bytes = someBytes(random, limit);
      block = compress(bytes, roomFor(limit)) ?? bytes;
      block = block.slice(0, random.chance(70) ? block.length : random.below(block.length));
      for (let n = random.below(3); n > 0 && block.length > 0; n--) {
        block[random.below(block.length)] = random.chance(50) ? random.u32() : random.below(20);
      }
    }
    const what = `SEED=${SEED}, round ${round}, ${limit}, ${Buffer.from(block).toString("hex")}`;
    const read = readBlock(block, limit);
    const got = decompress(block, limit);
    // an empty piece is none
    const meant = read === null || read.bytes.length === 0 ? null : read.bytes;
    if (meant === null || got === null) assert.is(got, meant, what);
    else sameBytes(got, meant, what);
    tally[got === null ? "refused" : "taken"]++;
  }
  assert.ok(tally.taken > 500 && tally.refused > 500, JSON.stringify(tally));
});

// ---- the reference implementation ----

function lz4(args: readonly string[], input: Uint8Array): Uint8Array {
  const done = spawnSync("lz4", args, { input, maxBuffer: 1 << 26 });
  assert.is(done.status, 0, `lz4 ${args.join(" ")}: ${done.stderr}`);
  return new Uint8Array(done.stdout);
}

testNeeding(test, [LZ4], "the lz4 program reads our blocks", () => {
  const random = new Random(SEED + 3);
  const pieces = Array.from({ length: 300 }, () => someBytes(random, random.pick(SIZES)));
  const blocks = pieces.map((piece) => compress(piece, roomFor(piece.length)) ?? piece);
  const got = lz4(["-d", "-c"], legacyFile(blocks));
  sameBytes(got, new Uint8Array(Buffer.concat(pieces)), `SEED=${SEED}`);
});

testNeeding(test, [LZ4], "we read the lz4 program's blocks, at every effort", () => {
  const random = new Random(SEED + 4);
  for (let level = 1; level <= 12; level++) {
    for (let round = 0; round < 3; round++) {
      const bytes = someBytes(random, random.pick([PAGE, PIECE]));
      const [block, ...none] = legacyBlocks(lz4(["-l", `-${level}`, "-c"], bytes));
      assert.is(none.length, 0);
      const what = `SEED=${SEED}, level ${level}`;
      sameBytes(decompress(block, bytes.length) ?? block, bytes, what);
    }
  }
});

testNeeding(test, [LZ4], "we compress text and tables about as well as it does", () => {
  const random = new Random(SEED + 5);
  const [ours, theirs] = [0, 0].map(() => ({ bytes: 0 }));
  for (let round = 0; round < 10; round++) {
    const bytes = someBytes(random, PIECE);
    ours.bytes += compress(bytes, roomFor(PIECE))?.length ?? PIECE;
    theirs.bytes += legacyBlocks(lz4(["-l", "-1", "-c"], bytes))[0].length;
  }
  assert.ok(ours.bytes < theirs.bytes * 1.1, `${ours.bytes} bytes, lz4 -1 ${theirs.bytes}`);
});

test("bytes that repeat a text are found", () => {
  const text = bytesOf("the quick brown fox jumps over the lazy dog. ".repeat(100));
  assert.ok((compress(text, text.length) ?? text).length < 100);
});

test.run();
