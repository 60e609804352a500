/**
 * symbols: names for addresses, from a System.map and from an ELF file, both ways.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseSymbols } from "../../src/index.ts";
import { elfProgram, RAM } from "../helpers/guest-program.ts";
import { throwsCode } from "./refusal.ts";

const test = suite("debug/symbols");
const bytes = (text: string) => new TextEncoder().encode(text);

const MAP = `ffffffff80000000 T _start
ffffffff80000000 T _text
ffffffff80001000 t middle
ffffffff80001010 T start_kernel
0000000000000000 A absolute
ffffffff80001020 t $x
`;

test("a System.map: names to addresses and back, with offsets", () => {
  const table = parseSymbols(bytes(MAP));
  assert.is(table.size, 6);
  assert.is(table.addressOf("start_kernel"), 0xffffffff80001010n);
  assert.is(table.addressOf("nobody"), undefined);
  assert.is(table.nameOf(0xffffffff80000000n), "_start", "the first of two");
  assert.is(table.nameOf(0xffffffff8000100en), "middle+0xe");
  assert.is(table.nameOf(0xffffffff80001024n), "start_kernel+0x14", "mapping symbols are no names");
  assert.is(table.nameOf(0xffffffff7fffffffn), null);
  assert.is(table.nameOf(0xffffffffa0000000n), null, "too far from any");
});

test("an ELF file", () => {
  const file = elfProgram((a) => {
    a.label("entry");
    a.nop();
    a.label("behind");
    a.nop();
  });
  const table = parseSymbols(file);
  assert.is(table.addressOf("behind"), BigInt(RAM + 4));
  assert.is(table.nameOf(BigInt(RAM + 6)), "behind+0x2");
});

test("what is neither is refused with the line", () => {
  throwsCode(() => parseSymbols(bytes("hello\n")), "bad-file", /line 1, "hello"/);
  // what Debian's kernel packages have in the place of one
  const empty =
    "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n";
  throwsCode(() => parseSymbols(bytes(empty)), "bad-file", /line 1, "ffffffffffffffff B The real/);
  throwsCode(() => parseSymbols(bytes("")), "bad-file", /names no symbols/);
  throwsCode(() => parseSymbols(bytes("\x7fELF")), "bad-file", /truncated/);
});

test.run();
