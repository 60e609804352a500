/**
 * The built-in guest here, through `rivulet run --guest builtin` on pipes: the conversation that
 * QEMU holds too, with one hart and with four, and the same to the bit when input is scripted.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { converse, GUARD_MS } from "./converse.ts";
import { expectedTranscript, maskTimes, TRANSCRIPT_CODE, TRANSCRIPT_MIB } from "./transcript.ts";

const test = suite("guest/machine");
const CLI = fileURLToPath(new URL("../../src/cli.js", import.meta.url));
const OPTIONS = [CLI, "run", "--guest", "builtin", "--memory", `${TRANSCRIPT_MIB}M`];

for (const more of [[], ["--harts", "4"], ["--clock", "host"]]) {
  test(`the guest holds its conversation ${more.join(" ")}`, async () => {
    const { text, errors, code } = await converse(process.execPath, [...OPTIONS, ...more]);
    assert.is(maskTimes(text), expectedTranscript(), errors);
    assert.is(code, TRANSCRIPT_CODE);
    assert.is(errors, "");
  });
}

test("two runs of the same script print the same times and end in the same state", () => {
  const input = ["time", "sleep 20", "primes 5000", "mem 2", "time", "poweroff", ""].join("\n");
  const [first, second] = [1, 2].map(() =>
    spawnSync(process.execPath, [...OPTIONS, "--digest"], {
      input,
      timeout: GUARD_MS,
      encoding: "utf8",
    }),
  );
  assert.is(first.status, 0);
  assert.match(first.stdout, /669 primes up to 5000, the last 4999\r\n/);
  assert.is(first.stdout, second.stdout);
  assert.match(first.stderr, /^digest [0-9a-f]+$/m);
  assert.is(first.stderr, second.stderr);
});

test.run();
