/**
 * guest: small programs on the bare core: M-mode from the start of RAM to a store to the finisher.
 *
 * Used by the suites of this folder.
 */
import * as assert from "uvu/assert";
import { EXIT_BUDGET, EXIT_MMIO, HART_PMPADDR, HART_PMPCFG } from "../../assembly/layout.ts";
import { Assembler } from "../../src/asm/index.ts";
import type { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { stateDigest } from "../../src/machine/digest.ts";

export const RAM = 0x8000_0000;
export const FINISHER = 0x10_0000;
const SLOTS_MAX = 20_000_000;

/** What a machine is made of, beside its program. */
export interface GuestOptions {
  readonly ramPages?: number;
  readonly harts?: number;
  readonly quantum?: number;
}

/** A machine with the code that `build` writes at the start of RAM; every hart begins there. */
export function makeGuest(
  core: Core,
  build: (a: Assembler) => void,
  { ramPages = 1024, harts = 1, quantum = 1000 }: GuestOptions = {},
): MachineView {
  const machine = MachineView.create(core, { ramPages, harts, quantum });
  const a = new Assembler({ base: RAM });
  build(a);
  assert.ok(machine.memory.write(RAM, a.assemble().bytes), "the program fits");
  for (const hart of machine.harts) {
    hart.pc = BigInt(RAM);
    hart.set8(HART_PMPCFG, 0x1f);
    hart.set64(HART_PMPADDR, 0x3f_ffff_ffff_ffffn);
  }
  machine.sync();
  return machine;
}

/** Ends the program. */
export function emitEnd(a: Assembler): void {
  const here = a.fresh("end");
  a.li("t0", FINISHER);
  a.sw("zero", "t0", 0);
  a.label(here);
  a.j(here);
}

/** Runs to the finisher, or to another exit than a budget's; returns the exit. */
export function runGuest(machine: MachineView, sliceSlots = SLOTS_MAX): number {
  const end = machine.slots + SLOTS_MAX;
  while (machine.slots < end) {
    const exit = machine.run(Math.min(sliceSlots, end - machine.slots));
    if (exit !== EXIT_BUDGET) return exit;
  }
  return EXIT_BUDGET;
}

/** Runs to the finisher, and nothing else. */
export function finish(machine: MachineView, sliceSlots?: number): void {
  const exit = runGuest(machine, sliceSlots);
  const at = machine.harts.map((hart) => hart.pc.toString(16)).join(" ");
  assert.is(exit, EXIT_MMIO, `exit ${exit}, pc ${at}`);
  assert.is(machine.exitAddress, FINISHER, `device access, pc ${at}`);
}

/** Digest of all that the core holds. */
export function digestOf(machine: MachineView): string {
  return stateDigest(machine, [], { entropyCounter: 0, alarmOf: () => null });
}
