/**
 * main: what a command line of `rivulet` is: the shell, a script, one command here, or one command
 * in another process.
 *
 * Used by src/cli.ts.
 */
import { asksForJson, type Caller, commandName } from "./call.ts";
import { type CommandSpec, type SessionStreams, UsageError } from "./command.ts";
import { runAlone } from "./commands/run.ts";
import type { ControlServer } from "./control.ts";
import { Fleet } from "./fleet.ts";
import { overview, pairs, runsAlone } from "./render.ts";
import { localStreams, runPrompt, type ShellParts, sayUnwritten } from "./repl.ts";
import { runLines } from "./script.ts";
import { Abort, checkSession, errorDocument, runWords, Session } from "./session.ts";
import type { World } from "./world.ts";

const LABEL = "rivulet: ";
/** Exit status when whoever read our output went away (128 + SIGPIPE). */
const STATUS_PIPE = 141;

const OPTION_ROWS = [
  ["-f FILE [ARGUMENT...]", "run the commands of a file, - for stdin; $1 ... are the arguments"],
  ["--keep-going", "with -f: go on behind a command that fails"],
  ["--control unix:PATH", "serve `rivulet --connect unix:PATH` meanwhile"],
  ["--connect unix:PATH", "run the command in the process that serves PATH"],
  ["--help, --version", ""],
] as const;

/** Options that stand for a command. */
const FIRST_WORDS: readonly string[] = ["--help", "-h", "--version"];

function help(commands: readonly CommandSpec[]): string {
  return `Usage: rivulet [options]                      the shell
       rivulet [options] -f FILE [ARGUMENT...]
       rivulet [options] COMMAND | FAMILY COMMAND [arguments]

A RISC-V machine emulator and virtual machine monitor in WebAssembly.

${pairs(OPTION_ROWS)}

Commands; \`rivulet help FAMILY\` and \`rivulet FAMILY COMMAND --help\` say more:

${overview(commands)}
Example:
  rivulet run --guest debian
`;
}

/** A command line, its own options taken off. */
interface Invocation {
  readonly control?: string;
  readonly connect?: string;
  readonly script?: string;
  readonly isKeepingGoing: boolean;
  /** The command, or the arguments of the script. */
  readonly words: readonly string[];
}

/** Takes `rivulet`'s own options off: those before the command, and --connect anywhere. */
function readInvocation(argv: readonly string[]): Invocation {
  const words: string[] = [];
  const given: { control?: string; connect?: string; script?: string } = {};
  let isKeepingGoing = false;
  const valueAt = (at: number, name: string, usage: string): string => {
    const value = argv[at];
    if (value === undefined) throw new UsageError(`${name} needs a value: ${name} ${usage}`);
    return value;
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at];
    const isBefore = words.length === 0;
    const [name, inline] = /^--(?:connect|control)=/.test(word)
      ? [word.slice(0, 9), word.slice(10)]
      : [word, undefined];
    if (word === "--" || (given.script !== undefined && words.length > 0)) {
      // one in front of the command ends our own options; one behind it is the command's
      words.push(...argv.slice(word === "--" && isBefore ? at + 1 : at));
      break;
    }
    if (name === "--connect") given.connect = inline ?? valueAt(++at, name, "unix:PATH");
    else if (isBefore && name === "--control") {
      given.control = inline ?? valueAt(++at, name, "unix:PATH");
    } else if (isBefore && word === "--keep-going") isKeepingGoing = true;
    else if (isBefore && word === "-f") given.script = valueAt(++at, "-f", "FILE");
    else if (isBefore && /^-./.test(word) && !FIRST_WORDS.includes(word)) {
      const accepted = OPTION_ROWS.map(([usage]) => usage).join(", ");
      const hint = "a command's own options stand behind it";
      throw new UsageError(`unknown option ${word}; accepted: ${accepted}; ${hint}`);
    } else words.push(word);
  }
  return { ...given, isKeepingGoing, words };
}

const asksForHelp = (words: readonly string[]) =>
  words.some((word) => word === "--help" || word === "-h");

/** Refuses what would be gone when the process ends with the command. Throws UsageError. */
function checkAlone(spec: CommandSpec): void {
  checkSession(spec);
  if (runsAlone(spec)) return;
  const places = "the shell (`rivulet`), a script (`-f FILE`), or `--connect unix:PATH`";
  throw new UsageError(`${commandName(spec)} needs a shell with machines: ${places}`);
}

/** Runs `work` with a signal that SIGINT and the like abort; a second one does not wait for it. */
async function withSignals(world: World, work: (abort: Abort) => Promise<number>): Promise<number> {
  const abort = new Abort();
  let leave: (status: number) => void = () => {};
  const isLeft = new Promise<number>((resolve) => {
    leave = resolve;
  });
  const endSignals = world.onSignal((status) => {
    if (abort.aborted) leave(status);
    else abort.abort(status);
  });
  try {
    return await Promise.race([work(abort), isLeft]);
  } finally {
    endSignals();
  }
}

/** Runs one command of this process's fleet. */
function runOnce(words: readonly string[], parts: ShellParts): Promise<number> {
  const { world } = parts;
  return withSignals(world, (signal) => {
    const session = new Session(world.folder);
    const caller: Caller = { ...parts, streams: localStreams(world), session, signal };
    return runWords(words, caller, LABEL, checkAlone);
  });
}

/** Runs a script, or stdin line by line as it comes. */
async function runScript(
  invocation: Invocation,
  parts: ShellParts,
  session: Session,
): Promise<number> {
  const { world } = parts;
  const { script = "-", words, isKeepingGoing } = invocation;
  session.setArguments(script, words);
  const isStdin = script === "-";
  const text = isStdin
    ? ""
    : new TextDecoder().decode(await world.readFile(world.resolvePath(world.folder, script)));
  return withSignals(world, async (signal) => {
    world.streams.onBroken(() => signal.abort(STATUS_PIPE));
    // what stands on stdin is the script, not keys for a machine
    const noKeys: SessionStreams["listen"] = (onInput) => {
      onInput(null);
      return () => {};
    };
    const streams = isStdin ? localStreams(world, noKeys, false) : localStreams(world);
    const caller: Caller = { ...parts, streams, session, signal };
    if (isStdin) return runLines(world, session, caller, isKeepingGoing);
    const status = await session.run(text, caller, { name: script, isKeepingGoing, label: LABEL });
    return signal.aborted ? signal.status : status;
  });
}

/** Serves until a signal. */
function serve(door: ControlServer, world: World): Promise<number> {
  world.say(`serving unix:${door.path} until a signal ends it\n`);
  return withSignals(world, (abort) => {
    return new Promise((resolve) => abort.addEventListener("abort", () => resolve(abort.status)));
  });
}

async function runShell(
  invocation: Invocation,
  parts: ShellParts,
  door: ControlServer | null,
): Promise<number> {
  const { world } = parts;
  if (invocation.script === undefined && world.streams.isTerminal) return runPrompt(parts);
  const session = new Session(world.folder);
  const status = await runScript(invocation, parts, session);
  // the end of stdin is not the end of a process that others use
  const isFromFile = invocation.script !== undefined && invocation.script !== "-";
  const isOver = isFromFile || session.exit !== null || status !== 0;
  const last = door === null || isOver ? status : await serve(door, world);
  // what a script asked for is not there: it did not succeed
  return sayUnwritten(parts) && last === 0 ? 1 : last;
}

/** The table, loaded when something asks for it: a plain run does not. */
async function allCommands(): Promise<readonly CommandSpec[]> {
  return (await import("./registry.ts")).COMMANDS;
}

/** Runs a command line; the exit status. Throws UsageError and VmError. */
export async function main(argv: readonly string[], world: World): Promise<number> {
  try {
    return await runInvocation(readInvocation(argv), world);
  } catch (error) {
    // what stands behind -f FILE is the script's
    const isScript = argv.includes("-f");
    if (asksForJson(argv) && !isScript) world.print(`${JSON.stringify(errorDocument(error))}\n`);
    throw error;
  }
}

async function runInvocation(invocation: Invocation, world: World): Promise<number> {
  const { control, connect, script } = invocation;
  let { words } = invocation;
  const [first] = words;
  if (connect === undefined && script === undefined) {
    if (first === "--help" || first === "-h" || (first === "help" && words.length === 1)) {
      world.print(help(await allCommands()));
      return 0;
    }
    if (first === "--version") words = ["version", ...words.slice(1)];
  }
  if (connect !== undefined) {
    if (words.length === 0) throw new UsageError("--connect: a command is missing behind it");
    const { runRemote } = await import("./control-client.ts");
    return runRemote(connect, words, world);
  }
  const isRun = script === undefined && first === "run";
  const isServing = isRun || (script === undefined && first === "receive");
  // these serve while their machines are there, and name the option in their own tables
  if (isServing && control !== undefined) words = [...words, `--control=${control}`];
  const isAlone = isRun && !words.some((word) => word.startsWith("--control"));
  const parts = {
    world,
    commands: isAlone && !asksForHelp(words) ? [runAlone] : await allCommands(),
    fleet: new Fleet(world, isAlone ? { machinesMax: 1 } : {}),
  };
  let door: ControlServer | null = null;
  try {
    if (script === undefined && words.length > 0) {
      return await runOnce(words, parts);
    }
    if (control !== undefined) {
      const { serveControl } = await import("./control.ts");
      door = await serveControl(control, parts);
    }
    return await runShell(invocation, parts, door);
  } finally {
    await door?.close(() => parts.fleet.dispose());
    await parts.fleet.dispose();
  }
}
