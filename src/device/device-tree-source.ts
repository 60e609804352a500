/**
 * device-tree-source: a flattened device tree as text, as the device tree compiler reads it.
 *
 * Used by `device tree`.
 * Holds   compiled again, the text gives the same tree: names, properties byte for byte, order,
 *         reservations. What a property means is guessed from its name and its bytes, and only the
 *         spelling depends on the guess. Source format: Devicetree Specification v0.4, chapter 6.
 */
import { type ParsedNode, parseDeviceTree } from "./device-tree.ts";

/** Properties that hold cells, though their bytes may look like text. */
const CELLS =
  /^(#.*|reg|ranges|dma-ranges|interrupts|interrupts-extended|interrupt-parent|interrupt-map.*|phandle|linux,phandle|.*-frequency|.*-gpios?|cpu|regmap|offset|value|assigned-.*|riscv,ndev|riscv,cbo[mz]-block-size|linux,initrd-.*)$/;
/** Properties that hold bytes that mean nothing as cells. */
const BYTES = /^(rng-seed|kaslr-seed|mac-address|local-mac-address)$/;
const CELLS_PER_LINE = 8;
const BYTES_PER_LINE = 16;

/** Indentation of a depth. */
const indent = (depth: number) => "\t".repeat(depth);
const hex = (value: number | bigint, digits = 0) => value.toString(16).padStart(digits, "0");

/** The text's strings when the bytes are one or more of them, each printable and ended by NUL. */
function stringsOf(bytes: Uint8Array): string[] | null {
  if (bytes.length === 0 || bytes[bytes.length - 1] !== 0) return null;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
  const strings = text.slice(0, -1).split("\0");
  // one empty string is text; an empty one among others is more likely a number
  if (strings.length > 1 && strings.includes("")) return null;
  return strings.every((string) => /^[\x20-\x7e\t\n]*$/.test(string)) ? strings : null;
}

function quoted(text: string): string {
  const escaped = text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n").replace(/\t/g, "\\t");
  return `"${escaped}"`;
}

/** Items in rows that stand below each other. */
function rows(items: readonly string[], perRow: number, depth: number): string {
  const lines: string[] = [];
  for (let at = 0; at < items.length; at += perRow) {
    lines.push(items.slice(at, at + perRow).join(" "));
  }
  return lines.join(`\n${indent(depth + 1)}`);
}

function cellsText(bytes: Uint8Array, depth: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const cells = Array.from({ length: bytes.length / 4 }, (_, index) => {
    return `0x${hex(view.getUint32(index * 4))}`;
  });
  return `<${rows(cells, CELLS_PER_LINE, depth)}>`;
}

function bytesText(bytes: Uint8Array, depth: number): string {
  const pairs = [...bytes].map((byte) => hex(byte, 2));
  return `[${rows(pairs, BYTES_PER_LINE, depth)}]`;
}

function valueText(name: string, bytes: Uint8Array, depth: number): string {
  if (BYTES.test(name)) return bytesText(bytes, depth);
  const strings = CELLS.test(name) && bytes.length % 4 === 0 ? null : stringsOf(bytes);
  if (strings !== null) return strings.map(quoted).join(", ");
  return bytes.length % 4 === 0 ? cellsText(bytes, depth) : bytesText(bytes, depth);
}

function nodeLines(node: ParsedNode, depth: number): string[] {
  const inner = indent(depth + 1);
  const lines = [`${indent(depth)}${node.name === "" ? "/" : node.name} {`];
  for (const [name, bytes] of node.properties) {
    const value = bytes.length === 0 ? "" : ` = ${valueText(name, bytes, depth + 1)}`;
    lines.push(`${inner}${name}${value};`);
  }
  node.children.forEach((child, index) => {
    if (index > 0 || node.properties.size > 0) lines.push("");
    lines.push(...nodeLines(child, depth + 1));
  });
  lines.push(`${indent(depth)}};`);
  return lines;
}

/**
 * The source text of a flattened tree of version 17. Throws VmError "bad-file" for anything that is
 * damaged.
 */
export function deviceTreeSource(bytes: Uint8Array): string {
  const { root, bootHart, reservations } = parseDeviceTree(bytes);
  const lines = ["/dts-v1/;", ""];
  for (const { address, bytes: length } of reservations) {
    lines.push(`/memreserve/ 0x${hex(address)} 0x${hex(length)};`);
  }
  if (bootHart !== 0) lines.push(`// boot hart ${bootHart}: dtc -b ${bootHart}`);
  if (lines.length > 2) lines.push("");
  return `${[...lines, ...nodeLines(root, 0)].join("\n")}\n`;
}
