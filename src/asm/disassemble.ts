/**
 * disassemble: the assembly text of an instruction word.
 *
 * Owns    the spelling: ABI register names, the usual pseudo-instructions, absolute targets.
 * Used by the debug commands, tests and programs that import `rivulet/asm`.
 * Holds   the text is what riscv64-unknown-elf-as reads (test/asm/disassemble.test.ts compares it
 *         with riscv64-unknown-elf-objdump); a compressed instruction is shown as the one that it
 *         stands for, unless `isCanonical` asks for its own name.
 */
import { decode, type Instruction, isShort } from "./decode.ts";
import { type Form, TARGETS } from "./encode.ts";
import { csrName } from "./register.ts";
import { INSTRUCTIONS, type InstructionName, mnemonicOf } from "./table.ts";

/** One instruction as text. */
export interface Disassembly {
  /** "addi a0,a0,-1", or ".4byte 0x..." for a word that is no instruction. */
  readonly text: string;
  /** 2 or 4. */
  readonly bytes: number;
  /** As the assembler's method takes it; null for a word that is no instruction. */
  readonly instruction: Instruction | null;
  /** Where a branch or a direct jump goes; null for everything else. */
  readonly target: bigint | null;
}

/** How the text is spelled. */
export interface DisassembleOptions {
  /** No pseudo-instructions: `addi a0,zero,5` for `li a0,5`, `c.addi sp,-16` for `addi`. */
  readonly isCanonical?: boolean;
}

type Operand = string | number;
type Operands = readonly Operand[];

/**
 * The text of the instruction in `word` at address `pc`, from which targets are counted. Only the
 * low half of the word counts when that is a compressed instruction.
 */
export function disassemble(
  word: number,
  pc: bigint,
  options: DisassembleOptions = {},
): Disassembly {
  const instruction = decode(word);
  const bytes = isShort(word) ? 2 : 4;
  if (instruction === null) {
    const bits = bytes === 2 ? word & 0xffff : word >>> 0;
    const text = `.${bytes}byte 0x${bits.toString(16).padStart(bytes * 2, "0")}`;
    return { text, bytes, instruction, target: null };
  }
  const form: Form = INSTRUCTIONS[instruction.name][0];
  const at = TARGETS[form]?.operand;
  const distance = at === undefined ? null : (instruction.operands[at] as number);
  const target = distance === null ? null : BigInt.asUintN(64, pc + BigInt(distance));
  const spelled =
    target === null
      ? instruction
      : {
          name: instruction.name,
          operands: instruction.operands.with(at as number, hex(target)),
        };
  const text = options.isCanonical === true ? canonical(spelled) : usual(spelled);
  return { text, bytes, instruction, target };
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const line = (name: string, ...operands: Operands) =>
  operands.length === 0 ? name : `${name} ${operands.join(",")}`;

/** Under its own name, with every operand. */
function canonical({ name, operands }: Instruction): string {
  return spell(name, mnemonicOf(name), operands);
}

/** As people write it: expanded when compressed, as a pseudo-instruction where there is one. */
function usual(instruction: Instruction): string {
  if (isHint(instruction)) return hint(instruction);
  const expanded = expand(instruction);
  const { name, operands } = expanded;
  return pseudo(name, operands) ?? spell(name, mnemonicOf(name), operands);
}

/** Compressed instructions that are hints when their destination is x0. */
const HINTS: readonly InstructionName[] = ["cAddi", "cLi", "cLui", "cMv", "cAdd", "cSlli"];

/** True for compressed instructions that do nothing: no other name says so. */
function isHint({ name, operands }: Instruction): boolean {
  const isShiftByZero = ["cSlli", "cSrli", "cSrai"].includes(name) && operands[1] === 0;
  return isShiftByZero || (HINTS.includes(name) && operands[0] === "zero");
}

function hint(instruction: Instruction): string {
  const { name, operands } = instruction;
  return name === "cAddi" ? line("c.nop", operands[1]) : canonical(instruction);
}

// ---- operands ----

function spell(name: InstructionName, mnemonic: string, operands: Operands): string {
  const form: Form = INSTRUCTIONS[name][0];
  const [first, second, third, fourth] = operands;
  switch (form) {
    case "load":
    case "store":
    case "fLoad":
    case "fStore":
    case "jumpRegister":
    case "cFLoad":
    case "cLoadWord":
    case "cLoadDouble":
      return line(mnemonic, first, `${third}(${second})`);
    case "cFLoadSp":
    case "cLoadWordSp":
    case "cLoadDoubleSp":
    case "cFStoreSp":
    case "cStoreWordSp":
    case "cStoreDoubleSp":
      return line(mnemonic, first, `${second}(sp)`);
    case "cAddi4spn":
      return line(mnemonic, first, "sp", second);
    case "cAddi16sp":
      return line(mnemonic, "sp", first);
    case "upper":
      return line(mnemonic, first, hex(second as number));
    case "cUpper":
      return line(mnemonic, first, hex((second as number) & 0xfffff));
    case "cShift":
    case "cShiftFull":
      return second === 0 ? line(`${mnemonic}64`, first) : line(mnemonic, first, second);
    case "cacheBlock":
      return line(mnemonic, `(${first})`);
    case "amo":
      return line(ordered(mnemonic, fourth), first, second, `(${third})`);
    case "loadReserved":
      return line(ordered(mnemonic, third), first, `(${second})`);
    case "fence":
      return line(mnemonic, first === "" ? "0" : first, second === "" ? "0" : second);
    case "csr":
    case "csrImmediate":
      return line(mnemonic, first, csrName(second as number), third);
    default:
      // The dynamic rounding mode is the one meant where none is written.
      return line(mnemonic, ...(operands.at(-1) === "dyn" ? operands.slice(0, -1) : operands));
  }
}

const ordered = (mnemonic: string, ordering: Operand) =>
  ordering === "" ? mnemonic : `${mnemonic}.${ordering}`;

// ---- compressed ----

/** Compressed arithmetic: the same operation, with its destination as the first source. */
const IN_PLACE: Partial<Record<InstructionName, InstructionName>> = {
  ...{ cAddi: "addi", cAddiw: "addiw", cSlli: "slli", cSrli: "srli", cSrai: "srai" },
  ...{ cAndi: "andi", cSub: "sub", cXor: "xor", cOr: "or", cAnd: "and" },
  ...{ cSubw: "subw", cAddw: "addw", cAdd: "add" },
};

/** Compressed loads and stores that name a base register: the same operands. */
const SAME_OPERANDS: Partial<Record<InstructionName, InstructionName>> = {
  ...{ cFld: "fld", cLw: "lw", cLd: "ld", cFsd: "fsd", cSw: "sw", cSd: "sd", cEbreak: "ebreak" },
};

/** Compressed loads and stores relative to sp. */
const ON_STACK: Partial<Record<InstructionName, InstructionName>> = {
  ...{ cFldsp: "fld", cLwsp: "lw", cLdsp: "ld", cFsdsp: "fsd", cSwsp: "sw", cSdsp: "sd" },
};

/** The instruction of 32 bits that a compressed one stands for; others as they are. */
function expand(instruction: Instruction): Instruction {
  const { name, operands } = instruction;
  const [first, second] = operands;
  const inPlace = IN_PLACE[name];
  if (inPlace !== undefined) return { name: inPlace, operands: [first, first, second] };
  const same = SAME_OPERANDS[name];
  if (same !== undefined) return { name: same, operands };
  const onStack = ON_STACK[name];
  if (onStack !== undefined) return { name: onStack, operands: [first, "sp", second] };
  switch (name) {
    case "cNop":
      return { name: "addi", operands: ["zero", "zero", 0] };
    case "cLi":
      return { name: "addi", operands: [first, "zero", second] };
    case "cMv":
      return { name: "addi", operands: [first, second, 0] };
    case "cLui":
      return { name: "lui", operands: [first, (second as number) & 0xfffff] };
    case "cAddi16sp":
      return { name: "addi", operands: ["sp", "sp", first] };
    case "cAddi4spn":
      return { name: "addi", operands: [first, "sp", second] };
    case "cJ":
      return { name: "jal", operands: ["zero", first] };
    case "cBeqz":
      return { name: "beq", operands: [first, "zero", second] };
    case "cBnez":
      return { name: "bne", operands: [first, "zero", second] };
    case "cJr":
      return { name: "jalr", operands: ["zero", first, 0] };
    case "cJalr":
      return { name: "jalr", operands: ["ra", first, 0] };
    default:
      return instruction;
  }
}

// ---- pseudo-instructions ----

/** The pseudo-instruction that people know it by, or null (Unprivileged, table of those). */
function pseudo(name: InstructionName, operands: Operands): string | null {
  switch (INSTRUCTIONS[name][0]) {
    case "r":
    case "i":
      return arithmetic(name, operands);
    case "jump":
    case "jumpRegister":
      return jump(name, operands);
    case "branch":
      return branch(name, operands);
    case "csr":
    case "csrImmediate":
      return csrAccess(name, operands);
    case "fPair":
      return floatMove(name, operands);
    default:
      return system(name, operands);
  }
}

function arithmetic(name: InstructionName, [d, a, b]: Operands): string | null {
  switch (name) {
    case "addi":
      if (d === "zero" && a === "zero" && b === 0) return "nop";
      if (a === "zero") return line("li", d, b);
      return b === 0 ? line("mv", d, a) : null;
    case "addiw":
      return b === 0 ? line("sext.w", d, a) : null;
    case "xori":
      return b === -1 ? line("not", d, a) : null;
    case "andi":
      return b === 255 ? line("zext.b", d, a) : null;
    case "sltiu":
      return b === 1 ? line("seqz", d, a) : null;
    case "sub":
      return a === "zero" ? line("neg", d, b) : null;
    case "subw":
      return a === "zero" ? line("negw", d, b) : null;
    case "sltu":
      return a === "zero" ? line("snez", d, b) : null;
    case "slt":
      if (b === "zero") return line("sltz", d, a);
      return a === "zero" ? line("sgtz", d, b) : null;
    case "addUw":
      return b === "zero" ? line("zext.w", d, a) : null;
    default:
      return null;
  }
}

function jump(name: InstructionName, [d, base, offset]: Operands): string | null {
  const word = d === "zero" ? "j" : "jal";
  if (d !== "zero" && d !== "ra") return null;
  if (name === "jal") return line(word, base);
  if (d === "zero" && base === "ra" && offset === 0) return "ret";
  return line(`${word}r`, offset === 0 ? base : `${offset}(${base})`);
}

const AGAINST_ZERO: Partial<Record<InstructionName, readonly [second: string, first?: string]>> = {
  beq: ["beqz"],
  bne: ["bnez"],
  bge: ["bgez", "blez"],
  blt: ["bltz", "bgtz"],
};

function branch(name: InstructionName, [a, b, target]: Operands): string | null {
  const [second, first] = AGAINST_ZERO[name] ?? [];
  if (first !== undefined && a === "zero") return line(first, b, target);
  return second !== undefined && b === "zero" ? line(second, a, target) : null;
}

const COUNTERS: readonly Operand[] = ["cycle", "time", "instret"];
const FLOAT_CSRS: Readonly<Record<string, string>> = { fcsr: "csr", frm: "rm", fflags: "flags" };

function csrAccess(name: InstructionName, [d, csr, source]: Operands): string | null {
  const float = FLOAT_CSRS[csr];
  const text = csrName(csr as number);
  switch (name) {
    case "csrrs":
      if (source !== "zero") return d === "zero" ? line("csrs", text, source) : null;
      if (COUNTERS.includes(csr)) return line(`rd${csr}`, d);
      return float === undefined ? line("csrr", d, text) : line(`fr${float}`, d);
    case "csrrw":
      if (d === "zero" && csr === "cycle" && source === "zero") return "unimp";
      return written(float, "", [d, text, source]);
    case "csrrwi":
      return written(csr === "fcsr" ? undefined : float, "i", [d, text, source]);
    default: // csrrc, csrrsi, csrrci
      return d === "zero" ? line(name.replace("csrr", "csr"), text, source) : null;
  }
}

function written(
  float: string | undefined,
  suffix: string,
  [d, csr, source]: Operands,
): string | null {
  if (float !== undefined) {
    return line(`fs${float}${suffix}`, ...(d === "zero" ? [source] : [d, source]));
  }
  return d === "zero" ? line(`csrw${suffix}`, csr, source) : null;
}

function floatMove(name: InstructionName, [d, a, b]: Operands): string | null {
  if (a !== b || !name.startsWith("fsgnj")) return null;
  const word = { n: "fneg", x: "fabs" }[name[5]] ?? "fmv";
  return line(`${word}.${name.endsWith("S") ? "s" : "d"}`, d, a);
}

function system(name: InstructionName, [first, second]: Operands): string | null {
  if (name === "cUnimp") return "unimp";
  if (name === "fence") {
    if (first === "iorw" && second === "iorw") return "fence";
    return first === "w" && second === "" ? "pause" : null;
  }
  if (name === "sfenceVma" && second === "zero") {
    return first === "zero" ? "sfence.vma" : line("sfence.vma", first);
  }
  return null;
}
