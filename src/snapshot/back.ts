/**
 * back: how a machine becomes again what a snapshot is.
 *
 * Used by manager.ts.
 * Holds   the guest stands still only while its pages are remapped and its disks are put back: what
 *         has to be read of RAM is read before, beside it. What fails leaves the machine as it was.
 */
import type { MachineView } from "../core/machine-view.ts";
import { MachineDisk, type SavedDisk } from "../device/block/disk.ts";
import type { SavedMachine } from "../machine/capture.ts";
import type { Machine } from "../machine/machine.ts";
import { refuseState } from "../machine/result.ts";
import { baseOf, fullName } from "./catalog.ts";
import type { ClockPolicy, Reverted, RevertOptions, Snapshot } from "./contract.ts";
import { changedBlocks, type Difference, fileBelow, savedDisk } from "./disks.ts";
import { readFacts } from "./facts.ts";
import type { DiskMarks } from "./history.ts";
import { persist } from "./make.ts";
import type { Parts } from "./parts.ts";
import { stageRoot } from "./stage.ts";
import { Pace } from "./throttle.ts";
import { union } from "./track.ts";
import { RAM_REGION } from "./write-behind.ts";

const NONE = new Uint32Array(0);

/** This moment in the lives of a machine's disks. */
export function marksNow(machine: Machine): DiskMarks {
  if (machine.config.disks.length === 0) return [];
  const capture = machine.capture();
  const marks = capture.disks.map(({ mark }) => mark);
  capture.release();
  return marks;
}

/** The machine as snapshot `id` is now: what changes next is counted from there. */
export function stands(machine: Machine, id: string, marks: DiskMarks, parts: Parts): void {
  const history = parts.history(machine);
  const { base } = history;
  // once more to the same one: what it stands on is known
  const below = base?.via === id ? base.id : baseOf(parts.find, id);
  history.became(id, below, marks);
}

/** Null when it is not known where the machine stands. */
async function differenceTo(
  machine: Machine,
  id: string,
  parts: Parts,
): Promise<Difference | null> {
  const history = parts.history(machine);
  const { current } = history;
  if (current === null) return null;
  const marks = history.marks(current) ?? [];
  if (current === id) return { marks, diff: null };
  await persist(current, {}, parts);
  return { marks, diff: await parts.store.diff(current, id) };
}

/** A way back: what the machine becomes, and what to do when it has. */
interface Way {
  readonly saved: SavedMachine;
  /** Of the disks afterwards; null: they are to be asked. */
  readonly marks: DiskMarks | null;
  readonly isRemapped: boolean;
  end(): void;
}

/** By frames that are still here. */
function wayInMemory(id: string, parts: Parts): Way | null {
  const kept = parts.shelf.get(id);
  if (kept === undefined) return null;
  return {
    saved: kept.capture,
    marks: kept.capture.disks.map(({ mark }) => mark),
    isRemapped: true,
    end: () => {},
  };
}

/** By the store: RAM is put together beside the machine. */
async function wayFromStore(
  machine: Machine,
  snapshot: Snapshot,
  pace: Pace,
  parts: Parts,
): Promise<Way> {
  const { id } = snapshot;
  const reader = await parts.store.reader(id);
  try {
    const { facts, own } = readFacts(reader.sections);
    const since = await differenceTo(machine, id, parts);
    const history = parts.history(machine);
    const regions = since?.diff?.regions ?? [];
    const pagesNow = () => union(history.takeChain(), regions[RAM_REGION] ?? NONE);
    const { view, config: shape } = machine;
    const shed = () => parts.shelf.shed();
    const pages = since && pagesNow;
    const disks = machine.devices.disks.map((disk, slot): SavedDisk | null => {
      if (!(disk instanceof MachineDisk)) return null;
      const file = facts.wholeDisks[slot] ? null : fileBelow(machine.config.disks[slot]);
      // asked for when the machine stands still: until then it writes on
      const blocks = () => changedBlocks(disk, slot, reader, since);
      return savedDisk({ reader, slot, bytes: disk.bytes, file }, blocks);
    });
    const staging = { view, shape, reader, pages, shed };
    const root = await parts.withSpare(() => stageRoot(staging, pace));
    const fill = (view: MachineView) => void view.revertTo(root);
    return {
      saved: { shape: facts.shape, sections: own, wallMs: facts.wallMs, disks, fill },
      marks: null,
      isRemapped: false,
      end() {
        root.release();
        void reader.close();
      },
    };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** Takes the way; a failure leaves the machine, its disks too, as it was. */
async function take(machine: Machine, way: Way, clock: ClockPolicy): Promise<void> {
  const hasDisks = machine.config.disks.some(({ isReadOnly }) => !isReadOnly);
  const before = hasDisks ? machine.capture() : null;
  try {
    await machine.adopt(way.saved, { identity: "same", clock });
  } catch (error) {
    if (before !== null) await machine.adopt(before, { identity: "same" });
    throw error;
  } finally {
    before?.release();
  }
}

/** Puts a machine back, by frames that are still here or from the store. */
export async function revertMachine(
  machine: Machine,
  snapshot: Snapshot,
  options: RevertOptions,
  parts: Parts,
): Promise<Reverted> {
  const job = parts.jobs.start(machine, "revert", snapshot.name, options);
  return job.run(() => job.atDesk(machine.jobs, "restore", () => revert()));

  async function revert(): Promise<Reverted> {
    if (machine.state === "suspended") throw refuseState(machine.name, machine.state, "a revert");
    parts.history(machine).openTracks(); // a limit is met before anything changes
    const pace = new Pace(parts.platform, job.options, `revert to ${fullName(snapshot)}`);
    const way =
      wayInMemory(snapshot.id, parts) ?? (await wayFromStore(machine, snapshot, pace, parts));
    try {
      const beganMs = parts.platform.monotonicMs();
      await take(machine, way, options.clock ?? "resume");
      const pauseMs = parts.platform.monotonicMs() - beganMs;
      const pages = machine.view.pagesReverted;
      stands(machine, snapshot.id, way.marks ?? marksNow(machine), parts);
      return { snapshot, pages, isRemapped: way.isRemapped, pauseMs };
    } finally {
      way.end();
    }
  }
}
