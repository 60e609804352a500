/**
 * compressed: the C extension, each 16-bit instruction as the 32-bit one it stands for
 * (Unprivileged chapter "C").
 *
 * Used by hart/decode.ts and hart/slow.ts. Pure functions.
 */

// @ts-ignore: decorator
@inline
function bits(c: u32, high: u32, low: u32): u32 {
  return (c >> low) & ((1 << (high - low + 1)) - 1);
}

// @ts-ignore: decorator
@inline
function iType(imm: u32, rs1: u32, funct3: u32, rd: u32, opcode: u32): u32 {
  return (imm << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode;
}

// @ts-ignore: decorator
@inline
function sType(imm: u32, rs2: u32, rs1: u32, funct3: u32, opcode: u32): u32 {
  return (
    ((imm >> 5) << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | ((imm & 31) << 7) | opcode
  );
}

// @ts-ignore: decorator
@inline
function rType(funct7: u32, rs2: u32, rs1: u32, funct3: u32, rd: u32, opcode: u32): u32 {
  return (funct7 << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode;
}

function jType(imm: u32, rd: u32): u32 {
  return (
    (bits(imm, 20, 20) << 31) |
    (bits(imm, 10, 1) << 21) |
    (bits(imm, 11, 11) << 20) |
    (bits(imm, 19, 12) << 12) |
    (rd << 7) |
    0x6f
  );
}

function bType(imm: u32, rs2: u32, rs1: u32, funct3: u32): u32 {
  return (
    (bits(imm, 12, 12) << 31) |
    (bits(imm, 10, 5) << 25) |
    (rs2 << 20) |
    (rs1 << 15) |
    (funct3 << 12) |
    (bits(imm, 4, 1) << 8) |
    (bits(imm, 11, 11) << 7) |
    0x63
  );
}

/** Sign-extended 6-bit immediate of CI-format instructions. */
// @ts-ignore: decorator
@inline
function imm6(c: u32): u32 {
  return <u32>(((<i32>((bits(c, 12, 12) << 5) | bits(c, 6, 2))) << 26) >> 26);
}

function quadrant0(c: u32): u32 {
  const rd = bits(c, 4, 2) + 8;
  const rs1 = bits(c, 9, 7) + 8;
  const word = (bits(c, 5, 5) << 6) | (bits(c, 12, 10) << 3) | (bits(c, 6, 6) << 2);
  const double = (bits(c, 6, 5) << 6) | (bits(c, 12, 10) << 3);
  switch (c >> 13) {
    case 0: {
      const imm =
        (bits(c, 10, 7) << 6) |
        (bits(c, 12, 11) << 4) |
        (bits(c, 5, 5) << 3) |
        (bits(c, 6, 6) << 2);
      return imm == 0 ? 0 : iType(imm, 2, 0, rd, 0x13); // c.addi4spn
    }
    case 1:
      return iType(double, rs1, 3, rd, 0x07); // c.fld
    case 2:
      return iType(word, rs1, 2, rd, 0x03); // c.lw
    case 3:
      return iType(double, rs1, 3, rd, 0x03); // c.ld
    case 5:
      return sType(double, rd, rs1, 3, 0x27); // c.fsd
    case 6:
      return sType(word, rd, rs1, 2, 0x23); // c.sw
    case 7:
      return sType(double, rd, rs1, 3, 0x23); // c.sd
    default:
      return 0;
  }
}

function quadrant1Alu(c: u32): u32 {
  const rd = bits(c, 9, 7) + 8;
  const rs2 = bits(c, 4, 2) + 8;
  const shift = (bits(c, 12, 12) << 5) | bits(c, 6, 2);
  switch (bits(c, 11, 10)) {
    case 0:
      return iType(shift, rd, 5, rd, 0x13); // c.srli
    case 1:
      return iType(0x400 | shift, rd, 5, rd, 0x13); // c.srai
    case 2:
      return iType(imm6(c) & 0xfff, rd, 7, rd, 0x13); // c.andi
    default: {
      switch ((bits(c, 12, 12) << 2) | bits(c, 6, 5)) {
        case 0:
          return rType(0x20, rs2, rd, 0, rd, 0x33); // c.sub
        case 1:
          return rType(0, rs2, rd, 4, rd, 0x33); // c.xor
        case 2:
          return rType(0, rs2, rd, 6, rd, 0x33); // c.or
        case 3:
          return rType(0, rs2, rd, 7, rd, 0x33); // c.and
        case 4:
          return rType(0x20, rs2, rd, 0, rd, 0x3b); // c.subw
        case 5:
          return rType(0, rs2, rd, 0, rd, 0x3b); // c.addw
        default:
          return 0;
      }
    }
  }
}

function quadrant1(c: u32): u32 {
  const rd = bits(c, 11, 7);
  const imm = imm6(c);
  switch (c >> 13) {
    case 0:
      return iType(imm & 0xfff, rd, 0, rd, 0x13); // c.addi, c.nop
    case 1:
      return rd == 0 ? 0 : iType(imm & 0xfff, rd, 0, rd, 0x1b); // c.addiw
    case 2:
      return iType(imm & 0xfff, 0, 0, rd, 0x13); // c.li
    case 3: {
      if (rd == 2) {
        const up =
          (bits(c, 12, 12) << 9) |
          (bits(c, 4, 3) << 7) |
          (bits(c, 5, 5) << 6) |
          (bits(c, 2, 2) << 5) |
          (bits(c, 6, 6) << 4);
        const wide = <u32>(<i32>(up << 22) >> 22);
        return up == 0 ? 0 : iType(wide & 0xfff, 2, 0, 2, 0x13); // c.addi16sp
      }
      return imm == 0 ? 0 : (imm << 12) | (rd << 7) | 0x37; // c.lui
    }
    case 4:
      return quadrant1Alu(c);
    case 5: {
      const jump =
        (bits(c, 12, 12) << 11) |
        (bits(c, 8, 8) << 10) |
        (bits(c, 10, 9) << 8) |
        (bits(c, 6, 6) << 7) |
        (bits(c, 7, 7) << 6) |
        (bits(c, 2, 2) << 5) |
        (bits(c, 11, 11) << 4) |
        (bits(c, 5, 3) << 1);
      return jType(<u32>(<i32>(jump << 20) >> 20), 0); // c.j
    }
    default: {
      const branch =
        (bits(c, 12, 12) << 8) |
        (bits(c, 6, 5) << 6) |
        (bits(c, 2, 2) << 5) |
        (bits(c, 11, 10) << 3) |
        (bits(c, 4, 3) << 1);
      const offset = <u32>(<i32>(branch << 23) >> 23);
      return bType(offset, 0, bits(c, 9, 7) + 8, c >> 13 == 6 ? 0 : 1); // c.beqz, c.bnez
    }
  }
}

function quadrant2(c: u32): u32 {
  const rd = bits(c, 11, 7);
  const rs2 = bits(c, 6, 2);
  const word = (bits(c, 3, 2) << 6) | (bits(c, 12, 12) << 5) | (bits(c, 6, 4) << 2);
  const double = (bits(c, 4, 2) << 6) | (bits(c, 12, 12) << 5) | (bits(c, 6, 5) << 3);
  const storeWord = (bits(c, 8, 7) << 6) | (bits(c, 12, 9) << 2);
  const storeDouble = (bits(c, 9, 7) << 6) | (bits(c, 12, 10) << 3);
  switch (c >> 13) {
    case 0:
      return iType((bits(c, 12, 12) << 5) | rs2, rd, 1, rd, 0x13); // c.slli
    case 1:
      return iType(double, 2, 3, rd, 0x07); // c.fldsp
    case 2:
      return rd == 0 ? 0 : iType(word, 2, 2, rd, 0x03); // c.lwsp
    case 3:
      return rd == 0 ? 0 : iType(double, 2, 3, rd, 0x03); // c.ldsp
    case 4: {
      if (bits(c, 12, 12) == 0) {
        if (rs2 == 0) return rd == 0 ? 0 : iType(0, rd, 0, 0, 0x67); // c.jr
        return rType(0, rs2, 0, 0, rd, 0x33); // c.mv
      }
      if (rs2 != 0) return rType(0, rs2, rd, 0, rd, 0x33); // c.add
      return rd == 0 ? 0x00100073 : iType(0, rd, 0, 1, 0x67); // c.ebreak, c.jalr
    }
    case 5:
      return sType(storeDouble, rs2, 2, 3, 0x27); // c.fsdsp
    case 6:
      return sType(storeWord, rs2, 2, 2, 0x23); // c.swsp
    default:
      return sType(storeDouble, rs2, 2, 3, 0x23); // c.sdsp
  }
}

/** The 32-bit instruction that the 16-bit one stands for, or 0 when it is illegal or reserved. */
export function compressedExpand(c: u32): u32 {
  switch (c & 3) {
    case 0:
      return quadrant0(c);
    case 1:
      return quadrant1(c);
    default:
      return quadrant2(c);
  }
}
