// Builds everything: the WebAssembly modules with asc, then the TypeScript with tsc. A module is left as it is when no
// source of any has changed since it was built (asc takes far longer than tsc).
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

const MODULES = { "asconfig.json": "dist/machine.wasm", "asconfig.pages.json": "dist/pages.wasm" };
for (const [config, wasm] of Object.entries(MODULES)) {
  const sources = Math.max(newest("assembly"), statSync(config).mtimeMs);
  if (!existsSync(wasm) || statSync(wasm).mtimeMs < sources || process.argv.includes("--force")) {
    run("node_modules/assemblyscript/bin/asc.js", ["--config", config, "--target", "release"]);
  }
}
run("node_modules/typescript/bin/tsc", ["-b", "tsconfig.json"]);
if (existsSync("dist/src/cli.js")) chmodSync("dist/src/cli.js", 0o755);
