// The main job: builds, prepares the Debian guest (as root on Debian through setup, so that it says what it does), and
// boots it on this terminal. Where it cannot be prepared the built-in guest boots instead, and this says so.
//
//   npm start [-- OPTIONS]   options of `rivulet run`: --harts 4, --memory 1G, --disk FILE ...
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { isRootOnDebian } from "./debian.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const cli = `${root}dist/src/cli.js`;

function step(command, args) {
  return spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] }).status === 0;
}

if (!step(process.execPath, [".tools/build.mjs"])) process.exit(1);
const isPrepared = isRootOnDebian()
  ? step("bash", [".tools/setup.sh", "guest"])
  : step(process.execPath, [cli, "guest", "prepare", "debian"]);
const guest = isPrepared ? "debian" : "builtin";
if (!isPrepared) {
  console.error(
    "The Debian guest cannot be prepared here (see above): booting the built-in guest.",
  );
}
if (process.stdin.isTTY) console.error("Ctrl-A X leaves, Ctrl-A H helps.");

// In this process, so that terminal and signals are the machine's.
process.argv.splice(
  1,
  process.argv.length - 1,
  cli,
  "run",
  "--guest",
  guest,
  ...process.argv.slice(2),
);
await import(cli);
