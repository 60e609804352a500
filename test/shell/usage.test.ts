/**
 * Command lines: what is accepted, and that each refusal says what was given and what would have
 * been accepted.
 */
import { parseArgs } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RUN_HELP, RUN_OPTIONS, type RunPlan, readRun } from "../../src/shell/commands/run.ts";
import { type SplitArguments, UsageError } from "../../src/shell/usage.ts";

const test = suite("shell/usage");

const split: SplitArguments = (args, types) =>
  parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }])),
    allowPositionals: true,
    strict: false,
    tokens: true,
  }).tokens;

function read(...args: string[]): RunPlan {
  const plan = readRun(args, split);
  if (plan === "help") throw new Error("help");
  return plan;
}

/** The message of the refusal; it is one line and names what was given. */
function refusal(...args: string[]): string {
  try {
    readRun(args, split);
  } catch (error) {
    assert.instance(error, UsageError);
    assert.not.match((error as Error).message, /\n/);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${args.join(" ")}`);
}

test("every option is read, wherever FILE stands", () => {
  const options = ["--initrd", "i", "--append=a b=c", "--firmware", "f", "--memory", "1G"];
  const more = ["--harts", "4", "--disk", "d,cow", "--disk", "e", "--clock", "host", "--htif"];
  const last = ["--max-instructions", "12", "--digest", "--stats"];
  const plan = read(...options, "x.elf", ...more, ...last);
  assert.equal(plan, {
    file: "x.elf",
    guest: undefined,
    initrd: "i",
    append: "a b=c",
    firmware: "f",
    memory: "1G",
    harts: 4,
    disks: [
      { path: "d", mode: "cow" },
      { path: "e", mode: "rw" },
    ],
    clock: "host",
    hasHtif: true,
    instructionsMax: 12,
    isDigest: true,
    isStats: true,
  });
});

test("a value is text: nothing is guessed from its look", () => {
  assert.is(read("k", "--append", "1e3").append, "1e3");
  assert.is(read("k", "--append=").append, "");
  assert.is(read("k", "--append=--quiet").append, "--quiet");
  assert.is(read("--", "--strange-name").file, "--strange-name");
});

test("a wrong command line is refused, naming the given and the accepted", () => {
  const cases: readonly [readonly string[], RegExp][] = [
    [[], /nothing to boot; accepted: FILE.*--guest NAME/],
    [["a", "b"], /a and b/],
    [["a", "--kernel", "b"], /a and b/],
    [["a", "--guest", "debian"], /--guest debian and a/],
    [["a", "--bogus"], /--bogus.*--memory/],
    [["a", "-m", "1G"], /-m/],
    [["a", "--mem", "1G"], /--mem; accepted: --memory/],
    [["a", "--memory"], /--memory needs a value/],
    [["a", "--htif=yes"], /--htif takes no value, given "yes"/],
    [["a", "--harts", "0"], /"0".*from 1 to 8/],
    [["a", "--harts", "9"], /"9".*from 1 to 8/],
    [["a", "--harts", "two"], /"two"/],
    [["a", "--harts", "1", "--harts", "2"], /twice/],
    [["a", "--clock", "wall"], /"wall".*virtual and host/],
    [["a", "--disk", "d,rw"], /"d,rw".*FILE,ro and FILE,cow/],
    [["a", "--max-instructions", "-1"], /-1/],
    [["a", "--max-instructions", "1e9"], /"1e9"/],
  ];
  for (const [args, pattern] of cases) assert.match(refusal(...args), pattern);
});

test("the help has a line for every option and an example", () => {
  for (const name of Object.keys(RUN_OPTIONS))
    assert.match(RUN_HELP, new RegExp(`^  --${name}\\b`, "m"));
  assert.match(RUN_HELP, /Examples?:\n {2}rivulet run /);
  assert.is(readRun(["--help"], split), "help");
});

test.run();
