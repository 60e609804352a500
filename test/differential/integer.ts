/**
 * integer: generators for computation, loads and stores, compressed code, atomics, control flow and
 * code that changes itself.
 *
 * Used by differential/cell.ts, which mixes them.
 */
import { encode, INSTRUCTIONS, type InstructionName } from "../../src/asm/index.ts";
import { type Body, BY_FORM, LINK, LOOP, MACHINE } from "./body.ts";
import { CODE_BYTES, DATA_CONSTANT_BYTES } from "./layout.ts";

/** The bits of an instruction whose form is known only at run time. */
export function encodeAny(name: InstructionName, operands: readonly unknown[]): number {
  return (encode as (name: InstructionName, ...operands: never[]) => number)(
    name,
    ...(operands as never[]),
  );
}

/** Appends one or a few instructions. */
export type Generator = (body: Body) => void;

const names = (...forms: string[]): InstructionName[] =>
  forms.flatMap((form) => BY_FORM.get(form) ?? []);

const COMPUTE = names("r", "i", "shift", "shiftW", "unary", "upper");

function immediate12(body: Body): number {
  const { random } = body;
  if (random.chance(30)) return random.pick([0, 1, -1, 2047, -2048, 31, 32, 63, 255, 1024]);
  return random.between(-2048, 2047);
}

/** QEMU 7.2 gets CTZW of a zero word wrong: a copy of the register with a low bit set. */
function wordNotZero(body: Body, register: number): number {
  const copy = body.scratch();
  body.emit("bseti", copy, register, body.random.below(32));
  return copy;
}

/** One instruction of I, M, Zba, Zbb or Zbs without memory or jump. */
export const compute: Generator = (body) => {
  const { random } = body;
  const name = random.pick(COMPUTE);
  const [rd, rs1] = [body.target(), body.source()];
  switch (INSTRUCTIONS[name][0]) {
    case "r":
      return body.emitAny(name, [rd, rs1, random.chance(8) ? rs1 : body.source()]);
    case "i":
      return body.emitAny(name, [rd, rs1, immediate12(body)]);
    case "shift":
      return body.emitAny(name, [rd, rs1, random.below(64)]);
    case "shiftW":
      return body.emitAny(name, [rd, rs1, random.below(32)]);
    case "unary":
      return body.emitAny(name, [rd, name === "ctzw" ? wordNotZero(body, rs1) : rs1]);
    default:
      return body.emitAny(name, [
        rd,
        random.pick([0, 1, 0x80000, 0xfffff, random.below(0x100000)]),
      ]);
  }
};

const FLIPPED = names("r", "shift", "shiftW", "unary");

/** An instruction with one bit of its function fields flipped: another one, or illegal. */
export const flipped: Generator = (body) => {
  const { random } = body;
  const name = random.pick(FLIPPED);
  const third = INSTRUCTIONS[name][0] === "unary" ? [] : [random.below(32)];
  const bits = encodeAny(name, [body.target(), body.source(), ...third]);
  const other = bits ^ (1 << random.pick([12, 13, 14, 20, 25, 26, 27, 28, 29, 30, 31]));
  // CLZW and RORIW are one bit away from CTZW, and a source may be a zero word: see wordNotZero
  if ((other & CTZW_MASK) === CTZW) body.emit("ctzw", body.target(), wordNotZero(body, 31));
  else body.word(other);
};
const CTZW_MASK = ~((31 << 7) | (31 << 15));
const CTZW = encode("ctzw", 0, 0) | 0;

const ACCESS_BYTES: Record<string, number> = {
  ...{ lb: 1, lbu: 1, lh: 2, lhu: 2, lw: 4, lwu: 4, ld: 8, flw: 4, fld: 8 },
  ...{ sb: 1, sh: 2, sw: 4, sd: 8, fsw: 4, fsd: 8 },
};
/** Bytes that a load or store of that name touches. */
export const accessBytes = (name: string): number => ACCESS_BYTES[name];

export const LOADS = names("load");
export const STORES = names("store");

/** A load or a store in the data window, often misaligned, sometimes across its two pages. */
export const access: Generator = (body) => {
  const { random } = body;
  const isStore = random.chance(50);
  const name = random.pick(isStore ? STORES : LOADS);
  const bytes = accessBytes(name);
  const offset = body.writable(bytes, random.chance(60));
  const { base, immediate } = body.reach(offset);
  body.emitAny(name, [isStore ? body.source() : body.target(), base, immediate]);
};

/** A constant of the window into a register, so that values do not all fade to noise. */
export const refresh: Generator = (body) => {
  const { base, immediate } = body.reach(body.random.below(DATA_CONSTANT_BYTES / 8) * 8);
  body.emit("ld", body.target(), base, immediate);
};

const COMPRESSED = names(
  ...["cPlain", "cImmediate", "cAddi4spn", "cUpper", "cShift", "cShiftFull", "cAndImmediate"],
  ...["cArithmetic", "cMove", "cAddi16sp"],
).filter((name) => name !== "cEbreak" && name !== "cUnimp");
const COMPRESSED_ACCESS = names(
  ...["cLoadWord", "cLoadDouble", "cFLoad", "cFLoadSp", "cLoadWordSp", "cLoadDoubleSp"],
  ...["cFStoreSp", "cStoreWordSp", "cStoreDoubleSp"],
);

/** One compressed instruction that computes. */
export const compressed: Generator = (body) => {
  const { random } = body;
  const name = random.pick(COMPRESSED);
  const rd = body.target(); // with x0, hints and one reserved encoding
  const six = random.between(-32, 31);
  switch (INSTRUCTIONS[name][0]) {
    case "cPlain":
      return body.emitAny(name, []);
    case "cImmediate":
      return body.emitAny(name, [rd, six]);
    case "cAddi4spn":
      return body.emitAny(name, [body.shortTarget(), random.between(1, 255) * 4]);
    case "cUpper":
      return body.emitAny(name, [rd, six === 0 ? 1 : six]);
    case "cShift":
      return body.emitAny(name, [body.shortTarget(), random.between(1, 63)]);
    case "cShiftFull":
      return body.emitAny(name, [rd, random.between(1, 63)]);
    case "cAndImmediate":
      return body.emitAny(name, [body.shortTarget(), six]);
    case "cArithmetic":
      return body.emitAny(name, [body.shortTarget(), random.between(8, 15)]);
    case "cMove":
      return body.emitAny(name, [rd, random.between(1, 31)]);
    default: {
      const step = random.pick([16, -16, 32, 496, -496, -512 + 16]);
      body.emitAny(name, [step]);
      body.emit("cAddi4spn", body.shortTarget(), 4 * random.between(1, 255));
      return body.emitAny(name, [-step]);
    }
  }
};

/** One compressed load or store; s0, s1 and sp stand well inside the window. */
export const compressedAccess: Generator = (body) => {
  const { random } = body;
  const name = random.pick(COMPRESSED_ACCESS);
  const base = random.pick([8, 9]);
  const isStore = name.startsWith("cS") || name.startsWith("cFs");
  switch (INSTRUCTIONS[name][0]) {
    case "cLoadWord":
      return body.emitAny(name, [shortValue(body, isStore), base, random.below(32) * 4]);
    case "cLoadDouble":
      return body.emitAny(name, [shortValue(body, isStore), base, random.below(32) * 8]);
    case "cFLoad":
      return body.emitAny(name, [random.between(8, 15), base, random.below(32) * 8]);
    case "cFLoadSp":
    case "cFStoreSp":
      return body.emitAny(name, [body.float(), random.below(64) * 8]);
    case "cLoadWordSp":
      return body.emitAny(name, [body.scratch(), random.below(64) * 4]);
    case "cLoadDoubleSp":
      return body.emitAny(name, [body.scratch(), random.below(64) * 8]);
    case "cStoreWordSp":
      return body.emitAny(name, [body.source(), random.below(64) * 4]);
    default:
      return body.emitAny(name, [body.source(), random.below(64) * 8]);
  }
};

function shortValue(body: Body, isStore: boolean): number {
  return isStore ? body.random.between(8, 15) : body.shortTarget();
}

const AMOS = names("amo").filter((name) => !name.startsWith("sc"));
const ORDERS = ["", "aq", "rl", "aqrl"] as const;

/** An AMO, one in twelve misaligned: that traps. */
export const atomic: Generator = (body) => {
  const { random } = body;
  const name = random.pick(AMOS);
  const bytes = name.endsWith("D") ? 8 : 4;
  const isAligned = !random.chance(8);
  const at = body.address(body.writable(bytes, isAligned));
  body.emitAny(name, [body.target(), body.source(), at, random.pick(ORDERS)]);
};

/**
 * LR and SC as the constrained form has them; or an SC that must fail. Whether an SC without a
 * reservation faults is a choice, so nothing here may.
 */
export const reserved: Generator = (body) => {
  const { random, place } = body;
  if (!body.isModeSure || place.hasPmp || (body.mode !== MACHINE && !place.isFriendly))
    return atomic(body);
  const isDouble = random.chance(50);
  const at = body.address(body.writable(8, true));
  const order = random.pick(ORDERS);
  const isPaired = random.chance(80);
  if (isPaired) {
    const loaded = body.scratch(at);
    body.emit(isDouble ? "lrD" : "lrW", loaded, at, order);
    for (let left = random.below(4); left > 0; left--) {
      body.emit("add", body.scratch(at), body.source(), loaded);
    }
  } else {
    // an SC that must fail is a store to translation here and in Spike: it may set A and D. QEMU
    // 7.2 does not look at the address, so a store sets them on both.
    body.emit("sd", body.source(), at, 0);
  }
  body.emit(isDouble ? "scD" : "scW", body.scratch(at), body.source(), at, order);
  if (random.chance(20)) {
    body.emit(isDouble ? "scD" : "scW", body.scratch(at), body.source(), at, order);
  }
};

const BRANCHES = names("branch");

/** A forward branch over one to three instructions of `inner`. */
export const branchOver =
  (inner: Generator): Generator =>
  (body) => {
    const { random } = body;
    const label = body.a.fresh();
    const kind = random.below(10);
    const short = body.random.between(8, 15);
    if (kind < 6) {
      const left = body.source();
      const right = random.chance(30) ? left : body.source();
      body.emitAny(random.pick(BRANCHES), [left, right, label]);
    } else if (kind < 8) body.emitAny(random.pick(["cBeqz", "cBnez"]), [short, label]);
    else if (kind < 9) body.emit("jal", random.chance(50) ? LINK : 0, label);
    else body.emit("cJ", label);
    for (let left = random.between(1, 3); left > 0; left--) inner(body);
    body.a.label(label);
  };

/** A loop of one to five rounds around `inner`; x30 counts. */
export const loopAround =
  (inner: Generator): Generator =>
  (body) => {
    const label = body.a.fresh();
    body.li(LOOP, BigInt(body.random.between(1, 5)));
    body.a.label(label);
    for (let left = body.random.between(1, 3); left > 0; left--) inner(body);
    if (body.random.chance(50)) body.emit("cAddi", LOOP, -1);
    else body.emit("addi", LOOP, LOOP, -1);
    body.emit("bne", LOOP, 0, label);
  };

/** An indirect jump a few bytes ahead, over what would trap; the lowest bit is ignored. */
export const jumpAhead: Generator = (body) => {
  const { random } = body;
  const register = random.chance(25) ? LINK : body.scratch();
  const isShort = random.chance(40);
  const link = random.chance(50) ? LINK : 0;
  const halves = random.below(4);
  const odd = random.below(2);
  body.emit("auipc", register, 0);
  if (isShort) {
    body.emit("addi", register, register, 4 + 4 + 2 + halves * 2 + odd);
    body.emit(link === 0 ? "cJr" : "cJalr", register);
  } else body.emit("jalr", link, register, 4 + 4 + halves * 2 + odd);
  for (let left = halves; left > 0; left--) body.a.u16(0);
};

/**
 * Replaces an instruction further on by another through whatever alias of the code is writable,
 * then FENCE.I. In a loop the replacement differs from round to round. The alias is found from pc,
 * so that in another mode than this one it would be another cell's code.
 */
export const selfModify: Generator = (body) => {
  const { random, place, mode } = body;
  if (!body.isModeSure) return compute(body);
  const [value, at, shifted] = [28, 29, 31];
  const isShort = random.chance(30);
  body.emit("auipc", 0, random.below(4));
  if (isShort) {
    body.li(value, BigInt(encode("cAddi", body.scratch(), random.between(1, 31))));
    body.emit("andi", shifted, LOOP, 1);
    body.emit("slli", shifted, shifted, 2);
  } else {
    const bits = encode("addi", body.scratch(), body.source(), random.between(0, 2000));
    body.li(value, BigInt(bits));
    body.emit("slli", shifted, LOOP, 20);
  }
  body.emit("xor", value, value, shifted);
  body.li(at, BigInt.asIntN(64, place.codeWrite[mode] - place.code[mode]));
  body.emit("auipc", shifted, 0);
  body.emit("add", at, at, shifted);
  let between = random.below(3);
  // behind the store and FENCE.I; QEMU 7.2 gets accesses across pages wrong under PMP
  const replaced = body.here + 8 + 4 * between;
  if (place.hasPmp && !isShort && replaced % 4096 === 4094) between++;
  body.emit(isShort ? "sh" : "sw", value, at, 4 * (4 + between));
  body.emit("fenceI");
  for (let left = between; left > 0; left--) body.emit("xori", body.target(), value, left);
  if (isShort) body.emit("cAddi", body.scratch(), 1);
  else body.emit(random.pick(REPLACED), body.target(), body.source(), body.source());
};
const REPLACED = ["add", "mul", "sltu", "sh2add", "remu"] as const;

/** Stores and loads in the pages of the code, behind where it ends. */
export const besideCode: Generator = (body) => {
  const { random, place, mode } = body;
  const at = body.scratch();
  const offset = CODE_BYTES - 8 - random.below(60) * 8;
  body.li(at, BigInt.asUintN(64, place.codeWrite[mode] + BigInt(offset)));
  body.emit("sd", body.source(), at, 0);
  body.emit("lw", body.target(), at, 4);
};

export const fences: Generator = (body) => {
  const kind = body.random.below(3);
  if (kind === 0) body.emit("fence");
  else if (kind === 1) body.emit("fenceTso");
  else body.emit("fenceI");
};
