/**
 * platform: a browser's clock, entropy, event loop and fetch behind the platform contract, in a
 * window or a worker.
 *
 * Used by src/browser.ts and src/browser-worker.ts.
 * Holds   nothing here needs SharedArrayBuffer, cross-origin isolation or a secure context.
 */
import { VmError } from "../../errors.ts";
import type { Platform } from "../contract.ts";

/** Longest delay that a timer takes; longer ones would fire at once. */
const TIMER_MS_MAX = 0x7fffffff;
/** crypto.getRandomValues gives no more at a time. */
const ENTROPY_BYTES_MAX = 65536;

/** Where the build leaves the modules, in words that bundlers follow. */
const CORE_URL = new URL("../../../machine.wasm", import.meta.url);
const PAGES_URL = new URL("../../../pages.wasm", import.meta.url);

/** What `browserPlatform` may be told. */
export interface BrowserPlatformOptions {
  /** Where machine.wasm is served, when a bundler does not find it by itself. */
  readonly coreUrl?: string | URL;
  /** Where pages.wasm is served, likewise. */
  readonly pagesUrl?: string | URL;
}

/** Fetches a module; `name` and `option` are for messages. */
async function load(url: string | URL, name: string, option: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    const accepted = "it must be served over http(s), beside the scripts or with CORS";
    throw new VmError("not-found", `${name} cannot be fetched from ${url}: ${accepted}`, {
      cause,
    });
  }
  if (!response.ok) {
    const text = `${name} is not at ${url}: HTTP status ${response.status}`;
    throw new VmError("not-found", `${text}; ${option} says where it is`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

function entropy(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += ENTROPY_BYTES_MAX) {
    crypto.getRandomValues(bytes.subarray(at, at + ENTROPY_BYTES_MAX));
  }
  return bytes;
}

/**
 * A way round the event loop that is not held to a timer's 4 ms, nor to the second that a timer
 * takes in a hidden tab.
 */
function makeYield(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(null);
    });
}

/** The platform of this window or worker. */
export function browserPlatform(options: BrowserPlatformOptions = {}): Platform {
  return {
    name: "browser",
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    entropy,
    yieldToEventLoop: makeYield(),
    after: (ms, wake) => {
      const timer = setTimeout(wake, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
      return () => clearTimeout(timer);
    },
    loadCore: () => load(options.coreUrl ?? CORE_URL, "machine.wasm", "coreUrl"),
    loadPages: () => load(options.pagesUrl ?? PAGES_URL, "pages.wasm", "pagesUrl"),
  };
}
