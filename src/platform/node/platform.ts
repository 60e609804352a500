/**
 * platform: Node's clock, entropy, event loop and files behind the platform contract.
 *
 * Used by src/node.ts and tests.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { VmError } from "../../errors.ts";
import type { Platform } from "../contract.ts";

/** Longest delay that a Node timer takes; longer ones would fire at once. */
const TIMER_MS_MAX = 0x7fffffff;

/** Where the build leaves the modules, seen from dist/src/platform/node/. */
const CORE_URL = new URL("../../../machine.wasm", import.meta.url);
const PAGES_URL = new URL("../../../pages.wasm", import.meta.url);

/** Small requests are served from so many random bytes: a call of the system takes 10 us. */
const POOL_BYTES = 4096;

/** Random bytes, each handed out once and forgotten. */
function makeEntropy(): (count: number) => Uint8Array {
  let pool = new Uint8Array(0);
  let used = 0;
  return (count) => {
    if (count > POOL_BYTES / 16) return new Uint8Array(randomBytes(count));
    if (used + count > pool.length) {
      pool = new Uint8Array(randomBytes(POOL_BYTES));
      used = 0;
    }
    const bytes = pool.slice(used, used + count);
    pool.fill(0, used, used + count);
    used += count;
    return bytes;
  };
}

function sha256(...pieces: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return new Uint8Array(hash.digest());
}

async function load(url: URL): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(url));
  } catch (cause) {
    const name = url.pathname.split("/").at(-1);
    throw new VmError("not-found", `${name} is missing: run \`npm run build\` first`, { cause });
  }
}

/**
 * The platform of a Node process. `coreUrl` names another machine.wasm, for tests of mutated cores.
 */
export function nodePlatform(options: { coreUrl?: URL } = {}): Platform {
  return {
    name: "node",
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    entropy: makeEntropy(),
    sha256,
    yieldToEventLoop: () => new Promise((resolve) => setImmediate(resolve)),
    after: (ms, wake) => {
      const timer = setTimeout(wake, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
      return () => clearTimeout(timer);
    },
    loadCore: () => load(options.coreUrl ?? CORE_URL),
    loadPages: () => load(PAGES_URL),
  };
}
