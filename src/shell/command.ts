/**
 * command: what a command of the shell is: one entry of the typed table from which help,
 * completion, docs/commands.md, argument checking and the test that runs every command come.
 *
 * Owns    the contract and the errors that a command throws. Families implement it in commands/,
 *         one file each; registry.ts lists them.
 * Holds   a command returns data that its `result` schema describes, and `text` turns that data
 *         into lines for people: what `--json` prints and what a person reads cannot drift apart.
 */
import type { z } from "zod";
import type { Fleet } from "./fleet.ts";
import type { Vm } from "./vm.ts";
import type { DiskMode, World } from "./world.ts";

/** A disk as given: where it is and how it is opened. */
export interface DiskSpec {
  /** Absolute. */
  readonly path: string;
  readonly mode: DiskMode;
}

/** How a value is read, checked and completed. */
export type ValueKind =
  /** Any text. */
  | "text"
  /** A whole number, decimal or 0x...; `least` and `most` bound it. */
  | "integer"
  /** A size: bytes, or a number with K, M or G; the value is a number of bytes. */
  | "bytes"
  /** A guest address: decimal, 0x..., or symbol[+offset] of the VM before it; a bigint. */
  | "address"
  /** A time span: 500ms, 10s, 2m; the value is milliseconds. */
  | "duration"
  /** A path on the host. */
  | "file"
  /** One of `choices`. */
  | "choice"
  /** The name of a machine of this shell. */
  | "machine"
  /** The name of a guest that can be booted. */
  | "guest"
  /** FILE, FILE,ro or FILE,cow; read with `diskOf` (call.ts). */
  | "disk"
  /** The name of a device of the machine before it. */
  | "device"
  /** A snapshot of the mounted store: NAME, MACHINE/NAME or an id. */
  | "snapshot"
  /** A migration of this shell: its machine's name, or the beginning of its id. */
  | "migration"
  /** A family, or a command of the family before it. */
  | "command"
  /** The name of a variable of the session. */
  | "variable";

/** What is accepted. */
export interface ValueSpec {
  readonly kind: ValueKind;
  readonly help: string;
  readonly choices?: readonly string[];
  readonly least?: number;
  readonly most?: number;
}

/** A positional argument. */
export interface ParameterSpec extends ValueSpec {
  /** As shown in usage lines: VM, FILE. */
  readonly name: string;
  readonly isOptional?: boolean;
  /** Takes everything that is left; the last one only. */
  readonly isRest?: boolean;
}

/** An option: a flag when it has no `value`. */
export interface CommandOption extends Partial<ValueSpec> {
  readonly help: string;
  /** Name of the value in help, such as N or FILE. */
  readonly value?: string;
  readonly isRepeated?: boolean;
}

/** One command. `Result` is the zod schema of what it gives back. */
export interface CommandSpec<Result extends z.ZodType = z.ZodType> {
  /** First word, such as "vm"; empty for a command of one word. */
  readonly family: string;
  /** Second word, or the only one. */
  readonly name: string;
  /** One line for lists; starts with a verb, no full stop. */
  readonly summary: string;
  /** More for `help FAMILY COMMAND`: what it does not do, what it waits for. */
  readonly details?: string;
  readonly parameters: readonly ParameterSpec[];
  readonly options: Readonly<Record<string, CommandOption>>;
  /** One line that works when typed, without `rivulet` in front: "vm start web". */
  readonly example: string;
  /** Its stdout is a console: the document of --json goes to stderr. */
  readonly isConsole?: boolean;
  /**
   * Makes no sense as `rivulet FAMILY COMMAND`, where the process ends with the command. Needless
   * for commands with a parameter of kind "machine": those are refused there anyhow.
   */
  readonly isShellOnly?: boolean;
  /** The JSON shape. Every command of the registry has one. */
  readonly result?: Result;
  /**
   * Throws VmError (exit 1) or UsageError (exit 2); CommandFailed for a failure with a result;
   * Interrupted (exit 130) when `call.signal` ended it.
   */
  run(call: Call): Promise<z.output<Result>>;
  /** Lines for people; "" prints nothing. */
  text(result: z.output<Result>, call: Call): string;
}

/** Keeps the schema's type while the table holds commands of every type. */
export function command<Result extends z.ZodType>(spec: CommandSpec<Result>): CommandSpec {
  return spec as unknown as CommandSpec;
}

/** Where a session's text goes and where its keys come from: this terminal, or a control client. */
export interface SessionStreams {
  /** True when a person may type into it: attach is raw then. */
  readonly isTerminal: boolean;
  /** True when progress may overwrite its own line: stderr is a terminal of this process. */
  readonly isProgressLive: boolean;
  /** Results: stdout. */
  print(text: string): void;
  /** Progress and notices: stderr. */
  say(text: string): void;
  /** Raw bytes to stdout: consoles. False when they pile up; `drained` settles afterwards. */
  write(bytes: Uint8Array): boolean;
  drained(): Promise<void>;
  /** Takes every byte typed until the returned function is called; null once at the end. */
  listen(onInput: (bytes: Uint8Array | null) => void): () => void;
  /** Stops reading input, or goes on. */
  holdInput(isHeld: boolean): void;
  /** Calls back once when output can go nowhere any more. */
  onBroken(listener: () => void): void;
  /** Settles when everything written has left. */
  flush(): Promise<void>;
}

/** One call of a command: its checked arguments and what it may touch. */
export interface Call {
  readonly fleet: Fleet;
  readonly world: World;
  readonly streams: SessionStreams;
  /** Aborted by Ctrl-C, by a signal, or by a client that went away. */
  readonly signal: CallSignal;
  /** The whole table, for help and the like. */
  readonly commands: readonly CommandSpec[];
  readonly isJson: boolean;
  /** Variables, aliases, history and the working folder of whoever calls. */
  readonly session: SessionState;
  /** True when the argument or option was given. */
  has(name: string): boolean;
  /** By parameter name ("VM") or option name ("memory"); undefined when it was not given. */
  text(name: string): string | undefined;
  number(name: string): number | undefined;
  address(name: string): bigint | undefined;
  /** Every value of a repeated option or of a rest parameter. */
  all(name: string): readonly string[];
  /** The first value made an absolute path, seen from the caller's folder. */
  path(name: string): string | undefined;
  /** Any path made absolute, seen from the caller's folder. */
  resolve(path: string): string;
  /** The machine that parameter "VM", or `name`, names. Throws VmError "not-found". */
  vm(name?: string): Vm;
}

/** The part of AbortSignal that commands need; every host has it. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** The signal of a call. */
export interface CallSignal extends AbortSignalLike {
  /** Exit status of a command that it ended: 130 for Ctrl-C, 128 + number of a signal. */
  readonly status: number;
}

/** What outlives a command within one session. */
export interface SessionState {
  readonly variables: Map<string, string>;
  readonly aliases: Map<string, string>;
  readonly history: string[];
  /** Absolute path that relative ones start from. */
  readonly folder: string;
  /** Set by `exit`: the session's exit status. */
  exit: number | null;
  /** Runs a text of commands up to the first that fails; its status. `name` is for messages. */
  source(text: string, name: string, call: Call): Promise<number>;
}

/** A command line that is not one: exit 2. The message is one line: the given and the accepted. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** A command that Ctrl-C, or its client's going away, ended: exit 130, nothing more is said. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

/** Throws Interrupted when the signal is aborted. */
export function checkSignal(signal: AbortSignalLike): void {
  if (signal.aborted) throw new Interrupted();
}

/**
 * A command that did its work and whose answer is no: exit `status`, with the result printed all
 * the same (`vm exec` of a command that fails, `console wait` that ran out of time).
 */
export class CommandFailed extends Error {
  readonly status: number;
  readonly result: unknown;

  constructor(status: number, result: unknown, message: string) {
    super(message);
    this.name = "CommandFailed";
    this.status = status;
    this.result = result;
  }
}
