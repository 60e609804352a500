/**
 * Ctrl-A on a terminal: leaves, helps, sends itself; everything else is the guest's.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TerminalKeys } from "../../src/shell/keys.ts";

const test = suite("shell/keys");

/** Types `text`, split at every `|`, and tells what came of it. */
function type(text: string): { sent: string; left: number; said: string } {
  const log = { sent: "", left: 0, said: "" };
  const keys = new TerminalKeys({
    send: (bytes) => (log.sent += String.fromCharCode(...bytes)),
    leave: () => log.left++,
    say: (words) => (log.said += words),
  });
  for (const piece of text.split("|")) {
    keys.take(Uint8Array.from(piece, (character) => character.charCodeAt(0)));
  }
  return log;
}

test("plain bytes go to the guest as they are, control characters too", () => {
  const text = "ls\r\x03\x04\x1b[A\xff\x00";
  assert.is(type(text).sent, text);
});

test("Ctrl-A X leaves, in either case, after what was typed before it", () => {
  for (const key of ["x", "X"]) {
    assert.equal(type(`ab\x01${key}cd`), { sent: "ab", left: 1, said: "" });
  }
});

test("the prefix and its key may come in different pieces", () => {
  assert.is(type("a\x01|x").left, 1);
  assert.equal(type("a\x01|\x01|b"), { sent: "a\x01b", left: 0, said: "" });
});

test("Ctrl-A H names every key; an unknown one says so; neither reaches the guest", () => {
  for (const key of ["h", "q"]) {
    const { sent, said } = type(`a\x01${key}b`);
    assert.is(sent, "ab");
    for (const name of ["Ctrl-A X", "Ctrl-A H", "Ctrl-A Ctrl-A"]) assert.ok(said.includes(name));
    assert.is(said.includes("unknown"), key === "q");
  }
});

test.run();
