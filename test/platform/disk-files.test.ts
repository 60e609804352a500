/**
 * Files that are disks: made whole or not at all, sparse, resized, copied without their holes.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError, type VmErrorCode } from "../../src/errors.ts";
import {
  copyDiskFile,
  createDiskFile,
  diskFileFacts,
  resizeDiskFile,
} from "../../src/platform/node/disk-files.ts";

const test = suite("platform/disk-files");
const MEBIBYTE = 1 << 20;

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-disk-"));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function refusal(work: Promise<unknown>, code: VmErrorCode): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, VmError);
    assert.is((error as VmError).code, code, (error as Error).message);
    return (error as Error).message;
  }
  throw new Error("was taken");
}

const allocated = (path: string) => statSync(path).blocks * 512;

test("a disk is sparse unless its room is taken, and nothing else stays behind", async () => {
  await inFolder(async (folder) => {
    const [sparse, full] = ["sparse", "full"].map((name) => join(folder, name));
    await createDiskFile(sparse, 64 * MEBIBYTE, {});
    assert.is(statSync(sparse).size, 64 * MEBIBYTE);
    assert.ok(allocated(sparse) < MEBIBYTE, `${allocated(sparse)} bytes taken`);
    const percents: number[] = [];
    const onPercent = (percent: number) => percents.push(percent);
    await createDiskFile(full, 3 * MEBIBYTE + 512, { isPreallocated: true, onPercent });
    assert.is(statSync(full).size, 3 * MEBIBYTE + 512);
    assert.ok(allocated(full) >= 3 * MEBIBYTE, `${allocated(full)} bytes taken`);
    assert.equal(
      percents,
      [...percents].sort((a, b) => a - b),
    );
    assert.is(percents.at(-1), 100);
    assert.equal(readdirSync(folder).sort(), ["full", "sparse"]);
  });
});

test("what is there stays unless it is to be replaced", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "disk");
    writeFileSync(path, "precious");
    const why = await refusal(createDiskFile(path, 512, {}), "bad-file");
    assert.match(why, /it is there already; --force replaces it/);
    assert.is(readFileSync(path, "utf8"), "precious");
    await createDiskFile(path, 512, { isReplacing: true });
    assert.equal(readFileSync(path), Buffer.alloc(512));
    mkdirSync(join(folder, "folder"));
    const place = createDiskFile(join(folder, "folder"), 512, { isReplacing: true });
    assert.match(await refusal(place, "bad-file"), /not a file/);
    const nowhere = createDiskFile(join(folder, "none", "disk"), 512, {});
    assert.match(await refusal(nowhere, "io"), /no such file or folder/);
    const below = createDiskFile(join(path, "disk"), 512, {});
    assert.match(await refusal(below, "io"), /a part of the path is no folder/);
    const huge = createDiskFile(join(folder, "huge"), 2 ** 52, { isPreallocated: true });
    assert.match(await refusal(huge, "io"), /4503599627370496 bytes are wanted, \d+ are free/);
    assert.equal(readdirSync(folder).sort(), ["disk", "folder"]);
  });
});

test("an aborted disk leaves nothing, and what it was to replace", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "disk");
    writeFileSync(path, "precious");
    const controller = new AbortController();
    const made = createDiskFile(path, 8 * MEBIBYTE, {
      isPreallocated: true,
      isReplacing: true,
      signal: controller.signal,
      onPercent: () => controller.abort(),
    });
    await refusal(made, "io");
    assert.is(readFileSync(path, "utf8"), "precious");
    assert.equal(readdirSync(folder), ["disk"]);
  });
});

test("two that make one disk at the same time do not touch each other's", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "disk");
    const controller = new AbortController();
    const { signal } = controller;
    const options = { isPreallocated: true, onPercent: () => controller.abort() };
    const whole = createDiskFile(path, 8 * MEBIBYTE, { isPreallocated: true });
    const aborted = createDiskFile(path, 8 * MEBIBYTE, { ...options, signal });
    await refusal(aborted, "io");
    await whole;
    assert.equal([readdirSync(folder), allocated(path)], [["disk"], 8 * MEBIBYTE]);
  });
});

test("facts tell one file from another, whatever the path", async () => {
  await inFolder(async (folder) => {
    const [a, b, hard, soft] = ["a", "b", "hard", "soft"].map((name) => join(folder, name));
    writeFileSync(a, Buffer.alloc(1024));
    writeFileSync(b, Buffer.alloc(1024));
    linkSync(a, hard);
    symlinkSync(a, soft);
    const [one, other, same, through] = await Promise.all([a, b, hard, soft].map(diskFileFacts));
    assert.is(one.bytes, 1024);
    assert.equal([same.id, through.id], [one.id, one.id]);
    assert.is.not(other.id, one.id);
    assert.match(await refusal(diskFileFacts(folder), "bad-file"), /not a file/);
    assert.match(await refusal(diskFileFacts(join(folder, "x")), "bad-file"), /no such file/);
  });
});

test("a resized disk keeps what both sizes have, and grows by zeros", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "disk");
    writeFileSync(path, Buffer.alloc(1024, 7));
    await resizeDiskFile(path, MEBIBYTE);
    const grown = readFileSync(path);
    assert.equal([grown.length, grown[1023], grown[1024]], [MEBIBYTE, 7, 0]);
    await resizeDiskFile(path, 512);
    assert.equal(readFileSync(path), Buffer.alloc(512, 7));
    await refusal(resizeDiskFile(join(folder, "none"), 512), "bad-file");
    assert.not.ok(existsSync(join(folder, "none")));
  });
});

test("a copy has the same bytes and hash, and holes where there are zeros", async () => {
  await inFolder(async (folder) => {
    const [from, to] = ["from", "to"].map((name) => join(folder, name));
    const contents = Buffer.alloc(8 * MEBIBYTE + 512);
    contents.fill(1, 0, 512);
    contents.fill(2, 8 * MEBIBYTE);
    writeFileSync(from, contents);
    const { bytes, sha256 } = await copyDiskFile(from, to);
    assert.is(bytes, contents.length);
    assert.ok(readFileSync(to).equals(contents));
    assert.match(sha256, /^[0-9a-f]{64}$/);
    assert.ok(allocated(to) < 4 * MEBIBYTE, `${allocated(to)} bytes taken`);
    await refusal(copyDiskFile(from, to), "io"); // never over something
    const aborted = copyDiskFile(from, join(folder, "late"), { signal: AbortSignal.abort() });
    await refusal(aborted, "io");
  });
});

test.run();
