/**
 * guest-debian: prepares the stock Debian riscv64 guest: kernel and busybox from the machine's own
 * Debian archive, fetched by its own apt, and an initrd made of them.
 *
 * Used by `rivulet guest prepare debian`.
 * Holds   works without privileges; the system's apt state is not touched; nothing is installed.
 *         What is fetched is what a signed list says, or has the hash that stands here.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VmError } from "../../errors.ts";
import { type AptTarget, type KnownPackage, type PackageFacts, PrivateApt } from "./guest-apt.ts";
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

const RELEASE = "trixie";
/**
 * The folders of an archive with the release, while it is the stable one. A mirror or a proxy may
 * be out of step with itself for days behind a point release, lists older than their release file,
 * and that in one of the two.
 */
const SUITES = [RELEASE, "stable"];
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

/** Packages, and how they are fetched. */
interface PackageSource {
  readonly packages: readonly PackageFacts[];
  /** Fetches one into a folder, reporting 0 to 100; returns the file's path. */
  download: PrivateApt["download"];
}

/**
 * What is fetched when no archive's lists can be used: as the signed lists of Debian 13.7 had them,
 * release file of 2026-09-12.
 */
const KNOWN_PACKAGES: readonly KnownPackage[] = [
  {
    name: "linux-image-6.12.107+deb13-riscv64",
    version: "6.12.107-1",
    bytes: 112_012_420,
    sha256: "abe9f65d74b434692149482b031db7a2aaf832921e09f69f775293c0e0c5799c",
    depends: "",
    path: "pool/main/l/linux/linux-image-6.12.107+deb13-riscv64_6.12.107-1_riscv64.deb",
  },
  {
    name: BUSYBOX_PACKAGE,
    version: "1:1.37.0-6+b9",
    bytes: 941_532,
    sha256: "4add476d2b185c5b487c285b38d790f0881a7e4a8e2ddde835f917e770eb8633",
    depends: "",
    path: "pool/main/b/busybox/busybox-static_1.37.0-6+b9_riscv64.deb",
  },
];

/** Does `attempt` for one after the other until one goes well; throws what the first one threw. */
async function firstOf<Way, T>(
  ways: readonly Way[],
  { signal }: PrepareOptions,
  attempt: (way: Way) => Promise<T>,
): Promise<T> {
  const errors: unknown[] = [];
  for (const way of ways) {
    try {
      return await attempt(way);
    } catch (error) {
      if (signal?.aborted || (error as VmError).code === "missing-tool") throw error;
      errors.push(error);
    }
  }
  throw errors[0];
}

/** The newest packages of the release, from the first archive and suite whose lists hold. */
function listedPackages(folder: string, options: PrepareOptions): Promise<PackageSource> {
  const ways = archivesFor(options).flatMap((archive) =>
    SUITES.map((suite) => ({ archive, suite })),
  );
  const { signal } = options;
  return firstOf(ways, options, async ({ archive, suite }) => {
    options.onProgress?.({ step: `package lists of Debian ${suite} from ${archive.uri}` });
    const more = { suite, codename: RELEASE, signal };
    const target: AptTarget = { architecture: ARCHITECTURE, folder, ...more };
    const apt = await PrivateApt.create(target, archive);
    await apt.update();
    const packages = [await kernelFacts(apt), await apt.facts(BUSYBOX_PACKAGE)];
    return { packages, download: (facts, into, on) => apt.download(facts, into, on) };
  });
}

/** The packages that are known here, from the first archive that still has them. */
async function knownPackages(folder: string, options: PrepareOptions): Promise<PackageSource> {
  const target = { suite: RELEASE, architecture: ARCHITECTURE, folder, signal: options.signal };
  const download: PackageSource["download"] = ({ name }, into, onPercent) =>
    firstOf(archivesFor(options), options, async (archive) => {
      const apt = await PrivateApt.create(target, archive);
      const known = KNOWN_PACKAGES.find((one) => one.name === name) as KnownPackage;
      return apt.downloadKnown(known, into, onPercent);
    });
  return { packages: KNOWN_PACKAGES, download };
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
  source: PackageSource,
  facts: PackageFacts,
  work: string,
  options: PrepareOptions,
): Promise<void> {
  const mebibytes = (facts.bytes / (1 << 20)).toFixed(1);
  const step = `fetching ${facts.name} ${facts.version} (${mebibytes} MiB)`;
  options.onProgress?.({ step, percent: 0 });
  const file = await source.download(facts, work, (percent) =>
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

/** Fetches and unpacks the packages into `work`/root; says which they are. */
async function fetchPackages(
  work: string,
  options: PrepareOptions,
): Promise<PackageSource["packages"]> {
  const fetchFrom = async (source: PackageSource) => {
    for (const facts of source.packages) await fetchPackage(source, facts, work, options);
    return source.packages;
  };
  const folder = join(work, "apt");
  let cause: VmError;
  try {
    return await fetchFrom(await listedPackages(folder, options));
  } catch (error) {
    cause = error as VmError;
    if (options.signal?.aborted || cause.code === "missing-tool") throw error;
  }
  options.onProgress?.({ step: `no archive's lists can be used (${cause.message})` });
  rmSync(join(work, "root"), { recursive: true, force: true });
  try {
    return await fetchFrom(await knownPackages(folder, options));
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw cause;
  }
}

async function makeGuest(work: string, options: PrepareOptions): Promise<PreparedGuest> {
  const { signal } = options;
  const packages = await fetchPackages(work, options);

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
      release: RELEASE,
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
