/**
 * call: a command line read and checked by the command's entry in the table: what its `run` gets.
 *
 * Used by session.ts for every command there is, `run` included.
 * Holds   an option that the entry does not name is an error; a value is read by its kind, never
 *         guessed from its look; every refusal says what was given and what is accepted.
 */
import { parseBytes } from "../index.ts";
import {
  type Call,
  type CallSignal,
  type CommandOption,
  type CommandSpec,
  type DiskSpec,
  type ParameterSpec,
  type SessionState,
  type SessionStreams,
  UsageError,
  type ValueSpec,
} from "./command.ts";
import type { Fleet } from "./fleet.ts";
import { nearest } from "./wording.ts";
import type { World } from "./world.ts";

/**
 * What a splitter of command lines gives, in order; the shape of Node's util.parseArgs with
 * `tokens`.
 */
export type ArgumentToken =
  | {
      readonly kind: "option";
      readonly name: string;
      readonly rawName: string;
      readonly value?: string | undefined;
      readonly inlineValue?: boolean | undefined;
    }
  | { readonly kind: "positional"; readonly value: string }
  | { readonly kind: "option-terminator" };

/** Splits a command line; the binary hands in Node's util.parseArgs. */
export type SplitArguments = (
  args: readonly string[],
  types: Record<string, "string" | "boolean">,
) => readonly ArgumentToken[];

/** What every command takes. */
export const COMMON_OPTIONS: Readonly<Record<string, CommandOption>> = {
  json: { help: "print one JSON document instead of text" },
  help: { help: "this text" },
};

/** The words that call a command: "vm start", or "help". */
export function commandName(spec: CommandSpec): string {
  return spec.family === "" ? spec.name : `${spec.family} ${spec.name}`;
}

/** "VM", "[FILE]", "WORD...". */
export function parameterUsage({ name, isOptional, isRest }: ParameterSpec): string {
  const text = isRest === true ? `${name}...` : name;
  return isOptional === true ? `[${text}]` : text;
}

/** "vm start VM": one line with the parameters, without options. */
export function usageLine(spec: CommandSpec): string {
  return [commandName(spec), ...spec.parameters.map(parameterUsage)].join(" ");
}

type Texts = ReadonlyMap<string, readonly string[]>;

/** What was given, by name of parameter and option. */
interface Given {
  readonly words: Texts;
  readonly options: Texts;
}

function unknownOption(spec: CommandSpec, name: string, rawName: string): UsageError {
  const known = Object.keys({ ...spec.options, ...COMMON_OPTIONS });
  const longer = known.find((one) => one.startsWith(name) || name.startsWith(one));
  const close = longer ?? nearest(name, known);
  const accepted = (close === null ? known : [close]).map((one) => `--${one}`).join(" ");
  const hint = spec.parameters.some(({ isRest }) => isRest) ? "; behind `--` all is text" : "";
  return new UsageError(
    `${commandName(spec)}: unknown option ${rawName}; accepted: ${accepted}${hint}`,
  );
}

/** Options and the words between them. */
function separate(spec: CommandSpec, argv: readonly string[], split: SplitArguments) {
  const table = { ...spec.options, ...COMMON_OPTIONS };
  const types = Object.fromEntries(
    Object.entries(table).map(([name, { value }]) => {
      return [name, value === undefined ? "boolean" : "string"] as const;
    }),
  );
  const command = commandName(spec);
  const words: string[] = [];
  const options = new Map<string, string[]>();
  for (const token of split(argv, types)) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const { rawName, value } = token;
    const name = rawName === "-h" ? "help" : token.name;
    const isNamed = Object.hasOwn(table, name) && (rawName.startsWith("--") || rawName === "-h");
    if (!isNamed) throw unknownOption(spec, name, rawName);
    const option = table[name];
    if (option.value === undefined && value !== undefined) {
      throw new UsageError(`${command}: --${name} takes no value, given "${value}"`);
    }
    if (option.value !== undefined && value === undefined) {
      throw new UsageError(`${command}: --${name} needs a value: --${name} ${option.value}`);
    }
    const all = options.get(name) ?? [];
    if (all.length > 0 && option.isRepeated !== true && option.value !== undefined) {
      throw new UsageError(`${command}: --${name} is given twice`);
    }
    options.set(name, [...all, value ?? ""]);
  }
  return { words, options };
}

/** Deals the words to the parameters. */
function deal(spec: CommandSpec, words: readonly string[]): Texts {
  const dealt = new Map<string, readonly string[]>();
  let next = 0;
  for (const parameter of spec.parameters) {
    const mine = parameter.isRest === true ? words.slice(next) : words.slice(next, next + 1);
    next += mine.length;
    if (mine.length > 0) dealt.set(parameter.name, mine);
    else if (parameter.isOptional !== true) {
      const usage = `usage: ${usageLine(spec)}`;
      throw new UsageError(`${commandName(spec)}: ${parameter.name} is missing; ${usage}`);
    }
  }
  if (next < words.length) {
    const usage = `usage: ${usageLine(spec)}`;
    const given = words.join(" and ");
    throw new UsageError(`${commandName(spec)}: given ${given}: one too many; ${usage}`);
  }
  return dealt;
}

/** True when the line asks for help instead of work. Throws UsageError. */
export function asksForHelp(spec: CommandSpec, argv: readonly string[], split: SplitArguments) {
  return separate(spec, argv, split).options.has("help");
}

/** True when --json stands among the words; also on a line that is wrong otherwise. */
export function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).includes("--json");
}

// ---- values ----

function refuse(label: string, text: string, accepted: string): never {
  throw new UsageError(`${label} "${text}": accepted are ${accepted}`);
}

function integerOf(label: string, text: string, spec: ValueSpec): number {
  const least = spec.least ?? 0;
  const most = spec.most ?? Number.MAX_SAFE_INTEGER;
  const number = /^(-?\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  const isOpen = spec.most === undefined;
  refuse(label, text, `whole numbers from ${least}${isOpen ? " on" : ` to ${most}`}`);
}

function bytesOf(label: string, text: string, spec: ValueSpec): number {
  const accepted = "a number of bytes, or one with K, M or G";
  if (!/^\d+[KMG]?$/i.test(text)) refuse(label, text, accepted);
  const bytes = parseBytes(text);
  const least = spec.least ?? 0;
  const most = spec.most ?? Number.MAX_SAFE_INTEGER;
  if (bytes >= least && bytes <= most) return bytes;
  refuse(label, text, `${least} to ${most} bytes`);
}

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationOf(label: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null) refuse(label, text, "time spans such as 500ms, 10s, 2m (plain: seconds)");
  return Number(match[1]) * DURATION_UNITS[match[2] ?? "s"];
}

/** Reads FILE, FILE,ro or FILE,cow; `resolve` makes the path absolute. Throws UsageError. */
export function diskOf(text: string, resolve: (path: string) => string, label = "disk"): DiskSpec {
  const comma = text.lastIndexOf(",");
  if (comma < 0) return { path: resolve(text), mode: "rw" };
  const mode = text.slice(comma + 1);
  if (mode === "ro" || mode === "cow") return { path: resolve(text.slice(0, comma)), mode };
  refuse(label, text, "FILE, FILE,ro and FILE,cow");
}

function addressOf(label: string, text: string, symbols: SymbolLookup | null): bigint {
  if (/^(\d+|0x[0-9a-f]+)$/i.test(text)) {
    const value = BigInt(text);
    if (value < 1n << 64n) return value;
  }
  const match = /^([A-Za-z_.$][\w.$]*)(?:\+(\d+|0x[0-9a-f]+))?$/i.exec(text);
  const base = match === null ? undefined : symbols?.addressOf(match[1]);
  if (match !== null && base !== undefined) {
    return BigInt.asUintN(64, base + BigInt(match[2] ?? 0));
  }
  const names = symbols === null ? "" : " and names of loaded symbols, with +OFFSET";
  refuse(label, text, `addresses below 2^64 such as 4096 or 0x80200000${names}`);
}

/** Names in the guest that may stand for addresses. */
export interface SymbolLookup {
  addressOf(name: string): bigint | undefined;
  /** "name+0x10"; null when no name is near. */
  nameOf(address: bigint): string | null;
}

/** Reads a text by its kind: what `call.number` and `call.address` give. Throws UsageError. */
export function readValue(
  label: string,
  text: string,
  spec: ValueSpec,
  symbols: SymbolLookup | null = null,
): string | number | bigint {
  switch (spec.kind) {
    case "integer":
      return integerOf(label, text, spec);
    case "bytes":
      return bytesOf(label, text, spec);
    case "duration":
      return durationOf(label, text);
    case "address":
      return addressOf(label, text, symbols);
    case "choice": {
      const choices = spec.choices ?? [];
      const accepted = choices.join(", ").replace(/, ([^,]*)$/, " and $1");
      if (!choices.includes(text)) refuse(label, text, accepted);
      return text;
    }
    case "disk":
      diskOf(text, (path) => path, label);
      return text;
    default:
      return text;
  }
}

/** Where a call comes from. */
export interface Caller {
  readonly fleet: Fleet;
  readonly world: World;
  readonly streams: SessionStreams;
  readonly signal: CallSignal;
  readonly commands: readonly CommandSpec[];
  readonly session: SessionState;
}

class CheckedCall implements Call {
  readonly fleet: Fleet;
  readonly world: World;
  readonly streams: SessionStreams;
  readonly signal: CallSignal;
  readonly commands: readonly CommandSpec[];
  readonly session: SessionState;
  readonly isJson: boolean;
  readonly #texts: Texts;
  readonly #values = new Map<string, readonly (string | number | bigint)[]>();

  constructor(spec: CommandSpec, given: Given, caller: Caller) {
    this.fleet = caller.fleet;
    this.world = caller.world;
    this.streams = caller.streams;
    this.signal = caller.signal;
    this.session = caller.session;
    this.commands = caller.commands;
    this.isJson = given.options.has("json");
    this.#texts = new Map([...given.words, ...given.options]);
    const symbols = this.#symbols(spec);
    for (const { name, ...value } of spec.parameters) this.#check(name, name, value, symbols);
    for (const [name, option] of Object.entries(spec.options)) {
      if (option.value === undefined) continue;
      this.#check(name, `--${name}`, { kind: "text", ...option }, symbols);
    }
  }

  /** Those of the machine that the command is about. */
  #symbols(spec: CommandSpec): SymbolLookup | null {
    const machine = spec.parameters.find(({ kind }) => kind === "machine");
    const name = machine === undefined ? undefined : this.text(machine.name);
    return this.fleet.vms.find((vm) => vm.name === name)?.symbols ?? null;
  }

  #check(name: string, label: string, spec: ValueSpec, symbols: SymbolLookup | null): void {
    const texts = this.#texts.get(name);
    if (texts === undefined) return;
    this.#values.set(
      name,
      texts.map((text) => readValue(label, text, spec, symbols)),
    );
  }

  has(name: string): boolean {
    return this.#texts.has(name);
  }

  text(name: string): string | undefined {
    return this.#texts.get(name)?.[0];
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name)?.[0];
    return typeof value === "number" ? value : undefined;
  }

  address(name: string): bigint | undefined {
    const value = this.#values.get(name)?.[0];
    return typeof value === "bigint" ? value : undefined;
  }

  all(name: string): readonly string[] {
    return this.#texts.get(name) ?? [];
  }

  path(name: string): string | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : this.resolve(text);
  }

  resolve(path: string): string {
    return this.world.resolvePath(this.session.folder, path);
  }

  vm(name = "VM"): ReturnType<Call["vm"]> {
    return this.fleet.get(this.text(name) ?? "");
  }
}

/** Reads the words behind a command's name. Throws UsageError. */
export function makeCall(spec: CommandSpec, argv: readonly string[], caller: Caller): Call {
  const { words, options } = separate(spec, argv, caller.world.split);
  return new CheckedCall(spec, { words: deal(spec, words), options }, caller);
}
