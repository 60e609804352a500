/**
 * `console`: what is printed of a log, and how.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/console");

async function withMachine(work: (shell: OpenShell) => Promise<void>): Promise<void> {
  const shell = openShell(new Map());
  try {
    await shell.need("vm create web --guest builtin --memory 16M --clock virtual --start");
    await shell.need("console wait web '> '");
    await work(shell);
  } finally {
    await shell.fleet.dispose();
  }
}

test("log ends its last line, so that a prompt begins a line; --raw and --json are exact", () =>
  withMachine(async (shell) => {
    const raw = await shell.need("console log web --raw");
    assert.match(raw, /\r\n> $/);
    assert.match(await shell.need("console log web"), /\n> \n$/);
    assert.is(await shell.need("console log web --tail 1"), "> \n");
    assert.is(await shell.need("console log web --tail 0"), "");
    const { text } = await shell.json<{ text: string }>("console log web --tail 1");
    assert.is(text, "> ");
  }));

test("log --follow ends its last line with the machine", () =>
  withMachine(async (shell) => {
    const following = shell.run("console log web --tail 1 --follow");
    shell.fleet.get("web").machine.console.write("poweroff\n");
    const { status, out } = await following;
    assert.is(status, 0);
    assert.match(out, /^> poweroff\n/);
    assert.match(out, /[^\n]\n$/);
  }));

test.run();
