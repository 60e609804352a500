/**
 * debug-memory: the commands of family `debug` for memory: dump, write, disassemble.
 *
 * Used by commands/debug.ts.
 * Holds   no device is ever read: reading could change it.
 */
import { z } from "zod";
import { VmError } from "../../index.ts";
import { type CommandSpec, command, type ParameterSpec, UsageError } from "../command.ts";
import {
  addressText,
  bytesHex,
  HART,
  Hex,
  hex,
  Instruction,
  instructionAt,
  instructionText,
  PHYSICAL,
  spaceOf,
  symbolAt,
  VM,
} from "./debug-text.ts";

const ADDRESS: ParameterSpec = { name: "ADDRESS", kind: "address", help: "0x..., or a symbol" };
const LENGTH_DEFAULT = 128;
const LENGTH_MAX = 1 << 20;
const LINE_BYTES = 16;

function ascii(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
  }).join("");
}

/** The bytes of hex digits. */
function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

/** One line of a dump. */
function dumpLine(bytes: Uint8Array, format: string): string {
  if (format === "ascii") return ascii(bytes);
  const group = format === "words" ? 8 : 1;
  const cells: string[] = [];
  for (let at = 0; at < bytes.length; at += group) {
    const cell = bytes.subarray(at, at + group);
    cells.push(bytesHex(group === 1 ? cell : cell.slice().reverse()));
  }
  const width = (LINE_BYTES / group) * (2 * group + 1);
  return `${cells.join(" ").padEnd(width)} ${ascii(bytes)}`;
}

const memory = command({
  family: "debug",
  name: "memory",
  summary: "dump memory",
  details: `
Pages that were never written are zeros. An address that leads nowhere ends the dump; devices
are not read. words are numbers of 8 bytes; ascii is text alone.`,
  parameters: [VM, ADDRESS],
  options: {
    length: {
      value: "BYTES",
      kind: "bytes",
      least: 1,
      most: LENGTH_MAX,
      help: `default ${LENGTH_DEFAULT}`,
    },
    format: {
      value: "FORMAT",
      kind: "choice",
      choices: ["hex", "words", "ascii"],
      help: "default hex",
    },
    hart: HART,
    physical: PHYSICAL,
  },
  example: "debug memory web 0x80200000 --length 64 --format words",
  result: z.object({
    address: Hex,
    symbol: z.string().nullable(),
    format: z.string(),
    data: z.string().describe("hex digits in memory order"),
  }),
  async run(call) {
    const vm = call.vm();
    const address = call.address("ADDRESS") ?? 0n;
    const length = call.number("length") ?? LENGTH_DEFAULT;
    const bytes = vm.machine.debugger.readMemory(address, length, spaceOf(call));
    if (bytes.length === 0) throw new VmError("not-found", `${hex(address)}: no memory is there`);
    const format = call.text("format") ?? "hex";
    return { address: hex(address), symbol: symbolAt(vm, address), format, data: bytesHex(bytes) };
  },
  text({ address, symbol, format, data }) {
    const bytes = hexBytes(data);
    const lines = symbol === null ? [] : [`${addressText(address, symbol)}:`];
    for (let at = 0; at < bytes.length; at += LINE_BYTES) {
      const line = dumpLine(bytes.subarray(at, at + LINE_BYTES), format);
      lines.push(`${hex(BigInt(address) + BigInt(at))}  ${line}`.trimEnd());
    }
    return `${lines.join("\n")}\n`;
  },
});

/** DATA as bytes. Throws UsageError. */
function dataOf(text: string, width: number | undefined): Uint8Array {
  if (width === undefined) {
    if (/^([0-9a-f]{2})+$/i.test(text)) return hexBytes(text);
    const accepted = "accepted are pairs of hex digits in memory order, or a number with --width";
    throw new UsageError(`DATA "${text}": ${accepted}`);
  }
  const value = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? BigInt(text) : -1n;
  if (value < 0n || value >= 1n << BigInt(8 * width)) {
    throw new UsageError(`DATA "${text}": accepted are numbers that fit ${width} bytes`);
  }
  return Uint8Array.from({ length: width }, (_, index) => {
    return Number((value >> BigInt(8 * index)) & 0xffn);
  });
}

const write = command({
  family: "debug",
  name: "write",
  summary: "write memory, whatever the rights of its pages",
  details: `
DATA is hex digits, two to a byte, in memory order; with --width it is one number, stored lowest
byte first. Code that is written is what runs next. All of it is written or nothing.`,
  parameters: [VM, ADDRESS, { name: "DATA", kind: "text", help: "0102ff, or a number" }],
  options: {
    width: {
      value: "BYTES",
      kind: "choice",
      choices: ["1", "2", "4", "8"],
      help: "DATA is a number of so many bytes",
    },
    hart: HART,
    physical: PHYSICAL,
  },
  example: "debug write web 0x80f00000 0xdeadbeef --width 4",
  result: z.object({ address: Hex, bytes: z.number() }),
  async run(call) {
    const width = call.text("width");
    const bytes = dataOf(call.text("DATA") ?? "", width === undefined ? undefined : Number(width));
    const address = call.address("ADDRESS") ?? 0n;
    call.vm().machine.debugger.writeMemory(address, bytes, spaceOf(call));
    return { address: hex(address), bytes: bytes.length };
  },
  text: () => "",
});

const disassembleCommand = command({
  family: "debug",
  name: "disassemble",
  summary: "show instructions in memory",
  parameters: [VM, { ...ADDRESS, help: "default: the hart's pc", isOptional: true }],
  options: {
    count: { value: "N", kind: "integer", least: 1, most: 100_000, help: "default 10" },
    hart: HART,
    physical: PHYSICAL,
  },
  example: "debug disassemble web 0x80200000 --count 4",
  result: z.array(Instruction),
  async run(call) {
    const vm = call.vm();
    const space = spaceOf(call);
    let address = call.address("ADDRESS") ?? vm.machine.debugger.registers(space.hart).pc;
    const all: z.output<typeof Instruction>[] = [];
    for (let left = call.number("count") ?? 10; left > 0; left--) {
      const one = instructionAt(vm, address, space);
      if (one === null) break;
      all.push(one);
      address = BigInt.asUintN(64, address + BigInt(one.bytes.length / 2));
    }
    if (all.length === 0) throw new VmError("not-found", `${hex(address)}: no memory is there`);
    return all;
  },
  text: (all) => `${all.map(instructionText).join("\n")}\n`,
});

/** These commands, in the order of help. */
export const memoryCommands: readonly CommandSpec[] = [memory, write, disassembleCommand];
