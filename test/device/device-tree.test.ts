/**
 * device-tree: the flattener against the specification's layout, and the parser against everything.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext } from "../../src/contract/fake-context.ts";
import type { DeviceTreeNode, ParsedNode } from "../../src/device/device-tree.ts";
import {
  cells64,
  findNode,
  flattenDeviceTree,
  parseDeviceTree,
  reference,
} from "../../src/device/device-tree.ts";
import { DEVICE_KINDS } from "../../src/device/registry.ts";
import { VmError } from "../../src/errors.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("device/device-tree");

const SMALL: DeviceTreeNode = {
  name: "",
  properties: { model: "m" },
  children: [{ name: "a@1", properties: { reg: [1, 2], flag: true, model: "xyz" } }],
};

/** SMALL by hand, from chapter 5 of the specification. */
const SMALL_WORDS = [
  // header: magic, size, structure, strings, reservations, version, compatible, boot hart, sizes
  [0xd00dfeed, 176, 56, 160, 40, 17, 16, 3, 16, 104],
  // reservations: the end
  [0, 0, 0, 0],
  // root, model = "m"
  [1, 0, 3, 2, 0, 0x6d000000],
  // a@1, reg = <1 2>, flag, model = "xyz"
  [1, 0x61403100, 3, 8, 6, 1, 2, 3, 0, 10, 3, 4, 0, 0x78797a00],
  // end, end, finish
  [2, 2, 9],
].flat();

test("the bytes are those of the specification", () => {
  const bytes = flattenDeviceTree(SMALL, { bootHart: 3 });
  const view = new DataView(bytes.buffer);
  const words = SMALL_WORDS.map((_, index) => view.getUint32(index * 4));
  // the strings lie behind the last word
  const strings = new TextDecoder().decode(bytes.subarray(SMALL_WORDS.length * 4));
  const layout = SMALL_WORDS.slice();
  layout[1] = bytes.length;
  layout[3] = SMALL_WORDS.length * 4;
  layout[8] = strings.length;
  layout[9] = SMALL_WORDS.length * 4 - 56;
  assert.equal(words, layout);
  assert.is(strings, "model\0reg\0flag\0");
});

test("every kind of value has its form", () => {
  const root: DeviceTreeNode = {
    name: "",
    properties: {
      empty: true,
      cell: 0xffffffff,
      cells: [1, reference("it"), 3],
      wide: 0x0123456789abcdefn,
      text: "text",
      texts: ["one", "two"],
      bytes: Uint8Array.of(1, 2, 3),
      none: [],
      handle: reference("it"),
    },
    children: [{ name: "it", label: "it", properties: {} }],
  };
  const tree = parseDeviceTree(flattenDeviceTree(root));
  const value = (name: string) => [...(tree.root.properties.get(name) as Uint8Array)];
  const ascii = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
  assert.equal(value("empty"), []);
  assert.equal(value("cell"), [255, 255, 255, 255]);
  assert.equal(value("cells"), [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3]);
  assert.equal(value("wide"), [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
  assert.equal(value("text"), ascii("text\0"));
  assert.equal(value("texts"), ascii("one\0two\0"));
  assert.equal(value("bytes"), [1, 2, 3]);
  assert.equal(value("none"), []);
  assert.equal(value("handle"), [0, 0, 0, 1]);
  const it = findNode(tree, "/it") as ParsedNode;
  assert.equal([...(it.properties.get("phandle") as Uint8Array)], [0, 0, 0, 1]);
});

test("only nodes that are referred to get a phandle, numbered in tree order", () => {
  const leaf = (name: string, label: string): DeviceTreeNode => ({ name, label, properties: {} });
  const root: DeviceTreeNode = {
    name: "",
    properties: { all: [reference("c"), reference("a")] },
    children: [leaf("a", "a"), leaf("b", "b"), leaf("c", "c")],
  };
  const tree = parseDeviceTree(flattenDeviceTree(root));
  const handles = tree.root.children.map(({ properties }) => properties.get("phandle")?.[3]);
  assert.equal(handles, [1, undefined, 2]);
  assert.equal([...(tree.root.properties.get("all") as Uint8Array)], [0, 0, 0, 2, 0, 0, 0, 1]);
});

test("addresses beyond 32 bits split into cells, high half first", () => {
  assert.equal(cells64(0x80000000, 0x1_0000_0000), [0, 0x80000000, 1, 0]);
});

test("reservations and the boot hart come back", () => {
  const reservations = [
    { address: 0x80000000, bytes: 0x40000 },
    { address: 0x8_8000_0000, bytes: 4096 },
  ];
  const tree = parseDeviceTree(flattenDeviceTree(SMALL, { bootHart: 5, reservations }));
  assert.is(tree.bootHart, 5);
  assert.equal(tree.reservations, reservations);
});

const MISTAKES: Record<string, DeviceTreeNode> = {
  "a reference to nowhere": { name: "", properties: { x: reference("gone") } },
  "a label on two nodes": {
    name: "",
    properties: { x: reference("l") },
    children: [
      { name: "a", label: "l", properties: {} },
      { name: "b", label: "l", properties: {} },
    ],
  },
  "two children of one name": {
    name: "",
    properties: {},
    children: [
      { name: "a", properties: {} },
      { name: "a", properties: {} },
    ],
  },
  "a child without a name": { name: "", properties: {}, children: [{ name: "", properties: {} }] },
  "a slash in a name": { name: "", properties: {}, children: [{ name: "a/b", properties: {} }] },
  "a negative cell": { name: "", properties: { x: -1 } },
  "a cell of 33 bits": { name: "", properties: { x: [2 ** 32] } },
};

for (const [what, root] of Object.entries(MISTAKES)) {
  test(`${what} is refused`, () => {
    assert.throws(
      () => flattenDeviceTree(root),
      (error: unknown) => error instanceof VmError && error.code === "bad-argument",
    );
  });
}

/** A random tree with raw bytes as values. */
function randomTree(random: Random, depth: number): DeviceTreeNode {
  const properties: Record<string, Uint8Array> = {};
  for (let count = random.below(5); count > 0; count--) {
    const value = Uint8Array.from({ length: random.below(20) }, () => random.below(256));
    properties[`p${random.below(12)}`] = value;
  }
  const children = Array.from({ length: depth === 0 ? 0 : random.below(4) }, (_, index) => ({
    ...randomTree(random, depth - 1),
    name: `n${"x".repeat(random.below(6))}@${index}`,
  }));
  return { name: "", properties, children };
}

function same(given: DeviceTreeNode, read: ParsedNode): void {
  assert.is(read.name, given.name);
  assert.equal([...read.properties.entries()], Object.entries(given.properties));
  assert.is(read.children.length, given.children?.length ?? 0);
  for (const [index, child] of (given.children ?? []).entries()) same(child, read.children[index]);
}

test("random trees come back as they were, and always as the same bytes", () => {
  const seed = seedOf(21);
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const tree = randomTree(random, 4);
    const bytes = flattenDeviceTree(tree);
    same(tree, parseDeviceTree(bytes).root);
    assert.equal(flattenDeviceTree(tree), bytes, `SEED=${seed}`);
  }
});

test("damaged trees are refused with bad-file, or read, but nothing else", () => {
  const seed = seedOf(22);
  const random = new Random(seed);
  const good = flattenDeviceTree(randomTree(random, 4));
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const isCut = random.chance(30);
    const bytes = good.slice(0, isCut ? random.below(good.length) : good.length);
    for (let flips = isCut ? 0 : 1 + random.below(4); flips > 0; flips--) {
      bytes[random.below(random.chance(50) ? 40 : bytes.length)] = random.below(256);
    }
    try {
      parseDeviceTree(bytes);
    } catch (error) {
      refused++;
      const isTyped = error instanceof VmError && error.code === "bad-file";
      assert.ok(isTyped, `round ${round}, SEED=${seed}: ${String(error)}`);
    }
  }
  assert.ok(refused > 1000, `${refused} were refused`);
});

/** The tree of the registry's devices, as a machine would assemble it. */
function machineTree(): ReturnType<typeof parseDeviceTree> {
  const nodes = Object.values(DEVICE_KINDS).map((make) => {
    const device = make();
    device.attach(new FakeContext());
    return device.node();
  });
  const harts = Array.from({ length: 8 }, (_, hart) => ({
    name: `intc${hart}`,
    label: `hart${hart}-intc`,
    properties: {},
  }));
  const children = [...harts, ...nodes.filter((node) => node !== null)];
  return parseDeviceTree(flattenDeviceTree({ name: "", properties: {}, children }));
}

test("devices have QEMU virt's compatibles, addresses and interrupts", () => {
  const tree = machineTree();
  const text = (path: string, name: string) =>
    new TextDecoder().decode(findNode(tree, path)?.properties.get(name)).split("\0").slice(0, -1);
  const word = (path: string, name: string, index = 0) => {
    const bytes = findNode(tree, path)?.properties.get(name) as Uint8Array;
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(index * 4);
  };
  const expected: [string, string, number][] = [
    ["/serial@10000000", "ns16550a", 10],
    ["/rtc@101000", "google,goldfish-rtc", 11],
    ["/virtio_mmio@10001000", "virtio,mmio", 1],
    ["/virtio_mmio@10009000", "virtio,mmio", 36],
    ["/vmgenid@102000", "microsoft,vmgenid", 12],
  ];
  const plic = word("/plic@c000000", "phandle");
  for (const [path, compatible, irq] of expected) {
    assert.equal(text(path, "compatible"), [compatible]);
    assert.is(word(path, "interrupts"), irq, path);
    assert.is(word(path, "interrupt-parent"), plic, path);
  }
  assert.is(word("/serial@10000000", "clock-frequency"), 3686400);
  assert.equal(text("/plic@c000000", "compatible"), ["sifive,plic-1.0.0", "riscv,plic0"]);
  assert.is(word("/plic@c000000", "riscv,ndev"), 96);
  for (let context = 0; context < 16; context++) {
    const hart = word(`/intc${context >> 1}`, "phandle");
    assert.is(word("/plic@c000000", "interrupts-extended", 2 * context), hart);
    const line = word("/plic@c000000", "interrupts-extended", 2 * context + 1);
    assert.is(line, context % 2 === 0 ? 11 : 9);
  }
  const finisher = "/test@100000";
  assert.ok(text(finisher, "compatible").includes("sifive,test1"));
  for (const [name, value] of [["poweroff", 0x5555] as const, ["reboot", 0x7777] as const]) {
    assert.equal(text(`${finisher}/${name}`, "compatible"), [`syscon-${name}`]);
    assert.is(word(`${finisher}/${name}`, "value"), value);
    assert.is(word(`${finisher}/${name}`, "regmap"), word(finisher, "phandle"));
  }
});

test.run();
