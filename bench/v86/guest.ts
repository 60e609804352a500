/**
 * guest: what v86 boots in the bench: Debian's i386 kernel, the same busybox and /init as our guest
 * has, SeaBIOS and its VGA BIOS. Fetched with the machine's own apt into the user's cache, once.
 *
 * Owns    ${XDG_CACHE_HOME:-~/.cache}/rivulet/bench/v86/.
 * Used by suites/v86.ts.
 * Holds   the folder is there whole or not at all. bookworm is the last release with an i386
 *         kernel.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { PrivateApt } from "../../src/platform/node/guest-apt.ts";
import { buildInitrd } from "../../src/platform/node/guest-initrd.ts";
import { runTool } from "../../src/platform/node/guest-process.ts";
import { findDebianArchives } from "../../src/platform/node/guest-sources.ts";

/** Paths of everything that v86 needs. */
export interface V86Guest {
  readonly kernel: string;
  readonly initrd: string;
  readonly bios: string;
  readonly vgaBios: string;
}

const SUITE = "bookworm";
const ARCHITECTURE = "i386";
const KERNEL_PACKAGE = "linux-image-686";
const PACKAGES = ["busybox-static", "seabios"];

const cacheFolder = () =>
  join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "rivulet/bench/v86");

function guestIn(folder: string): V86Guest {
  return {
    kernel: join(folder, "vmlinuz"),
    initrd: join(folder, "initrd.gz"),
    bios: join(folder, "bios.bin"),
    vgaBios: join(folder, "vgabios.bin"),
  };
}

async function aptWithLists(folder: string): Promise<PrivateApt> {
  let lastError: unknown = new Error("apt's source lists name no Debian archive");
  for (const archive of findDebianArchives().slice(0, 3)) {
    try {
      const target = { suite: SUITE, architecture: ARCHITECTURE, folder };
      const apt = await PrivateApt.create(target, archive);
      await apt.update();
      return apt;
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

async function unpack(work: string, say: (step: string) => void): Promise<string> {
  say("v86: package lists");
  const apt = await aptWithLists(join(work, "apt"));
  const { depends } = await apt.facts(KERNEL_PACKAGE);
  const kernel = /\blinux-image-[^\s,(|]+/.exec(depends)?.[0];
  if (kernel === undefined) throw new Error(`${KERNEL_PACKAGE} depends on "${depends}"`);
  const root = join(work, "root");
  mkdirSync(root);
  for (const name of [kernel, ...PACKAGES]) {
    say(`v86: fetching ${name}`);
    const file = await apt.download(await apt.facts(name), work, () => {});
    await runTool("dpkg-deb", ["-x", file, root], { debianPackage: "dpkg" });
    rmSync(file);
  }
  return root;
}

function install(root: string, made: string): void {
  const guest = guestIn(made);
  const boot = join(root, "boot");
  const kernel = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (kernel === undefined) throw new Error(`no kernel in ${boot}`);
  copyFileSync(join(boot, kernel), guest.kernel);
  const paths = ["usr/bin/busybox", "bin/busybox"].map((path) => join(root, path));
  const busybox = paths.find(existsSync);
  if (busybox === undefined) throw new Error("busybox-static holds no busybox");
  writeFileSync(guest.initrd, buildInitrd({ busybox: readFileSync(busybox), modules: [] }));
  copyFileSync(join(root, "usr/share/seabios/bios.bin"), guest.bios);
  copyFileSync(join(root, "usr/share/seabios/vgabios-stdvga.bin"), guest.vgaBios);
}

/** The guest, prepared now if need be; `say` tells what is going on. */
export async function v86Guest(say: (step: string) => void): Promise<V86Guest> {
  const folder = cacheFolder();
  if (existsSync(folder)) return guestIn(folder);
  const work = mkdtempSync(join(tmpdir(), "rivulet-v86-"));
  try {
    mkdirSync(join(folder, ".."), { recursive: true });
    const made = mkdtempSync(`${folder}-`);
    install(await unpack(work, say), made);
    renameSync(made, folder);
    return guestIn(folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
