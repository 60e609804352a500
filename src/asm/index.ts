/**
 * asm: the public door `rivulet/asm`, a small RV64 assembler and disassembler that run wherever the
 * library does.
 *
 * Used by the built-in guest (src/guest), ISA and differential tests, examples, embedders.
 * Holds   RV64IMAFDC, Zicsr, Zifencei, Zba, Zbb, Zbs, Zicboz and the privileged instructions, each
 *         checked against binutils by test/asm/encoding.test.ts.
 *
 *   const a = new Assembler();            // at 0x80000000
 *   a.li("a0", 42);
 *   a.label("again");
 *   a.bnez("a0", "again");
 *   const { base, bytes, symbols } = a.assemble();
 *   const file = elf64({ entry: base, segments: [{ address: base, bytes }], symbols });
 *
 *   disassemble(0x00008067, 0n).text;     // "ret"
 */
export { Assembler, encode, type InstructionMethods, type OperandsOf } from "./assembler.ts";
export { decode, type Instruction } from "./decode.ts";
export { type DisassembleOptions, type Disassembly, disassemble } from "./disassemble.ts";
export { type ElfOptions, type ElfSegment, elf64 } from "./elf.ts";
export type { Form, FormOperands, Ordering, Rounding, Target } from "./encode.ts";
export {
  CSR,
  type Csr,
  csrName,
  csrNumber,
  FLOAT_REGISTER_NAMES,
  type FReg,
  floatRegisterNumber,
  REGISTER_NAMES,
  type Reg,
  registerNumber,
} from "./register.ts";
export { INSTRUCTIONS, type InstructionName, mnemonicOf } from "./table.ts";
export type { ImageWriter, Program } from "./writer.ts";
