/**
 * privileged: generators for CSRs, traps, changes of mode, and accesses through page tables under
 * test.
 *
 * Used by differential/cell.ts.
 * Holds   only what both machines must do alike: no counters where they could be read, no field
 *         whose legal values are a choice, MPP never 2, a table entry changed only before a fence.
 */
import {
  type Body,
  BY_FORM,
  LINK,
  MACHINE,
  type Mode,
  SUPERVISOR,
  type TableEntry,
  USER,
} from "./body.ts";
import { accessBytes, type Generator, LOADS, STORES } from "./integer.ts";
import { NOWHERE } from "./layout.ts";

const MPP_SHIFT = 11;
const SPP = 1n << 8n;
const MPP = 3n << 11n;
const MPRV = 1n << 17n;
const SUM = 1n << 18n;
const MXR = 1n << 19n;

/**
 * Bits that a sequence may set and clear one at a time. FS is not among them: 1 and 2 are a choice.
 */
const STATUS_SUPERVISOR = [1n << 1n, 1n << 5n, SPP, SUM, MXR];
const TW = 1n << 21n;
const TSR = 1n << 22n;
export const TVM = 1n << 20n;
export const TVM_TW_TSR = [TVM, TW, TSR];
const STATUS_MACHINE = [...STATUS_SUPERVISOR, 1n << 3n, 1n << 7n, ...TVM_TW_TSR];
export const INTERRUPT_BITS = [1n << 1n, 1n << 5n, 1n << 9n];
export const MACHINE_INTERRUPT_BITS = [1n << 3n, 1n << 7n];
/** Exceptions that the stub can take for S-mode: all but ECALL from S. */
export const DELEGABLE = [1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 15].map((code) => 1n << BigInt(code));

interface CsrRule {
  readonly name: Parameters<Body["a"]["csrr"]>[1];
  /** Bits that are set and cleared; all others keep their value. */
  readonly bits?: readonly bigint[];
  /** Any value is legal when it has these bits clear. */
  readonly clear?: bigint;
}
const CSRS: readonly CsrRule[] = [
  { name: "fflags", clear: 0n },
  { name: "frm", clear: 0n },
  { name: "fcsr", clear: 0n },
  { name: "sscratch", clear: 0n },
  { name: "sepc", clear: 1n },
  { name: "scause", clear: 0n },
  { name: "stval", clear: 0n },
  { name: "sstatus", bits: STATUS_SUPERVISOR },
  { name: "sie", bits: INTERRUPT_BITS },
  { name: "sip", bits: [1n << 1n] },
  { name: "mstatus", bits: STATUS_MACHINE },
  { name: "mie", bits: [...INTERRUPT_BITS, ...MACHINE_INTERRUPT_BITS] },
  { name: "mip", bits: INTERRUPT_BITS },
  { name: "medeleg", bits: DELEGABLE },
  { name: "mideleg", bits: INTERRUPT_BITS },
  { name: "mepc", clear: 1n },
  { name: "mcause", clear: 0n },
  { name: "mtval", clear: 0n },
  { name: "mcounteren", bits: [] },
  { name: "scounteren", bits: [1n, 2n, 4n] },
  { name: "mhartid", bits: [] },
  { name: "mvendorid", bits: [] },
  { name: "misa", bits: [] },
  { name: "pmpcfg0", bits: [] },
  { name: "pmpaddr0", bits: [] },
  { name: "satp", bits: [] },
];
const CSR_READS = [
  "sscratch",
  "sepc",
  "scause",
  "stval",
  "sstatus",
  "sie",
  "sip",
  "stvec",
] as const;
/** Numbers at which no register exists. */
const ABSENT = [0x004, 0x0ff, 0x181, 0x5c0, 0x7ff, 0x8ff, 0x9ff, 0xbc0, 0xdff, 0xfff, 0x3a1, 0x3a3];
/** Read-only ones: a write traps, whatever the mode. */
const READ_ONLY = ["mhartid", "mvendorid"] as const;
/** They trap below M-mode, since the runner leaves mcounteren 0. */
const COUNTERS = [0xc00, 0xc01, 0xc02, 0xc03] as const;

function maskOf(body: Body, bits: readonly bigint[]): bigint {
  let mask = 0n;
  for (const bit of bits) if (body.random.chance(35)) mask |= bit;
  return mask;
}

/** One access to a register, with a value that is legal, from whatever mode the code is in. */
export const csrAccess: Generator = (body) => {
  const { random } = body;
  const rule = random.pick(CSRS);
  const value = body.scratch();
  if (rule.bits === undefined) {
    body.li(value, random.u64() & ~(rule.clear ?? 0n));
    const name = random.pick(["csrrw", "csrrs", "csrrc"] as const);
    body.emit(name, body.target(), rule.name, value);
  } else if (rule.bits.length === 0 || random.chance(25)) {
    body.emit(random.pick(["csrrs", "csrrc"] as const), body.target(), rule.name, 0);
  } else {
    body.li(value, maskOf(body, rule.bits));
    const name = random.pick(["csrrs", "csrrc"] as const);
    body.emit(name, body.target(), rule.name, value);
  }
};

/** The immediate forms. */
export const csrImmediate: Generator = (body) => {
  const { random } = body;
  const name = random.pick(["csrrwi", "csrrsi", "csrrci"] as const);
  const csr = random.pick(["sscratch", "scause", "stval", "mtval", "mcause", "fcsr"] as const);
  body.emit(name, body.target(), csr, random.below(32));
};

export const csrRead: Generator = (body) => {
  body.emit("csrrs", body.target(), body.random.pick(CSR_READS), 0);
};

/** Registers that do not exist or refuse. */
export const csrRefused: Generator = (body) => {
  const { random } = body;
  const kind = random.below(3);
  if (kind === 0) return body.emit("csrrs", body.target(), random.pick(ABSENT), 0);
  if (kind === 1) return body.emit("csrrw", body.target(), random.pick(READ_ONLY), body.source());
  if (body.mode === MACHINE) return csrRead(body);
  body.emit("csrrs", body.target(), random.pick(COUNTERS), 0);
};

/**
 * Writes a vector or satp that is put back: nothing can trap in between, and no mode is illegal.
 */
export const csrSwap: Generator = (body) => {
  const { random } = body;
  if (body.mode === USER) return csrRead(body);
  const [value, old] = [body.scratch(31), 31];
  body.li(value, random.u64() & ~2n);
  body.emit("csrrw", old, "stvec", value);
  body.emit("csrrs", value, "stvec", 0);
  body.emit("csrrw", value, "stvec", old);
};

const VECTOR = 0x57;
const CUSTOM_0 = 0x0b;
const CUSTOM_1 = 0x2b;
const CUSTOM_3 = 0x7b;
const RESERVED_OPCODE = 0x6b;

function illegalWord(body: Body): number {
  const { random } = body;
  const rest = (random.u32() & ~0x7f) >>> 0;
  return random.pick([
    (rest | CUSTOM_0) >>> 0,
    (rest | CUSTOM_1) >>> 0,
    (rest | CUSTOM_3) >>> 0,
    (rest | RESERVED_OPCODE) >>> 0,
    (rest | VECTOR) >>> 0,
    0x8000, // a reserved compressed encoding
    0x4002, // C.LWSP to x0
    0x2001, // C.ADDIW to x0
    0x6101, // C.ADDI16SP of 0
    0x9c41, // reserved beside C.SUBW
    0x00007003 | (random.u32() & 0xf80), // LDU
    0x0000003b | 0x02001000, // reserved beside SLLW
    0x02000013 | (1 << 12) | (0x3f << 26), // reserved shift
  ]);
}

/** Something that traps. */
export const trap: Generator = (body) => {
  const { random } = body;
  switch (random.below(8)) {
    case 0:
      return body.emit("ecall");
    case 1:
      return body.emit("ebreak");
    case 2:
      return body.emit("cEbreak");
    case 3:
      return random.chance(15) ? body.emit("cUnimp") : body.word(illegalWord(body));
    case 4:
      return body.word(illegalWord(body));
    case 5:
      return nowhere(body);
    case 6:
      return misaligned(body);
    default:
      return wrongMode(body);
  }
};

/** An access, or a jump, to an address where nothing answers. */
const nowhere: Generator = (body) => {
  const { random } = body;
  const at = body.scratch();
  body.li(at, BigInt(NOWHERE + random.below(64) * 8));
  const kind = random.below(3);
  if (kind === 0) return fetchAt(body, at);
  const name = random.pick(kind === 1 ? LOADS : STORES);
  body.emitAny(name, [kind === 1 ? body.target() : body.source(), at, 0]);
};

/** Jumps to the address in `at` with a return address in x1, to which the runner goes on. */
function fetchAt(body: Body, at: number): void {
  if (body.random.chance(50)) body.emit("jalr", LINK, at, 0);
  else body.emit("cJalr", at);
}

const misaligned: Generator = (body) => {
  const at = body.address(body.writable(8, true) + body.random.pick([1, 2, 3]));
  const isLoad = body.random.chance(50);
  if (isLoad) return body.emit("lrW", body.target(), at);
  body.emit("amoaddD", body.target(), body.source(), at);
};

/** An instruction that the mode, TSR, TVM or TW forbids. */
const wrongMode: Generator = (body) => {
  const { random, mode } = body;
  if (mode === USER) {
    const names = body.isModeSure
      ? (["mret", "sret", "sfenceVma", "wfi"] as const)
      : (["mret"] as const);
    return body.emit(random.pick(names));
  }
  if (mode === SUPERVISOR) return body.emit("mret");
  body.emit("csrrw", 0, "mhartid", body.scratch());
};

/** SFENCE.VMA in its forms; TVM makes it trap in S-mode. */
export const fenceTranslation: Generator = (body) => {
  const { random } = body;
  body.emit(
    "sfenceVma",
    random.chance(50) ? 0 : body.source(),
    random.chance(50) ? 0 : body.source(),
  );
};

/** WFI where it cannot wait: with TW in S-mode it traps, in M-mode an interrupt is pending. */
export const waitForInterrupt: Generator = (body) => {
  const isTrapped = body.place.mode === SUPERVISOR && (body.place.status & TW) !== 0n;
  if (body.mode === SUPERVISOR && isTrapped && body.isModeSure) return body.emit("wfi");
  if (body.mode !== MACHINE) return csrRead(body);
  const register = body.scratch();
  body.li(register, 2n);
  body.emit("csrrc", 0, "mstatus", register);
  body.li(register, 8n);
  body.emit("csrrc", 0, "mstatus", register);
  body.li(register, 1n << 1n);
  body.emit("csrrs", 0, "mie", register);
  body.emit("csrrs", 0, "mip", register);
  body.emit("wfi");
};

/**
 * MRET or SRET to the following instruction in another mode, by the address that mode sees. MPRV is
 * 0 here, for QEMU 7.2 does not clear it.
 */
export const changeMode: Generator = (body) => {
  const { random } = body;
  if (body.mode === USER) return wrongMode(body);
  const isMachine = body.mode === MACHINE && random.chance(70);
  const next: Mode = isMachine ? random.pick([USER, SUPERVISOR]) : random.pick([USER, SUPERVISOR]);
  const register = body.scratch();
  body.li(register, isMachine ? MPP : SPP);
  body.emit("csrrc", 0, isMachine ? "mstatus" : "sstatus", register);
  body.li(register, isMachine ? BigInt(next) << BigInt(MPP_SHIFT) : BigInt(next) << 8n);
  body.emit("csrrs", 0, isMachine ? "mstatus" : "sstatus", register);
  // a constant of fixed length: 32 bytes of LUI, ADDIW, SLLI, ADDI with NOPs behind
  const target = BigInt(body.here + LI_BYTES + 8);
  const from = body.here;
  body.li(register, BigInt.asUintN(64, body.place.code[next] + target));
  while (body.here < from + LI_BYTES) body.emit("addi", 0, 0, 0);
  body.emit("csrrw", 0, isMachine ? "mepc" : "sepc", register);
  body.emit(isMachine ? "mret" : "sret");
  // with TSR an SRET of S-mode traps, is skipped, and the code goes on as it is
  const mayTrap =
    body.mode !== MACHINE && (body.place.mode === MACHINE || (body.place.status & TSR) !== 0n);
  if (mayTrap) body.isModeSure = false;
  body.mode = next;
  body.point();
};
const LI_BYTES = 32;

const ATOMICS = (BY_FORM.get("amo") ?? []).filter((name) => !name.startsWith("sc"));

/** A load, store, AMO, LR or jump through a translation under test. */
export const probe: Generator = (body) => {
  const { random, place } = body;
  if (place.probes.length === 0) return trap(body);
  const at = body.scratch();
  const { address, isExecutable, isMemory, isCrossable } = random.pick(place.probes);
  const kind = random.below(10);
  // untranslated it finds nobody, and then QEMU reports the aligned address
  const isFree = isCrossable && body.mode !== MACHINE && !place.hasPmp;
  const isCrossing = isFree && random.chance(20);
  const offset = isCrossing ? 4096 - random.between(1, 8) : random.below(4088);
  const isAligned = kind >= 8 || !isFree;
  body.li(at, BigInt.asUintN(64, address + BigInt(isAligned ? offset & ~7 : offset)));
  if (kind < 4) {
    const name = random.pick(LOADS);
    return body.emitAny(name, [body.target(), at, 0]);
  }
  if (kind < 7) return body.emitAny(random.pick(STORES), [body.source(), at, 0]);
  if (kind === 7) return body.emit(random.pick(["fld", "fsw"] as const), body.float(), at, 0);
  // in QEMU an AMO that finds no memory is done as a load and a store
  const isAtomic = kind === 8 && isMemory && body.mode !== MACHINE;
  if (isAtomic) return body.emitAny(random.pick(ATOMICS), [body.target(), body.source(), at]);
  // what lies in a data page is no program, so it is jumped to only where no X lets it run
  if (isExecutable || kind === 8) return body.emit("lrD", body.target(), at);
  fetchAt(body, at);
};

/** Where a table entry can be written from the current mode, or null. */
function entryAddress(body: Body, entry: TableEntry): bigint | null {
  if (body.mode === MACHINE) return entry.address;
  const isPossible = body.mode === SUPERVISOR && body.isModeSure && !body.place.hasFenceTrap;
  return isPossible ? entry.alias : null;
}

const STORE_AND_FENCE_BYTES = 8;

/** Stores a table entry, with the fence that makes it seen. */
function writeEntry(body: Body, address: bigint, value: bigint): void {
  const [at, entry] = [31, body.scratch(31)];
  body.li(at, address);
  body.li(entry, value);
  // where the next page of code cannot be fetched, the fence has to be in this one with the store
  while (body.here % 4096 > 4096 - STORE_AND_FENCE_BYTES) body.emit("cNop");
  if (body.random.chance(70)) body.emit("sd", entry, at, 0);
  else body.emit("amoswapD", body.target(), entry, at);
  body.emit("sfenceVma");
}

/** Changes a table entry. */
export const changeEntry: Generator = (body) => {
  const { random, place } = body;
  if (place.entries.length === 0) return probe(body);
  const entry = random.pick(place.entries);
  const address = entryAddress(body, entry);
  if (address === null) return probe(body);
  writeEntry(body, address, entry.value);
};

/** Accesses of a page before and after its table entry changes: nothing of the old may stay. */
export const remap: Generator = (body) => {
  const { random, place } = body;
  if (place.entries.length === 0) return probe(body);
  const entry = random.pick(place.entries);
  const address = entryAddress(body, entry);
  if (address === null) return probe(body);
  const mode = random.pick([USER, SUPERVISOR] as const);
  const touch = (): void => {
    const at = body.scratch();
    body.li(at, BigInt.asUintN(64, entry.page + BigInt(random.below(511) * 8)));
    body.emitAny(random.pick(STORES), [body.source(), at, 0]);
    body.emitAny(random.pick(LOADS), [body.target(), at, 0]);
  };
  const around = (): void => {
    if (body.mode === MACHINE) withPrivilege(body, touch, { mode, countMax: 1 });
    else touch();
  };
  around();
  writeEntry(body, address, entry.value);
  around();
};

/** A load or store at an offset in the window; aligned where PMP leaves the outcome unclear. */
function accessWindow(body: Body, mode: Mode, offset: number): void {
  const { random, place } = body;
  const at = body.scratch();
  const isStore = random.chance(50);
  const name = random.pick(isStore ? STORES : LOADS);
  const clear = body.isUnclear(offset, accessBytes(name)) ? offset & ~7 : offset;
  body.li(at, BigInt.asUintN(64, place.data[mode] + BigInt(clear)));
  body.emitAny(name, [isStore ? body.source() : body.target(), at, 0]);
}

/** Data accesses of M-mode with MPRV: translated as MPP says. */
export const modifiedPrivilege: Generator = (body) => {
  const { random, place } = body;
  if (body.mode !== MACHINE) return probe(body);
  withPrivilege(body, (mode) => {
    if (place.probes.length > 0 && random.chance(50)) return probe(body);
    accessWindow(body, mode, random.between(0x400, 0x1ff0));
  });
};

/** One to four accesses by `access` with MPRV set and a random MPP, SUM and MXR. */
function withPrivilege(
  body: Body,
  access: (mode: Mode) => void,
  options: { mode?: Mode; countMax?: number } = {},
): void {
  const { random } = body;
  const register = body.scratch();
  const mode = options.mode ?? random.pick([USER, SUPERVISOR, MACHINE] as const);
  body.li(register, MPP | MPRV | SUM | MXR);
  body.emit("csrrc", 0, "mstatus", register);
  body.li(register, MPRV | (BigInt(mode) << BigInt(MPP_SHIFT)) | maskOf(body, [SUM, MXR]));
  body.emit("csrrs", 0, "mstatus", register);
  for (let left = random.between(1, options.countMax ?? 4); left > 0; left--) access(mode);
  body.li(register, MPRV);
  body.emit("csrrc", 0, "mstatus", register);
}

/** Sets pending bits and enables: an interrupt may follow at once. */
export const raiseInterrupt: Generator = (body) => {
  const { random } = body;
  if (body.mode === USER) return csrRead(body);
  const register = body.scratch();
  const isMachine = body.mode === MACHINE;
  body.li(register, isMachine ? maskOf(body, INTERRUPT_BITS) : 2n);
  body.emit("csrrs", body.target(), isMachine ? "mip" : "sip", register);
  body.li(register, maskOf(body, INTERRUPT_BITS));
  body.emit("csrrs", body.target(), isMachine ? "mie" : "sie", register);
  body.li(register, isMachine ? random.pick([2n, 8n, 10n]) : 2n);
  body.emit("csrrs", body.target(), isMachine ? "mstatus" : "sstatus", register);
};

/** FS off and on again, or merely clean before a write to a register, which makes it dirty. */
export const floatState: Generator = (body) => {
  const { random } = body;
  if (body.mode === USER) return csrRead(body);
  const csr = random.chance(50) || body.mode === SUPERVISOR ? "sstatus" : "mstatus";
  const [register, state] = [body.scratch(), random.below(3)];
  body.li(register, FS_DIRTY);
  body.emit("csrrc", 0, csr, register);
  if (state > 0) {
    body.li(register, BigInt(state) << FS_SHIFT);
    body.emit("csrrs", 0, csr, register);
  }
  const [a, b] = [body.float(), body.float()];
  if (random.chance(40)) body.emit("csrrwi", 0, random.pick(["fflags", "frm"] as const), 1);
  else body.emit(random.pick(["fsgnjD", "faddS", "fmulD"] as const), body.float(), a, b);
  body.emit("csrrs", body.target(), csr, 0);
  body.li(register, FS_DIRTY);
  body.emit("csrrs", 0, csr, register);
};
const FS_SHIFT = 13n;
const FS_DIRTY = 3n << FS_SHIFT;

/** Loads of M-mode with MPRV through no tables, or through these read as another scheme's. */
export const changeSpace: Generator = (body) => {
  const { random, place } = body;
  if (body.mode !== MACHINE || place.satp === 0n) return probe(body);
  const register = body.scratch();
  const modes = [0n, 8n, 9n, 10n];
  const mode = random.chance(30) ? place.satp >> 60n : random.pick(modes);
  body.li(register, (place.satp & ((1n << 60n) - 1n)) | (mode << 60n));
  body.emit("csrrw", 0, "satp", register);
  if (random.chance(50)) body.emit("sfenceVma");
  withPrivilege(body, (effective) => {
    // a table read as another scheme's may map anything, so nothing is stored
    const at = body.scratch();
    const offset = BigInt(random.between(0x400, 0x1ff0) & ~7);
    body.li(at, BigInt.asUintN(64, place.data[effective] + offset));
    body.emitAny(random.pick(LOADS), [body.target(), at, 0]);
  });
  body.li(register, place.satp);
  body.emit("csrrw", 0, "satp", register);
  if (random.chance(50)) body.emit("sfenceVma");
};

/** An access around a boundary of a PMP entry, aligned or not, within its page. */
export const protectionEdge: Generator = (body) => {
  const { random, place } = body;
  if (place.edges.length === 0) return probe(body);
  const { at, step } = random.pick(place.edges);
  const edge = at + random.between(-8 / step, 4 / step) * step;
  const isWhole = (edge & 0xfff) <= 0xff8 && edge >= 0;
  const access = (mode: Mode): void => accessWindow(body, mode, isWhole ? edge : 0xff8);
  if (body.mode === MACHINE) withPrivilege(body, access);
  else access(body.mode);
};

/** Moves a PMP entry; the fence makes it count on both machines. */
export const changeProtection: Generator = (body) => {
  const { random, place } = body;
  if (body.mode !== MACHINE || !place.hasPmp) return probe(body);
  const register = body.scratch();
  const csr = random.pick(["pmpaddr0", "pmpaddr1", "pmpaddr2", "pmpaddr3"] as const);
  const page = place.data[MACHINE] + BigInt(random.below(4) * 4096 + random.below(512) * 8);
  const ones = BigInt(random.pick([0, 1, 3, 7, 511]));
  const word = ((page >> 2n) & ~(2n * ones + 1n)) | ones;
  body.words.add(Number((word << 2n) & 0xfffn));
  body.li(register, word);
  body.emit("csrrw", body.target(), csr, register);
  // QEMU 7.2 takes the new start of a TOR entry only with the next write of its configuration
  body.emit("csrrs", register, "pmpcfg0", 0);
  body.emit("csrrw", 0, "pmpcfg0", register);
  body.emit("sfenceVma");
};
