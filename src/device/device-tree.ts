/**
 * device-tree: the tree that tells a guest what its machine is made of, flattened to the bytes it
 * reads at boot.
 *
 * Owns    the node type, the flattener and a strict parser.
 * Used by every device's node(), machine-tree.ts (assembles them), tests.
 * Holds   the same tree gives the same bytes: properties and children keep their order, phandles
 *         are numbered in tree order from 1. Format: Devicetree Specification v0.4, chapter 5,
 *         version 17.
 *
 *   header 40 ─ reservations (16 each, a zero one last) ─ structure (tokens, 4-aligned) ─ strings
 *   (names, shared)
 */
import { VmError } from "../errors.ts";

/** The phandle of the node that carries `label`, as a cell. */
export interface DeviceTreeReference {
  readonly label: string;
}

/** One 32-bit cell: a number, or the phandle of a labelled node. */
export type DeviceTreeCell = number | DeviceTreeReference;

/**
 * A property: `true` is empty, a number is one cell, a bigint is one u64, an array holds cells or
 * strings (not both), bytes are taken as they are.
 */
export type DeviceTreeValue =
  | true
  | number
  | bigint
  | string
  | DeviceTreeReference
  | readonly DeviceTreeCell[]
  | readonly string[]
  | Uint8Array;

/** One node. A node with a label that anyone refers to gets a `phandle` property. */
export interface DeviceTreeNode {
  /** Name with unit address, for instance "serial@10000000"; "" for the root. */
  readonly name: string;
  /** What references call it; unique in the tree. */
  readonly label?: string;
  readonly properties: Readonly<Record<string, DeviceTreeValue>>;
  readonly children?: readonly DeviceTreeNode[];
}

/** A range that the guest must leave alone. */
export interface DeviceTreeReservation {
  readonly address: number;
  readonly bytes: number;
}

/** What goes into the header beside the tree. */
export interface DeviceTreeOptions {
  /** Id of the hart that boots. */
  readonly bootHart?: number;
  readonly reservations?: readonly DeviceTreeReservation[];
}

/** A node as read back: properties as raw bytes. */
export interface ParsedNode {
  readonly name: string;
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: readonly ParsedNode[];
}

/** A tree as read back. */
export interface ParsedDeviceTree {
  readonly root: ParsedNode;
  readonly bootHart: number;
  readonly reservations: readonly DeviceTreeReservation[];
}

/** Label of the PLIC's node. */
export const PLIC_LABEL = "plic";

const MAGIC = 0xd00dfeed;
const VERSION = 17;
const VERSION_COMPATIBLE = 16;
const HEADER_BYTES = 40;
const RESERVATION_BYTES = 16;
const TOKEN_BEGIN = 1;
const TOKEN_END = 2;
const TOKEN_PROPERTY = 3;
const TOKEN_NOP = 4;
const TOKEN_FINISH = 9;
/** Deepest nesting read back; a real tree has 5 levels. */
const DEPTH_MAX = 32;
const TWO_32 = 0x1_0000_0000;

/** Label of the interrupt controller node inside hart `hart`'s node. */
export function hartInterruptLabel(hart: number): string {
  return `hart${hart}-intc`;
}

/** A reference to the node labelled `label`. */
export function reference(label: string): DeviceTreeReference {
  return { label };
}

/**
 * `values` as pairs of cells, high half first: the form of `reg` with two address and two size
 * cells.
 */
export function cells64(...values: readonly number[]): number[] {
  return values.flatMap((value) => [Math.floor(value / TWO_32), value % TWO_32]);
}

/**
 * The properties that every device with one window and at most one interrupt has. `irq` 0 means
 * none.
 */
export function deviceProperties(
  compatible: string | readonly string[],
  place: { readonly base: number; readonly bytes: number; readonly irq: number },
): Record<string, DeviceTreeValue> {
  const properties: Record<string, DeviceTreeValue> = {
    compatible,
    reg: cells64(place.base, place.bytes),
  };
  if (place.irq !== 0) {
    properties["interrupt-parent"] = reference(PLIC_LABEL);
    properties["interrupts"] = place.irq;
  }
  return properties;
}

// ---- flattening ----

/** Bytes that grow. */
class ByteSink {
  #bytes = new Uint8Array(4096);
  #used = 0;

  get length(): number {
    return this.#used;
  }

  put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  u32(value: number): void {
    this.#room(4);
    new DataView(this.#bytes.buffer).setUint32(this.#used, value);
    this.#used += 4;
  }

  align(): void {
    const padding = -this.#used & 3;
    this.#room(padding);
    this.#used += padding;
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.#used);
  }

  #room(count: number): void {
    if (this.#used + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#used + count));
    grown.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = grown;
  }
}

function isReference(value: unknown): value is DeviceTreeReference {
  return typeof value === "object" && value !== null && "label" in value;
}

/** Calls `visit` with the label of every reference in the tree below `node`. */
function eachReference(node: DeviceTreeNode, visit: (label: string) => void): void {
  for (const value of Object.values(node.properties)) {
    if (isReference(value)) visit(value.label);
    else if (Array.isArray(value))
      for (const cell of value) if (isReference(cell)) visit(cell.label);
  }
  for (const child of node.children ?? []) eachReference(child, visit);
}

/** Numbers the labelled nodes that somebody refers to, in tree order. */
function numberPhandles(root: DeviceTreeNode): Map<string, number> {
  const wanted = new Set<string>();
  eachReference(root, (label) => wanted.add(label));
  const phandles = new Map<string, number>();
  const walk = (node: DeviceTreeNode): void => {
    if (node.label !== undefined && wanted.has(node.label)) {
      if (phandles.has(node.label)) refuse(`label ${node.label} is on two nodes`);
      phandles.set(node.label, phandles.size + 1);
    }
    for (const child of node.children ?? []) walk(child);
  };
  walk(root);
  for (const label of wanted) if (!phandles.has(label)) refuse(`no node is labelled ${label}`);
  return phandles;
}

function refuse(what: string): never {
  throw new VmError("bad-argument", `device tree: ${what}`);
}

function cellBytes(cells: readonly DeviceTreeCell[], phandles: Map<string, number>): Uint8Array {
  const bytes = new Uint8Array(cells.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, cell] of cells.entries()) {
    const value = isReference(cell) ? phandles.get(cell.label)! : cell;
    if (!Number.isInteger(value) || value < 0 || value >= TWO_32) {
      refuse(`cell ${String(value)}: accepted are integers from 0 to 4294967295`);
    }
    view.setUint32(index * 4, value);
  }
  return bytes;
}

function valueBytes(value: DeviceTreeValue, phandles: Map<string, number>): Uint8Array {
  if (value === true) return new Uint8Array(0);
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return new TextEncoder().encode(`${value}\0`);
  if (typeof value === "bigint") {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value));
    return bytes;
  }
  if (typeof value === "number" || isReference(value)) return cellBytes([value], phandles);
  if (value.length > 0 && value.every((item) => typeof item === "string")) {
    return new TextEncoder().encode(`${value.join("\0")}\0`);
  }
  return cellBytes(value as readonly DeviceTreeCell[], phandles);
}

/** The structure and strings blocks under construction. */
class Flattener {
  readonly structure = new ByteSink();
  readonly strings = new ByteSink();
  readonly #nameOffsets = new Map<string, number>();
  readonly #phandles: Map<string, number>;

  constructor(phandles: Map<string, number>) {
    this.#phandles = phandles;
  }

  node(node: DeviceTreeNode): void {
    if (/[\0/]/.test(node.name)) refuse(`node name ${JSON.stringify(node.name)} holds / or NUL`);
    this.structure.u32(TOKEN_BEGIN);
    this.structure.put(new TextEncoder().encode(`${node.name}\0`));
    this.structure.align();
    for (const [name, value] of Object.entries(node.properties)) {
      this.#property(name, valueBytes(value, this.#phandles));
    }
    const phandle = node.label === undefined ? undefined : this.#phandles.get(node.label);
    if (phandle !== undefined) this.#property("phandle", cellBytes([phandle], this.#phandles));
    const names = new Set<string>();
    for (const child of node.children ?? []) {
      if (child.name === "") refuse(`a child of ${node.name || "/"} has no name`);
      if (names.has(child.name)) refuse(`${node.name || "/"} has two children ${child.name}`);
      names.add(child.name);
      this.node(child);
    }
    this.structure.u32(TOKEN_END);
  }

  #property(name: string, bytes: Uint8Array): void {
    let offset = this.#nameOffsets.get(name);
    if (offset === undefined) {
      offset = this.strings.length;
      this.#nameOffsets.set(name, offset);
      this.strings.put(new TextEncoder().encode(`${name}\0`));
    }
    this.structure.u32(TOKEN_PROPERTY);
    this.structure.u32(bytes.length);
    this.structure.u32(offset);
    this.structure.put(bytes);
    this.structure.align();
  }
}

/**
 * The tree below `root` as a flattened device tree. Throws "bad-argument" for a reference to
 * nowhere, a label or a child's name used twice, and cells that are no u32.
 */
export function flattenDeviceTree(
  root: DeviceTreeNode,
  options: DeviceTreeOptions = {},
): Uint8Array {
  const flattener = new Flattener(numberPhandles(root));
  flattener.node(root);
  flattener.structure.u32(TOKEN_FINISH);
  const structure = flattener.structure.take();
  const strings = flattener.strings.take();
  const reservations = [...(options.reservations ?? []), { address: 0, bytes: 0 }];
  const structureOffset = HEADER_BYTES + reservations.length * RESERVATION_BYTES;
  const stringsOffset = structureOffset + structure.length;
  const total = stringsOffset + strings.length;
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const header = [
    MAGIC,
    total,
    structureOffset,
    stringsOffset,
    HEADER_BYTES,
    VERSION,
    VERSION_COMPATIBLE,
    options.bootHart ?? 0,
    strings.length,
    structure.length,
  ];
  for (const [index, word] of header.entries()) view.setUint32(index * 4, word);
  for (const [index, { address, bytes: length }] of reservations.entries()) {
    const at = HEADER_BYTES + index * RESERVATION_BYTES;
    view.setBigUint64(at, BigInt(address));
    view.setBigUint64(at + 8, BigInt(length));
  }
  bytes.set(structure, structureOffset);
  bytes.set(strings, stringsOffset);
  return bytes;
}

// ---- reading back ----

function damaged(what: string): never {
  throw new VmError("bad-file", `device tree: ${what}`);
}

/**
 * Reads a flattened tree; every access is checked, so that any bytes may be given. Throws
 * "bad-file".
 */
class Parser {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #end = 0;
  #strings = 0;
  #stringsEnd = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  parse(): ParsedDeviceTree {
    if (this.#bytes.length < HEADER_BYTES) damaged(`${this.#bytes.length} bytes hold no header`);
    const word = (index: number) => this.#view.getUint32(index * 4);
    if (word(0) !== MAGIC) damaged(`magic 0x${word(0).toString(16)}, expected 0xd00dfeed`);
    if (word(1) > this.#bytes.length) damaged(`${word(1)} bytes, only ${this.#bytes.length} given`);
    if (word(6) > VERSION) damaged(`compatible down to version ${word(6)}, ${VERSION} is read`);
    if (word(5) < VERSION) damaged(`version ${word(5)}, at least ${VERSION} is read`);
    this.#at = word(2);
    this.#end = this.#at + word(9);
    this.#strings = word(3);
    this.#stringsEnd = this.#strings + word(8);
    if (this.#at % 4 !== 0 || this.#end > word(1)) damaged("structure block outside the file");
    if (this.#stringsEnd > word(1)) damaged("strings block outside the file");
    const reservations = this.#reservations(word(4), word(1));
    if (this.#token() !== TOKEN_BEGIN) damaged("no root node");
    const root = this.#node(0);
    if (this.#token() !== TOKEN_FINISH) damaged("more than one root node");
    return { root, bootHart: word(7), reservations };
  }

  #reservations(from: number, end: number): DeviceTreeReservation[] {
    const found: DeviceTreeReservation[] = [];
    for (let at = from; at + RESERVATION_BYTES <= end; at += RESERVATION_BYTES) {
      const address = Number(this.#view.getBigUint64(at));
      const bytes = Number(this.#view.getBigUint64(at + 8));
      if (address === 0 && bytes === 0) return found;
      found.push({ address, bytes });
    }
    damaged("the reservations have no end");
  }

  #u32(): number {
    if (this.#at + 4 > this.#end) damaged("structure block ends too early");
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  #token(): number {
    let token = this.#u32();
    while (token === TOKEN_NOP) token = this.#u32();
    return token;
  }

  #text(from: number, end: number): string {
    const stop = this.#bytes.indexOf(0, from);
    if (from >= end || stop < 0 || stop >= end) damaged("a name has no end");
    return new TextDecoder().decode(this.#bytes.subarray(from, stop));
  }

  /** Reads behind a BEGIN token up to and with its END. */
  #node(depth: number): ParsedNode {
    if (depth > DEPTH_MAX) damaged(`nested deeper than ${DEPTH_MAX}`);
    const nameAt = this.#at;
    const name = this.#text(nameAt, this.#end);
    this.#at = (this.#bytes.indexOf(0, nameAt) + 4) & ~3;
    const properties = new Map<string, Uint8Array>();
    const children: ParsedNode[] = [];
    for (;;) {
      const token = this.#token();
      if (token === TOKEN_END) return { name, properties, children };
      if (token === TOKEN_BEGIN) children.push(this.#node(depth + 1));
      else if (token === TOKEN_PROPERTY) this.#property(properties);
      else damaged(`unknown token ${token}`);
    }
  }

  #property(properties: Map<string, Uint8Array>): void {
    const length = this.#u32();
    const name = this.#text(this.#strings + this.#u32(), this.#stringsEnd);
    if (this.#at + length > this.#end) damaged(`property ${name} reaches outside`);
    if (properties.has(name)) damaged(`property ${name} is there twice`);
    properties.set(name, this.#bytes.slice(this.#at, this.#at + length));
    this.#at = (this.#at + length + 3) & ~3;
  }
}

/** Reads a flattened tree of version 17. Throws "bad-file" for anything that is damaged. */
export function parseDeviceTree(bytes: Uint8Array): ParsedDeviceTree {
  return new Parser(bytes).parse();
}

/** The node at `path` ("/soc/serial@10000000"; "/" for the root), or null. */
export function findNode(tree: ParsedDeviceTree, path: string): ParsedNode | null {
  let node: ParsedNode | undefined = tree.root;
  for (const name of path.split("/").filter((part) => part !== "")) {
    node = node.children.find((child) => child.name === name);
    if (node === undefined) return null;
  }
  return node;
}
