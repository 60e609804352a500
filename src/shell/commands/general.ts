/**
 * general: the commands of one word: help, what this is and can do, and what a shell has.
 *
 * Used by src/shell/registry.ts.
 */
import { z } from "zod";
import { MACHINE_LIMITS, VmError } from "../../index.ts";
import { commandName, parameterUsage } from "../call.ts";
import { type Call, CommandFailed, type CommandSpec, command, UsageError } from "../command.ts";
import { commandsDocument, shapeText } from "../docs.ts";
import { quote } from "../parse.ts";
import { commandHelp, familyHelp, overview, pairs } from "../render.ts";

const NAME = /^[A-Za-z_]\w*$/;

// ---- help, version, capabilities ----

const HelpResult = z.object({ text: z.string() });

function helpText(call: Call): string {
  const { commands } = call;
  const family = call.text("FAMILY");
  const name = call.text("COMMAND");
  if (call.has("markdown")) return commandsDocument(commands);
  if (family === undefined) {
    const intro = "Usage: rivulet [COMMAND | FAMILY COMMAND] [arguments] [options]";
    const more = "`help FAMILY` and `help FAMILY COMMAND` say more.";
    return `${intro}\n\n${overview(commands)}\n${more}\n`;
  }
  const single = commands.find((spec) => spec.family === "" && spec.name === family);
  if (single !== undefined) return commandHelp(single);
  const mine = commands.filter((spec) => spec.family === family);
  if (mine.length === 0) {
    const names = [...new Set(commands.map((spec) => spec.family || spec.name))].join(", ");
    throw new UsageError(`help: unknown command "${family}"; accepted: ${names}`);
  }
  if (name === undefined) return familyHelp(family, commands);
  const spec = mine.find((one) => one.name === name);
  if (spec !== undefined) return commandHelp(spec);
  const names = mine.map((one) => one.name).join(", ");
  throw new UsageError(`help ${family}: unknown command "${name}"; accepted: ${names}`);
}

const help = command({
  family: "",
  name: "help",
  summary: "say what there is, or all about a family or a command",
  parameters: [
    { name: "FAMILY", kind: "command", help: "a family or a command", isOptional: true },
    { name: "COMMAND", kind: "command", help: "a command of the family", isOptional: true },
  ],
  options: { markdown: { help: "everything as Markdown: docs/commands.md" } },
  example: "help vm create",
  result: HelpResult,
  run: async (call) => ({ text: helpText(call) }),
  text: ({ text }) => text,
});

const version = command({
  family: "",
  name: "version",
  summary: "say which version this is",
  parameters: [],
  options: {},
  example: "version",
  result: z.object({ version: z.string() }),
  run: async ({ world }) => ({ version: world.version }),
  text: (result) => `rivulet ${result.version}\n`,
});

const ValueShape = z.object({
  name: z.string(),
  kind: z.string().optional().describe("none for a flag"),
  help: z.string(),
  choices: z.array(z.string()).optional(),
  isOptional: z.boolean().optional(),
  isRepeated: z.boolean().optional(),
});

const Capabilities = z.object({
  version: z.string(),
  commands: z.array(
    z.object({
      family: z.string().describe("empty for a command of one word"),
      name: z.string(),
      help: z.string(),
      usage: z.string(),
      parameters: z.array(ValueShape),
      options: z.array(ValueShape),
      example: z.string(),
      result: z.string().describe("shape of what --json prints"),
    }),
  ),
  features: z.array(z.string()),
  limits: z.object({
    harts: z.number(),
    machines: z.number(),
    disks: z.number(),
    memoryBytes: z.number().describe("frames for all machines of a process"),
  }),
});

function describeCommand(spec: CommandSpec): z.output<typeof Capabilities>["commands"][number] {
  const options = Object.entries(spec.options).map(([name, option]) => {
    const kind = option.value === undefined ? undefined : (option.kind ?? "text");
    const { choices, isRepeated } = option;
    return { name, kind, help: option.help, choices: choices && [...choices], isRepeated };
  });
  const parameters = spec.parameters.map(({ name, kind, choices, isOptional, isRest, ...rest }) => {
    return {
      name,
      kind,
      help: rest.help,
      choices: choices && [...choices],
      isOptional,
      isRepeated: isRest,
    };
  });
  return {
    family: spec.family,
    name: spec.name,
    help: spec.summary,
    usage: [commandName(spec), ...spec.parameters.map(parameterUsage)].join(" "),
    parameters,
    options,
    example: spec.example,
    result: shapeText(spec.result),
  };
}

/** What a program may rely on. */
export const FEATURES: readonly string[] = [
  "rv64gc",
  "sv39",
  "sv48",
  "sv57",
  "sbi",
  "htif",
  "virtio-mmio",
  "virtio-blk",
  "virtio-console",
  "virtio-rng",
  "demand-zero-memory",
  "deterministic-clock",
  "host-clock",
  "state-digest",
  "custom-devices",
  "debugger",
  "gdb",
  "guest-exec",
  "control-socket",
];

const capabilities = command({
  family: "",
  name: "capabilities",
  summary: "list commands, features and limits, for programs",
  parameters: [],
  options: {},
  example: "capabilities --json",
  result: Capabilities,
  async run({ commands, fleet, world }) {
    const host = await fleet.openHost();
    return {
      version: world.version,
      commands: commands.map(describeCommand),
      features: [...FEATURES],
      limits: {
        harts: MACHINE_LIMITS.harts,
        machines: fleet.machinesMax,
        disks: MACHINE_LIMITS.disks,
        memoryBytes: host.stats().framesTotal * 4096,
      },
    };
  },
  text({ version: number, commands, features, limits }) {
    const list = Object.entries(limits).map(([name, value]) => [name, `${value}`] as const);
    const names = commands.map(({ family, name }) => `${family} ${name}`.trim());
    const rows = [["version", number], ["features", features.join(" ")], ...list] as const;
    const all = rows.map(([name, value]) => [`${name}`, `${value}`] as const);
    return `${pairs(all, "")}\n${pairs([["commands", `${names.length}: ${names.join(", ")}`]], "")}\n`;
  },
});

// ---- variables and aliases ----

const Names = z.record(z.string(), z.string());

function checkName(name: string, what: string): void {
  if (NAME.test(name)) return;
  const accepted = "accepted are letters, digits and underscores, no digit first";
  throw new UsageError(`${what} "${name}": ${accepted}`);
}

const set = command({
  family: "",
  name: "set",
  summary: "set a variable, or list those that are set",
  details: "$NAME stands for it from then on, outside of '...'; $? is the last command's status.",
  parameters: [
    { name: "NAME", kind: "variable", help: "letters, digits, underscores", isOptional: true },
    { name: "VALUE", kind: "text", help: "any text", isOptional: true },
  ],
  options: {},
  example: "set disk /tmp/root.img",
  isShellOnly: true,
  result: Names,
  async run(call) {
    const { session } = call;
    const name = call.text("NAME");
    if (name === undefined) return Object.fromEntries(session.variables);
    checkName(name, "set: name");
    const value = call.text("VALUE");
    if (value === undefined) throw new UsageError("set: VALUE is missing; usage: set NAME VALUE");
    session.variables.set(name, value);
    return { [name]: value };
  },
  text(result, call) {
    if (call.has("NAME")) return "";
    return Object.entries(result)
      .map(([name, value]) => `set ${name} ${quote(value)}\n`)
      .join("");
  },
});

const unset = command({
  family: "",
  name: "unset",
  summary: "forget a variable",
  parameters: [{ name: "NAME", kind: "variable", help: "one that is set" }],
  options: {},
  example: "set disk root.img; unset disk",
  isShellOnly: true,
  result: z.object({ name: z.string() }),
  async run(call) {
    const name = call.text("NAME") as string;
    if (call.session.variables.delete(name)) return { name };
    throw new VmError("not-found", `variable "${name}" is not set`);
  },
  text: () => "",
});

const alias = command({
  family: "",
  name: "alias",
  summary: "give a command line a short name, or list those given",
  parameters: [
    { name: "NAME", kind: "text", help: "the first word of later lines", isOptional: true },
    { name: "TEXT", kind: "text", help: "what it stands for, in quotes", isOptional: true },
  ],
  options: {},
  example: "alias ll 'vm list'",
  isShellOnly: true,
  result: Names,
  async run(call) {
    const { session } = call;
    const name = call.text("NAME");
    if (name === undefined) return Object.fromEntries(session.aliases);
    const text = call.text("TEXT");
    if (text === undefined) {
      const known = session.aliases.get(name);
      if (known === undefined) throw new VmError("not-found", `alias "${name}" is not given`);
      return { [name]: known };
    }
    if (/[\s'"\\$;#]/.test(name) || name === "") {
      throw new UsageError(`alias "${name}": accepted is one plain word`);
    }
    session.aliases.set(name, text);
    return { [name]: text };
  },
  text(result, call) {
    if (call.has("TEXT")) return "";
    return Object.entries(result)
      .map(([name, text]) => `alias ${name} ${quote(text)}\n`)
      .join("");
  },
});

const unalias = command({
  family: "",
  name: "unalias",
  summary: "forget an alias",
  parameters: [{ name: "NAME", kind: "text", help: "one that was given" }],
  options: {},
  example: "alias ll 'vm list'; unalias ll",
  isShellOnly: true,
  result: z.object({ name: z.string() }),
  async run(call) {
    const name = call.text("NAME") as string;
    if (call.session.aliases.delete(name)) return { name };
    throw new VmError("not-found", `alias "${name}" is not given`);
  },
  text: () => "",
});

// ---- the rest of a shell ----

const echo = command({
  family: "",
  name: "echo",
  summary: "print words",
  parameters: [{ name: "WORD", kind: "text", help: "any text", isOptional: true, isRest: true }],
  options: {},
  example: "echo hello",
  result: z.object({ text: z.string() }),
  run: async (call) => ({ text: call.all("WORD").join(" ") }),
  text: ({ text }) => `${text}\n`,
});

const history = command({
  family: "",
  name: "history",
  summary: "list the lines that were typed",
  parameters: [
    { name: "COUNT", kind: "integer", help: "how many, the last ones", isOptional: true },
  ],
  options: {},
  example: "history 20",
  isShellOnly: true,
  result: z.array(z.object({ number: z.number(), line: z.string() })),
  async run(call) {
    const { session } = call;
    const count = call.number("COUNT") ?? session.history.length;
    const first = Math.max(0, session.history.length - count);
    return session.history.slice(first).map((line, index) => ({ number: first + index + 1, line }));
  },
  text: (lines) =>
    lines.map(({ number, line }) => `${`${number}`.padStart(5)}  ${line}\n`).join(""),
});

const source = command({
  family: "",
  name: "source",
  summary: "run the commands of a file here, up to the first that fails",
  details: "Variables and aliases that the file sets stay. `rivulet -f FILE` runs one on its own.",
  parameters: [{ name: "FILE", kind: "file", help: "lines as they would be typed" }],
  options: {},
  example: "source machines.rv",
  result: z.object({ file: z.string(), status: z.number() }),
  async run(call) {
    const file = call.path("FILE") as string;
    const text = new TextDecoder().decode(await call.world.readFile(file));
    const status = await call.session.source(text, call.text("FILE") as string, call);
    if (status === 0) return { file, status };
    throw new CommandFailed(status, { file, status }, "");
  },
  text: () => "",
});

const exit = command({
  family: "",
  name: "exit",
  summary: "leave the shell or the script; machines end with the shell",
  parameters: [
    {
      name: "STATUS",
      kind: "integer",
      most: 255,
      help: "exit status, default 0",
      isOptional: true,
    },
  ],
  options: {},
  example: "exit 3",
  isShellOnly: true,
  result: z.object({ status: z.number() }),
  async run(call) {
    const status = call.number("STATUS") ?? 0;
    call.session.exit = status;
    return { status };
  },
  text: () => "",
});

/** The commands of one word, in the order of help. */
export const generalCommands: readonly CommandSpec[] = [
  help,
  version,
  capabilities,
  set,
  unset,
  alias,
  unalias,
  echo,
  history,
  source,
  exit,
];
