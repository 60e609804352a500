/**
 * decode: the decode cache. A code frame has one chunk: a halfword-to-slot map and densely packed
 * 8-byte entries.
 *
 * Owns    the chunks; a frame's chunk is named in its frame entry, so machines that share a frame
 *         share its code.
 * Used by hart/run.ts (executes entries), hart/fetch.ts (asks for runs), memory/frames.ts (drops
 *         chunks).
 * Holds   a halfword's map word is 0 or the slot of its entry; entries follow each other in program
 *         order until a PAGE_END or GOTO entry, which stand for no instruction; a chunk's frame
 *         never has a write tag.
 *
 *   chunk   header 64 │ map u16[2048] │ origin u16[CHUNK_SLOTS] │ entries 8 x CHUNK_SLOTS
 *   entry   op u8 │ rd*8 u8 │ rs1*8 u8 │ rs2*8 u8 │ imm i32
 *
 * Field use that is not plain: branches and jumps hold the byte distance to the target's entry
 * minus 8 (local) or the target's distance from the page's first byte (FAR); JAL keeps its return
 * offset in the page in rs1 and rs2; JALR and JR pack imm << 16 | return offset.
 */
import {
  OP_ADD,
  OP_ADDI,
  OP_ADDIW,
  OP_ADDW,
  OP_ADD_UW,
  OP_AND,
  OP_ANDI,
  OP_ANDN,
  OP_AUIPC,
  OP_BCLR,
  OP_BCLRI,
  OP_BEQ,
  OP_BEQZ,
  OP_BEQ_FAR,
  OP_BEXT,
  OP_BEXTI,
  OP_BGEU_FAR,
  OP_BINV,
  OP_BINVI,
  OP_BNE,
  OP_BNEZ,
  OP_BSET,
  OP_BSETI,
  OP_CLZ,
  OP_CLZW,
  OP_CPOP,
  OP_CPOPW,
  OP_CTZ,
  OP_CTZW,
  OP_DIV,
  OP_DIVUW,
  OP_DIVW,
  OP_FADD_D,
  OP_FADD_S,
  OP_FCVT_D_L,
  OP_FCVT_D_S,
  OP_FCVT_D_W,
  OP_FCVT_D_WU,
  OP_FCVT_L_D,
  OP_FCVT_S_D,
  OP_FCVT_S_L,
  OP_FCVT_S_W,
  OP_FCVT_W_D,
  OP_FDIV_D,
  OP_FDIV_S,
  OP_FEQ_D,
  OP_FEQ_S,
  OP_FLD,
  OP_FLE_D,
  OP_FLE_S,
  OP_FLT_D,
  OP_FLT_S,
  OP_FLW,
  OP_FMADD_D,
  OP_FMADD_S,
  OP_FMUL_D,
  OP_FMUL_S,
  OP_FMV_D_X,
  OP_FMV_W_X,
  OP_FMV_X_D,
  OP_FMV_X_W,
  OP_FSD,
  OP_FSGNJN_D,
  OP_FSGNJN_S,
  OP_FSGNJX_D,
  OP_FSGNJX_S,
  OP_FSGNJ_D,
  OP_FSGNJ_S,
  OP_FSQRT_D,
  OP_FSQRT_S,
  OP_FSUB_D,
  OP_FSUB_S,
  OP_FSW,
  OP_GOTO,
  OP_J,
  OP_JAL,
  OP_JALR,
  OP_JAL_FAR,
  OP_JR,
  OP_J_FAR,
  OP_LB,
  OP_LBU,
  OP_LI,
  OP_MAX,
  OP_MAXU,
  OP_MIN,
  OP_MINU,
  OP_MUL,
  OP_MULW,
  OP_MV,
  OP_NOP,
  OP_OR,
  OP_ORC_B,
  OP_ORI,
  OP_ORN,
  OP_PAGE_END,
  OP_REMUW,
  OP_REMW,
  OP_REV8,
  OP_ROL,
  OP_ROLW,
  OP_ROR,
  OP_RORI,
  OP_RORIW,
  OP_RORW,
  OP_SB,
  OP_SEXT_B,
  OP_SEXT_H,
  OP_SH1ADD,
  OP_SH1ADD_UW,
  OP_SH2ADD,
  OP_SH2ADD_UW,
  OP_SH3ADD,
  OP_SH3ADD_UW,
  OP_SLL,
  OP_SLLI,
  OP_SLLIW,
  OP_SLLI_UW,
  OP_SLLW,
  OP_SLOW,
  OP_SLT,
  OP_SLTI,
  OP_SLTIU,
  OP_SLTU,
  OP_SRA,
  OP_SRAI,
  OP_SRAIW,
  OP_SRAW,
  OP_SRL,
  OP_SRLI,
  OP_SRLIW,
  OP_SRLW,
  OP_STRADDLE,
  OP_STRADDLE_END,
  OP_SUB,
  OP_SUBW,
  OP_XNOR,
  OP_XOR,
  OP_XORI,
  OP_ZEXT_H,
} from "./ops";
import {
  CHUNK_ENTRIES,
  CHUNK_FILL,
  CHUNK_MAP,
  CHUNK_ORIGIN,
  CHUNK_RAW,
  CHUNK_SLOTS,
} from "./chunk";
import { compressedExpand } from "../isa/compressed";
import { FUSE_TABLE, workAdd } from "../memory/arena";
import { breakMayStand } from "./break";

/** Work (ARENA_WORK) of decoding one instruction, and of making a chunk ready. */
const DECODE_WORK: u32 = 8;
const CHUNK_WORK: u32 = 256;

/**
 * Empties a chunk: nothing is decoded. Slot 0 is never used, so that a map word of 0 says "none".
 */
export function chunkClear(chunk: usize): void {
  memory.fill(chunk + CHUNK_MAP, 0, 4096);
  store<u32>(chunk, 1, CHUNK_FILL);
}

// @ts-ignore: decorator
@inline
function put(at: usize, op: u32, rd: u32, rs1: u32, rs2: u32, imm: i32): void {
  store<u32>(at, op | (rd << 11) | (rs1 << 19) | (rs2 << 27));
  store<i32>(at, imm, 4);
}

// @ts-ignore: decorator
@inline
function immI(raw: u32): i32 {
  return <i32>raw >> 20;
}

function decodeOpImm(at: usize, raw: u32, rd: u32, rs1: u32): void {
  const funct3 = (raw >> 12) & 7;
  const imm = immI(raw);
  const shift = imm & 63;
  const top = raw >> 26;
  if (rd == 0) {
    // hints; every encoding below is legal or a hint, shifts with bad upper bits are not
    if ((funct3 == 1 && top != 0) || (funct3 == 5 && top != 0 && top != 0x10)) {
      if (!decodeBitImm(at, raw, 0, rs1)) put(at, OP_SLOW, 0, 0, 0, 0);
      else put(at, OP_NOP, 0, 0, 0, 0);
    } else put(at, OP_NOP, 0, 0, 0, 0);
    return;
  }
  switch (funct3) {
    case 0:
      if (rs1 == 0) put(at, OP_LI, rd, 0, 0, imm);
      else if (imm == 0) put(at, OP_MV, rd, rs1, 0, 0);
      else put(at, OP_ADDI, rd, rs1, 0, imm);
      return;
    case 2:
      put(at, OP_SLTI, rd, rs1, 0, imm);
      return;
    case 3:
      put(at, OP_SLTIU, rd, rs1, 0, imm);
      return;
    case 4:
      put(at, OP_XORI, rd, rs1, 0, imm);
      return;
    case 6:
      put(at, OP_ORI, rd, rs1, 0, imm);
      return;
    case 7:
      put(at, OP_ANDI, rd, rs1, 0, imm);
      return;
    case 1:
      if (top == 0) put(at, OP_SLLI, rd, rs1, 0, shift);
      else if (!decodeBitImm(at, raw, rd, rs1)) put(at, OP_SLOW, 0, 0, 0, 0);
      return;
    default:
      if (top == 0) put(at, OP_SRLI, rd, rs1, 0, shift);
      else if (top == 0x10) put(at, OP_SRAI, rd, rs1, 0, shift);
      else if (!decodeBitImm(at, raw, rd, rs1)) put(at, OP_SLOW, 0, 0, 0, 0);
  }
}

/** Zbb and Zbs with an immediate or one operand. False when the encoding is none of them. */
function decodeBitImm(at: usize, raw: u32, rd: u32, rs1: u32): bool {
  const top12 = raw >> 20;
  const top = raw >> 26;
  const shift = top12 & 63;
  let op: u32 = OP_SLOW;
  if (((raw >> 12) & 7) == 1) {
    if (top12 == 0x600) op = OP_CLZ;
    else if (top12 == 0x601) op = OP_CTZ;
    else if (top12 == 0x602) op = OP_CPOP;
    else if (top12 == 0x604) op = OP_SEXT_B;
    else if (top12 == 0x605) op = OP_SEXT_H;
    else if (top == 0x12) op = OP_BCLRI;
    else if (top == 0x1a) op = OP_BINVI;
    else if (top == 0x0a) op = OP_BSETI;
  } else {
    if (top12 == 0x287) op = OP_ORC_B;
    else if (top12 == 0x6b8) op = OP_REV8;
    else if (top == 0x12) op = OP_BEXTI;
    else if (top == 0x18) op = OP_RORI;
  }
  if (op == OP_SLOW) return false;
  put(at, op, rd, rs1, 0, shift);
  return true;
}

function decodeOpImm32(at: usize, raw: u32, rd: u32, rs1: u32): void {
  const funct3 = (raw >> 12) & 7;
  const funct7 = raw >> 25;
  const shift = (raw >> 20) & 31;
  let op: u32 = OP_SLOW;
  let imm = <i32>shift;
  if (funct3 == 0) {
    op = OP_ADDIW;
    imm = immI(raw);
  } else if (funct3 == 1) {
    if (funct7 == 0) op = OP_SLLIW;
    else if (raw >> 26 == 2) {
      op = OP_SLLI_UW;
      imm = (raw >> 20) & 63;
    } else if (funct7 == 0x30 && shift == 0) op = OP_CLZW;
    else if (funct7 == 0x30 && shift == 1) op = OP_CTZW;
    else if (funct7 == 0x30 && shift == 2) op = OP_CPOPW;
  } else if (funct3 == 5) {
    if (funct7 == 0) op = OP_SRLIW;
    else if (funct7 == 0x20) op = OP_SRAIW;
    else if (funct7 == 0x30) op = OP_RORIW;
  }
  if (rd == 0 && op != OP_SLOW) op = OP_NOP;
  put(at, op, rd, rs1, 0, imm);
}

function opRegister(funct7: u32, funct3: u32, rs2: u32): u32 {
  switch (funct7) {
    case 0:
      switch (funct3) {
        case 0:
          return OP_ADD;
        case 1:
          return OP_SLL;
        case 2:
          return OP_SLT;
        case 3:
          return OP_SLTU;
        case 4:
          return OP_XOR;
        case 5:
          return OP_SRL;
        case 6:
          return OP_OR;
        default:
          return OP_AND;
      }
    case 1:
      return OP_MUL + funct3;
    case 0x20:
      switch (funct3) {
        case 0:
          return OP_SUB;
        case 4:
          return OP_XNOR;
        case 5:
          return OP_SRA;
        case 6:
          return OP_ORN;
        case 7:
          return OP_ANDN;
        default:
          return OP_SLOW;
      }
    case 0x10:
      return funct3 == 2 ? OP_SH1ADD : funct3 == 4 ? OP_SH2ADD : funct3 == 6 ? OP_SH3ADD : OP_SLOW;
    case 5:
      switch (funct3) {
        case 4:
          return OP_MIN;
        case 5:
          return OP_MINU;
        case 6:
          return OP_MAX;
        case 7:
          return OP_MAXU;
        default:
          return OP_SLOW;
      }
    case 0x30:
      return funct3 == 1 ? OP_ROL : funct3 == 5 ? OP_ROR : OP_SLOW;
    case 0x24:
      return funct3 == 1 ? OP_BCLR : funct3 == 5 ? OP_BEXT : OP_SLOW;
    case 0x34:
      return funct3 == 1 ? OP_BINV : OP_SLOW;
    case 0x14:
      return funct3 == 1 ? OP_BSET : OP_SLOW;
    default:
      return OP_SLOW;
  }
}

function opRegister32(funct7: u32, funct3: u32, rs2: u32): u32 {
  switch (funct7) {
    case 0:
      return funct3 == 0 ? OP_ADDW : funct3 == 1 ? OP_SLLW : funct3 == 5 ? OP_SRLW : OP_SLOW;
    case 1:
      switch (funct3) {
        case 0:
          return OP_MULW;
        case 4:
          return OP_DIVW;
        case 5:
          return OP_DIVUW;
        case 6:
          return OP_REMW;
        case 7:
          return OP_REMUW;
        default:
          return OP_SLOW;
      }
    case 0x20:
      return funct3 == 0 ? OP_SUBW : funct3 == 5 ? OP_SRAW : OP_SLOW;
    case 4:
      return funct3 == 0 ? OP_ADD_UW : funct3 == 4 && rs2 == 0 ? OP_ZEXT_H : OP_SLOW;
    case 0x10:
      return funct3 == 2
        ? OP_SH1ADD_UW
        : funct3 == 4
          ? OP_SH2ADD_UW
          : funct3 == 6
            ? OP_SH3ADD_UW
            : OP_SLOW;
    case 0x30:
      return funct3 == 1 ? OP_ROLW : funct3 == 5 ? OP_RORW : OP_SLOW;
    default:
      return OP_SLOW;
  }
}

/**
 * Hot operation of an OP-FP instruction, or SLOW. Only rm = RNE and rm = dynamic have one where
 * rounding matters.
 */
function opFloat(raw: u32): u32 {
  const rm = (raw >> 12) & 7;
  const rs2 = (raw >> 20) & 31;
  const isPlain = rm == 0 || rm == 7;
  switch (raw >> 25) {
    case 0x01:
      return isPlain ? OP_FADD_D : OP_SLOW;
    case 0x05:
      return isPlain ? OP_FSUB_D : OP_SLOW;
    case 0x09:
      return isPlain ? OP_FMUL_D : OP_SLOW;
    case 0x0d:
      return isPlain ? OP_FDIV_D : OP_SLOW;
    case 0x2d:
      return isPlain && rs2 == 0 ? OP_FSQRT_D : OP_SLOW;
    case 0x00:
      return isPlain ? OP_FADD_S : OP_SLOW;
    case 0x04:
      return isPlain ? OP_FSUB_S : OP_SLOW;
    case 0x08:
      return isPlain ? OP_FMUL_S : OP_SLOW;
    case 0x0c:
      return isPlain ? OP_FDIV_S : OP_SLOW;
    case 0x2c:
      return isPlain && rs2 == 0 ? OP_FSQRT_S : OP_SLOW;
    case 0x11:
      return rm == 0 ? OP_FSGNJ_D : rm == 1 ? OP_FSGNJN_D : rm == 2 ? OP_FSGNJX_D : OP_SLOW;
    case 0x10:
      return rm == 0 ? OP_FSGNJ_S : rm == 1 ? OP_FSGNJN_S : rm == 2 ? OP_FSGNJX_S : OP_SLOW;
    case 0x51:
      return rm == 2 ? OP_FEQ_D : rm == 1 ? OP_FLT_D : rm == 0 ? OP_FLE_D : OP_SLOW;
    case 0x50:
      return rm == 2 ? OP_FEQ_S : rm == 1 ? OP_FLT_S : rm == 0 ? OP_FLE_S : OP_SLOW;
    case 0x71:
      return rm == 0 && rs2 == 0 ? OP_FMV_X_D : OP_SLOW;
    case 0x79:
      return rm == 0 && rs2 == 0 ? OP_FMV_D_X : OP_SLOW;
    case 0x70:
      return rm == 0 && rs2 == 0 ? OP_FMV_X_W : OP_SLOW;
    case 0x78:
      return rm == 0 && rs2 == 0 ? OP_FMV_W_X : OP_SLOW;
    // fcvt.d.w and fcvt.d.wu are exact, so any legal rm will do; 5 and 6 are reserved, 7 depends on
    // frm
    case 0x69:
      if (rs2 == 0) return rm == 0 ? OP_FCVT_D_W : isPlain ? OP_FCVT_D_W : OP_SLOW;
      if (rs2 == 1) return isPlain ? OP_FCVT_D_WU : OP_SLOW;
      return rs2 == 2 && isPlain ? OP_FCVT_D_L : OP_SLOW;
    case 0x68:
      return !isPlain ? OP_SLOW : rs2 == 0 ? OP_FCVT_S_W : rs2 == 2 ? OP_FCVT_S_L : OP_SLOW;
    case 0x21:
      return rs2 == 0 && isPlain ? OP_FCVT_D_S : OP_SLOW;
    case 0x20:
      return rs2 == 1 && isPlain ? OP_FCVT_S_D : OP_SLOW;
    case 0x61:
      return rm != 1 ? OP_SLOW : rs2 == 0 ? OP_FCVT_W_D : rs2 == 2 ? OP_FCVT_L_D : OP_SLOW;
    default:
      return OP_SLOW;
  }
}

/** Fused multiply-add of RNE or dynamic rounding; rs3 travels in the immediate. */
function decodeFma(at: usize, raw: u32, rd: u32, rs1: u32, rs2: u32): void {
  const rm = (raw >> 12) & 7;
  const form = (raw >> 25) & 3;
  if ((rm != 0 && rm != 7) || form > 1) {
    put(at, OP_SLOW, 0, 0, 0, 0);
    return;
  }
  const kind = (raw >> 2) & 3; // madd, msub, nmsub, nmadd
  put(at, (form == 1 ? OP_FMADD_D : OP_FMADD_S) + kind, rd, rs1, rs2, (raw >> 27) << 3);
}

function decodeBranch(at: usize, raw: u32, rs1: u32, rs2: u32, offset: u32): void {
  const funct3 = (raw >> 12) & 7;
  if (funct3 == 2 || funct3 == 3) {
    put(at, OP_SLOW, 0, 0, 0, 0);
    return;
  }
  const imm =
    (<i32>(raw & 0x80000000) >> 19) |
    <i32>((raw & 0x80) << 4) |
    <i32>((raw >> 20) & 0x7e0) |
    <i32>((raw >> 7) & 0x1e);
  const op = funct3 < 2 ? OP_BEQ_FAR + funct3 : OP_BEQ_FAR + funct3 - 2;
  put(at, op, 0, rs1, rs2, <i32>offset + imm);
}

function decodeJal(at: usize, raw: u32, rd: u32, offset: u32, bytes: u32): void {
  const imm =
    (<i32>(raw & 0x80000000) >> 11) |
    <i32>(raw & 0xff000) |
    <i32>((raw >> 9) & 0x800) |
    <i32>((raw >> 20) & 0x7fe);
  put(at, rd == 0 ? OP_J_FAR : OP_JAL_FAR, rd, 0, 0, <i32>offset + imm);
  store<u16>(at, <u16>(offset + bytes), 2);
}

/**
 * Writes the entry of one 32-bit (or expanded) instruction that stands `offset` bytes into its page
 * and is `bytes` long. What has no hot case becomes SLOW.
 */
export function decodeOne(at: usize, raw: u32, offset: u32, bytes: u32): void {
  const rd = (raw >> 7) & 31;
  const rs1 = (raw >> 15) & 31;
  const rs2 = (raw >> 20) & 31;
  const funct3 = (raw >> 12) & 7;
  let op: u32 = OP_SLOW;
  switch (raw & 0x7f) {
    case 0x13:
      decodeOpImm(at, raw, rd, rs1);
      return;
    case 0x1b:
      decodeOpImm32(at, raw, rd, rs1);
      return;
    case 0x33:
      op = opRegister(raw >> 25, funct3, rs2);
      if (rd == 0 && op != OP_SLOW) op = OP_NOP;
      else if (op == OP_ADD && rs1 == 0) {
        put(at, OP_MV, rd, rs2, 0, 0);
        return;
      }
      put(at, op, rd, rs1, rs2, 0);
      return;
    case 0x3b:
      op = opRegister32(raw >> 25, funct3, rs2);
      if (rd == 0 && op != OP_SLOW) op = OP_NOP;
      put(at, op, rd, rs1, rs2, 0);
      return;
    case 0x37:
      put(at, rd == 0 ? OP_NOP : OP_LI, rd, 0, 0, <i32>(raw & 0xfffff000));
      return;
    case 0x17:
      // the sum with the offset may leave i32: the top of the range goes the slow way
      if (<i32>(raw & 0xfffff000) > 0x7fffe000) put(at, OP_SLOW, 0, 0, 0, 0);
      else put(at, rd == 0 ? OP_NOP : OP_AUIPC, rd, 0, 0, <i32>(raw & 0xfffff000) + <i32>offset);
      return;
    case 0x03: // a load to x0 still accesses memory: the slow path does
      put(at, funct3 == 7 || rd == 0 ? OP_SLOW : OP_LB + funct3, rd, rs1, 0, immI(raw));
      return;
    case 0x23:
      put(
        at,
        funct3 > 3 ? OP_SLOW : OP_SB + funct3,
        0,
        rs1,
        rs2,
        (<i32>(raw & 0xfe000000) >> 20) | <i32>rd,
      );
      return;
    case 0x07:
      put(at, funct3 == 2 ? OP_FLW : funct3 == 3 ? OP_FLD : OP_SLOW, rd, rs1, 0, immI(raw));
      return;
    case 0x27:
      op = funct3 == 2 ? OP_FSW : funct3 == 3 ? OP_FSD : OP_SLOW;
      put(at, op, 0, rs1, rs2, (<i32>(raw & 0xfe000000) >> 20) | <i32>rd);
      return;
    case 0x63:
      decodeBranch(at, raw, rs1, rs2, offset);
      return;
    case 0x6f:
      decodeJal(at, raw, rd, offset, bytes);
      return;
    case 0x67:
      if (funct3 != 0) put(at, OP_SLOW, 0, 0, 0, 0);
      else
        put(at, rd == 0 ? OP_JR : OP_JALR, rd, rs1, 0, (immI(raw) << 16) | <i32>(offset + bytes));
      return;
    case 0x0f: // everything is coherent and in order: fences do nothing
      put(at, funct3 < 2 ? OP_NOP : OP_SLOW, 0, 0, 0, 0);
      return;
    case 0x53: {
      op = opFloat(raw);
      const isInteger =
        op == OP_FEQ_D ||
        op == OP_FLT_D ||
        op == OP_FLE_D ||
        op == OP_FEQ_S ||
        op == OP_FLT_S ||
        op == OP_FLE_S ||
        op == OP_FMV_X_D ||
        op == OP_FMV_X_W ||
        op == OP_FCVT_W_D ||
        op == OP_FCVT_L_D;
      put(at, isInteger && rd == 0 ? OP_SLOW : op, rd, rs1, rs2, 0);
      return;
    }
    case 0x43:
    case 0x47:
    case 0x4b:
    case 0x4f:
      decodeFma(at, raw, rd, rs1, rs2);
      return;
    default:
      put(at, OP_SLOW, 0, 0, 0, 0);
  }
}

/**
 * Turns FAR branches and jumps of slots [first, end) into local ones where the target has an entry.
 */
function linkRun(chunk: usize, first: u32, end: u32): void {
  for (let slot = first; slot < end; slot++) {
    const at = chunk + CHUNK_ENTRIES + ((<usize>slot) << 3);
    const op = <u32>load<u8>(at);
    const isBranch = op >= OP_BEQ_FAR && op <= OP_BGEU_FAR;
    if (!isBranch && op != OP_J_FAR && op != OP_JAL_FAR) continue;
    const target = load<u32>(at, 4);
    if (target >= 4096) continue;
    const to = <u32>load<u16>(chunk + <usize>target, CHUNK_MAP);
    if (to == 0) continue;
    store<i32>(at, (<i32>to - <i32>slot - 1) << 3, 4);
    if (isBranch) {
      const near = op - OP_BEQ_FAR + OP_BEQ;
      const isZero = load<u8>(at, 3) == 0;
      store<u8>(at, near == OP_BEQ && isZero ? OP_BEQZ : near == OP_BNE && isZero ? OP_BNEZ : near);
    } else store<u8>(at, op == OP_J_FAR ? OP_J : OP_JAL);
  }
}

/** Gives the first entry of each known pair in slots [first, end) the pair's operation. */
function fuseRun(chunk: usize, first: u32, end: u32): void {
  for (let slot = first; slot + 1 < end; slot++) {
    const at = chunk + CHUNK_ENTRIES + ((<usize>slot) << 3);
    // from the front, so the second one is still unpaired
    const both = load<u8>(FUSE_TABLE + <usize>(((<u32>load<u8>(at)) << 8) | load<u8>(at, 8)));
    if (both != 0) store<u8>(at, both);
  }
}

// @ts-ignore: decorator
@inline
function endsRun(op: u32): bool {
  return op == OP_J_FAR || op == OP_JR || op == OP_J;
}

/**
 * Decodes from byte `offset` of the page at `page` until an unconditional jump, the page's end or
 * something already decoded. The chunk is emptied first when it might not have room.
 */
export function decodeRun(chunk: usize, page: usize, offset: u32): void {
  let slot = load<u32>(chunk, CHUNK_FILL);
  if (slot + ((4096 - offset) >> 1) + 2 > CHUNK_SLOTS) {
    chunkClear(chunk);
    slot = 1;
  }
  const first = slot;
  for (;;) {
    const at = chunk + CHUNK_ENTRIES + ((<usize>slot) << 3);
    const origin = chunk + CHUNK_ORIGIN + ((<usize>slot) << 1);
    store<u16>(origin, <u16>(offset >> 1));
    slot++;
    if (offset >= 4096) {
      put(at, OP_PAGE_END, 0, 0, 0, 0);
      break;
    }
    const known = <u32>load<u16>(chunk + <usize>offset, CHUNK_MAP);
    if (known != 0) {
      put(at, OP_GOTO, 0, 0, 0, (<i32>known - <i32>(slot - 1)) << 3);
      break;
    }
    store<u16>(chunk + <usize>offset, <u16>(slot - 1), CHUNK_MAP);
    const half = <u32>load<u16>(page + <usize>offset);
    const isShort = (half & 3) != 3;
    if (breakMayStand(offset) && (isShort || offset != 4094)) {
      put(at, OP_STRADDLE, 0, 0, 0, 0); // executed alone, once its pc is known to be no breakpoint
      offset += isShort ? 2 : 4;
    } else if (isShort) {
      const raw = compressedExpand(half);
      if (raw == 0) put(at, OP_SLOW, 0, 0, 0, 0);
      else decodeOne(at, raw, offset, 2);
      offset += 2;
    } else if (offset == 4094) {
      put(at, OP_STRADDLE, 0, 0, 0, 0);
      break;
    } else {
      decodeOne(at, load<u32>(page + <usize>offset), offset, 4);
      offset += 4;
    }
    if (endsRun(load<u8>(at))) break;
  }
  store<u32>(chunk, slot, CHUNK_FILL);
  workAdd((slot - first) * DECODE_WORK + CHUNK_WORK);
  linkRun(chunk, first, slot);
  fuseRun(chunk, first, slot);
}

/**
 * Fills the scratch chunk with the one instruction `raw` (16 or 32 bits) that stands at byte
 * `offset` of its page.
 */
export function decodeSingle(chunk: usize, raw: u32, offset: u32): void {
  const at = chunk + CHUNK_ENTRIES + 8;
  const isShort = (raw & 3) != 3;
  const expanded = isShort ? compressedExpand(raw) : raw;
  store<u32>(chunk, raw, CHUNK_RAW);
  if (expanded == 0) put(at, OP_SLOW, 0, 0, 0, 0);
  else decodeOne(at, expanded, offset, isShort ? 2 : 4);
  store<u16>(chunk + CHUNK_ORIGIN, <u16>(offset >> 1), 2);
  store<u16>(chunk + CHUNK_ORIGIN, <u16>((offset >> 1) + (isShort ? 1 : 2)), 4);
  put(at + 8, OP_STRADDLE_END, 0, 0, 0, 0);
}
