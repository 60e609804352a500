/**
 * run: the interpreter's hot loop. One switch over the decode cache's entries; nothing in it calls
 * anything.
 *
 * Owns    the control flow between entries; HART_IP, HART_LIMIT, HART_CHUNK, HART_PAGE while it is
 *         not running.
 * Used by hart/slice.ts, which serves whatever makes the loop leave.
 * Holds   (limit - ip) / 8 is the number of instructions that may still be run; entries that stand
 *         for no instruction move both. A miss, a trap or anything rare leaves with the entry
 *         unexecuted.
 */
import {
  HART_CHUNK,
  HART_F,
  HART_FP_FAST,
  HART_FP_ON,
  HART_IP,
  HART_ITLB,
  HART_LIMIT,
  HART_PAGE,
  HART_PC,
  HART_TLB,
  RUN,
} from "../layout";
import { CHUNK_ENTRIES, CHUNK_MAP, CHUNK_ORIGIN } from "./chunk";
import { fmaFast32, fmaFast64, isFinite32, isFinite64, isSafe32, isSafe64 } from "../isa/fp-fast";
import { ITLB_MASK, TLB_ADDEND, TLB_MASK, TLB_WRITE } from "../mmu/tlb";
import * as op from "./ops";

/** The budget is used up. */
export const WHY_LIMIT: u32 = 0;
/** The entry at HART_IP must go the slow way. */
export const WHY_SLOW: u32 = 1;
/** HART_PC is to be fetched; the jump itself is done and counted. */
export const WHY_FETCH: u32 = 2;

// @ts-ignore: decorator
@inline
function x1(ip: usize): u64 {
  return load<u64>(<usize>load<u8>(ip, 2), RUN);
}

// @ts-ignore: decorator
@inline
function x2(ip: usize): u64 {
  return load<u64>(<usize>load<u8>(ip, 3), RUN);
}

// @ts-ignore: decorator
@inline
function imm(ip: usize): i32 {
  return load<i32>(ip, 4);
}

// @ts-ignore: decorator
@inline
function set(ip: usize, value: u64): void {
  store<u64>(<usize>load<u8>(ip, 1), value, RUN);
}

// @ts-ignore: decorator
@inline
function setWord(ip: usize, value: i32): void {
  store<i64>(<usize>load<u8>(ip, 1), <i64>value, RUN);
}

// @ts-ignore: decorator
@inline
function f1(ip: usize): f64 {
  return load<f64>(<usize>load<u8>(ip, 2), RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function f2(ip: usize): f64 {
  return load<f64>(<usize>load<u8>(ip, 3), RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function s1(ip: usize): f32 {
  return load<f32>(<usize>load<u8>(ip, 2), RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function s2(ip: usize): f32 {
  return load<f32>(<usize>load<u8>(ip, 3), RUN + HART_F);
}

/** Third float operand of a fused multiply-add: its register is in the immediate. */
// @ts-ignore: decorator
@inline
function f3(ip: usize): f64 {
  return load<f64>(load<u32>(ip, 4), RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function s3(ip: usize): f32 {
  return load<f32>(load<u32>(ip, 4), RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function boxed3(ip: usize): bool {
  return load<i32>(load<u32>(ip, 4), RUN + HART_F + 4) == -1;
}

/** Both float operands are NaN-boxed singles. */
// @ts-ignore: decorator
@inline
function boxed(ip: usize): bool {
  return (
    (load<i32>(<usize>load<u8>(ip, 2), RUN + HART_F + 4) &
      load<i32>(<usize>load<u8>(ip, 3), RUN + HART_F + 4)) ==
    -1
  );
}

// @ts-ignore: decorator
@inline
function boxed1(ip: usize): bool {
  return load<i32>(<usize>load<u8>(ip, 2), RUN + HART_F + 4) == -1;
}

// @ts-ignore: decorator
@inline
function setBits(ip: usize, value: u64): void {
  store<u64>(<usize>load<u8>(ip, 1), value, RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function setSingle(ip: usize, bits: u32): void {
  store<u64>(<usize>load<u8>(ip, 1), 0xffffffff00000000 | <u64>bits, RUN + HART_F);
}

// @ts-ignore: decorator
@inline
function isFast(): bool {
  return load<u32>(RUN, HART_FP_FAST) != 0;
}

// @ts-ignore: decorator
@inline
function isOn(): bool {
  return load<u32>(RUN, HART_FP_ON) == 2;
}

/** FS is not Off: a float register may be stored. */
// @ts-ignore: decorator
@inline
function isOpen(): bool {
  return load<u32>(RUN, HART_FP_ON) != 0;
}

/** High 64 bits of the unsigned product. */
// @ts-ignore: decorator
@inline
function mulHigh(a: u64, b: u64): u64 {
  const al = a & 0xffffffff;
  const ah = a >> 32;
  const bl = b & 0xffffffff;
  const bh = b >> 32;
  const mid = ah * bl + ((al * bl) >> 32);
  const low = al * bh + (mid & 0xffffffff);
  return ah * bh + (mid >> 32) + (low >> 32);
}

/** Runs from HART_IP until HART_LIMIT or until something rare; returns WHY_*. */
export function interpret(): u32 {
  let ip: usize = load<u32>(RUN, HART_IP);
  let limit: usize = load<u32>(RUN, HART_LIMIT);
  let chunk: usize = load<u32>(RUN, HART_CHUNK);
  let page: u64 = load<u64>(RUN, HART_PAGE);
  const tlb: usize = load<u32>(RUN, HART_TLB);
  let target: u64 = 0;
  let why: u32 = WHY_LIMIT;
  while (ip < limit) {
    switch (<u32>load<u8>(ip)) {
      case op.OP_SLOW: {
        why = WHY_SLOW;
        break;
      }
      case op.OP_PAGE_END: {
        target = page + 4096;
        ip -= 8; // stands for no instruction
        break;
      }
      case op.OP_GOTO: {
        limit += imm(ip);
        ip += imm(ip);
        continue;
      }
      case op.OP_STRADDLE: {
        why = WHY_SLOW;
        break;
      }
      case op.OP_STRADDLE_END: {
        store<u64>(
          RUN,
          page +
            ((<u64>load<u16>(chunk + (((ip - chunk - CHUNK_ENTRIES) >> 3) << 1), CHUNK_ORIGIN)) <<
              1),
          HART_PC,
        );
        why = WHY_FETCH;
        break;
      }
      case op.OP_NOP: {
        ip += 8;
        continue;
      }
      case op.OP_LI: {
        set(ip, <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_AUIPC: {
        set(ip, page + <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_MV: {
        set(ip, x1(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDI: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SLTI: {
        set(ip, <u64>(<i64>x1(ip) < <i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SLTIU: {
        set(ip, <u64>(x1(ip) < <u64>(<i64>imm(ip))));
        ip += 8;
        continue;
      }
      case op.OP_XORI: {
        set(ip, x1(ip) ^ <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ORI: {
        set(ip, x1(ip) | <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ANDI: {
        set(ip, x1(ip) & <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SLLI: {
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_SRLI: {
        set(ip, x1(ip) >> imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_SRAI: {
        set(ip, <u64>(<i64>x1(ip) >> imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ADDIW: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLIW: {
        setWord(ip, (<i32>x1(ip)) << imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_SRLIW: {
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SRAIW: {
        setWord(ip, <i32>x1(ip) >> imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADD: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SUB: {
        set(ip, x1(ip) - x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLL: {
        set(ip, x1(ip) << (x2(ip) & 63));
        ip += 8;
        continue;
      }
      case op.OP_SLT: {
        set(ip, <u64>(<i64>x1(ip) < <i64>x2(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SLTU: {
        set(ip, <u64>(x1(ip) < x2(ip)));
        ip += 8;
        continue;
      }
      case op.OP_XOR: {
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SRL: {
        set(ip, x1(ip) >> (x2(ip) & 63));
        ip += 8;
        continue;
      }
      case op.OP_SRA: {
        set(ip, <u64>(<i64>x1(ip) >> (<i64>x2(ip) & 63)));
        ip += 8;
        continue;
      }
      case op.OP_OR: {
        set(ip, x1(ip) | x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_AND: {
        set(ip, x1(ip) & x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDW: {
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SUBW: {
        setWord(ip, <i32>x1(ip) - <i32>x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLW: {
        setWord(ip, (<i32>x1(ip)) << (<i32>x2(ip) & 31));
        ip += 8;
        continue;
      }
      case op.OP_SRLW: {
        setWord(ip, <i32>(<u32>x1(ip) >> (<u32>x2(ip) & 31)));
        ip += 8;
        continue;
      }
      case op.OP_SRAW: {
        setWord(ip, <i32>x1(ip) >> (<i32>x2(ip) & 31));
        ip += 8;
        continue;
      }
      case op.OP_MUL: {
        set(ip, x1(ip) * x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_MULH: {
        const a = x1(ip);
        const b = x2(ip);
        set(ip, mulHigh(a, b) - (<u64>(<i64>a >> 63) & b) - (<u64>(<i64>b >> 63) & a));
        ip += 8;
        continue;
      }
      case op.OP_MULHSU: {
        const a = x1(ip);
        const b = x2(ip);
        set(ip, mulHigh(a, b) - (<u64>(<i64>a >> 63) & b));
        ip += 8;
        continue;
      }
      case op.OP_MULHU: {
        set(ip, mulHigh(x1(ip), x2(ip)));
        ip += 8;
        continue;
      }
      case op.OP_DIV: {
        const a = <i64>x1(ip);
        const b = <i64>x2(ip);
        // -1 apart: the least number divided by it overflows, which WebAssembly traps on
        set(ip, b == 0 ? <u64>-1 : b == -1 ? <u64>(0 - a) : <u64>(a / b));
        ip += 8;
        continue;
      }
      case op.OP_DIVU: {
        const b = x2(ip);
        set(ip, b == 0 ? <u64>-1 : x1(ip) / b);
        ip += 8;
        continue;
      }
      case op.OP_REM: {
        const a = <i64>x1(ip);
        const b = <i64>x2(ip);
        set(ip, b == 0 ? <u64>a : b == -1 ? 0 : <u64>(a % b));
        ip += 8;
        continue;
      }
      case op.OP_REMU: {
        const a = x1(ip);
        const b = x2(ip);
        set(ip, b == 0 ? a : a % b);
        ip += 8;
        continue;
      }
      case op.OP_MULW: {
        setWord(ip, <i32>x1(ip) * <i32>x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_DIVW: {
        const a = <i32>x1(ip);
        const b = <i32>x2(ip);
        setWord(ip, b == 0 ? -1 : b == -1 ? 0 - a : a / b);
        ip += 8;
        continue;
      }
      case op.OP_DIVUW: {
        const b = <u32>x2(ip);
        setWord(ip, b == 0 ? -1 : <i32>(<u32>x1(ip) / b));
        ip += 8;
        continue;
      }
      case op.OP_REMW: {
        const a = <i32>x1(ip);
        const b = <i32>x2(ip);
        setWord(ip, b == 0 ? a : b == -1 ? 0 : a % b);
        ip += 8;
        continue;
      }
      case op.OP_REMUW: {
        const a = <u32>x1(ip);
        const b = <u32>x2(ip);
        setWord(ip, <i32>(b == 0 ? a : a % b));
        ip += 8;
        continue;
      }
      case op.OP_LB: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4095) {
          set(ip, <u64>(<i64>load<i8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LH: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4094) {
          set(ip, <u64>(<i64>load<i16>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LW: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LBU: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4095) {
          set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LHU: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4094) {
          set(ip, <u64>load<u16>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LWU: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>load<u32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SB: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4095) {
          store<u8>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u8>x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SH: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4094) {
          store<u16>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u16>x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SW: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4092) {
          store<u32>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u32>x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4088) {
          store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FLW: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (isOn() && va - load<u64>(at) <= 4092) {
          setSingle(ip, load<u32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FLD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (isOn() && va - load<u64>(at) <= 4088) {
          setBits(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSW: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (isOpen() && va - load<u64>(at, TLB_WRITE) <= 4092) {
          store<u32>(
            <usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)),
            load<u32>(<usize>load<u8>(ip, 3), RUN + HART_F),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (isOpen() && va - load<u64>(at, TLB_WRITE) <= 4088) {
          store<u64>(
            <usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)),
            load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_BEQ: {
        if (x1(ip) == x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BNE: {
        if (x1(ip) != x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BLT: {
        if (<i64>x1(ip) < <i64>x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BGE: {
        if (<i64>x1(ip) >= <i64>x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BLTU: {
        if (x1(ip) < x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BGEU: {
        if (x1(ip) >= x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BEQ_FAR: {
        if (x1(ip) == x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_BNE_FAR: {
        if (x1(ip) != x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_BLT_FAR: {
        if (<i64>x1(ip) < <i64>x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_BGE_FAR: {
        if (<i64>x1(ip) >= <i64>x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_BLTU_FAR: {
        if (x1(ip) < x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_BGEU_FAR: {
        if (x1(ip) >= x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_BEQZ: {
        if (x1(ip) == 0) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_BNEZ: {
        if (x1(ip) != 0) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_J: {
        limit += imm(ip);
        ip += imm(ip) + 8;
        continue;
      }
      case op.OP_JAL: {
        set(ip, page + <u64>load<u16>(ip, 2));
        limit += imm(ip);
        ip += imm(ip) + 8;
        continue;
      }
      case op.OP_J_FAR: {
        target = page + <u64>(<i64>imm(ip));
        break;
      }
      case op.OP_JAL_FAR: {
        set(ip, page + <u64>load<u16>(ip, 2));
        target = page + <u64>(<i64>imm(ip));
        break;
      }
      case op.OP_JALR: {
        target = (x1(ip) + <u64>(<i64>imm(ip) >> 16)) & ~1;
        set(ip, page + <u64>load<u16>(ip, 4));
        break;
      }
      case op.OP_JR: {
        target = (x1(ip) + <u64>(<i64>imm(ip) >> 16)) & ~1;
        break;
      }
      case op.OP_SH1ADD: {
        set(ip, (x1(ip) << 1) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SH2ADD: {
        set(ip, (x1(ip) << 2) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SH3ADD: {
        set(ip, (x1(ip) << 3) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADD_UW: {
        set(ip, <u64>(<u32>x1(ip)) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SH1ADD_UW: {
        set(ip, ((<u64>(<u32>x1(ip))) << 1) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SH2ADD_UW: {
        set(ip, ((<u64>(<u32>x1(ip))) << 2) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SH3ADD_UW: {
        set(ip, ((<u64>(<u32>x1(ip))) << 3) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLI_UW: {
        set(ip, (<u64>(<u32>x1(ip))) << imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_ANDN: {
        set(ip, x1(ip) & ~x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ORN: {
        set(ip, x1(ip) | ~x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_XNOR: {
        set(ip, ~(x1(ip) ^ x2(ip)));
        ip += 8;
        continue;
      }
      case op.OP_CLZ: {
        set(ip, clz<u64>(x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_CTZ: {
        set(ip, ctz<u64>(x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_CPOP: {
        set(ip, popcnt<u64>(x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_CLZW: {
        set(ip, <u64>clz<u32>(<u32>x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_CTZW: {
        set(ip, <u64>ctz<u32>(<u32>x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_CPOPW: {
        set(ip, <u64>popcnt<u32>(<u32>x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_MAX: {
        const a = <i64>x1(ip);
        const b = <i64>x2(ip);
        set(ip, <u64>(a > b ? a : b));
        ip += 8;
        continue;
      }
      case op.OP_MAXU: {
        const a = <u64>x1(ip);
        const b = <u64>x2(ip);
        set(ip, <u64>(a > b ? a : b));
        ip += 8;
        continue;
      }
      case op.OP_MIN: {
        const a = <i64>x1(ip);
        const b = <i64>x2(ip);
        set(ip, <u64>(a < b ? a : b));
        ip += 8;
        continue;
      }
      case op.OP_MINU: {
        const a = <u64>x1(ip);
        const b = <u64>x2(ip);
        set(ip, <u64>(a < b ? a : b));
        ip += 8;
        continue;
      }
      case op.OP_SEXT_B: {
        set(ip, <u64>(<i64>(<i8>x1(ip))));
        ip += 8;
        continue;
      }
      case op.OP_SEXT_H: {
        set(ip, <u64>(<i64>(<i16>x1(ip))));
        ip += 8;
        continue;
      }
      case op.OP_ZEXT_H: {
        set(ip, <u64>(<u16>x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ROL: {
        set(ip, rotl<u64>(x1(ip), x2(ip) & 63));
        ip += 8;
        continue;
      }
      case op.OP_ROR: {
        set(ip, rotr<u64>(x1(ip), x2(ip) & 63));
        ip += 8;
        continue;
      }
      case op.OP_RORI: {
        set(ip, rotr<u64>(x1(ip), <u64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ROLW: {
        setWord(ip, <i32>rotl<u32>(<u32>x1(ip), <u32>x2(ip) & 31));
        ip += 8;
        continue;
      }
      case op.OP_RORW: {
        setWord(ip, <i32>rotr<u32>(<u32>x1(ip), <u32>x2(ip) & 31));
        ip += 8;
        continue;
      }
      case op.OP_RORIW: {
        setWord(ip, <i32>rotr<u32>(<u32>x1(ip), <u32>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ORC_B: {
        const a = x1(ip);
        // bit 7 of each byte: does the byte have a bit at all
        const any = (((a & 0x7f7f7f7f7f7f7f7f) + 0x7f7f7f7f7f7f7f7f) | a) & 0x8080808080808080;
        set(ip, (any >> 7) * 255);
        ip += 8;
        continue;
      }
      case op.OP_REV8: {
        set(ip, bswap<u64>(x1(ip)));
        ip += 8;
        continue;
      }
      case op.OP_BCLR: {
        set(ip, x1(ip) & ~((<u64>1) << (x2(ip) & 63)));
        ip += 8;
        continue;
      }
      case op.OP_BEXT: {
        set(ip, (x1(ip) >> (x2(ip) & 63)) & 1);
        ip += 8;
        continue;
      }
      case op.OP_BINV: {
        set(ip, x1(ip) ^ ((<u64>1) << (x2(ip) & 63)));
        ip += 8;
        continue;
      }
      case op.OP_BSET: {
        set(ip, x1(ip) | ((<u64>1) << (x2(ip) & 63)));
        ip += 8;
        continue;
      }
      case op.OP_BCLRI: {
        set(ip, x1(ip) & ~((<u64>1) << imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_BEXTI: {
        set(ip, (x1(ip) >> imm(ip)) & 1);
        ip += 8;
        continue;
      }
      case op.OP_BINVI: {
        set(ip, x1(ip) ^ ((<u64>1) << imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_BSETI: {
        set(ip, x1(ip) | ((<u64>1) << imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_FADD_D: {
        const value = f1(ip) + f2(ip);
        if (isFast() && isFinite64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSUB_D: {
        const value = f1(ip) - f2(ip);
        if (isFast() && isFinite64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMUL_D: {
        const value = f1(ip) * f2(ip);
        if (isFast() && isSafe64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FDIV_D: {
        const value = f1(ip) / f2(ip);
        if (isFast() && isSafe64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSQRT_D: {
        const value = sqrt<f64>(f1(ip));
        if (isFast() && isFinite64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FADD_S: {
        const value = s1(ip) + s2(ip);
        if (isFast() && boxed(ip) && isFinite32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSUB_S: {
        const value = s1(ip) - s2(ip);
        if (isFast() && boxed(ip) && isFinite32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMUL_S: {
        const value = s1(ip) * s2(ip);
        if (isFast() && boxed(ip) && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FDIV_S: {
        const value = s1(ip) / s2(ip);
        if (isFast() && boxed(ip) && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSQRT_S: {
        const value = sqrt<f32>(s1(ip));
        if (isFast() && boxed1(ip) && isFinite32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSGNJ_D: {
        if (isOn()) {
          setBits(
            ip,
            (load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F) & 0x7fffffffffffffff) |
              (load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F) & 0x8000000000000000),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSGNJN_D: {
        if (isOn()) {
          setBits(
            ip,
            (load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F) & 0x7fffffffffffffff) |
              (~load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F) & 0x8000000000000000),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSGNJX_D: {
        if (isOn()) {
          setBits(
            ip,
            load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F) ^
              (load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F) & 0x8000000000000000),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSGNJ_S: {
        if (isOn() && boxed(ip)) {
          setSingle(
            ip,
            (<u32>load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F) & 0x7fffffff) |
              (<u32>load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F) & 0x80000000),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSGNJN_S: {
        if (isOn() && boxed(ip)) {
          setSingle(
            ip,
            (<u32>load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F) & 0x7fffffff) |
              (~(<u32>load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F)) & 0x80000000),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FSGNJX_S: {
        if (isOn() && boxed(ip)) {
          setSingle(
            ip,
            <u32>load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F) ^
              (<u32>load<u64>(<usize>load<u8>(ip, 3), RUN + HART_F) & 0x80000000),
          );
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMV_X_D: {
        if (isOn()) {
          set(ip, load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMV_D_X: {
        if (isOn()) {
          setBits(ip, x1(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMV_X_W: {
        if (isOn()) {
          setWord(ip, <i32>load<u64>(<usize>load<u8>(ip, 2), RUN + HART_F));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMV_W_X: {
        if (isOn()) {
          setSingle(ip, <u32>x1(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FEQ_D: {
        const a = f1(ip);
        const b = f2(ip);
        if (isOn() && a == a && b == b) {
          set(ip, <u64>(a == b));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FLT_D: {
        const a = f1(ip);
        const b = f2(ip);
        if (isOn() && a == a && b == b) {
          set(ip, <u64>(a < b));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FLE_D: {
        const a = f1(ip);
        const b = f2(ip);
        if (isOn() && a == a && b == b) {
          set(ip, <u64>(a <= b));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FEQ_S: {
        const a = s1(ip);
        const b = s2(ip);
        if (isOn() && boxed(ip) && a == a && b == b) {
          set(ip, <u64>(a == b));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FLT_S: {
        const a = s1(ip);
        const b = s2(ip);
        if (isOn() && boxed(ip) && a == a && b == b) {
          set(ip, <u64>(a < b));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FLE_S: {
        const a = s1(ip);
        const b = s2(ip);
        if (isOn() && boxed(ip) && a == a && b == b) {
          set(ip, <u64>(a <= b));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_D_W: {
        if (isOn()) {
          setBits(ip, reinterpret<u64>(<f64>(<i32>x1(ip))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_D_WU: {
        if (isOn()) {
          setBits(ip, reinterpret<u64>(<f64>(<u32>x1(ip))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_D_L: {
        if (isFast()) {
          setBits(ip, reinterpret<u64>(<f64>(<i64>x1(ip))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_S_W: {
        if (isFast()) {
          setSingle(ip, reinterpret<u32>(<f32>(<i32>x1(ip))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_S_L: {
        if (isFast()) {
          setSingle(ip, reinterpret<u32>(<f32>(<i64>x1(ip))));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_D_S: {
        const a = s1(ip);
        if (isOn() && boxed1(ip) && a == a) {
          setBits(ip, reinterpret<u64>(<f64>a));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_S_D: {
        const value = <f32>f1(ip);
        if (isFast() && true && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_W_D: {
        const a = f1(ip);
        if (isFast() && a > -2147483649.0 && a < 2147483648.0) {
          setWord(ip, <i32>a);
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FCVT_L_D: {
        const a = f1(ip);
        if (isFast() && a >= -9223372036854775808.0 && a < 9223372036854775808.0) {
          set(ip, <u64>(<i64>a));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMADD_D: {
        const value = fmaFast64(f1(ip), f2(ip), f3(ip));
        if (isFast() && isSafe64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMSUB_D: {
        const value = fmaFast64(f1(ip), f2(ip), -f3(ip));
        if (isFast() && isSafe64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FNMSUB_D: {
        const value = fmaFast64(-f1(ip), f2(ip), f3(ip));
        if (isFast() && isSafe64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FNMADD_D: {
        const value = fmaFast64(-f1(ip), f2(ip), -f3(ip));
        if (isFast() && isSafe64(value)) {
          setBits(ip, reinterpret<u64>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMADD_S: {
        const value = fmaFast32(s1(ip), s2(ip), s3(ip));
        if (isFast() && boxed(ip) && boxed3(ip) && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FMSUB_S: {
        const value = fmaFast32(s1(ip), s2(ip), -s3(ip));
        if (isFast() && boxed(ip) && boxed3(ip) && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FNMSUB_S: {
        const value = fmaFast32(-s1(ip), s2(ip), s3(ip));
        if (isFast() && boxed(ip) && boxed3(ip) && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_FNMADD_S: {
        const value = fmaFast32(-s1(ip), s2(ip), -s3(ip));
        if (isFast() && boxed(ip) && boxed3(ip) && isSafe32(value)) {
          setSingle(ip, reinterpret<u32>(value));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      // pairs: the first, then the second from its own entry, which stays as it is for jumps to it
      case op.OP_SD__SD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4088) {
          store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
          ip += 8;
          if (ip >= limit) continue;
          {
            const va = x1(ip) + <u64>(<i64>imm(ip));
            const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
            if (va - load<u64>(at, TLB_WRITE) <= 4088) {
              store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
              ip += 8;
              continue;
            }
            why = WHY_SLOW;
            break;
          }
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LD__LD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          {
            const va = x1(ip) + <u64>(<i64>imm(ip));
            const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
            if (va - load<u64>(at) <= 4088) {
              set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
              ip += 8;
              continue;
            }
            why = WHY_SLOW;
            break;
          }
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_MV__MV: {
        set(ip, x1(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLI__SRLI: {
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) >> imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLI__ADD: {
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SRLI__ADD: {
        set(ip, x1(ip) >> imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADD__LD: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4088) {
            set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_LD__ADD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) + x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_ADDI__ADDI: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ADDI__BNE: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) != x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_ADDIW__ADDIW: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_LD__ADDI: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) + <u64>(<i64>imm(ip)));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LD__MV: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_MV__LD: {
        set(ip, x1(ip));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4088) {
            set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_ADDI__SD: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at, TLB_WRITE) <= 4088) {
            store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_ADDI__ADD: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDI__JR: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        target = (x1(ip) + <u64>(<i64>imm(ip) >> 16)) & ~1;
        break;
      }
      case op.OP_LI__BEQ: {
        set(ip, <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) == x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_LI__BNE: {
        set(ip, <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) != x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_ADD__LW: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4092) {
            set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_ADD__LBU: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4095) {
            set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_ADD__SB: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at, TLB_WRITE) <= 4095) {
            store<u8>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u8>x2(ip));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_SRLIW__SRLIW: {
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SLLIW__SRLIW: {
        setWord(ip, (<i32>x1(ip)) << imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SRLIW__OR: {
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) | x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_OR__OR: {
        set(ip, x1(ip) | x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) | x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_XOR__XOR: {
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_XOR__AND: {
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) & x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_AND__XOR: {
        set(ip, x1(ip) & x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_LBU__BNE: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4095) {
          set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) != x2(ip)) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LBU__BNEZ: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4095) {
          set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) != 0) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LBU__BEQZ: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4095) {
          set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) == 0) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LD__BNEZ: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) != 0) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LD__BEQZ: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) == 0) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LW__BEQZ: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) == 0) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LW__BNEZ: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          if (ip >= limit) continue;
          if (x1(ip) != 0) {
            limit += imm(ip);
            ip += imm(ip);
          }
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_AUIPC__ADDI: {
        set(ip, page + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_AUIPC__LD: {
        set(ip, page + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4088) {
            set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_ADDI__LD: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4088) {
            set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_MV__JAL: {
        set(ip, x1(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, page + <u64>load<u16>(ip, 2));
        limit += imm(ip);
        ip += imm(ip) + 8;
        continue;
      }
      case op.OP_SLLI__SLLI: {
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDIW__BNE: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) != x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_ADDW__BLTU: {
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) < x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_ADD__BLTU_FAR: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) < x2(ip)) {
          target = page + <u64>(<i64>imm(ip));
          break;
        }
        ip += 8;
        continue;
      }
      case op.OP_LBU__LBU: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4095) {
          set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          {
            const va = x1(ip) + <u64>(<i64>imm(ip));
            const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
            if (va - load<u64>(at) <= 4095) {
              set(ip, <u64>load<u8>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
              ip += 8;
              continue;
            }
            why = WHY_SLOW;
            break;
          }
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SD__ADDI: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4088) {
          store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) + <u64>(<i64>imm(ip)));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SD__MV: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4088) {
          store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_ANDI__BNEZ: {
        set(ip, x1(ip) & <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) != 0) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_ANDI__BEQZ: {
        set(ip, x1(ip) & <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) == 0) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_ADDI__J: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        limit += imm(ip);
        ip += imm(ip) + 8;
        continue;
      }
      case op.OP_MV__MUL: {
        set(ip, x1(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) * x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDI__MUL: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) * x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_MUL__ADD: {
        set(ip, x1(ip) * x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADD__BNE: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        if (x1(ip) != x2(ip)) {
          limit += imm(ip);
          ip += imm(ip);
        }
        ip += 8;
        continue;
      }
      case op.OP_SRLI__XOR: {
        set(ip, x1(ip) >> imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLI__XOR: {
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADD__ADD: {
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDIW__LD: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        {
          const va = x1(ip) + <u64>(<i64>imm(ip));
          const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
          if (va - load<u64>(at) <= 4088) {
            set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
            ip += 8;
            continue;
          }
          why = WHY_SLOW;
          break;
        }
      }
      case op.OP_LW__ADD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) + x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LW__XOR: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) ^ x2(ip));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LI__LI: {
        set(ip, <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_MV__ADDI: {
        set(ip, x1(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ADDI__MV: {
        set(ip, x1(ip) + <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip));
        ip += 8;
        continue;
      }
      case op.OP_LD__SD: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          {
            const va = x1(ip) + <u64>(<i64>imm(ip));
            const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
            if (va - load<u64>(at, TLB_WRITE) <= 4088) {
              store<u64>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), x2(ip));
              ip += 8;
              continue;
            }
            why = WHY_SLOW;
            break;
          }
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_LD__ANDI: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4088) {
          set(ip, load<u64>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND))));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) & <u64>(<i64>imm(ip)));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_ANDI__SLLI: {
        set(ip, x1(ip) & <u64>(<i64>imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_SLLI__OR: {
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) | x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_SRLIW__SLLI: {
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) << imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDW__SRLIW: {
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>(<u32>x1(ip) >> imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_ADDIW__AND: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) & x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDW__ADDW: {
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDIW__ADDW: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        continue;
      }
      case op.OP_ADDW__ADDIW: {
        setWord(ip, <i32>x1(ip) + <i32>x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_LW__LW: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at) <= 4092) {
          set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
          ip += 8;
          if (ip >= limit) continue;
          {
            const va = x1(ip) + <u64>(<i64>imm(ip));
            const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
            if (va - load<u64>(at) <= 4092) {
              set(ip, <u64>(<i64>load<i32>(<usize>(<u32>va + load<u32>(at, TLB_ADDEND)))));
              ip += 8;
              continue;
            }
            why = WHY_SLOW;
            break;
          }
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_SW__SW: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4092) {
          store<u32>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u32>x2(ip));
          ip += 8;
          if (ip >= limit) continue;
          {
            const va = x1(ip) + <u64>(<i64>imm(ip));
            const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
            if (va - load<u64>(at, TLB_WRITE) <= 4092) {
              store<u32>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u32>x2(ip));
              ip += 8;
              continue;
            }
            why = WHY_SLOW;
            break;
          }
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_XOR__ADDIW: {
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        continue;
      }
      case op.OP_XOR__ANDI: {
        set(ip, x1(ip) ^ x2(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) & <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      case op.OP_SB__ADDI: {
        const va = x1(ip) + <u64>(<i64>imm(ip));
        const at = tlb + <usize>((<u32>va >> 8) & TLB_MASK);
        if (va - load<u64>(at, TLB_WRITE) <= 4095) {
          store<u8>(<usize>(<u32>va + load<u32>(at, TLB_WRITE + TLB_ADDEND)), <u8>x2(ip));
          ip += 8;
          if (ip >= limit) continue;
          set(ip, x1(ip) + <u64>(<i64>imm(ip)));
          ip += 8;
          continue;
        }
        why = WHY_SLOW;
        break;
      }
      case op.OP_ADDIW__ANDI: {
        setWord(ip, <i32>x1(ip) + imm(ip));
        ip += 8;
        if (ip >= limit) continue;
        set(ip, x1(ip) & <u64>(<i64>imm(ip)));
        ip += 8;
        continue;
      }
      default:
        why = WHY_SLOW;
    }
    if (why != WHY_LIMIT) break;
    // a jump that may leave the page: everything but the chunk lookup is counted as the jump's own
    // entry
    const next = target & ~0xfff;
    if (next != page) {
      const at = <usize>load<u32>(RUN, HART_ITLB) + <usize>((<u32>target >> 8) & ITLB_MASK);
      if (load<u64>(at) != next) {
        store<u64>(RUN, target, HART_PC);
        ip += 8;
        why = WHY_FETCH;
        break;
      }
      chunk = load<u32>(at, 8);
      page = next;
    }
    const slot = <usize>load<u16>(chunk + <usize>(<u32>target & 0xffe), CHUNK_MAP);
    if (slot == 0) {
      store<u64>(RUN, target, HART_PC);
      ip += 8;
      why = WHY_FETCH;
      break;
    }
    const to = chunk + CHUNK_ENTRIES + (slot << 3);
    limit += to - ip - 8;
    ip = to;
  }
  store<u32>(RUN, <u32>ip, HART_IP);
  store<u32>(RUN, <u32>limit, HART_LIMIT);
  store<u32>(RUN, <u32>chunk, HART_CHUNK);
  store<u64>(RUN, page, HART_PAGE);
  return why;
}
