/**
 * Guests that somebody brings along: in the store whole or not at all, never over another one
 * unasked; and the binary boots them by name.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtinGuest, findGuest, importGuest, listGuests, VmError } from "../../src/node.ts";
import { rivulet } from "../helpers/cli.ts";

const test = suite("platform/guest-import");

/** An empty store, and a folder for files. */
async function withStore(work: (folder: string, store: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-import-"));
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  try {
    await work(folder, join(folder, "cache", "rivulet", "guests"));
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(folder, { recursive: true });
  }
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, VmError);
    return (error as Error).message;
  }
  throw new Error("was taken");
}

const kernel = Uint8Array.of(1, 2, 3);

test("an imported guest is found with its files; what it lacks is not there", async () => {
  await withStore(async (folder) => {
    const disk = join(folder, "disk.img");
    writeFileSync(disk, Buffer.alloc(4096, 5));
    const initrd = Uint8Array.of(4);
    await importGuest("full", { kernel, initrd, disk, append: "quiet" });
    await importGuest("bare", { kernel, append: "" });
    assert.equal(
      listGuests().map(({ manifest }) => manifest.name),
      ["bare", "full"],
    );
    const full = findGuest("full");
    assert.ok(full);
    const { manifest, folder: files } = full;
    assert.equal([manifest.release, manifest.append], ["imported", "quiet"]);
    const bytesOf = (name: string) => [...readFileSync(join(files, name))];
    assert.equal([bytesOf(manifest.kernel), bytesOf(manifest.initrd)], [[...kernel], [4]]);
    assert.is(readFileSync(join(files, manifest.disk as string)).length, 4096);
    assert.equal(Object.keys(manifest.files).sort(), ["disk", "initrd", "kernel"]);
    const bare = findGuest("bare")?.manifest;
    assert.equal([bare?.initrd, bare?.disk], ["", undefined]);
  });
});

test("a guest that is there stays as it is unless another is to take its place", async () => {
  await withStore(async (folder, store) => {
    await importGuest("mine", { kernel, append: "one" });
    const again = importGuest("mine", { kernel, append: "two" });
    assert.match(await refusal(again), /"mine" is there already; --force replaces it/);
    const missing = { kernel, append: "two", disk: join(folder, "none"), isReplacing: true };
    assert.match(await refusal(importGuest("mine", missing)), /no such file/);
    writeFileSync(join(folder, "odd"), Buffer.alloc(1000));
    const odd = importGuest("other", { kernel, append: "", disk: join(folder, "odd") });
    assert.match(await refusal(odd), /odd has 1000 bytes; accepted are multiples of 512/);
    assert.is(findGuest("mine")?.manifest.append, "one");
    await importGuest("mine", { kernel, append: "three", isReplacing: true });
    assert.is(findGuest("mine")?.manifest.append, "three");
    assert.equal(readdirSync(store), ["mine"]);
    for (const name of ["", "Mine", "a/b", "..", "x".repeat(32)]) {
      assert.match(
        await refusal(importGuest(name, { kernel, append: "" })),
        /accepted are 1 to 31/,
      );
    }
  });
});

test("an import that is aborted, or whose disk fails, leaves the store as it was", async () => {
  await withStore(async (folder, store) => {
    const disk = join(folder, "disk.img");
    writeFileSync(disk, Buffer.alloc(4 << 20, 5));
    const controller = new AbortController();
    const parts = {
      ...{ kernel, append: "", disk, signal: controller.signal },
      onPercent: () => controller.abort(),
    };
    await refusal(importGuest("mine", parts));
    assert.equal(readdirSync(store), []);
    mkdirSync(join(folder, "folder"));
    await refusal(importGuest("mine", { kernel, append: "", disk: join(folder, "folder") }));
    assert.equal(readdirSync(store), []);
  });
});

test("what the file system refuses is said in one line; nonsense in the store is no guest", async () => {
  await withStore(async (folder, store) => {
    writeFileSync(join(folder, "cache"), "no folder");
    assert.match(await refusal(importGuest("a", { kernel, append: "" })), /^guest a: ENOTDIR/);
    rmSync(join(folder, "cache"));
    for (const manifest of ["null", "[]", "{}", '{"format":2,"name":"x","files":[null]}', "x"]) {
      mkdirSync(join(store, "x"), { recursive: true });
      writeFileSync(join(store, "x", "manifest.json"), manifest);
      assert.equal(listGuests(), [], manifest);
    }
  });
});

test("the binary imports, shows, boots and removes a guest", async () => {
  await withStore(async (folder, store) => {
    const env = { XDG_CACHE_HOME: join(folder, "cache") };
    const call = { env, cwd: folder };
    writeFileSync(join(folder, "Image"), builtinGuest());
    writeFileSync(join(folder, "disk.img"), Buffer.alloc(4096));
    const line = ["guest", "import", "mine", "--kernel", "Image", "--disk", "disk.img"];
    const imported = await rivulet([...line, "--json"], call);
    assert.is(imported.status, 0, imported.stderr);
    assert.is(JSON.parse(imported.stdout).name, "mine");
    const again = await rivulet(line, call);
    assert.is(again.status, 1);
    assert.is(again.stderr, 'rivulet: guest "mine" is there already; --force replaces it\n');
    const info = await rivulet(["guest", "info", "mine", "--json"], call);
    const roles = JSON.parse(info.stdout).files.map((file: { role: string }) => file.role);
    assert.equal(roles.sort(), ["disk", "kernel"]);
    const run = await rivulet(["run", "--guest", "mine"], { ...call, input: "poweroff\n" });
    assert.is(run.status, 0, run.stderr);
    const removed = await rivulet(["guest", "remove", "mine"], call);
    assert.is(removed.status, 0, removed.stderr);
    assert.not.ok(existsSync(join(store, "mine")));
  });
});

test.run();
