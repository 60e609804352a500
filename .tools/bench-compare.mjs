// Builds this checkout, then compares two commits: dist/bench/compare.js has the options.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const build = fileURLToPath(new URL("build.mjs", import.meta.url));
const built = spawnSync(process.execPath, [build], { stdio: ["ignore", 2, 2] });
if (built.status !== 0) process.exit(built.status ?? 1);
const { compareMain } = await import("../dist/bench/compare.js");
process.exitCode = await compareMain(process.argv.slice(2));
