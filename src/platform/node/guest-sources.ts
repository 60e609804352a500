/**
 * guest-sources: which Debian archives this machine's apt already trusts, read from its source
 * lists.
 *
 * Used by guest-apt.ts.
 * Holds   only what is written in the lists counts: no host name is known here. Both of apt's
 *         formats are read, one line per source (sources.list) and paragraphs of fields (*.sources,
 *         as deb822(5) has them).
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One archive, with what apt was told about trusting it. */
export interface DebianArchive {
  readonly uri: string;
  /**
   * Value of Signed-By: a path, a fingerprint, or a key block of several lines; null when not
   * given.
   */
  readonly signedBy: string | null;
  readonly isTrusted: boolean;
}

/** One source as written, for a suite. */
interface Source extends DebianArchive {
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

const words = (text: string) => text.split(/\s+/).filter((word) => word !== "");

/**
 * Reads the format of sources.list(5) with one source per line: `deb [option=value ...] URI suite
 * component...`
 */
export function parseOneLineSources(text: string): Source[] {
  const sources: Source[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+([^#]+)/.exec(line);
    if (match === null) continue;
    const options = new Map<string, string>();
    for (const option of words(match[1] ?? "")) {
      const at = option.indexOf("=");
      if (at > 0) options.set(option.slice(0, at).toLowerCase(), option.slice(at + 1));
    }
    const [suite, ...components] = words(match[3]);
    sources.push({
      uri: match[2],
      suites: [suite],
      components,
      signedBy: options.get("signed-by") ?? null,
      isTrusted: options.get("trusted") === "yes",
    });
  }
  return sources;
}

/** Fields of one paragraph; a line that begins with a blank goes on with the field before it. */
function paragraphFields(paragraph: string): Map<string, string> {
  const fields = new Map<string, string>();
  let name = "";
  for (const line of paragraph.split("\n")) {
    const match = /^([^\s:#]+):[ \t]*(.*)$/.exec(line);
    if (match !== null) {
      name = match[1].toLowerCase();
      fields.set(name, match[2]);
    } else if (/^\s/.test(line) && name !== "") {
      fields.set(name, fields.get(name) + "\n" + line);
    }
  }
  return fields;
}

/**
 * Reads the format of *.sources: paragraphs of fields, Types, URIs, Suites, Components, Signed-By,
 * Enabled.
 */
export function parseFieldSources(text: string): Source[] {
  const sources: Source[] = [];
  const withoutComments = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const paragraph of withoutComments.join("\n").split(/\n[ \t]*\n/)) {
    const fields = paragraphFields(paragraph);
    const isOff = /^(no|false|off|disable|0)$/i.test(fields.get("enabled") ?? "yes");
    if (isOff || !words(fields.get("types") ?? "").includes("deb")) continue;
    for (const uri of words(fields.get("uris") ?? "")) {
      sources.push({
        uri,
        suites: words(fields.get("suites") ?? ""),
        components: words(fields.get("components") ?? ""),
        signedBy: fields.get("signed-by") ?? null,
        isTrusted: fields.get("trusted") === "yes",
      });
    }
  }
  return sources;
}

/**
 * Suites of Debian's main archive; security has an archive of its own, without the packages wanted
 * here.
 */
const SUITES =
  /^(buster|bullseye|bookworm|trixie|forky|duke|sid|(old)*stable|testing|unstable)(-updates|-backports)?$/;

/**
 * Debian archives among `sources`, each once, the likeliest first: other vendors have a suite
 * "stable" as well, but Debian's mirrors keep the archive under a path that ends in "debian".
 */
export function debianArchives(sources: readonly Source[]): DebianArchive[] {
  const found = new Map<string, DebianArchive>();
  for (const { uri, suites, components, signedBy, isTrusted } of sources) {
    const isDebian = components.includes("main") && suites.some((suite) => SUITES.test(suite));
    if (isDebian && !found.has(uri)) found.set(uri, { uri, signedBy, isTrusted });
  }
  const rank = (archive: DebianArchive) => (/\/debian\/?$/.test(archive.uri) ? 0 : 1);
  return [...found.values()].sort((a, b) => rank(a) - rank(b));
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The Debian archives that apt on this machine uses; `etc` is apt's configuration folder. */
export function findDebianArchives(etc = "/etc/apt"): DebianArchive[] {
  const sources = parseOneLineSources(readOrEmpty(join(etc, "sources.list")));
  let names: string[] = [];
  try {
    names = readdirSync(join(etc, "sources.list.d")).sort();
  } catch {
    // apt works without that folder
  }
  for (const name of names) {
    const text = readOrEmpty(join(etc, "sources.list.d", name));
    if (name.endsWith(".list")) sources.push(...parseOneLineSources(text));
    if (name.endsWith(".sources")) sources.push(...parseFieldSources(text));
  }
  return debianArchives(sources);
}
