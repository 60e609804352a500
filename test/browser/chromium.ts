/**
 * chromium: a headless Chromium with one page, the servers behind it, and what went wrong in it.
 *
 * Used by the suites beside it.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { type Browser, chromium, type Page } from "playwright-core";

/** A guard, not a criterion: what takes longer than this hangs. */
export const GUARD_MS = 120_000;

/** Nothing that reaches for the network or for a desktop. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser with a page that remembers its errors. */
export interface OpenPage {
  readonly browser: Browser;
  readonly page: Page;
  /** Console errors and warnings, exceptions, failed requests. */
  readonly complaints: string[];
}

/** Starts Chromium. */
export async function openPage(): Promise<OpenPage> {
  const executablePath = execFileSync("sh", ["-c", "command -v chromium"], {
    encoding: "utf8",
  }).trim();
  const browser = await chromium.launch({ executablePath, args: FLAGS, timeout: GUARD_MS });
  const page = await browser.newPage({ viewport: { width: 1200, height: 750 } });
  page.setDefaultTimeout(GUARD_MS);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
  return { browser, page, complaints };
}

/** Something that answers at `url` until it is stopped. */
export interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts examples/browser/serve.mjs, or another program there, as a user does. */
export async function servePage(
  env: Readonly<Record<string, string>> = {},
  program = "serve.mjs",
): Promise<Served> {
  const child = spawn(process.execPath, [`examples/browser/${program}`, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, "line"), ended]);
  const url = String(first[0]);
  if (!url.startsWith("http://127.0.0.1:")) throw new Error(`${program} ended with ${url}`);
  return {
    url,
    async stop() {
      child.kill();
      await ended;
    },
  };
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** As plain a static server as there is: the files of `folder`, and files given by name. */
export async function serveFolder(
  folder: string,
  extra: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://127.0.0.1").pathname);
    const file = extra[path] ?? join(folder, path.endsWith("/") ? `${path}index.html` : path);
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type });
    createReadStream(file).pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
