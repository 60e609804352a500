/**
 * table: every instruction, as {form, fixed bits}. The methods of Assembler, their types and the
 * encoding tests all derive from this one table.
 *
 * Owns    the fixed bits of each encoding (Unprivileged, chapter "RV32/64G Instruction Set
 *         Listings").
 * Used by asm/encode.ts (types), asm/assembler.ts (methods), test/asm/encoding.test.ts (checks each
 *         against binutils).
 * Holds   a key is the mnemonic with `.x` written as `X`: `fcvt.w.s` is `fcvtWS`, `c.addi` is
 *         `cAddi`.
 */

const R = (funct7: number, funct3: number, opcode: number): number =>
  ((funct7 << 25) | (funct3 << 12) | opcode) >>> 0;

const OP = 0x33;
const OP_32 = 0x3b;
const OP_IMM = 0x13;
const OP_IMM_32 = 0x1b;
const SYSTEM = 0x73;
const AMO = 0x2f;
const OP_FP = 0x53;

const r = (funct7: number, funct3: number, opcode = OP) =>
  ["r", R(funct7, funct3, opcode)] as const;
const i = (funct3: number, opcode = OP_IMM) => ["i", R(0, funct3, opcode)] as const;
/** Shift by a constant; on RV64 bit 25 belongs to the amount, so `funct6` is 6 bits wide. */
const shift = (funct6: number, funct3: number, opcode = OP_IMM) =>
  ["shift", ((funct6 << 26) | R(0, funct3, opcode)) >>> 0] as const;
const shiftW = (funct7: number, funct3: number) =>
  ["shiftW", R(funct7, funct3, OP_IMM_32)] as const;
const load = (funct3: number) => ["load", R(0, funct3, 0x03)] as const;
const store = (funct3: number) => ["store", R(0, funct3, 0x23)] as const;
const branch = (funct3: number) => ["branch", R(0, funct3, 0x63)] as const;
/** One source; the second source field is part of the opcode. */
const unary = (funct7: number, rs2: number, funct3: number, opcode: number) =>
  ["unary", (R(funct7, funct3, opcode) | (rs2 << 20)) >>> 0] as const;
const csr = (funct3: number) => ["csr", R(0, funct3, SYSTEM)] as const;
const csrImmediate = (funct3: number) => ["csrImmediate", R(0, funct3, SYSTEM)] as const;
const plain = (bits: number) => ["plain", bits] as const;
const amo = (funct5: number, funct3: number) => ["amo", R(funct5 << 2, funct3, AMO)] as const;
const loadReserved = (funct3: number) => ["loadReserved", R(0x02 << 2, funct3, AMO)] as const;
/** Floating point: two sources and a rounding mode. */
const fRound = (funct7: number) => ["fRound", R(funct7, 0, OP_FP)] as const;
/** Floating point: two sources, funct3 fixed. */
const fPair = (funct7: number, funct3: number) => ["fPair", R(funct7, funct3, OP_FP)] as const;
const fCompare = (funct7: number, funct3: number) =>
  ["fCompare", R(funct7, funct3, OP_FP)] as const;
const fFused = (format: number, opcode: number) => ["fFused", R(format, 0, opcode)] as const;
const one = (funct7: number, rs2: number, funct3 = 0) =>
  (R(funct7, funct3, OP_FP) | (rs2 << 20)) >>> 0;

/** Every instruction the assembler knows, by method name. */
export const INSTRUCTIONS = {
  // RV64I
  lui: ["upper", 0x37],
  auipc: ["upper", 0x17],
  jal: ["jump", 0x6f],
  jalr: ["jumpRegister", 0x67],
  beq: branch(0),
  bne: branch(1),
  blt: branch(4),
  bge: branch(5),
  bltu: branch(6),
  bgeu: branch(7),
  lb: load(0),
  lh: load(1),
  lw: load(2),
  ld: load(3),
  lbu: load(4),
  lhu: load(5),
  lwu: load(6),
  sb: store(0),
  sh: store(1),
  sw: store(2),
  sd: store(3),
  addi: i(0),
  slti: i(2),
  sltiu: i(3),
  xori: i(4),
  ori: i(6),
  andi: i(7),
  slli: shift(0x00, 1),
  srli: shift(0x00, 5),
  srai: shift(0x10, 5),
  add: r(0x00, 0),
  sub: r(0x20, 0),
  sll: r(0x00, 1),
  slt: r(0x00, 2),
  sltu: r(0x00, 3),
  xor: r(0x00, 4),
  srl: r(0x00, 5),
  sra: r(0x20, 5),
  or: r(0x00, 6),
  and: r(0x00, 7),
  addiw: i(0, OP_IMM_32),
  slliw: shiftW(0x00, 1),
  srliw: shiftW(0x00, 5),
  sraiw: shiftW(0x20, 5),
  addw: r(0x00, 0, OP_32),
  subw: r(0x20, 0, OP_32),
  sllw: r(0x00, 1, OP_32),
  srlw: r(0x00, 5, OP_32),
  sraw: r(0x20, 5, OP_32),
  fence: ["fence", 0x0000000f],
  fenceTso: plain(0x8330000f),
  fenceI: plain(0x0000100f),
  ecall: plain(0x00000073),
  ebreak: plain(0x00100073),
  // Zicsr
  csrrw: csr(1),
  csrrs: csr(2),
  csrrc: csr(3),
  csrrwi: csrImmediate(5),
  csrrsi: csrImmediate(6),
  csrrci: csrImmediate(7),
  // Privileged, Zicboz
  sret: plain(0x10200073),
  mret: plain(0x30200073),
  wfi: plain(0x10500073),
  sfenceVma: ["fenceVma", R(0x09, 0, SYSTEM)],
  cboZero: ["cacheBlock", 0x0040200f],
  // M
  mul: r(0x01, 0),
  mulh: r(0x01, 1),
  mulhsu: r(0x01, 2),
  mulhu: r(0x01, 3),
  div: r(0x01, 4),
  divu: r(0x01, 5),
  rem: r(0x01, 6),
  remu: r(0x01, 7),
  mulw: r(0x01, 0, OP_32),
  divw: r(0x01, 4, OP_32),
  divuw: r(0x01, 5, OP_32),
  remw: r(0x01, 6, OP_32),
  remuw: r(0x01, 7, OP_32),
  // A
  lrW: loadReserved(2),
  scW: amo(0x03, 2),
  amoswapW: amo(0x01, 2),
  amoaddW: amo(0x00, 2),
  amoxorW: amo(0x04, 2),
  amoandW: amo(0x0c, 2),
  amoorW: amo(0x08, 2),
  amominW: amo(0x10, 2),
  amomaxW: amo(0x14, 2),
  amominuW: amo(0x18, 2),
  amomaxuW: amo(0x1c, 2),
  lrD: loadReserved(3),
  scD: amo(0x03, 3),
  amoswapD: amo(0x01, 3),
  amoaddD: amo(0x00, 3),
  amoxorD: amo(0x04, 3),
  amoandD: amo(0x0c, 3),
  amoorD: amo(0x08, 3),
  amominD: amo(0x10, 3),
  amomaxD: amo(0x14, 3),
  amominuD: amo(0x18, 3),
  amomaxuD: amo(0x1c, 3),
  // F
  flw: ["fLoad", R(0, 2, 0x07)],
  fsw: ["fStore", R(0, 2, 0x27)],
  fmaddS: fFused(0, 0x43),
  fmsubS: fFused(0, 0x47),
  fnmsubS: fFused(0, 0x4b),
  fnmaddS: fFused(0, 0x4f),
  faddS: fRound(0x00),
  fsubS: fRound(0x04),
  fmulS: fRound(0x08),
  fdivS: fRound(0x0c),
  fsqrtS: ["fRoot", one(0x2c, 0)],
  fsgnjS: fPair(0x10, 0),
  fsgnjnS: fPair(0x10, 1),
  fsgnjxS: fPair(0x10, 2),
  fminS: fPair(0x14, 0),
  fmaxS: fPair(0x14, 1),
  fcvtWS: ["fToInt", one(0x60, 0)],
  fcvtWuS: ["fToInt", one(0x60, 1)],
  fcvtLS: ["fToInt", one(0x60, 2)],
  fcvtLuS: ["fToInt", one(0x60, 3)],
  fmvXW: ["fToIntExact", one(0x70, 0)],
  feqS: fCompare(0x50, 2),
  fltS: fCompare(0x50, 1),
  fleS: fCompare(0x50, 0),
  fclassS: ["fToIntExact", one(0x70, 0, 1)],
  fcvtSW: ["fFromInt", one(0x68, 0)],
  fcvtSWu: ["fFromInt", one(0x68, 1)],
  fcvtSL: ["fFromInt", one(0x68, 2)],
  fcvtSLu: ["fFromInt", one(0x68, 3)],
  fmvWX: ["fFromIntExact", one(0x78, 0)],
  // D
  fld: ["fLoad", R(0, 3, 0x07)],
  fsd: ["fStore", R(0, 3, 0x27)],
  fmaddD: fFused(1, 0x43),
  fmsubD: fFused(1, 0x47),
  fnmsubD: fFused(1, 0x4b),
  fnmaddD: fFused(1, 0x4f),
  faddD: fRound(0x01),
  fsubD: fRound(0x05),
  fmulD: fRound(0x09),
  fdivD: fRound(0x0d),
  fsqrtD: ["fRoot", one(0x2d, 0)],
  fsgnjD: fPair(0x11, 0),
  fsgnjnD: fPair(0x11, 1),
  fsgnjxD: fPair(0x11, 2),
  fminD: fPair(0x15, 0),
  fmaxD: fPair(0x15, 1),
  fcvtSD: ["fRoot", one(0x20, 1)],
  fcvtDS: ["fWiden", one(0x21, 0)],
  feqD: fCompare(0x51, 2),
  fltD: fCompare(0x51, 1),
  fleD: fCompare(0x51, 0),
  fclassD: ["fToIntExact", one(0x71, 0, 1)],
  fcvtWD: ["fToInt", one(0x61, 0)],
  fcvtWuD: ["fToInt", one(0x61, 1)],
  fcvtLD: ["fToInt", one(0x61, 2)],
  fcvtLuD: ["fToInt", one(0x61, 3)],
  fmvXD: ["fToIntExact", one(0x71, 0)],
  // A 32-bit integer is exact in a double, so binutils fixes the rounding mode of these two at 0.
  fcvtDW: ["fFromIntExact", one(0x69, 0)],
  fcvtDWu: ["fFromIntExact", one(0x69, 1)],
  fcvtDL: ["fFromInt", one(0x69, 2)],
  fcvtDLu: ["fFromInt", one(0x69, 3)],
  fmvDX: ["fFromIntExact", one(0x79, 0)],
  // Zba
  addUw: r(0x04, 0, OP_32),
  sh1add: r(0x10, 2),
  sh2add: r(0x10, 4),
  sh3add: r(0x10, 6),
  sh1addUw: r(0x10, 2, OP_32),
  sh2addUw: r(0x10, 4, OP_32),
  sh3addUw: r(0x10, 6, OP_32),
  slliUw: shift(0x02, 1, OP_IMM_32),
  // Zbb
  andn: r(0x20, 7),
  orn: r(0x20, 6),
  xnor: r(0x20, 4),
  clz: unary(0x30, 0, 1, OP_IMM),
  ctz: unary(0x30, 1, 1, OP_IMM),
  cpop: unary(0x30, 2, 1, OP_IMM),
  clzw: unary(0x30, 0, 1, OP_IMM_32),
  ctzw: unary(0x30, 1, 1, OP_IMM_32),
  cpopw: unary(0x30, 2, 1, OP_IMM_32),
  max: r(0x05, 6),
  maxu: r(0x05, 7),
  min: r(0x05, 4),
  minu: r(0x05, 5),
  sextB: unary(0x30, 4, 1, OP_IMM),
  sextH: unary(0x30, 5, 1, OP_IMM),
  zextH: unary(0x04, 0, 4, OP_32),
  rol: r(0x30, 1),
  rolw: r(0x30, 1, OP_32),
  ror: r(0x30, 5),
  rorw: r(0x30, 5, OP_32),
  rori: shift(0x18, 5),
  roriw: shiftW(0x30, 5),
  orcB: unary(0x14, 7, 5, OP_IMM),
  rev8: unary(0x35, 0x18, 5, OP_IMM),
  // Zbs
  bclr: r(0x24, 1),
  bclri: shift(0x12, 1),
  bext: r(0x24, 5),
  bexti: shift(0x12, 5),
  binv: r(0x34, 1),
  binvi: shift(0x1a, 1),
  bset: r(0x14, 1),
  bseti: shift(0x0a, 1),
  // C, quadrant 0
  cAddi4spn: ["cAddi4spn", 0x0000],
  cFld: ["cFLoad", 0x2000],
  cLw: ["cLoadWord", 0x4000],
  cLd: ["cLoadDouble", 0x6000],
  cFsd: ["cFLoad", 0xa000],
  cSw: ["cLoadWord", 0xc000],
  cSd: ["cLoadDouble", 0xe000],
  // C, quadrant 1
  cNop: ["cPlain", 0x0001],
  cAddi: ["cImmediate", 0x0001],
  cAddiw: ["cImmediate", 0x2001],
  cLi: ["cImmediate", 0x4001],
  cAddi16sp: ["cAddi16sp", 0x6101],
  cLui: ["cUpper", 0x6001],
  cSrli: ["cShift", 0x8001],
  cSrai: ["cShift", 0x8401],
  cAndi: ["cAndImmediate", 0x8801],
  cSub: ["cArithmetic", 0x8c01],
  cXor: ["cArithmetic", 0x8c21],
  cOr: ["cArithmetic", 0x8c41],
  cAnd: ["cArithmetic", 0x8c61],
  cSubw: ["cArithmetic", 0x9c01],
  cAddw: ["cArithmetic", 0x9c21],
  cJ: ["cJump", 0xa001],
  cBeqz: ["cBranch", 0xc001],
  cBnez: ["cBranch", 0xe001],
  // C, quadrant 2
  cSlli: ["cShiftFull", 0x0002],
  cFldsp: ["cFLoadSp", 0x2002],
  cLwsp: ["cLoadWordSp", 0x4002],
  cLdsp: ["cLoadDoubleSp", 0x6002],
  cJr: ["cRegister", 0x8002],
  cMv: ["cMove", 0x8002],
  cEbreak: ["cPlain", 0x9002],
  cJalr: ["cRegister", 0x9002],
  cAdd: ["cMove", 0x9002],
  cFsdsp: ["cFStoreSp", 0xa002],
  cSwsp: ["cStoreWordSp", 0xc002],
  cSdsp: ["cStoreDoubleSp", 0xe002],
  /** The all-zero halfword, defined to be illegal. */
  cUnimp: ["cPlain", 0x0000],
} as const;

/** Method name of an instruction. */
export type InstructionName = keyof typeof INSTRUCTIONS;

/** Assembly mnemonic of a method: `fcvtWuS` gives `fcvt.wu.s`. */
export function mnemonicOf(name: InstructionName): string {
  return name.replace(/[A-Z]/g, (letter) => "." + letter.toLowerCase());
}
