/**
 * examples: every example runs and exits with 0.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("examples/examples");

const files = readdirSync("examples").filter((name) => name.endsWith(".mjs"));

test("there are examples", () => assert.ok(files.length >= 2));

for (const file of files) {
  test(`${file} runs`, () => {
    const done = spawnSync(process.execPath, [`examples/${file}`], { encoding: "utf8" });
    assert.is(done.status, 0, done.stderr);
    assert.ok(done.stdout.length > 0);
  });
}

test.run();
