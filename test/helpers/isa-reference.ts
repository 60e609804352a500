/**
 * isa-reference: what each integer instruction computes, as plain BigInt arithmetic, written from
 * the specification's text and sharing nothing with the core or the assembler.
 *
 * Used by test/isa. The suites also run in QEMU, so a mistake here shows there first.
 * Holds   registers are unsigned 64-bit bigints, in and out.
 */

export type Unary = (a: bigint) => bigint;
export type Binary = (a: bigint, b: bigint) => bigint;

/** The low 64 bits, unsigned: a register. */
export const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
/** A register as a signed number. */
export const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
/** The low 32 bits, sign-extended: what every W instruction writes. */
export const word = (value: bigint): bigint => u64(BigInt.asIntN(32, value));
const s32 = (value: bigint): bigint => BigInt.asIntN(32, value);
const u32 = (value: bigint): bigint => BigInt.asUintN(32, value);
const choose = (a: bigint, b: bigint, first: boolean): bigint => (first ? a : b);
const bool = (is: boolean): bigint => (is ? 1n : 0n);

/** Division as Unprivileged 7.2 has it: by zero gives all ones, overflow gives the dividend. */
function divide(a: bigint, b: bigint): bigint {
  return b === 0n ? -1n : a / b;
}

function remainder(a: bigint, b: bigint): bigint {
  return b === 0n ? a : a % b;
}

function rotateLeft(value: bigint, amount: bigint, bits: bigint): bigint {
  const low = BigInt.asUintN(Number(bits), value);
  return BigInt.asUintN(Number(bits), (low << amount) | (low >> (bits - amount)));
}

function rotateRight(value: bigint, amount: bigint, bits: bigint): bigint {
  return rotateLeft(value, (bits - amount) % bits, bits);
}

function leadingZeros(value: bigint, bits: number): bigint {
  for (let count = 0; count < bits; count++) {
    if ((value >> BigInt(bits - 1 - count)) & 1n) return BigInt(count);
  }
  return BigInt(bits);
}

function trailingZeros(value: bigint, bits: number): bigint {
  for (let count = 0; count < bits; count++) {
    if ((value >> BigInt(count)) & 1n) return BigInt(count);
  }
  return BigInt(bits);
}

function population(value: bigint): bigint {
  let count = 0n;
  for (let rest = value; rest !== 0n; rest >>= 1n) count += rest & 1n;
  return count;
}

/** Applies `change` to each of the eight bytes, lowest first; it is told where the byte was. */
function perByte(value: bigint, change: (byte: bigint) => bigint): bigint {
  let result = 0n;
  for (let shift = 0n; shift < 64n; shift += 8n) {
    result |= change((value >> shift) & 0xffn) << shift;
  }
  return result;
}

function reverseBytes(value: bigint): bigint {
  let result = 0n;
  for (let shift = 0n; shift < 64n; shift += 8n) {
    result |= ((value >> shift) & 0xffn) << (56n - shift);
  }
  return result;
}

/** Register-register instructions of RV64I, M, Zba, Zbb and Zbs by assembler method name. */
export const BINARY: Record<string, Binary> = {
  add: (a, b) => u64(a + b),
  sub: (a, b) => u64(a - b),
  sll: (a, b) => u64(a << (b & 63n)),
  slt: (a, b) => bool(s64(a) < s64(b)),
  sltu: (a, b) => bool(a < b),
  xor: (a, b) => a ^ b,
  srl: (a, b) => a >> (b & 63n),
  sra: (a, b) => u64(s64(a) >> (b & 63n)),
  or: (a, b) => a | b,
  and: (a, b) => a & b,
  addw: (a, b) => word(a + b),
  subw: (a, b) => word(a - b),
  sllw: (a, b) => word(a << (b & 31n)),
  srlw: (a, b) => word(u32(a) >> (b & 31n)),
  sraw: (a, b) => word(s32(a) >> (b & 31n)),
  mul: (a, b) => u64(a * b),
  mulh: (a, b) => u64((s64(a) * s64(b)) >> 64n),
  mulhsu: (a, b) => u64((s64(a) * b) >> 64n),
  mulhu: (a, b) => (a * b) >> 64n,
  div: (a, b) => u64(divide(s64(a), s64(b))),
  divu: (a, b) => u64(divide(a, b)),
  rem: (a, b) => u64(remainder(s64(a), s64(b))),
  remu: (a, b) => u64(remainder(a, b)),
  mulw: (a, b) => word(a * b),
  divw: (a, b) => word(divide(s32(a), s32(b))),
  divuw: (a, b) => word(divide(u32(a), u32(b))),
  remw: (a, b) => word(remainder(s32(a), s32(b))),
  remuw: (a, b) => word(remainder(u32(a), u32(b))),
  addUw: (a, b) => u64(u32(a) + b),
  sh1add: (a, b) => u64((a << 1n) + b),
  sh2add: (a, b) => u64((a << 2n) + b),
  sh3add: (a, b) => u64((a << 3n) + b),
  sh1addUw: (a, b) => u64((u32(a) << 1n) + b),
  sh2addUw: (a, b) => u64((u32(a) << 2n) + b),
  sh3addUw: (a, b) => u64((u32(a) << 3n) + b),
  andn: (a, b) => a & u64(~b),
  orn: (a, b) => a | u64(~b),
  xnor: (a, b) => u64(~(a ^ b)),
  max: (a, b) => choose(a, b, s64(a) > s64(b)),
  maxu: (a, b) => choose(a, b, a > b),
  min: (a, b) => choose(a, b, s64(a) < s64(b)),
  minu: (a, b) => choose(a, b, a < b),
  rol: (a, b) => rotateLeft(a, b & 63n, 64n),
  ror: (a, b) => rotateRight(a, b & 63n, 64n),
  rolw: (a, b) => word(rotateLeft(a, b & 31n, 32n)),
  rorw: (a, b) => word(rotateRight(a, b & 31n, 32n)),
  bclr: (a, b) => a & ~(1n << (b & 63n)),
  bext: (a, b) => (a >> (b & 63n)) & 1n,
  binv: (a, b) => a ^ (1n << (b & 63n)),
  bset: (a, b) => a | (1n << (b & 63n)),
};

/** One-source instructions of Zbb. */
export const UNARY: Record<string, Unary> = {
  clz: (a) => leadingZeros(a, 64),
  clzw: (a) => leadingZeros(u32(a), 32),
  ctz: (a) => trailingZeros(a, 64),
  ctzw: (a) => trailingZeros(u32(a), 32),
  cpop: (a) => population(a),
  cpopw: (a) => population(u32(a)),
  sextB: (a) => u64(BigInt.asIntN(8, a)),
  sextH: (a) => u64(BigInt.asIntN(16, a)),
  zextH: (a) => a & 0xffffn,
  orcB: (a) => perByte(a, (byte) => (byte === 0n ? 0n : 0xffn)),
  rev8: (a) => reverseBytes(a),
};

/** Instructions with a sign-extended 12-bit immediate, as the register form they stand for. */
export const IMMEDIATE: Record<string, Binary> = {
  addi: BINARY.add,
  slti: BINARY.slt,
  sltiu: BINARY.sltu,
  xori: BINARY.xor,
  ori: BINARY.or,
  andi: BINARY.and,
  addiw: BINARY.addw,
};

/** Shifts and single-bit operations by a constant below 64. */
export const SHIFT_IMMEDIATE: Record<string, Binary> = {
  slli: BINARY.sll,
  srli: BINARY.srl,
  srai: BINARY.sra,
  slliUw: (a, b) => u64(u32(a) << b),
  rori: BINARY.ror,
  bclri: BINARY.bclr,
  bexti: BINARY.bext,
  binvi: BINARY.binv,
  bseti: BINARY.bset,
};

/** Shifts of a word by a constant below 32. */
export const SHIFT_WORD_IMMEDIATE: Record<string, Binary> = {
  slliw: BINARY.sllw,
  srliw: BINARY.srlw,
  sraiw: BINARY.sraw,
  roriw: BINARY.rorw,
};

/** Branch conditions. */
export const BRANCH: Record<string, (a: bigint, b: bigint) => boolean> = {
  beq: (a, b) => a === b,
  bne: (a, b) => a !== b,
  blt: (a, b) => s64(a) < s64(b),
  bge: (a, b) => s64(a) >= s64(b),
  bltu: (a, b) => a < b,
  bgeu: (a, b) => a >= b,
};

/**
 * What an AMO stores, from what was in memory and the source register (both sign-extended words).
 */
export const AMO: Record<string, Binary> = {
  amoswap: (_, b) => b,
  amoadd: BINARY.add,
  amoxor: BINARY.xor,
  amoand: BINARY.and,
  amoor: BINARY.or,
  amomin: BINARY.min,
  amomax: BINARY.max,
  amominu: BINARY.minu,
  amomaxu: BINARY.maxu,
};

/** Loads: bytes, and whether the value is sign-extended. */
export const LOAD: Record<string, { bytes: number; isSigned: boolean }> = {
  lb: { bytes: 1, isSigned: true },
  lh: { bytes: 2, isSigned: true },
  lw: { bytes: 4, isSigned: true },
  ld: { bytes: 8, isSigned: true },
  lbu: { bytes: 1, isSigned: false },
  lhu: { bytes: 2, isSigned: false },
  lwu: { bytes: 4, isSigned: false },
};

/** Stores: bytes. */
export const STORE: Record<string, number> = { sb: 1, sh: 2, sw: 4, sd: 8 };

/** Little-endian value of `bytes` bytes at `at`, extended to a register. */
export function loadValue(
  memory: Uint8Array,
  at: number,
  bytes: number,
  isSigned: boolean,
): bigint {
  let value = 0n;
  for (let index = bytes - 1; index >= 0; index--)
    value = (value << 8n) | BigInt(memory[at + index]);
  return isSigned ? u64(BigInt.asIntN(bytes * 8, value)) : value;
}

/** Stores the low `bytes` bytes of a register at `at`, little-endian. */
export function storeValue(memory: Uint8Array, at: number, bytes: number, value: bigint): void {
  for (let index = 0; index < bytes; index++) {
    memory[at + index] = Number((value >> BigInt(index * 8)) & 0xffn);
  }
}
