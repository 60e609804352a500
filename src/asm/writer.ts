/**
 * writer: the image being assembled: bytes, labels, references to labels that are resolved at the
 * end, and data.
 *
 * Owns    the growing buffer, the symbol table and the list of open references.
 * Used by asm/assembler.ts, which adds the instructions.
 * Holds   addresses are 64-bit (bigint); an image is at most 2 GiB and contiguous from `base`.
 */
import { VmError } from "../errors.ts";

/** What `assemble` returns. */
export interface Program {
  /** Address of the first byte. */
  readonly base: bigint;
  readonly bytes: Uint8Array;
  /** Every label and `define`d constant. */
  readonly symbols: ReadonlyMap<string, bigint>;
}

interface Reference {
  readonly offset: number;
  readonly label: string;
  /** Called with the label's address once all labels are known. */
  readonly patch: (target: bigint) => void;
}

const IMAGE_BYTES_MAX = 0x80000000;

/** Code and data of an image as they are emitted. */
export class ImageWriter {
  readonly base: bigint;
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #symbols = new Map<string, bigint>();
  #references: Reference[] = [];
  #fresh = 0;

  /** An empty image whose first byte lives at `base` (default: start of RAM on the virt map). */
  constructor(options: { base?: number | bigint } = {}) {
    this.base = BigInt.asUintN(64, BigInt(options.base ?? 0x80000000));
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Address of the next byte. */
  get here(): bigint {
    return BigInt.asUintN(64, this.base + BigInt(this.#length));
  }

  /** Names the address of the next byte. */
  label(name: string): void {
    this.define(name, this.here);
  }

  /** Names a constant; a name has one meaning in the whole image. */
  define(name: string, value: number | bigint): void {
    if (this.#symbols.has(name)) {
      throw new VmError("bad-argument", `label ${name} is defined twice: accepted is once`);
    }
    this.#symbols.set(name, BigInt.asUintN(64, BigInt(value)));
  }

  /**
   * A name that no other call returned, for loops inside helper functions. It is not defined yet.
   */
  fresh(stem = "local"): string {
    this.#fresh++;
    return `.${stem}.${this.#fresh}`;
  }

  u8(...values: number[]): void {
    for (const value of values) {
      this.#check(value, 8);
      this.#bytes[this.#grow(1)] = value;
    }
  }

  u16(...values: number[]): void {
    for (const value of values) {
      this.#check(value, 16);
      const at = this.#grow(2);
      this.#view.setUint16(at, value, true);
    }
  }

  u32(...values: number[]): void {
    for (const value of values) {
      this.#check(value, 32);
      const at = this.#grow(4);
      this.#view.setUint32(at, value, true);
    }
  }

  /** Doublewords; a label stands for its address. */
  u64(...values: (number | bigint | string)[]): void {
    for (const value of values) {
      const at = this.#grow(8);
      if (typeof value === "string") {
        this.reference(at, value, (target) => this.#view.setBigUint64(at, target, true));
      } else {
        this.#view.setBigUint64(at, word64(value), true);
      }
    }
  }

  /** Bytes as they are. */
  data(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Characters up to U+00FF, one byte each, without an end mark. */
  ascii(text: string): void {
    for (let at = 0; at < text.length; at++) this.u8(text.charCodeAt(at));
  }

  /** `ascii` and a zero byte. */
  asciz(text: string): void {
    this.ascii(text);
    this.u8(0);
  }

  /** `count` bytes of `fill`. */
  space(count: number, fill = 0): void {
    const at = this.#grow(count);
    this.#bytes.fill(fill, at, at + count);
  }

  /** Zero bytes up to the next address that is a multiple of `bytes`, a power of two. */
  align(bytes: number): void {
    if (!Number.isInteger(bytes) || bytes < 1 || (bytes & (bytes - 1)) !== 0) {
      throw new VmError("bad-argument", `align ${bytes}: accepted are powers of two`);
    }
    this.space(Number(BigInt.asUintN(64, -this.here) & BigInt(bytes - 1)));
  }

  /** Zero bytes up to `address`, which must not lie behind. */
  padTo(address: number | bigint): void {
    const count = BigInt.asUintN(64, BigInt(address)) - this.here;
    if (count < 0n || count > BigInt(IMAGE_BYTES_MAX)) {
      const [given, here] = [BigInt(address).toString(16), this.here.toString(16)];
      throw new VmError("bad-argument", `padTo 0x${given}: accepted is 0x${here} or later`);
    }
    this.space(Number(count));
  }

  /**
   * Resolves every reference and returns the image. The writer may go on and be assembled again.
   */
  assemble(): Program {
    for (const { offset, label, patch } of this.#references) {
      const target = this.#symbols.get(label);
      if (target === undefined) {
        const at = (this.base + BigInt(offset)).toString(16);
        throw new VmError("bad-argument", `label ${label}, used at 0x${at}, is not defined`);
      }
      patch(target);
    }
    const bytes = this.#bytes.slice(0, this.#length);
    return { base: this.base, bytes, symbols: new Map(this.#symbols) };
  }

  /** Calls `patch` with the address of `label` when the image is assembled. */
  protected reference(offset: number, label: string, patch: (target: bigint) => void): void {
    this.#references.push({ offset, label, patch });
  }

  /** Overwrites a word written before. */
  protected setU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  /** Overwrites a halfword written before. */
  protected setU16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  #check(value: number, bits: number): void {
    const low = -(2 ** (bits - 1));
    if (!Number.isInteger(value) || value < low || value >= 2 ** bits) {
      throw new VmError("bad-argument", `u${bits} ${value}: accepted are ${low} to 2^${bits} - 1`);
    }
  }

  #grow(count: number): number {
    const at = this.#length;
    const length = at + count;
    if (!Number.isInteger(count) || count < 0 || length > IMAGE_BYTES_MAX) {
      throw new VmError("bad-argument", `${count} more bytes: accepted are 0 to 2 GiB in all`);
    }
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(Math.max(length, at * 2), IMAGE_BYTES_MAX));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = length;
    return at;
  }
}

/**
 * A 64-bit value as an unsigned bigint; numbers must be safe integers, bigints in -2^63 to 2^64 -
 * 1.
 */
export function word64(value: number | bigint): bigint {
  const isSafe = typeof value === "bigint" || Number.isSafeInteger(value);
  const wide = isSafe ? BigInt(value) : 0n;
  if (!isSafe || wide < -(1n << 63n) || wide >= 1n << 64n) {
    const accepted = "accepted are safe integers and bigints from -2^63 to 2^64 - 1";
    throw new VmError("bad-argument", `value ${value}: ${accepted}`);
  }
  return BigInt.asUintN(64, wide);
}
