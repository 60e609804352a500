/**
 * assembler: Assembler, one method per instruction of the table, labels, data, and the usual
 * pseudo-instructions.
 *
 * Owns    nothing but the image (asm/writer.ts).
 * Used by the built-in guest, tests and programs that import `rivulet/asm`.
 * Holds   every method appends at the end; a label may be used before it is defined.
 */
import { VmError } from "../errors.ts";
import { ENCODERS, type Form, type FormOperands, ranged, TARGETS, type Target } from "./encode.ts";
import type { Csr, FReg, Reg } from "./register.ts";
import { INSTRUCTIONS, type InstructionName, mnemonicOf } from "./table.ts";
import { ImageWriter, word64 } from "./writer.ts";

/** Operands of an instruction, from the form that the table gives it. */
export type OperandsOf<Name extends InstructionName> = FormOperands[(typeof INSTRUCTIONS)[Name][0]];

/** One method per instruction; `a.fcvtWuS(...)` is `fcvt.wu.s`. */
export type InstructionMethods = {
  [Name in InstructionName]: (...operands: OperandsOf<Name>) => void;
};

type AnyOperands = readonly (string | number | undefined)[];
type AnyEncoder = (bits: number, ...operands: AnyOperands) => number;

function encodeForm(form: Form, bits: number, operands: AnyOperands): number {
  return (ENCODERS[form] as AnyEncoder)(bits, ...operands) >>> 0;
}

/**
 * The bits of one instruction, 16 or 32 by its two lowest bits; a target is a distance in bytes.
 * Throws VmError "bad-argument" when an operand does not fit.
 */
export function encode<Name extends InstructionName>(
  name: Name,
  ...operands: OperandsOf<Name>
): number {
  const [form, bits] = INSTRUCTIONS[name];
  return encodeForm(form, bits, operands as AnyOperands);
}

/**
 * Image plus "append an instruction by name"; its methods by mnemonic are added below, from the
 * table.
 */
class InstructionWriter extends ImageWriter {
  /** Appends an instruction chosen at run time; `a.emit("add", 1, 2, 3)` is `a.add(1, 2, 3)`. */
  emit<Name extends InstructionName>(name: Name, ...operands: OperandsOf<Name>): void {
    this.append(name, operands as AnyOperands);
  }

  protected append(name: InstructionName, operands: AnyOperands): void {
    const [form, bits] = INSTRUCTIONS[name];
    const target = TARGETS[form];
    const label = target === undefined ? undefined : operands[target.operand];
    if (target === undefined || typeof label !== "string") {
      this.#place(encodeForm(form, bits, operands), this.length);
      return;
    }
    const [offset, here] = [this.length, this.here];
    const complete = [...operands];
    complete[target.operand] = 0;
    this.#place(encodeForm(form, bits, complete), offset);
    this.reference(offset, label, (address) => {
      const distance = BigInt.asIntN(64, address - here);
      if (distance < -target.reach || distance >= target.reach) {
        const what = `${mnemonicOf(name)} at 0x${here.toString(16)} to ${label}`;
        const accepted = `accepted are ${-target.reach} to ${target.reach - 2}`;
        throw new VmError("bad-argument", `${what}: distance ${distance}, ${accepted}`);
      }
      complete[target.operand] = Number(distance);
      this.#place(encodeForm(form, bits, complete), offset);
    });
  }

  #place(bits: number, offset: number): void {
    const isShort = (bits & 3) !== 3;
    if (offset === this.length) this.space(isShort ? 2 : 4);
    if (isShort) this.setU16(offset, bits);
    else this.setU32(offset, bits);
  }
}

for (const name of Object.keys(INSTRUCTIONS) as InstructionName[]) {
  Object.defineProperty(InstructionWriter.prototype, name, {
    value(this: Assembler, ...operands: never[]): void {
      (this.emit as (name: InstructionName, ...operands: never[]) => void)(name, ...operands);
    },
  });
}

/** The same class, with the methods that the loop above gave it. */
const TypedWriter = InstructionWriter as unknown as new (options?: {
  base?: number | bigint;
}) => InstructionWriter & InstructionMethods;

/** An RV64 assembler: call methods in program order, then `assemble()`. */
export class Assembler extends TypedWriter {
  /** Any 64-bit constant in 1 to 8 instructions (lui, addiw, slli, addi), shortest first step. */
  li(rd: Reg, value: number | bigint): void {
    this.#loadConstant(rd, BigInt.asIntN(64, word64(value)));
  }

  /** Address of a label (plus `addend`) relative to pc: auipc and addi, always 8 bytes. */
  la(rd: Reg, label: string, addend: number | bigint = 0): void {
    this.#relative(label, BigInt(addend), rd, (low) => encode("addi", rd, rd, low));
  }

  /** Calls a label within 2 GiB through ra: auipc and jalr. */
  call(label: string): void {
    this.#relative(label, 0n, "ra", (low) => encode("jalr", "ra", "ra", low));
  }

  /** Jumps to a label within 2 GiB, overwriting t1: auipc and jalr. */
  tail(label: string): void {
    this.#relative(label, 0n, "t1", (low) => encode("jalr", "zero", "t1", low));
  }

  /** Nops up to the next multiple of `bytes`; needs an even address. */
  alignCode(bytes: number): void {
    while (Number(this.here & BigInt(bytes - 1)) !== 0) {
      if (Number(this.here & 3n) === 0) this.nop();
      else this.cNop();
    }
  }

  nop(): void {
    this.addi("zero", "zero", 0);
  }
  mv(rd: Reg, source: Reg): void {
    this.addi(rd, source, 0);
  }
  not(rd: Reg, source: Reg): void {
    this.xori(rd, source, -1);
  }
  neg(rd: Reg, source: Reg): void {
    this.sub(rd, "zero", source);
  }
  negw(rd: Reg, source: Reg): void {
    this.subw(rd, "zero", source);
  }
  sextW(rd: Reg, source: Reg): void {
    this.addiw(rd, source, 0);
  }
  seqz(rd: Reg, source: Reg): void {
    this.sltiu(rd, source, 1);
  }
  snez(rd: Reg, source: Reg): void {
    this.sltu(rd, "zero", source);
  }
  j(target: Target): void {
    this.jal("zero", target);
  }
  jr(source: Reg): void {
    this.jalr("zero", source);
  }
  ret(): void {
    this.jalr("zero", "ra");
  }
  beqz(source: Reg, target: Target): void {
    this.beq(source, "zero", target);
  }
  bnez(source: Reg, target: Target): void {
    this.bne(source, "zero", target);
  }
  bltz(source: Reg, target: Target): void {
    this.blt(source, "zero", target);
  }
  bgez(source: Reg, target: Target): void {
    this.bge(source, "zero", target);
  }
  bgtz(source: Reg, target: Target): void {
    this.blt("zero", source, target);
  }
  blez(source: Reg, target: Target): void {
    this.bge("zero", source, target);
  }
  bgt(left: Reg, right: Reg, target: Target): void {
    this.blt(right, left, target);
  }
  ble(left: Reg, right: Reg, target: Target): void {
    this.bge(right, left, target);
  }
  bgtu(left: Reg, right: Reg, target: Target): void {
    this.bltu(right, left, target);
  }
  bleu(left: Reg, right: Reg, target: Target): void {
    this.bgeu(right, left, target);
  }
  csrr(rd: Reg, csr: Csr): void {
    this.csrrs(rd, csr, "zero");
  }
  csrw(csr: Csr, source: Reg): void {
    this.csrrw("zero", csr, source);
  }
  csrs(csr: Csr, source: Reg): void {
    this.csrrs("zero", csr, source);
  }
  csrc(csr: Csr, source: Reg): void {
    this.csrrc("zero", csr, source);
  }
  csrwi(csr: Csr, immediate: number): void {
    this.csrrwi("zero", csr, immediate);
  }
  csrsi(csr: Csr, immediate: number): void {
    this.csrrsi("zero", csr, immediate);
  }
  csrci(csr: Csr, immediate: number): void {
    this.csrrci("zero", csr, immediate);
  }
  fmvS(fd: FReg, source: FReg): void {
    this.fsgnjS(fd, source, source);
  }
  fmvD(fd: FReg, source: FReg): void {
    this.fsgnjD(fd, source, source);
  }

  #loadConstant(rd: Reg, value: bigint): void {
    const low = Number(BigInt.asIntN(12, value));
    const rest = BigInt.asIntN(64, value - BigInt(low));
    if (value === BigInt.asIntN(32, value)) {
      // 0x7ffff800 and up: lui of 0x80000 is negative, and addiw wraps it back to 32 bits.
      const high = Number((rest >> 12n) & 0xfffffn);
      if (high !== 0) this.lui(rd, high);
      if (high === 0) this.addi(rd, "zero", low);
      else if (low !== 0) this.addiw(rd, rd, low);
      return;
    }
    let shift = 12;
    let high = rest >> 12n;
    while ((high & 1n) === 0n) {
      high >>= 1n;
      shift++;
    }
    this.#loadConstant(rd, high);
    this.slli(rd, rd, shift);
    if (low !== 0) this.addi(rd, rd, low);
  }

  /** auipc `rd` and a second instruction that adds the low 12 bits. */
  #relative(label: string, addend: bigint, rd: Reg, second: (low: number) => number): void {
    const [offset, here] = [this.length, this.here];
    this.auipc(rd, 0);
    this.u32(second(0));
    this.reference(offset, label, (address) => {
      const distance = BigInt.asIntN(64, address + addend - here);
      const high = Number((distance + 0x800n) >> 12n);
      try {
        ranged(high, -0x80000, 0x7ffff, 1, "pages");
      } catch (cause) {
        const what = `reference at 0x${here.toString(16)} to ${label}`;
        throw new VmError("bad-argument", `${what}: accepted are labels within 2 GiB`, { cause });
      }
      this.setU32(offset, encode("auipc", rd, high));
      this.setU32(offset + 4, second(Number(BigInt.asIntN(12, distance))));
    });
  }
}
