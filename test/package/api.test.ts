/**
 * api: docs/api.md is what the docstrings say now, and every export has one.
 */
import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("package/api");

test("the API reference is up to date; run `node .tools/api.mjs` when it is not", () => {
  const done = spawnSync(process.execPath, [".tools/api.mjs", "--check"], { encoding: "utf8" });
  assert.is(done.status, 0, done.stderr);
});

test.run();
