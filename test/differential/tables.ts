/**
 * tables: random page tables in a cell: mappings that the sequence runs on, and entries under test
 * (every permission, wrong ones, superpages, misaligned ones, pointers where none may be).
 *
 * Used by differential/cell.ts.
 * Holds   only stores followed by a fence go to a table: without one they would be seen by one
 *         machine and not by the other, and both are right.
 *
 *   1 GiB around `region`   2 MiB `near`: code, data, stub     2 MiB `far`: entries under test
 *                           further 2 MiB slots: superpages    other 1 GiB slots: gigapages
 */
import type { Random } from "../helpers/random.ts";
import type { ByMode, Place, Probe, TableEntry } from "./body.ts";
import {
  CELL_CODE,
  CELL_DATA,
  CELL_EXTRA,
  CELL_STUB,
  CELL_TABLES,
  NOWHERE,
  TABLES,
} from "./layout.ts";

const PAGE = 4096n;
const V = 1n;
const R = 2n;
const W = 4n;
const X = 8n;
const U = 16n;
const G = 32n;
const A = 64n;
const D = 128n;
const RSW = 256n;

export const LEVELS = { sv39: 3, sv48: 4, sv57: 5 } as const;
export type Scheme = keyof typeof LEVELS;

/** A page-table entry for a physical address. */
const entryOf = (physical: bigint, flags: bigint): bigint => ((physical >> 12n) << 10n) | flags;

class TableBuilder {
  readonly #random: Random;
  readonly #cell: bigint;
  readonly #view: DataView;
  readonly levels: number;
  #used = 1;

  constructor(random: Random, cell: bigint, bytes: Uint8Array, levels: number) {
    this.#random = random;
    this.#cell = cell;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.levels = levels;
  }

  get root(): bigint {
    return this.#cell + BigInt(CELL_TABLES);
  }

  /** Offset in the cell of the entry for `va` at `level`, with the tables above it made. */
  slot(va: bigint, level: number): number {
    let table = CELL_TABLES;
    for (let at = this.levels - 1; ; at--) {
      const index = Number((va >> BigInt(12 + 9 * at)) & 511n);
      const offset = table + index * 8;
      if (at === level) return offset;
      const entry = this.#view.getBigUint64(offset, true);
      if (entry !== 0n) {
        table = Number(((entry >> 10n) << 12n) - this.#cell);
        continue;
      }
      if (this.#used === TABLES) throw new Error("a cell's page tables do not fit");
      table = CELL_TABLES + this.#used++ * 4096;
      const isGlobal = this.#random.chance(5) ? G : 0n;
      this.#view.setBigUint64(offset, entryOf(this.#cell + BigInt(table), V | isGlobal), true);
    }
  }

  set(va: bigint, level: number, entry: bigint): number {
    const offset = this.slot(va, level);
    this.#view.setBigUint64(offset, entry, true);
    return offset;
  }
}

/** A canonical address, 1 GiB aligned, away from every physical address in use. */
function pickRegion(random: Random, levels: number): bigint {
  const bits = BigInt(12 + 9 * levels);
  // 2^36 and up: as a physical address (M-mode, bare) it must be nobody's
  const lower = (random.u64() & ((1n << (bits - 1n)) - 1n)) | (1n << 36n);
  const address = random.chance(50) ? lower : BigInt.asUintN(64, lower | (-1n << (bits - 1n)));
  const rounded = (address >> 30n) << 30n;
  return rounded;
}

const accessed = (random: Random): bigint =>
  (random.chance(50) ? A : 0n) | (random.chance(50) ? D : 0n) | (random.chance(20) ? RSW : 0n);

/**
 * The entry of a superpage. Without R, W and X it would be a pointer, to a table made of whatever
 * lies there, and so to any address; where nobody answers, QEMU 7.2 rounds the reported address of
 * a misaligned access and does an AMO as a load, and its board's flash and PCIe window answer where
 * here nobody does. With A set such a pointer is reserved and faults.
 */
function superpageOf(physical: bigint, flags: bigint): bigint {
  const isPointer = (flags & (R | W | X)) === 0n && (flags & (U | A | D)) === 0n;
  return entryOf(physical, isPointer ? flags | A : flags);
}

interface Layout {
  readonly region: bigint;
  readonly near: bigint;
  readonly far: bigint;
  /** The table pages as S-mode may write them. */
  tables: bigint;
}

/** Maps a few consecutive pages by 4 KiB, 2 MiB or 1 GiB leaves; returns where they came to lie. */
function mapRun(
  tables: TableBuilder,
  random: Random,
  layout: Layout,
  run: { slot: number; pages: number; physical: bigint; other?: bigint; flags: () => bigint },
): bigint {
  const kind = random.below(10);
  if (kind < 7) {
    const va = layout.near + BigInt(run.slot) * PAGE;
    for (let page = 0; page < run.pages; page++) {
      const at = BigInt(page) * PAGE;
      const physical = page > 0 && run.other !== undefined ? run.other : run.physical + at;
      tables.set(va + at, 0, entryOf(physical, run.flags()));
    }
    return va;
  }
  const level = kind < 9 ? 1 : 2;
  const span = (1n << BigInt(12 + 9 * level)) - 1n;
  // one slot per run: 2 MiB slots 64 and up of the region, or 1 GiB slots beside it
  const step = BigInt(run.slot / 8);
  const base =
    level === 1 ? layout.region + ((64n + step) << 21n) : layout.region ^ ((1n + step) << 30n);
  tables.set(base, level, superpageOf(run.physical & ~span, run.flags()));
  return base | (run.physical & span);
}

/** Flags of an entry under test: mostly plausible, sometimes what must fault. */
function probeFlags(random: Random): bigint {
  const user = random.chance(50) ? U : 0n;
  const rights = random.weighted([
    [30, R | W],
    [15, R],
    [8, X],
    [8, R | X],
    [8, R | W | X],
    [5, W],
    [3, W | X],
    [5, 0n],
  ] as const);
  const valid = random.chance(92) ? V : 0n;
  const reserved = random.chance(6) ? 1n << BigInt(random.between(54, 63)) : 0n;
  return valid | rights | user | accessed(random) | (random.chance(10) ? G : 0n) | reserved;
}

interface TestEntries {
  readonly probes: Probe[];
  readonly entries: TableEntry[];
}

/** Fills the `far` region: pages side by side, so that accesses cross from one into the next. */
function addProbes(
  tables: TableBuilder,
  random: Random,
  layout: Layout,
  cell: bigint,
): TestEntries {
  const probes: Probe[] = [];
  const entries: TableEntry[] = [];
  const first = random.below(400);
  const count = random.between(6, 12);
  for (let page = 0; page < count; page++) {
    const va = layout.far + BigInt(first + page) * PAGE;
    const target = random.weighted([
      [70, cell + BigInt(CELL_EXTRA + random.below(2) * 4096)],
      [12, cell + BigInt(CELL_DATA + 4096)],
      [10, cell + BigInt(CELL_TABLES + random.below(4) * 4096)],
      [8, BigInt(NOWHERE)],
    ] as const);
    const isTable = target >= cell + BigInt(CELL_TABLES) && target < cell + 0x10000n;
    const isNowhere = target === BigInt(NOWHERE);
    let flags = probeFlags(random);
    if (isTable) flags &= ~(W | X);
    if (isNowhere) flags &= ~X;
    const offset = BigInt(tables.set(va, 0, entryOf(target, flags)));
    const isExecutable = (flags & X) !== 0n;
    // QEMU stores the first bytes of an access whose last ones nobody answers
    if (isNowhere && page > 0) probes[page - 1] = { ...probes[page - 1], isCrossable: false };
    probes.push({ address: va, isExecutable, isMemory: !isNowhere, isCrossable: !isNowhere });
    if (isTable || isNowhere) continue;
    const value = entryOf(cell + BigInt(CELL_EXTRA), probeFlags(random) & ~X);
    const alias = layout.tables + offset - BigInt(CELL_TABLES);
    entries.push({ page: va, address: cell + offset, alias, value });
  }
  return { probes, entries };
}

/** Entries above the last level that must fault: misaligned superpages, pointers with U, A or D. */
function addWrongUpper(
  tables: TableBuilder,
  random: Random,
  layout: Layout,
  cell: bigint,
): Probe[] {
  const probes: Probe[] = [];
  const plain = { isExecutable: false, isMemory: true, isCrossable: true };
  for (let index = 0; index < 3; index++) {
    const va = layout.region + ((200n + BigInt(index)) << 21n);
    const physical = cell + BigInt(CELL_EXTRA);
    const isPointer = random.chance(40);
    const wrong = random.pick([U, A, D, U | A | D]);
    const flags = isPointer ? V | wrong : V | R | W | U | accessed(random);
    tables.set(va, 1, entryOf(physical, flags));
    probes.push({ address: va, ...plain });
  }
  const absent = layout.far + 510n * PAGE;
  probes.push({ address: absent, ...plain });
  const width = BigInt(12 + 9 * tables.levels);
  // bits above the translated ones that do not repeat the sign
  const flipped = layout.near ^ (1n << random.pick([width, 62n, 63n]));
  probes.push({ address: flipped, ...plain });
  return probes;
}

/** What page tables decide about a place. */
export type Translated = Pick<
  Place,
  "code" | "codeWrite" | "data" | "isFriendly" | "stub" | "satp" | "probes" | "entries"
>;

/**
 * Writes page tables into the cell's bytes. `hostility` is the chance in 100 that a data page of
 * the sequence itself gets flags under test.
 */
export function buildTables(
  random: Random,
  cell: bigint,
  bytes: Uint8Array,
  options: { scheme: Scheme; hostility: number },
): Translated {
  const levels = LEVELS[options.scheme];
  const tables = new TableBuilder(random, cell, bytes, levels);
  const region = pickRegion(random, levels);
  const near = region + (BigInt(random.below(60)) << 21n);
  const far = region + (BigInt(random.between(300, 500)) << 21n);
  const layout = { region, near, far, tables: 0n };
  const place = (
    slot: number,
    pages: number,
    at: number,
    flags: () => bigint,
    other?: bigint,
  ): bigint =>
    mapRun(tables, random, layout, { slot, pages, physical: cell + BigInt(at), flags, other });
  const isHostile = random.chance(options.hostility);
  const data = (user: bigint) => () =>
    isHostile && random.chance(50)
      ? (probeFlags(random) & ~X) | V
      : V | R | W | user | accessed(random);
  // now and then one of the two code pages cannot be fetched, so an instruction across them faults
  const code = (user: bigint) => () =>
    V | (random.chance(2) ? R : X) | user | (random.chance(50) ? R : 0n) | accessed(random);
  const written = (user: bigint) => () => V | R | W | user | accessed(random);
  const byMode = (user: bigint, supervisor: bigint, physical: number): ByMode => ({
    0: user,
    1: supervisor,
    3: cell + BigInt(physical),
  });
  const slot = (index: number): number => 16 + index * 16;
  const codes = byMode(
    place(slot(0), 2, CELL_CODE, code(U)),
    place(slot(1), 2, CELL_CODE, code(0n)),
    CELL_CODE,
  );
  // the second page of the window is mostly another one than M-mode sees behind the first
  const second = (): bigint | undefined =>
    random.chance(70) ? cell + BigInt(CELL_EXTRA + random.below(2) * 4096) : undefined;
  const datas = byMode(
    place(slot(2), 2, CELL_DATA, data(U), second()),
    place(slot(3), 2, CELL_DATA, data(0n), second()),
    CELL_DATA,
  );
  const codeWrite = byMode(
    place(slot(5), 2, CELL_CODE, written(U)),
    place(slot(6), 2, CELL_CODE, written(0n)),
    CELL_CODE,
  );
  const stub = place(slot(4), 1, CELL_STUB, () => V | X | accessed(random));
  layout.tables = place(slot(7), TABLES, CELL_TABLES, () => V | R | W | accessed(random));
  const { probes, entries } = addProbes(tables, random, layout, cell);
  probes.push(...addWrongUpper(tables, random, layout, cell));
  const satp = (BigInt(levels + 5) << 60n) | (tables.root >> 12n);
  const tested = { isFriendly: !isHostile, probes, entries };
  return { code: codes, codeWrite, data: datas, stub, satp, ...tested };
}
