/**
 * local: a machine moves within its host: another one takes over its pages and disks as they are.
 *
 * Used by the shell, bench/ and programs.
 * Holds   no byte of a page is moved, nothing is hashed and no journal written: both ends end
 *         together. Until the successor has everything, a failure leaves the machine running.
 */
import { VmError } from "../errors.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";

/** What `moveLocally` may be told. */
export interface LocalMoveOptions {
  /** Of the machine that takes over; by default the same. */
  readonly name?: string;
}

/** What became of it. */
export interface LocalMove {
  /** It is what the other one was, and runs, or is paused, as that did. */
  readonly machine: Machine;
  /** The guest stood still for so long, ms. */
  readonly downtimeMs: number;
  /** Pages that it names; of none the bytes were moved. */
  readonly pages: number;
}

/**
 * Moves a machine to a successor in its host; it is terminated then, with reason "migrated".
 * The caller lets the successor run. Throws "bad-state", "busy", "limit", "no-memory"; it runs on,
 * then.
 */
export async function moveLocally(
  host: Host,
  machine: Machine,
  options: LocalMoveOptions = {},
): Promise<LocalMove> {
  const job = await machine.jobs.begin("migration");
  try {
    return await move(host.platform, machine, options);
  } finally {
    job.end();
  }
}

async function move(
  platform: Platform,
  machine: Machine,
  { name }: LocalMoveOptions,
): Promise<LocalMove> {
  machine.mover.depart();
  let successor: Machine | null = null;
  try {
    // made before the guest stands still
    successor = machine.successor(name);
    successor.mover.expect();
    const beganMs = platform.monotonicMs();
    await machine.mover.standStill();
    const to = machine.mover.isPaused ? "paused" : "running";
    using capture = machine.capture({ disks: null, isStill: true });
    const late = successor.adopt(capture, { identity: "same" });
    if (late !== undefined) throw new VmError("bad-state", "a disk was to be changed");
    machine.leaveDisksTo(successor);
    machine.terminate("migrated");
    machine.mover.goOn(); // another life may begin there
    successor.mover.arrive(to);
    const downtimeMs = platform.monotonicMs() - beganMs;
    return { machine: successor, downtimeMs, pages: successor.view.frames };
  } catch (error) {
    successor?.dispose();
    if (!machine.isDisposed && machine.state === "migration-source") {
      machine.mover.remain((error as Error).message);
    }
    throw error;
  }
}
