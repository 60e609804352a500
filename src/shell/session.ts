/**
 * session: runs command lines: finds the command, checks the line, runs it, shows what came, turns
 * errors into a line and a status.
 *
 * Owns    variables, aliases and history of one prompt, script or client.
 * Used by repl.ts, main.ts, control.ts.
 * Holds   0 is success, 1 a failure, 2 a wrong command line, 130 an interrupted one; with --json
 *         one document is printed, also for an error.
 */
import { VmError } from "../index.ts";
import { asksForHelp, asksForJson, type Caller, commandName, makeCall } from "./call.ts";
import {
  type Call,
  type CallSignal,
  CommandFailed,
  type CommandSpec,
  Interrupted,
  type SessionState,
  UsageError,
} from "./command.ts";
import { expand, ParseError, parse, type Statement } from "./parse.ts";
import { commandHelp, familyHelp, needsSession } from "./render.ts";
import { nearest } from "./wording.ts";

/** Aliases may name aliases this deep; scripts may source scripts this deep. */
const DEPTH_MAX = 16;

/** A signal that somebody aborts. */
export class Abort implements CallSignal {
  #isAborted = false;
  status = 130;
  readonly #listeners = new Set<() => void>();

  get aborted(): boolean {
    return this.#isAborted;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Tells everyone, once. */
  abort(status = 130): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.status = status;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** How errors are said and where running stops. */
export interface SourceOptions {
  /** "NAME:LINE" goes in front of errors when there is a name. */
  readonly name: string | null;
  /** Goes on behind a command that fails. */
  readonly isKeepingGoing: boolean;
  /** Stands in front of every error when there is no name: "rivulet: ". */
  readonly label: string;
  /** Number of the text's first line; 1 by default. */
  readonly firstLine?: number;
}

function unknown(word: string, names: readonly string[]): string {
  if (word === "") return "no command";
  const meant = nearest(word, names);
  const question = meant === null ? "" : `: did you mean "${meant}"?`;
  return `unknown command "${word}"${question}`;
}

/** The command that the words begin with, and the words behind it. Throws UsageError. */
export function findCommand(
  commands: readonly CommandSpec[],
  words: readonly string[],
): { readonly spec: CommandSpec; readonly rest: readonly string[] } {
  const [first = "", second] = words;
  const single = commands.find(({ family, name }) => family === "" && name === first);
  if (single !== undefined) return { spec: single, rest: words.slice(1) };
  const mine = commands.filter(({ family }) => family === first && first !== "");
  if (mine.length === 0) {
    const names = [...new Set(commands.map(({ family, name }) => family || name))];
    throw new UsageError(`${unknown(first, names)}; accepted: ${names.join(", ")}`);
  }
  const spec = mine.find(({ name }) => name === second);
  if (spec !== undefined) return { spec, rest: words.slice(2) };
  const names = mine.map(({ name }) => name);
  const given = unknown(second ?? "", names);
  throw new UsageError(`${first}: ${given}; accepted: ${names.join(", ")}, --help`);
}

function isHelpWord(word: string | undefined): boolean {
  return word === "--help" || word === "-h";
}

/** The help text that the words ask for, or null. Throws UsageError. */
function helpAskedFor(words: readonly string[], caller: Caller): string | null {
  const { commands } = caller;
  const [first, second] = words;
  const isFamily = commands.some(({ family }) => family !== "" && family === first);
  if (isFamily && (isHelpWord(second) || second === "help")) return familyHelp(first, commands);
  const { spec, rest } = findCommand(commands, words);
  return asksForHelp(spec, rest, caller.world.split) ? commandHelp(spec) : null;
}

/** What --json prints for an error. */
export function errorDocument(error: unknown): { error: { code: string; message: string } } {
  const { message } = error as Error;
  if (error instanceof UsageError) return { error: { code: "usage", message } };
  if (error instanceof VmError) return { error: { code: error.code, message } };
  if (error instanceof CommandFailed) return { error: { code: "failed", message } };
  if (error instanceof Interrupted) return { error: { code: "interrupted", message } };
  return { error: { code: "internal", message } };
}

function messageOf(error: unknown): string {
  const isKnown =
    error instanceof VmError || error instanceof UsageError || error instanceof CommandFailed;
  if (isKnown) return error.message;
  return (error as Error)?.stack ?? String(error);
}

/** Prints what a command gave. */
function show(spec: CommandSpec, result: unknown, call: Call): void {
  if (!call.isJson) {
    const text = spec.text(result, call);
    if (text !== "") call.streams.print(text);
    return;
  }
  const line = `${JSON.stringify(result)}\n`;
  if (spec.isConsole === true) call.streams.say(line);
  else call.streams.print(line);
}

/** Says an error; the status that goes with it. */
function report(error: unknown, label: string, isJson: boolean, caller: Caller): number {
  const { streams, signal } = caller;
  if (error instanceof Interrupted || signal.aborted) {
    if (isJson) streams.print(`${JSON.stringify(errorDocument(new Interrupted()))}\n`);
    return signal.status;
  }
  if (isJson) streams.print(`${JSON.stringify(errorDocument(error))}\n`);
  streams.say(`${label}${messageOf(error)}\n`);
  if (error instanceof CommandFailed) return error.status;
  return error instanceof UsageError ? 2 : 1;
}

/**
 * Refuses what works on a session alone, for callers whose session is one command long. Throws
 * UsageError.
 */
export function checkSession(spec: CommandSpec): void {
  if (!needsSession(spec)) return;
  const needs = "a shell: `rivulet`, or a script (`-f FILE`)";
  throw new UsageError(`${commandName(spec)} needs ${needs}`);
}

/**
 * Runs one command, given as words; its status. `check` throws UsageError for one that the caller
 * may not call. Throws nothing.
 */
export async function runWords(
  words: readonly string[],
  caller: Caller,
  label: string,
  check: (spec: CommandSpec) => void = () => {},
): Promise<number> {
  try {
    return await carryOut(words, caller, label, check);
  } catch (error) {
    return report(error, label, asksForJson(words), caller);
  }
}

async function carryOut(
  words: readonly string[],
  caller: Caller,
  label: string,
  check: (spec: CommandSpec) => void,
): Promise<number> {
  const help = helpAskedFor(words, caller);
  if (help !== null) {
    caller.streams.print(help);
    return 0;
  }
  const { spec, rest } = findCommand(caller.commands, words);
  check(spec);
  const call = makeCall(spec, rest, caller);
  try {
    show(spec, await spec.run(call), call);
    return 0;
  } catch (error) {
    if (!(error instanceof CommandFailed) || error.result == null) throw error;
    show(spec, error.result, call);
    if (error.message !== "") caller.streams.say(`${label}${error.message}\n`);
    return error.status;
  }
}

/** One prompt, script or client. */
export class Session implements SessionState {
  readonly variables = new Map<string, string>([["?", "0"]]);
  readonly aliases = new Map<string, string>();
  readonly history: string[] = [];
  readonly folder: string;
  exit: number | null = null;
  #depth = 0;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Sets $0, $1 ... and $#. */
  setArguments(name: string, values: readonly string[]): void {
    const all = [name, ...values];
    for (const [index, value] of all.entries()) this.variables.set(`${index}`, value);
    this.variables.set("#", `${values.length}`);
  }

  /** Words of a statement, variables and aliases replaced. Throws UsageError. */
  #wordsOf(statement: Statement, used: readonly string[] = []): string[] {
    const [first, ...rest] = statement.words;
    const name = expand(first, this.variables);
    const text = first.isPlain && !used.includes(name) ? this.aliases.get(name) : undefined;
    const others = rest.map((word) => expand(word, this.variables));
    if (text === undefined || used.length >= DEPTH_MAX) return [name, ...others];
    const statements = parse(text);
    if (statements.length !== 1) {
      throw new UsageError(`alias ${name}: "${text}" is not one command`);
    }
    return [...this.#wordsOf(statements[0], [...used, name]), ...others];
  }

  /** Runs one statement; its status, also in $?. */
  async runStatement(statement: Statement, caller: Caller, label: string): Promise<number> {
    let status: number;
    try {
      status = await runWords(this.#wordsOf(statement), caller, label);
    } catch (error) {
      status = report(error, label, false, caller);
    }
    this.variables.set("?", `${status}`);
    return status;
  }

  /**
   * Runs the statements of a text up to the first that fails, or to `exit`; the last status that is
   * not 0, or 0.
   */
  async run(text: string, caller: Caller, options: SourceOptions): Promise<number> {
    const labelAt = (line: number) => {
      const number = line + (options.firstLine ?? 1) - 1;
      return options.name === null ? options.label : `${options.name}:${number}: `;
    };
    let statements: readonly Statement[];
    try {
      statements = parse(text);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return report(error, labelAt(error.line), false, caller);
    }
    let failed = 0;
    for (const statement of statements) {
      const status = await this.runStatement(statement, caller, labelAt(statement.line));
      // a signal, or the end of our reader, may be waiting to be noticed
      await caller.world.breathe();
      if (this.exit !== null) return this.exit;
      if (status !== 0) failed = status;
      if (caller.signal.aborted || (status !== 0 && !options.isKeepingGoing)) return status;
    }
    return failed;
  }

  async source(text: string, name: string, call: Call): Promise<number> {
    if (this.#depth >= DEPTH_MAX) {
      throw new VmError("limit", `${name}: scripts source each other ${DEPTH_MAX} deep`);
    }
    this.#depth++;
    try {
      return await this.run(text, call, { name, isKeepingGoing: false, label: "" });
    } finally {
      this.#depth--;
    }
  }
}
