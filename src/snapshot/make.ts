/**
 * make: how a snapshot of a running machine is made: what it builds on, the capture, the writing
 * behind.
 *
 * Used by manager.ts.
 * Holds   between the capture and the guest's next instruction nothing waits. What was taken from a
 *         dirty log is given up only when the snapshot is kept.
 */
import { KIND_FRAME } from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { Machine } from "../machine/machine.ts";
import { checkName, freeName, fullName } from "./catalog.ts";
import type { Created, CreateOptions, LongOptions, Snapshot, SnapshotType } from "./contract.ts";
import { blocksOf, isWholeDisk } from "./disks.ts";
import { saveFacts } from "./facts.ts";
import type { DiskMarks, History } from "./history.ts";
import type { Parts } from "./parts.ts";
import type { Kept } from "./shelf.ts";
import { CHAIN_MAX } from "./store/index.ts";
import { Pace } from "./throttle.ts";
import { gather, union } from "./track.ts";
import { type AbsentPage, RAM_REGION, writeCapture } from "./write-behind.ts";

const PAGE_BYTES = 4096;
/**
 * Bytes of writable disks up to which a durable snapshot is kept in memory, too: a frozen disk
 * keeps every block that the guest overwrites.
 */
const DISK_BYTES_MAX = 16 << 20;
const ID_BYTES = 16;

/** A snapshot that is being written. */
export interface Creation {
  readonly snapshot: Snapshot;
  /** How long the guest stood still, in milliseconds. */
  readonly pauseMs: number;
  /** Settles when it is durable; for "cow" at once. */
  readonly done: Promise<Created>;
}

/** What is known before a capture. */
interface Intent {
  readonly type: SnapshotType;
  readonly parent: Snapshot | null;
  /** Holds all that is not zero, and not only what changed. */
  readonly isWhole: boolean;
}

/** Decides what a snapshot builds on. Throws "bad-state" and "limit". */
function intentOf(
  type: SnapshotType | undefined,
  history: History,
  machine: string,
  parts: Parts,
): Intent {
  const current = history.current === null ? null : parts.get(history.current);
  const wanted = type ?? (current === null ? "full" : "incremental");
  if (wanted === "full") return { type: wanted, parent: null, isWhole: true };
  if (wanted === "cow" && current === null) return { type: wanted, parent: null, isWhole: true };
  const parent = wanted === "differential" ? baseFor(history, parts) : current;
  if (parent === null) {
    const what = wanted === "differential" ? "no full snapshot" : "no snapshot";
    const text = `${wanted} snapshot of ${machine}: it stands on ${what}`;
    throw new VmError("bad-state", `${text}; accepted: a full one first`);
  }
  if (parent.level >= CHAIN_MAX) {
    const text = `${fullName(parent)} is number ${parent.level} of its chain, of ${CHAIN_MAX} at most`;
    const accepted = "merge it into its parent, or make a full snapshot";
    throw new VmError("limit", `${text}: ${accepted}`);
  }
  return { type: wanted, parent, isWhole: false };
}

function baseFor({ base }: History, parts: Parts): Snapshot | null {
  return base === null ? null : parts.get(base.id);
}

/** What was captured. */
interface Taken {
  readonly capture: MachineCapture;
  /** Pages that changed since the parent, or since `base.via`; null for all. */
  readonly ram: Uint32Array | null;
  /** Nothing is known of what changed on the disks: all that they are made of is meant. */
  readonly isAllOfDisks: boolean;
}

/** The machine, with frames that were kept without need given back where one is wanted. */
function captured(machine: Machine, disks: DiskMarks | undefined, parts: Parts): MachineCapture {
  for (;;) {
    try {
      return machine.capture({ disks });
    } catch (error) {
      const isShort = error instanceof VmError && error.code === "no-memory";
      if (!isShort || !parts.shelf.shed()) throw error;
    }
  }
}

/** The moment itself: one step, without a wait. */
function take(
  machine: Machine,
  history: History,
  { type, parent, isWhole }: Intent,
  parts: Parts,
): Taken {
  const isDifferential = type === "differential";
  const since = parent === null ? undefined : history.marks(parent.id);
  const capture = captured(machine, since, parts);
  try {
    const chain = history.takeChain();
    const base = isWhole || isDifferential ? history.takeBase() : null;
    const isAllOfDisks = since === undefined;
    if (isWhole) return { capture, ram: null, isAllOfDisks };
    return { capture, ram: isDifferential ? base : chain, isAllOfDisks };
  } catch (error) {
    capture.release(); // no frame for a dirty log
    throw error;
  }
}

function newId(parts: Parts): string {
  const bytes = parts.platform.entropy(ID_BYTES);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function marksOf(capture: MachineCapture): DiskMarks {
  return capture.disks.map(({ mark }) => mark);
}

/** Pages of the machine are elsewhere still: it was restored, and runs before they are read. */
function isLazy({ view }: Machine): boolean {
  return view.memory.bringPage !== null;
}

/** Reads pages that are not in memory at the moment of a capture, from where the machine would. */
function absentOf(machine: Machine, { root, pager }: MachineCapture): AbsentPage {
  const slots = new Map<number, number>();
  const { view } = machine;
  for (const page of isLazy(machine) ? gather(root.pages()) : []) {
    if (view.pageKind(page) !== KIND_FRAME) slots.set(page, view.pageSlot(page));
  }
  return (page, target) => {
    const slot = slots.get(page);
    if (slot !== undefined && pager !== null) return pager.pager.read(slot, target);
    throw new VmError("not-found", `page ${page} of ${machine.name} is not in memory`);
  };
}

/** True when keeping it costs frames and little else. */
function isCheap({ disks }: MachineCapture): boolean {
  const writable = disks.filter(({ isReadOnly }) => !isReadOnly);
  return writable.reduce((sum, { bytes }) => sum + bytes, 0) <= DISK_BYTES_MAX;
}

/** What it is at the moment of its capture; sizes are those of what may have to be written. */
function snapshotOf(
  machine: Machine,
  name: string,
  options: CreateOptions,
  intent: Intent,
  { capture, ram }: Taken,
  parts: Parts,
): Snapshot {
  const pages = ram?.length ?? 0;
  return {
    id: newId(parts),
    name,
    machine: machine.name,
    type: intent.type,
    parent: intent.parent?.id ?? null,
    level: (intent.parent?.level ?? 0) + 1,
    createdMs: capture.wallMs,
    ticks: capture.ticks,
    instructions: capture.instructions,
    digest: null,
    pages,
    bytes: { logical: pages * PAGE_BYTES, unique: 0, onDisk: 0 },
    labels: { ...options.labels },
    notes: options.notes ?? "",
    isInMemory: true,
    isRetained: true,
  };
}

/** Begins a snapshot: when it returns, the guest runs on. */
export function beginSnapshot(machine: Machine, options: CreateOptions, parts: Parts): Creation {
  parts.jobs.checkFree(machine, "create");
  if (options.within === undefined) machine.jobs.check("snapshot");
  const all = parts.list();
  const name = options.name ?? freeName(all, machine.name);
  checkName(all, name, machine.name);
  const history = parts.history(machine);
  const intent = intentOf(options.type, history, machine.name, parts);
  const beganMs = parts.platform.monotonicMs();
  const taken = take(machine, history, intent, parts);
  const { capture } = taken;
  const absent = absentOf(machine, capture);
  const pauseMs = parts.platform.monotonicMs() - beganMs;
  const snapshot = snapshotOf(machine, name, options, intent, taken, parts);
  const kept: Kept = {
    snapshot,
    ...taken,
    via: intent.type === "differential" ? (history.base?.via ?? null) : null,
    disks: machine.config.disks,
    isAllOfDisks: taken.isAllOfDisks,
    absent,
    origin: options.origin ?? null,
    isDurable: false,
  };
  const job = parts.jobs.start(machine, "create", name, options);
  // of a machine that is still read from a store everything is written while that is there
  const isCow = intent.type === "cow" && !isLazy(machine);
  const done = job.run(async () => {
    try {
      const long = { ...job.options, digest: options.digest };
      if (!isCow) await job.atDesk(machine.jobs, "snapshot", () => write(kept, long, parts));
    } catch (error) {
      capture.release();
      throw error;
    }
    history.kept(snapshot.id, intent.isWhole, marksOf(capture));
    if (isCow || isCheap(capture)) parts.shelf.put({ ...kept, isDurable: !isCow });
    else capture.release();
    const totalMs = parts.platform.monotonicMs() - beganMs;
    return { ...parts.get(snapshot.id), pauseMs, totalMs };
  });
  return { snapshot, pauseMs, done };
}

// ---- writing ----

interface WriteOptions extends LongOptions {
  readonly digest?: boolean;
}

/** Null for a machine of which a page is still in the store. */
function digestOf(capture: MachineCapture): string | null {
  try {
    return capture.digest();
  } catch (error) {
    if (error instanceof VmError && error.code === "not-found") return null;
    throw error;
  }
}

/** Every page in which it may differ from its parent; null for all that are not zero. */
async function pagesOf({ snapshot, ram, via }: Kept, parts: Parts): Promise<Uint32Array | null> {
  const { parent } = snapshot;
  if (ram === null || via === null || parent === null || via === parent) return ram;
  await persist(via, {}, parts);
  const { regions } = await parts.store.diff(parent, via);
  return union(ram, regions[RAM_REGION]);
}

/** Writes a capture; what it builds on first, where that is only in memory. */
async function write(kept: Kept, options: WriteOptions, parts: Parts): Promise<void> {
  const { snapshot, capture, absent } = kept;
  const { parent, type } = snapshot;
  if (parent !== null) await persist(parent, options, parts);
  const pace = new Pace(parts.platform, options, `snapshot ${fullName(snapshot)}`);
  await pace.breathe("beginning", 0, null);
  const ram = await pagesOf(kept, parts);
  const { id, name, machine, createdMs, ticks, instructions, labels, notes } = snapshot;
  const cowType = parent === null ? "full" : "incremental";
  const meta = {
    ...{ id, name, machine, parent, createdMs, ticks, instructions, labels, notes },
    type: type === "cow" ? cowType : type,
    digest: options.digest === false ? null : digestOf(capture),
  };
  const writer = await parts.store.begin(meta);
  try {
    const blocks = capture.disks.map((disk, slot) =>
      blocksOf(disk, kept.disks[slot], kept.isAllOfDisks),
    );
    await writeCapture(writer, { capture, ram, blocks, absent }, pace);
    const { shape } = capture;
    const wallMs = Math.floor(capture.wallMs);
    const wholeDisks = kept.disks.map(isWholeDisk);
    writer.section(saveFacts({ shape, wallMs, wholeDisks, origin: kept.origin }));
    await pace.breathe("syncing", 1, 1);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Makes a snapshot durable that is only in memory, and what it builds on. */
export async function persist(id: string, options: LongOptions, parts: Parts): Promise<void> {
  const kept = parts.shelf.get(id);
  if (kept === undefined || kept.isDurable) return;
  const underWay = parts.persisting.get(id);
  if (underWay !== undefined) return underWay;
  const work = write(kept, options, parts)
    // in the place that it has: the oldest goes first
    .then(() => parts.shelf.made(id))
    .finally(() => parts.persisting.delete(id));
  parts.persisting.set(id, work);
  return work;
}
