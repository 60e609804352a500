/**
 * bench/programs: the table of checksums is what the same C sources compute on the machine that
 * builds them, and the guest's ELF keeps code apart from what is written.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PROGRAMS, programNamed, START } from "../../bench/programs.ts";
import { buildGuest, buildNative } from "../../bench/toolchain.ts";
import { CROSS_COMPILER, NATIVE_COMPILER, testNeeding } from "../helpers/need.ts";

const test = suite("bench/programs");

test("every program has a name and a checksum of its own", () => {
  assert.is(new Set(PROGRAMS.map((one) => one.name)).size, PROGRAMS.length);
  assert.is(new Set(PROGRAMS.map((one) => one.checksum)).size, PROGRAMS.length);
  for (const one of PROGRAMS) {
    assert.match(one.checksum, /^[0-9a-f]{16}$/);
    assert.is(programNamed(one.name), one);
  }
  assert.is(programNamed("null"), START);
  assert.is(programNamed("none"), undefined);
});

for (const program of [START, ...PROGRAMS]) {
  const title = `a native build of ${program.name} prints the checksum of the table`;
  testNeeding(test, [NATIVE_COMPILER], title, () => {
    const done = spawnSync(buildNative(program), { encoding: "utf8" });
    assert.is(done.stdout, `checksum ${program.checksum}\n`);
  });
}

/** Loadable segments of an ELF64: address range, and whether it is writable. */
function segments(elf: Buffer): { from: number; to: number; isWritable: boolean }[] {
  const table = Number(elf.readBigUInt64LE(32));
  const all = [];
  for (let index = 0; index < elf.readUInt16LE(56); index++) {
    const at = table + index * elf.readUInt16LE(54);
    if (elf.readUInt32LE(at) !== 1) continue; // PT_LOAD
    const from = Number(elf.readBigUInt64LE(at + 24));
    const to = from + Number(elf.readBigUInt64LE(at + 40));
    all.push({ from, to, isWritable: (elf.readUInt32LE(at + 4) & 2) !== 0 });
  }
  return all;
}

const LAYOUT = "a guest starts at the start of RAM and writes to no page that holds code";
testNeeding(test, [CROSS_COMPILER], LAYOUT, () => {
  for (const program of [START, ...PROGRAMS]) {
    const elf = readFileSync(buildGuest(program));
    assert.is(elf.readBigUInt64LE(24), 0x8000_0000n);
    const all = segments(elf);
    const code = all.filter((one) => !one.isWritable);
    assert.ok(code.length > 0 && code[0].from === 0x8000_0000, program.name);
    for (const data of all.filter((one) => one.isWritable)) {
      assert.is(data.from % 4096, 0);
      for (const one of code) assert.ok(one.to <= data.from || data.to <= one.from, program.name);
    }
  }
});

test.run();
