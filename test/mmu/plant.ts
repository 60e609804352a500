/**
 * plant: plants bugs in copies of a module, one at a time, and demands that a suite fails for each.
 *
 * Used by the planted suites of test/mmu and test/memory. PLANT=... names those to plant.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { buildMutant, type Mutation } from "../differential/mutations.ts";

const GUARD_MS = 280_000;

/** A bug, and the suites of which at least one must see it, quickest first. */
export interface Planted extends Mutation {
  readonly suites: readonly string[];
}

/** Which module the bugs are in: what builds it, and the variable that names it to suites. */
export interface Module {
  readonly config: string;
  readonly variable: string;
}

const CORE: Module = { config: "asconfig.json", variable: "RIVULET_CORE" };

/** Runs a suite against the module at `path`; its first complaint, or null when it passes. */
function complaintOf(name: string, variable: string, path: string): string | null {
  const file = fileURLToPath(new URL(`../${name}.test.js`, import.meta.url));
  const env = { ...process.env, [variable]: path };
  const done = spawnSync(process.execPath, [file], { env, encoding: "utf8", timeout: GUARD_MS });
  if (done.status === 0) return null;
  const failure = /FAIL\s+\S+\s+"(.*)"\s*\n\s*(.*)/.exec(done.stdout);
  if (failure === null) return `ended with ${done.status ?? done.signal}`;
  return `${failure[1]}: ${failure[2].slice(0, 100)}`;
}

/** A test for each bug. */
export function plantAll(test: Test, bugs: readonly Planted[], module: Module = CORE): void {
  const pattern = new RegExp(process.env["PLANT"] ?? "");
  for (const planted of bugs.filter(({ title }) => pattern.test(title))) {
    test(`caught: ${planted.title}`, () => {
      const folder = mkdtempSync(join(tmpdir(), "rivulet-planted-"));
      try {
        const path = join(folder, "mutant.wasm");
        writeFileSync(path, buildMutant(planted, module.config));
        for (const name of planted.suites) {
          const complaint = complaintOf(name, module.variable, path);
          if (complaint === null) continue;
          console.log(`${planted.title}: ${name}: ${complaint}`);
          return;
        }
        assert.unreachable(`passed ${planted.suites.join(", ")}`);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
}
