/**
 * block-view: reads and writes the fields of a block in core memory; base of the hart and the
 * machine view.
 *
 * Used by hart-view.ts and machine-view.ts.
 * Holds   addresses are multiples of 8, as are the offsets of 64-bit fields.
 */
import type { Core } from "./instance.ts";

const TWO_32 = 0x1_0000_0000;

/** Typed access to one block. Offsets are those of assembly/layout.ts. */
export class BlockView {
  readonly core: Core;
  /** Byte address in the arena. */
  readonly address: number;

  constructor(core: Core, address: number) {
    this.core = core;
    this.address = address >>> 0;
  }

  get8(offset: number): number {
    return this.core.u8[this.address + offset];
  }

  set8(offset: number, value: number): void {
    this.core.u8[this.address + offset] = value;
  }

  get32(offset: number): number {
    return this.core.u32[(this.address + offset) / 4];
  }

  set32(offset: number, value: number): void {
    this.core.u32[(this.address + offset) / 4] = value;
  }

  get64(offset: number): bigint {
    return this.core.u64[(this.address + offset) / 8];
  }

  set64(offset: number, value: bigint): void {
    this.core.u64[(this.address + offset) / 8] = value;
  }

  /** A 64-bit field as a number: exact below 2^53, and without allocating a bigint. */
  getNumber(offset: number): number {
    const at = (this.address + offset) / 4;
    return this.core.u32[at + 1] * TWO_32 + this.core.u32[at];
  }

  /** Stores a safe integer in a 64-bit field. */
  setNumber(offset: number, value: number): void {
    const at = (this.address + offset) / 4;
    this.core.u32[at] = value % TWO_32;
    this.core.u32[at + 1] = Math.floor(value / TWO_32);
  }

  /** A view of `bytes` bytes from `offset` on: valid at once, not to be kept. */
  bytesAt(offset: number, bytes: number): Uint8Array {
    return this.core.u8.subarray(this.address + offset, this.address + offset + bytes);
  }
}
