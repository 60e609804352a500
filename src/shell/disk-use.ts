/**
 * disk-use: which machines of this process have which file open as a disk.
 *
 * Used by fleet.ts and commands/disk.ts.
 * Holds   a file that a machine writes to is no other machine's disk: two guests that know
 *         nothing of each other would make nonsense of it.
 */
import { VmError } from "../index.ts";
import type { DiskSpec } from "./command.ts";
import type { Vm } from "./vm.ts";
import type { DiskFile, World } from "./world.ts";

/** A disk of a machine. */
export interface DiskUse {
  readonly vm: Vm;
  /** Its slot. */
  readonly index: number;
  readonly disk: DiskSpec;
}

/** Every disk of the machines. */
export function disksOf(vms: readonly Vm[]): DiskUse[] {
  return vms.flatMap((vm) => vm.diskSpecs.map((disk, index) => ({ vm, index, disk })));
}

/** Null when there is no such file. */
function factsOf(path: string, world: World): Promise<DiskFile | null> {
  return world.disks.facts(path).catch(() => null);
}

/** The disks that are in this file, by whatever path; none when there is no such file. */
export async function usesOf(path: string, vms: readonly Vm[], world: World): Promise<DiskUse[]> {
  const all = disksOf(vms);
  const facts = all.length === 0 ? null : await factsOf(path, world);
  const uses: DiskUse[] = [];
  for (const use of facts === null ? [] : all) {
    const other = await factsOf(use.disk.path, world);
    if (other?.id === facts?.id) uses.push(use);
  }
  return uses;
}

/** Throws VmError "busy" when a machine has the file open, and it or `disk` writes. */
export async function checkShareable(
  disk: DiskSpec,
  vms: readonly Vm[],
  world: World,
): Promise<void> {
  for (const { vm, disk: other } of await usesOf(disk.path, vms, world)) {
    if (disk.mode !== "rw" && other.mode !== "rw") continue;
    const what = other.mode === "rw" ? "writes to it" : "reads it";
    const accepted = "a file with a writer has one user; ro and cow can be shared";
    throw new VmError("busy", `disk ${disk.path}: machine ${vm.name} ${what}; ${accepted}`);
  }
}
