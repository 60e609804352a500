/**
 * restore: a new machine of a snapshot. Its RAM is absent at first and comes from the store: all of
 * it before the machine is handed out, or when it is touched. Its disks stay in the store, with
 * what it writes over them in memory.
 *
 * Used by manager.ts.
 * Holds   the snapshot stays readable in the store for as long as the machine needs anything of it.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import type { SavedDisk } from "../device/block/disk.ts";
import { OverlayBackend } from "../device/block/overlay.ts";
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import { marksNow, stands } from "./back.ts";
import { fullName } from "./catalog.ts";
import type { Restored, RestoreOptions, Snapshot } from "./contract.ts";
import { savedDisk } from "./disks.ts";
import { readFacts, type SnapshotFacts } from "./facts.ts";
import { LazyImage } from "./image.ts";
import { persist } from "./make.ts";
import type { Parts } from "./parts.ts";
import type { StoreReader } from "./store-port.ts";
import { StoredDisk } from "./stored-disk.ts";
import { Pace } from "./throttle.ts";

/** A reader and how many still read from it. */
class Pin {
  readonly reader: StoreReader;
  #users = 1;

  constructor(reader: StoreReader) {
    this.reader = reader;
  }

  take(): StoreReader {
    this.#users++;
    return this.reader;
  }

  drop(): void {
    if (--this.#users === 0) void this.reader.close();
  }
}

/** The disks of the new machine. */
interface Disks {
  readonly backends: (BlockBackend | null)[];
  /** What those given are still to be filled with. */
  readonly patches: (SavedDisk | null)[];
  /** Those that were made here. */
  readonly made: BlockBackend[];
}

/** Throws "bad-config" for one that must be given and is not, or is of another size. */
function disksOf(
  facts: SnapshotFacts,
  pin: Pin,
  options: RestoreOptions,
  users: Map<StoredDisk, string>,
): Disks {
  const { disks: given = [] } = options;
  const disks: Disks = { backends: [], patches: [], made: [] };
  for (const [slot, { bytes, isReadOnly }] of facts.shape.disks.entries()) {
    const own = given[slot] ?? null;
    const isWhole = facts.wholeDisks[slot];
    if (own === null && !isWhole) {
      const what = isReadOnly ? "is read-only" : "was written over a file";
      const accepted = `give the disk of ${bytes} bytes that it had`;
      throw new VmError("bad-config", `disk ${slot} of the snapshot ${what}: ${accepted}`);
    }
    if (own !== null && own.bytes !== bytes) {
      const text = `disk ${slot} of the snapshot has ${bytes} bytes, the one given ${own.bytes}`;
      throw new VmError("bad-config", `${text}: accepted is one as large`);
    }
    if (isReadOnly || (own !== null && isWhole)) {
      disks.backends.push(own);
      const source = { reader: pin.reader, slot, bytes, file: null };
      disks.patches.push(isReadOnly ? null : savedDisk(source));
      continue;
    }
    const reader = pin.take();
    const stored: StoredDisk = new StoredDisk({
      ...{ bytes, reader, slot, below: own },
      onClose: () => {
        users.delete(stored);
        pin.drop();
      },
    });
    users.set(stored, options.name ?? "a machine");
    const disk = new OverlayBackend(stored);
    disks.backends.push(disk);
    disks.patches.push(null);
    disks.made.push(disk);
  }
  return disks;
}

/** Reads what is absent still: what was wanted first the last time, then the rest. */
async function fillBehind(
  machine: Machine,
  image: LazyImage,
  pace: Pace,
  parts: Parts,
): Promise<void> {
  const shed = () => parts.shelf.shed();
  const isAll =
    (await image.fill(machine, image.workingSet, pace, shed)) &&
    (await image.fill(machine, image.pages, pace, shed));
  if (!isAll) throw new VmError("no-memory", `no frame is free for the memory of ${machine.name}`);
}

/** Makes the machine, with its RAM in the store. */
async function make(
  snapshot: Snapshot,
  pin: Pin,
  options: RestoreOptions,
  parts: Parts,
): Promise<{ machine: Machine; image: LazyImage; pages: number }> {
  const { reader } = pin;
  const { facts, own: sections } = readFacts(reader.sections);
  const { backends, patches, made } = disksOf(facts, pin, options, parts.disks);
  const image = new LazyImage(pin.take(), () => pin.drop());
  let pages = 0;
  try {
    const { shape, wallMs } = facts;
    const fill = (view: Machine["view"]) => {
      pages = image.spread(view);
    };
    const { name = snapshot.machine, clock, identity, config } = options;
    const machine = await parts.host.createFrom(
      { shape, sections, wallMs, disks: patches, fill },
      { consoleInput: "open", ...config, name, disks: backends },
      { clock, identity },
    );
    machine.setPager(image);
    machine.on("disposed", () => {
      for (const disk of made) void disk.close();
    });
    return { machine, image, pages };
  } catch (error) {
    image.close();
    for (const disk of made) void disk.close();
    throw error;
  }
}

/** From behind, while the machine runs; then nothing of the store is needed for its RAM. */
async function finishLazily(
  machine: Machine,
  image: LazyImage,
  pace: Pace,
  parts: Parts,
): Promise<void> {
  try {
    await fillBehind(machine, image, pace, parts);
    await keepWorkingSet(image, parts);
    machine.pages.done(image);
  } catch {
    // what cannot be read pauses the machine when it wants it, and says why; frames that are short
    // are the machine's to wait for
  }
}

/** What the guest touched before it had come, behind what was known already. */
async function keepWorkingSet(image: LazyImage, parts: Parts): Promise<void> {
  const { touched } = image;
  if (touched.length === 0) return;
  const known = image.workingSet;
  const all = [...new Set([...known, ...touched])];
  await parts.store.saveWorkingSet(image.id, Uint32Array.from(all));
}

/** Makes a machine of a snapshot, in state "paused". */
export async function restoreMachine(
  snapshot: Snapshot,
  options: RestoreOptions,
  parts: Parts,
): Promise<Restored> {
  await persist(snapshot.id, options, parts);
  const pin = new Pin(await parts.store.reader(snapshot.id));
  const isLazy = options.lazy === true;
  try {
    const { machine, image, pages } = await make(snapshot, pin, options, parts);
    const what = `restore of ${fullName(snapshot)}`;
    try {
      stands(machine, snapshot.id, marksNow(machine), parts);
      if (isLazy) {
        const pace = new Pace(parts.platform, { bytesPerSecond: options.bytesPerSecond }, what);
        const work = finishLazily(machine, image, pace, parts);
        parts.filling.add(work);
        void work.then(() => parts.filling.delete(work));
      } else {
        await fillBehind(machine, image, new Pace(parts.platform, options, what), parts);
        machine.pages.done(image);
      }
    } catch (error) {
      machine.dispose();
      throw error;
    }
    return { machine, snapshot, pages, isLazy };
  } finally {
    pin.drop();
  }
}
