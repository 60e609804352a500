/**
 * docs: docs/commands.md, made from the table, and JSON shapes as short type texts.
 *
 * Used by commands/general.ts (`help --markdown`).
 */
import { z } from "zod";
import { COMMON_OPTIONS, commandName } from "./call.ts";
import type { CommandSpec } from "./command.ts";
import { exampleOf, FAMILIES, optionHelp, pairs, usageOf } from "./render.ts";

/** The parts of JSON Schema that zod makes of our shapes. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}

function shapeOf(schema: Schema): string {
  const { type } = schema;
  // one of several simple types, such as "string or null"
  if (typeof type === "object") return type.map((one) => shapeOf({ type: one })).join(" | ");
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return choices.map(shapeOf).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (type === "array") {
    const item = shapeOf(schema.items ?? {});
    return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
  }
  if (type === "object") {
    const fields = Object.entries(schema.properties ?? {}).map(([name, value]) => {
      const key = /^\w+$/.test(name) ? name : JSON.stringify(name);
      return `${key}${schema.required?.includes(name) === true ? "" : "?"}: ${shapeOf(value)}`;
    });
    const { additionalProperties: others } = schema;
    if (typeof others === "object" && fields.length === 0) return `{ [name]: ${shapeOf(others)} }`;
    return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
  }
  return type === "integer" ? "number" : (type ?? "any");
}

/** A zod schema as a type: `{ name: string, harts: number }[]`. */
export function shapeText(schema: z.ZodType | undefined): string {
  if (schema === undefined) return "unknown";
  return shapeOf(z.toJSONSchema(schema, { unrepresentable: "any", io: "output" }) as Schema);
}

/** Breaks a shape into lines of a readable length, at the commas of its braces. */
function wrapShape(shape: string, columns: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of shape.split(" ")) {
    if (line !== "" && line.length + word.length >= columns) {
      lines.push(line);
      line = " ";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}

function commandSection(spec: CommandSpec): string {
  const parameters = spec.parameters.map(({ name, help, choices }) => {
    return [name, `${help}${choices === undefined ? "" : ` (${choices.join(", ")})`}`] as const;
  });
  const options = Object.keys(spec.options).length === 0 ? "" : `\n${optionHelp(spec.options)}`;
  const words = parameters.length === 0 ? "" : `\n${pairs(parameters)}`;
  const details = spec.details === undefined ? [] : [spec.details.trim()];
  const json = `${spec.isConsole === true ? "JSON (on stderr)" : "JSON"}:`;
  return [
    `### ${commandName(spec)}`,
    `${spec.summary[0].toUpperCase()}${spec.summary.slice(1)}.`,
    `\`\`\`text\n${usageOf(spec)}${words}${options}\n\`\`\``,
    ...details,
    `\`\`\`sh\n${exampleOf(spec)}\n\`\`\``,
    json,
    `\`\`\`ts\n${wrapShape(shapeText(spec.result), 96)}\n\`\`\``,
  ].join("\n\n");
}

const HEAD = `# Commands

Made from the command table by \`rivulet help --markdown\`; a test checks that it is up to date.

\`rivulet\` alone opens the shell, \`rivulet -f FILE [ARGUMENTS]\` runs a script, and
\`rivulet --connect unix:PATH FAMILY COMMAND ...\` runs one command in a process that was started with
\`--control unix:PATH\` ([how that works](control-protocol.md)). Usage lines that begin with \`rivulet\`
also work on their own, without a shell.

Exit status: 0, or 1 when something failed, 2 for a wrong command line, 130 when it was interrupted.
\`--json\` makes a command print one JSON document on stdout; the shape is given with each. An error is
then \`{"error": {"code": string, "message": string}}\` there, beside its line on stderr, with the same
exit status.`;

/** The whole of docs/commands.md. */
export function commandsDocument(commands: readonly CommandSpec[]): string {
  const families = [...new Set(commands.map(({ family }) => family))];
  const sections = families.map((family) => {
    const mine = commands.filter((spec) => spec.family === family);
    const title = family === "" ? "General" : `${family}: ${FAMILIES[family] ?? ""}`;
    return [`## ${title}`, ...mine.map(commandSection)].join("\n\n");
  });
  const common = `Every command also takes:\n\n\`\`\`text\n${optionHelp(COMMON_OPTIONS)}\n\`\`\``;
  return `${[HEAD, common, ...sections].join("\n\n")}\n`;
}
