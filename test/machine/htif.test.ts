/**
 * htif: exit codes, console, proxied system calls, and commands that make no sense.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import type { RunResult } from "../../src/node.ts";
import { collectOutput, elfProgram, emitHang, smallHost } from "../helpers/guest-program.ts";

const test = suite("machine/htif");
const BUDGET = 100_000;

/** Runs a guest whose labels include tohost, fromhost and `words` (8 doublewords). */
async function run(
  build: (a: Assembler) => void,
): Promise<{ result: RunResult; output: string; words: bigint[]; fromhost: bigint }> {
  const host = await smallHost();
  const kernel = elfProgram((a) => {
    build(a);
    emitHang(a);
    a.align(64);
    for (const name of ["tohost", "fromhost"]) {
      a.label(name);
      a.space(8);
    }
    a.label("words");
    a.space(64);
    a.label("text");
    a.ascii("proxied");
  });
  const machine = host.createMachine({ kernel, htif: true, memoryBytes: "2M" });
  const output = collectOutput(machine);
  await machine.boot();
  const result = await machine.run(BUDGET);
  const { memory } = machine.view;
  const tohost = Number(machine.view.getNumber(80));
  const words = Array.from(
    { length: 8 },
    (_, index) => memory.readU64(tohost + 16 + index * 8) ?? 0n,
  );
  return { result, output: output.text, words, fromhost: memory.readU64(tohost + 8) ?? 0n };
}

function command(a: Assembler, value: bigint): void {
  a.la("t0", "tohost");
  a.li("t1", value);
  a.sd("t1", "t0", 0);
}

/** A proxied call: number and three arguments; a string stands for a label's address. */
function proxy(a: Assembler, ...words: (bigint | string)[]): void {
  a.la("t0", "words");
  words.forEach((word, index) => {
    if (typeof word === "string") a.la("t1", word);
    else a.li("t1", word);
    a.sd("t1", "t0", index * 8);
  });
  a.la("t1", "tohost");
  a.sd("t0", "t1", 0);
}

test("exit codes", async () => {
  for (const [value, code] of [
    [1n, 0],
    [3n, 1],
    [0x55n, 42],
    [(1337n << 1n) | 1n, 1337],
    [0xffff_ffff_ffffn, 0x7fff_ffff],
  ] as const) {
    const { result } = await run((a) => command(a, value));
    assert.equal(result, { kind: "htif", code });
  }
});

test("a 32-bit store of the exit code counts", async () => {
  const { result } = await run((a) => {
    a.la("t0", "tohost");
    a.li("t1", 7);
    a.sw("t1", "t0", 0);
  });
  assert.equal(result, { kind: "htif", code: 3 });
});

test("the console device prints bytes and answers", async () => {
  const { result, output, fromhost } = await run((a) => {
    for (const letter of "hi") command(a, (0x0101n << 48n) | BigInt(letter.charCodeAt(0)));
    command(a, 1n);
  });
  assert.equal(result, { kind: "htif", code: 0 });
  assert.is(output, "hi");
  assert.is(fromhost, 0x0101n << 48n);
});

test("write prints, answers with the count, and lets the guest go on", async () => {
  const { result, output, words, fromhost } = await run((a) => {
    proxy(a, 64n, 1n, "text", 7n);
    a.la("t0", "tohost");
    a.ld("t2", "t0", 0);
    a.seqz("t2", "t2");
    a.slli("t2", "t2", 2);
    a.ori("t2", "t2", 1);
    a.sd("t2", "t0", 0);
  });
  assert.equal(result, { kind: "htif", code: 2 }, "tohost was not zero after the call");
  assert.is(output, "proxied");
  assert.is(words[0], 7n);
  assert.is(fromhost, 1n);
});

test("exit as a system call", async () => {
  const { result } = await run((a) => proxy(a, 93n, 5n));
  assert.equal(result, { kind: "htif", code: 5 });
});

test("calls that cannot be served answer with an error", async () => {
  const signed = (value: bigint) => BigInt.asIntN(64, value);
  const answer = async (...words: (bigint | string)[]) => {
    const { output, words: after } = await run((a) => {
      proxy(a, ...words);
      command(a, 1n);
    });
    assert.is(output, "");
    return signed(after[0]);
  };
  assert.is(await answer(64n, 5n, "text", 7n), -9n);
  assert.is(await answer(64n, 1n, 0n, 7n), -14n);
  assert.is(await answer(64n, 1n, "text", 1n << 40n), -14n);
  assert.is(await answer(64n, 1n, -8n, 7n), -14n);
  assert.is(await answer(1234n), -38n);
});

test("commands that make no sense change nothing", async () => {
  for (const value of [0x1000n, 0x8000_0000_0000n, 0x0102n << 48n, 0xff00n << 48n, 6n]) {
    const { result, output } = await run((a) => {
      command(a, value);
      command(a, 9n);
    });
    assert.equal(result, { kind: "htif", code: 4 });
    assert.is(output, "");
  }
});

/** Word stores to tohost: offset and value. */
function words(a: Assembler, ...stores: (readonly [number, number])[]): void {
  a.la("t0", "tohost");
  for (const [offset, value] of stores) {
    a.li("t1", value);
    a.sw("t1", "t0", offset);
  }
}

test("console bytes in two words, in either order, and a code behind them", async () => {
  const print = 0x0101_0000;
  const { result, output } = await run((a) => {
    for (const byte of [10, 0x52, 0x43, 0x43]) words(a, [0, byte], [4, print]);
    for (const byte of [0x53, 0x53, 10]) words(a, [4, print], [0, byte], [4, 0]);
    words(a, [0, 1], [4, 0]);
  });
  assert.is(output, "\nRCCSS\n");
  assert.equal(result, { kind: "htif", code: 0 });
});

test("an exit code that could be a byte, by one word", async () => {
  const code = 0x43;
  const twice = [
    [0, code],
    [0, code],
  ] as const;
  for (const stores of [
    [[0, code]],
    [
      [0, code],
      [4, 0],
    ],
    twice,
  ] as const) {
    for (const isWaiting of [false, true]) {
      const { result } = await run((a) => {
        words(a, ...stores);
        if (isWaiting) a.wfi();
      });
      assert.equal(result, { kind: "htif", code: 0x21 });
    }
  }
});

test.run();
