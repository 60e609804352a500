// Builds everything: the WebAssembly core with asc, then the TypeScript with tsc. A core whose sources have not
// changed since the last build is left as it is (asc takes far longer than tsc).
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
mkdirSync("dist/.info", { recursive: true });

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    time = Math.max(time, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs);
  }
  return time;
}

function run(command, args) {
  const done = spawnSync(process.execPath, [command, ...args], { stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

const wasm = "dist/machine.wasm";
const sources = Math.max(newest("assembly"), statSync("asconfig.json").mtimeMs);
if (!existsSync(wasm) || statSync(wasm).mtimeMs < sources || process.argv.includes("--force")) {
  run("node_modules/assemblyscript/bin/asc.js", ["--target", "release"]);
}
run("node_modules/typescript/bin/tsc", ["-b", "tsconfig.json"]);
if (existsSync("dist/src/cli.js")) chmodSync("dist/src/cli.js", 0o755);
