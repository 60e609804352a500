/**
 * body: the sequence being generated: an assembler, the random stream, and the rules that keep a
 * sequence comparable.
 *
 * Used by the generators beside it.
 * Holds   x1 is written by links only (failed fetches return through it); sp, s0 and s1 point into
 *         the data window; x30 counts loops. All other registers are free.
 */
import {
  Assembler,
  INSTRUCTIONS,
  type InstructionName,
  type OperandsOf,
} from "../../src/asm/index.ts";
import type { Random } from "../helpers/random.ts";
import type { Coverage } from "./coverage.ts";
import { CODE_BYTES, DATA_BYTES, DATA_CONSTANT_BYTES } from "./layout.ts";

export const USER = 0;
export const SUPERVISOR = 1;
export const MACHINE = 3;
export type Mode = 0 | 1 | 3;

/** Start of a region as each mode addresses it. */
export type ByMode = Readonly<Record<Mode, bigint>>;

/** A page whose translation is of interest. */
export interface Probe {
  readonly address: bigint;
  /** True when some mode may fetch there. */
  readonly isExecutable: boolean;
  /** False where a translated access finds nobody. */
  readonly isMemory: boolean;
  /** False when an access must not reach into the next page. */
  readonly isCrossable: boolean;
}

/** A table entry under test. */
export interface TableEntry {
  /** The page it maps. */
  readonly page: bigint;
  /** Where it lies: physical, and as S-mode may write it. */
  readonly address: bigint;
  readonly alias: bigint;
  /** A value it may get. */
  readonly value: bigint;
}

/** Where a PMP entry begins or ends. */
export interface Edge {
  /** Offset in the data window. */
  readonly at: number;
  /** Accesses keep such a distance: QEMU 7.2 misses an entry of 4 bytes amid an access. */
  readonly step: 1 | 4;
}

/** The surroundings that a sequence is generated for. */
export interface Place {
  readonly mode: Mode;
  readonly code: ByMode;
  /** The code again, where stores may change it. */
  readonly codeWrite: ByMode;
  readonly data: ByMode;
  /** True when PMP restricts parts of the cell: QEMU then gets accesses across pages wrong. */
  readonly hasPmp: boolean;
  readonly edges: readonly Edge[];
  /** Offsets in a page, any page, where PMP entries of 4 bytes may begin. */
  readonly words: readonly number[];
  /** True when the data window is mapped for reads and writes. */
  readonly isFriendly: boolean;
  readonly stub: bigint;
  /** mstatus at the start. */
  readonly status: bigint;
  /** 0 when nothing is translated. */
  readonly satp: bigint;
  readonly probes: readonly Probe[];
  /** Table entries worth changing. */
  readonly entries: readonly TableEntry[];
  /** True when S-mode's fences may trap, so that it must not change tables. */
  readonly hasFenceTrap: boolean;
}

const POINTERS = [
  { register: 2, at: 0x600 },
  { register: 8, at: 0x1000 },
  { register: 9, at: 0x1800 },
] as const;
export const LINK = 1;
export const LOOP = 30;
const RESERVED = new Set([LINK, 2, 8, 9, LOOP]);
const FREE = Array.from({ length: 32 }, (_, index) => index).filter((x) => !RESERVED.has(x));
/** Of x8 to x15, which compressed forms reach, those that are free. */
const FREE_SHORT = [10, 11, 12, 13, 14, 15] as const;

/** Names of the table by form. */
export const BY_FORM = new Map<string, InstructionName[]>();
for (const [name, [form]] of Object.entries(INSTRUCTIONS)) {
  BY_FORM.set(form, [...(BY_FORM.get(form) ?? []), name as InstructionName]);
}

export class Body {
  readonly a: Assembler;
  readonly random: Random;
  readonly coverage: Coverage;
  readonly place: Place;
  /** Mode that the code runs in at this point, unless a trap kept it from switching. */
  mode: Mode;
  /** False once a trap may have kept it from switching. */
  isModeSure = true;
  /** `place.words` and those that the sequence adds. */
  readonly words: Set<number>;
  /** Instructions so far. */
  count = 0;
  /** Offset in the code area where the sequence starts. */
  readonly start: number;

  constructor(random: Random, coverage: Coverage, place: Place, start: number) {
    this.random = random;
    this.coverage = coverage;
    this.place = place;
    this.mode = place.mode;
    this.words = new Set(place.words);
    this.start = start;
    this.a = new Assembler({ base: start });
  }

  /** Offset in the code area of the next instruction. */
  get here(): number {
    return this.start + this.a.length;
  }

  /** True while another `bytes` of code fit. */
  hasRoom(bytes: number): boolean {
    return this.here + bytes < CODE_BYTES;
  }

  emit<Name extends InstructionName>(name: Name, ...operands: OperandsOf<Name>): void {
    this.a.emit(name, ...operands);
    this.coverage.instruction(name);
    this.count++;
  }

  /** Appends an instruction whose form is known only at run time. */
  emitAny(name: InstructionName, operands: readonly (string | number | undefined)[]): void {
    (this.emit as (name: InstructionName, ...operands: never[]) => void).call(
      this,
      name,
      ...(operands as never[]),
    );
  }

  /** Appends a raw word. */
  word(bits: number): void {
    if ((bits & 3) === 3) this.a.u32(bits >>> 0);
    else this.a.u16(bits & 0xffff);
    this.count++;
  }

  li(register: number, value: bigint): void {
    this.a.li(register, value);
    this.count++;
  }

  /** A register to write: x0 now and then. */
  target(): number {
    return this.random.pick(FREE);
  }

  /** A register to write that is not x0 (nor `other`). */
  scratch(other = 0): number {
    for (let tries = 0; tries < 100; tries++) {
      const register = this.random.pick(FREE);
      if (register !== 0 && register !== other) return register;
    }
    return 31;
  }

  shortTarget(): number {
    return this.random.pick(FREE_SHORT);
  }

  source(): number {
    return this.random.below(32);
  }

  float(): number {
    return this.random.below(32);
  }

  /** Points sp, s0 and s1 at the data window as the current mode sees it. */
  point(): void {
    for (const { register, at } of POINTERS) {
      this.li(register, this.place.data[this.mode] + BigInt(at));
    }
  }

  /** An offset in the part of the window that stores may change, for an access of `bytes`. */
  writable(bytes: number, aligned: boolean): number {
    const at = this.random.between(DATA_CONSTANT_BYTES, DATA_BYTES - 16);
    // accesses at the end of the first page are as many as ten times chance
    const near = this.random.chance(10) ? 0x1000 - this.random.between(1, 8) : at;
    return aligned || this.place.hasPmp ? near - (near % bytes) : near;
  }

  /**
   * True when PMP may decide about an access otherwise in QEMU 7.2, which looks at its first and
   * last byte: it misses an entry of 4 bytes amid the access, which must fail; and it faults where
   * an entry ends with a page, though each half of an access across pages is allowed.
   */
  isUnclear(offset: number, bytes: number): boolean {
    if (!this.place.hasPmp) return false;
    const [at, end] = [offset & 0xfff, (offset & 0xfff) + bytes];
    const word = (at + 3) & ~3;
    return end > 0x1000 || (word > at && word + 4 < end && this.words.has(word));
  }

  /** Base register and immediate for an offset in the window. */
  reach(offset: number): { base: number; immediate: number } {
    const fitting = POINTERS.filter(({ at }) => offset - at >= -2048 && offset - at < 2048);
    const { register, at } = this.random.pick(fitting);
    return { base: register, immediate: offset - at };
  }

  /** Leaves the address of an offset in the window in a register, and returns the register. */
  address(offset: number): number {
    const { base, immediate } = this.reach(offset);
    const register = this.scratch();
    this.emit("addi", register, base, immediate);
    return register;
  }
}

/** Initial values of the pointers in `place`, as [register, value]. */
export function pointersOf(place: Place): (readonly [number, bigint])[] {
  return POINTERS.map(({ register, at }) => [register, place.data[place.mode] + BigInt(at)]);
}
