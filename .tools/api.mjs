// Writes docs/api.md, the API reference, from the docstrings of what the package exports. Reads the declarations that
// tsc emits, so build first.
//
//   node .tools/api.mjs           writes docs/api.md
//   node .tools/api.mjs --check   says whether it is up to date; exit 1 when it is not
//
// Exit 1 too when an export has no docstring.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const TARGET = join(root, "docs/api.md");
const LINES_MAX = 80;
const DOC = String.raw`\/\*\*(?:[^*]|\*(?!\/))*\*\/`;

const declarationsOf = (path) => path.replace(/\.ts$/, ".d.ts");
const read = (path) => readFileSync(path, "utf8");

/** Text of a docblock without its stars. */
function plain(block) {
  return block
    .trim()
    .replace(/^\/\*\*\s?|\s*\*\/$/g, "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""))
    .join("\n")
    .trim();
}

/** The end of the declaration that starts at `from`: its closing brace, or the semicolon outside all brackets. */
function endOf(text, from) {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text.startsWith("/*", at)) at = text.indexOf("*/", at) + 1;
    else if ("{([".includes(text[at])) depth++;
    else if ("})]".includes(text[at]) && --depth === 0 && text[at] === "}") {
      if (/^(declare )?(abstract )?(class|interface)/.test(text.slice(from))) return at + 1;
    } else if (text[at] === ";" && depth === 0) return at + 1;
  }
  return text.length;
}

/** A declaration as people want to see it. */
function shown(code) {
  return code
    .replace(/^declare /, "")
    .split("\n")
    .filter((line) => !/^\s*(#private;|private )/.test(line))
    .map((line) => line.replace(/^( {4})+/, (indent) => "  ".repeat(indent.length / 4)));
}

/** What `type Name = Other;` stands for, when Other is imported: the declaration of the original. */
function original(path, text, code) {
  const alias = /^type \w+ = (\w+);$/.exec(code)?.[1];
  if (alias === undefined) return null;
  const imported = new RegExp(
    `import (?:type )?\\{[^}]*?(\\w+) as ${alias}\\b[^}]*\\} from "(\\.[^"]+)"`,
  ).exec(text);
  return imported === null
    ? null
    : find(declarationsOf(join(dirname(path), imported[2])), imported[1]);
}

/** The declarations of `name` in the file: docstring and code, followed through re-exports; null when there is none. */
function find(path, name) {
  const text = read(path);
  const kinds = "(?:abstract class|class|interface|type|function|const|namespace)";
  const pattern = new RegExp(`(${DOC}\\s*)?^export ((?:declare )?${kinds} ${name}\\b)`, "gm");
  const docs = [];
  const lines = [];
  for (const match of text.matchAll(pattern)) {
    const start = match.index + match[0].length - match[2].length;
    const code = text.slice(start, endOf(text, start));
    const from = original(path, text, code);
    const doc = from?.doc ?? (match[1] === undefined ? null : plain(match[1]));
    if (doc !== null) docs.push(doc);
    lines.push(...(from?.lines ?? shown(code)));
  }
  if (lines.length > 0) return { doc: docs.length === 0 ? null : docs.join("\n\n"), lines };
  for (const { names, from } of reexports(text)) {
    const real = names === null ? name : names.get(name);
    if (real === undefined) continue;
    const found = find(declarationsOf(join(dirname(path), from)), real);
    if (found !== null) return found;
  }
  return null;
}

/** `export { a, b as c } from "./x.ts"` as a map of public to real names; `export *` as null. */
function reexports(text) {
  const all = [];
  for (const match of text.matchAll(/^export (?:type )?(\*|\{[^}]*\}) from "(\.[^"]+)";/gm)) {
    const [, what, from] = match;
    if (what === "*") {
      all.push({ names: null, from });
      continue;
    }
    const items = what
      .slice(1, -1)
      .split(",")
      .map((item) => item.trim().replace(/^type /, ""));
    const pairs = items.filter((item) => item !== "").map((item) => item.split(" as "));
    all.push({ names: new Map(pairs.map(([real, given]) => [given ?? real, real])), from });
  }
  return all;
}

/** Every name that a door exports. */
function namesOf(path) {
  const text = read(path);
  const own = [
    ...text.matchAll(/^export (?:declare )?(?:class|interface|type|function|const) (\w+)/gm),
  ];
  const names = new Set(own.map(([, name]) => name));
  for (const { names: given, from } of reexports(text)) {
    const more = given === null ? namesOf(declarationsOf(join(dirname(path), from))) : given.keys();
    for (const name of more) names.add(name);
  }
  return names;
}

function sectionOf(name, { doc, lines }) {
  const cut = lines.length > LINES_MAX ? [...lines.slice(0, LINES_MAX), "// ... and so on"] : lines;
  return [`### ${name}`, "", doc ?? "", "", "```ts", ...cut, "```", ""].join("\n");
}

function reference() {
  const { exports } = JSON.parse(read(join(root, "package.json")));
  const bare = [];
  const parts = [
    "# API reference",
    "",
    "Made from the docstrings by `node .tools/api.mjs`; [embedding.md](embedding.md) is the guide, and",
    "[errors.md](errors.md) has the error codes.",
    "",
  ];
  const seen = new Map();
  for (const [door, { types }] of Object.entries(exports)) {
    if (types === undefined) continue;
    const path = join(root, types);
    const title = join("rivulet", door);
    const intro = plain(new RegExp(DOC).exec(read(path))[0])
      .split("\n\n")[0]
      .replace(/^\w+: /, "");
    parts.push(`## \`${title}\``, "", intro[0].toUpperCase() + intro.slice(1), "");
    const fresh = [];
    const known = [];
    for (const name of [...namesOf(path)].sort((a, b) =>
      a.toLowerCase() < b.toLowerCase() ? -1 : 1,
    )) {
      const found = find(path, name);
      if (found === null) throw new Error(`${title} exports ${name}, which is declared nowhere`);
      if (found.doc === null) bare.push(`${title}: ${name}`);
      const text = sectionOf(name, found);
      if (seen.get(name) === text) known.push(name);
      else fresh.push(text);
      seen.set(name, text);
    }
    if (known.length > 0)
      parts.push(`As above: ${known.map((name) => `\`${name}\``).join(", ")}.`, "");
    parts.push(...fresh);
  }
  return { text: `${parts.join("\n").trim()}\n`, bare };
}

const { text, bare } = reference();
if (bare.length > 0) {
  console.error(`no docstring:\n${bare.join("\n")}`);
  process.exitCode = 1;
}
if (process.argv.includes("--check")) {
  let found = "";
  try {
    found = read(TARGET);
  } catch {}
  if (found !== text) {
    console.error("docs/api.md is out of date: run `node .tools/api.mjs`");
    process.exitCode = 1;
  }
} else writeFileSync(TARGET, text);
