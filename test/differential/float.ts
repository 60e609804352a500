/**
 * float: generators for F and D: operands of every special class, every rounding mode, the flags
 * before and after.
 *
 * Used by differential/cell.ts.
 * Holds   the constants at the start of the data window are laid out as `constantsOf` writes them.
 */
import { INSTRUCTIONS, type InstructionName } from "../../src/asm/index.ts";
import type { Random } from "../helpers/random.ts";
import { type Body, BY_FORM } from "./body.ts";
import type { FloatOperation, RoundingName } from "./coverage.ts";
import { accessBytes, encodeAny, type Generator } from "./integer.ts";
import { DATA_CONSTANT_BYTES } from "./layout.ts";
import { FLOAT_CLASSES, type FloatClass, floatValue, operandTriple } from "./values.ts";

const DOUBLE_CLASSES = FLOAT_CLASSES.filter((kind) => kind !== "unboxed");
const PER_CLASS = 4;
const SINGLE_SLOT = DOUBLE_CLASSES.length * PER_CLASS;
const TRIPLE_SLOT = SINGLE_SLOT + FLOAT_CLASSES.length * PER_CLASS;
const SLOTS = DATA_CONSTANT_BYTES / 8;
const TRIPLES = Math.floor((SLOTS - TRIPLE_SLOT) / 6);

/** The constants at the start of the data window: doubles, singles, then triples of each. */
export function constantsOf(random: Random): BigUint64Array {
  const slots = new BigUint64Array(SLOTS);
  DOUBLE_CLASSES.forEach((kind, index) => {
    for (let copy = 0; copy < PER_CLASS; copy++) {
      slots[index * PER_CLASS + copy] = floatValue(random, "D", kind);
    }
  });
  FLOAT_CLASSES.forEach((kind, index) => {
    for (let copy = 0; copy < PER_CLASS; copy++) {
      slots[SINGLE_SLOT + index * PER_CLASS + copy] = floatValue(random, "S", kind);
    }
  });
  for (let triple = 0; triple < TRIPLES * 2; triple++) {
    slots.set(operandTriple(random, triple < TRIPLES ? "D" : "S"), TRIPLE_SLOT + triple * 3);
  }
  return slots;
}

type Format = "S" | "D";
const ROUNDED = ["fRound", "fFused", "fRoot", "fToInt", "fFromInt"];
const OPERATIONS = [
  ...["fRound", "fFused", "fRoot", "fToInt", "fFromInt"],
  ...["fPair", "fCompare", "fWiden", "fToIntExact", "fFromIntExact"],
].flatMap((form) => BY_FORM.get(form) ?? []);

/**
 * One operand is one draw from its classes, so these get more turns than those with two or three.
 */
const DRAWN = OPERATIONS.flatMap((name) =>
  ["fRoot", "fToInt"].includes(INSTRUCTIONS[name][0]) ? [name, name, name] : [name],
);

const isFromInteger = (name: InstructionName): boolean =>
  INSTRUCTIONS[name][0].startsWith("fFromInt");

/** Format of the operands: the last letter of the mnemonic (FMV.X.W reads a single). */
const formatOf = (name: string): Format => (name.endsWith("D") ? "D" : "S");

/** Every operation with floating-point operands, for the coverage table. */
export const FLOAT_OPERATIONS: readonly FloatOperation[] = OPERATIONS.filter(
  (name) => !isFromInteger(name),
).map((name) => ({
  name,
  isRounded: ROUNDED.includes(INSTRUCTIONS[name][0]),
  classes: formatOf(name) === "S" ? FLOAT_CLASSES : DOUBLE_CLASSES,
}));

const ROUNDING_FIELDS: readonly (readonly [RoundingName, number])[] = [
  ["rne", 0],
  ["rtz", 1],
  ["rdn", 2],
  ["rup", 3],
  ["rmm", 4],
  ["dyn", 7],
];

/** A rounding mode for an instruction: one in fifty is reserved, which traps. */
function pickRounding(random: Random): readonly [RoundingName | "", number] {
  if (random.chance(2)) return ["", random.pick([5, 6])];
  if (random.chance(10)) return ["dyn", 7];
  return random.pick(ROUNDING_FIELDS);
}

function loadSlot(body: Body, register: number, slot: number): void {
  const { base, immediate } = body.reach(slot * 8);
  body.emit("fld", register, base, immediate);
}

/** Loads an operand of a random class; a boxed single comes by FLW or by FLD. */
function loadOperand(body: Body, format: Format): readonly [number, FloatClass] {
  const { random } = body;
  const kind = random.pick(format === "S" ? FLOAT_CLASSES : DOUBLE_CLASSES);
  const classes: readonly FloatClass[] = format === "S" ? FLOAT_CLASSES : DOUBLE_CLASSES;
  const first = (format === "S" ? SINGLE_SLOT : 0) + classes.indexOf(kind) * PER_CLASS;
  const slot = first + random.below(PER_CLASS);
  const register = body.float();
  if (format === "S" && kind !== "unboxed" && random.chance(60)) {
    const { base, immediate } = body.reach(slot * 8);
    body.emit("flw", register, base, immediate);
  } else loadSlot(body, register, slot);
  return [register, kind];
}

function operandsOf(name: InstructionName): number {
  const form = INSTRUCTIONS[name][0];
  if (form === "fFused") return 3;
  return form === "fRound" || form === "fPair" || form === "fCompare" ? 2 : 1;
}

/** Three registers with operands that belong together. */
function loadTriple(body: Body, format: Format): number[] {
  const { random } = body;
  const triple = random.below(TRIPLES) + (format === "S" ? TRIPLES : 0);
  const first = body.float();
  return [0, 1, 2].map((index) => {
    const register = (first + index) & 31;
    loadSlot(body, register, TRIPLE_SLOT + triple * 3 + index);
    return register;
  });
}

function floatSources(body: Body, name: InstructionName, rounding: RoundingName | ""): number[] {
  const { random, coverage } = body;
  const format = formatOf(name);
  const count = operandsOf(name);
  if (count === 3 && random.chance(40)) return loadTriple(body, format);
  if (count === 2 && random.chance(30)) {
    const [a, b, c] = loadTriple(body, format);
    return random.chance(60) ? [a, b] : [a, c];
  }
  const sources: number[] = [];
  const known: (readonly [number, FloatClass])[] = [];
  for (let index = 0; index < count; index++) {
    if (random.chance(20)) sources.push(body.float());
    else {
      const [register, kind] = loadOperand(body, format);
      sources.push(register);
      known.push([register, kind]);
    }
  }
  known.forEach(([register, kind], index) => {
    const isOverwritten = known.slice(index + 1).some((later) => later[0] === register);
    if (!isOverwritten) coverage.float(name, rounding, kind);
  });
  return sources;
}

/** One operation with its operands loaded, and sometimes the flags read or cleared after it. */
export const floatOperation: Generator = (body) => {
  const { random } = body;
  const name = random.pick(DRAWN);
  const isRounded = ROUNDED.includes(INSTRUCTIONS[name][0]);
  const [mode, field] = isRounded ? pickRounding(random) : (["", undefined] as const);
  const isToInteger = ["fToInt", "fToIntExact", "fCompare"].includes(INSTRUCTIONS[name][0]);
  const target = isToInteger ? body.target() : body.float();
  const sources = isFromInteger(name) ? [body.source()] : floatSources(body, name, mode);
  if (isFromInteger(name) && random.chance(50)) refreshInto(body, sources[0]);
  body.emitAny(name, field === undefined ? [target, ...sources] : [target, ...sources, field]);
  if (random.chance(45)) body.emit("csrrs", body.target(), "fflags", 0);
  else if (random.chance(30)) body.emit("csrrwi", body.target(), "fflags", random.below(32));
};

/** A floating-point operation with one bit of its function or rounding fields flipped. */
export const floatFlipped: Generator = (body) => {
  const { random } = body;
  const name = random.pick(OPERATIONS);
  const sources = Array.from({ length: operandsOf(name) }, () => body.float());
  const bits = encodeAny(name, [body.target(), ...sources]);
  body.word(bits ^ (1 << random.pick([12, 13, 14, 20, 21, 22, 25, 26, 27, 28, 29, 30, 31])));
};

function refreshInto(body: Body, register: number): void {
  if (register < 3 || register === 8 || register === 9 || register === 30) return;
  const { base, immediate } = body.reach(body.random.below(SLOTS) * 8);
  body.emit("ld", register, base, immediate);
}

/** Another dynamic mode; one in sixteen is reserved, so that DYN traps until the next change. */
export const floatMode: Generator = (body) => {
  const { random } = body;
  const mode = random.chance(6) ? random.between(5, 7) : random.below(5);
  if (random.chance(50)) return body.emit("csrrwi", body.target(), "frm", mode);
  const register = body.scratch();
  body.li(register, BigInt((mode << 5) | random.below(32)));
  body.emit("csrrw", body.target(), "fcsr", register);
};

/** A floating-point load or store in the part of the window that changes. */
export const floatAccess: Generator = (body) => {
  const { random } = body;
  const name = random.pick(["flw", "fld", "fsw", "fsd"] as const);
  const offset = body.writable(accessBytes(name), random.chance(70));
  const { base, immediate } = body.reach(offset);
  body.emit(name, body.float(), base, immediate);
};
