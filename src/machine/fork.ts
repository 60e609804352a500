/**
 * fork: machines that begin as another one is now, sharing every page and block with it.
 *
 * Used by machine.ts for fork, host.ts for createFrom.
 * Holds   neither side sees what the other does from then on: pages are copied when written, disks
 *         of children are overlays on what the parent's disks hold now. A child is another machine:
 *         a generation id and random numbers of its own; an exact one is the same, for a replay.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import { MachineDisk } from "../device/block/disk.ts";
import { OverlayBackend } from "../device/block/overlay.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture, MachineShapeFacts, SavedMachine } from "./capture.ts";
import type { MachineConfig } from "./config.ts";
import type { HubFacts } from "./sections.ts";
import type { DiskUsers } from "./users.ts";

/** What `machine.fork` may be told. */
export interface ForkOptions {
  /** One for each child; default: the machine's name and a number. */
  readonly names?: readonly string[];
  /** Children that are the machine itself, bit by bit: replays. Default false. */
  readonly exact?: boolean;
  /**
   * "resume" (default): the child's time goes on from where it is. "jump": from where the host's
   * clock is; for machines under the host's clock.
   */
  readonly clock?: "resume" | "jump";
}

/** Throws "bad-argument" for what cannot be asked. */
export function checkFork(count: number, { names }: ForkOptions): void {
  if (!Number.isInteger(count) || count < 1) {
    throw new VmError("bad-argument", `fork(${count}): accepted are whole numbers from 1`);
  }
  if (names === undefined || names.length === count) return;
  throw new VmError("bad-argument", `fork(${count}) with ${names.length} names: give one for each`);
}

/**
 * Seed of child number `ordinal` of a machine: what was drawn before, and from whom, decides it, so
 * that a run with forks can be replayed.
 */
export function childSeed({ seed, entropyCounter }: HubFacts, ordinal: number): bigint {
  return mix(mix(mix(seed) ^ BigInt(entropyCounter)) ^ BigInt(ordinal));
}

/**
 * A permutation of 64-bit numbers in which every bit of the input counts for every bit of the
 * output (splitmix64). Random bytes come from hashes over the seed: it has to be another one, no
 * more.
 */
function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value + 0x9e37_79b9_7f4a_7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return z ^ (z >> 31n);
}

/** Disks of one child. Those to be written are its own to close. */
export function forkDisks(disks: readonly (MachineDisk | BlockBackend)[]): BlockBackend[] {
  return disks.map((disk) => (disk instanceof MachineDisk ? disk.fork() : disk));
}

/** Those of `disks` that were made for one machine: it closes them. */
export function ownDisks(
  disks: readonly BlockBackend[],
  others: readonly BlockBackend[],
): BlockBackend[] {
  return disks.filter((disk) => !others.includes(disk));
}

/** A disk of zeros that takes writes in memory. */
export function emptyDisk(bytes: number): OverlayBackend {
  return new OverlayBackend({
    bytes,
    read: (_offset, target) => void target.fill(0),
    close: () => {},
  });
}

function isCapture(saved: SavedMachine): saved is MachineCapture {
  return "root" in saved && "release" in saved;
}

/** Disks of a machine that is to be made. */
export interface FoundDisks {
  readonly disks: BlockBackend[];
  /** Of those, what was made for it. */
  readonly owned: BlockBackend[];
  /** What is still to be put there. */
  readonly patched: SavedMachine;
  readonly users?: DiskUsers;
}

/**
 * Disks for a machine that begins as `saved`: those given, by slot; else, of a capture, its own as
 * they were; else empty ones. `patched` is what those are still to be filled with.
 */
export function disksFor(saved: SavedMachine, given: readonly (BlockBackend | null)[]): FoundDisks {
  const disks = saved.shape.disks.map(({ bytes, isReadOnly }, slot) => {
    const own = given[slot] ?? (isCapture(saved) ? saved.disks[slot]?.open() : undefined);
    if (own !== undefined) return own;
    if (!isReadOnly) return emptyDisk(bytes);
    const text = `disk ${slot} of the saved machine is read-only, with ${bytes} bytes`;
    throw new VmError("bad-config", `${text}: hand it in`);
  });
  const patches = saved.disks?.map((disk, slot) =>
    isCapture(saved) && (given[slot] ?? null) === null ? null : disk,
  );
  const { shape, sections, wallMs } = saved;
  const fill = (view: MachineView) => saved.fill(view);
  return {
    disks,
    owned: disks.filter((disk) => !given.includes(disk)),
    ...(isCapture(saved) ? { users: saved.users } : {}),
    patched: {
      shape,
      sections,
      wallMs,
      fill,
      ...(saved.pager === undefined ? {} : { pager: saved.pager }),
      ...(patches === undefined ? {} : { disks: patches }),
    },
  };
}

/** What of a configuration follows from the shape of the machine that is to be made again. */
export function configOf(shape: MachineShapeFacts): MachineConfig {
  return {
    memoryBytes: shape.ramBytes,
    harts: shape.harts,
    quantum: shape.quantum,
    mmu: shape.mmu,
    clock: shape.clock,
    epochMs: shape.epochMs,
    consoleDevice: shape.consoleDevice,
    agent: shape.agent,
    devices: shape.customDevices,
  };
}
