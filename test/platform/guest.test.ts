/**
 * Preparing guests, without a network: apt's source lists, the cpio archive, busybox and modules
 * looked into, and the shelf that holds a guest whole or not at all.
 */
import { spawnSync } from "node:child_process";
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
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CpioEntry, writeCpio } from "../../src/platform/node/guest-cpio.ts";
import { buildInitrd, busyboxApplets } from "../../src/platform/node/guest-initrd.ts";
import { collectModules, moduleDependencies } from "../../src/platform/node/guest-modules.ts";
import { runTool } from "../../src/platform/node/guest-process.ts";
import {
  debianArchives,
  findDebianArchives,
  parseFieldSources,
  parseOneLineSources,
} from "../../src/platform/node/guest-sources.ts";
import {
  describeFile,
  findGuest,
  GUEST_FORMAT,
  type GuestManifest,
  installGuest,
  listGuests,
  newFolder,
  removeGuest,
  sweep,
} from "../../src/platform/node/guest-store.ts";

const test = suite("platform/guest");
const folder = mkdtempSync(join(tmpdir(), "rivulet-shelf-"));
const CACHE = process.env.XDG_CACHE_HOME;

test.before.each(() => {
  process.env.XDG_CACHE_HOME = mkdtempSync(join(folder, "cache-"));
});
test.after(() => {
  if (CACHE === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = CACHE;
  rmSync(folder, { recursive: true });
});

// ---- source lists ----

test("one source per line: options, comments, several suites", () => {
  const text = `# comment
deb http://one.example/debian bookworm main contrib # trailing
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://two.example/debian/ trixie main
  deb [ trusted=yes ] http://three.example/debian stable main
#deb http://off.example/debian sid main
deb https://vendor.example/linux stable vendored
`;
  const archives = debianArchives(parseOneLineSources(text));
  assert.equal(archives, [
    { uri: "http://one.example/debian", signedBy: null, isTrusted: false },
    { uri: "https://two.example/debian/", signedBy: "/k.gpg", isTrusted: false },
    { uri: "http://three.example/debian", signedBy: null, isTrusted: true },
  ]);
});

test("paragraphs of fields: several URIs, a key of several lines, sources that are switched off", () => {
  const text = `Types: deb deb-src
# http://snapshot.example/
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
`;
  const archives = debianArchives(parseFieldSources(text));
  assert.equal(
    archives.map(({ uri }) => uri),
    ["http://one.example/debian", "http://two.example/debian"],
  );
  assert.match(archives[0].signedBy as string, /^\n -----BEGIN[^-]+-----\n \.\n mQINBF\n/);
});

test("another vendor's \"stable main\" comes after Debian's own", () => {
  const text = `deb https://vendor.example/apt stable main
deb http://mirror.example/debian bookworm main`;
  const uris = debianArchives(parseOneLineSources(text)).map(({ uri }) => uri);
  assert.equal(uris, ["http://mirror.example/debian", "https://vendor.example/apt"]);
});

test("both formats are found where apt keeps them; nothing there is no error", () => {
  const etc = join(folder, "etc");
  assert.equal(findDebianArchives(etc), []);
  mkdirSync(join(etc, "sources.list.d"), { recursive: true });
  writeFileSync(join(etc, "sources.list"), "deb http://a.example/debian sid main\n");
  const fields = "Types: deb\nURIs: http://b.example/debian\nSuites: sid\nComponents: main\n";
  writeFileSync(join(etc, "sources.list.d/b.sources"), fields);
  writeFileSync(join(etc, "sources.list.d/c.list.save"), "deb http://c.example/debian sid main\n");
  const uris = findDebianArchives(etc).map(({ uri }) => uri);
  assert.equal(uris, ["http://a.example/debian", "http://b.example/debian"]);
});

// ---- cpio ----

interface Unpacked {
  readonly path: string;
  readonly mode: number;
  readonly content: string;
  readonly device: readonly [number, number];
}

/** Reads newc as its description says; a plain reader of its own. */
function readCpio(bytes: Uint8Array): Unpacked[] {
  const text = Buffer.from(bytes).toString("latin1");
  const found: Unpacked[] = [];
  const up = (value: number) => value + ((4 - (value % 4)) % 4);
  for (let at = 0; at < text.length; ) {
    assert.is(text.slice(at, at + 6), "070701");
    const number = (index: number) =>
      Number.parseInt(text.slice(at + 6 + index * 8, at + 14 + index * 8), 16);
    const nameEnd = at + 110 + number(11);
    const path = text.slice(at + 110, nameEnd - 1);
    if (path === "TRAILER!!!") return found;
    const begin = up(nameEnd);
    const content = text.slice(begin, begin + number(6));
    found.push({ path, mode: number(1), content, device: [number(9), number(10)] });
    at = up(begin + number(6));
  }
  throw new Error("no trailer");
}

test("a cpio archive holds what went in, whatever the lengths", () => {
  const files = Array.from({ length: 9 }, (_, index): CpioEntry => {
    const bytes = new TextEncoder().encode("x".repeat(index));
    return { kind: "file", path: `dir/${"n".repeat(index + 1)}`, mode: 0o640, bytes };
  });
  const archive = writeCpio([
    { kind: "folder", path: "dir", mode: 0o755 },
    ...files,
    { kind: "link", path: "dir/link", to: "n" },
    { kind: "character-device", path: "console", mode: 0o600, major: 5, minor: 1 },
  ]);
  const [dir, ...rest] = readCpio(archive);
  assert.equal([dir.path, dir.mode], ["dir", 0o040755]);
  rest.slice(0, 9).forEach(({ path, mode, content }, index) => {
    assert.equal(
      [path, mode, content],
      [`dir/${"n".repeat(index + 1)}`, 0o100640, "x".repeat(index)],
    );
  });
  assert.equal([rest[9].mode, rest[9].content], [0o120777, "n"]);
  assert.equal([rest[10].mode, rest[10].device], [0o020600, [5, 1]]);
  assert.is(archive.length % 4, 0);
});

// ---- initrd ----

const APPLETS = ["[", "[[", "cttyhack", "insmod", "mount", "poweroff", "setsid", "sh"];

function busybox(applets = APPLETS): Uint8Array {
  return Buffer.from(`\x7fELF machine code\xae${applets.join("\0")}\0\0other text\0`, "latin1");
}

test("the initrd holds busybox, a link for each applet, the modules in order, and an /init", () => {
  const modules = ["b", "a"].map((name) => ({ name, bytes: Buffer.from(name) }));
  const first = buildInitrd({ busybox: busybox(), modules });
  assert.equal(buildInitrd({ busybox: busybox(), modules }), first, "not deterministic");
  const entries = readCpio(gunzipSync(first));
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  for (const applet of APPLETS) assert.is(byPath.get(`bin/${applet}`)?.content, "busybox");
  const paths = entries.map(({ path }) => path).filter((path) => path.endsWith(".ko"));
  assert.equal(paths, ["lib/modules/00-b.ko", "lib/modules/01-a.ko"]);
  assert.is(byPath.get("init")?.mode, 0o100755);
  const init = byPath.get("init")?.content as string;
  assert.is(spawnSync("sh", ["-n"], { input: init }).status, 0);
  assert.match(init, /^echo BOOT-OK$/m);
});

test("a busybox without what /init needs is refused by the applets' names", () => {
  const lacking = APPLETS.filter((name) => name !== "cttyhack" && name !== "insmod");
  assert.throws(() => busyboxApplets(busybox(lacking)), /lacks cttyhack, insmod/);
  assert.throws(() => busyboxApplets(Buffer.from("nothing")), /lacks/);
});

// ---- modules ----

function module(root: string, path: string, depends: string): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), `\x7fELF\0license=GPL\0depends=${depends}\0name=x\0`);
}

test("modules come with what they depend on, each after its dependencies, once", async () => {
  const root = join(folder, "modules");
  module(root, "drivers/top-one.ko", "mid_a,mid-b");
  module(root, "lib/mid-a.ko", "base");
  module(root, "lib/mid_b.ko", "base");
  module(root, "base.ko", "");
  module(root, "unwanted.ko", "");
  const modules = await collectModules(root, ["top_one", "base"]);
  assert.equal(
    modules.map(({ name }) => name),
    ["base", "mid_a", "mid_b", "top_one"],
  );
  module(root, "broken.ko", "absent");
  try {
    await collectModules(root, ["broken"]);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /module absent, wanted by broken/);
  }
  assert.equal(moduleDependencies(Buffer.from("no such field")), []);
});

// ---- the shelf ----

const BYTES = new TextEncoder().encode("kernel");

function manifest(version: string, format = GUEST_FORMAT): GuestManifest {
  return {
    format,
    name: "debian",
    release: "trixie",
    kernel: "vmlinux",
    initrd: "vmlinux",
    append: "",
    packages: [{ name: "linux", version }],
    modules: [],
    files: { vmlinux: describeFile(BYTES) },
  };
}

function install(version: string, options: { isReplacing?: boolean; format?: number } = {}) {
  const made = newFolder("debian");
  writeFileSync(join(made, "vmlinux"), BYTES);
  return installGuest(made, manifest(version, options.format), options.isReplacing ?? false);
}

const shelf = () => join(process.env.XDG_CACHE_HOME as string, "rivulet/guests");

test("a guest is found once it is whole, listed and removed", () => {
  assert.is(findGuest("debian"), null);
  assert.equal(listGuests(), []);
  install("1");
  assert.is(findGuest("debian")?.manifest.packages[0].version, "1");
  assert.is(listGuests().length, 1);
  removeGuest("debian");
  assert.equal(readdirSync(shelf()), []);
  assert.throws(() => removeGuest("debian"), /not prepared: none is prepared/);
  for (const name of ["../x", "", ".", "a/b", "Debian"]) {
    assert.is(findGuest(name), null);
    assert.throws(() => removeGuest(name), /not prepared/);
  }
});

test("who comes second keeps the first one's guest, unless told to replace it", () => {
  install("1");
  assert.is(install("2").manifest.packages[0].version, "1");
  assert.is(install("3", { isReplacing: true }).manifest.packages[0].version, "3");
  assert.is(findGuest("debian")?.manifest.packages[0].version, "3");
  assert.equal(readdirSync(shelf()), ["debian"]);
});

test("a guest that lost a byte, or of another format, is not there, and is made again", () => {
  const { folder: first } = install("1");
  writeFileSync(join(first, "vmlinux"), "kern");
  assert.is(findGuest("debian"), null);
  install("2");
  assert.is(findGuest("debian")?.manifest.packages[0].version, "2");
  writeFileSync(
    join(first, "manifest.json"),
    readFileSync(join(first, "manifest.json")).subarray(0, 50),
  );
  assert.is(findGuest("debian"), null);
  install("3", { format: GUEST_FORMAT + 1 });
  assert.is(findGuest("debian"), null);
});

test("sweeping leaves what a living process makes", () => {
  const mine = newFolder("debian");
  sweep();
  assert.ok(existsSync(mine));
});

// ---- tools ----

test("a tool that is missing or fails is said in one line", async () => {
  const cases: readonly [string, readonly string[], RegExp][] = [
    ["rivulet-no-such-tool", [], /rivulet-no-such-tool is not installed.*package made-up/],
    [
      "sh",
      ["-c", "echo noise; echo 'E: it broke' >&2; echo more >&2; exit 3"],
      /sh -c: E: it broke$/,
    ],
    ["sh", ["-c", "exit 3"], /sh -c: 3$/],
  ];
  for (const [name, args, pattern] of cases) {
    try {
      await runTool(name, args, { debianPackage: "made-up" });
      assert.unreachable(name);
    } catch (error) {
      assert.match((error as Error).message, pattern);
      assert.not.match((error as Error).message, /\n/);
    }
  }
});

test.run();
