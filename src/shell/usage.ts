/**
 * usage: command lines read by a table of options, with errors that say what was given and what is
 * accepted.
 *
 * Used by every command of src/shell/commands/.
 * Holds   an option that the table does not name is an error; a value is never guessed from its
 *         look.
 */
import type { SplitArguments } from "./call.ts";
import { UsageError } from "./command.ts";

export type { SplitArguments } from "./call.ts";
export { UsageError };

/** One option of a command. */
export interface OptionSpec {
  /** Name of the value in help; none for a flag. */
  readonly value?: string;
  readonly help: string;
  readonly isRepeated?: boolean;
}

/** The options of a command, by name without the dashes. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** What was given: flags as true, values as strings, in order. */
export interface Arguments {
  readonly files: readonly string[];
  readonly options: ReadonlyMap<string, readonly string[]>;
}

function nearest(name: string, table: OptionTable): string {
  const names = Object.keys(table);
  const close = names.find((known) => known.startsWith(name) || name.startsWith(known));
  return close === undefined ? names.map((known) => `--${known}`).join(" ") : `--${close}`;
}

/**
 * Checks a command line against the table: `--name value` or `--name=value`; `--` ends options.
 * Throws UsageError.
 */
export function readArguments(
  command: string,
  args: readonly string[],
  table: OptionTable,
  split: SplitArguments,
): Arguments {
  const entries = Object.entries(table);
  const types = Object.fromEntries(
    entries.map(([name, spec]) => [name, spec.value === undefined ? "boolean" : "string"] as const),
  );
  const files: string[] = [];
  const options = new Map<string, string[]>();
  for (const token of split(args, types)) {
    if (token.kind === "positional") files.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    const spec = Object.hasOwn(table, name) && rawName.startsWith("--") ? table[name] : undefined;
    if (spec === undefined) {
      const accepted = nearest(name, table);
      throw new UsageError(`${command}: unknown option ${rawName}; accepted: ${accepted}`);
    }
    if (spec.value === undefined && value !== undefined) {
      throw new UsageError(`${command}: --${name} takes no value, given "${value}"`);
    }
    if (spec.value !== undefined && value === undefined) {
      throw new UsageError(`${command}: --${name} needs a value: --${name} ${spec.value}`);
    }
    const all = options.get(name) ?? [];
    if (all.length > 0 && spec.isRepeated !== true) {
      throw new UsageError(`${command}: --${name} is given twice`);
    }
    options.set(name, [...all, value ?? ""]);
  }
  return { files, options };
}

/** The option's value, or undefined when it was not given. */
export function optionOf(args: Arguments, name: string): string | undefined {
  return args.options.get(name)?.[0];
}

/** A whole number from `least` to `most`. Throws UsageError. */
export function numberOf(args: Arguments, name: string, least: number, most: number) {
  const text = optionOf(args, name);
  if (text === undefined) return undefined;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new UsageError(`--${name} "${text}": accepted are whole numbers from ${least} to ${most}`);
}

/** Lines of help for a table of options. */
export function optionHelp(table: OptionTable): string {
  const rows = Object.entries(table).map(([name, spec]) => [
    `  --${name}${spec.value === undefined ? "" : ` ${spec.value}`}`,
    spec.help,
  ]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => left.padEnd(width) + right).join("\n");
}
