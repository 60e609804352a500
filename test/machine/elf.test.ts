/**
 * elf: good files as written by rivulet/asm, and every way of being bad that issue 2 section 5
 * lists.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { elf64 } from "../../src/asm/elf.ts";
import { VmError } from "../../src/errors.ts";
import { isElf, parseElf } from "../../src/machine/elf.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("machine/elf");
const RAM = { start: 0x8000_0000, end: 0x8010_0000 };

function goodFile(): Uint8Array {
  return elf64({
    entry: 0x8000_0004,
    segments: [
      { address: 0x8000_0000, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      { address: 0x8000_2000, bytes: Uint8Array.of(9), memoryBytes: 4096 },
    ],
    symbols: [
      ["tohost", 0x8000_2000],
      ["fromhost", 0x8000_2040],
    ],
  });
}

/** A good file with one field changed. */
function changed(change: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const bytes = goodFile();
  change(new DataView(bytes.buffer), bytes);
  return bytes;
}

function refuses(bytes: Uint8Array, text: RegExp): void {
  try {
    parseElf(bytes, RAM);
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, "bad-file");
    assert.match(error.message, text);
    return;
  }
  assert.unreachable(`accepted, expected ${text}`);
}

const PROGRAM_HEADER = 64;
const SECOND_HEADER = 64 + 56;

test("reads entry, segments and symbols", () => {
  const program = parseElf(goodFile(), RAM);
  assert.is(program.entry, 0x8000_0004);
  assert.is(program.segments.length, 2);
  assert.equal([...program.segments[0].bytes], [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.is(program.segments[1].memoryBytes, 4096);
  assert.is(program.symbols.get("tohost"), 0x8000_2000);
  assert.is(program.symbols.get("fromhost"), 0x8000_2040);
});

test("a virtual entry moves with its segment", () => {
  const high = 0xffff_ffff_8000_0000n;
  const file = elf64({
    entry: high + 0x10n,
    segments: [{ address: high, physicalAddress: 0x8000_4000, bytes: new Uint8Array(64) }],
  });
  assert.is(parseElf(file, RAM).entry, 0x8000_4010);
});

test("every truncation is refused", () => {
  const good = goodFile();
  for (let length = 0; length < good.length; length++) {
    const cut = good.slice(0, length);
    if (isElf(cut)) refuses(cut, /truncated/);
    else refuses(cut, /magic/);
  }
});

test("wrong identity", () => {
  refuses(
    changed((_, bytes) => (bytes[0] = 0)),
    /magic/,
  );
  refuses(
    changed((_, bytes) => (bytes[4] = 1)),
    /class 1: accepted is 2/,
  );
  refuses(
    changed((_, bytes) => (bytes[5] = 2)),
    /byte order 2/,
  );
  refuses(
    changed((view) => view.setUint16(16, 1, true)),
    /type 1/,
  );
  refuses(
    changed((view) => view.setUint16(18, 62, true)),
    /machine 62: accepted is 243/,
  );
});

test("segments that cannot be loaded", () => {
  const place = (at: number, value: bigint) =>
    changed((view) => view.setBigUint64(at, value, true));
  refuses(place(PROGRAM_HEADER + 24, 0x7fff_f000n), /outside RAM/);
  refuses(place(PROGRAM_HEADER + 24, 0x800f_ffffn), /outside RAM/);
  refuses(place(PROGRAM_HEADER + 24, 0xffff_ffff_ffff_f000n), /outside RAM/);
  refuses(place(PROGRAM_HEADER + 40, 0xffff_ffff_ffff_ffffn), /outside RAM/);
  refuses(place(SECOND_HEADER + 24, 0x8000_0000n), /overlap/);
  refuses(place(SECOND_HEADER + 24, 0x8000_0007n), /overlap/);
  refuses(place(PROGRAM_HEADER + 32, 9n), /9 bytes in the file, only 8 in memory/);
  refuses(place(PROGRAM_HEADER + 8, 0xffff_ffff_0000_0000n), /truncated/);
});

test("entries that are not code", () => {
  const enter = (value: bigint) => changed((view) => view.setBigUint64(24, value, true));
  refuses(enter(0n), /entry 0x0/);
  refuses(enter(0x8000_0001n), /entry 0x80000001/);
  refuses(enter(0x8010_0000n), /entry/);
  refuses(enter(0xffff_ffff_ffff_fffen), /entry/);
});

test("headers that describe nothing", () => {
  refuses(
    changed((view) => view.setUint16(56, 0, true)),
    /no program headers/,
  );
  refuses(
    changed((view) => view.setUint16(56, 0xffff, true)),
    /65535 program headers/,
  );
  refuses(
    changed((view) => view.setUint16(54, 32, true)),
    /program headers of 32 bytes/,
  );
  const noLoad = changed((view) => {
    view.setUint32(PROGRAM_HEADER, 4, true);
    view.setUint32(SECOND_HEADER, 4, true);
  });
  refuses(noLoad, /no segment/);
});

test("random damage is refused or parsed, and nothing else", () => {
  const random = new Random(seedOf(20261123));
  const good = goodFile();
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = good.slice();
    const hits = 1 + random.below(4);
    for (let hit = 0; hit < hits; hit++) {
      // most of the file is padding: aim at the headers in front and the tables behind
      const at = random.chance(60) ? random.below(176) : bytes.length - 1 - random.below(400);
      bytes[at] = random.below(256);
    }
    try {
      const program = parseElf(bytes, RAM);
      for (const segment of program.segments) {
        assert.ok(segment.address >= RAM.start);
        assert.ok(segment.address + segment.memoryBytes <= RAM.end);
        assert.ok(segment.bytes.length <= segment.memoryBytes);
      }
    } catch (error) {
      assert.ok(error instanceof VmError, `SEED=${random.seed}: ${String(error)}`);
      refused++;
    }
  }
  assert.ok(refused > 1000, `only ${refused} of 20000 were refused`);
});

test.run();
