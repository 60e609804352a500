/**
 * guest-debian: prepares the stock Debian riscv64 guest: kernel and busybox from the machine's own
 * Debian archive, fetched by its own apt, and an initrd made of them.
 *
 * Used by `rivulet guest prepare debian`.
 * Holds   works without privileges; the system's apt state is not touched; nothing is installed.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VmError } from "../../errors.ts";
import { type AptTarget, type PackageFacts, PrivateApt } from "./guest-apt.ts";
import { buildInitrd } from "./guest-initrd.ts";
import { collectModules } from "./guest-modules.ts";
import { runTool } from "./guest-process.ts";
import { type DebianArchive, findDebianArchives } from "./guest-sources.ts";
import {
  describeFile,
  findGuest,
  GUEST_FORMAT,
  installGuest,
  newFolder,
  onFiles,
  type PreparedGuest,
  sweep,
} from "./guest-store.ts";

/** Name by which `--guest` knows it. */
export const DEBIAN_GUEST_NAME = "debian";

/** What preparing tells while it goes on. */
export interface PrepareProgress {
  readonly step: string;
  /** 0 to 100 within the step, when that is known. */
  readonly percent?: number;
}

/** How to prepare. */
export interface PrepareOptions {
  /** An archive to use instead of those in apt's source lists; apt's trusted keys hold for it. */
  readonly mirror?: string;
  /** Prepare again though a guest is there, for a newer kernel. */
  readonly isReplacing?: boolean;
  readonly signal?: AbortSignal;
  onProgress?(progress: PrepareProgress): void;
}

const SUITE = "trixie";
const ARCHITECTURE = "riscv64";
const KERNEL_PACKAGE = "linux-image-riscv64";
const BUSYBOX_PACKAGE = "busybox-static";
/** Disks and entropy; consoles, UART and RTC are built into the kernel. */
const MODULES = ["virtio_mmio", "virtio_blk", "virtio_rng"];
const APPEND = "console=ttyS0";
const ARCHIVES_TRIED_MAX = 3;

function archivesFor(options: PrepareOptions): DebianArchive[] {
  if (options.mirror !== undefined) {
    return [{ uri: options.mirror, signedBy: null, isTrusted: false }];
  }
  if (!existsSync("/etc/apt")) {
    const text = "apt is not installed: the Debian guest is fetched with it (Debian package apt)";
    throw new VmError("missing-tool", text);
  }
  const archives = findDebianArchives().slice(0, ARCHIVES_TRIED_MAX);
  if (archives.length > 0) return archives;
  const text = "apt's source lists name no Debian archive (/etc/apt/sources.list and .d)";
  throw new VmError("not-found", `${text}: name one with --mirror URI`);
}

/** apt with the lists of the first archive that has the suite. */
async function updatedApt(target: AptTarget, options: PrepareOptions): Promise<PrivateApt> {
  let lastError: unknown;
  for (const archive of archivesFor(options)) {
    const step = `package lists of Debian ${target.suite} from ${archive.uri}`;
    options.onProgress?.({ step });
    try {
      const apt = await PrivateApt.create(target, archive);
      await apt.update();
      return apt;
    } catch (error) {
      if (options.signal?.aborted || (error as VmError).code === "missing-tool") throw error;
      lastError = error;
    }
  }
  throw lastError;
}

/** The metapackage depends on the kernel of the day. */
async function kernelFacts(apt: PrivateApt): Promise<PackageFacts> {
  const { depends } = await apt.facts(KERNEL_PACKAGE);
  const name = /\blinux-image-[^\s,(|]+/.exec(depends)?.[0];
  if (name === undefined) {
    throw new VmError("not-found", `${KERNEL_PACKAGE} depends on "${depends}": no kernel in it`);
  }
  return apt.facts(name);
}

async function fetchPackage(
  apt: PrivateApt,
  facts: PackageFacts,
  work: string,
  options: PrepareOptions,
): Promise<void> {
  const mebibytes = (facts.bytes / (1 << 20)).toFixed(1);
  const step = `fetching ${facts.name} ${facts.version} (${mebibytes} MiB)`;
  options.onProgress?.({ step, percent: 0 });
  const file = await apt.download(facts, work, (percent) =>
    options.onProgress?.({ step, percent }),
  );
  options.onProgress?.({ step, percent: 100 });
  const into = join(work, "root");
  mkdirSync(into, { recursive: true });
  const { signal } = options;
  await runTool("dpkg-deb", ["-x", file, into], { debianPackage: "dpkg", signal });
  rmSync(file);
}

function onlyMatch(folder: string, pattern: RegExp): string {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => pattern.test(name)) : [];
  if (names.length === 1) return join(folder, names[0]);
  throw new VmError("bad-file", `${folder} holds ${names.length} of ${pattern}: accepted is one`);
}

async function busyboxOf(root: string): Promise<Uint8Array> {
  const path = ["usr/bin/busybox", "bin/busybox"].map((one) => join(root, one)).find(existsSync);
  if (path === undefined) throw new VmError("bad-file", `${BUSYBOX_PACKAGE} holds no busybox`);
  return new Uint8Array(await readFile(path));
}

async function makeGuest(work: string, options: PrepareOptions): Promise<PreparedGuest> {
  const { signal } = options;
  const target = { suite: SUITE, architecture: ARCHITECTURE, folder: join(work, "apt"), signal };
  const apt = await updatedApt(target, options);
  const packages = [await kernelFacts(apt), await apt.facts(BUSYBOX_PACKAGE)];
  for (const facts of packages) await fetchPackage(apt, facts, work, options);

  options.onProgress?.({ step: "building the initrd" });
  const root = join(work, "root");
  const moduleParent = [join(root, "usr/lib/modules"), join(root, "lib/modules")].find(existsSync);
  const modules = await collectModules(onlyMatch(moduleParent ?? root, /^\d/), MODULES, signal);
  const kernel = new Uint8Array(await readFile(onlyMatch(join(root, "boot"), /^vmlinu[xz]-/)));
  const initrd = buildInitrd({ busybox: await busyboxOf(root), modules });

  const made = newFolder(DEBIAN_GUEST_NAME);
  try {
    await writeFile(join(made, "vmlinux"), kernel);
    await writeFile(join(made, "initrd.gz"), initrd);
    const manifest = {
      format: GUEST_FORMAT,
      name: DEBIAN_GUEST_NAME,
      release: SUITE,
      kernel: "vmlinux",
      initrd: "initrd.gz",
      append: APPEND,
      packages: packages.map(({ name, version }) => ({ name, version })),
      modules: modules.map(({ name }) => name),
      files: { vmlinux: describeFile(kernel), "initrd.gz": describeFile(initrd) },
    };
    return installGuest(made, manifest, options.isReplacing ?? false);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/**
 * The Debian guest, prepared now unless it is there. Throws VmError "missing-tool", "not-found" or
 * "io", each naming what was looked for.
 */
export async function prepareDebian(options: PrepareOptions = {}): Promise<PreparedGuest> {
  const present = options.isReplacing ? null : findGuest(DEBIAN_GUEST_NAME);
  if (present !== null) return present;
  return onFiles(`guest ${DEBIAN_GUEST_NAME}`, async () => {
    sweep();
    const work = mkdtempSync(join(tmpdir(), "rivulet-debian-"));
    try {
      return await makeGuest(work, options);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
}
