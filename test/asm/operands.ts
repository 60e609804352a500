/**
 * operands: for any instruction of the table, a set of operands and the assembly text of the same
 * instruction, so that an encoding can be compared with what binutils makes of the text.
 *
 * Used by test/asm/encoding.test.ts.
 * Holds   every choice comes from the given generator; the text never depends on the encoder under
 *         test.
 */
import {
  CSR,
  FLOAT_REGISTER_NAMES,
  type Form,
  INSTRUCTIONS,
  type InstructionName,
  mnemonicOf,
  REGISTER_NAMES,
} from "../../src/asm/index.ts";

/** A number in 0 to `bound` - 1. */
export type Pick = (bound: number) => number;

type Case = { operands: (string | number)[]; text: string };

const ROUNDINGS = ["rne", "rtz", "rdn", "rup", "rmm", "dyn"];

/** An integer in [low, high] that is a multiple of `step`; the two ends come up often. */
function between(pick: Pick, low: number, high: number, step = 1): number {
  const count = Math.floor((high - low) / step) + 1;
  const at = [0, count - 1, pick(count), pick(count)][pick(4)];
  return low + at * step;
}

function notZero(value: number, otherwise: number): number {
  return value === 0 ? otherwise : value;
}

/**
 * Instructions whose zero operand means something else, or whose immediate is unsigned in binutils'
 * text.
 */
function adjust(name: InstructionName, operands: (string | number)[], pick: Pick): void {
  if (name === "cLui") {
    if (operands[0] === "sp" || operands[0] === "zero") operands[0] = "a5";
    operands[1] = notZero(operands[1] as number, 31);
  }
  const isNeverZero = ["cAddi", "cAddiw", "cLi", "cSlli", "cMv", "cAdd"].includes(name);
  if (isNeverZero && operands[0] === "zero") operands[0] = REGISTER_NAMES[1 + pick(31)];
  if (name === "cAddi") operands[1] = notZero(operands[1] as number, -1);
}

function textOf(name: InstructionName, form: Form, operands: (string | number)[]): string {
  const mnemonic = mnemonicOf(name);
  const [a, b, c] = operands;
  switch (form) {
    case "load":
    case "store":
    case "fLoad":
    case "fStore":
    case "jumpRegister":
    case "cFLoad":
    case "cLoadWord":
    case "cLoadDouble":
      return `${mnemonic} ${a}, ${c}(${b})`;
    case "cFLoadSp":
    case "cLoadWordSp":
    case "cLoadDoubleSp":
    case "cFStoreSp":
    case "cStoreWordSp":
    case "cStoreDoubleSp":
      return `${mnemonic} ${a}, ${b}(sp)`;
    case "amo":
      return `${mnemonic}${orderSuffix(operands[3])} ${a}, ${b}, (${c})`;
    case "loadReserved":
      return `${mnemonic}${orderSuffix(c)} ${a}, (${b})`;
    case "cacheBlock":
      return `${mnemonic} (${a})`;
    case "cAddi4spn":
      return `${mnemonic} ${a}, sp, ${b}`;
    case "cAddi16sp":
      return `${mnemonic} sp, ${a}`;
    case "cUpper":
      return `${mnemonic} ${a}, ${(b as number) & 0xfffff}`;
    case "branch":
    case "jump":
    case "cJump":
    case "cBranch": {
      const distance = operands[operands.length - 1] as number;
      const sources = operands.slice(0, -1).map((operand) => operand + ", ");
      return `${mnemonic} ${sources.join("")}. + (${distance})`;
    }
    default:
      return `${mnemonic} ${operands.join(", ")}`.trim();
  }
}

function orderSuffix(ordering: string | number): string {
  return ordering === "" ? "" : "." + ordering;
}

/** What each operand of a form may be. */
function operandsOf(form: Form, pick: Pick): (string | number)[] {
  const x = () => REGISTER_NAMES[pick(32)];
  const f = () => FLOAT_REGISTER_NAMES[pick(32)];
  const shortX = () => REGISTER_NAMES[8 + pick(8)];
  const shortF = () => FLOAT_REGISTER_NAMES[8 + pick(8)];
  const someX = () => REGISTER_NAMES[1 + pick(31)];
  const rounding = () => ROUNDINGS[pick(6)];
  const order = () => ["", "aq", "rl", "aqrl"][pick(4)];
  const signed12 = () => between(pick, -2048, 2047);
  const csr = () => Object.keys(CSR)[pick(Object.keys(CSR).length)];
  const set = () => ["r", "w", "rw", "iorw", "o", "i", "iw", "or"][pick(8)];
  const makers: Record<Form, () => (string | number)[]> = {
    r: () => [x(), x(), x()],
    i: () => [x(), x(), signed12()],
    shift: () => [x(), x(), between(pick, 0, 63)],
    shiftW: () => [x(), x(), between(pick, 0, 31)],
    unary: () => [x(), x()],
    load: () => [x(), x(), signed12()],
    store: () => [x(), x(), signed12()],
    branch: () => [x(), x(), between(pick, -4096, 4094, 2)],
    upper: () => [x(), between(pick, 0, 0xfffff)],
    jump: () => [x(), between(pick, -(1 << 20), (1 << 20) - 2, 2)],
    jumpRegister: () => [x(), x(), signed12()],
    fence: () => [set(), set()],
    fenceVma: () => [x(), x()],
    cacheBlock: () => [x()],
    plain: () => [],
    csr: () => [x(), csr(), x()],
    csrImmediate: () => [x(), csr(), between(pick, 0, 31)],
    amo: () => [x(), x(), x(), order()],
    loadReserved: () => [x(), x(), order()],
    fLoad: () => [f(), x(), signed12()],
    fStore: () => [f(), x(), signed12()],
    fRound: () => [f(), f(), f(), rounding()],
    fPair: () => [f(), f(), f()],
    fCompare: () => [x(), f(), f()],
    fFused: () => [f(), f(), f(), f(), rounding()],
    fRoot: () => [f(), f(), rounding()],
    fWiden: () => [f(), f()],
    fToInt: () => [x(), f(), rounding()],
    fToIntExact: () => [x(), f()],
    fFromInt: () => [f(), x(), rounding()],
    fFromIntExact: () => [f(), x()],
    cAddi4spn: () => [shortX(), between(pick, 4, 1020, 4)],
    cFLoad: () => [shortF(), shortX(), between(pick, 0, 248, 8)],
    cLoadWord: () => [shortX(), shortX(), between(pick, 0, 124, 4)],
    cLoadDouble: () => [shortX(), shortX(), between(pick, 0, 248, 8)],
    cPlain: () => [],
    cImmediate: () => [x(), between(pick, -32, 31)],
    cAddi16sp: () => [notZero(between(pick, -512, 496, 16), 16)],
    cUpper: () => [x(), between(pick, -32, 31)],
    cShift: () => [shortX(), between(pick, 1, 63)],
    cShiftFull: () => [someX(), between(pick, 1, 63)],
    cAndImmediate: () => [shortX(), between(pick, -32, 31)],
    cArithmetic: () => [shortX(), shortX()],
    cJump: () => [between(pick, -2048, 2046, 2)],
    cBranch: () => [shortX(), between(pick, -256, 254, 2)],
    cFLoadSp: () => [f(), between(pick, 0, 504, 8)],
    cLoadWordSp: () => [someX(), between(pick, 0, 252, 4)],
    cLoadDoubleSp: () => [someX(), between(pick, 0, 504, 8)],
    cRegister: () => [someX()],
    cMove: () => [x(), someX()],
    cFStoreSp: () => [f(), between(pick, 0, 504, 8)],
    cStoreWordSp: () => [x(), between(pick, 0, 252, 4)],
    cStoreDoubleSp: () => [x(), between(pick, 0, 504, 8)],
  };
  return makers[form]();
}

/** Operands for `name` and the text that binutils reads as the same instruction. */
export function instructionCase(name: InstructionName, pick: Pick): Case {
  const form = INSTRUCTIONS[name][0];
  const operands = operandsOf(form, pick);
  adjust(name, operands, pick);
  return { operands, text: textOf(name, form, operands) };
}
