/**
 * Loads and stores of every size: each misalignment, both signs of the offset, across a page, with
 * registers that coincide; the window is compared byte for byte.
 */
import type { Assembler } from "../../src/asm/index.ts";
import { LOAD, loadValue, STORE, storeValue } from "../helpers/isa-reference.ts";
import { type IsaProgram, WINDOW } from "./program.ts";
import { isaSuite } from "./suite.ts";
import { drawn, EDGES } from "./values.ts";

const PAGE = 4096;
/** Places in the window: within a page, up to every byte before its end, and beyond. */
const PLACES = [
  ...Array.from({ length: 16 }, (_, at) => at),
  ...Array.from({ length: 24 }, (_, at) => PAGE - 16 + at),
];
const OFFSETS = [0, 1, -1, 8, 2047, -2048];
const PATTERN = Uint8Array.from(
  { length: 2 * PAGE },
  (_, at) => (at * 197 + (at >> 8) * 61) & 0xff,
);

/** Fills two pages of the window with the pattern, eight bytes at a time. */
function fillWindow(program: IsaProgram): void {
  const rows = Array.from({ length: PATTERN.length / 8 }, (_, at) => [
    BigInt(WINDOW + at * 8),
    loadValue(PATTERN, at * 8, 8, false),
  ]);
  program.block({
    title: "sd pattern",
    rows,
    loads: ["a0", "a1"],
    stores: ["a1"],
    body: (a) => a.sd("a1", "a0"),
    model: ([, value]) => [value],
  });
}

function loads(program: IsaProgram): void {
  for (const name of Object.keys(LOAD) as "lb"[]) {
    const { bytes, isSigned } = LOAD[name];
    const expected = (place: number) => loadValue(PATTERN, place, bytes, isSigned);
    for (const offset of OFFSETS) {
      program.block({
        title: `${name} a0, ${offset}(a1)`,
        rows: PLACES.map((place) => [BigInt(WINDOW + place - offset)]),
        loads: ["a1"],
        stores: ["a0"],
        body: (a) => a[name]("a0", "a1", offset),
        model: ([base]) => [expected(Number(base) + offset - WINDOW)],
      });
    }
    for (const [rd, base] of [
      ["a1", "a1"],
      ["zero", "a1"],
      ["t6", "ra"],
      ["s4", "sp"],
    ] as const) {
      program.block({
        title: `${name} ${rd}, (${base})`,
        rows: PLACES.map((place) => [BigInt(WINDOW + place)]),
        loads: [base],
        stores: [rd],
        body: (a) => a[name](rd, base),
        model: ([at]) => [rd === "zero" ? 0n : expected(Number(at) - WINDOW)],
      });
    }
  }
}

/** Stores one value over a known background and reads three doublewords around it back. */
function stores(program: IsaProgram): void {
  const values = [...EDGES.slice(-8), ...drawn(4, 5n)];
  for (const [name, bytes] of Object.entries(STORE) as ["sb", number][]) {
    for (const offset of OFFSETS) {
      const rows = PLACES.flatMap((place) =>
        values.slice(0, place < 8 ? values.length : 3).map((value) => {
          const near = WINDOW + 2 * PAGE + place;
          return [BigInt(near - offset), BigInt(near - (near % 8) - 8), value];
        }),
      );
      program.block({
        title: `${name} a2, ${offset}(a0)`,
        rows,
        loads: ["a0", "a1", "a2"],
        stores: ["a3", "a4", "a5"],
        body: (a) => storeBetween(a, (a) => a[name]("a2", "a0", offset)),
        model: ([base, around, value]) => {
          const memory = new Uint8Array(24).fill(0xff);
          storeValue(memory, Number(base) + offset - Number(around), bytes, value);
          return [0, 8, 16].map((at) => loadValue(memory, at, 8, false));
        },
      });
    }
    program.block({
      title: `${name} zero and base as value`,
      rows: PLACES.map((place) => [BigInt(WINDOW + 2 * PAGE + place)]),
      loads: ["a0"],
      stores: ["a3", "a4"],
      body: (a) => {
        a.sd("zero", "a0");
        a[name]("a0", "a0");
        a.ld("a3", "a0");
        a[name]("zero", "a0");
        a.ld("a4", "a0");
      },
      model: ([address]) => {
        const memory = new Uint8Array(16);
        storeValue(memory, 0, bytes, address);
        const first = loadValue(memory, 0, 8, false);
        storeValue(memory, 0, bytes, 0n);
        return [first, loadValue(memory, 0, 8, false)];
      },
    });
  }
}

function storeBetween(a: Assembler, store: (a: Assembler) => void): void {
  a.li("a3", -1);
  for (const at of [0, 8, 16]) a.sd("a3", "a1", at);
  store(a);
  (["a3", "a4", "a5"] as const).forEach((reg, index) => {
    a.ld(reg, "a1", index * 8);
  });
}

const test = isaSuite("isa/memory", (program) => {
  fillWindow(program);
  loads(program);
  stores(program);
});

test.run();
