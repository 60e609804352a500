/**
 * debug-text: what the commands of family `debug` share: options, addresses with names, stops,
 * instructions, dumps.
 *
 * Used by commands/debug.ts, debug-memory.ts and debug-run.ts.
 */
import { z } from "zod";
import { type DebugStop, disassemble, type RunResult } from "../../index.ts";
import type { Call, CommandOption, ParameterSpec } from "../command.ts";
import { describeResult, type Vm } from "../vm.ts";

export const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };

export const HART: CommandOption = {
  value: "N",
  kind: "integer",
  most: 7,
  help: "the hart; default 0",
};

/** An address in memory commands is guest physical. */
export const PHYSICAL: CommandOption = {
  help: "ADDRESS is guest physical, not the hart's virtual",
};

/** Addresses and registers in JSON: 0x... */
export const Hex = z.string().regex(/^0x[0-9a-f]+$/);

export const hex = (value: bigint | number) => `0x${value.toString(16)}`;

/** 0x and 16 digits, for columns. */
export const hex64 = (value: bigint) => `0x${value.toString(16).padStart(16, "0")}`;

/** Where in which memory a command looks. */
export function spaceOf(call: Call) {
  return { hart: call.number("hart") ?? 0, isPhysical: call.has("physical") };
}

/** "<start_kernel+0x10>", or null without symbols nearby. */
export function symbolAt(vm: Vm, address: bigint): string | null {
  return vm.symbols?.nameOf(address) ?? null;
}

/** "0xffffffff80000010 <start_kernel+0x10>". */
export function addressText(address: string, symbol: string | null): string {
  return symbol === null ? address : `${address} <${symbol}>`;
}

/** One instruction in memory. */
export const Instruction = z.object({
  address: Hex,
  symbol: z.string().nullable().describe("name+0x... once symbols are loaded"),
  bytes: z.string().describe("hex digits in memory order"),
  text: z.string(),
});

/** The instruction at an address, or null where nothing can be read. */
export function instructionAt(
  vm: Vm,
  address: bigint,
  space: { hart: number; isPhysical?: boolean },
): z.output<typeof Instruction> | null {
  const memory = vm.machine.debugger.readMemory(address, 4, space);
  const word = memory.reduce((sum, byte, index) => sum + byte * 2 ** (8 * index), 0);
  const { text, bytes } = disassemble(word, address);
  if (memory.length < bytes) return null;
  return {
    address: hex(address),
    symbol: symbolAt(vm, address),
    bytes: bytesHex(memory.subarray(0, bytes)),
    text,
  };
}

/** Hex digits in memory order. */
export function bytesHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** "  0x80200000  00028067  jr t0", with a line for the symbol that begins there. */
export function instructionText(instruction: z.output<typeof Instruction>): string {
  const { address, symbol, bytes, text } = instruction;
  const begins = symbol !== null && !symbol.includes("+") ? `${symbol}:\n` : "";
  const word = (bytes.match(/../g) ?? []).reverse().join("");
  return `${begins}  ${address}  ${word.padEnd(8)}  ${text}`;
}

/** Where a machine stands after a step, or why it stands no more. */
export const Stop = z.object({
  cause: z.string().describe("breakpoint, watchpoint, step, ebreak, or how the run ended"),
  hart: z.number().nullable(),
  pc: Hex.nullable(),
  symbol: z.string().nullable(),
  address: Hex.nullable().describe("the watched byte that was accessed"),
  access: z.enum(["read", "write"]).nullable(),
  next: Instruction.nullable().describe("what the hart executes next"),
  text: z.string(),
});

/** A stop as it is told. */
export function stopOf(vm: Vm, stop: DebugStop): z.output<typeof Stop> {
  const { cause, hart, pc, access = null } = stop;
  const symbol = symbolAt(vm, pc);
  const address = cause === "watchpoint" ? hex(stop.address) : null;
  const what = address === null ? cause : `${access} of ${address}`;
  const text = `hart ${hart} at ${addressText(hex(pc), symbol)}: ${what}`;
  const next = instructionAt(vm, pc, { hart });
  return { cause, hart, pc: hex(pc), symbol, address, access, next, text };
}

/** The result of a step or of going on. */
export function outcomeOf(vm: Vm, result: RunResult): z.output<typeof Stop> {
  if (result.kind === "break") return stopOf(vm, result);
  const nothing = { hart: null, pc: null, symbol: null, address: null, access: null, next: null };
  return { cause: result.kind, ...nothing, text: `${vm.name} ended: ${describeResult(result)}` };
}

/** Lines for people. */
export function stopText({ text, next }: z.output<typeof Stop>): string {
  return next === null ? `${text}\n` : `${text}\n${instructionText(next)}\n`;
}
