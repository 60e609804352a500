/**
 * block-file: disks in files: what opens, what does not, and a file that shrinks in use.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError } from "../../src/errors.ts";
import { openBlockFile } from "../../src/platform/node/block-file.ts";

const test = suite("platform/block-file");
const folder = mkdtempSync(join(tmpdir(), "rivulet-disk-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const refuses = (path: string, text: RegExp) =>
  assert.throws(
    () => openBlockFile(path, { isReadOnly: true }),
    (error: unknown) =>
      error instanceof VmError && error.code === "bad-file" && text.test(error.message),
  );

function file(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    Uint8Array.from({ length: bytes }, (_, at) => (at * 7) & 0xff),
  );
  return path;
}

test("reads and writes what the file holds", () => {
  const path = file("plain", 4096);
  const disk = openBlockFile(path, { isReadOnly: false });
  assert.is(disk.bytes, 4096);
  const sector = new Uint8Array(512);
  disk.read(1024, sector);
  assert.is(sector[3], (1027 * 7) & 0xff);
  disk.write(512, sector.fill(9));
  disk.flush();
  disk.close();
  assert.is(readFileSync(path)[513], 9);
});

test("says what was given and what is accepted", () => {
  refuses(join(folder, "nowhere"), /nowhere: there is no such file; a file is accepted/);
  refuses(folder, /folder|not a file/);
  refuses(file("odd", 1000), /1000 bytes; accepted are multiples of 512/);
  refuses(file("empty", 0), /0 bytes; accepted are multiples of 512/);
});

test("a file that shrank gives I/O errors, and is not grown again", () => {
  const path = file("shrinks", 4096);
  const disk = openBlockFile(path, { isReadOnly: false });
  truncateSync(path, 1024);
  const sector = new Uint8Array(512);
  disk.read(0, sector);
  assert.throws(() => disk.read(2048, sector), /shrank/);
  assert.throws(() => disk.write(2048, sector), /shrank/);
  assert.is(readFileSync(path).length, 1024);
  disk.close();
});

test("a read-only disk cannot be written", () => {
  const path = file("readonly", 512);
  const disk = openBlockFile(path, { isReadOnly: true });
  assert.is(disk.isReadOnly, true);
  assert.throws(() => disk.write(0, new Uint8Array(512)));
  disk.close();
});

test.run();
