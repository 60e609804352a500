/**
 * guest: the built-in guest, an ELF made on the spot by the assembler; no toolchain, no download.
 *
 * Used by `rivulet run --guest builtin`, `npm start` where Debian cannot be prepared, tests.
 * Holds   the same file runs in QEMU: qemu-system-riscv64 -M virt -bios none -kernel guest.elf
 *         -nographic. It needs 4 MiB of RAM; memory beyond that is found by probing.
 */
import { elf64 } from "../asm/elf.ts";
import { GuestBuilder } from "./builder.ts";
import { emitConsole } from "./console.ts";
import { emitMachineMode } from "./machine-mode.ts";
import { LINE_BYTES, RAM, RING_BYTES, STACK_BYTES } from "./platform.ts";
import { emitShell } from "./shell.ts";
import { emitSupervisor } from "./supervisor.ts";

/** Name by which `--guest` knows it. */
export const BUILTIN_GUEST_NAME = "builtin";

const VARIABLES = [
  "misa",
  "ramEnd",
  "machineRecover",
  "freePage",
  "rootTable",
  "pagesMapped",
  "timerInterrupts",
  "uartInterrupts",
  "ringHead",
  "ringTail",
  "lastByte",
];

/** Zeroed by the guest's first instructions, not part of the file. */
function zeroed(a: GuestBuilder): number {
  a.align(16);
  const start = a.length;
  a.label("zeroed");
  for (const name of VARIABLES) {
    a.label(name);
    a.space(8);
  }
  for (const [name, bytes] of [
    ["ring", RING_BYTES],
    ["line", LINE_BYTES],
  ] as const) {
    a.label(name);
    a.space(bytes);
  }
  for (const name of ["machineStack", "supervisorStack"]) {
    a.align(16);
    a.label(name);
    a.space(STACK_BYTES);
  }
  a.align(16);
  a.label("zeroedEnd");
  a.align(4096);
  a.label("imageEnd");
  return start;
}

/** The built-in guest as an ELF64 file that enters M-mode at the start of RAM. */
export function builtinGuest(): Uint8Array {
  const a = new GuestBuilder({ base: RAM });
  emitMachineMode(a);
  emitSupervisor(a);
  emitConsole(a);
  emitShell(a, STACK_BYTES);
  a.label("hexDigits");
  a.ascii("0123456789abcdef");
  a.stringPool();
  const fileBytes = zeroed(a);
  const { base, bytes, symbols } = a.assemble();
  const segment = {
    address: base,
    bytes: bytes.subarray(0, fileBytes),
    memoryBytes: bytes.length,
  };
  return elf64({ entry: "_start", segments: [segment], symbols });
}
