/**
 * guest-apt: fetches packages of another architecture with the machine's own apt, without touching
 * its state: package lists, cache, status and configuration are private to a folder. No privileges
 * are needed.
 *
 * Owns    the files under the folder it is given.
 * Used by guest-debian.ts.
 * Holds   apt's own checks hold: the archive's signature, and each package's hash and size. What is
 *         fetched without lists is held to a hash that the caller knows.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VmError } from "../../errors.ts";
import { runTool } from "./guest-process.ts";
import type { DebianArchive } from "./guest-sources.ts";

/** What is known of a package before it is fetched. */
export interface PackageFacts {
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The Depends field as written. */
  readonly depends: string;
}

/** A package that is known without the archive's lists. */
export interface KnownPackage extends PackageFacts {
  /** Where it lies below the archive's URI. */
  readonly path: string;
}

/** Which packages, and where to work. */
export interface AptTarget {
  /** As the archive names its folder: "trixie", "stable". */
  readonly suite: string;
  /** What the release must call itself; left out: anything. */
  readonly codename?: string;
  readonly architecture: string;
  /** Where everything private lies. */
  readonly folder: string;
  readonly signal?: AbortSignal;
}

const APT_PACKAGE = "apt";
/** Not on the PATH: apt's own place for it. */
const APT_HELPER = "/usr/lib/apt/apt-helper";
const ON_STATUS = ["-o", "APT::Status-Fd=3"];

/** Text of a private source list for one archive. */
function sourceText(archive: DebianArchive, target: AptTarget): string {
  const lines = [
    "Types: deb",
    `URIs: ${archive.uri}`,
    `Suites: ${target.suite}`,
    "Components: main",
    `Architectures: ${target.architecture}`,
  ];
  if (archive.signedBy !== null) lines.push(`Signed-By: ${archive.signedBy}`);
  if (archive.isTrusted) lines.push("Trusted: yes");
  return lines.join("\n") + "\n";
}

/**
 * apt reads the file that APT_CONFIG names before any other, so that what it says of Dir::Etc holds
 * for the rest.
 */
function configText(folder: string, architecture: string, acquire: readonly string[]): string {
  const own: Record<string, string> = {
    "Dir::Etc::Main": "/dev/null",
    "Dir::Etc::Parts": join(folder, "empty"),
    "Dir::Etc::SourceList": "/dev/null",
    "Dir::Etc::SourceParts": join(folder, "sources"),
    "Dir::Etc::Preferences": "/dev/null",
    "Dir::Etc::PreferencesParts": join(folder, "empty"),
    "Dir::State": join(folder, "state"),
    "Dir::State::Status": join(folder, "state/status"),
    "Dir::Cache": join(folder, "cache"),
    "APT::Architecture": architecture,
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "2",
  };
  const lines = Object.entries(own).map(([name, value]) => `${name} "${value}";`);
  return [...acquire, ...lines, `APT::Architectures { "${architecture}"; };`, ""].join("\n");
}

/** Reads apt's status lines: 0 to 100 of what is fetched. */
function percentReader(onPercent: (percent: number) => void): (line: string) => void {
  return (line) => {
    const percent = /^dlstatus:\d+:([\d.]+):/.exec(line)?.[1];
    if (percent !== undefined) onPercent(Number(percent));
  };
}

/** apt over a private folder. */
export class PrivateApt {
  readonly #target: AptTarget;
  readonly #archive: DebianArchive;

  /**
   * Lays out the folder for one archive, anew. Throws VmError "missing-tool" when apt is not there.
   */
  static async create(target: AptTarget, archive: DebianArchive): Promise<PrivateApt> {
    const { folder } = target;
    rmSync(folder, { recursive: true, force: true });
    for (const path of ["empty", "sources", "state/lists/partial", "cache/archives/partial"]) {
      mkdirSync(join(folder, path), { recursive: true });
    }
    writeFileSync(join(folder, "state/status"), "");
    writeFileSync(join(folder, "sources/debian.sources"), sourceText(archive, target));
    const { signal } = target;
    // The machine's proxies, time-outs and the like hold here too.
    const dump = await runTool("apt-config", ["dump"], { debianPackage: APT_PACKAGE, signal });
    const acquire = dump
      .toString("utf8")
      .split("\n")
      .filter(
        (line) => /^Acquire::/.test(line) && !/^Acquire::(IndexTargets|Languages)/.test(line),
      );
    const config = configText(folder, target.architecture, acquire);
    writeFileSync(join(folder, "apt.conf"), config);
    return new PrivateApt(target, archive);
  }

  private constructor(target: AptTarget, archive: DebianArchive) {
    this.#target = target;
    this.#archive = archive;
  }

  #run(
    name: string,
    args: readonly string[],
    more: { cwd?: string; onStatus?(line: string): void } = {},
  ): Promise<Buffer> {
    const { folder, signal } = this.#target;
    const env = { APT_CONFIG: join(folder, "apt.conf") };
    return runTool(name, args, { env, signal, debianPackage: APT_PACKAGE, ...more });
  }

  /**
   * Fetches the package lists. Throws VmError "io" when the archive does not answer, has no such
   * suite, has one of another release, or has lists that are not those of its release file.
   */
  async update(): Promise<void> {
    await this.#run("apt-get", ["update", "-q", "--error-on=any"]);
    const { suite, codename, folder } = this.#target;
    if (codename === undefined) return;
    const lists = join(folder, "state/lists");
    const release = readdirSync(lists).find((name) => /_(In)?Release$/.test(name));
    const text = release === undefined ? "" : readFileSync(join(lists, release), "utf8");
    const found = /^Codename: (\S+)$/m.exec(text)?.[1] ?? "none";
    if (found === codename) return;
    const where = `${this.#archive.uri}, suite ${suite}`;
    throw new VmError("io", `${where}: the release's codename is ${found}: wanted is ${codename}`);
  }

  /** What the lists say about the newest version of a package. Throws VmError "not-found". */
  async facts(name: string): Promise<PackageFacts> {
    const { suite, architecture } = this.#target;
    const text = `${name} is not in ${suite} for ${architecture}`;
    let output: string;
    try {
      const args = ["show", "--no-all-versions", name];
      output = (await this.#run("apt-cache", args)).toString("utf8");
    } catch (cause) {
      throw new VmError("not-found", text, { cause });
    }
    const field = (label: string) => new RegExp(`^${label}: (.*)$`, "m").exec(output)?.[1] ?? "";
    const bytes = Number(field("Size"));
    const facts = { name, version: field("Version"), bytes, sha256: field("SHA256") };
    if (facts.version === "" || !(bytes > 0)) throw new VmError("not-found", text);
    return { ...facts, depends: field("Depends") };
  }

  /** Fetches a package into `into`, reporting 0 to 100; returns the file's path. */
  async download(
    facts: PackageFacts,
    into: string,
    onPercent: (percent: number) => void,
  ): Promise<string> {
    const onStatus = percentReader(onPercent);
    const args = ["download", "-q", ...ON_STATUS, `${facts.name}=${facts.version}`];
    await this.#run("apt-get", args, { cwd: into, onStatus });
    const file = readdirSync(into).find(
      (name) => name.startsWith(facts.name + "_") && name.endsWith(".deb"),
    );
    if (file === undefined) throw new VmError("io", `apt-get download left no ${facts.name}`);
    return join(into, file);
  }
  /**
   * Fetches a package that is known, without any list; its SHA-256 is checked. Returns the file's
   * path.
   */
  async downloadKnown(
    known: KnownPackage,
    into: string,
    onPercent: (percent: number) => void,
  ): Promise<string> {
    const uri = `${this.#archive.uri.replace(/\/$/, "")}/${known.path}`;
    const path = join(into, `${known.name}.deb`);
    const args = [...ON_STATUS, "download-file", uri, path, `SHA256:${known.sha256}`];
    await this.#run(APT_HELPER, args, { cwd: into, onStatus: percentReader(onPercent) });
    return path;
  }
}
