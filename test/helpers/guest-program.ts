/**
 * guest-program: small guests for tests of the control plane, as ELF (M-mode) or Image (S-mode over
 * built-in SBI), and a host with a small arena to run them on.
 *
 * Used by test/machine/.
 */
import { Assembler } from "../../src/asm/assembler.ts";
import { elf64 } from "../../src/asm/elf.ts";
import { Host, type HostOptions } from "../../src/node.ts";

export const RAM = 0x8000_0000;
export const KERNEL = 0x8020_0000;
export const FINISHER = 0x10_0000;
export const UART = 0x1000_0000;
const IMAGE_HEADER_BYTES = 64;

/** A host of 64 MiB, enough for small guests. */
export function smallHost(options: Partial<HostOptions> = {}): ReturnType<typeof Host.create> {
  return Host.create({ arenaBytes: 64 * 1024 * 1024, machinesMax: 4, ...options });
}

/** An ELF whose code `build` writes from the start of RAM; all of its labels are symbols. */
export function elfProgram(build: (a: Assembler) => void): Uint8Array {
  const a = new Assembler({ base: RAM });
  build(a);
  const { bytes, symbols } = a.assemble();
  return elf64({ entry: RAM, segments: [{ address: RAM, bytes }], symbols });
}

/** What an Image header says. */
export interface ImageFields {
  readonly textOffset?: number;
  readonly imageBytes?: number;
  readonly flags?: number;
}

/** A RISC-V Image whose code `build` writes; it begins behind the header. */
export function imageProgram(build: (a: Assembler) => void, fields: ImageFields = {}): Uint8Array {
  const a = new Assembler({ base: KERNEL });
  a.j("begin");
  a.padTo(KERNEL + IMAGE_HEADER_BYTES);
  a.label("begin");
  build(a);
  const { bytes } = a.assemble();
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, BigInt(fields.textOffset ?? 0x20_0000), true);
  view.setBigUint64(16, BigInt(fields.imageBytes ?? bytes.length), true);
  view.setUint32(24, fields.flags ?? 0, true);
  view.setUint32(32, 2, true);
  view.setBigUint64(48, 0x5643534952n, true);
  view.setUint32(56, 0x05435352, true);
  return bytes;
}

/** Ends the machine through the finisher with a power-off. */
export function emitPoweroff(a: Assembler): void {
  a.li("t0", FINISHER);
  a.li("t1", 0x5555);
  a.sw("t1", "t0", 0);
  emitHang(a);
}

/** A loop without end. */
export function emitHang(a: Assembler): void {
  const here = a.fresh("hang");
  a.label(here);
  a.j(here);
}

/** An SBI call: extension, function, then a0 … a5. */
export function emitSbi(a: Assembler, extension: number, call: number, ...args: bigint[]): void {
  args.forEach((value, index) => {
    a.li(`a${index}` as "a0", value);
  });
  a.li("a7", extension);
  a.li("a6", call);
  a.ecall();
}

/** Stores a0 and a1 at `address` and the next doubleword. */
export function emitStoreAnswer(a: Assembler, address: number): void {
  a.li("t0", address);
  a.sd("a0", "t0", 0);
  a.sd("a1", "t0", 8);
}

/** All output of a machine as text, from now on. */
export function collectOutput(machine: {
  console: { onOutput(listener: (bytes: Uint8Array) => void): () => void };
}): { readonly text: string } {
  const decoder = new TextDecoder();
  const output = { text: "" };
  machine.console.onOutput((bytes) => {
    output.text += decoder.decode(bytes, { stream: true });
  });
  return output;
}
