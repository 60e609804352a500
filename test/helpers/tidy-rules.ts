/**
 * tidy-rules: STYLE's rules as functions from a source file to what is wrong with it.
 *
 * Used by test/tidy.test.ts, which runs them over the tree and over samples that break them.
 * Holds   a rule works on text: comments and strings are blanked where only code counts. No rule
 *         has a list of files that may break it, except where it says why.
 */

/** A source file: its path from the repository's root, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** Says what is wrong, as `path:line: what`; empty when nothing is. */
export type Rule = (source: Source) => string[];

const isTest = ({ path }: Source) => path.startsWith("test/");
const isSrc = ({ path }: Source) => path.startsWith("src/");
const isCore = ({ path }: Source) => path.startsWith("assembly/");

/** The opcode switch, the decoder and the tables beside them: long by nature. */
const LONG_FILES = new Set([
  "assembly/hart/run.ts",
  "assembly/hart/decode.ts",
  "assembly/hart/ops.ts",
  "assembly/hart/fuse.ts",
]);
/** Its exports are described in docs/core-abi.md, all of them: test/tidy.test.ts looks. */
export const CORE_ENTRY = "assembly/machine.ts";
const LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;
const COLUMNS_MAX = 100;
/** A drawing in a comment, and a table row in assembly/. */
const DRAWING_COLUMNS_MAX = 120;

const COMMENT_OR_STRING =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;

/** The text with comments and, unless they are kept, strings blanked; lines stay where they are. */
export function codeOf(text: string, isKeepingStrings = false): string {
  return text.replace(COMMENT_OR_STRING, (found) => {
    if (isKeepingStrings && !found.startsWith("/")) return found;
    return found.replace(/[^\n]/g, " ");
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** Every match of `pattern` (global) in `text`, as complaints. */
function each({ path }: Source, text: string, pattern: RegExp, say: (found: string) => string) {
  return [...text.matchAll(pattern)].map(
    (match) => `${path}:${lineAt(text, match.index)}: ${say(match[0].trim())}`,
  );
}

/** uvu passes a file that forgets to run its suite. */
export const endsWithRun: Rule = (source) => {
  if (!/\.(test|deep)\.ts$/.test(source.path)) return [];
  if (/^[a-zA-Z]+\.run\(\);\n$/m.test(source.text.slice(-40))) return [];
  return [`${source.path}: the last line is not test.run();`];
};

/** The suite is called as its file is, so that a failure says where to look. */
export const suiteNamesPath: Rule = (source) => {
  const stem = /^test\/(.+)\.test\.ts$/.exec(source.path)?.[1];
  if (stem === undefined) return [];
  const names = [...source.text.matchAll(/^(?:const \w+ = )?suite\("([^"]+)"/gm)].map(
    (match) => match[1],
  );
  return names.filter((name) => name !== stem).map((name) => `${source.path}: suite "${name}"`);
};

/**
 * The file opens with what it is, by name; outside of tests also with what it owns, who uses it or
 * what must hold.
 */
export const hasHeader: Rule = (source) => {
  const { path } = source;
  const header = /^(?:#!.*\n)?\/\*\*\n( \*[^\n]*\n)+? \*\//.exec(source.text)?.[0];
  if (header === undefined) return [`${path}: does not open with a comment that says what it is`];
  if (!isSrc(source) && !isCore(source)) return [];
  const names = path.replace(/\.(d\.)?ts$/, "").split("/");
  const name = names.at(-1) === "index" ? (names.at(-2) as string) : (names.at(-1) as string);
  const complaints: string[] = [];
  const opening = header.split("\n").find((line) => line.startsWith(" * ")) as string;
  const isNamed = [name, "index"].some((one) => opening.toLowerCase().includes(one.split("-")[0]));
  if (!isNamed) complaints.push(`${path}: the header does not begin with "${name}: ..."`);
  // The public fronts are used by everyone and own nothing.
  const isFront = /^src\/(index|node|browser)\.ts$/.test(path) || path === "assembly/layout.ts";
  if (!isFront && !/^ \* (Owns|Used by|Holds|Never)\b/m.test(header)) {
    complaints.push(`${path}: the header says none of Owns, Used by, Holds`);
  }
  return complaints;
};

const LONG_LITERAL = /"[^"]{40,}"|'[^']{40,}'|`[^`]{40,}|\/[^/]{40,}\/[a-z]*/;

/** 100 columns; a drawing may go to 120, and so may a table row in assembly/. */
export const fitsColumns: Rule = (source) => {
  if (LONG_FILES.has(source.path)) return [];
  const complaints: string[] = [];
  let isInComment = false;
  source.text.split("\n").forEach((line, index) => {
    const text = line.trim();
    if (text.startsWith("/*")) isInComment = true;
    const isComment = isInComment || text.startsWith("//");
    const isDrawing = isComment && /[│─]/.test(text);
    const most = isDrawing || isCore(source) ? DRAWING_COLUMNS_MAX : COLUMNS_MAX;
    const columns = [...line].length;
    // The formatter breaks everywhere but inside a long literal.
    const isUnbreakable = !isComment && LONG_LITERAL.test(text);
    if (columns > most && !isUnbreakable) {
      complaints.push(`${source.path}:${index + 1}: ${columns} columns (at most ${most})`);
    }
    if (text.includes("*/")) isInComment = false;
  });
  return complaints;
};

/** No file beyond 600 lines. */
export const fitsLines: Rule = ({ path, text }) => {
  const lines = text.split("\n").length - 1;
  if (lines <= LINES_MAX || LONG_FILES.has(path)) return [];
  return [`${path}: ${lines} lines (at most ${LINES_MAX})`];
};

const FUNCTION_BEGIN =
  /^(\s*)(?:(?:export |default |async |static |private |readonly )*(?:function\b|\*?#?[a-zA-Z_]\w*\s*(?:<[^>]*>)?\([^;]*\)\s*(?::[^;{]+)?\{$|(?:get|set) #?\w+\()|.*=>\s*\{$|\): [^;{]+\{$)/;
const NOT_FUNCTION = /^\s*(?:\} )?(?:if|for|while|switch|catch|else|do|return|try)\b/;

/** No function beyond 70 lines: from the line that opens it to the brace at the same depth. */
export const fitsFunctions: Rule = ({ path, text }) => {
  if (LONG_FILES.has(path)) return [];
  const lines = codeOf(text).split("\n");
  const complaints: string[] = [];
  lines.forEach((line, index) => {
    const begin = FUNCTION_BEGIN.exec(line);
    if (begin === null || NOT_FUNCTION.test(line)) return;
    const indent = /^\s*/.exec(line)?.[0] as string;
    let end = index + 1;
    while (end < lines.length && !lines[end].startsWith(`${indent}}`)) end++;
    const count = end - index + 1;
    if (end < lines.length && count > FUNCTION_LINES_MAX) {
      complaints.push(`${path}:${index + 1}: a function of ${count} lines (70)`);
    }
  });
  return complaints;
};

/** Every exported function, class, interface and type says what its signature cannot. */
export const documentsExports: Rule = (source) => {
  if (!isSrc(source) && !isCore(source)) return [];
  const lines = source.text.split("\n");
  const complaints: string[] = [];
  lines.forEach((line, index) => {
    if (!/^export (async |abstract |declare )*(function|class|interface|type [A-Z])/.test(line)) {
      return;
    }
    // What a function of one statement does, its name and that statement say.
    const isOneStatement = isCore(source) && /^\}/.test(lines[index + 2] ?? "");
    if (isOneStatement || source.path === CORE_ENTRY) return;
    let above = index - 1;
    while (/^(@\w+|\/\/ (biome|@ts)-.*)/.test(lines[above] ?? "")) above--;
    if (/\*\/\s*$/.test(lines[above] ?? "") || /^\/\/ /.test(lines[above] ?? "")) return;
    complaints.push(`${source.path}:${index + 1}: ${line.slice(0, 60)}: no docstring`);
  });
  return complaints;
};

/** Where the world may be touched: one door for time, chance and files, one for WebAssembly. */
export const staysInRoom: Rule = (source) => {
  const { path } = source;
  const code = codeOf(source.text);
  const withStrings = codeOf(source.text, true);
  const complaints: string[] = [];
  const isOnPlatform = path.startsWith("src/platform/");
  const isClockFree = (isSrc(source) && !isOnPlatform) || isTest(source);
  if (isClockFree) {
    const clocks =
      /\b(?:Date(?:\.now|\b(?=\())|new Date|Math\.random|performance\.|(?<![#.\w])set(?:Timeout|Interval)\()/g;
    complaints.push(...each(source, code, clocks, (found) => `${found} outside src/platform/`));
  }
  if (!isSrc(source)) return complaints;
  const isNode = path.startsWith("src/platform/node/") || /^src\/(node|cli)\.ts$/.test(path);
  if (!isNode) {
    const node = /from "node:[a-z/_]+"|\bprocess\.|\bBuffer\.|\bconsole\.(?:log|error|warn)\(/g;
    complaints.push(...each(source, withStrings, node, (found) => `${found} outside Node's room`));
  }
  if (!path.startsWith("src/core/")) {
    const wasm = /\bWebAssembly\./g;
    complaints.push(...each(source, code, wasm, (found) => `${found} outside src/core/`));
  }
  if (!path.startsWith("src/platform/browser/") && path !== "src/browser.ts") {
    const dom = /\b(?:window|document|navigator|localStorage)\.\w/g;
    complaints.push(...each(source, code, dom, (found) => `${found} outside the browser's room`));
  }
  return complaints;
};

// Put together from halves, so that this file does not hold what it looks for.
const MARKS = new RegExp(
  `\\b(?:${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`,
  "g",
);
const UNFINISHED = new RegExp("not " + "implemented", "gi");
const MACHINE_PATHS = new RegExp(`/(?:${["wo" + "rk", "fa" + "rm"].join("|")})/`, "g");

/**
 * Nothing half done, switched off, or of the machine it was written on. Also for files that are not
 * code.
 */
export const isFinished: Rule = (source) => {
  const { path, text } = source;
  const marks = each(source, text, MARKS, (found) => `${found} without an issue's number`).filter(
    (_, index) => !/^\(#\d+\)/.test(text.slice([...text.matchAll(MARKS)][index].index + 4)),
  );
  return [
    ...marks,
    ...each(source, text, UNFINISHED, (found) => found),
    ...each(
      source,
      text,
      MACHINE_PATHS,
      (found) => `${found}: a path of the machine it was written on`,
    ),
    ...(path.endsWith(".ts") ? each(source, codeOf(text), /\.only\(/g, (found) => found) : []),
  ];
};

/** The rules over single files of code. */
export const CODE_RULES: Readonly<Record<string, Rule>> = {
  "ends with .run()": endsWithRun,
  "suite is named as its file": suiteNamesPath,
  "opens with a header": hasHeader,
  "fits its columns": fitsColumns,
  "fits its lines": fitsLines,
  "has short functions": fitsFunctions,
  "documents what it exports": documentsExports,
  "touches the world in the right room": staysInRoom,
};
