/**
 * tidy-imports: which file may import which: rooms stand on lines, imports point down, nothing goes
 * round in a circle.
 *
 * Used by test/tidy.test.ts.
 */
import { posix } from "node:path";
import type { Source } from "./tidy-rules.ts";
import { codeOf } from "./tidy-rules.ts";

/** The line of each room; a room may import from lines below it. */
const LINES: Readonly<Record<string, number>> = {
  errors: 0,
  layout: 0,
  asm: 0,
  core: 1,
  platform: 1,
  metrics: 1,
  guest: 1,
  machine: 2,
  device: 2,
  gpu: 2,
  contract: 3,
  debug: 3,
  snapshot: 3,
  lifecycle: 4,
  numa: 4,
  migration: 5,
  cluster: 5,
  remote: 5,
  index: 6,
  node: 6,
  browser: 6,
  "browser-worker": 6,
  shell: 7,
  cli: 7,
};

/** On one line, who may import whom. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  asm: ["errors"],
  machine: ["device"],
  device: ["gpu"],
  platform: ["guest"],
  node: ["index"],
  browser: ["index"],
  cli: ["shell"],
};

/** The room of a path under src/ or of assembly/layout.ts, or the top folder of any other. */
export function roomOf(path: string): string {
  if (path === "assembly/layout.ts") return "layout";
  const [top, second] = path.split("/");
  return top === "src" ? second.replace(/\.ts$/, "") : top;
}

/** One import: both paths, and whether the code runs without it. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly line: number;
  readonly isTypeOnly: boolean;
}

const STATEMENT =
  /^(?:import|export)\s+(?:(type)\s+)?([^"';]*?)\s*(?:from\s+)?["'](\.[^"']*)["'];?/gm;

/** Imports of files of this repository. */
export function importsOf({ path, text }: Source): Import[] {
  const code = codeOf(text, true);
  return [...code.matchAll(STATEMENT)].map((match) => {
    const target = posix.normalize(posix.join(posix.dirname(path), match[3]));
    const names = (/\{([^}]*)\}/.exec(match[2])?.[1] ?? "").split(",").filter((one) => one.trim());
    const areTypes = names.length > 0 && names.every((one) => one.trim().startsWith("type "));
    return {
      from: path,
      to: target.endsWith(".ts") ? target : `${target}.ts`,
      line: code.slice(0, match.index).split("\n").length,
      isTypeOnly: match[1] === "type" || areTypes,
    };
  });
}

/** What is wrong with one import, or null. */
export function wrongDirection({ from, to, line }: Import): string | null {
  const at = `${from}:${line}: imports ${to}`;
  if (from.startsWith("assembly/")) {
    if (from === "assembly/layout.ts") return `${at}: the shared numbers import nothing`;
    return to.startsWith("assembly/") ? null : `${at}: the data plane imports only itself`;
  }
  if (!from.startsWith("src/")) {
    const isBackward = from.startsWith("bench/") && to.startsWith("test/");
    return isBackward ? `${at}: benches do not use tests` : null;
  }
  if (to.startsWith("assembly/") && to !== "assembly/layout.ts") {
    return `${at}: only assembly/layout.ts is shared`;
  }
  const [user, used] = [roomOf(from), roomOf(to)];
  if (user === used) return null;
  if (!(user in LINES) || !(used in LINES)) return `${at}: unknown room ${user} or ${used}`;
  // The shell is the API's first user and gets no more than anyone; the binary adds Node's side of
  // it.
  if (user === "shell") return used === "index" ? null : `${at}: the shell uses only src/index.ts`;
  if (user === "cli") {
    const isFine = ["shell", "node", "platform"].includes(used);
    return isFine ? null : `${at}: the binary uses src/node.ts, the shell and Node's platform`;
  }
  // The platform implements contracts that are written where they are used.
  if (user === "platform" && to.endsWith("/contract.ts")) return null;
  if (LINES[used] < LINES[user] || BESIDE[user]?.includes(used)) return null;
  return `${at}: ${used} does not stand below ${user}`;
}

/** Circles of imports that run (types are gone by then), each as the files on it. */
export function findCycles(imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to, isTypeOnly } of imports) {
    if (isTypeOnly) continue;
    next.set(from, [...(next.get(from) ?? []), to]);
  }
  const state = new Map<string, "open" | "done">();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "open") {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      return;
    }
    state.set(path, "open");
    for (const to of next.get(path) ?? []) visit(to, [...trail, path]);
    state.set(path, "done");
  };
  for (const path of next.keys()) visit(path, []);
  return cycles;
}
