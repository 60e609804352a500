/**
 * The house rules, checked over the whole tree; and each rule checked on a sample that breaks it.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findCycles, importsOf, wrongDirection } from "./helpers/tidy-imports.ts";
import { CODE_RULES, CORE_ENTRY, isFinished, type Source } from "./helpers/tidy-rules.ts";

const test = suite("tidy");
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CODE_FOLDERS = ["assembly", "src", "test", "bench"];

function filesUnder(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const sources = CODE_FOLDERS.flatMap(filesUnder).filter(({ path }) => path.endsWith(".ts"));
const texts = [".tools", ".ci", "docs", "examples", ...CODE_FOLDERS]
  .flatMap(filesUnder)
  .filter(({ path }) => !path.endsWith(".png"));

function none(complaints: readonly string[]): void {
  assert.is(complaints.length, 0, `\n${complaints.join("\n")}`);
}

for (const [title, rule] of Object.entries(CODE_RULES)) {
  test(`every file ${title}`, () => none(sources.flatMap(rule)));
}

test("nothing is half done, switched off, or of the machine it was written on", () => {
  const top = ["README.md", "ARCHITECTURE.md", "package.json", "package-lock.json"];
  const more = top.map((path) => ({ path, text: read(path) }));
  none([...texts, ...more].flatMap(isFinished));
});

test("imports point down", () => {
  none(
    sources
      .flatMap(importsOf)
      .map(wrongDirection)
      .filter((one) => one !== null),
  );
});

test("no imports go round in a circle", () => none(findCycles(sources.flatMap(importsOf))));

test("the README's commands are the ones that .ci/run and package.json know", () => {
  const readme = read("README.md");
  assert.match(readme, /^npm ci && npm start$/m);
  assert.match(readme, /^npm ci && npm test$/m);
  assert.match(read(".ci/run"), /^npm ci && npm test$/m);
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  for (const name of ["setup", "start", "test", "test:deep", "bench", "bench:compare"]) {
    assert.ok(name in scripts, `package.json has no script ${name}`);
    const command = ["start", "test"].includes(name) ? `npm ${name}` : `npm run ${name}`;
    assert.ok(readme.includes(command), `README.md does not mention ${command}`);
  }
});

test("ARCHITECTURE.md has a line for every folder", () => {
  const page = read("ARCHITECTURE.md");
  for (const top of ["assembly", "src"]) {
    for (const entry of readdirSync(join(ROOT, top), { withFileTypes: true })) {
      if (entry.isDirectory()) assert.ok(page.includes(`${entry.name}/`), `${top}/${entry.name}`);
    }
  }
});

test("docs/core-abi.md describes every export of the core", () => {
  const page = read("docs/core-abi.md");
  const names = [...read(CORE_ENTRY).matchAll(/^export function (\w+)/gm)].map((match) => match[1]);
  assert.ok(names.length > 10);
  none(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(page)));
});

test("every link of the documents leads to a file", () => {
  const documents = [
    ...filesUnder("docs"),
    ...["README.md", "ARCHITECTURE.md"].map((path) => ({ path, text: read(path) })),
  ];
  for (const { path, text } of documents.filter((one) => one.path.endsWith(".md"))) {
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(ROOT, path, "..", target)), `${path} links to ${target}`);
    }
  }
});

test("packages come from the public registry", () => {
  const hosts = [...read("package-lock.json").matchAll(/"resolved": "https?:\/\/([^/"]+)/g)];
  for (const [, host] of hosts) assert.is(host, "registry.npmjs.org");
});

test("the shell scripts are well formed", () => {
  for (const path of [".tools/setup.sh", ".ci/run"]) execFileSync("bash", ["-n", join(ROOT, path)]);
});

// ---- each rule catches what it is for ----

const long = (count: number, line: string) => Array.from({ length: count }, () => line).join("\n");
const header = "/**\n * sample: a sample.\n *\n * Used by nobody.\n */\n";

const SAMPLES: readonly { rule: string; path: string; text: string }[] = [
  { rule: "ends with .run()", path: "test/a.test.ts", text: 'const test = suite("a");\n' },
  { rule: "suite is named as its file", path: "test/a.test.ts", text: 'suite("b");' },
  { rule: "opens with a header", path: "src/a.ts", text: "export const a = 1;\n" },
  { rule: "opens with a header", path: "src/b/a.ts", text: "/**\n * a: a sample.\n */\n" },
  {
    rule: "fits its columns",
    path: "src/a.ts",
    text: `const a = ${long(20, "b + c +")}`.replaceAll("\n", ""),
  },
  { rule: "fits its columns", path: "src/a.ts", text: `// ${"word ".repeat(30)}` },
  { rule: "fits its lines", path: "src/a.ts", text: long(700, "a();") },
  {
    rule: "has short functions",
    path: "src/a.ts",
    text: `function a() {\n${long(75, "  b();")}\n}\n`,
  },
  {
    rule: "has short functions",
    path: "src/a.ts",
    text: `class A {\n  b(): void {\n${long(75, "    b();")}\n  }\n}\n`,
  },
  {
    rule: "has short functions",
    path: "src/a.ts",
    text: `const a = (b) => {\n${long(75, "  b();")}\n};\n`,
  },
  {
    rule: "documents what it exports",
    path: "src/a.ts",
    text: `${header}\nexport function a() {}\n`,
  },
  {
    rule: "touches the world in the right room",
    path: "src/machine/a.ts",
    text: "const a = Date.now();",
  },
  {
    rule: "touches the world in the right room",
    path: "test/a.test.ts",
    text: "const a = Math.random();",
  },
  {
    rule: "touches the world in the right room",
    path: "src/shell/a.ts",
    text: 'import a from "node:fs";',
  },
  {
    rule: "touches the world in the right room",
    path: "src/device/a.ts",
    text: "new WebAssembly.Memory();",
  },
];

test("each rule catches a file that breaks it", () => {
  for (const { rule, ...sample } of SAMPLES) {
    assert.ok(CODE_RULES[rule](sample).length > 0, `${rule}: ${sample.text.slice(0, 60)}`);
  }
  for (const rule of Object.keys(CODE_RULES)) {
    assert.ok(
      SAMPLES.some((sample) => sample.rule === rule),
      `${rule} has no sample`,
    );
  }
});

test("marks, machine paths and onlys are caught wherever they stand", () => {
  const bad = [
    "TO" + "DO later",
    "FIX" + "ME",
    "/wo" + "rk/main",
    "not " + "implemented",
    "test.only(1)",
  ];
  for (const text of bad) assert.is(isFinished({ path: "src/a.ts", text }).length, 1, text);
  assert.is(isFinished({ path: "src/a.ts", text: "TO" + "DO(#12) later" }).length, 0);
});

test("an import that points up or round is caught", () => {
  const wrong = [
    ["src/core/a.ts", "../machine/b.ts"],
    ["src/device/a.ts", "../machine/b.ts"],
    ["src/core/a.ts", "../platform/contract.ts"],
    ["src/shell/a.ts", "../machine/b.ts"],
    ["src/machine/a.ts", "../../assembly/hart/run.ts"],
    ["assembly/hart/a.ts", "../../src/errors"],
    ["bench/a.ts", "../test/b.ts"],
  ];
  for (const [path, to] of wrong) {
    const [found] = importsOf({ path, text: `import { b } from "${to}";\n` });
    assert.ok(wrongDirection(found) !== null, `${path} imports ${to}`);
  }
  const round = [
    ...importsOf({ path: "src/core/a.ts", text: 'import { b } from "./b.ts";\n' }),
    ...importsOf({ path: "src/core/b.ts", text: 'import {\n  a,\n} from "./a.ts";\n' }),
  ];
  assert.is(findCycles(round).length, 1);
  const types = importsOf({ path: "src/core/b.ts", text: 'import type { a } from "./a.ts";\n' });
  assert.is(findCycles([round[0], ...types]).length, 0);
});

test.run();
