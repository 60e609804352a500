/**
 * disk-use: which machines of this process have which file open as a disk.
 *
 * Used by fleet.ts, vm.ts and commands/disk.ts.
 * Holds   a file that a machine writes to is no other disk: two guests that know nothing of each
 *         other would make nonsense of it.
 */
import { VmError } from "../index.ts";
import type { DiskSpec } from "./command.ts";
import type { Vm } from "./vm.ts";
import type { DiskPart } from "./vm-parts.ts";
import type { World } from "./world.ts";

/** A disk of a machine. */
export interface DiskUse {
  readonly vm: Vm;
  /** Its slot. */
  readonly index: number;
  readonly disk: DiskSpec;
  /** Of the file. */
  readonly id: string;
}

/** Every disk of the machines. */
export function disksOf(vms: readonly Vm[]): DiskUse[] {
  return vms.flatMap((vm) => {
    return vm.disks.map(({ spec, id }, index) => ({ vm, index, disk: spec, id }));
  });
}

/** The disks that are in this file, by whatever path; none when there is no such file. */
export async function usesOf(path: string, vms: readonly Vm[], world: World): Promise<DiskUse[]> {
  const facts = await world.disks.facts(path).catch(() => null);
  return disksOf(vms).filter(({ id }) => id === facts?.id);
}

/**
 * Throws VmError "busy" when one of the disks is in a file that another one, of these or of the
 * machines, is in, and one of both writes.
 */
export function checkShareable(disks: readonly DiskPart[], vms: readonly Vm[]): void {
  const accepted = "a file with a writer has one user; ro and cow can be shared";
  const uses = disksOf(vms);
  disks.forEach(({ spec, id }, index) => {
    const isClash = (other: DiskSpec) => spec.mode === "rw" || other.mode === "rw";
    const taken = uses.find((use) => use.id === id && isClash(use.disk));
    if (taken !== undefined) {
      const what = taken.disk.mode === "rw" ? "writes to it" : "reads it";
      const text = `disk ${spec.path}: machine ${taken.vm.name} ${what}`;
      throw new VmError("busy", `${text}; ${accepted}`);
    }
    const twin = disks.slice(0, index).find((one) => one.id === id && isClash(one.spec));
    if (twin !== undefined) {
      throw new VmError("busy", `disk ${spec.path} is a disk of the machine already; ${accepted}`);
    }
  });
}
