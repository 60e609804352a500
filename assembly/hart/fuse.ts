/**
 * fuse: which neighbours share one turn of the run loop. Chosen from the dynamic pair counts of the
 * bench programs.
 *
 * Owns    the table at FUSE_TABLE: first operation << 8 | second operation -> operation of the
 *         pair, or 0.
 * Used by hart/decode.ts.
 * Holds   a pair changes the first entry's operation only; the second entry stays complete, so that
 *         a jump to it, a budget that ends between the two and a slow second half need nothing
 *         special.
 */
import { FUSE_TABLE } from "../memory/arena";
import * as op from "./ops";

function pair(first: u32, second: u32, both: u32): void {
  store<u8>(FUSE_TABLE + <usize>((first << 8) | second), <u8>both);
}

/** Writes the table. Called once, on zeroed memory. */
export function fuseInit(): void {
  pair(op.OP_SD, op.OP_SD, op.OP_SD__SD);
  pair(op.OP_LD, op.OP_LD, op.OP_LD__LD);
  pair(op.OP_MV, op.OP_MV, op.OP_MV__MV);
  pair(op.OP_SLLI, op.OP_SRLI, op.OP_SLLI__SRLI);
  pair(op.OP_SLLI, op.OP_ADD, op.OP_SLLI__ADD);
  pair(op.OP_SRLI, op.OP_ADD, op.OP_SRLI__ADD);
  pair(op.OP_ADD, op.OP_LD, op.OP_ADD__LD);
  pair(op.OP_LD, op.OP_ADD, op.OP_LD__ADD);
  pair(op.OP_ADDI, op.OP_ADDI, op.OP_ADDI__ADDI);
  pair(op.OP_ADDI, op.OP_BNE, op.OP_ADDI__BNE);
  pair(op.OP_ADDIW, op.OP_ADDIW, op.OP_ADDIW__ADDIW);
  pair(op.OP_LD, op.OP_ADDI, op.OP_LD__ADDI);
  pair(op.OP_LD, op.OP_MV, op.OP_LD__MV);
  pair(op.OP_MV, op.OP_LD, op.OP_MV__LD);
  pair(op.OP_ADDI, op.OP_SD, op.OP_ADDI__SD);
  pair(op.OP_ADDI, op.OP_ADD, op.OP_ADDI__ADD);
  pair(op.OP_ADDI, op.OP_JR, op.OP_ADDI__JR);
  pair(op.OP_LI, op.OP_BEQ, op.OP_LI__BEQ);
  pair(op.OP_LI, op.OP_BNE, op.OP_LI__BNE);
  pair(op.OP_ADD, op.OP_LW, op.OP_ADD__LW);
  pair(op.OP_ADD, op.OP_LBU, op.OP_ADD__LBU);
  pair(op.OP_ADD, op.OP_SB, op.OP_ADD__SB);
  pair(op.OP_SRLIW, op.OP_SRLIW, op.OP_SRLIW__SRLIW);
  pair(op.OP_SLLIW, op.OP_SRLIW, op.OP_SLLIW__SRLIW);
  pair(op.OP_SRLIW, op.OP_OR, op.OP_SRLIW__OR);
  pair(op.OP_OR, op.OP_OR, op.OP_OR__OR);
  pair(op.OP_XOR, op.OP_XOR, op.OP_XOR__XOR);
  pair(op.OP_XOR, op.OP_AND, op.OP_XOR__AND);
  pair(op.OP_AND, op.OP_XOR, op.OP_AND__XOR);
  pair(op.OP_LBU, op.OP_BNE, op.OP_LBU__BNE);
  pair(op.OP_LBU, op.OP_BNEZ, op.OP_LBU__BNEZ);
  pair(op.OP_LBU, op.OP_BEQZ, op.OP_LBU__BEQZ);
  pair(op.OP_LD, op.OP_BNEZ, op.OP_LD__BNEZ);
  pair(op.OP_LD, op.OP_BEQZ, op.OP_LD__BEQZ);
  pair(op.OP_LW, op.OP_BEQZ, op.OP_LW__BEQZ);
  pair(op.OP_LW, op.OP_BNEZ, op.OP_LW__BNEZ);
  pair(op.OP_AUIPC, op.OP_ADDI, op.OP_AUIPC__ADDI);
  pair(op.OP_AUIPC, op.OP_LD, op.OP_AUIPC__LD);
  pair(op.OP_ADDI, op.OP_LD, op.OP_ADDI__LD);
  pair(op.OP_MV, op.OP_JAL, op.OP_MV__JAL);
  pair(op.OP_SLLI, op.OP_SLLI, op.OP_SLLI__SLLI);
  pair(op.OP_ADDIW, op.OP_BNE, op.OP_ADDIW__BNE);
  pair(op.OP_ADDW, op.OP_BLTU, op.OP_ADDW__BLTU);
  pair(op.OP_ADD, op.OP_BLTU_FAR, op.OP_ADD__BLTU_FAR);
  pair(op.OP_LBU, op.OP_LBU, op.OP_LBU__LBU);
  pair(op.OP_SD, op.OP_ADDI, op.OP_SD__ADDI);
  pair(op.OP_SD, op.OP_MV, op.OP_SD__MV);
  pair(op.OP_ANDI, op.OP_BNEZ, op.OP_ANDI__BNEZ);
  pair(op.OP_ANDI, op.OP_BEQZ, op.OP_ANDI__BEQZ);
  pair(op.OP_ADDI, op.OP_J, op.OP_ADDI__J);
  pair(op.OP_MV, op.OP_MUL, op.OP_MV__MUL);
  pair(op.OP_ADDI, op.OP_MUL, op.OP_ADDI__MUL);
  pair(op.OP_MUL, op.OP_ADD, op.OP_MUL__ADD);
  pair(op.OP_ADD, op.OP_BNE, op.OP_ADD__BNE);
  pair(op.OP_SRLI, op.OP_XOR, op.OP_SRLI__XOR);
  pair(op.OP_SLLI, op.OP_XOR, op.OP_SLLI__XOR);
  pair(op.OP_ADD, op.OP_ADD, op.OP_ADD__ADD);
  pair(op.OP_ADDIW, op.OP_LD, op.OP_ADDIW__LD);
  pair(op.OP_LW, op.OP_ADD, op.OP_LW__ADD);
  pair(op.OP_LW, op.OP_XOR, op.OP_LW__XOR);
  pair(op.OP_LI, op.OP_LI, op.OP_LI__LI);
  pair(op.OP_MV, op.OP_ADDI, op.OP_MV__ADDI);
  pair(op.OP_ADDI, op.OP_MV, op.OP_ADDI__MV);
  pair(op.OP_LD, op.OP_SD, op.OP_LD__SD);
  pair(op.OP_LD, op.OP_ANDI, op.OP_LD__ANDI);
  pair(op.OP_ANDI, op.OP_SLLI, op.OP_ANDI__SLLI);
  pair(op.OP_SLLI, op.OP_OR, op.OP_SLLI__OR);
  pair(op.OP_SRLIW, op.OP_SLLI, op.OP_SRLIW__SLLI);
  pair(op.OP_ADDW, op.OP_SRLIW, op.OP_ADDW__SRLIW);
  pair(op.OP_ADDIW, op.OP_AND, op.OP_ADDIW__AND);
  pair(op.OP_ADDW, op.OP_ADDW, op.OP_ADDW__ADDW);
  pair(op.OP_ADDIW, op.OP_ADDW, op.OP_ADDIW__ADDW);
  pair(op.OP_ADDW, op.OP_ADDIW, op.OP_ADDW__ADDIW);
  pair(op.OP_LW, op.OP_LW, op.OP_LW__LW);
  pair(op.OP_SW, op.OP_SW, op.OP_SW__SW);
  pair(op.OP_XOR, op.OP_ADDIW, op.OP_XOR__ADDIW);
  pair(op.OP_XOR, op.OP_ANDI, op.OP_XOR__ANDI);
  pair(op.OP_SB, op.OP_ADDI, op.OP_SB__ADDI);
  pair(op.OP_ADDIW, op.OP_ANDI, op.OP_ADDIW__ANDI);
}
