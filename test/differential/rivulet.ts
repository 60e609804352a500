/**
 * rivulet: runs a batch on the core, with nothing around it but the finisher.
 *
 * Used by the tests and campaigns of this folder, and by law0 (which splits the budget).
 */
import { readFileSync } from "node:fs";
import { EXIT_BUDGET, EXIT_MMIO } from "../../assembly/layout.ts";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import type { Batch } from "./batch.ts";
import { FINISHER, FINISHER_PASS, RAM, RAM_BYTES } from "./layout.ts";

const PAGE_BYTES = 4096;
const ARENA_BYTES = 256 * 1024 * 1024;
const SLOTS_MAX = 200_000_000;
const ZEROS = new Uint8Array(PAGE_BYTES);

/** The core that `npm run build` made. */
export function builtCore(): Uint8Array {
  return readFileSync(new URL("../../machine.wasm", import.meta.url));
}

/** A core for batches: instantiate once, run many. */
export async function createCore(wasm: Uint8Array): Promise<Core> {
  return Core.create(wasm, { arenaBytes: ARENA_BYTES, machinesMax: 2 });
}

/** Longer than a batch runs: the end of a quantum cancels reservations, and QEMU has no quanta. */
const QUANTUM_ENDLESS = 0x7fffffff;

/** A machine with the batch in its RAM, about to run. Dispose it. */
export function loadBatch(
  core: Core,
  batch: Batch,
  harts = 1,
  quantum = QUANTUM_ENDLESS,
): MachineView {
  const machine = MachineView.create(core, { ramPages: RAM_BYTES / PAGE_BYTES, harts, quantum });
  for (let at = 0; at < batch.bytes.length; at += PAGE_BYTES) {
    const page = batch.bytes.subarray(at, at + PAGE_BYTES);
    if (Buffer.compare(page, ZEROS) !== 0) machine.memory.write(RAM + at, page);
  }
  for (const hart of machine.harts) hart.pc = BigInt(RAM);
  machine.sync();
  return machine;
}

/** How a run left the machine: at the finisher, out of budget, or in an unexpected way. */
export type Ending = "finished" | "budget" | `exit ${number}`;

/**
 * Runs up to `slots`, answering every access outside RAM with an access fault, until the finisher
 * is written.
 */
export function runSlots(machine: MachineView, slots: number): Ending {
  const end = machine.slots + slots;
  for (;;) {
    const exit = machine.run(end - machine.slots);
    if (exit === EXIT_BUDGET) return "budget";
    if (exit !== EXIT_MMIO) return `exit ${exit}`;
    const isFinisher = machine.exitAddress === FINISHER && machine.isExitWrite;
    if (isFinisher && machine.exitValueLow === FINISHER_PASS) return "finished";
    machine.mmioDone(0, 0, false);
  }
}

/** Copies a machine's RAM, as many bytes as the batch has. */
export function ramOf(machine: MachineView, batch: Batch): Uint8Array {
  const bytes = new Uint8Array(batch.bytes.length);
  machine.memory.read(RAM, bytes);
  return bytes;
}

/** Runs a batch to its end; returns as many bytes of RAM as the batch has. */
export function runHere(core: Core, batch: Batch): Uint8Array {
  const machine = loadBatch(core, batch);
  try {
    const ending = runSlots(machine, SLOTS_MAX);
    if (ending !== "finished") {
      const pc = machine.harts[0].pc.toString(16);
      throw new Error(`batch seed ${batch.seed} ended with ${ending} at pc ${pc}`);
    }
    return ramOf(machine, batch);
  } finally {
    machine.dispose();
  }
}
