/**
 * What a console's output looks like afterwards: screens as text and as pictures, recordings, keys.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { UsageError } from "../../src/shell/command.ts";
import { ConsoleLog } from "../../src/shell/console-log.ts";
import { KEY_NAMES, keyBytes } from "../../src/shell/key-names.ts";
import { Recorder } from "../../src/shell/recorder.ts";
import { screenOf, screenSvg } from "../../src/shell/screen.ts";
import { fakeWorld } from "./fake.ts";

const test = suite("shell/screen");

const bytes = (text: string) => new TextEncoder().encode(text);
const screen = (text: string, columns = 20, rows = 4) => screenOf(bytes(text), { columns, rows });

test("the screen is what a terminal shows: overwritten, moved, scrolled, wide", async () => {
  const { lines, cursor } = await screen("one\r\ntwo\x1b[1;1HONE\x1b[3;5Hthree\x1b[3;1H漢字");
  assert.equal(lines, ["ONE", "two", "漢字three", ""]);
  assert.equal(cursor, { column: 4, row: 2 });
  assert.equal((await screen("1\r\n2\r\n3\r\n4\r\n5")).lines, ["2", "3", "4", "5"]);
  assert.equal((await screen("gone\x1b[2J\x1b[Hhere")).lines, ["here", "", "", ""]);
});

test("a picture has the colours, and its text is escaped", async () => {
  const shown = await screen('\x1b[1;31m<&"\x1b[0m \x1b[48;2;1;2;3;38;5;196mx\x1b[7my\x1b[0m');
  const svg = screenSvg(shown, "a<b");
  assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="\d+"/);
  assert.match(svg, /<title>a&#60;b<\/title>/);
  assert.match(svg, /fill="#ef5959" font-weight="bold">&#60;&#38;&#34;<\/text>/);
  assert.match(svg, /<rect [^>]*fill="#010203"\/><text [^>]*fill="#ff0000">x<\/text>/);
  assert.match(svg, /<rect [^>]*fill="#ff0000"\/><text [^>]*fill="#010203">y<\/text>/);
  assert.not.match(svg, /<script/);
});

test("any bytes make a screen", async () => {
  const all = Uint8Array.from({ length: 4096 }, (_, index) => (index * 97) & 0xff);
  const { lines } = await screenOf(all, { columns: 80, rows: 24 });
  assert.is(lines.length, 24);
});

test("a recording is an asciicast: a head, then what was said with its time", async () => {
  const files = new Map<string, Uint8Array>();
  const world = fakeWorld(files);
  let now = 1000;
  const clocked = { ...world, monotonicMs: () => now, wallMs: () => 5000 };
  const log = new ConsoleLog(world.after);
  log.append(bytes("before"));
  const recorder = await Recorder.open("/here/a.cast", "web", log, clocked);
  now = 1250;
  log.append(bytes("é".repeat(2)).subarray(0, 3));
  now = 2000;
  log.append(bytes("é".repeat(2)).subarray(3));
  assert.equal(await recorder.stop(), { file: "/here/a.cast", seconds: 1, bytes: 4 });
  log.append(bytes("after"));
  const lines = new TextDecoder().decode(files.get("/here/a.cast")).trimEnd().split("\n");
  assert.equal(
    lines.map((line) => JSON.parse(line)),
    [
      { version: 2, width: 80, height: 24, timestamp: 5, title: "web" },
      [0.25, "o", "é"],
      [1, "o", "é"],
    ],
  );
});

test("keys are what terminals send", () => {
  const sent = (name: string) => new TextDecoder().decode(keyBytes(name));
  const cases: readonly [string, string][] = [
    ["a", "a"],
    ["A", "A"],
    ["é", "é"],
    ["enter", "\r"],
    ["Enter", "\r"],
    ["up", "\x1b[A"],
    ["f12", "\x1b[24~"],
    ["ctrl-c", "\x03"],
    ["Ctrl-C", "\x03"],
    ["^d", "\x04"],
    ["ctrl-[", "\x1b"],
    ["alt-x", "\x1bx"],
    ["alt-enter", "\x1b\r"],
  ];
  for (const [name, expected] of cases) assert.is(sent(name), expected, name);
  for (const name of KEY_NAMES) assert.ok(sent(name).length > 0);
  for (const name of ["", "entre", "ctrl-1", "alt-", "toString"]) {
    assert.throws(
      () => keyBytes(name),
      (error: unknown) => error instanceof UsageError,
      name,
    );
  }
});

test.run();
