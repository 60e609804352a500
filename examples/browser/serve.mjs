// Serves the page, and the guests that this user has prepared, on 127.0.0.1. A plain static server: no special header.
//
//   node examples/browser/serve.mjs --help
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { findGuest, listGuests } from "rivulet";
import { buildPageOnce, PAGE_FOLDER } from "./build.mjs";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** The file for a path of the address, or null. Nothing outside of the two folders is ever named. */
function fileFor(path) {
  const guest = /^\/guests\/([^/]+)\/([^/]+)$/.exec(path);
  if (guest !== null) {
    const found = findGuest(guest[1]);
    const names = found === null ? [] : ["manifest.json", ...Object.keys(found.manifest.files)];
    return names.includes(guest[2]) ? join(found.folder, guest[2]) : null;
  }
  const inside = normalize(path.endsWith("/") ? `${path}index.html` : path);
  return join(PAGE_FOLDER, inside);
}

/** First and last byte that are asked for; null when they are not in the file. */
function rangeOf(header, bytes) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return { from: 0, to: bytes - 1 };
  if (match[1] === "") return { from: Math.max(0, bytes - Number(match[2])), to: bytes - 1 };
  const from = Number(match[1]);
  const to = Math.min(match[2] === "" ? bytes - 1 : Number(match[2]), bytes - 1);
  return from <= to ? { from, to, isPart: true } : null;
}

function send(request, response, path) {
  const stat = statSync(path);
  if (!stat.isFile()) throw new Error("not a file");
  response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream");
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Cache-Control", "no-cache");
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader(
    "ETag",
    `"${stat.size.toString(16)}-${Math.trunc(stat.mtimeMs).toString(16)}"`,
  );
  const range = rangeOf(request.headers.range, stat.size);
  if (range === null) {
    response.writeHead(416, { "Content-Range": `bytes */${stat.size}` }).end();
    return;
  }
  const { from, to } = range;
  if (range.isPart) response.setHeader("Content-Range", `bytes ${from}-${to}/${stat.size}`);
  response.writeHead(range.isPart ? 206 : 200, { "Content-Length": to - from + 1 });
  if (request.method === "HEAD" || stat.size === 0) response.end();
  else
    createReadStream(path, { start: from, end: to })
      .on("error", () => response.destroy())
      .pipe(response);
}

/** Answers with a file of the page, or of a prepared guest. */
export function serve(request, response) {
  try {
    const path = decodeURIComponent(new URL(request.url, "http://127.0.0.1").pathname);
    if (path === "/guests/index.json") {
      const names = listGuests().map(({ manifest }) => manifest.name);
      response.writeHead(200, { "Content-Type": TYPES[".json"] }).end(JSON.stringify(names));
      return;
    }
    const file = ["GET", "HEAD"].includes(request.method) ? fileFor(path) : null;
    if (file === null) throw new Error("no such file");
    send(request, response, file);
  } catch {
    response.writeHead(404, { "Content-Type": "text/plain" }).end("not found\n");
  }
}

const HELP = `Usage: node examples/browser/serve.mjs [options]

Serves the page, and the guests that \`rivulet guest prepare\` has prepared, on 127.0.0.1; the first line on
stdout is the address to open. The page is bundled first where that has not been done.

  --port N  port to listen on; 0 takes any that is free; default 8080
  --help    this text

Example:
  node examples/browser/serve.mjs --port 0
`;

/** The port that the command line names; null when help is asked for. Throws with what is accepted. */
function readPort() {
  const options = {
    port: { type: "string", default: "8080" },
    help: { type: "boolean", short: "h" },
  };
  const { values } = parseArgs({ options });
  if (values.help) return null;
  const port = /^\d+$/.test(values.port) ? Number(values.port) : -1;
  if (port < 0 || port > 65535) {
    throw new Error(`--port ${values.port}: accepted are 0 to 65535; 0 takes any that is free`);
  }
  return port;
}

/** Bundles the page, and answers at the port with `answer`; `path` is the page to open. */
export async function listen(port, answer, path = "") {
  await buildPageOnce();
  const server = createServer(answer);
  await new Promise((resolve, reject) => {
    server.on("error", (error) => {
      const isTaken = error.code === "EADDRINUSE";
      const why = isTaken ? "it is in use; --port N takes another, 0 any" : error.message;
      reject(new Error(`port ${port}: ${why}`));
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  console.log(`http://127.0.0.1:${server.address().port}/${path}`);
  console.error("Ctrl-C ends it.");
}

/** Reads --port and --help of a program, and runs `work`; says what is wrong, and ends with that status. */
export async function runProgram(name, help, work) {
  const fail = (error, status) => {
    console.error(`${name}: ${error.message}`);
    process.exitCode = status;
  };
  let port;
  try {
    port = readPort();
  } catch (error) {
    fail(error, 2);
    return;
  }
  if (port === null) process.stdout.write(help);
  else await work(port).catch((error) => fail(error, 1));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runProgram("serve", HELP, (port) => listen(port, serve));
}
