/**
 * Command lines: what is accepted, and that each refusal says what was given and what would have
 * been accepted.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeCall } from "../../src/shell/call.ts";
import { type Call, UsageError } from "../../src/shell/command.ts";
import { specOf } from "../../src/shell/commands/machine-options.ts";
import { runAlone } from "../../src/shell/commands/run.ts";
import { commandHelp } from "../../src/shell/render.ts";
import { fakeCaller } from "./fake.ts";

const test = suite("shell/usage");

function read(...args: string[]): { spec: ReturnType<typeof specOf>; call: Call } {
  const call = makeCall(runAlone, args, fakeCaller());
  return { call, spec: specOf(call, "run", { file: call.path("FILE"), clock: "virtual" }) };
}

/** The message of the refusal; it is one line and names what was given. */
function refusal(...args: string[]): string {
  try {
    read(...args);
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
  const { spec, call } = read(...options, "x.elf", ...more, ...last);
  assert.equal(spec, {
    name: "machine",
    guest: undefined,
    kernel: "/here/x.elf",
    initrd: "/here/i",
    append: "a b=c",
    firmware: "/here/f",
    memoryBytes: "1G",
    harts: 4,
    seed: undefined,
    disks: [
      { path: "/here/d", mode: "cow" },
      { path: "/here/e", mode: "rw" },
    ],
    clock: "host",
    mmu: undefined,
    htif: true,
  });
  assert.is(call.number("max-instructions"), 12);
  assert.ok(call.has("digest") && call.has("stats"));
});

test("a value is text: nothing is guessed from its look", () => {
  assert.is(read("k", "--append", "1e3").spec.append, "1e3");
  assert.is(read("k", "--append=").spec.append, "");
  assert.is(read("k", "--append=--quiet").spec.append, "--quiet");
  assert.is(read("--", "--strange-name").spec.kernel, "/here/--strange-name");
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
  const help = commandHelp(runAlone);
  for (const name of [...Object.keys(runAlone.options), "json", "help"]) {
    assert.match(help, new RegExp(`^  --${name}\\b`, "m"));
  }
  assert.match(help, /Example:\n {2}rivulet run /);
});

test.run();
