/**
 * `snapshot`: a store mounted and let go, machines kept, gone back to and made again by commands,
 * and what is refused with what is accepted.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MemoryDirectory, nodePlatform, SnapshotStore, VmError } from "../../../src/node.ts";
import { main } from "../../../src/shell/main.ts";
import type { World } from "../../../src/shell/world.ts";
import { fakeWorld, spoken } from "../fake.ts";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/snapshot");
const MEBIBYTE = 1 << 20;
const CREATE = "vm create web --guest builtin --memory 16M --clock virtual";

async function withMachine(
  work: (shell: OpenShell, files: Map<string, Uint8Array>) => Promise<void>,
  more = "",
) {
  const files = new Map([
    ["/here/a.img", new Uint8Array(MEBIBYTE).fill(0x61)],
    ["/here/b.img", new Uint8Array(MEBIBYTE).fill(0x62)],
    ["/here/small.img", new Uint8Array(4096)],
  ]);
  const shell = openShell(files);
  try {
    await shell.need(`${CREATE} ${more} --start; console wait web '> '`);
    await work(shell, files);
  } finally {
    await shell.fleet.dispose();
  }
}

async function refusal(shell: OpenShell, line: string): Promise<string> {
  const { status, err, out } = await shell.run(line);
  assert.is.not(status, 0, `${line}: ${out}`);
  return `${status} ${err}`;
}

interface Listed {
  readonly name: string;
  readonly type: string;
  readonly machine: string;
  readonly labels: Readonly<Record<string, string>>;
}

const names = async (shell: OpenShell, line = "snapshot list") =>
  (await shell.json<Listed[]>(line)).map(({ machine, name }) => `${machine}/${name}`);

test("without a store everything says how to mount one; another one takes its place", async () => {
  await withMachine(async (shell) => {
    assert.is(
      await shell.need("snapshot mount-store"),
      "none; `snapshot mount-store DIR` mounts one\n",
    );
    const how = /^1 no store of snapshots is mounted; `snapshot mount-store DIR` mounts one/;
    assert.match(await refusal(shell, "snapshot create web"), how);
    assert.is(await shell.need("snapshot mount-store one"), "/here/one: 0 snapshots\n");
    await shell.need("snapshot create web base");
    assert.is(await shell.need("snapshot mount-store two"), "/here/two: 0 snapshots\n");
    assert.is(await shell.need("snapshot list"), "no snapshots; `snapshot create VM` makes one\n");
    assert.equal(await names(shell, "snapshot list --store one"), ["web/base"]);
    assert.is(await shell.need("snapshot mount-store"), "/here/one: 1 snapshots\n");
  });
});

test("a store whose snapshots are only in memory is not let go; --store makes none", async () => {
  await withMachine(async (shell) => {
    await shell.need("snapshot mount-store one; snapshot create web base");
    await shell.need("snapshot create web quick --type cow --label k=v");
    assert.match(await shell.need("snapshot list --label k=v"), /cow, in memory +base /);
    const kept =
      /^1 \/here\/two cannot take the place of \/here\/one: only in memory there: web\/quick;/;
    assert.match(await refusal(shell, "snapshot mount-store two"), kept);
    assert.match(await refusal(shell, "snapshot list --store two"), kept);
    assert.equal(await names(shell), ["web/base", "web/quick"]);
    await shell.need("snapshot verify quick; snapshot mount-store two");
    assert.equal(await names(shell, "snapshot list --store one"), ["web/base", "web/quick"]);
  });
  const asked: unknown[] = [];
  const shell = openShell(new Map(), {
    openStore: async (_path, options) => {
      asked.push(options);
      throw new VmError("not-found", "it is not there");
    },
  });
  for (const line of [
    "list --store s",
    "verify --store s",
    "import f --store s",
    "mount-store s",
  ]) {
    await refusal(shell, `snapshot ${line}`);
  }
  assert.equal(asked, [{ create: false }, { create: false }, { create: true }, { create: true }]);
  await shell.fleet.dispose();
});

test("names find snapshots, of the machine that is meant; what is not there is told", async () => {
  await withMachine(async (shell) => {
    await shell.need("snapshot mount-store s; snapshot create web base; snapshot create web");
    await shell.need("snapshot restore web/base db; snapshot create db base --type full");
    assert.equal(await names(shell), ["web/base", "web/snap-1", "db/base"]);
    assert.equal(await names(shell, "snapshot list db"), ["db/base"]);
    assert.match(await refusal(shell, "snapshot info base"), /^1 .*one of web\/base, db\/base/);
    assert.is((await shell.json<Listed>("snapshot info db/base")).machine, "db");
    assert.match(await refusal(shell, "snapshot revert web none"), /there are web\/base, /);
    assert.match(await refusal(shell, "snapshot create web base"), /web has one; accepted/);
    assert.match(await refusal(shell, "snapshot create web 'a b'"), /accepted are 1 to 64 letters/);
    assert.match(await refusal(shell, "snapshot restore web/base web"), /a machine is called so/);
    assert.is(await shell.need("snapshot parent web/snap-1"), "web/base\n");
    assert.is(await shell.need("snapshot children web/base"), "web/snap-1\n");
    assert.match(
      await shell.need("snapshot tree"),
      /^web\n {2}base \(full, \d+ pages\)\n {2}└─ snap-1/,
    );
  });
});

test("a machine goes back, and one made of a snapshot is the same but for its identity", async () => {
  await withMachine(async (shell) => {
    await shell.need("snapshot mount-store s; vm pause web; snapshot create web base");
    const hash = async (vm: string) =>
      (await shell.json<{ ram: string; state: string }>(`memory hash ${vm}`)).state;
    const before = await hash("web");
    await shell.need("debug write web 0x80700000 0102");
    assert.match(
      await shell.need("snapshot current web"),
      /^web\/base, and 1 pages changed since\n$/,
    );
    const said = await shell.need("snapshot revert web base");
    assert.match(
      said,
      /^web is base again: 1 pages remapped; the guest stood still for [\d.]+ms\n$/,
    );
    assert.is(await hash("web"), before);
    const none = await refusal(shell, "snapshot restore base x --disk a.img");
    assert.match(none, /^1 1 disks are given: web\/base has 0/);
    await shell.need("snapshot restore base twin");
    assert.match(await shell.need("snapshot revert twin base"), /^twin is web\/base again: /);
    await shell.need("snapshot create twin more");
    assert.match(await shell.need("snapshot list twin"), /more +incremental +web\/base /);
    await shell.need("snapshot restore base exact --exact; snapshot restore base other");
    assert.is(await hash("exact"), before);
    assert.is.not(await hash("other"), before);
    await shell.need("vm resume exact; console send exact 'poweroff\\n'; vm wait exact");
  });
});

test("what cannot be used any more is told by lists, and by verify with why", async () => {
  const folder = new MemoryDirectory("store");
  const openStore: World["openStore"] = () => {
    return SnapshotStore.open(folder, { platform: nodePlatform() });
  };
  const shell = openShell(new Map(), { openStore });
  try {
    await shell.need(`${CREATE} --start; snapshot mount-store s; snapshot create web base`);
    const { id } = await shell.json<{ id: string }>("snapshot create web more");
    await shell.need("snapshot verify; snapshot mount-store other");
    // the store is closed: its file is cut
    const path = `snapshots/${id}.snap`;
    const bytes = new Uint8Array(100);
    folder.open(path).read(0, bytes);
    await (await folder.create(path)).write(0, bytes);
    await shell.need("snapshot mount-store s");
    const { out, err } = await shell.run("snapshot list");
    assert.match(out, /base/);
    assert.not.match(out, /more/);
    assert.is(err, "1 more is damaged; `snapshot verify` says why\n");
    const verified = await shell.run("snapshot verify --json");
    assert.is(verified.status, 1);
    const [lost, whole] = JSON.parse(verified.out);
    assert.is(lost.snapshot, id);
    assert.match(lost.problems[0], /^snapshots\/\w+\.snap is damaged/);
    assert.equal([whole.snapshot, whole.problems], ["base", []]);
    const wanted = await refusal(shell, `snapshot info ${id.slice(0, 8)}`);
    assert.match(wanted, /^1 snapshot "\w+" cannot be used: snapshots\//);
  } finally {
    await shell.fleet.dispose();
  }
});

test("labels, notes and background work", async () => {
  await withMachine(async (shell) => {
    await shell.need("snapshot mount-store s");
    const made = await shell.json<{ isDone: boolean }>(
      "snapshot create web base --label a=1 --label b=2 --notes 'no news' --background",
    );
    assert.is(made.isDone, false);
    assert.equal(shell.fleet.snapshots.unwritten, ["web/base"]);
    const [job] = await shell.json<{ state: string }[]>("snapshot progress web --wait");
    assert.is(job.state, "done");
    assert.equal(shell.fleet.snapshots.unwritten, []);
    assert.is(await shell.need("snapshot cancel web"), "web: nothing is under way\n");
    await shell.need("snapshot label base c=3 a= --notes new");
    const [{ labels }] = await shell.json<Listed[]>("snapshot list --label c=3");
    assert.equal(labels, { b: "2", c: "3" });
    assert.match(await refusal(shell, "snapshot label base c"), /^2 .*accepted are KEY=VALUE/);
    assert.match(await refusal(shell, "snapshot prune"), /^2 .*--keep N is missing/);
    const both = await refusal(shell, "snapshot merge base --all --into child");
    assert.match(both, /^2 .*accepted: --into parent/);
  });
});

test("what waits for a snapshot says so; a script that ends before one is written fails", async () => {
  await withMachine(async (shell) => {
    await shell.need("snapshot mount-store s; snapshot create web base --limit 4K --background");
    const suspending = shell.run("vm suspend web");
    const manager = await shell.fleet.snapshots.manager();
    assert.is(await manager.cancel(shell.fleet.get("web").machine), "create");
    const { status, err } = await suspending;
    assert.is(status, 0);
    assert.match(err, /^suspending web, once the snapshot under way is over\n/);
  });
  const lines = [
    `${CREATE} --start`,
    "snapshot mount-store s",
    "snapshot create web lost --limit 4K --background",
  ];
  const said = spoken();
  const files = new Map([["/here/s.rv", new TextEncoder().encode(lines.join("\n"))]]);
  assert.is(await main(["-f", "/here/s.rv"], fakeWorld(files, said)), 1);
  assert.match(said.err, /^not kept, for the shell ends: web\/lost; `snapshot progress --wait`/m);
});

test("a disk comes with its snapshot, alone or over a file that is given", async () => {
  await withMachine(async (shell, files) => {
    await shell.need("snapshot mount-store s; snapshot create web base");
    files.get("/here/a.img")?.fill(0x7a, 0, 4096);
    await shell.need("snapshot restore base alone");
    const [{ path }] = await shell.json<{ path: string }[]>("disk list web");
    assert.is(path, "/here/a.img");
    const busy = /^1 \/here\/other cannot take the place of \/here\/s: alone read disks there/;
    assert.match(await refusal(shell, "snapshot mount-store other"), busy);
    await shell.need("snapshot restore base over --disk b.img");
    assert.equal(files.get("/here/b.img"), new Uint8Array(MEBIBYTE).fill(0x61));
    const small = await refusal(shell, "snapshot restore base wrong --disk small.img");
    assert.match(small, /disk 0 of the snapshot has 1048576 bytes, the one given 4096/);
    assert.match(await refusal(shell, "vm info wrong"), /there are web, alone, over/);
  }, "--disk a.img");
});

test("an export is there as a whole, and comes back under another name", async () => {
  await withMachine(async (shell, files) => {
    await shell.need("snapshot mount-store s; snapshot create web base; snapshot create web more");
    await shell.need("snapshot export more out.rvs");
    assert.match(await refusal(shell, "snapshot export more out.rvs"), /is there; --force takes/);
    await shell.need("snapshot export more out.rvs --force; snapshot import out.rvs --name copy");
    assert.match(await shell.need("snapshot diff more copy"), /^RAM: 0 pages/);
    assert.match(
      await shell.need("snapshot verify copy"),
      /^web\/copy: \d+ pages, all as written\n$/,
    );
    const bytes = files.get("/here/out.rvs") as Uint8Array;
    files.set("/here/cut.rvs", bytes.subarray(0, bytes.length - 100));
    assert.match(await refusal(shell, "snapshot import cut.rvs --name cut"), /^1 /);
    assert.equal((await names(shell)).sort(), ["web/base", "web/copy", "web/more"]);
    const refused = await refusal(shell, "snapshot delete base");
    assert.match(refused, /web\/more build on it; merge it, or remove those with it/);
    assert.is(
      await shell.need("snapshot delete base --children"),
      "web/more: removed\nweb/base: removed\n",
    );
  });
});

test.run();
