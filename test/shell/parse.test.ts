/**
 * Command lines as they are typed: words, quotes, variables, comments, statements, escapes; and the
 * session that runs them.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { UsageError } from "../../src/shell/command.ts";
import { expand, ParseError, parse, quote, unescapeBytes } from "../../src/shell/parse.ts";
import { PlainText, plainText } from "../../src/shell/plain-text.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { fakeCaller } from "./fake.ts";

const test = suite("shell/parse");

const VARIABLES = new Map([
  ["A", "one two"],
  ["1", "first"],
  ["?", "0"],
]);

function words(text: string): string[][] {
  return parse(text).map((statement) => statement.words.map((word) => expand(word, VARIABLES)));
}

test("words, quotes, backslashes, comments, separators", () => {
  const cases: readonly [string, string[][]][] = [
    ["", []],
    ["  # nothing", []],
    ["vm list", [["vm", "list"]]],
    [
      "vm list;vm info  a ;; # x",
      [
        ["vm", "list"],
        ["vm", "info", "a"],
      ],
    ],
    ["a\nb\r\nc", [["a"], ["b"], ["c"]]],
    ["echo 'a  b' \"c  d\"", [["echo", "a  b", "c  d"]]],
    ["echo a'b'\"c\"d", [["echo", "abcd"]]],
    ["echo ''", [["echo", ""]]],
    ["echo a#b c #d", [["echo", "a#b", "c"]]],
    ["echo a\\ b \\# \\; \\$A \\\\", [["echo", "a b", "#", ";", "$A", "\\"]]],
    ["send ls\\n 'ls\\n' \"ls\\n\"", [["send", "ls\\n", "ls\\n", "ls\\n"]]],
    ['echo "a\\"b\\$A\\\\"', [["echo", 'a"b$A\\']]],
    ["echo one \\\n  two", [["echo", "one", "two"]]],
    ["echo 'two\nlines'", [["echo", "two\nlines"]]],
    [
      "echo $A $" + "{A}x '$A' \"<$A>\" $1 $?",
      [["echo", "one two", "one twox", "$A", "<one two>", "first", "0"]],
    ],
    ["echo $ $- a$", [["echo", "$", "$-", "a$"]]],
  ];
  for (const [text, expected] of cases) assert.equal(words(text), expected, text);
});

test("statements know their line; what has no end is refused with it", () => {
  const lines = parse("a\n\n# c\nb 'x\ny'; c\nd").map(({ line }) => line);
  assert.equal(lines, [1, 4, 5, 6]);
  for (const [text, line] of [
    ["a\n'b", 2],
    ['"', 1],
    ['x\ny\n"z\nz', 3],
  ] as const) {
    try {
      parse(text);
      assert.unreachable(text);
    } catch (error) {
      assert.instance(error, ParseError);
      assert.is((error as ParseError).line, line);
    }
  }
});

test("a variable that is not set is refused, naming those that are", () => {
  assert.throws(() => words("echo $B"), /\$B is not set; set: A/);
});

test("a quoted text is read as itself, whatever is in it", () => {
  const seed = seedOf(3);
  const random = new Random(seed);
  const characters = " \t\n'\"\\$;#{}abcXYZ09~*?=é";
  for (let round = 0; round < 2000; round++) {
    const count = random.below(12);
    const text = Array.from({ length: count }, () => characters[random.below(characters.length)]);
    const whole = text.join("");
    assert.equal(
      words(`echo ${quote(whole)}`),
      [["echo", whole]],
      `SEED=${seed}: ${JSON.stringify(whole)}`,
    );
  }
});

test("C escapes become bytes; what is none is refused", () => {
  const bytes = (text: string) => [...unescapeBytes(text)];
  assert.equal(bytes("a\\n\\r\\t\\e\\\\\\0"), [97, 10, 13, 9, 27, 92, 0]);
  assert.equal(bytes("\\x03\\x7fA\\101\\u00e9é"), [3, 127, 65, 65, 0xc3, 0xa9, 0xc3, 0xa9]);
  for (const text of ["\\q", "\\", "\\xzz", "\\u12"]) {
    assert.throws(
      () => unescapeBytes(text),
      (error: unknown) => error instanceof UsageError,
      text,
    );
  }
});

test("plain text has neither escape sequences nor carriage returns, wherever it is cut", () => {
  const escapes = "\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07a\tb\x1b[6n\x1b(Bc\x08\x1bc\x1b[?25le";
  // the second set of control characters (ECMA-48, 5.3), which terminals take in UTF-8, too
  const said = `${escapes}\x9b32mn\x84d\n`;
  const bytes = new TextEncoder().encode(said);
  const expected = "red\na\tbcend\n";
  assert.is(plainText(bytes), expected);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const plain = new PlainText();
    assert.is(plain.take(bytes.subarray(0, cut)) + plain.take(bytes.subarray(cut)), expected);
  }
});

// ---- sessions ----

async function run(text: string, isKeepingGoing = false) {
  const caller = fakeCaller();
  const options = { name: "script", isKeepingGoing, label: "" };
  const status = await caller.session.run(text, caller, options);
  return { status, ...caller.said, session: caller.session };
}

test("variables, aliases and their statuses", async () => {
  const { status, out } = await run(`
    set name "a b"
    echo $name x; echo '$name'
    alias greet 'echo hello "$name"'
    greet you
    alias echo 'echo >'
    echo once
    "echo" plain
    unset name
    unalias echo
    echo $?
  `);
  assert.is(out, "a b x\n$name\nhello a b you\n> once\nplain\n0\n");
  assert.is(status, 0);
});

test("a script stops at the first command that fails, and says where", async () => {
  const stopped = await run("echo one\nvm list; vm start nobody\necho two\n");
  assert.is(stopped.status, 1);
  assert.is(stopped.out, "one\nno machines; `vm create` makes one\n");
  assert.match(stopped.err, /^script:2: machine "nobody": there is none/);
  const usage = await run("\n\nvm jump\n");
  assert.is(usage.status, 2);
  assert.match(usage.err, /^script:3: vm: unknown command "jump"; accepted: create, /);
  const unset = await run("echo $NONE");
  assert.is(unset.status, 2);
});

test("--keep-going goes on and ends with the last failure", async () => {
  const kept = await run("vm jump\necho $?\nvm start nobody\necho two", true);
  assert.is(kept.status, 1);
  assert.is(kept.out, "2\ntwo\n");
  assert.is(kept.err.split("\n").length, 3);
});

test("exit ends a script with its status", async () => {
  assert.is((await run("exit 7\necho no")).status, 7);
  assert.is((await run("exit")).status, 0);
  assert.is((await run("exit 256")).status, 2);
});

test("an error is one JSON document with --json", async () => {
  const { out, status } = await run("vm start nobody --json");
  assert.is(status, 1);
  const { error } = JSON.parse(out) as { error: { code: string; message: string } };
  assert.is(error.code, "not-found");
  const usage = await run("vm start --json");
  assert.is(usage.status, 2);
  assert.is(JSON.parse(usage.out).error.code, "usage");
});

test("aliases that name each other end", async () => {
  const { status, err } = await run("alias a b; alias b a; a");
  assert.is(status, 2);
  assert.match(err, /unknown command "a"/);
});

test.run();
