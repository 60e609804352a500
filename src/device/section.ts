/**
 * section: how a device writes its saved state down and reads it back.
 *
 * Used by every device's save() and restore().
 * Holds   a section starts with four letters that name its kind; numbers are little-endian; a
 *         reader checks every bound and range and throws VmError "bad-section", so that a device
 *         changes nothing until all is read.
 *
 *   kind letters 4 ─ fields in the order that the device documents
 */
import { VmError } from "../errors.ts";
import type { DeviceSection } from "./contract.ts";

const TAG_BYTES = 4;
const SPARE_BYTES = 1024;
const TWO_32 = 0x1_0000_0000;

/** Of a writer that is done, for the next one: a machine is forked in so many sections. */
let spare: DataView<ArrayBuffer> | null = null;

/** Writes fields one behind the other. */
export class SectionWriter {
  #view: DataView<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #used = 0;

  /** `tag`: four ASCII letters that name the kind. */
  constructor(tag: string) {
    this.#view = spare ?? new DataView(new ArrayBuffer(SPARE_BYTES));
    spare = null;
    this.#bytes = new Uint8Array(this.#view.buffer);
    for (let at = 0; at < TAG_BYTES; at++) this.u8(tag.charCodeAt(at));
  }

  u8(value: number): void {
    const at = this.#take(1); // may replace the view
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#take(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }

  /** A safe integer from 0 on, as u64. */
  u53(value: number): void {
    this.u32(value % TWO_32);
    this.u32(Math.floor(value / TWO_32));
  }

  /** The low 64 bits of `value`. */
  u64(value: bigint): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }

  flag(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#take(bytes.length); // may replace the buffer
    this.#bytes.set(bytes, at);
  }

  /** A time, or null, as u64: all ones is null. */
  ticks(value: number | null): void {
    if (value === null) this.u64(-1n);
    else this.u53(value);
  }

  finish(name: string, version: number): DeviceSection {
    const bytes = this.#bytes.slice(0, this.#used);
    if (this.#bytes.length === SPARE_BYTES) spare = this.#view;
    return { name, version, bytes };
  }

  #take(count: number): number {
    const at = this.#used;
    this.#used += count;
    if (this.#used > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#used));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

/**
 * Reads fields one behind the other; throws "bad-section" when they are not there or out of range.
 */
export class SectionReader {
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** Checks name, version (1 to `version`) and tag. */
  constructor(section: DeviceSection, name: string, tag: string, version: number) {
    this.#name = name;
    this.#bytes = section.bytes;
    this.#view = new DataView(section.bytes.buffer, section.bytes.byteOffset, section.bytes.length);
    if (section.name !== name) this.refuse(`is of ${section.name}`);
    const isKnown = Number.isInteger(section.version) && section.version >= 1;
    if (!isKnown || section.version > version) {
      this.refuse(`has version ${section.version}, 1 to ${version} are read`);
    }
    const at = this.#take(TAG_BYTES);
    for (let index = 0; index < TAG_BYTES; index++) {
      if (this.#bytes[at + index] !== tag.charCodeAt(index)) this.refuse(`holds no ${tag} state`);
    }
  }

  /** Throws "bad-section": the section of this device `what`. */
  refuse(what: string): never {
    throw new VmError("bad-section", `section of ${this.#name} ${what}`);
  }

  /** An integer of 8 bits, at most `most`. */
  u8(most = 0xff): number {
    return this.#check(this.#view.getUint8(this.#take(1)), most);
  }

  u16(most = 0xffff): number {
    return this.#check(this.#view.getUint16(this.#take(2), true), most);
  }

  u32(most = 0xffffffff): number {
    return this.#check(this.#view.getUint32(this.#take(4), true), most);
  }

  /** A safe integer written by u53. */
  u53(most = Number.MAX_SAFE_INTEGER): number {
    const low = this.u32();
    return this.#check(this.u32() * TWO_32 + low, most);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  flag(): boolean {
    return this.u8(1) === 1;
  }

  /** A copy of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.slice(at, at + count);
  }

  ticks(): number | null {
    const value = this.u64();
    if (value === 0xffff_ffff_ffff_ffffn) return null;
    return this.#check(Number(value), Number.MAX_SAFE_INTEGER);
  }

  /** Everything has been read: throws when bytes are left over. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) this.refuse(`has ${left} bytes too many`);
  }

  #check(value: number, most: number): number {
    if (value > most) this.refuse(`holds ${value} where at most ${most} is possible`);
    return value;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) this.refuse(`ends after ${this.#bytes.length} bytes`);
    this.#at = at + count;
    return at;
  }
}
