/**
 * translate: page tables as the debugger walks them: every depth and size, every reason to lead
 * nowhere, rights by mode, and no side effects.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HART_MSTATUS, HART_SATP } from "../../assembly/layout.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { type AccessKind, translate } from "../../src/machine/translate.ts";
import { digestOf } from "../law0/split.ts";
import { makeCore } from "../mmu/core.ts";

const test = suite("debug/translate");
const RAM = 0x8000_0000;
const ROOT = RAM + 0x10000;
const core = await makeCore();
const machine = MachineView.create(core, { ramPages: 512, harts: 1, quantum: 100 });
test.after(() => machine.dispose());
const [hart] = machine.harts;

// bits of an entry
const [V, R, W, X, U, A, D] = [1n, 2n, 4n, 8n, 16n, 64n, 128n];
const LEAF = V | R | W | X | A | D;

/** An entry that names a physical page. */
const entry = (physical: number, bits: bigint) => (BigInt(physical) / 4096n) * 1024n + bits;

/** Tables of `levels` for `virtual`: pointers down to `leafLevel`, then `leaf`. */
function build(levels: number, virtual: bigint, leafLevel: number, leaf: bigint): void {
  for (let table = 0; table < 6; table++) {
    machine.memory.write(ROOT + table * 4096, new Uint8Array(4096));
  }
  for (let level = levels - 1, table = ROOT; level >= leafLevel; level--, table += 4096) {
    const index = Number((virtual >> BigInt(12 + 9 * level)) & 511n);
    const value = level === leafLevel ? leaf : entry(table + 4096, V);
    machine.memory.writeU64(table + index * 8, value);
  }
  const mode = BigInt(levels + 5);
  hart.set64(HART_SATP, (mode << 60n) | BigInt(ROOT / 4096));
  hart.privilege = 1;
  hart.set64(HART_MSTATUS, 0n);
  machine.sync();
}

const look = (virtual: bigint, access?: AccessKind) =>
  translate(hart, machine.memory, virtual, access);

for (const levels of [3, 4, 5]) {
  const name = ["sv39", "sv48", "sv57"][levels - 3];
  const virtual = BigInt.asUintN(64, -(1n << BigInt(10 + 9 * levels))) + 0x1234_5678n;
  for (let leafLevel = 0; leafLevel < levels && leafLevel < 3; leafLevel++) {
    const pageBytes = 4096 * 512 ** leafLevel;
    test(`${name}: a page of ${pageBytes} bytes`, () => {
      // an aligned place, in RAM or not: only tables are read
      build(levels, virtual, leafLevel, entry(2 ** 31, LEAF));
      const found = look(virtual);
      assert.is(found.mode, name);
      assert.is(found.pageBytes, pageBytes);
      assert.is(found.steps.length, levels - leafLevel);
      assert.is(found.physical, BigInt(2 ** 31) + (virtual % BigInt(pageBytes)));
      assert.is(found.fault, null);
    });
  }
}

test("M-mode and mode 0 see physical addresses", () => {
  build(3, 0x1000n, 0, entry(RAM, LEAF));
  hart.privilege = 3;
  assert.is(look(0x1000n).physical, 0x1000n);
  assert.is(look(0x1000n).mode, "bare");
  hart.privilege = 1;
  hart.set64(HART_SATP, 0n);
  assert.is(look(0x1000n).physical, 0x1000n);
});

const FAULTS: readonly [string, bigint, number, bigint, RegExp][] = [
  ["an address that is none", 1n << 40n, 0, entry(RAM, LEAF), /not an address of sv39/],
  ["no entry", 0x1000n, 0, 0n, /not valid/],
  ["writable but not readable", 0x1000n, 0, entry(RAM, V | W), /writable but not readable/],
  ["reserved bits", 0x1000n, 0, entry(RAM, LEAF) | (1n << 60n), /reserved bits/],
  ["a pointer that is accessed", 0x1000n, 1, entry(RAM, V | A), /pointer with reserved bits/],
  ["a large page off its place", 0x1000n, 1, entry(RAM + 4096, LEAF), /not aligned/],
  ["a pointer at the last level", 0x1000n, 0, entry(RAM, V), /pointer at the last level/],
  ["a table nowhere", 0x1000n, 1, entry(0x1000_0000, V), /outside RAM/],
];

for (const [what, virtual, level, leaf, why] of FAULTS) {
  test(`${what} leads nowhere, and it is said why`, () => {
    build(3, virtual, level, leaf);
    const found = look(virtual);
    assert.is(found.physical, null);
    assert.match(found.fault ?? "", why);
  });
}

test("rights count when they are asked about", () => {
  build(3, 0x1000n, 0, entry(RAM, V | X | A));
  assert.is(look(0x1000n).fault, null);
  assert.match(look(0x1000n, "read").fault ?? "", /no right to read/);
  assert.match(look(0x1000n, "write").fault ?? "", /no right to write/);
  assert.is(look(0x1000n, "execute").fault, null);
  hart.set64(HART_MSTATUS, 1n << 19n);
  assert.is(look(0x1000n, "read").fault, null, "MXR");
  hart.privilege = 0;
  assert.match(look(0x1000n, "execute").fault ?? "", /page of S-mode/);
  build(3, 0x1000n, 0, entry(RAM, LEAF | U));
  assert.match(look(0x1000n, "read").fault ?? "", /page of U-mode/);
  hart.set64(HART_MSTATUS, 1n << 18n);
  assert.is(look(0x1000n, "read").fault, null, "SUM");
  assert.match(look(0x1000n, "execute").fault ?? "", /page of U-mode/);
});

test("nothing is marked and nothing is cached", () => {
  build(3, 0x1000n, 0, entry(RAM, V | R | W));
  const before = digestOf(machine);
  assert.is(look(0x1000n, "write").rights?.isAccessed, false);
  assert.is(digestOf(machine), before);
});

test.run();
