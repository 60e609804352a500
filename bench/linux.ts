/**
 * linux: a booted Linux on a console: waits for its prompt, times commands, switches it off.
 *
 * Used by suites/debian.ts and suites/v86.ts.
 */
import { type Command, Console } from "./process.ts";

const BOOT_SECONDS_MAX = 300;
const COMMAND_SECONDS_MAX = 300;
const ESCAPE = "\x1b";
/**
 * The shell's prompt after the mark of /init; the shell then asks the terminal where its cursor is.
 */
const BOOTED = new RegExp(`BOOT-OK[^]*?# (${ESCAPE}\\[6n)?$`);

/** Boots to the shell prompt. Rejects, and ends the process, when that does not come. */
export async function boot(command: Command): Promise<Console> {
  const guest = new Console(command);
  try {
    await guest.expect(BOOTED, BOOT_SECONDS_MAX);
    return guest;
  } catch (error) {
    await guest.kill();
    throw error;
  }
}

/** Has the guest power off; rejects unless the process ends with status 0. */
export async function powerOff(guest: Console): Promise<void> {
  guest.write("poweroff -f\n");
  const status = await guest.finish(BOOT_SECONDS_MAX);
  if (status !== 0) throw new Error(`power-off ended with status ${status}: ${guest.stderr}`);
}

/** What a command cost and said. */
export interface Timed {
  seconds: number;
  answer: string;
}

/** Runs one command line in a booted guest; CPU seconds until its marker, and what it printed. */
export async function timed(guest: Console, command: string): Promise<Timed> {
  const before = guest.cpuSeconds;
  // The marker is quoted in two parts, so the terminal's echo of the command does not hold it.
  guest.write(`${command}; echo EN''D\n`);
  const output = await guest.expect(/(?<=^|\n)END\r?\n/, COMMAND_SECONDS_MAX);
  const seconds = guest.cpuSeconds - before;
  // The last line before the marker: those before it hold what the line editor drew.
  const answer = output.trimEnd().split(/\r?\n/).at(-2) ?? "";
  return { seconds, answer };
}
