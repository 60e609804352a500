/**
 * toolchain: builds the assembly and C programs of test/isa/programs with the cross compiler.
 *
 * Used by test/isa/programs.test.ts.
 * Holds   built files live in one temporary folder that `dispose` removes.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// The sources are not compiled to dist: dist/test/isa is three levels below the checkout.
const SOURCES = fileURLToPath(new URL("../../../test/isa/programs/", import.meta.url));
const OPTIONS = [
  "-march=rv64gc_zba_zbb_zbs_zifencei",
  "-mabi=lp64d",
  "-mcmodel=medany",
  ..."-static -nostdlib -nostartfiles -ffreestanding -O2 -Wall -Werror".split(" "),
  "-Wl,--build-id=none,--no-warn-rwx-segments",
];

/** How a program is built. */
export interface Build {
  readonly name: string;
  /** In U-mode on the kernel of virtual.c, instead of on its own. */
  readonly isVirtual?: boolean;
  /** Macros: `{ LEVELS: 4 }` is -DLEVELS=4. */
  readonly defines?: Readonly<Record<string, number>>;
}

/** A short name of a build, for titles and file names. */
export function buildLabel({ name, isVirtual, defines = {} }: Build): string {
  const macros = Object.entries(defines).map(([macro, value]) => `${macro.toLowerCase()}=${value}`);
  return [name, isVirtual ? "virtual" : "physical", ...macros].join(" ");
}

/** Compiles and links; one folder per instance. */
export class Toolchain {
  readonly #folder = mkdtempSync(join(tmpdir(), "rivulet-programs-"));

  /** Path of the ELF; throws with the compiler's words when it does not build. */
  path(build: Build): string {
    const { name, isVirtual, defines = {} } = build;
    const output = join(this.#folder, buildLabel(build).replaceAll(" ", "-") + ".elf");
    if (existsSync(output)) return output;
    const sources = [`${name}.S`];
    if (existsSync(join(SOURCES, `${name}-body.c`))) sources.push(`${name}-body.c`);
    if (isVirtual) sources.push("virtual-entry.S", "virtual.c");
    const macros = { ...defines, ...(isVirtual ? { VIRTUAL: 1 } : {}) };
    const flags = Object.entries(macros).map(([macro, value]) => `-D${macro}=${value}`);
    const all = [...OPTIONS, ...flags, "-T", "link.ld", ...sources, "-o", output];
    execFileSync("riscv64-unknown-elf-gcc", all, { cwd: SOURCES, stdio: "pipe" });
    return output;
  }

  /** The ELF's bytes. */
  elf(build: Build): Uint8Array {
    return readFileSync(this.path(build));
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
