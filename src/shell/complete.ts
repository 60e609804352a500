/**
 * complete: what could stand where a command line ends.
 *
 * Used by repl.ts.
 * Holds   never throws and never waits for a machine: a wrong line has no completions.
 */
import { COMMON_OPTIONS } from "./call.ts";
import type { CommandSpec, SessionState, ValueSpec } from "./command.ts";
import type { Fleet } from "./fleet.ts";
import { quote } from "./parse.ts";
import type { World } from "./world.ts";

/** What completion looks at. */
export interface CompletionParts {
  readonly commands: readonly CommandSpec[];
  readonly fleet: Fleet;
  readonly world: World;
  readonly session: SessionState;
}

/** Candidates, and the piece at the line's end that they replace. */
export type Completion = readonly [readonly string[], string];

interface Line {
  /** Words before the last one, without their quotes. */
  readonly words: readonly string[];
  /** The last word as typed; empty behind a blank. */
  readonly raw: string;
  /** The last word without quotes. */
  readonly last: string;
}

/** Splits the last statement; an open quote is fine here. */
function split(line: string): Line {
  let words: string[] = [];
  let raw = "";
  let last = "";
  let open = "";
  for (let at = 0; at < line.length; at++) {
    const character = line[at];
    if (open === "" && character === ";") {
      words = [];
      raw = last = "";
      continue;
    }
    if (open === "" && /\s/.test(character)) {
      if (raw !== "") words.push(last);
      raw = last = "";
      continue;
    }
    raw += character;
    if (character === open) open = "";
    else if (open === "" && (character === "'" || character === '"')) open = character;
    else if (character === "\\" && open !== "'" && at + 1 < line.length) {
      raw += line[++at];
      last += line[at];
    } else last += character;
  }
  return { words, raw, last };
}

/** Replaces a leading alias. */
function withoutAlias(words: readonly string[], session: SessionState): readonly string[] {
  const text = session.aliases.get(words[0] ?? "");
  return text === undefined ? words : [...split(`${text} `).words, ...words.slice(1)];
}

function firstWords({ commands, session }: CompletionParts): string[] {
  const names = commands.map(({ family, name }) => family || name);
  return [...new Set([...names, ...session.aliases.keys()])];
}

async function files(text: string, parts: CompletionParts): Promise<string[]> {
  const slash = text.lastIndexOf("/") + 1;
  const folder = text.slice(0, slash);
  const path = parts.world.resolvePath(parts.session.folder, folder === "" ? "." : folder);
  const names = await parts.world.listFolder(path);
  const isHidden = (name: string) => name.startsWith(".") && !text.slice(slash).startsWith(".");
  return names.filter((name) => !isHidden(name)).map((name) => folder + name);
}

/** Values of a kind. */
async function values(
  spec: Partial<ValueSpec>,
  line: Line,
  parts: CompletionParts,
): Promise<readonly string[]> {
  const { fleet, world, session, commands } = parts;
  switch (spec.kind) {
    case "choice":
      return spec.choices ?? [];
    case "machine":
      return fleet.vms.map(({ name }) => name);
    case "guest":
      return [world.guests.builtin, ...world.guests.list().map(({ name }) => name)];
    case "file":
    case "disk":
      return files(line.last, parts);
    case "snapshot":
      return fleet.snapshots.names;
    case "migration":
      return fleet.migrations.names;
    case "variable":
      return [...session.variables.keys()].filter((name) => /^[A-Za-z_]/.test(name));
    case "command": {
      const family = line.words[1];
      if (line.words.length < 2) return firstWords(parts);
      return commands.filter((one) => one.family === family).map(({ name }) => name);
    }
    case "device": {
      const vm = fleet.vms.find(({ name }) => line.words.includes(name));
      return vm === undefined ? [] : vm.machine.devices.bus.devices.map(({ name }) => name);
    }
    default:
      return spec.choices ?? [];
  }
}

/** Candidates behind the command's name. */
async function argumentsOf(
  spec: CommandSpec,
  line: Line,
  parts: CompletionParts,
): Promise<readonly string[]> {
  const table = { ...spec.options, ...COMMON_OPTIONS };
  const rest = line.words.slice(spec.family === "" ? 1 : 2);
  const given = new Set<string>();
  let position = 0;
  let isText = false;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at];
    if (isText || !word.startsWith("--")) position++;
    else if (word === "--") isText = true;
    else {
      const [name] = word.slice(2).split("=");
      given.add(name);
      const option = Object.hasOwn(table, name) ? table[name] : undefined;
      if (option?.value === undefined || word.includes("=")) continue;
      if (at === rest.length - 1) return values(option, line, parts);
      at++;
    }
  }
  if (line.last.startsWith("-") && !isText) {
    const names = Object.keys(table).filter(
      (name) => !given.has(name) || table[name].isRepeated === true,
    );
    return names.map((name) => `--${name}`);
  }
  const { parameters } = spec;
  const parameter = parameters[position] ?? parameters.findLast(({ isRest }) => isRest === true);
  return parameter === undefined ? [] : values(parameter, line, parts);
}

async function candidates(line: Line, parts: CompletionParts): Promise<readonly string[]> {
  const { commands } = parts;
  const [first, second] = line.words;
  if (first === undefined) return firstWords(parts);
  const single = commands.find(({ family, name }) => family === "" && name === first);
  if (single !== undefined) return argumentsOf(single, line, parts);
  const mine = commands.filter(({ family }) => family === first);
  if (second === undefined) return mine.map(({ name }) => name);
  const spec = mine.find(({ name }) => name === second);
  return spec === undefined ? [] : argumentsOf(spec, line, parts);
}

/** The candidates for the end of a line. */
export async function complete(text: string, parts: CompletionParts): Promise<Completion> {
  const typed = split(text);
  const line = { ...typed, words: withoutAlias(typed.words, parts.session) };
  const { last, raw } = line;
  if (/^\$\{?\w*$/.test(last)) {
    const prefix = last.startsWith("${") ? "${" : "$";
    const end = prefix === "${" ? "}" : "";
    const names = [...parts.session.variables.keys()].filter((name) => /^[A-Za-z_]/.test(name));
    const all = names.map((name) => `${prefix}${name}${end}`);
    return [all.filter((one) => one.startsWith(last)), raw];
  }
  const found = await candidates(line, parts);
  const fitting = found.filter((one) => one.startsWith(last)).sort();
  const isWhole = (one: string) => !one.endsWith("/") && !one.endsWith("=");
  return [fitting.map((one) => quote(one) + (isWhole(one) ? " " : "")), raw];
}
