// Bundles the page into a folder that any static server serves.
//
//   node examples/browser/build.mjs --help
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { findGuest, listGuests } from "rivulet";
import { build } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");
/** Where the page goes unless told otherwise. */
export const PAGE_FOLDER = join(root, "dist/browser");

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !/\.(js|wasm|ts|css|html|mjs)$/.test(entry.name)) continue;
    time = Math.max(time, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return time;
}

/** True when the page in PAGE_FOLDER is as new as what it is made of. */
function isCurrent() {
  const page = join(PAGE_FOLDER, "index.html");
  if (!existsSync(page)) return false;
  const core = statSync(join(root, "dist/machine.wasm")).mtimeMs;
  return statSync(page).mtimeMs > Math.max(core, newest(here), newest(join(root, "dist/src")));
}

/** Bundles the page into `folder`, with the files of prepared guests beside it. */
export async function buildPage(folder = PAGE_FOLDER, guests = []) {
  const found = guests.map((name) => {
    const guest = findGuest(name);
    if (guest !== null) return guest;
    const names = listGuests().map(({ manifest }) => manifest.name);
    const accepted = names.length > 0 ? names.join(", ") : "none; `rivulet guest prepare debian`";
    throw new Error(`guest "${name}" is not prepared; prepared are: ${accepted}`);
  });
  await build({
    configFile: join(here, "vite.config.mjs"),
    logLevel: "warn",
    build: { outDir: folder, emptyOutDir: false },
  });
  mkdirSync(join(folder, "guests"), { recursive: true });
  for (const { folder: files, manifest } of found) {
    for (const name of ["manifest.json", ...Object.keys(manifest.files)]) {
      cpSync(join(files, name), join(folder, "guests", manifest.name, name));
    }
  }
  writeFileSync(join(folder, "guests/index.json"), JSON.stringify(guests));
}

/** Bundles the page into PAGE_FOLDER unless it is there and current; it is there whole or not. */
export async function buildPageOnce() {
  if (isCurrent()) return;
  const fresh = `${PAGE_FOLDER}-${process.pid}`;
  try {
    await buildPage(fresh);
    rmSync(PAGE_FOLDER, { recursive: true, force: true });
    renameSync(fresh, PAGE_FOLDER);
  } catch (error) {
    // Another process may have put its own there meanwhile.
    if (!isCurrent()) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

const HELP = `Usage: node examples/browser/build.mjs [options]

Bundles the page into a folder that any static server serves.

  --out FOLDER  where to; what else is in it stays; default dist/browser
  --guest NAME  put a prepared guest's files beside the page (\`rivulet guest prepare debian\`); may be given again
  --help        this text

Example:
  node examples/browser/build.mjs --out /tmp/page --guest debian
`;

async function main() {
  const { values } = parseArgs({
    options: {
      out: { type: "string" },
      guest: { type: "string", multiple: true },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const folder = resolve(values.out ?? PAGE_FOLDER);
  await buildPage(folder, values.guest ?? []);
  console.log(`${folder}: serve it with any static server`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main().catch((error) => {
    console.error(`build: ${error.message}`);
    process.exitCode = error.code?.startsWith("ERR_PARSE_ARGS") ? 2 : 1;
  });
}
