/**
 * repl: the shell's prompt.
 *
 * Used by main.ts.
 * Holds   Ctrl-C ends the command under way and no machine; Ctrl-D leaves and says which machines
 *         end with the shell.
 */
import type { Caller } from "./call.ts";
import type { CommandSpec, SessionStreams } from "./command.ts";
import { complete } from "./complete.ts";
import type { Fleet } from "./fleet.ts";
import { Abort, Session } from "./session.ts";
import type { Prompt, World } from "./world.ts";

const PROMPT = "rivulet> ";
/** Lines that are kept for later sessions. */
const HISTORY_LINES_MAX = 1000;

/** What a shell works on. */
export interface ShellParts {
  readonly fleet: Fleet;
  readonly world: World;
  readonly commands: readonly CommandSpec[];
}

/** The world's streams for a session of this process. */
export function localStreams(
  world: World,
  listen: SessionStreams["listen"] = world.streams.listen,
  isTerminal = world.streams.isTerminal,
): SessionStreams {
  const { streams } = world;
  return {
    isTerminal,
    isProgressLive: world.isProgressLive,
    print: world.print,
    say: world.say,
    write: streams.write,
    drained: streams.drained,
    flush: streams.flush,
    onBroken: streams.onBroken,
    holdInput: streams.holdInput,
    listen,
  };
}

function remember(line: string, session: Session, world: World): void {
  if (line.trim() === "" || session.history.at(-1) === line) return;
  session.history.push(line);
  if (session.history.length > HISTORY_LINES_MAX) session.history.shift();
  // a line that begins with a blank is not kept for others to read
  if (!line.startsWith(" ")) world.saveHistory(line);
}

/** Says which snapshots are given up, for the process ends now; true when there are any. */
export function sayUnwritten({ fleet, world }: Pick<ShellParts, "fleet" | "world">): boolean {
  const { unwritten } = fleet.snapshots;
  if (unwritten.length === 0) return false;
  const how = "`snapshot progress --wait` waits for what is written in the background";
  world.say(`not kept, for the shell ends: ${unwritten.join(", ")}; ${how}\n`);
  return true;
}

/** What the person is told who leaves. */
function farewell({ fleet, world }: ShellParts): void {
  const names = fleet.vms.filter((vm) => vm.isRunning).map(({ name }) => name);
  if (names.length > 0) world.say(`ends with the shell: ${names.join(", ")}\n`);
  sayUnwritten({ fleet, world });
}

async function readLines(prompt: Prompt, session: Session, parts: ShellParts): Promise<number> {
  const { world } = parts;
  const streams = localStreams(world, (onInput) => prompt.listen(onInput));
  let abort: Abort | null = null;
  const endSignals = world.onSignal((status) => {
    session.exit = status;
    abort?.abort(status);
    prompt.close();
  });
  prompt.onInterrupt(() => {
    world.say("^C\n");
    abort?.abort();
  });
  try {
    for (;;) {
      const line = await prompt.read(PROMPT);
      if (line === null) break;
      remember(line, session, world);
      abort = new Abort();
      const caller: Caller = { ...parts, streams, session, signal: abort };
      await session.run(line, caller, { name: null, isKeepingGoing: false, label: "" });
      abort = null;
      if (session.exit !== null) break;
    }
  } finally {
    endSignals();
  }
  return session.exit ?? 0;
}

/** Runs the prompt to its end; the exit status. */
export async function runPrompt(parts: ShellParts): Promise<number> {
  const { world } = parts;
  const session = new Session(world.folder);
  session.history.push(...world.loadHistory().slice(-HISTORY_LINES_MAX));
  const prompt = world.openPrompt({
    history: session.history,
    complete: (line) => complete(line, { ...parts, session }),
  });
  world.say(`rivulet ${world.version}; \`help\` lists commands, Ctrl-D leaves\n`);
  try {
    const status = await readLines(prompt, session, parts);
    farewell(parts);
    return status;
  } finally {
    prompt.close();
  }
}
