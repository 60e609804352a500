/**
 * store-directory: a store in a folder: locks between processes, what is left by one that was
 * killed, long paths, what the file system refuses.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openStoreDirectory, VmError } from "../../src/node.ts";
import { killCampaign } from "../snapshot/kill-kit.ts";
import { checkStore, idOf, metaOf, openStore, refusal, write } from "../snapshot/store-kit.ts";

const test = suite("platform/store-directory");
const WORKER = fileURLToPath(new URL("../snapshot/store-worker.js", import.meta.url));
let folder = "";

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "rivulet-store-"));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

const sockets = () => readdirSync(join(folder, "lock")).length;

/** A process that holds the lock; resolves once it does. */
function holder(): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WORKER, "hold", folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.once("error", reject);
    child.stdout?.once("data", () => resolve(child));
  });
}

const ended = (child: ChildProcess) => new Promise((resolve) => child.once("exit", resolve));

test("a store in a folder is there when it is opened again, for its user alone", async () => {
  const store = await openStore(await openStoreDirectory(join(folder, "a", "b")));
  const pages = new Map(Array.from({ length: 600 }, (_, page) => [`0:${page}`, page * 3]));
  await write(store, metaOf(1), pages, ["core"]);
  await store.close();
  const again = await openStore(await openStoreDirectory(join(folder, "a", "b")));
  await checkStore(again, new Map([[idOf(1), pages]]));
  await again.close();
  assert.is(statSync(join(folder, "a", "b", "segments")).mode & 0o777, 0o700);
  assert.is(statSync(join(folder, "a", "b", "store")).mode & 0o777, 0o600);
});

test("a second opening is told who has it; after the first is closed it gets it", async () => {
  const store = await openStore(await openStoreDirectory(folder));
  const error = await refusal(async () => openStore(await openStoreDirectory(folder)));
  assert.is(error.code, "busy");
  assert.match(error.message, /this process/);
  await store.close();
  await (await openStore(await openStoreDirectory(folder))).close();
  assert.is(sockets(), 0);
});

test("another process has it; killed, it leaves no lock; stopped, it keeps it", async () => {
  const child = await holder();
  try {
    const error = await refusal(async () => openStore(await openStoreDirectory(folder)));
    assert.match(error.message, new RegExp(`process ${child.pid} has it`));
    child.kill("SIGSTOP");
    const stopped = await refusal(async () => openStore(await openStoreDirectory(folder)));
    assert.is(stopped.code, "busy");
  } finally {
    child.kill("SIGKILL");
    await ended(child);
  }
  assert.is(sockets(), 1, "its socket is there still");
  const store = await openStore(await openStoreDirectory(folder));
  assert.is(sockets(), 1, "and only ours now");
  await store.close();
  assert.is(sockets(), 0);
});

test("of many who ask at once one gets it at a time", async () => {
  let holders = 0;
  let got = 0;
  const one = async () => {
    for (let tries = 0; tries < 400; tries++) {
      const directory = await openStoreDirectory(folder);
      try {
        const lock = await directory.lock();
        assert.is(++holders, 1);
        await new Promise((resolve) => setImmediate(resolve));
        holders--;
        got++;
        await lock.release();
        return;
      } catch (error) {
        if ((error as { code?: string }).code !== "busy") throw error;
      }
    }
    throw new Error("never got it");
  };
  await Promise.all(Array.from({ length: 6 }, one));
  assert.is(got, 6);
  assert.is(sockets(), 0);
});

test("a folder with a long path", async () => {
  const long = join(folder, ...Array.from({ length: 4 }, () => "x".repeat(60)));
  const store = await openStore(await openStoreDirectory(long));
  const error = await refusal(async () => openStore(await openStoreDirectory(long)));
  assert.is(error.code, "busy");
  await write(store, metaOf(1), new Map([["0:1", 1]]));
  await store.close();
});

test("what is no folder, or not there, is told as such", async () => {
  writeFileSync(join(folder, "file"), "");
  assert.match(
    (await refusal(() => openStoreDirectory(join(folder, "file")))).message,
    /there is a file of that name/,
  );
  const missing = join(folder, "none");
  const error = await refusal(() => openStoreDirectory(missing, { create: false }));
  assert.is(error.code, "not-found");
  mkdirSync(join(folder, "other", "snapshots"), { recursive: true });
  writeFileSync(join(folder, "other", "snapshots", "x.snap"), "x");
  const other = await openStoreDirectory(join(folder, "other"));
  assert.is((await refusal(() => openStore(other))).code, "bad-file");
});

test("a process that is killed while it works loses nothing that it was told is durable", async () => {
  const tally = await killCampaign(folder, 6, 77);
  assert.is(tally.kills, 6);
});

test("where no folder can be made that is said, and soon", async () => {
  const error = await openStoreDirectory("/proc/nope/deeper").catch((cause: unknown) => cause);
  assert.instance(error, VmError);
  assert.match(String(error), /\/proc\/nope/);
});

test.run();
