/**
 * toolchain: finds the compilers and the emulator, and builds the guest programs.
 *
 * Owns    dist/bench/guest/: NAME.elf, NAME.native, and NAME.traced.elf with few rounds;
 *         dist/bench/native/.
 * Used by suites/hart, profile, compare, test/bench/programs.test.ts.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Program } from "./programs.ts";

/** The repository's root; this file runs as dist/bench/toolchain.js. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SOURCES = join(ROOT, "bench/guest");
const OUTPUT = join(ROOT, "dist/bench/guest");
const NATIVE_SOURCES = join(ROOT, "bench/native");
const NATIVE_OUTPUT = join(ROOT, "dist/bench/native");

/** A tool that is not installed; the message names its Debian package. */
export class MissingTool extends Error {
  override name = "MissingTool";
}

function find(names: readonly string[]): string | undefined {
  for (const name of names) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // not in this folder
      }
    }
  }
  return undefined;
}

function need(names: readonly string[], debianPackage: string): string {
  const path = find(names);
  if (path !== undefined) return path;
  throw new MissingTool(
    `${names.join(" or ")} is not installed: apt-get install ${debianPackage} (or npm run setup)`,
  );
}

/** Path of QEMU's riscv64 system emulator. */
export function qemuPath(): string {
  return need(["qemu-system-riscv64"], "qemu-system-misc");
}

/** First line of what QEMU says about itself. */
export function qemuVersion(): string {
  const said = spawnSync(qemuPath(), ["--version"], { encoding: "utf8" }).stdout ?? "";
  return said.split("\n", 1)[0].replace("emulator version ", "");
}

function compile(compiler: string, args: readonly string[]): void {
  const done = spawnSync(compiler, args, { encoding: "utf8" });
  if (done.status === 0) return;
  throw new Error(`${compiler} ${args.join(" ")}: ${done.stderr || done.error?.message}`);
}

function isFresh(output: string): boolean {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  // The table of rounds lives in programs.js beside this file.
  const table = fileURLToPath(new URL("./programs.js", import.meta.url));
  const inputs = readdirSync(SOURCES).map((name) => join(SOURCES, name));
  return [...inputs, table].every((path) => statSync(path).mtimeMs < built);
}

// -ffp-contract=off: only what the source writes as fma is fused, so that a native build computes
// the same bits.
const COMMON = ["-O2", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror"];

/** Builds guest/NAME.c for the virt map unless it is up to date; returns the path of the ELF. */
export function buildGuest(program: Program, rounds = program.rounds): string {
  const suffix = rounds === program.rounds ? "elf" : `${rounds}.elf`;
  const output = join(OUTPUT, `${program.name}.${suffix}`);
  if (isFresh(output)) return output;
  const compiler = need(
    ["riscv64-unknown-elf-gcc", "riscv64-linux-gnu-gcc"],
    "gcc-riscv64-unknown-elf",
  );
  mkdirSync(OUTPUT, { recursive: true });
  const bare = ["-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-ffreestanding", "-nostdlib"];
  const link = ["-static", "-no-pie", "-Wl,--build-id=none", "-T", join(SOURCES, "link.ld")];
  compile(compiler, [
    ...COMMON,
    ...bare,
    "-fno-pic",
    "-fno-tree-loop-distribute-patterns", // or the harness's memset would call itself
    `-DROUNDS=${rounds}u`,
    ...link,
    "-o",
    output,
    join(SOURCES, "start.S"),
    join(SOURCES, "harness-guest.c"),
    join(SOURCES, `${program.name}.c`),
  ]);
  return output;
}

/**
 * Builds the same source for this machine; returns the path of the executable. Throws MissingTool.
 */
export function buildNative(program: Program): string {
  const output = join(OUTPUT, `${program.name}.native`);
  if (isFresh(output)) return output;
  const compiler = need(["gcc"], "gcc");
  mkdirSync(OUTPUT, { recursive: true });
  const sources = [join(SOURCES, "harness-native.c"), join(SOURCES, `${program.name}.c`)];
  compile(compiler, [...COMMON, `-DROUNDS=${program.rounds}u`, "-o", output, ...sources, "-lm"]);
  return output;
}

/**
 * Builds native/NAME.c for this machine with `flags` beside -O3; returns the path of the
 * executable. Throws MissingTool.
 */
export function buildRival(name: string, flags: readonly string[] = []): string {
  const output = join(NATIVE_OUTPUT, [name, ...flags].join("").replaceAll(/[^\w-]/g, "_"));
  const source = join(NATIVE_SOURCES, `${name}.c`);
  if (existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs) return output;
  const compiler = need(["gcc"], "gcc");
  mkdirSync(NATIVE_OUTPUT, { recursive: true });
  compile(compiler, ["-O3", ...flags, "-Wall", "-Wextra", "-Werror", "-o", output, source]);
  return output;
}
