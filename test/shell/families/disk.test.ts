/**
 * `disk`: images made and resized, disks of machines, and what is refused while a machine has a
 * file open.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtinGuest } from "../../../src/node.ts";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/disk");
const MEBIBYTE = 1 << 20;

async function withShell(
  work: (shell: OpenShell, files: Map<string, Uint8Array>) => Promise<void>,
) {
  const files = new Map([
    ["/here/a.img", new Uint8Array(MEBIBYTE)],
    ["/here/b.img", new Uint8Array(2 * MEBIBYTE)],
    ["/here/odd.img", new Uint8Array(700)],
  ]);
  const shell = openShell(files);
  try {
    await work(shell, files);
  } finally {
    await shell.fleet.dispose();
  }
}

/** The refusal of a line: its status and message. */
async function refusal(shell: OpenShell, line: string): Promise<string> {
  const { status, err, out } = await shell.run(line);
  assert.is.not(status, 0, `${line}: ${out}`);
  return `${status} ${err}`;
}

test("create makes a file of zeros of the size, and refuses what is there without --force", async () => {
  await withShell(async (shell, files) => {
    assert.is(await shell.need("disk create new.img 1M"), "/here/new.img: 1 MiB\n");
    assert.is(files.get("/here/new.img")?.length, MEBIBYTE);
    const made = await shell.json("disk create other.img 512 --preallocate");
    assert.equal(made, { file: "/here/other.img", bytes: 512, isPreallocated: true });
    assert.match(await refusal(shell, "disk create new.img 2M"), /^1 .*is there/);
    await shell.need("disk create new.img 2M --force");
    assert.is(files.get("/here/new.img")?.length, 2 * MEBIBYTE);
    for (const size of ["0", "1000", "1X", "9999999T", "''"]) {
      assert.match(
        await refusal(shell, `disk create x.img ${size}`),
        /^2 .*multiples of 512 bytes/,
      );
    }
  });
});

test("resize grows, and shrinks only when that is said", async () => {
  await withShell(async (shell, files) => {
    files.get("/here/a.img")?.fill(7);
    assert.is(await shell.need("disk resize a.img 3M"), "/here/a.img: 1 MiB -> 3 MiB\n");
    assert.equal(
      [...(files.get("/here/a.img") as Uint8Array).subarray(MEBIBYTE - 1, MEBIBYTE + 1)],
      [7, 0],
    );
    const why = await refusal(shell, "disk resize a.img 1M");
    assert.match(why, /^1 .*has 3 MiB: 2 MiB would be lost; --shrink does it/);
    await shell.need("disk resize a.img 1M --shrink");
    assert.is(files.get("/here/a.img")?.length, MEBIBYTE);
    assert.match(
      await refusal(shell, "disk resize none.img 1M"),
      /none\.img: there is no such file/,
    );
  });
});

test("disks come and go while the machine is not running, by file or by number", async () => {
  await withShell(async (shell) => {
    await shell.need("vm create web --guest builtin --memory 16M --clock virtual");
    assert.is(await shell.need("disk list"), "no disks\n");
    const said = await shell.need("disk attach web a.img,cow");
    assert.is(said, "web: disk 0, /dev/vda under Linux\n");
    await shell.need("disk attach web ./b.img,ro");
    const [first, second] = await shell.json<Record<string, unknown>[]>("disk list web");
    assert.equal(first, {
      ...{ vm: "web", index: 0, path: "/here/a.img", mode: "cow", device: "virtio0" },
      ...{ linuxName: "vda", bytes: MEBIBYTE },
    });
    assert.is(second["linuxName"], "vdb");
    assert.match(await shell.need("disk list"), /^web +1 +vdb +ro +2 MiB +\/here\/b\.img$/m);
    await shell.need("disk detach web 0");
    assert.match(await refusal(shell, "disk detach web a.img"), /it has 0 \(\/here\/b\.img\)/);
    await shell.need("disk detach web b.img");
    assert.match(await refusal(shell, "disk detach web 0"), /it has none/);
    assert.match(await refusal(shell, "disk attach web odd.img"), /700 bytes; accepted are/);
    assert.is(await shell.need("disk list web"), "no disks\n", "the machine is as it was");
    await shell.need("vm start web");
    const running = /virtio-mmio disks are found at boot.*web is running; `vm stop web`/;
    assert.match(await refusal(shell, "disk attach web a.img"), running);
  });
});

test("a file with a writer has one user; readers share; used files are not resized", async () => {
  await withShell(async (shell) => {
    for (const name of ["one", "two"]) {
      await shell.need(`vm create ${name} --guest builtin --memory 16M --clock virtual`);
    }
    await shell.need("disk attach one a.img,ro; disk attach two a.img,cow");
    assert.match(
      await refusal(shell, "disk attach two a.img"),
      /one reads it; a file with a writer/,
    );
    await shell.need("disk attach one b.img");
    assert.match(await refusal(shell, "disk attach two b.img,ro"), /machine one writes to it/);
    const third = "vm create three --guest builtin --memory 16M --disk b.img,cow";
    assert.match(await refusal(shell, third), /machine one writes to it/);
    assert.match(
      await refusal(shell, "disk resize b.img 8M"),
      /machine one has it open; `disk detach one 1`/,
    );
    assert.match(await refusal(shell, "disk create b.img 8M --force"), /machine one has it open/);
    const { usedBy } = await shell.json<{ usedBy: unknown[] }>("disk info a.img");
    assert.equal(usedBy, [
      { vm: "one", index: 0, path: "/here/a.img", mode: "ro" },
      { vm: "two", index: 0, path: "/here/a.img", mode: "cow" },
    ]);
  });
});

test("info counts what the guest asked of a disk", async () => {
  await withShell(async (shell) => {
    await shell.need("vm create web --guest builtin --memory 16M --clock virtual");
    await shell.need("disk attach web a.img");
    const info = await shell.json<Record<string, unknown>>("disk info web:0");
    const none = { reads: 0, readBytes: 0, writes: 0, writtenBytes: 0, flushes: 0, errors: 0 };
    assert.equal([info["path"], info["bytes"]], ["/here/a.img", MEBIBYTE]);
    assert.equal(info["requests"], none);
    assert.match(await shell.need("disk info web:0"), /^writes +0, 0 bytes$/m);
    assert.match(await refusal(shell, "disk info web:1"), /disk "1" of web: it has 0/);
    assert.match(await refusal(shell, "disk info web:x"), /web:x: there is no such file/);
    const file = await shell.json<Record<string, unknown>>("disk info a.img");
    assert.is(file["requests"], null);
  });
});

test("a guest's own disk comes first, copied on write, and stays with the guest", async () => {
  await withShell(async (shell) => {
    const { world } = shell;
    const files = async () => ({ kernel: builtinGuest(), disk: "/here/a.img" });
    Object.assign(world, { guests: { ...world.guests, files } });
    await shell.need("vm create web --guest own --memory 16M --disk b.img");
    const disks = await shell.json<{ path: string; mode: string }[]>("disk list web");
    const shown = disks.map(({ path, mode }) => `${path} ${mode}`);
    assert.equal(shown, ["/here/a.img cow", "/here/b.img rw"]);
    assert.match(await refusal(shell, "disk detach web 0"), /belongs to guest own/);
    await shell.need("disk detach web 1");
    assert.is((await shell.json<unknown[]>("disk list web")).length, 1);
  });
});

test.run();
