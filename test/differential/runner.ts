/**
 * runner: the M-mode program at the start of a batch's RAM. For each cell it loads the state,
 * enters the sequence, logs and resolves every trap, stores the state after; then it powers off.
 *
 * Used by differential/batch.ts.
 * Holds   the sequence never writes mscratch (address of the cell) or mtvec.
 *
 * A trap is resolved so that both machines go on alike: a failed fetch returns to x1, anything else
 * synchronous skips its instruction, an interrupt is acknowledged. Traps delegated to S-mode reach
 * a stub whose ECALL comes here, so that scause, stval, sepc and SRET are exercised without a
 * second handler.
 */
import { Assembler, type Reg } from "../../src/asm/index.ts";
import {
  AFTER_F,
  AFTER_FIELDS,
  AFTER_X,
  afterAt,
  BEFORE_F,
  BEFORE_X,
  type BeforeField,
  beforeAt,
  CELL_BYTES,
  CELL_CODE,
  CELLS,
  CLINT_MSIP,
  CLINT_MTIMECMP,
  CODE_BYTES,
  FINISHER,
  FINISHER_PASS,
  LOG,
  LOG_BYTES,
  LOG_SUPERVISOR,
  RAM,
  SAVED,
  STUB_BYTES,
  TRAP_COUNT,
  TRAPS_MAX,
} from "./layout.ts";

const CAUSE_ECALL_USER = 8;
const CAUSE_ECALL_SUPERVISOR = 9;
const CAUSE_ECALL_MACHINE = 11;
const MENVCFG_ADUE = 1n << 61n;
const FS_DIRTY = 3 << 13;
/** The CSR, read-only. */
const TIME = 0xc01;
const MPRV_BIT = 17;

const CAUSE_FETCH_ACCESS = 1;
const CAUSE_BREAKPOINT = 3;
const CAUSE_FETCH_PAGE = 12;
const INTERRUPT_SOFTWARE = 3;
const INTERRUPT_TIMER = 7;

/** The handler uses the registers from this one on; `resolve` returns through x28. */
const FIRST_SAVED = 25;
const savedAt = (register: number): number => SAVED + (register - FIRST_SAVED) * 8;

/** Which harts run; the others are parked. The last one to end powers off. */
export interface Sharing {
  readonly harts: number;
  /** True: each hart runs every cell, over the others' state. False: every n-th cell. */
  readonly isEach: boolean;
  /** True: mtimecmp of a cell counts from when it begins. QEMU's time is no guest's time. */
  readonly isTimed?: boolean;
}
export const ALONE: Sharing = { harts: 1, isEach: false };

function once(a: Assembler, sharing: Sharing): void {
  a.label("start");
  a.csrr("t0", "mhartid");
  a.li("t1", sharing.harts);
  a.bltu("t0", "t1", "first");
  // QEMU gets a hart more, for with only one it does an AMO as a load and a store
  a.label("park");
  a.csrw("mie", "zero");
  a.wfi();
  a.j("park");
  a.label("first");
  a.la("t0", "handler");
  a.csrw("mtvec", "t0");
  a.li("t0", (1n << 54n) - 1n);
  a.csrw("pmpaddr4", "t0");
  a.csrw("mcounteren", "zero");
  // QEMU 7.2 sets A and D whatever menvcfg says, and ignores this bit.
  a.li("t0", MENVCFG_ADUE);
  a.csrs("menvcfg", "t0");
  if (sharing.isEach) a.li("a0", 0);
  else a.csrr("a0", "mhartid");
  a.slli("a0", "a0", Math.log2(CELL_BYTES));
  a.li("t0", CELLS);
  a.add("a0", "a0", "t0");
}

/** Leaves the address of the hart's own register in an array of the CLINT in the first register. */
function ownRegister(a: Assembler, base: number, bytes: number, [to, by]: readonly Reg[]): void {
  a.li(to, base);
  a.csrr(by, "mhartid");
  a.slli(by, by, Math.log2(bytes));
  a.add(to, to, by);
}

/** CSRs that are loaded as they are. */
const PLAIN = [
  "medeleg",
  "mideleg",
  "stvec",
  "sscratch",
  "sepc",
  "scause",
  "stval",
  "mcounteren",
  "scounteren",
  "senvcfg",
  "satp",
  "mie",
  "mip",
  "pmpaddr0",
  "pmpaddr1",
  "pmpaddr2",
  "pmpaddr3",
  "pmpcfg0",
] as const;

function enter(a: Assembler, sharing: Sharing): void {
  const load = (field: BeforeField) => a.ld("t0", "a0", beforeAt(field));
  a.label("cell");
  a.csrw("mie", "zero");
  a.csrw("mscratch", "a0");
  a.sw("zero", "a0", TRAP_COUNT);
  a.addi("t1", "a0", SAVED);
  a.scD("zero", "zero", "t1"); // ends a reservation
  a.sd("zero", "a0", SAVED);
  load("mtimecmp");
  if (sharing.isTimed) {
    a.csrr("t1", TIME);
    a.add("t0", "t0", "t1");
  }
  ownRegister(a, CLINT_MTIMECMP, 8, ["t1", "t2"]);
  a.sd("t0", "t1", 0);
  load("msip");
  ownRegister(a, CLINT_MSIP, 4, ["t1", "t2"]);
  a.sw("t0", "t1", 0);
  for (const name of PLAIN) {
    load(name);
    a.csrw(name, "t0");
  }
  a.csrw("mcause", "zero");
  a.csrw("mtval", "zero");
  a.sfenceVma();
  a.fenceI();
  a.li("t0", FS_DIRTY);
  a.csrs("mstatus", "t0");
  load("fcsr");
  a.csrw("fcsr", "t0");
  for (let register = 0; register < 32; register++) a.fld(register, "a0", BEFORE_F + register * 8);
  load("mstatus");
  a.csrw("mstatus", "t0");
  load("pc");
  a.csrw("mepc", "t0");
  for (let register = 1; register < 32; register++) {
    if (register !== 10) a.ld(register, "a0", BEFORE_X + register * 8);
  }
  a.ld("a0", "a0", BEFORE_X + 80);
  a.mret();
}

/** Privileged 3.1.16: EBREAK may report its address (as here) or 0 (as QEMU 7.2 does). */
function dropBreakpointValue(a: Assembler, value: "mtval" | "stval"): void {
  const other = a.fresh();
  a.li("x27", CAUSE_BREAKPOINT);
  a.bne("x30", "x27", other);
  a.csrw(value, "zero");
  a.label(other);
}

/** Leaves cause in x30 and pc in x29, both logged; x31 is the cell, and x25 to x31 are saved. */
function logTrap(a: Assembler): void {
  a.align(4);
  a.label("handler");
  a.csrrw("x31", "mscratch", "x31");
  for (let register = FIRST_SAVED; register < 31; register++)
    a.sd(register, "x31", savedAt(register));
  a.csrr("x30", "mscratch");
  a.sd("x30", "x31", savedAt(31));
  a.csrw("mscratch", "x31");
  a.csrr("x30", "mcause");
  a.csrr("x29", "mepc");
  a.lw("x28", "x31", TRAP_COUNT);
  a.slli("x28", "x28", Math.log2(LOG_BYTES));
  a.add("x28", "x28", "x31");
  a.csrr("x27", "mstatus");
  a.sd("x27", "x28", LOG + 24);
  // MRET will change MPP, which QEMU 7.2 does not see with MPRV set: entries of the old MPP stay
  a.slli("x27", "x27", 63 - MPRV_BIT);
  a.bgez("x27", "unmodified");
  a.sfenceVma();
  a.label("unmodified");
  a.li("x27", CAUSE_ECALL_SUPERVISOR);
  a.bne("x30", "x27", "machineTrap");
  a.ld("x27", "x31", beforeAt("stub"));
  a.sub("x27", "x29", "x27");
  a.sltiu("x27", "x27", STUB_BYTES);
  a.beqz("x27", "machineTrap");
  a.csrr("x30", "scause");
  a.csrr("x29", "sepc");
  dropBreakpointValue(a, "stval");
  a.csrr("x27", "stval");
  a.sd("x27", "x28", LOG + 8);
  a.li("x27", LOG_SUPERVISOR);
  a.or("x27", "x27", "x30");
  a.sd("x27", "x28", LOG);
  a.sd("x29", "x28", LOG + 16);
  a.jal("x28", "resolve");
  a.csrw("sepc", "x29");
  a.ld("x29", "x31", beforeAt("stub"));
  a.addi("x29", "x29", STUB_BYTES);
  a.j("resume");
  a.label("machineTrap");
  dropBreakpointValue(a, "mtval");
  a.csrr("x27", "mtval");
  a.sd("x27", "x28", LOG + 8);
  a.sd("x30", "x28", LOG);
  a.sd("x29", "x28", LOG + 16);
  a.jal("x28", "resolve");
  a.label("resume");
  a.csrw("mepc", "x29");
  for (let register = FIRST_SAVED; register < 32; register++)
    a.ld(register, "x31", savedAt(register));
  a.mret();
}

/** From cause x30 and pc x29 to the pc to go on at, in x29; or to `finish`. Uses x26 and x27. */
function resolve(a: Assembler): void {
  a.label("resolve");
  a.lw("x27", "x31", TRAP_COUNT);
  a.addi("x27", "x27", 1);
  a.sw("x27", "x31", TRAP_COUNT);
  a.li("x26", TRAPS_MAX);
  a.bgeu("x27", "x26", "finish");
  a.bltz("x30", "interrupt");
  for (const cause of [CAUSE_FETCH_PAGE, CAUSE_FETCH_ACCESS]) {
    a.li("x27", cause);
    a.beq("x30", "x27", "fetch");
  }
  a.slli("x27", "x29", 64 - Math.log2(CODE_BYTES));
  a.srli("x27", "x27", 64 - Math.log2(CODE_BYTES));
  a.ld("x26", "x31", beforeAt("end"));
  a.bne("x26", "x27", "skip");
  for (const cause of [CAUSE_ECALL_USER, CAUSE_ECALL_SUPERVISOR, CAUSE_ECALL_MACHINE]) {
    a.li("x26", cause);
    a.beq("x30", "x26", "finish");
  }
  a.label("skip");
  a.add("x27", "x27", "x31");
  a.li("x26", CELL_CODE);
  a.add("x27", "x27", "x26");
  a.lhu("x27", "x27", 0);
  a.not("x27", "x27");
  a.andi("x27", "x27", 3);
  a.addi("x29", "x29", 2);
  a.bnez("x27", "resolved");
  a.addi("x29", "x29", 2);
  a.label("resolved");
  a.jr("x28");

  a.label("fetch");
  a.andi("x29", "x1", -2); // QEMU 7.2 keeps the lowest bit of xepc
  a.li("x26", CODE_BYTES);
  for (const field of ["codeUser", "codeSupervisor", "codeMachine"] as const) {
    a.ld("x27", "x31", beforeAt(field));
    a.sub("x27", "x29", "x27");
    a.bltu("x27", "x26", "resolved");
  }
  a.j("finish");

  a.label("interrupt");
  a.li("x27", 1);
  a.sll("x27", "x27", "x30");
  a.csrc("mip", "x27");
  a.andi("x26", "x30", 63);
  a.li("x27", INTERRUPT_SOFTWARE);
  a.bne("x26", "x27", "noSoftware");
  ownRegister(a, CLINT_MSIP, 4, ["x27", "x26"]);
  a.sw("zero", "x27", 0);
  a.j("resolved");
  a.label("noSoftware");
  a.li("x27", INTERRUPT_TIMER);
  a.bne("x26", "x27", "resolved");
  ownRegister(a, CLINT_MTIMECMP, 8, ["x27", "x26"]);
  a.li("x26", -1);
  a.sd("x26", "x27", 0);
  a.j("resolved");
}

function finish(a: Assembler, sharing: Sharing): void {
  a.label("finish");
  for (let register = 1; register < FIRST_SAVED; register++) {
    a.sd(register, "x31", AFTER_X + register * 8);
  }
  for (let register = FIRST_SAVED; register < 32; register++) {
    a.ld("x30", "x31", savedAt(register));
    a.sd("x30", "x31", AFTER_X + register * 8);
  }
  a.csrr("x30", "mstatus");
  a.sd("x30", "x31", afterAt("mstatus"));
  a.li("x30", FS_DIRTY);
  a.csrw("mstatus", "x30");
  for (const field of AFTER_FIELDS) {
    if (field === "mstatus") continue;
    a.csrr("x30", field);
    a.sd("x30", "x31", afterAt(field));
  }
  for (let register = 0; register < 32; register++) a.fsd(register, "x31", AFTER_F + register * 8);
  a.li("a0", CELL_BYTES * (sharing.isEach ? 1 : sharing.harts));
  a.add("a0", "a0", "x31");
  a.la("t0", "cellsEnd");
  a.ld("t0", "t0", 0);
  a.bltu("a0", "t0", "cell");
  a.la("t0", "hartsDone");
  a.li("t1", 1);
  a.amoaddD("t1", "t1", "t0");
  a.addi("t1", "t1", 1);
  a.li("t0", sharing.harts);
  a.bltu("t1", "t0", "park");
  a.li("t0", FINISHER_PASS);
  a.li("t1", FINISHER);
  a.sw("t0", "t1", 0);
  a.j(0);
  a.align(8);
  a.label("hartsDone");
  a.u64(0);
  a.label("cellsEnd");
  a.u64(0);
}

/** The runner's bytes, to lie at the start of RAM, for a batch of `cells`. */
export function runnerFor(cells: number, sharing: Sharing = ALONE): Uint8Array {
  const a = new Assembler({ base: RAM });
  once(a, sharing);
  enter(a, sharing);
  logTrap(a);
  resolve(a);
  finish(a, sharing);
  const { bytes } = a.assemble();
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length).setBigUint64(
    bytes.length - 8,
    BigInt(CELLS + cells * CELL_BYTES),
    true,
  );
  return bytes;
}
