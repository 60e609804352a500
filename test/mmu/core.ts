/**
 * core: the machine.wasm under test: the one of the build, or the one that RIVULET_CORE names, into
 * which the deep suites have planted a bug.
 *
 * Used by the suites of test/mmu, test/memory and test/law0.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Core } from "../../src/core/instance.ts";

const MEBIBYTE = 1024 * 1024;

/** Where the core under test lies. */
export function coreUrl(): URL {
  const path = process.env["RIVULET_CORE"];
  return path === undefined ? new URL("../../machine.wasm", import.meta.url) : pathToFileURL(path);
}

/** The core under test over an arena of its own; by default 64 MiB, and room for four machines. */
export function makeCore(arenaBytes = 64 * MEBIBYTE, machinesMax = 4): Promise<Core> {
  return Core.create(readFileSync(coreUrl()), { arenaBytes, machinesMax });
}
