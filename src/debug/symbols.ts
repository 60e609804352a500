/**
 * symbols: names for addresses: a System.map or /proc/kallsyms of Linux, or the symbol table of an
 * ELF file.
 *
 * Used by the shell, through src/index.ts.
 * Holds   what a file says is bounded by its size; a line that is none is an error with its number.
 */
import { VmError } from "../errors.ts";
import { elfSymbols, isElf } from "../machine/elf.ts";

/** A name this far behind the last symbol is not made of it. */
const DISTANCE_MAX = 1n << 20n;
/** Local labels and mapping symbols of assemblers: they name nothing that a person looks for. */
const NOISE = /^(\$[xd]|\.L)/;

/** Of System.map, or of /proc/kallsyms, where the module stands behind the name. */
const LINE = /^([0-9a-f]{1,16}) \S (\S+)(?:\s+\[\S+\])?\s*$/i;

/** Names and addresses, both ways. */
export class SymbolTable {
  readonly #addresses: ReadonlyMap<string, bigint>;
  /** By address, lowest first. */
  readonly #sorted: readonly (readonly [bigint, string])[];

  constructor(addresses: ReadonlyMap<string, bigint>) {
    this.#addresses = addresses;
    this.#sorted = [...addresses]
      .filter(([name]) => !NOISE.test(name))
      .map(([name, address]) => [address, name] as const)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  /** Number of names. */
  get size(): number {
    return this.#addresses.size;
  }

  addressOf(name: string): bigint | undefined {
    return this.#addresses.get(name);
  }

  /** "start_kernel+0x1c" for the last symbol at or before an address; null when none is near. */
  nameOf(address: bigint): string | null {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle][0] <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return null;
    const [start] = this.#sorted[low - 1];
    if (address - start > DISTANCE_MAX) return null;
    // of several names at one address the first in the file
    while (low > 1 && this.#sorted[low - 2][0] === start) low--;
    const [, name] = this.#sorted[low - 1];
    return address === start ? name : `${name}+0x${(address - start).toString(16)}`;
  }
}

/**
 * Reads a System.map, kallsyms ("address type name" a line) or an ELF64. Throws VmError "bad-file".
 */
export function parseSymbols(bytes: Uint8Array): SymbolTable {
  const addresses = isElf(bytes) ? elfSymbols(bytes) : parseSystemMap(bytes);
  if (addresses.size > 0) return new SymbolTable(addresses);
  throw new VmError("bad-file", "the file names no symbols; accepted are System.map and ELF files");
}

function parseSystemMap(bytes: Uint8Array): Map<string, bigint> {
  const addresses = new Map<string, bigint>();
  const lines = new TextDecoder().decode(bytes).split("\n");
  lines.forEach((line, index) => {
    if (line.trim() === "") return;
    const match = LINE.exec(line);
    if (match === null) {
      const accepted = "accepted are ELF files and lines such as `ffffffff80000000 T _start`";
      throw new VmError("bad-file", `line ${index + 1}, "${line.slice(0, 40)}": ${accepted}`);
    }
    const [, address, name] = match;
    if (!addresses.has(name)) addresses.set(name, BigInt(`0x${address}`));
  });
  return addresses;
}
