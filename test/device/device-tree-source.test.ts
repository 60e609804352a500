/**
 * Device trees as source text: what dtc makes of the text is the tree it was made of, for the trees
 * of machines and for one with every awkward value.
 */
import { execFileSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type DeviceTreeNode,
  flattenDeviceTree,
  parseDeviceTree,
} from "../../src/device/device-tree.ts";
import { deviceTreeSource } from "../../src/device/device-tree-source.ts";
import { VmError } from "../../src/errors.ts";
import { builtinGuest, Host } from "../../src/node.ts";
import { DTC, testNeeding } from "../helpers/need.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("device/device-tree-source");
const SEED = seedOf(1);
const ROUNDS = 40;

const AWKWARD: DeviceTreeNode = {
  name: "",
  properties: {
    "#address-cells": 2,
    empty: true,
    text: 'a "quoted" \\ text',
    none: "",
    list: ["one", "two, three"],
    cells: [0, 1, 0xffffffff],
    wide: 0x1234_5678_9abc_def0n,
    "rng-seed": Uint8Array.of(1, 2, 3),
    odd: Uint8Array.of(0x41, 0, 0x42),
    // "abc" and NUL: cells by name
    reg: 0x61626300,
    zeros: [0, 0],
    utf8: Uint8Array.of(0xc3, 0xa4, 0x21, 0),
    broken: Uint8Array.of(0xc3, 0x28, 0x21, 0),
  },
  children: [
    { name: "bare@0", properties: {} },
    { name: "deep", properties: { cells: 7 }, children: [{ name: "er", properties: {} }] },
  ],
};

test("values are spelled as people write them", () => {
  const text = deviceTreeSource(
    flattenDeviceTree(AWKWARD, { reservations: [{ address: 0x80000000, bytes: 0x1000 }] }),
  );
  const lines = text.split("\n").map((line) => line.trim());
  const wanted = [
    "/dts-v1/;",
    "/memreserve/ 0x80000000 0x1000;",
    "/ {",
    "empty;",
    'text = "a \\"quoted\\" \\\\ text";',
    'none = "";',
    'list = "one", "two, three";',
    "cells = <0x0 0x1 0xffffffff>;",
    "rng-seed = [01 02 03];",
    "reg = <0x61626300>;",
    "zeros = <0x0 0x0>;",
    "bare@0 {",
  ];
  for (const line of wanted) assert.ok(lines.includes(line), `${line}\n${text}`);
});

test("bytes that are no tree are refused", () => {
  const noTree = () => deviceTreeSource(new Uint8Array(64));
  assert.throws(noTree, (error: unknown) => error instanceof VmError && error.code === "bad-file");
});

function dtc(text: string, bootHart = 0): Uint8Array {
  const options = ["-q", "-I", "dts", "-O", "dtb", "-b", `${bootHart}`];
  return new Uint8Array(execFileSync("dtc", options, { input: text }));
}

function claimSame(tree: Uint8Array): void {
  const wanted = parseDeviceTree(tree);
  const text = deviceTreeSource(tree);
  assert.equal(parseDeviceTree(dtc(text, wanted.bootHart)), wanted, text);
}

testNeeding(test, [DTC], "dtc makes the same tree of the text, for machines", async () => {
  const host = await Host.create({ arenaBytes: 1 << 30 });
  for (const config of [{ harts: 1 }, { harts: 8, consoleDevice: "virtio" as const }]) {
    const kernel = builtinGuest();
    const append = 'console=ttyS0 x="y z"';
    const machine = host.createMachine({ kernel, append, initrd: new Uint8Array(99), ...config });
    claimSame(machine.deviceTree());
  }
  host.dispose();
});

/** A tree of random names and bytes; many of them look like text. */
function randomTree(random: Random, depth = 0): DeviceTreeNode {
  const properties: Record<string, Uint8Array> = {};
  for (let left = random.below(6); left > 0; left--) {
    const alphabet = [
      [0, 0x41, 0x20, 0x7e, 0x22, 0x5c, 0x0a, 0x09],
      [0, 1, 0x80, 0xff],
    ][random.below(2)];
    const bytes = Array.from({ length: random.below(13) }, () => {
      return alphabet[random.below(alphabet.length)];
    });
    properties[`p${left}`] = Uint8Array.from(bytes);
  }
  const count = depth < 3 ? random.below(4) : 0;
  const children = Array.from({ length: count }, (_, index) => {
    return { ...randomTree(random, depth + 1), name: `n${index}@${random.below(16)}` };
  });
  return { name: "", properties, children };
}

testNeeding(test, [DTC], "dtc makes the same tree of the text, whatever the bytes", () => {
  const random = new Random(SEED);
  claimSame(flattenDeviceTree(AWKWARD, { reservations: [{ address: 4096, bytes: 16 }] }));
  for (let round = 0; round < ROUNDS; round++) {
    const bootHart = random.below(8);
    const tree = flattenDeviceTree(randomTree(random), { bootHart });
    try {
      claimSame(tree);
    } catch (error) {
      throw new Error(`SEED=${SEED}, round ${round}`, { cause: error });
    }
  }
});

test.run();
