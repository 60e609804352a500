/**
 * guest: `rivulet guest`: prepares guests that `rivulet run --guest NAME` boots, lists and removes
 * them.
 *
 * Owns    the family's command lines, its table and its progress lines.
 * Used by src/shell/main.ts.
 * Holds   results go to stdout, progress to stderr.
 */
import type { CommandSpec } from "../command.ts";
import { type OptionTable, optionHelp, readArguments, UsageError } from "../usage.ts";
import type { GuestInfo, World } from "../world.ts";

const HELP_OPTION = { help: { help: "this text" } };

interface Subcommand {
  readonly arguments: string;
  readonly summary: string;
  readonly options: OptionTable;
  run(
    names: readonly string[],
    options: ReadonlyMap<string, readonly string[]>,
    world: World,
  ): Promise<number>;
}

const PREPARE_OPTIONS: OptionTable = {
  mirror: { value: "URI", help: "Debian archive; default: the one in this machine's apt sources" },
  force: { help: "prepare again though it is there, for a newer kernel" },
  ...HELP_OPTION,
};

const mebibytes = (bytes: number) => `${(bytes / (1 << 20)).toFixed(1)} MiB`;

function oneLine(guest: GuestInfo): string {
  const packages = guest.packages.map(({ name, version }) => `${name} ${version}`).join(", ");
  const columns = [guest.name.padEnd(10), mebibytes(guest.bytes).padStart(10)];
  return `${columns.join("")}  ${guest.release}: ${packages}`;
}

/**
 * Lines for people: one per step, overwritten in place on a terminal, else with every quarter on a
 * line of its own.
 */
function progressLines(world: World): { show(step: string, percent?: number): void; end(): void } {
  let last = "";
  let quarter = 0;
  return {
    show(step, percent) {
      if (world.isProgressLive) {
        const begin = last === "" || last === step ? "\r\x1b[K" : "\n";
        world.say(`${begin}${step}${percent === undefined ? "" : ` ${Math.floor(percent)} %`}`);
      } else if (step !== last) {
        quarter = 0;
        world.say(`${step}\n`);
      } else if (percent !== undefined && Math.floor(percent / 25) > quarter) {
        quarter = Math.floor(percent / 25);
        world.say(`  ${quarter * 25} %\n`);
      }
      last = step;
    },
    end() {
      if (world.isProgressLive && last !== "") world.say("\n");
    },
  };
}

async function prepare(
  names: readonly string[],
  options: ReadonlyMap<string, readonly string[]>,
  world: World,
): Promise<number> {
  const { preparable } = world.guests;
  if (names.length !== 1 || !preparable.includes(names[0])) {
    const given = names.length === 0 ? "no name" : `"${names.join(" ")}"`;
    throw new UsageError(`guest prepare: given ${given}; accepted: ${preparable.join(", ")}`);
  }
  let interrupted: number | null = null;
  const endSignals = world.onSignal((status) => {
    interrupted = status;
  });
  const progress = progressLines(world);
  try {
    const guest = await world.guests.prepare(names[0], {
      mirror: options.get("mirror")?.[0],
      isReplacing: options.has("force"),
      onProgress: ({ step, percent }) => progress.show(step, percent),
    });
    progress.end();
    world.say(`guest ${guest.name} is ready: ${guest.folder}\n`);
    return 0;
  } catch (error) {
    progress.end();
    if (interrupted !== null) return interrupted;
    throw error;
  } finally {
    endSignals();
  }
}

async function list(
  names: readonly string[],
  options: ReadonlyMap<string, readonly string[]>,
  world: World,
): Promise<number> {
  if (names.length > 0) {
    throw new UsageError(`guest list: takes no name, given "${names.join(" ")}"`);
  }
  const { guests } = world;
  if (options.has("json")) {
    world.print(JSON.stringify({ builtin: guests.builtin, prepared: guests.list() }) + "\n");
    return 0;
  }
  for (const guest of guests.list()) world.print(oneLine(guest) + "\n");
  world.print(`${guests.builtin.padEnd(10)}${"".padStart(10)}  part of rivulet\n`);
  return 0;
}

async function remove(
  names: readonly string[],
  _options: ReadonlyMap<string, readonly string[]>,
  world: World,
): Promise<number> {
  if (names.length !== 1) {
    const given = names.length === 0 ? "no name" : `"${names.join(" ")}"`;
    throw new UsageError(`guest remove: given ${given}; accepted: the name of one prepared guest`);
  }
  world.guests.remove(names[0]);
  return 0;
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  prepare: {
    arguments: "NAME",
    summary: "fetch a guest with this machine's apt into the user's cache directory",
    options: PREPARE_OPTIONS,
    run: prepare,
  },
  list: {
    arguments: "",
    summary: "the guests that `rivulet run --guest NAME` boots",
    options: { json: { help: "one line of JSON: {builtin, prepared}" }, ...HELP_OPTION },
    run: list,
  },
  remove: {
    arguments: "NAME",
    summary: "delete a prepared guest",
    options: HELP_OPTION,
    run: remove,
  },
};

function familyHelp(): string {
  const rows = Object.entries(SUBCOMMANDS).map(
    ([name, { arguments: given, summary }]) => `  ${`${name} ${given}`.padEnd(14)}${summary}`,
  );
  return `Usage: rivulet guest COMMAND [arguments]

${rows.join("\n")}

Example:
  rivulet guest prepare debian
`;
}

function subcommandHelp(name: string, command: Subcommand): string {
  const usage = ["rivulet guest", name, command.arguments, "[options]"].filter(
    (word) => word !== "",
  );
  return `Usage: ${usage.join(" ")}

${command.summary[0].toUpperCase()}${command.summary.slice(1)}.

${optionHelp(command.options)}
`;
}

/** Runs `rivulet guest ...`; the exit status. Throws UsageError and VmError. */
export async function guestCommand(argv: readonly string[], world: World): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--help" || name === "-h" || name === "help") {
    world.print(familyHelp());
    return 0;
  }
  if (name === undefined || !Object.hasOwn(SUBCOMMANDS, name)) {
    const given = name === undefined ? "no command" : `unknown command "${name}"`;
    const accepted = Object.keys(SUBCOMMANDS).join(", ");
    throw new UsageError(`guest: ${given}; accepted: ${accepted}, --help`);
  }
  const command = SUBCOMMANDS[name];
  const args = readArguments(`guest ${name}`, rest, command.options, world.split);
  if (args.options.has("help")) {
    world.print(subcommandHelp(name, command));
    return 0;
  }
  return command.run(args.files, args.options, world);
}

/** The family, in the order of its help. */
export const guestCommands: readonly CommandSpec[] = [];
