/**
 * pack: the packed file installs into an empty project and works there: every door, the types, the
 * binary, the examples.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("package/pack");

const folder = mkdtempSync(join(tmpdir(), "rivulet-pack-"));
const project = join(folder, "project");
/** Examples that need nothing but the package; the others are run by test/examples. */
const EXAMPLES = ["talk.mjs", "replay.mjs", "custom-device.mjs", "sixteen-machines.mjs"];

function run(command: string, args: readonly string[], cwd = project): string {
  const done = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 1 << 24 });
  assert.is(done.status, 0, `${command} ${args.join(" ")}\n${done.stdout}${done.stderr}`);
  return done.stdout;
}

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

let packed: Packed;

test.before(() => {
  mkdirSync(project);
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  packed = (JSON.parse(run("npm", args, ".")) as Packed[])[0];
  const manifest = { name: "empty", version: "1.0.0", type: "module", private: true };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  const file = join(folder, packed.filename);
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", file]);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));

test("it holds what runs and what explains, and is small", () => {
  const paths = packed.files.map(({ path }) => path);
  for (const path of [
    "dist/machine.wasm",
    "dist/pages.wasm",
    "dist/src/cli.js",
    "docs/api.md",
    "README.md",
    "LICENSE",
  ]) {
    assert.ok(paths.includes(path), `${path} is missing`);
  }
  const strange = paths.filter((path) => /^(test|bench|src|assembly|\.)|\.tsbuildinfo$/.test(path));
  assert.equal(strange, []);
  assert.ok(packed.size < 1 << 20, `${packed.size} bytes`);
});

test("every door opens, and Node's imports bring no bench or test package along", () => {
  const doors = ["rivulet", "rivulet/asm", "rivulet/contract", "rivulet/browser"];
  const script = doors.map((door) => `await import("${door}");`).join("");
  run(process.execPath, ["--input-type=module", "-e", script]);
  const packages = readdirSync(join(project, "node_modules"));
  assert.not(packages.includes("uvu"));
  assert.not(packages.includes("typescript"));
});

test("the binary runs", () => {
  assert.match(run("npx", ["rivulet", "--version"]), /^rivulet \d+\.\d+\.\d+\n$/);
});

for (const file of EXAMPLES) {
  test(`examples/${file} runs there`, () => {
    cpSync(join("examples", file), join(project, file));
    assert.ok(run(process.execPath, [file]).length > 0);
  });
}

const USER = `
import { builtinGuest, Host, type Machine, type RunResult, VmError } from "rivulet";
import { Assembler } from "rivulet/asm";
import { deviceContract } from "rivulet/contract";
import { Host as BrowserHost } from "rivulet/browser";

const host = await Host.create({ arenaBytes: 1 << 26 });
const machine: Machine = host.createMachine({ kernel: builtinGuest(), memoryBytes: "16M" });
const result: RunResult = await machine.run(1000);
if (result.kind === "poweroff") console.log(result.code);
const error: VmError | null = null;
console.log(new Assembler().assemble().bytes, deviceContract.length, error, BrowserHost);
// @ts-expect-error a number of harts is a number
host.createMachine({ harts: "two" });
`;

test("a strict TypeScript project compiles against it", () => {
  const options = {
    ...{ strict: true, noEmit: true, skipLibCheck: false, target: "es2024" },
    ...{ module: "nodenext", moduleResolution: "nodenext", types: [], lib: ["es2024", "dom"] },
  };
  const config = { compilerOptions: options, files: ["user.ts"] };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(project, "user.ts"), USER);
  run(process.execPath, [resolve("node_modules/typescript/bin/tsc"), "-p", "tsconfig.json"]);
});

test.run();
