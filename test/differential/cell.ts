/**
 * cell: one random sequence with everything it starts from: class, mode, page tables, registers,
 * constants, code.
 *
 * Used by differential/batch.ts.
 * Holds   a cell depends on its seed and its address alone, so a failing one can be made again.
 */
import { Random } from "../helpers/random.ts";
import {
  Body,
  type Edge,
  MACHINE,
  type Mode,
  type Place,
  pointersOf,
  SUPERVISOR,
  USER,
} from "./body.ts";
import type { Coverage } from "./coverage.ts";
import { constantsOf, floatAccess, floatFlipped, floatMode, floatOperation } from "./float.ts";
import type { Generator } from "./integer.ts";
import * as integer from "./integer.ts";
import {
  BEFORE_F,
  BEFORE_X,
  type BeforeField,
  beforeAt,
  CELL_BYTES,
  CELL_CODE,
  CELL_DATA,
  CELL_STUB,
  CELL_TABLES,
  CELLS,
  CODE_BYTES,
  DATA_BYTES,
  DATA_CONSTANT_BYTES,
  STUB_BYTES,
} from "./layout.ts";
import * as privileged from "./privileged.ts";
import { buildTables, LEVELS, type Scheme, type Translated } from "./tables.ts";
import { FLOAT_CLASSES, floatValue, integerValue } from "./values.ts";

type Mix = readonly (readonly [weight: number, generator: Generator])[];

/** Statements of a mix with branches and loops around them. */
const flowing = (mix: Mix): Mix => {
  const inner: Generator = (body) => body.random.weighted(mix)(body);
  return [
    ...mix,
    [8, integer.branchOver(inner)],
    [4, integer.loopAround(inner)],
    [3, integer.jumpAhead],
  ];
};

const INTEGER = flowing([
  [60, integer.compute],
  [14, integer.access],
  [6, integer.refresh],
  [4, integer.selfModify],
  [2, integer.besideCode],
  [4, integer.flipped],
  [1, integer.fences],
]);
const COMPRESSED = flowing([
  [50, integer.compressed],
  [24, integer.compressedAccess],
  [8, integer.compute],
  [4, integer.refresh],
]);
const ATOMIC = flowing([
  [40, integer.atomic],
  [22, integer.reserved],
  [10, integer.compute],
  [8, integer.access],
  [5, integer.refresh],
  [3, integer.fences],
]);
const FLOAT = flowing([
  [70, floatOperation],
  [8, floatMode],
  [8, floatAccess],
  [3, integer.compressedAccess],
  [5, floatFlipped],
]);
const CSR: Mix = [
  [45, privileged.csrAccess],
  [8, privileged.csrImmediate],
  [8, privileged.csrRead],
  [8, privileged.csrRefused],
  [4, privileged.csrSwap],
  [6, privileged.raiseInterrupt],
  [3, privileged.waitForInterrupt],
  [3, privileged.changeMode],
  [3, privileged.fenceTranslation],
  [4, privileged.floatState],
  [10, integer.compute],
];
const TRAP: Mix = [
  [36, privileged.trap],
  [10, privileged.raiseInterrupt],
  [4, privileged.waitForInterrupt],
  [6, privileged.changeMode],
  [8, privileged.csrRead],
  [6, privileged.csrAccess],
  [4, privileged.csrRefused],
  [3, privileged.fenceTranslation],
  [8, integer.access],
  [6, privileged.protectionEdge],
  [14, integer.compute],
];
const PAGING: Mix = [
  [44, privileged.probe],
  [10, integer.access],
  [5, integer.atomic],
  [5, privileged.changeMode],
  [8, privileged.modifiedPrivilege],
  [4, privileged.changeSpace],
  [4, privileged.changeProtection],
  [8, privileged.protectionEdge],
  [4, integer.selfModify],
  [5, privileged.changeEntry],
  [8, privileged.remap],
  [4, privileged.fenceTranslation],
  [5, privileged.csrRead],
  [4, privileged.csrAccess],
  [10, integer.compute],
];

interface ClassRule {
  readonly mix: Mix;
  /** Chance in 100 that page tables translate. */
  readonly paged: number;
  readonly scheme?: Scheme;
  /** Chance in 100 that delegation, interrupts and the TVM, TW and TSR bits are random. */
  readonly privileged: number;
}
/** What a sequence is mostly made of. */
export const CLASSES = {
  integer: { mix: INTEGER, paged: 30, privileged: 0 },
  compressed: { mix: COMPRESSED, paged: 30, privileged: 0 },
  atomic: { mix: ATOMIC, paged: 40, privileged: 20 },
  float: { mix: FLOAT, paged: 20, privileged: 10 },
  csr: { mix: CSR, paged: 30, privileged: 60 },
  trap: { mix: TRAP, paged: 30, privileged: 80 },
  sv39: { mix: PAGING, paged: 100, privileged: 40, scheme: "sv39" },
  sv48: { mix: PAGING, paged: 100, privileged: 40, scheme: "sv48" },
  sv57: { mix: PAGING, paged: 100, privileged: 40, scheme: "sv57" },
} as const satisfies Record<string, ClassRule>;
export type ClassName = keyof typeof CLASSES;
export const CLASS_NAMES = Object.keys(CLASSES) as ClassName[];

/** A cell's address and what was generated there. */
export interface Cell {
  readonly className: ClassName;
  readonly seed: number;
  readonly address: number;
  /** Mode that the sequence starts in. */
  readonly mode: Mode;
  readonly isPaged: boolean;
  readonly instructions: number;
}

const FS_DIRTY = 3n << 13n;
const SUM = 1n << 18n;
const MXR = 1n << 19n;
const ECALL = 0x73;
const SRET = 0x10200073;
const INSTRUCTIONS_MIN = 36;
const INSTRUCTIONS_MAX = 64;
/** Longest thing that one generator appends. */
const STATEMENT_BYTES = 640;

function maskOf(random: Random, bits: readonly bigint[]): bigint {
  let mask = 0n;
  for (const bit of bits) if (random.chance(50)) mask |= bit;
  return mask;
}

function initialStatus(random: Random, mode: Mode, rule: ClassRule, isWild: boolean): bigint {
  let status = BigInt(mode) << 11n;
  // floating-point code mostly has its unit; elsewhere off is as good as on
  if (random.chance(rule.mix === FLOAT ? 97 : 90)) status |= FS_DIRTY;
  status |= maskOf(random, [SUM, MXR, 1n << 1n, 1n << 5n, 1n << 7n, 1n << 8n]);
  if (!isWild) return status;
  for (const bit of privileged.TVM_TW_TSR) if (random.chance(20)) status |= bit;
  return status;
}

/** Delegation and interrupts at the start. */
function initialTraps(random: Random, isWild: boolean): Partial<Record<BeforeField, bigint>> {
  const quiet = { mtimecmp: BigInt.asUintN(64, -1n) };
  if (!isWild) return quiet;
  const isPending = random.chance(50);
  const { INTERRUPT_BITS, MACHINE_INTERRUPT_BITS, DELEGABLE } = privileged;
  return {
    medeleg: random.chance(70) ? maskOf(random, DELEGABLE) : 0n,
    mideleg: random.chance(70) ? maskOf(random, INTERRUPT_BITS) : 0n,
    mie: maskOf(random, [...INTERRUPT_BITS, ...MACHINE_INTERRUPT_BITS]),
    mip: isPending ? maskOf(random, INTERRUPT_BITS) : 0n,
    msip: random.chance(20) ? 1n : 0n,
    mtimecmp: random.chance(20) ? 0n : quiet.mtimecmp,
  };
}

const PMP_OFF = 0;
const PMP_TOR = 1 << 3;
const PMP_NA4 = 2 << 3;
const PMP_NAPOT = 3 << 3;
/** Entry 4: everything. */
const PMP_OPEN = 0x1fn << 32n;
/** R, W and X; W without R is reserved. */
const PMP_RIGHTS = [0, 1, 3, 4, 5, 7];

interface Protection {
  readonly fields: Partial<Record<BeforeField, bigint>>;
  readonly edges: readonly Edge[];
  readonly words: readonly number[];
}
const UNPROTECTED: Protection = { fields: { pmpcfg0: PMP_OPEN }, edges: [], words: [] };

/** Four PMP entries over data and tables of the cell; the code and the record stay open. */
function initialProtection(random: Random, cell: bigint, mode: Mode): Protection {
  const fields: Partial<Record<BeforeField, bigint>> = {};
  const edges: Edge[] = [];
  let config = PMP_OPEN;
  for (const entry of [0, 1, 2, 3] as const) {
    const kinds = [PMP_OFF, PMP_NA4, PMP_NAPOT, PMP_NAPOT, ...(entry > 0 ? [PMP_TOR] : [])];
    const kind = random.pick(kinds);
    const offset = CELL_DATA + random.below(0x4000 / 8) * 8;
    const size = kind === PMP_NAPOT ? random.between(3, 13) : 0;
    const word = (cell + BigInt(offset)) >> 2n;
    const ones = size === 0 ? 0n : (1n << BigInt(size - 3)) - 1n;
    fields[`pmpaddr${entry}`] = size === 0 ? word : (word & ~(2n * ones + 1n)) | ones;
    const begin = (offset >> size) << size;
    const step = size === 0 ? 4 : 1;
    for (const at of [begin, begin + Math.max(1 << size, 4)])
      edges.push({ at: at - CELL_DATA, step });
    config |= BigInt(kind | random.pick(PMP_RIGHTS)) << BigInt(entry * 8);
  }
  if (random.chance(30)) {
    // a part of the code, so that its page is not uniform; QEMU 7.2 looks at the rights of the
    // first instruction of a block only, so it stays executable, and no range begins here
    const size = BigInt(random.between(3, 12));
    const word = (cell + BigInt(CELL_CODE + random.below(CODE_BYTES / 8) * 8)) >> 2n;
    const ones = (1n << (size - 3n)) - 1n;
    fields.pmpaddr0 = (word & ~(2n * ones + 1n)) | ones;
    config = (config & ~0xffffn) | BigInt(PMP_NAPOT | random.pick([4, 5, 7]));
  }
  if (random.chance(20)) {
    // the page tables, all readable or not at all: QEMU 7.2 checks no write of A and D
    fields.pmpaddr3 = ((cell + BigInt(CELL_TABLES)) >> 2n) | 0xfffn;
    // Denied, the stub cannot be fetched, so M-mode code, which may delegate that fault, does
    // without.
    const rights = mode === MACHINE ? 7 : random.pick([0, 7]);
    config = (config & ~(0xffn << 24n)) | (BigInt(PMP_NAPOT | rights) << 24n);
    fields.medeleg = 0n;
  }
  const inWindow = edges.filter(({ at }) => at > 0 && at < DATA_BYTES);
  // an entry of 4 bytes begins at its own address, or, TOR, at that of the one before
  const words = [fields.pmpaddr0, fields.pmpaddr1, fields.pmpaddr2, fields.pmpaddr3].map(
    (word) => (Number(word ?? 0n) * 4) & 0xfff,
  );
  return { fields: { ...fields, pmpcfg0: config }, edges: inWindow, words };
}

const everywhere = (address: bigint) => ({ 0: address, 1: address, 3: address });

function untranslated(cell: bigint): Translated {
  return {
    code: everywhere(cell + BigInt(CELL_CODE)),
    codeWrite: everywhere(cell + BigInt(CELL_CODE)),
    data: everywhere(cell + BigInt(CELL_DATA)),
    isFriendly: true,
    stub: cell + BigInt(CELL_STUB),
    satp: 0n,
    probes: [],
    entries: [],
  };
}

/** Code: statements until the sequence is long enough, then the ECALL that ends it. */
function generate(body: Body, mix: Mix): number {
  const { random } = body;
  const wanted = random.between(INSTRUCTIONS_MIN, INSTRUCTIONS_MAX);
  while (body.count < wanted && body.hasRoom(STATEMENT_BYTES)) random.weighted(mix)(body);
  const end = body.here;
  body.word(ECALL);
  return end;
}

function writeRegisters(random: Random, view: DataView, place: Place): void {
  for (let index = 1; index < 32; index++) {
    view.setBigUint64(BEFORE_X + index * 8, integerValue(random), true);
  }
  for (const [register, value] of pointersOf(place)) {
    view.setBigUint64(BEFORE_X + register * 8, value, true);
  }
  for (let index = 0; index < 32; index++) {
    const value = floatValue(random, random.pick(["S", "D"] as const), random.pick(FLOAT_CLASSES));
    view.setBigUint64(BEFORE_F + index * 8, value, true);
  }
}

function writeStub(view: DataView): void {
  for (let at = 0; at < STUB_BYTES; at += 4) view.setUint32(CELL_STUB + at, ECALL, true);
  view.setUint32(CELL_STUB + STUB_BYTES, SRET, true);
}

function writeData(random: Random, bytes: Uint8Array, view: DataView): void {
  constantsOf(random).forEach((value, index) => {
    view.setBigUint64(CELL_DATA + index * 8, value, true);
  });
  for (let at = CELL_DATA + DATA_CONSTANT_BYTES; at < CELL_DATA + 0x4000; at += 4) {
    view.setUint32(at, random.u32(), true);
  }
  // the window starts out with some doublewords of round values too
  for (let count = 64; count > 0; count--) {
    const at = CELL_DATA + DATA_CONSTANT_BYTES + random.below(0x380) * 8;
    view.setBigUint64(at, integerValue(random), true);
  }
  if (bytes.length !== CELL_BYTES) throw new Error("a cell has 64 KiB");
}

function startOffset(random: Random): number {
  // a third run across the boundary of the two code pages
  if (random.chance(35)) return (0x1000 - random.between(2, 260)) & ~1;
  return random.between(0, 0x1100) & ~1;
}

/** Generates cell `index` of a batch from its seed into its 64 KiB (zero before). */
export function buildCell(
  bytes: Uint8Array,
  options: { index: number; seed: number; className: ClassName; coverage: Coverage },
): Cell {
  const { className, coverage, seed } = options;
  const rule: ClassRule = CLASSES[className];
  const random = new Random(seed);
  const address = CELLS + options.index * CELL_BYTES;
  const cell = BigInt(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isPaged = random.chance(rule.paged);
  const isWild = random.chance(rule.privileged);
  const mode = random.weighted([
    [rule.scheme === undefined ? 34 : 25, MACHINE],
    [38, SUPERVISOR],
    [38, USER],
  ] as const);
  const scheme = rule.scheme ?? random.pick(Object.keys(LEVELS) as Scheme[]);
  const hostility = rule.scheme === undefined ? 8 : 25;
  const translated = isPaged
    ? buildTables(random.fork(1), cell, bytes, { scheme, hostility })
    : untranslated(cell);
  const status = initialStatus(random, mode, rule, isWild);
  const hasPmp = isWild && random.chance(rule.scheme === undefined ? 15 : 40);
  // M-mode code may set TVM as it goes
  const hasFenceTrap = mode === MACHINE || (status & privileged.TVM) !== 0n;
  const protection = hasPmp ? initialProtection(random, cell, mode) : UNPROTECTED;
  const { edges, words } = protection;
  const place: Place = { ...translated, mode, status, hasPmp, edges, words, hasFenceTrap };
  writeData(random.fork(2), bytes, view);
  writeRegisters(random.fork(3), view, place);
  writeStub(view);
  const start = startOffset(random);
  const body = new Body(random.fork(4), coverage, place, start);
  const end = generate(body, rule.mix);
  bytes.set(body.a.assemble().bytes, CELL_CODE + start);
  view.setBigUint64(BEFORE_X + 8, place.code[mode] + BigInt(end), true);
  const fields: Partial<Record<BeforeField, bigint>> = {
    ...initialTraps(random, isWild),
    ...protection.fields,
    pc: place.code[mode] + BigInt(start),
    mstatus: status,
    satp: place.satp,
    stvec: place.stub | (random.chance(50) ? 1n : 0n),
    fcsr: BigInt(random.chance(50) ? random.below(5) << 5 : random.below(160)),
    sscratch: random.u64(),
    sepc: random.u64() & ~1n,
    scause: random.u64(),
    stval: random.u64(),
    codeUser: place.code[USER],
    codeSupervisor: place.code[SUPERVISOR],
    codeMachine: place.code[MACHINE],
    stub: place.stub,
    end: BigInt(end),
  };
  for (const [field, value] of Object.entries(fields)) {
    view.setBigUint64(beforeAt(field as BeforeField), BigInt.asUintN(64, value), true);
  }
  coverage.sequence(className);
  return { className, seed, address, mode, isPaged, instructions: body.count };
}
