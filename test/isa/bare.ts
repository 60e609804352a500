/**
 * bare: runs an ELF on the core alone, in M-mode from its entry, with nothing but the HTIF around
 * it, so that what a test shows is the core's doing.
 *
 * Used by test/isa/programs.test.ts.
 * Holds   a run ends after `SLOTS_MAX` slots whatever the guest does.
 */
import { readFileSync } from "node:fs";
import { EXIT_BUDGET, EXIT_HTIF, EXIT_IDLE, EXIT_MMIO } from "../../assembly/layout.ts";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { parseElf } from "../../src/machine/elf.ts";

const RAM = 0x80000000;
export const BARE_RAM_BYTES = 64 * 1024 * 1024;
const SLOTS_MAX = 20_000_000;
const CONSOLE_PUT = 0x0101n;

/** How a program ended. */
export interface BareResult {
  /** Exit code through tohost; null when the program did something else instead. */
  readonly code: number | null;
  /** What happened, for a failure's message. */
  readonly why: string;
  readonly console: string;
  readonly slots: number;
  /** A doubleword of guest memory by symbol, after the end. */
  symbol(name: string): bigint;
}

/** Options of a run. The result must not depend on the first two. */
export interface BareOptions {
  /** Slots per call of machineRun; default: all at once. */
  readonly sliceSlots?: number;
  /** What to flush between slices: bit 0 translations, bit 1 decoded code. */
  readonly flush?: number;
  /** Default 1. */
  readonly harts?: number;
  /** Slots that a hart keeps its turn; default 10,000. */
  readonly quantum?: number;
}

const wasm = readFileSync(new URL("../../machine.wasm", import.meta.url));

async function load(elf: Uint8Array, { harts = 1, quantum = 10_000 }: BareOptions) {
  const core = await Core.create(wasm, { arenaBytes: 128 * 1024 * 1024, machinesMax: 1 });
  const shape = { ramPages: BARE_RAM_BYTES / 4096, harts, quantum };
  const machine = MachineView.create(core, shape);
  const program = parseElf(elf, { start: RAM, end: RAM + BARE_RAM_BYTES });
  for (const segment of program.segments) machine.memory.write(segment.address, segment.bytes);
  for (const hart of machine.harts) hart.pc = BigInt(program.entry);
  const tohost = program.symbols.get("tohost") ?? 0;
  machine.tohost = tohost;
  machine.sync();
  return { machine, program, tohost };
}

function serveConsole(machine: MachineView, tohost: number, value: bigint): string {
  machine.memory.writeU64(tohost, 0n);
  return value >> 48n === CONSOLE_PUT ? String.fromCharCode(Number(value & 0xffn)) : "";
}

/** Runs the file until it exits through tohost, leaves the core otherwise, or takes too long. */
export async function runBare(elf: Uint8Array, options: BareOptions = {}): Promise<BareResult> {
  const { machine, program, tohost } = await load(elf, options);
  let text = "";
  let code: number | null = null;
  let why = "";
  while (why === "" && code === null) {
    const left = SLOTS_MAX - machine.slots;
    if (left <= 0) {
      why = `still running after ${SLOTS_MAX} slots`;
      break;
    }
    const exit = machine.run(Math.min(options.sliceSlots ?? left, left));
    if (options.flush) machine.flush(options.flush);
    if (exit === EXIT_HTIF) {
      const value = machine.memory.readU64(tohost) ?? 0n;
      if (value & 1n) code = Number(value >> 1n);
      else text += serveConsole(machine, tohost, value);
    } else if (exit === EXIT_MMIO) {
      machine.mmioDone(0, 0, false);
    } else if (exit === EXIT_IDLE && Number.isFinite(machine.idleUntil)) {
      machine.idleJump(machine.idleUntil);
    } else if (exit !== EXIT_BUDGET) {
      why = `exit ${exit}`;
    }
  }
  const hart = machine.harts[0];
  const where = `pc ${hart.pc.toString(16)}, gp ${hart.x(3)}, console ${JSON.stringify(text)}`;
  return {
    code,
    why: `${why || `code ${code}`}: ${where}`,
    console: text,
    slots: machine.slots,
    symbol: (name) => machine.memory.readU64(program.symbols.get(name) ?? 0) ?? -1n,
  };
}
