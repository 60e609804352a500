/**
 * What the prompt offers where a line ends.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { complete } from "../../src/shell/complete.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { setUp } from "./cases.ts";

const test = suite("shell/complete");

let shell: Awaited<ReturnType<typeof setUp>>;
test.before(async () => {
  shell = await setUp();
  await shell.run("set disk root.img; alias ll 'vm list'; alias go 'vm start'");
});
test.after(() => shell.fleet.dispose());

const offers = async (line: string) => (await complete(line, shell))[0].map((one) => one.trim());

test("families, commands, aliases, options, choices, machines, guests, files, variables", async () => {
  const cases: readonly [string, readonly string[]][] = [
    ["v", ["version", "vm"]],
    ["l", ["ll"]],
    ["vm st", ["start", "state", "stats", "stop"]],
    ["vm s", ["screendump", "send-key", "set", "start", "state", "stats", "stop", "suspend"]],
    ["vm start ", ["web"]],
    ["go ", ["web"]],
    ["vm start web --p", ["--paused"]],
    ["vm start web --paused --p", []],
    ["vm create x --clock ", ["host", "virtual"]],
    ["vm create x --clock v", ["virtual"]],
    ["vm create x --guest b", ["builtin"]],
    ["vm create x --disk r", ["root.img"]],
    ["vm set web ha", ["harts"]],
    ["vm list; vm info w", ["web"]],
    ["console send web $d", ["$disk"]],
    ["run m", ["machines.rv"]],
    ["source 'mach", ["machines.rv"]],
    ["help v", ["version", "vm"]],
    ["help vm cr", ["create"]],
    ["vm jump ", []],
    ["jump ", []],
    ["set di", ["disk"]],
  ];
  for (const [line, expected] of cases) assert.equal(await offers(line), expected, line);
});

test("what is completed is the last word as typed, and a whole word gets a blank", async () => {
  assert.equal(await complete("vm star", shell), [["start "], "star"]);
  assert.equal(await complete("source 'mach", shell), [["machines.rv "], "'mach"]);
});

test("no line breaks it", async () => {
  const seed = seedOf(11);
  const random = new Random(seed);
  const pieces = [
    "vm",
    "start",
    " ",
    ";",
    "'",
    '"',
    "\\",
    "$",
    "--",
    "--clock",
    "=",
    "web",
    "help",
  ];
  for (let round = 0; round < 3000; round++) {
    const count = random.below(10);
    const line = Array.from({ length: count }, () => random.pick(pieces)).join("");
    const [all, piece] = await complete(line, shell);
    assert.ok(line.endsWith(piece), `SEED=${seed}: ${line}`);
    assert.ok(all.every((one) => typeof one === "string"));
  }
});

test.run();
