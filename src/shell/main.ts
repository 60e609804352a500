/**
 * main: the first word of a command line picks the command.
 *
 * Used by src/cli.ts.
 */
import { guestCommand } from "./commands/guest.ts";
import { runCommand } from "./commands/run.ts";
import { UsageError } from "./usage.ts";
import type { World } from "./world.ts";

/** One command of the binary. */
export interface Command {
  readonly summary: string;
  /** Runs it with the words behind its name; the exit status. */
  run(argv: readonly string[], world: World): Promise<number>;
}

/** The commands by name. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  run: { summary: "boot a machine on this terminal or on pipes", run: runCommand },
  guest: { summary: "prepare, list and remove guests to boot by name", run: guestCommand },
};

function help(): string {
  const rows = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  ${name.padEnd(10)}${summary}`,
  );
  return `Usage: rivulet COMMAND [arguments]

A RISC-V machine emulator and virtual machine monitor in WebAssembly.

${rows.join("\n")}

\`rivulet COMMAND --help\` says more.

Example:
  rivulet run --guest debian
`;
}

/** Runs a command line; the exit status. Throws UsageError and VmError. */
export async function main(argv: readonly string[], world: World): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--help" || name === "-h" || name === "help") {
    world.print(help());
    return 0;
  }
  if (name === "--version" || name === "version") {
    world.print(`rivulet ${world.version}\n`);
    return 0;
  }
  if (name !== undefined && Object.hasOwn(COMMANDS, name)) return COMMANDS[name].run(rest, world);
  const given = name === undefined ? "no command" : `unknown command "${name}"`;
  throw new UsageError(
    `${given}; accepted: ${Object.keys(COMMANDS).join(", ")}, --help, --version`,
  );
}
