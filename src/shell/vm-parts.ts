/**
 * vm-parts: what a machine of the shell is made of: its specification, and the files and disks that
 * it names, read and opened.
 *
 * Used by fleet.ts, and by vm.ts, which makes machines of them.
 * Holds   whatever can fail for reasons outside (a file that is gone, a disk that may not be
 *         opened) fails here, before the machine that stands is touched.
 */
import {
  type BlockBackend,
  type ClockKind,
  type Host,
  isImage,
  type Machine,
  type MachineConfig,
  type MmuKind,
  VmError,
} from "../index.ts";
import type { DiskSpec } from "./command.ts";
import { thereAre } from "./wording.ts";
import type { GuestFiles, World } from "./world.ts";

/** What a machine is made of: what `vm info` shows and `vm set` changes. Paths are absolute. */
export interface VmSpec {
  readonly name: string;
  readonly guest?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly firmware?: string;
  readonly append?: string;
  /** Bytes, or a number with K, M or G. */
  readonly memoryBytes: number | string;
  readonly harts: number;
  readonly clock: ClockKind;
  readonly seed?: number;
  readonly disks: readonly DiskSpec[];
  readonly consoleDevice?: "uart" | "virtio";
  readonly htif?: boolean;
  readonly mmu?: MmuKind;
  readonly noReboot?: boolean;
}

/** A disk of a machine. */
export interface DiskPart {
  readonly spec: DiskSpec;
  /** Of its file: the same for two paths exactly when they led to one file. */
  readonly id: string;
}

/** A machine and its disks. */
export interface MadeMachine {
  readonly machine: Machine;
  /** By slot: the guest's own in front of those of the specification. */
  readonly disks: readonly DiskPart[];
  /** What is closed with it; nothing where others close theirs. */
  readonly backends: readonly BlockBackend[];
}

/** Everything that `host.createMachine` needs. */
export interface VmParts {
  readonly host: Host;
  readonly config: MachineConfig;
  readonly disks: readonly DiskPart[];
  readonly backends: readonly BlockBackend[];
}

async function guestFiles(name: string, world: World): Promise<GuestFiles> {
  const { guests } = world;
  const files = await guests.files(name);
  if (files !== null) return files;
  const names = [...guests.list().map((guest) => guest.name), guests.builtin];
  const canPrepare = guests.preparable.includes(name);
  const hint = canPrepare ? `; \`rivulet guest prepare ${name}\` fetches it` : "";
  throw new VmError("not-found", `guest "${name}": ${thereAre(names)}${hint}`);
}

/** The disk with its file's identity. Throws VmError "bad-file". */
export async function diskPart(spec: DiskSpec, world: World): Promise<DiskPart> {
  return { spec, id: (await world.disks.facts(spec.path)).id };
}

/** What a machine boots, and the disk of its guest. Throws VmError "bad-file" and "not-found". */
export async function bootFiles(
  spec: Pick<VmSpec, "guest" | "kernel" | "initrd" | "firmware" | "append">,
  world: World,
): Promise<Pick<MachineConfig, "kernel" | "initrd" | "firmware" | "append"> & { disk?: string }> {
  const read = (path?: string) => (path === undefined ? undefined : world.readFile(path));
  const named = spec.guest === undefined ? null : await guestFiles(spec.guest, world);
  return {
    kernel: (await read(spec.kernel)) ?? named?.kernel,
    initrd: (await read(spec.initrd)) ?? named?.initrd,
    firmware: await read(spec.firmware),
    append: spec.append ?? named?.append,
    disk: named?.disk,
  };
}

/** Reads the files and opens the disks; leaves nothing open when that fails. */
export async function openParts(
  spec: VmSpec,
  world: World,
  openHost: () => Promise<Host>,
): Promise<VmParts> {
  const { disk: guestDisk, ...files } = await bootFiles(spec, world);
  const { kernel } = files;
  const host = await openHost();
  const own: DiskSpec[] = guestDisk === undefined ? [] : [{ path: guestDisk, mode: "cow" }];
  const disks: DiskPart[] = [];
  const backends: BlockBackend[] = [];
  try {
    for (const disk of [...own, ...spec.disks]) {
      backends.push(await world.openDisk(disk.path, disk.mode));
      disks.push(await diskPart(disk, world));
    }
  } catch (error) {
    await closeAll(backends);
    throw error;
  }
  const { name, memoryBytes, harts, clock, seed, htif, mmu, noReboot, consoleDevice } = spec;
  const config: MachineConfig = {
    ...{ name, memoryBytes, harts, clock, seed, htif, mmu, noReboot, consoleDevice },
    ...files,
    disks: backends,
    // a port more is no harm to a Linux without the agent
    agent: kernel !== undefined && isImage(kernel),
    consoleInput: "open",
  };
  return { host, config, disks, backends };
}

/** Closes them all. Throws the first error, when all were tried. */
export async function closeAll(backends: readonly BlockBackend[]): Promise<void> {
  const closed = await Promise.allSettled(backends.map(async (backend) => backend.close()));
  for (const one of closed) if (one.status === "rejected") throw one.reason;
}
