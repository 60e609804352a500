/**
 * need: a test that wants a tool which may not be installed. Without it the test is a visible skip
 * that names the Debian package; under CI=true it fails instead.
 *
 * Used by tests that run QEMU, a compiler, apt or firmware.
 */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Test } from "uvu";
import { DEBIAN_GUEST_NAME, findGuest } from "../../src/node.ts";

/** Something that may be missing. */
export interface Tool {
  readonly name: string;
  /** The Debian package that brings it. */
  readonly debianPackage: string;
  /** What brings it beside that package. */
  readonly command?: string;
  isPresent(): boolean;
}

function isOnPath(name: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function program(name: string, debianPackage: string): Tool {
  return { name, debianPackage, isPresent: () => isOnPath(name) };
}

export const QEMU = program("qemu-system-riscv64", "qemu-system-misc");
export const OPENSSL = program("openssl", "openssl");
export const CROSS_COMPILER = program("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf");
export const CROSS_BINUTILS = program(
  "riscv64-unknown-elf-objcopy",
  "binutils-riscv64-unknown-elf",
);
export const NATIVE_COMPILER = program("gcc", "gcc");
export const GDB = program("gdb-multiarch", "gdb-multiarch");
export const APT = program("apt-get", "apt");
export const LZ4 = program("lz4", "lz4");
export const DTC = program("dtc", "device-tree-compiler");
export const CHROMIUM = program("chromium", "chromium");

/**
 * Where Debian's package puts firmware for the virt machine: entered with a2 naming what comes
 * after it.
 */
export const OPENSBI_DYNAMIC = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
export const OPENSBI: Tool = {
  name: "fw_dynamic.bin",
  debianPackage: "opensbi",
  isPresent: () => existsSync(OPENSBI_DYNAMIC),
};

/** Kernel and initrd of the Debian guest, prepared by this user. */
export const DEBIAN_GUEST: Tool = {
  name: "the Debian guest",
  debianPackage: "apt",
  command: "rivulet guest prepare debian",
  isPresent: () => findGuest(DEBIAN_GUEST_NAME) !== null,
};

function sourceOf(tool: Tool): string {
  const brought = tool.command === undefined ? "" : `\`${tool.command}\`, with the `;
  return `${tool.name} (${brought}Debian package ${tool.debianPackage})`;
}

/**
 * Adds a test that needs `tools`: a skip with the reason printed, or under CI=true a failure, when
 * one is missing.
 */
export function testNeeding(
  test: Test,
  tools: readonly Tool[],
  title: string,
  body: () => void | Promise<void>,
): void {
  const missing = tools.filter((tool) => !tool.isPresent());
  if (missing.length === 0) {
    test(title, body);
    return;
  }
  const reason = `missing ${missing.map(sourceOf).join(", ")}: npm run setup`;
  if (process.env.CI === "true") {
    test(title, () => {
      throw new Error(reason);
    });
    return;
  }
  console.log(`skip: ${title}: ${reason}`);
  test.skip(title, body);
}
