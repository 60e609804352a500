/**
 * `memory`: where a machine's RAM is, what is found in it, and that looking changes nothing.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MachineView } from "../../../src/core/machine-view.ts";
import { sharedPages, VmError } from "../../../src/index.ts";
import type { World } from "../../../src/shell/world.ts";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/memory");
const MEBIBYTE = 1 << 20;

async function withMachine(
  work: (shell: OpenShell, files: Map<string, Uint8Array>) => Promise<void>,
) {
  const files = new Map<string, Uint8Array>();
  const shell = openShell(files);
  try {
    const create = "vm create web --guest builtin --memory 16M --clock virtual";
    await shell.need(`${create} --start; console wait web '> '`);
    await work(shell, files);
  } finally {
    await shell.fleet.dispose();
  }
}

interface Stats {
  readonly machines: readonly {
    readonly ramBytes: number;
    readonly zeroPages: number;
    readonly herePages: number;
    readonly absentPages: number;
    readonly frames: number;
    readonly framesOwn: number;
  }[];
  readonly frames: { readonly total: number; readonly free: number };
}

interface Run {
  readonly address: string;
  readonly pages: number;
  readonly state: string;
}

test("stats and map account for every page", async () => {
  await withMachine(async (shell) => {
    const { machines, frames } = await shell.json<Stats>("memory stats");
    const [one] = machines;
    assert.is(one.ramBytes, 16 * MEBIBYTE);
    assert.is((one.zeroPages + one.herePages + one.absentPages) * 4096, one.ramBytes);
    assert.is(one.framesOwn, one.frames, "it shares with nobody");
    assert.is(frames.total - frames.free, one.frames);
    const { pages, runs } = await shell.json<{ pages: number; runs: Run[] }>("memory map web");
    let next = 0x8000_0000;
    for (const run of runs) {
      assert.is(Number(run.address), next);
      next += run.pages * 4096;
    }
    assert.is(next, 0x8000_0000 + pages * 4096);
    const here = runs.filter(({ state }) => state === "here");
    assert.is(
      here.reduce((sum, run) => sum + run.pages, 0),
      one.herePages,
    );
    const picture = await shell.need("memory map web");
    assert.match(picture, /^16 KiB a sign: .*\n0x80000000 {2}[#+]/);
    assert.match(await shell.need("memory stats web"), /^web +16 MiB .*\npool: .* free$/m);
  });
});

test("find sees what lies across two pages, text and hex; dump writes what is there", async () => {
  await withMachine(async (shell, files) => {
    await shell.need("debug write web 0x80700ffc 6669736820626f6e6573");
    const found = await shell.json("memory find web 'fish bones'");
    assert.equal(found, { addresses: ["0x80700ffc"], isAll: true });
    const hex = await shell.json("memory find web --hex 73 --most 1");
    assert.is((hex as { isAll: boolean }).isAll, false);
    assert.is(await shell.need("memory find web 'no such words'"), "not found\n");
    await shell.need("memory dump web part.bin --from 0x80700000 --length 8K");
    const part = files.get("/here/part.bin") as Uint8Array;
    assert.is(part.length, 8192);
    assert.is(new TextDecoder().decode(part.subarray(0xffc, 0xffc + 10)), "fish bones");
    assert.is(await shell.need("memory dump web all.bin"), "/here/all.bin: 16 MiB\n");
    const all = files.get("/here/all.bin") as Uint8Array;
    assert.equal(all.subarray(7 * MEBIBYTE, 7 * MEBIBYTE + 8192), part);
    for (const wrong of ["--from 0x1000", "--length 5000", "--from 0x80fff000 --length 8K"]) {
      const { status, err } = await shell.run(`memory dump web x.bin ${wrong}`);
      assert.is(status, 2, wrong);
      assert.match(err, /whole pages of 4096 bytes in 0x80000000 to 0x81000000/);
    }
  });
});

test("of a machine that is suspended nothing is looked at, and nothing is written", async () => {
  await withMachine(async (shell, files) => {
    await shell.need("vm suspend web");
    const how = /^web is suspended: its memory is not here; `vm resume web` brings it back\n$/;
    for (const line of ["dump web x.bin", "find web R", "hash web"]) {
      const { status, err } = await shell.run(`memory ${line}`);
      assert.is(status, 1, line);
      assert.match(err, how);
    }
    assert.not(files.has("/here/x.bin"));
    const { machines } = await shell.json<Stats>("memory stats web");
    assert.is(machines[0].zeroPages, 0, "it is put away, not zero");
    assert.is(machines[0].absentPages * 4096, 16 * MEBIBYTE);
    const { runs } = await shell.json<{ runs: Run[] }>("memory map web");
    assert.equal(runs, [{ address: "0x80000000", pages: 4096, state: "absent" }]);
  });
});

test("what is absent of a lazily restored machine is read before it is looked at", async () => {
  await withMachine(async (shell, files) => {
    await shell.need("vm pause web; memory dump web first.bin; snapshot mount-store s");
    await shell.need("snapshot create web base");
    const { ram } = await shell.json<{ ram: string }>("memory hash web");
    // so slowly that nothing has come from behind
    for (const [name, look] of [
      ["a", "dump a again.bin"],
      ["b", "find b Rivulet"],
    ]) {
      await shell.need(`snapshot restore base ${name} --lazy --limit 4K; memory ${look}`);
    }
    assert.equal(files.get("/here/again.bin"), files.get("/here/first.bin"));
    await shell.need("snapshot restore base c --lazy --limit 4K");
    assert.is((await shell.json<{ ram: string }>("memory hash c")).ram, ram);
  });
});

test("a dump that fails leaves what was there", async () => {
  const files = new Map([["/here/x.bin", Uint8Array.of(1, 2, 3)]]);
  const ends: boolean[] = [];
  const openSink: World["openSink"] = async () => ({
    write: () => {
      throw new VmError("io", "no space is left");
    },
    close: async (isWhole) => void ends.push(isWhole),
  });
  const shell = openShell(files, { openSink });
  try {
    await shell.need("vm create web --guest builtin --memory 16M --start");
    const { status, err } = await shell.run("memory dump web x.bin");
    assert.is(status, 1);
    assert.match(err, /no space is left/);
    assert.equal(ends, [false]);
    assert.equal(files.get("/here/x.bin"), Uint8Array.of(1, 2, 3));
  } finally {
    await shell.fleet.dispose();
  }
});

test("equal memories have equal hashes, and looking changes nothing", async () => {
  await withMachine(async (shell) => {
    await shell.need("vm pause web");
    const first = await shell.json<{ ram: string; state: string }>("memory hash web");
    for (const line of ["stats", "map web", "share", "find web R", "dirty web --for 1ms"]) {
      await shell.need(`memory ${line}`);
    }
    assert.equal(await shell.json("memory hash web"), first);
    await shell.need("debug write web 0x80700000 01");
    const second = await shell.json<{ ram: string; state: string }>("memory hash web");
    assert.is.not(second.ram, first.ram);
    assert.is.not(second.state, first.state);
    await shell.need("vm resume web");
    assert.match(await shell.need("memory hash web"), /^state +it runs; `vm pause`/m);
  });
});

test("dirty and heat see what is written while they watch, and only that", async () => {
  await withMachine(async (shell) => {
    const watching = shell.json<{ pages: number; runs: object[] }>("memory dirty web --for 100ms");
    const { view } = shell.fleet.get("web").machine;
    view.memory.write(0x8070_0000, Uint8Array.of(1));
    view.memory.write(0x8070_1000, Uint8Array.of(1));
    const { pages, runs } = await watching;
    assert.is(pages, 2);
    assert.equal(runs, [{ address: "0x80700000", pages: 2 }]);
    const heating = shell.json("memory heat web --for 10ms --samples 2");
    view.memory.write(0x8070_0000, Uint8Array.of(1));
    assert.equal(await heating, {
      samples: 2,
      pagesByHeat: [1, 0],
      regions: [{ address: "0x80600000", pages: 1, heat: 1 }],
    });
  });
});

test("a machine that is removed while it is watched is missed by name", async () => {
  await withMachine(async (shell) => {
    const watching = shell.run("memory dirty web --for 100ms");
    await shell.fleet.remove("web");
    const { status, err } = await watching;
    assert.is(status, 1);
    assert.is(err, 'machine "web" was removed meanwhile\n');
  });
});

test("machines share the frames that both have and neither wrote since", async () => {
  await withMachine(async (shell) => {
    const { view } = shell.fleet.get("web").machine;
    const fork = MachineView.fork(view);
    const root = () => [view, fork].map((one) => one.retainRoot());
    const [a, b] = root();
    const all = sharedPages(a, b);
    fork.memory.write(0x8000_0000, Uint8Array.of(1));
    const [c, d] = root();
    assert.is(sharedPages(c, d), all - 1);
    assert.is(sharedPages(a, b), all, "a root stays as it was");
    for (const one of [a, b, c, d]) one.release();
    fork.dispose();
    const text = await shell.need("memory share");
    assert.match(text, /^web .* 0 bytes$/m);
  });
});

test.run();
