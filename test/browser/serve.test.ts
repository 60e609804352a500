/**
 * The example's programs as they are called: their help, and what they refuse.
 */
import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("browser/serve");

function call(program: string, ...args: string[]) {
  const words = [`examples/browser/${program}`, ...args];
  return spawnSync(process.execPath, words, { encoding: "utf8", timeout: 60_000 });
}

test("--help says what there is and gives an example; anything unknown is a usage error", () => {
  for (const [program, option] of [
    ["serve.mjs", "--port N"],
    ["move.mjs", "--port N"],
    ["build.mjs", "--guest NAME"],
  ]) {
    const help = call(program, "--help");
    assert.equal([help.status, help.stderr], [0, ""]);
    assert.match(help.stdout, new RegExp(`^Usage: node examples/browser/${program}`));
    assert.ok(help.stdout.includes(`  ${option} `) && help.stdout.includes("Example:\n"));
    const wrong = call(program, "--bogus");
    assert.equal([wrong.status, wrong.stdout], [2, ""]);
    assert.match(wrong.stderr, /--bogus/);
  }
  assert.match(call("serve.mjs", "--port", "65536").stderr, /accepted are 0 to 65535/);
});

test.run();
