/**
 * guest-modules: finds kernel modules in an unpacked kernel package, with what they depend on, in
 * the order to load.
 *
 * Used by guest-debian.ts.
 * Holds   dependencies are read from the modules themselves (their .modinfo), because modules.dep
 *         is made only when the package is installed. A module is unpacked by apt's own helper, so
 *         that no xz is needed.
 */
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { VmError } from "../../errors.ts";
import type { GuestModule } from "./guest-initrd.ts";
import { runTool } from "./guest-process.ts";

const APT_HELPER = "/usr/lib/apt/apt-helper";
const FILE_NAME = /^(.+)\.ko(\.xz|\.zst|\.gz)?$/;
const DEPENDS = Buffer.from("\0depends=");

/** A module's name as the kernel has it: files say "virtio-rng", the kernel "virtio_rng". */
const kernelName = (name: string) => name.replaceAll("-", "_");

/** Names that a module, uncompressed, says it depends on. */
export function moduleDependencies(bytes: Uint8Array): string[] {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = all.indexOf(DEPENDS);
  if (found < 0) return [];
  const begin = found + DEPENDS.length;
  const end = all.indexOf(0, begin);
  const text = all.toString("latin1", begin, end < 0 ? begin : end);
  return text.split(",").filter((name) => name !== "");
}

function moduleFiles(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const name = FILE_NAME.exec(entry.name)?.[1];
    // Node 20.0 to 20.11 say `path`, later ones `parentPath`.
    const parent = entry.parentPath ?? (entry as unknown as { path: string }).path;
    if (name !== undefined && entry.isFile()) files.set(kernelName(name), join(parent, entry.name));
  }
  return files;
}

async function unpack(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  if (path.endsWith(".ko")) return new Uint8Array(await readFile(path));
  const bytes = await runTool(APT_HELPER, ["cat-file", path], { debianPackage: "apt", signal });
  return new Uint8Array(bytes);
}

/**
 * The modules named `wanted` in `folder` (lib/modules/VERSION) and all they depend on, each after
 * its dependencies. Throws VmError "not-found".
 */
export async function collectModules(
  folder: string,
  wanted: readonly string[],
  signal?: AbortSignal,
): Promise<GuestModule[]> {
  const files = moduleFiles(folder);
  const done = new Map<string, GuestModule>();
  const begun = new Set<string>();
  const visit = async (given: string, by: string): Promise<void> => {
    const name = kernelName(given);
    if (begun.has(name)) return;
    begun.add(name);
    const path = files.get(name);
    if (path === undefined) {
      throw new VmError(
        "not-found",
        `kernel module ${name}, wanted by ${by}, is not in the package`,
      );
    }
    const bytes = await unpack(path, signal);
    for (const dependency of moduleDependencies(bytes)) await visit(dependency, name);
    done.set(name, { name, bytes });
  };
  for (const name of wanted) await visit(name, "the guest");
  return [...done.values()];
}
