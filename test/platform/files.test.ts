/**
 * Files that are written as a whole are one writer's or another's, never both's.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openFileSink, writeWholeFile } from "../../src/platform/node/files.ts";

const test = suite("platform/files");
const MEBIBYTE = 1 << 20;
const ROUNDS = 10;
const folder = mkdtempSync(join(tmpdir(), "rivulet-files-"));
test.after(() => rmSync(folder, { recursive: true }));

test("writers at the same time leave the content of one of them, and nothing else", async () => {
  const path = join(folder, "file");
  const contents = [1, 2, 3].map((value) => new Uint8Array(2 * value * MEBIBYTE).fill(value));
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(contents.map((bytes) => writeWholeFile(path, bytes)));
    const found = readFileSync(path);
    assert.ok(
      contents.some((bytes) => Buffer.compare(found, bytes) === 0),
      `round ${round}: torn`,
    );
  }
  assert.equal(readdirSync(folder), ["file"]);
});

test("a file that cannot be written stays as it was", async () => {
  const path = join(folder, "kept");
  writeFileSync(path, "old");
  try {
    await writeWholeFile(join(path, "below"), new Uint8Array(1));
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, "io");
  }
  assert.is(readFileSync(path, "utf8"), "old");
});

test("what is written in order is there as a whole or not at all, and takes no device's place", async () => {
  const path = join(folder, "sink");
  writeFileSync(path, "old");
  const before = readdirSync(folder);
  for (const [isWhole, content] of [
    [false, "old"],
    [true, "new"],
  ] as const) {
    const sink = await openFileSink(path);
    await sink.write(new TextEncoder().encode("new"));
    await sink.close(isWhole);
    assert.is(readFileSync(path, "utf8"), content);
  }
  for (const name of ["/dev/null", folder]) {
    const error = await openFileSink(name).catch((cause) => cause);
    assert.match(String(error), /it is (no file|a folder)/);
  }
  assert.equal(readdirSync(folder), before);
});

test.run();
