/**
 * Fetching packages of another architecture with apt and a private folder, from an archive made on
 * the spot.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { prepareDebian } from "../../src/node.ts";
import { PrivateApt } from "../../src/platform/node/guest-apt.ts";
import { APT, testNeeding } from "../helpers/need.ts";

const test = suite("platform/apt");
const folder = mkdtempSync(join(tmpdir(), "rivulet-apt-"));
test.after(() => rmSync(folder, { recursive: true }));

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** Builds a package with one file in it; returns its path in the archive. */
function buildPackage(archive: string, name: string, content: string): string {
  const root = join(folder, `root-${name}`);
  mkdirSync(join(root, "DEBIAN"), { recursive: true });
  const fields = [
    "Version: 1.2-3",
    "Architecture: riscv64",
    "Maintainer: Nobody <no@body.example>",
  ];
  const control = [
    `Package: ${name}`,
    ...fields,
    "Depends: other, base (>= 2)",
    "Description: sample",
  ];
  writeFileSync(join(root, "DEBIAN/control"), control.join("\n") + "\n");
  writeFileSync(join(root, "file"), content);
  const path = `pool/${name}_1.2-3_riscv64.deb`;
  mkdirSync(join(archive, "pool"), { recursive: true });
  const done = spawnSync("dpkg-deb", ["--root-owner-group", "-b", root, join(archive, path)]);
  assert.is(done.status, 0, String(done.stderr));
  return path;
}

/** An unsigned archive with one package, in suite trixie. */
function buildArchive(name: string): { uri: string; deb: string } {
  const archive = join(folder, `archive-${name}`);
  const path = buildPackage(archive, name, "content of the package\n");
  const deb = join(archive, path);
  const bytes = readFileSync(deb);
  const control = spawnSync("dpkg-deb", ["-f", deb], { encoding: "utf8" }).stdout.trim();
  const more = [`Filename: ${path}`, `Size: ${bytes.length}`, `SHA256: ${sha256(bytes)}`];
  const packages = [control, ...more].join("\n") + "\n";
  const lists = join(archive, "dists/trixie/main/binary-riscv64");
  mkdirSync(lists, { recursive: true });
  writeFileSync(join(lists, "Packages"), packages);
  const sum = ` ${sha256(packages)} ${packages.length} main/binary-riscv64/Packages`;
  const release = [
    "Suite: trixie",
    "Codename: trixie",
    "Architectures: riscv64",
    "Components: main",
  ];
  const dated = [...release, "Date: Thu, 01 Jan 2026 00:00:00 UTC", "SHA256:", sum];
  writeFileSync(join(archive, "dists/trixie/Release"), dated.join("\n") + "\n");
  return { uri: `file:${archive}`, deb };
}

async function aptFor(uri: string, isTrusted: boolean, codename?: string): Promise<PrivateApt> {
  const own = mkdtempSync(join(folder, "private-"));
  const target = { suite: "trixie", codename, architecture: "riscv64", folder: own };
  const apt = await PrivateApt.create(target, { uri, signedBy: null, isTrusted });
  await apt.update();
  return apt;
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.not.match((error as Error).message, /\n/);
    return (error as Error).message;
  }
  throw new Error("it went well");
}

testNeeding(
  test,
  [APT],
  "a package of another architecture is found, described and fetched",
  async () => {
    const { uri, deb } = buildArchive("sample");
    const before = spawnSync("dpkg", ["--print-foreign-architectures"], {
      encoding: "utf8",
    }).stdout;
    const apt = await aptFor(uri, true);
    const facts = await apt.facts("sample");
    const bytes = readFileSync(deb);
    const known = { name: "sample", version: "1.2-3", bytes: bytes.length, sha256: sha256(bytes) };
    assert.equal(facts, { ...known, depends: "other, base (>= 2)" });
    const into = mkdtempSync(join(folder, "into-"));
    const path = await apt.download(facts, into, () => {});
    assert.is(sha256(readFileSync(path)), facts.sha256);
    assert.match(await messageOf(apt.facts("absent")), /absent/);
    const after = spawnSync("dpkg", ["--print-foreign-architectures"], { encoding: "utf8" }).stdout;
    assert.is(after, before, "the system's own apt state changed");
  },
);

testNeeding(test, [APT], "a package that is not what the lists say is refused", async () => {
  const { uri, deb } = buildArchive("changed");
  const apt = await aptFor(uri, true);
  const facts = await apt.facts("changed");
  const bytes = readFileSync(deb);
  bytes[bytes.length - 10] ^= 1;
  writeFileSync(deb, bytes);
  const into = mkdtempSync(join(folder, "into-"));
  assert.match(await messageOf(apt.download(facts, into, () => {})), /[Hh]ash|mismatch/);
});

testNeeding(test, [APT], "an archive without a trusted signature is refused", async () => {
  const { uri } = buildArchive("unsigned");
  assert.match(await messageOf(aptFor(uri, false)), /not signed|no longer signed|Release/);
});

testNeeding(test, [APT], "the release is known by its codename, in whatever suite", async () => {
  const { uri } = buildArchive("named");
  assert.match(await messageOf(aptFor(uri, true, "forky")), /trixie: wanted is forky/);
  await aptFor(uri, true, "trixie");
});

testNeeding(test, [APT], "a package known by its hash is fetched without lists", async () => {
  const { uri, deb } = buildArchive("known");
  const bytes = readFileSync(deb);
  const facts = { name: "known", version: "1.2-3", bytes: bytes.length, depends: "" };
  const known = { ...facts, sha256: sha256(bytes), path: "pool/known_1.2-3_riscv64.deb" };
  const own = mkdtempSync(join(folder, "private-"));
  const target = { suite: "nowhere", architecture: "riscv64", folder: own };
  const apt = await PrivateApt.create(target, { uri, signedBy: null, isTrusted: false });
  const into = mkdtempSync(join(folder, "into-"));
  const path = await apt.downloadKnown(known, into, () => {});
  assert.is(sha256(readFileSync(path)), known.sha256);
  const wrong = { ...known, name: "wrong", sha256: sha256("something else") };
  assert.match(await messageOf(apt.downloadKnown(wrong, into, () => {})), /[Hh]ash|mismatch/);
  assert.not.ok(existsSync(join(into, "wrong.deb")));
});

testNeeding(test, [APT], "an archive that is not there is said by its name", async () => {
  const mirror = `file:${join(folder, "nowhere")}`;
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  assert.match(await messageOf(prepareDebian({ mirror })), /nowhere/);
});

test.run();
