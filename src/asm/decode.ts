/**
 * decode: from an instruction's bits back to its entry in the table and its operands: the inverse
 * of asm/encode.ts.
 *
 * Owns    the index of the table by opcode.
 * Used by asm/disassemble.ts.
 * Holds   encode(name, ...operands) of what is found gives the word back, except for the rounding
 *         field of conversions that are exact whatever it says. A word that no hart of this kind
 *         executes is null, and so is one whose reserved fields are not as the table has them.
 */
import {
  type Form,
  type FormOperands,
  ORDERING,
  type Ordering,
  PLACES,
  ROUNDING,
  type Rounding,
  scatter,
} from "./encode.ts";
import { CSR, type Csr, FLOAT_REGISTER_NAMES, REGISTER_NAMES } from "./register.ts";
import { INSTRUCTIONS, type InstructionName } from "./table.ts";

/** One instruction as the assembler's method of that name takes it; a target is a distance. */
export interface Instruction {
  readonly name: InstructionName;
  readonly operands: readonly (string | number)[];
}

const RD = 0x1f << 7;
const FUNCT3 = 7 << 12;
const RS1 = 0x1f << 15;
const RS2 = 0x1f << 20;
const HIGH_12 = 0xfff << 20;
const SHORT_D = 7 << 7;
const SHORT_2 = 7 << 2;
const FULL_2 = 0x1f << 2;

const field = (word: number, low: number, bits: number) => (word >>> low) & ((1 << bits) - 1);
const d = (word: number) => REGISTER_NAMES[field(word, 7, 5)];
const a = (word: number) => REGISTER_NAMES[field(word, 15, 5)];
const b = (word: number) => REGISTER_NAMES[field(word, 20, 5)];
const fd = (word: number) => FLOAT_REGISTER_NAMES[field(word, 7, 5)];
const fa = (word: number) => FLOAT_REGISTER_NAMES[field(word, 15, 5)];
const fb = (word: number) => FLOAT_REGISTER_NAMES[field(word, 20, 5)];
const fc = (word: number) => FLOAT_REGISTER_NAMES[field(word, 27, 5)];
const shortD = (word: number) => REGISTER_NAMES[8 + field(word, 7, 3)];
const short2 = (word: number) => REGISTER_NAMES[8 + field(word, 2, 3)];
const shortF2 = (word: number) => FLOAT_REGISTER_NAMES[8 + field(word, 2, 3)];
const full2 = (word: number) => REGISTER_NAMES[field(word, 2, 5)];
const fullF2 = (word: number) => FLOAT_REGISTER_NAMES[field(word, 2, 5)];
const high12 = (word: number) => word >> 20;

const NAME_OF_CSR = new Map(
  Object.entries(CSR).map(([name, number]) => [number as number, name as keyof typeof CSR]),
);
const csr = (word: number): Csr => NAME_OF_CSR.get(word >>> 20) ?? word >>> 20;

const MODES = Object.entries(ROUNDING) as [keyof typeof ROUNDING, number][];
const ORDERINGS = Object.entries(ORDERING) as [keyof typeof ORDERING, number][];

/** Null for modes 5 and 6, which are reserved: the instruction is illegal. */
function rounding(word: number): Rounding | null {
  return MODES.find(([, mode]) => mode === field(word, 12, 3))?.[0] ?? null;
}

function ordering(word: number): Ordering {
  return ORDERINGS.find(([, bits]) => bits === field(word, 25, 2))?.[0] ?? "";
}

/** The letters of a fence's set, in the order of the assembly language. */
function fenceSet(word: number, low: number): string {
  return [..."iorw"].filter((_, index) => field(word, low + 3 - index, 1) === 1).join("");
}

/** The value whose bits lie at `places`; the opposite of scatter. */
function gather(word: number, places: readonly number[]): number {
  let value = 0;
  for (let at = 0; at < places.length; at += 3) {
    value |= field(word, places[at + 2], places[at + 1]) << places[at];
  }
  return value;
}

/** The same with its highest bit as the sign. */
function signed(word: number, places: readonly number[]): number {
  let top = 0;
  for (let at = 0; at < places.length; at += 3) top = Math.max(top, places[at] + places[at + 1]);
  return (gather(word, places) << (32 - top)) >> (32 - top);
}

/** Bits that a scattered immediate covers. */
const cover = (places: readonly number[]) => scatter(-1, places);

type Nullable<Operands extends readonly unknown[]> = {
  [Index in keyof Operands]: Operands[Index] | null;
};

/**
 * Operands of a word that has this form; null, the whole or one operand, when the word is a
 * reserved one.
 */
type Reader<F extends Form> = (word: number) => Nullable<FormOperands[F]> | null;

/** Per form: the bits that its operands cover, and how they are read. */
const READERS: { readonly [F in Form]: readonly [covered: number, read: Reader<F>] } = {
  r: [RD | RS1 | RS2, (w) => [d(w), a(w), b(w)]],
  i: [RD | RS1 | HIGH_12, (w) => [d(w), a(w), high12(w)]],
  shift: [RD | RS1 | (0x3f << 20), (w) => [d(w), a(w), field(w, 20, 6)]],
  shiftW: [RD | RS1 | RS2, (w) => [d(w), a(w), field(w, 20, 5)]],
  unary: [RD | RS1, (w) => [d(w), a(w)]],
  load: [RD | RS1 | HIGH_12, (w) => [d(w), a(w), high12(w)]],
  store: [RS1 | RS2 | cover(PLACES.store), (w) => [b(w), a(w), signed(w, PLACES.store)]],
  branch: [RS1 | RS2 | cover(PLACES.branch), (w) => [a(w), b(w), signed(w, PLACES.branch)]],
  upper: [RD | (0xfffff << 12), (w) => [d(w), w >>> 12]],
  jump: [RD | cover(PLACES.jump), (w) => [d(w), signed(w, PLACES.jump)]],
  jumpRegister: [RD | RS1 | HIGH_12, (w) => [d(w), a(w), high12(w)]],
  fence: [0xff << 20, (w) => [fenceSet(w, 24), fenceSet(w, 20)]],
  fenceVma: [RS1 | RS2, (w) => [a(w), b(w)]],
  cacheBlock: [RS1, (w) => [a(w)]],
  plain: [0, () => []],
  csr: [RD | RS1 | HIGH_12, (w) => [d(w), csr(w), a(w)]],
  csrImmediate: [RD | RS1 | HIGH_12, (w) => [d(w), csr(w), field(w, 15, 5)]],
  amo: [RD | RS1 | RS2 | (3 << 25), (w) => [d(w), b(w), a(w), ordering(w)]],
  loadReserved: [RD | RS1 | (3 << 25), (w) => [d(w), a(w), ordering(w)]],
  fLoad: [RD | RS1 | HIGH_12, (w) => [fd(w), a(w), high12(w)]],
  fStore: [RS1 | RS2 | cover(PLACES.store), (w) => [fb(w), a(w), signed(w, PLACES.store)]],
  fRound: [RD | FUNCT3 | RS1 | RS2, (w) => [fd(w), fa(w), fb(w), rounding(w)]],
  fPair: [RD | RS1 | RS2, (w) => [fd(w), fa(w), fb(w)]],
  fCompare: [RD | RS1 | RS2, (w) => [d(w), fa(w), fb(w)]],
  fFused: [
    RD | FUNCT3 | RS1 | RS2 | (0x1f << 27),
    (w) => [fd(w), fa(w), fb(w), fc(w), rounding(w)],
  ],
  fRoot: [RD | FUNCT3 | RS1, (w) => [fd(w), fa(w), rounding(w)]],
  fWiden: [RD | FUNCT3 | RS1, (w) => (rounding(w) === null ? null : [fd(w), fa(w)])],
  fToInt: [RD | FUNCT3 | RS1, (w) => [d(w), fa(w), rounding(w)]],
  fToIntExact: [RD | RS1, (w) => [d(w), fa(w)]],
  fFromInt: [RD | FUNCT3 | RS1, (w) => [fd(w), a(w), rounding(w)]],
  fFromIntExact: [RD | RS1, (w) => [fd(w), a(w)]],
  cAddi4spn: [
    SHORT_2 | cover(PLACES.addi4spn),
    (w) => notZero([short2(w), gather(w, PLACES.addi4spn)]),
  ],
  cFLoad: [
    SHORT_D | SHORT_2 | cover(PLACES.doubleOffset),
    (w) => [shortF2(w), shortD(w), gather(w, PLACES.doubleOffset)],
  ],
  cLoadWord: [
    SHORT_D | SHORT_2 | cover(PLACES.wordOffset),
    (w) => [short2(w), shortD(w), gather(w, PLACES.wordOffset)],
  ],
  cLoadDouble: [
    SHORT_D | SHORT_2 | cover(PLACES.doubleOffset),
    (w) => [short2(w), shortD(w), gather(w, PLACES.doubleOffset)],
  ],
  cPlain: [0, () => []],
  cImmediate: [RD | cover(PLACES.split6), (w) => [d(w), signed(w, PLACES.split6)]],
  cAddi16sp: [cover(PLACES.addi16sp), (w) => notZero([signed(w, PLACES.addi16sp)])],
  cUpper: [RD | cover(PLACES.split6), (w) => notZero([d(w), signed(w, PLACES.split6)])],
  cShift: [SHORT_D | cover(PLACES.split6), (w) => [shortD(w), gather(w, PLACES.split6)]],
  cShiftFull: [RD | cover(PLACES.split6), (w) => [d(w), gather(w, PLACES.split6)]],
  cAndImmediate: [SHORT_D | cover(PLACES.split6), (w) => [shortD(w), signed(w, PLACES.split6)]],
  cArithmetic: [SHORT_D | SHORT_2, (w) => [shortD(w), short2(w)]],
  cJump: [cover(PLACES.cJump), (w) => [signed(w, PLACES.cJump)]],
  cBranch: [SHORT_D | cover(PLACES.cBranch), (w) => [shortD(w), signed(w, PLACES.cBranch)]],
  cFLoadSp: [RD | cover(PLACES.doubleSp), (w) => [fd(w), gather(w, PLACES.doubleSp)]],
  cLoadWordSp: [RD | cover(PLACES.wordSp), (w) => notX0(d(w), gather(w, PLACES.wordSp))],
  cLoadDoubleSp: [RD | cover(PLACES.doubleSp), (w) => notX0(d(w), gather(w, PLACES.doubleSp))],
  cRegister: [RD, (w) => notX0(d(w))],
  cMove: [RD | FULL_2, (w) => (field(w, 2, 5) === 0 ? null : [d(w), full2(w)])],
  cFStoreSp: [
    FULL_2 | cover(PLACES.storeDoubleSp),
    (w) => [fullF2(w), gather(w, PLACES.storeDoubleSp)],
  ],
  cStoreWordSp: [
    FULL_2 | cover(PLACES.storeWordSp),
    (w) => [full2(w), gather(w, PLACES.storeWordSp)],
  ],
  cStoreDoubleSp: [
    FULL_2 | cover(PLACES.storeDoubleSp),
    (w) => [full2(w), gather(w, PLACES.storeDoubleSp)],
  ],
};

/** Null when the immediate, which is last, is 0: reserved. */
function notZero<Operands extends [...unknown[], number]>(operands: Operands): Operands | null {
  return operands[operands.length - 1] === 0 ? null : operands;
}

/** Null when the register is x0: reserved. */
function notX0<Rest extends number[]>(
  register: (typeof REGISTER_NAMES)[number],
  ...rest: Rest
): [(typeof REGISTER_NAMES)[number], ...Rest] | null {
  return register === "zero" ? null : [register, ...rest];
}

/** Conversions to a wider format: exact, so whatever legal mode the rounding field names. */
const EXACT_IN_ANY_MODE: readonly InstructionName[] = ["fcvtDW", "fcvtDWu"];

interface Entry {
  readonly name: InstructionName;
  readonly fixed: number;
  readonly bits: number;
  readonly read: (word: number) => readonly (string | number | null)[] | null;
}

function entryOf(name: InstructionName): Entry {
  const [form, bits] = INSTRUCTIONS[name];
  const [covered, read] = READERS[form] as readonly [number, Entry["read"]];
  const all = isShort(bits) ? 0xffff : 0xffffffff;
  if (!EXACT_IN_ANY_MODE.includes(name)) return { name, fixed: all & ~covered, bits, read };
  const inAnyMode = (word: number) => (rounding(word) === null ? null : read(word));
  return { name, fixed: all & ~(covered | FUNCT3), bits, read: inAnyMode };
}

/** True for an instruction of 16 bits. */
export function isShort(word: number): boolean {
  return (word & 3) !== 3;
}

/** Which list of the index a word belongs to: opcode, or quadrant and funct3. */
function indexOf(word: number): number {
  return isShort(word) ? 128 + ((word >>> 13) & 7) * 4 + (word & 3) : word & 0x7f;
}

function countBits(word: number): number {
  let count = 0;
  for (let bit = 0; bit < 32; bit++) count += (word >>> bit) & 1;
  return count;
}

/** Entries by opcode, those with more fixed bits first: `ebreak` before `jalr` before `add`. */
const INDEX: readonly (readonly Entry[])[] = (() => {
  const index: Entry[][] = Array.from({ length: 128 + 32 }, () => []);
  for (const name of Object.keys(INSTRUCTIONS) as InstructionName[]) {
    const entry = entryOf(name);
    index[indexOf(entry.bits)].push(entry);
  }
  for (const list of index) list.sort((one, two) => countBits(two.fixed) - countBits(one.fixed));
  return index;
})();

/**
 * The instruction in `word`, of which only the low half counts when that is a compressed one; null
 * when it is none that this table knows.
 */
export function decode(word: number): Instruction | null {
  const bits = isShort(word) ? word & 0xffff : word;
  for (const { name, fixed, bits: wanted, read } of INDEX[indexOf(bits)]) {
    if (((bits ^ wanted) & fixed) !== 0) continue;
    const operands = read(bits);
    if (operands === null || operands.includes(null)) return null;
    if (name === "cAddiw" && operands[0] === "zero") return null; // reserved
    return { name, operands: operands as readonly (string | number)[] };
  }
  return null;
}
