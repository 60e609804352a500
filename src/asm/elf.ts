/**
 * elf: writes an ELF64 executable for RISC-V: program headers, contents, and a symbol table.
 *
 * Used by the built-in guest and tests; loaded by `rivulet run` and by QEMU's -kernel.
 * Holds   a segment's file offset equals its address modulo the page, as loaders that map files
 *         expect.
 *
 *   header │ program headers │ contents … │ .symtab │ .strtab │ .shstrtab │ section headers
 */
import { VmError } from "../errors.ts";

/** One piece of memory to load. */
export interface ElfSegment {
  /** Virtual address. */
  readonly address: number | bigint;
  /** Where it is loaded (physical); default `address`. */
  readonly physicalAddress?: number | bigint;
  readonly bytes: Uint8Array;
  /** Size in memory; what lies behind `bytes` is zero. Default `bytes.length`. */
  readonly memoryBytes?: number;
  /** Letters of r, w and x; default "rwx". */
  readonly flags?: string;
}

/** What `elf64` writes. */
export interface ElfOptions {
  /** Address, or the name of one of `symbols`. */
  readonly entry: number | bigint | string;
  readonly segments: readonly ElfSegment[];
  readonly symbols?: Iterable<readonly [string, number | bigint]>;
}

const PAGE = 4096;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const SYMBOL_BYTES = 24;
const EM_RISCV = 243;
/** e_flags: compressed instructions, double-precision floating-point ABI. */
const EF_RVC_DOUBLE = 0x5;
const SHN_ABS = 0xfff1;
const SECTION_NAMES = "\0.symtab\0.strtab\0.shstrtab\0";

const address64 = (value: number | bigint) => BigInt.asUintN(64, BigInt(value));
const roundUp = (value: number, step: number) => Math.ceil(value / step) * step;

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff);
}

function symbolTable(symbols: [string, bigint][]): { table: Uint8Array; names: Uint8Array } {
  const table = new Uint8Array((symbols.length + 1) * SYMBOL_BYTES);
  const view = new DataView(table.buffer);
  let names = "\0";
  symbols.forEach(([name, value], index) => {
    const at = (index + 1) * SYMBOL_BYTES;
    view.setUint32(at, names.length, true);
    view.setUint8(at + 4, 0x10); // STB_GLOBAL, STT_NOTYPE
    view.setUint16(at + 6, SHN_ABS, true);
    view.setBigUint64(at + 8, value, true);
    names += name + "\0";
  });
  return { table, names: latin1(names) };
}

function segmentFlags(letters: string): number {
  let flags = 0;
  for (const letter of letters) {
    const bit = "xwr".indexOf(letter);
    if (bit < 0) throw new VmError("bad-argument", `flags ${letters}: accepted are r, w and x`);
    flags |= 1 << bit;
  }
  return flags;
}

function writeHeader(view: DataView, entry: bigint, segments: number, sectionsAt: number): void {
  [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1].forEach((byte, at) => {
    view.setUint8(at, byte);
  });
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, EM_RISCV, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, BigInt(HEADER_BYTES), true);
  view.setBigUint64(40, BigInt(sectionsAt), true);
  view.setUint32(48, EF_RVC_DOUBLE, true);
  view.setUint16(52, HEADER_BYTES, true);
  view.setUint16(54, PROGRAM_HEADER_BYTES, true);
  view.setUint16(56, segments, true);
  view.setUint16(58, SECTION_HEADER_BYTES, true);
  view.setUint16(60, 4, true);
  view.setUint16(62, 3, true);
}

function writeProgramHeader(view: DataView, at: number, segment: ElfSegment, offset: number): void {
  const memoryBytes = segment.memoryBytes ?? segment.bytes.length;
  if (memoryBytes < segment.bytes.length) {
    const accepted = `accepted are ${segment.bytes.length} or more`;
    throw new VmError("bad-argument", `segment of ${memoryBytes} bytes in memory: ${accepted}`);
  }
  view.setUint32(at, 1, true); // PT_LOAD
  view.setUint32(at + 4, segmentFlags(segment.flags ?? "rwx"), true);
  view.setBigUint64(at + 8, BigInt(offset), true);
  view.setBigUint64(at + 16, address64(segment.address), true);
  view.setBigUint64(at + 24, address64(segment.physicalAddress ?? segment.address), true);
  view.setBigUint64(at + 32, BigInt(segment.bytes.length), true);
  view.setBigUint64(at + 40, BigInt(memoryBytes), true);
  view.setBigUint64(at + 48, BigInt(PAGE), true);
}

/** Sections: type, offset, size, link, info, entry size of .symtab, .strtab and .shstrtab. */
function writeSections(view: DataView, at: number, sections: readonly (readonly number[])[]): void {
  const names = [".symtab", ".strtab", ".shstrtab"];
  sections.forEach(([type, offset, size, link, info, entryBytes], index) => {
    const header = at + (index + 1) * SECTION_HEADER_BYTES;
    view.setUint32(header, SECTION_NAMES.indexOf(`\0${names[index]}\0`) + 1, true);
    view.setUint32(header + 4, type, true);
    view.setBigUint64(header + 24, BigInt(offset), true);
    view.setBigUint64(header + 32, BigInt(size), true);
    view.setUint32(header + 40, link, true);
    view.setUint32(header + 44, info, true);
    view.setBigUint64(header + 48, 8n, true);
    view.setBigUint64(header + 56, BigInt(entryBytes), true);
  });
}

/**
 * An ELF64 RISC-V executable. Throws VmError "bad-argument" when `entry` names no symbol or sizes
 * contradict.
 */
export function elf64(options: ElfOptions): Uint8Array {
  const symbols = [...(options.symbols ?? [])].map(([name, value]): [string, bigint] => [
    name,
    address64(value),
  ]);
  const named = symbols.find(([name]) => name === options.entry);
  if (typeof options.entry === "string" && named === undefined) {
    throw new VmError("bad-argument", `entry ${options.entry}: accepted are the given symbols`);
  }
  const entry = named === undefined ? address64(options.entry as number | bigint) : named[1];
  const { table, names } = symbolTable(symbols);

  let end = HEADER_BYTES + options.segments.length * PROGRAM_HEADER_BYTES;
  const offsets = options.segments.map((segment) => {
    const wanted = Number(address64(segment.address) % BigInt(PAGE));
    const offset = end + ((wanted - (end % PAGE) + PAGE) % PAGE);
    end = offset + segment.bytes.length;
    return offset;
  });
  const tableAt = roundUp(end, 8);
  const namesAt = tableAt + table.length;
  const sectionNamesAt = namesAt + names.length;
  const sectionsAt = roundUp(sectionNamesAt + SECTION_NAMES.length, 8);

  const file = new Uint8Array(sectionsAt + 4 * SECTION_HEADER_BYTES);
  const view = new DataView(file.buffer);
  writeHeader(view, entry, options.segments.length, sectionsAt);
  options.segments.forEach((segment, index) => {
    const at = HEADER_BYTES + index * PROGRAM_HEADER_BYTES;
    writeProgramHeader(view, at, segment, offsets[index]);
    file.set(segment.bytes, offsets[index]);
  });
  file.set(table, tableAt);
  file.set(names, namesAt);
  file.set(latin1(SECTION_NAMES), sectionNamesAt);
  writeSections(view, sectionsAt, [
    [2, tableAt, table.length, 2, 1, SYMBOL_BYTES],
    [3, namesAt, names.length, 0, 0, 0],
    [3, sectionNamesAt, SECTION_NAMES.length, 0, 0, 0],
  ]);
  return file;
}
