/**
 * elf: reads an ELF64 executable for RISC-V: what to load where, where to start, which symbols it
 * names.
 *
 * Used by boot.ts (kernels and firmware), htif.ts (tohost).
 * Holds   every offset and size is checked against the file and against RAM before it is used; what
 *         is wrong is said with the value found and the value accepted. Addresses are numbers: RAM
 *         ends far below 2^53.
 */
import { VmError } from "../errors.ts";

/** One piece of the file and where in guest physical memory it goes. */
export interface ElfSegment {
  readonly address: number;
  /** What the file holds; a view, not a copy. */
  readonly bytes: Uint8Array;
  /** Size in memory; what lies behind `bytes` is zero. */
  readonly memoryBytes: number;
}

/** A parsed executable. */
export interface ElfProgram {
  /** Guest physical address of the first instruction. */
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  /** Addresses by symbol name; empty when the file was stripped. */
  readonly symbols: ReadonlyMap<string, number>;
}

/** The RAM that segments must lie in: [start, end). */
export interface RamRange {
  readonly start: number;
  readonly end: number;
}

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const SYMBOL_BYTES = 24;
const CLASS_64 = 2;
const DATA_LITTLE = 1;
const TYPE_EXECUTABLE = 2;
const TYPE_SHARED = 3;
const MACHINE_RISCV = 243;
const SEGMENT_LOAD = 1;
const SECTION_SYMBOLS = 2;
const SEGMENTS_MAX = 256;
const NAME_BYTES_MAX = 256;

/** True when the bytes begin as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 &&
    bytes[0] === 0x7f &&
    bytes[1] === 0x45 &&
    bytes[2] === 0x4c &&
    bytes[3] === 0x46
  );
}

function fail(what: string): never {
  throw new VmError("bad-file", `ELF file: ${what}`);
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

/** Reads 64-bit fields as numbers: anything above 2^53 is far outside every file and every RAM. */
class Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(at: number): number {
    return this.view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  u64(at: number): number {
    return Number(this.view.getBigUint64(at, true));
  }

  /** Fails unless [at, at + length) lies in the file. */
  need(at: number, length: number, what: string): void {
    if (at + length <= this.bytes.length) return;
    const file = `the file has ${this.bytes.length} bytes`;
    fail(`truncated: ${what} needs bytes ${at} to ${at + length}, ${file}`);
  }
}

function checkIdentity(reader: Reader): void {
  const { bytes } = reader;
  if (!isElf(bytes)) fail("the magic number 7f 45 4c 46 is missing");
  reader.need(0, HEADER_BYTES, "the header");
  if (bytes[4] !== CLASS_64) fail(`class ${bytes[4]}: accepted is 2 (64-bit)`);
  if (bytes[5] !== DATA_LITTLE) fail(`byte order ${bytes[5]}: accepted is 1 (little-endian)`);
  if (bytes[6] !== 1) fail(`version ${bytes[6]}: accepted is 1`);
  const type = reader.u16(16);
  if (type !== TYPE_EXECUTABLE && type !== TYPE_SHARED) {
    fail(`type ${type}: accepted are 2 (executable) and 3 (position-independent)`);
  }
  const machine = reader.u16(18);
  if (machine !== MACHINE_RISCV) fail(`machine ${machine}: accepted is 243 (RISC-V)`);
}

interface LoadSegment extends ElfSegment {
  readonly virtual: bigint;
}

function readSegment(reader: Reader, at: number, index: number, ram: RamRange): LoadSegment | null {
  if (reader.u32(at) !== SEGMENT_LOAD) return null;
  const offset = reader.u64(at + 8);
  const virtual = reader.view.getBigUint64(at + 16, true);
  const address = reader.u64(at + 24);
  const fileBytes = reader.u64(at + 32);
  const memoryBytes = reader.u64(at + 40);
  if (fileBytes > memoryBytes) {
    fail(`segment ${index}: ${fileBytes} bytes in the file, only ${memoryBytes} in memory`);
  }
  if (memoryBytes === 0) return null;
  reader.need(offset, fileBytes, `segment ${index}`);
  if (address < ram.start || address + memoryBytes > ram.end) {
    const given = `${hex(address)} to ${hex(address + memoryBytes)}`;
    fail(`segment ${index} at ${given} is outside RAM (${hex(ram.start)} to ${hex(ram.end)})`);
  }
  return {
    virtual,
    address,
    memoryBytes,
    bytes: reader.bytes.subarray(offset, offset + fileBytes),
  };
}

function readSegments(reader: Reader, ram: RamRange): LoadSegment[] {
  const table = reader.u64(32);
  const entryBytes = reader.u16(54);
  const count = reader.u16(56);
  if (count === 0) fail("no program headers: nothing to load");
  if (count > SEGMENTS_MAX) fail(`${count} program headers: accepted are at most ${SEGMENTS_MAX}`);
  if (entryBytes !== PROGRAM_HEADER_BYTES) {
    fail(`program headers of ${entryBytes} bytes: accepted are ${PROGRAM_HEADER_BYTES}`);
  }
  reader.need(table, count * entryBytes, "the program header table");
  const segments: LoadSegment[] = [];
  for (let index = 0; index < count; index++) {
    const segment = readSegment(reader, table + index * entryBytes, index, ram);
    if (segment !== null) segments.push(segment);
  }
  if (segments.length === 0) fail("no segment to load");
  checkOverlap(segments);
  return segments;
}

function checkOverlap(segments: readonly LoadSegment[]): void {
  const sorted = [...segments].sort((a, b) => a.address - b.address);
  for (let index = 1; index < sorted.length; index++) {
    const before = sorted[index - 1];
    if (before.address + before.memoryBytes <= sorted[index].address) continue;
    fail(`segments overlap at ${hex(sorted[index].address)}`);
  }
}

/** The entry is a virtual address; a segment linked elsewhere than it is loaded moves it along. */
function readEntry(reader: Reader, segments: readonly LoadSegment[], ram: RamRange): number {
  // Virtual addresses of kernels are above 2^53, so they are compared exactly.
  const virtual = reader.view.getBigUint64(24, true);
  const home = segments.find(
    (s) => virtual >= s.virtual && virtual < s.virtual + BigInt(s.memoryBytes),
  );
  const entry =
    home === undefined ? Number(virtual) : home.address + Number(virtual - home.virtual);
  if (entry < ram.start || entry >= ram.end || entry % 2 !== 0) {
    const accepted = `accepted are even addresses in RAM (${hex(ram.start)} to ${hex(ram.end)})`;
    fail(`entry ${hex(virtual)}: ${accepted}`);
  }
  return entry;
}

/**
 * The string at `at`; longer ones than NAME_BYTES_MAX are cut, so that a hostile file costs no more
 * than its size.
 */
function nameAt(bytes: Uint8Array, at: number, end: number): string {
  let name = "";
  const stop = Math.min(end, at + NAME_BYTES_MAX);
  for (let index = at; index < stop && bytes[index] !== 0; index++) {
    name += String.fromCharCode(bytes[index]);
  }
  return name;
}

type TakeSymbol = (name: string, value: bigint) => void;

function readSymbolTable(reader: Reader, header: number, take: TakeSymbol): void {
  const table = reader.u64(header + 24);
  const bytes = reader.u64(header + 32);
  reader.need(table, bytes, "the symbol table");
  const link = reader.u32(header + 40);
  const count = reader.u16(60);
  if (link >= count) fail(`symbol names in section ${link}: the file has ${count} sections`);
  const names = reader.u64(40) + link * SECTION_HEADER_BYTES;
  const namesAt = reader.u64(names + 24);
  const namesBytes = reader.u64(names + 32);
  reader.need(namesAt, namesBytes, "the symbol names");
  for (let at = table; at + SYMBOL_BYTES <= table + bytes; at += SYMBOL_BYTES) {
    const name = nameAt(reader.bytes, namesAt + reader.u32(at), namesAt + namesBytes);
    if (name !== "") take(name, reader.view.getBigUint64(at + 8, true));
  }
}

function readSymbols(reader: Reader, take: TakeSymbol): void {
  const table = reader.u64(40);
  const count = reader.u16(60);
  if (table === 0 || count === 0) return;
  const entryBytes = reader.u16(58);
  if (entryBytes !== SECTION_HEADER_BYTES) {
    fail(`section headers of ${entryBytes} bytes: accepted are ${SECTION_HEADER_BYTES}`);
  }
  reader.need(table, count * entryBytes, "the section header table");
  for (let index = 0; index < count; index++) {
    const header = table + index * entryBytes;
    if (reader.u32(header + 4) !== SECTION_SYMBOLS) continue;
    readSymbolTable(reader, header, take);
    // a file has one at most; thousands of headers over one table would cost hours
    break;
  }
}

/**
 * Addresses by symbol name of an ELF64 for RISC-V, wherever it is linked. Throws "bad-file".
 */
export function elfSymbols(bytes: Uint8Array): Map<string, bigint> {
  const reader = new Reader(bytes);
  checkIdentity(reader);
  const symbols = new Map<string, bigint>();
  readSymbols(reader, (name, value) => symbols.set(name, value));
  return symbols;
}

/**
 * Parses an executable whose segments must lie in `ram`. Throws "bad-file" saying what is wrong.
 */
export function parseElf(bytes: Uint8Array, ram: RamRange): ElfProgram {
  const reader = new Reader(bytes);
  checkIdentity(reader);
  const segments = readSegments(reader, ram);
  const entry = readEntry(reader, segments, ram);
  const symbols = new Map<string, number>();
  readSymbols(reader, (name, value) => symbols.set(name, Number(value)));
  return { entry, segments, symbols };
}
