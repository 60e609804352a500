/**
 * `rivulet guest`: what it prints where, and what it refuses, over a shelf of guests that holds no
 * files.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { builtinGuest, VmError } from "../../../src/node.ts";
import { runWords } from "../../../src/shell/session.ts";
import type { GuestDetails, GuestImport, GuestPreparation } from "../../../src/shell/world.ts";
import { fakeCaller, fakeWorld, spoken } from "../fake.ts";

const test = suite("shell/families/guest");

const DEBIAN: GuestDetails = {
  name: "debian",
  release: "trixie",
  packages: [{ name: "linux-image", version: "6.12" }],
  folder: "/cache/debian",
  bytes: 3 << 20,
  append: "console=ttyS0",
  files: [
    { role: "kernel", name: "vmlinux", bytes: 2 << 20, sha256: "aa" },
    { role: "initrd", name: "initrd.gz", bytes: 1 << 20, sha256: "bb" },
  ],
};
const { append: _append, files: _files, ...SHORT } = DEBIAN;

/** A shelf whose work can be given; `run` runs one command line on it. */
function shelf(isProgressLive = false) {
  const said = spoken();
  const files = new Map([
    ["/here/Image", builtinGuest()],
    ["/here/initrd", new Uint8Array(99)],
    ["/here/root.img", new Uint8Array(4096)],
  ]);
  const world = fakeWorld(files, said);
  const calls: string[] = [];
  const imports: GuestImport[] = [];
  const work = { prepare: async (_options: GuestPreparation): Promise<void> => {} };
  const guests = {
    ...world.guests,
    list: () => [SHORT],
    details: (name: string) => (name === "debian" ? DEBIAN : null),
    remove: (name: string) => {
      if (name !== "debian") throw new VmError("not-found", `guest "${name}" is not prepared`);
      calls.push(`remove ${name}`);
    },
    prepare: async (name: string, options: GuestPreparation) => {
      calls.push(`prepare ${name} ${options.mirror ?? "-"} ${options.isReplacing}`);
      await work.prepare(options);
      return SHORT;
    },
    import: async (name: string, parts: GuestImport) => {
      calls.push(`import ${name}`);
      imports.push(parts);
      return { ...SHORT, name, folder: `/cache/${name}` };
    },
  };
  const caller = fakeCaller({ ...world, guests }, said);
  const streams = { ...caller.streams, isProgressLive };
  const run = (...words: string[]) => {
    said.out = said.err = "";
    return runWords(["guest", ...words], { ...caller, streams }, "");
  };
  return { said, calls, imports, work, run, signal: caller.signal };
}

test("list shows each guest on a line; --json is one line with all of it", async () => {
  const { said, run } = shelf();
  assert.is(await run("list"), 0);
  const [head, debian, builtin] = said.out.split("\n");
  assert.match(head, /^NAME +SIZE +RELEASE +PACKAGES$/);
  assert.match(debian, /^debian +3 MiB +trixie +linux-image 6\.12$/);
  assert.match(builtin, /^builtin +part of rivulet$/);
  assert.is(await run("list", "--json"), 0);
  assert.equal(JSON.parse(said.out), { builtin: "builtin", prepared: [SHORT] });
  assert.is(said.err, "");
});

test("prepare hands its options on and reports on stderr alone", async () => {
  const { said, run, work, calls } = shelf();
  work.prepare = async ({ onProgress }) => {
    onProgress({ step: "lists" });
    for (const percent of [0, 10, 30, 60, 100]) onProgress({ step: "fetching", percent });
  };
  assert.is(await run("prepare", "debian", "--mirror", "http://example.org/debian", "--force"), 0);
  assert.equal(calls, ["prepare debian http://example.org/debian true"]);
  assert.is(said.out, "");
  const lines = ["lists", "fetching", "  25 %", "  50 %", "  100 %"];
  assert.is(said.err, [...lines, "guest debian is ready: /cache/debian", ""].join("\n"));
  assert.is(await run("prepare", "debian", "--json"), 0);
  assert.equal(JSON.parse(said.out), SHORT);
});

test("on a terminal each step keeps to one line", async () => {
  const { said, run, work } = shelf(true);
  work.prepare = async ({ onProgress }) => {
    for (const percent of [0, 50, 100]) onProgress({ step: "fetching", percent });
    onProgress({ step: "building" });
  };
  await run("prepare", "debian");
  const [first, second] = said.err.split("\n");
  assert.is(first.split("\r\x1b[K").at(-1), "fetching 100 %");
  assert.is(second, "building");
});

test("an interrupted prepare exits with the signal's status, a failed one with its error", async () => {
  const failed = shelf();
  failed.work.prepare = async () => {
    throw new VmError("io", "no network");
  };
  assert.is(await failed.run("prepare", "debian"), 1);
  assert.is(failed.said.err, "no network\n");
  const ended = shelf();
  ended.work.prepare = async ({ signal }) => {
    ended.signal.abort(143);
    assert.ok(signal.aborted);
    throw new VmError("io", "aborted");
  };
  assert.is(await ended.run("prepare", "debian"), 143);
  assert.is(ended.said.err, "");
});

test("import checks what it is given before the store is touched", async () => {
  const { said, run, calls, imports } = shelf();
  const all = ["--kernel", "Image", "--initrd", "initrd", "--disk", "root.img"];
  assert.is(await run("import", "mine", ...all, "--append", "quiet", "--force"), 0);
  const [{ kernel, initrd, disk, append, isReplacing }] = imports;
  assert.equal(kernel, builtinGuest());
  assert.equal([initrd?.length, disk, append, isReplacing], [99, "/here/root.img", "quiet", true]);
  assert.match(said.err, /guest mine is ready/);
  calls.length = 0;
  const refused: readonly [readonly string[], RegExp][] = [
    [["mine", "--kernel", "nothing"], /\/here\/nothing: there is no such file/],
    [["mine", "--kernel", "initrd"], /initrd: no kernel; accepted are .*Image.*ELF64/],
    [["builtin", "--kernel", "Image"], /part of rivulet: accepted is another name/],
    [["debian", "--kernel", "Image"], /`guest prepare debian` makes that/],
  ];
  for (const [words, pattern] of refused) {
    assert.is(await run("import", ...words), 1, words.join(" "));
    assert.match(said.err, pattern);
  }
  assert.is(await run("import", "mine"), 2);
  assert.match(said.err, /--kernel F is missing/);
  assert.equal(calls, []);
});

test("info shows files, packages and the command line; an unknown name those that there are", async () => {
  const { said, run } = shelf();
  assert.is(await run("info", "debian"), 0);
  assert.match(said.out, /^packages +linux-image 6\.12$/m);
  assert.match(said.out, /^append +console=ttyS0$/m);
  assert.match(said.out, /^initrd\.gz +initrd +1 MiB +bb$/m);
  assert.is(await run("info", "debian", "--json"), 0);
  assert.equal(JSON.parse(said.out), DEBIAN);
  assert.is(await run("info", "builtin"), 0);
  assert.match(said.out, /part of rivulet/);
  assert.is(await run("info", "plan9"), 1);
  assert.match(said.err, /guest "plan9": there are debian, builtin/);
});

test("remove takes one name", async () => {
  const { run, calls, said } = shelf();
  assert.is(await run("remove", "debian"), 0);
  assert.equal(calls, ["remove debian"]);
  assert.is(await run("remove", "builtin"), 1);
  assert.match(said.err, /it stays/);
});

test("wrong command lines are refused with what was given and what is accepted", async () => {
  const cases: readonly [readonly string[], RegExp][] = [
    [[], /no command; accepted: prepare, import, list, info, remove/],
    [["fetch"], /"fetch"; accepted: prepare, import, list/],
    [["prepare"], /NAME is missing/],
    [["prepare", "plan9"], /"plan9"; accepted: debian/],
    [["prepare", "debian", "arch"], /given debian and arch/],
    [["prepare", "debian", "--fast"], /--fast; accepted: --mirror --force/],
    [["list", "debian"], /given debian: one too many/],
    [["remove"], /NAME is missing/],
    [["remove", "a", "b"], /a and b/],
  ];
  const { run, said, calls } = shelf();
  for (const [words, pattern] of cases) {
    assert.is(await run(...words), 2, words.join(" "));
    assert.match(said.err, pattern);
  }
  assert.equal(calls, []);
});

test.run();
