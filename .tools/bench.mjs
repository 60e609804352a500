// Builds, then runs the benches: dist/bench/run.js has the options. The build reports on stderr, so
// that stdout holds results only.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const build = fileURLToPath(new URL("build.mjs", import.meta.url));
const built = spawnSync(process.execPath, [build], { stdio: ["ignore", 2, 2] });
if (built.status !== 0) process.exit(built.status ?? 1);
const { benchMain } = await import("../dist/bench/run.js");
process.exitCode = await benchMain(process.argv.slice(2));
