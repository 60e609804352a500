/**
 * The shell's commands that ask a Linux guest: `vm exec` and `vm stop`, by the binary, with Debian.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Console } from "../../bench/process.ts";
import { rivulet } from "../helpers/cli.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";

const test = suite("boot/shell");
const folder = mkdtempSync(join(tmpdir(), "rivulet-shell-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs lines as a script of the binary. */
function script(lines: readonly string[], ...options: string[]) {
  const file = join(folder, "script");
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  const args = ["dist/src/cli.js", ...options, "-f", file];
  const done = spawnSync(process.execPath, args, { encoding: "latin1", timeout: 240_000 });
  return { status: done.status, out: done.stdout, err: done.stderr };
}

const CREATE = "vm create d --guest debian --start";

testNeeding(test, [DEBIAN_GUEST], "vm exec gives back bytes and status, vm stop ends", () => {
  const found = script([
    CREATE,
    "vm exec d 'uname -m'",
    "vm exec d printf '%s|' a 'b c'",
    "vm exec d 'printf \"\\377\\033[6n\\000\"'",
    "vm stop d",
    "vm list",
  ]);
  assert.is(found.status, 0, found.err);
  assert.ok(found.out.startsWith("riscv64\na|b c|\xff\x1b[6n\0d: poweroff, code 0\n"), found.out);
  assert.match(found.out, /^d +terminated \(poweroff, code 0\)/m);
});

testNeeding(
  test,
  [DEBIAN_GUEST],
  "vm exec prints what the command says while it runs",
  async () => {
    const file = join(folder, "stream");
    // it ends once what it says first has been read
    writeFileSync(file, `${CREATE}\nvm exec d 'echo first; until test -e /tmp/go; do :; done'\n`);
    const socket = `unix:${join(folder, "socket")}`;
    const args = ["dist/src/cli.js", "--control", socket, "-f", file];
    const shell = new Console([process.execPath, ...args]);
    try {
      await shell.expect(/first\n/, 240);
      const touch = ["--connect", socket, "vm", "exec", "d", "touch", "/tmp/go"];
      assert.is((await rivulet(touch)).status, 0);
      assert.is(await shell.finish(240), 0);
    } finally {
      await shell.kill();
    }
  },
);

testNeeding(
  test,
  [DEBIAN_GUEST],
  "vm exec as JSON ends the script with the command's status",
  () => {
    const line = "vm exec d 'echo out; echo err >&2; exit 3' --json";
    const { status, out } = script([CREATE, line, "vm stop d"]);
    assert.is(status, 3);
    const expected = { status: 3, stdout: "out\n", stderr: "err\n" };
    assert.equal(JSON.parse(out), { ...expected, isTruncated: false, isTimedOut: false });
  },
);

testNeeding(test, [DEBIAN_GUEST], "vm exec kills what does not end in time", () => {
  const lines = [CREATE, "vm exec d true", "vm exec d 'sleep 1000' --timeout 3s"];
  const { status, err } = script(lines);
  assert.is(status, 124, err);
  assert.match(err, /did not end in time and was killed/);
});

test("a guest that is no Linux says so at once, and is stopped at its prompt", () => {
  const create = "vm create b --guest builtin --memory 16M --start; console wait b '> '";
  const refused = script([create, "vm exec b 'uname -a'"]);
  assert.is(refused.status, 1);
  assert.match(
    refused.err,
    /b runs the built-in guest, which is no Linux; accepted: `console send`/,
  );
  const stopped = script([create, "vm stop b", "vm stop b"]);
  assert.is(stopped.out, "b: poweroff, code 0\n");
  assert.is(stopped.status, 1);
  assert.match(stopped.err, /b is terminated: only a running one is asked to stop/);
});

test.run();
