/**
 * layout: where things lie in a batch's RAM, which is the same on both machines.
 *
 *   80000000  runner: loads a cell's state, enters it, collects its traps, stores its results
 *   80100000  cell 0 ─ cell 1 ─ ...          64 KiB each
 *
 *   cell      page 0     record: state before, state after, trap log (below)
 *             page 1     stub that S-mode's traps go through
 *             page 2, 3  code, 8 KiB aligned, so that an offset in it is 13 bits of any address
 *             page 4, 5  data window: constants (1 KiB), then bytes that stores may change
 *             page 6, 7  further pages that page tables under test point at
 *             page 8-15  page tables
 */

export const RAM = 0x80000000;
export const RAM_BYTES = 64 * 1024 * 1024;
export const CELLS = 0x80100000;
export const CELL_BYTES = 0x10000;
/** Cells that fit under the device tree that QEMU puts at the end of RAM. */
export const CELLS_MAX = 900;

export const CELL_STUB = 0x1000;
export const CELL_CODE = 0x2000;
export const CODE_BYTES = 0x2000;
export const CELL_DATA = 0x4000;
export const DATA_BYTES = 0x2000;
/** Stores stay behind the constants at the start of the window. */
export const DATA_CONSTANT_BYTES = 0x400;
export const CELL_EXTRA = 0x6000;
export const CELL_TABLES = 0x8000;
export const TABLES = 8;

/** Bytes at the start of the stub page that trap into M-mode; behind them lies an SRET. */
export const STUB_BYTES = 64;

/** Traps that a sequence may take before it is ended. */
export const TRAPS_MAX = 60;

// ---- record: state before ----
export const BEFORE_X = 0x000;
export const BEFORE_F = 0x100;
export const BEFORE_CSR = 0x200;
/** Order of the doublewords at BEFORE_CSR. */
export const BEFORE_FIELDS = [
  "pc",
  "mstatus",
  "satp",
  "medeleg",
  "mideleg",
  "mie",
  "mip",
  "stvec",
  "fcsr",
  "sscratch",
  "sepc",
  "scause",
  "stval",
  "mcounteren",
  "scounteren",
  "senvcfg",
  "msip",
  "mtimecmp",
  /** Entries 0 to 3 restrict parts of the cell; the runner makes entry 4 allow everything. */
  "pmpcfg0",
  "pmpaddr0",
  "pmpaddr1",
  "pmpaddr2",
  "pmpaddr3",
  /** Start of the code as U-mode, S-mode and M-mode see it; start of the stub. */
  "codeUser",
  "codeSupervisor",
  "codeMachine",
  "stub",
  /** Offset in the code of the ECALL that ends the sequence. */
  "end",
] as const;
export type BeforeField = (typeof BEFORE_FIELDS)[number];
export const beforeAt = (field: BeforeField): number =>
  BEFORE_CSR + BEFORE_FIELDS.indexOf(field) * 8;

// ---- record: the handler's own ----
export const TRAP_COUNT = 0x300;
/** x27 ... x31 while a trap is served. */
export const SAVED = 0x308;

// ---- record: state after ----
export const AFTER_X = 0x400;
export const AFTER_F = 0x500;
export const AFTER_CSR = 0x600;
export const AFTER_FIELDS = [
  "mstatus",
  "fcsr",
  "mie",
  "mip",
  "medeleg",
  "mideleg",
  "mcounteren",
  "scounteren",
  "senvcfg",
  "stvec",
  "sscratch",
  "sepc",
  "scause",
  "stval",
  "satp",
  "mepc",
] as const;
export type AfterField = (typeof AFTER_FIELDS)[number];
export const afterAt = (field: AfterField): number => AFTER_CSR + AFTER_FIELDS.indexOf(field) * 8;

// ---- record: trap log, four doublewords each: cause, value, pc, mstatus ----
export const LOG = 0x700;
export const LOG_BYTES = 32;
/** Set in the cause of a trap that S-mode took. */
export const LOG_SUPERVISOR = 1n << 32n;

/** Bus addresses. */
export const FINISHER = 0x100000;
export const FINISHER_PASS = 0x5555;
export const CLINT_MSIP = 0x2000000;
export const CLINT_MTIMECMP = 0x2004000;
/** Nothing answers here on either machine. */
export const NOWHERE = 0x08000000;
