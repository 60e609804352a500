/**
 * Every command of the table, by its own example: it works as typed, its JSON is what its schema
 * says, its help has what is needed. A command without an example that works does not pass.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { z } from "zod";
import { commandName } from "../../src/shell/call.ts";
import type { CommandSpec } from "../../src/shell/command.ts";
import { shapeText } from "../../src/shell/docs.ts";
import { COMMANDS } from "../../src/shell/registry.ts";
import { commandHelp, FAMILIES } from "../../src/shell/render.ts";
import { ELSEWHERE, EXPECTED_STATUS, prepare, setUp } from "./cases.ts";

const test = suite("shell/commands");

/** Every object of the schema refuses what it does not name. */
function strictly(schema: z.ZodType, value: unknown): string | null {
  const checked = schema.safeParse(value);
  if (!checked.success) return checked.error.message;
  // what the schema does not name is gone from its output
  const [given, known] = [value, checked.data].map((one) => JSON.stringify(one, sorted));
  return given === known ? null : `not in the shape: ${given} against ${known}`;
}

function sorted(_key: string, value: unknown): unknown {
  const isPlain = typeof value === "object" && value !== null && !Array.isArray(value);
  return isPlain
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
}

/** Runs the example, its last statement with `--json` when asked; what it said. */
async function runExample(spec: CommandSpec, isJson: boolean) {
  const shell = await setUp();
  try {
    await prepare(commandName(spec), shell);
    shell.said.out = "";
    shell.said.err = "";
    const { example } = spec;
    const status = await shell.run(isJson ? `${example} --json` : example);
    return { status, ...shell.said };
  } finally {
    await shell.dispose();
  }
}

for (const spec of COMMANDS) {
  const name = commandName(spec);
  if (name in ELSEWHERE) continue;
  test(`${name}: the example works, as text and as JSON`, async () => {
    const status = EXPECTED_STATUS[name] ?? 0;
    const asText = await runExample(spec, false);
    assert.is(asText.status, status, `${name}: ${asText.out}${asText.err}`);
    const asJson = await runExample(spec, true);
    assert.is(asJson.status, status, `${name}: ${asJson.out}${asJson.err}`);
    const document = spec.isConsole === true ? asJson.err : asJson.out;
    const last = document.trimEnd().split("\n").at(-1) as string;
    if (spec.result === undefined) throw new Error(`${spec.family} ${spec.name} has no shape`);
    assert.is(strictly(spec.result, JSON.parse(last)), null);
    // one document and nothing else
    if (spec.isConsole !== true) assert.is(asJson.out, `${last}\n`);
  });
}

test("each has help with an example of itself, a summary in the common form, a family", () => {
  for (const spec of COMMANDS) {
    const name = commandName(spec);
    const help = commandHelp(spec);
    assert.match(help, /^Usage: /);
    assert.match(help, /Example:\n {2}\S/);
    assert.ok(spec.example.includes(name), `${name}: the example is of another command`);
    assert.match(spec.summary, /^[a-z].*[^.]$/, name);
    assert.ok(spec.summary.length <= 80, `${name}: a summary of ${spec.summary.length} characters`);
    if (spec.family !== "") assert.ok(spec.family in FAMILIES, spec.family);
    for (const [option, { help: text, value, kind }] of Object.entries(spec.options)) {
      assert.ok(text.length > 0, `${name} --${option}`);
      assert.is(value === undefined, kind === undefined, `${name} --${option}: value without kind`);
    }
  }
});

test("shapes are types as they are written", () => {
  const shape = z.object({
    name: z.string().nullable(),
    ends: z.array(z.number().nullable()).optional(),
    kind: z.enum(["a", "b"]).nullable(),
    rest: z.record(z.string(), z.int()),
  });
  const text =
    '{ name: string | null, ends?: (number | null)[], kind: "a" | "b" | null, rest: { [name]: number } }';
  assert.is(shapeText(shape), text);
  for (const { result } of COMMANDS) assert.not.match(shapeText(result), /,\w|any|unknown/);
});

test("names are unique", () => {
  const names = COMMANDS.map(commandName);
  assert.equal([...new Set(names)], names);
});

test.run();
