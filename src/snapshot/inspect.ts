/**
 * inspect: says why a snapshot cannot be restored on this host, as far as it can be told without
 * reading its pages.
 *
 * Used by manager.ts.
 * Holds   a machine is made of it for the purpose, with its RAM left in the store, and disposed of:
 *         what refuses a restore refuses here, with the same words.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";
import { chainOf } from "./catalog.ts";
import { readFacts, type SnapshotFacts } from "./facts.ts";
import { LazyImage } from "./image.ts";
import type { Parts } from "./parts.ts";
import type { StoreReader } from "./store-port.ts";

/** What `inspect` found. */
export interface Inspection {
  readonly isRestorable: boolean;
  /** Why it cannot be restored here, for people. */
  readonly problems: readonly string[];
  /** Slots of the disks that have to be given. */
  readonly disksToGive: readonly number[];
  /** Sections, as "NAME vN". */
  readonly sections: readonly string[];
}

/** A disk of zeros. */
function zeroDisk(bytes: number, isReadOnly: boolean): BlockBackend {
  return {
    bytes,
    isReadOnly,
    read: (_offset, target) => void target.fill(0),
    write: () => {},
    flush: () => {},
    close: () => {},
  };
}

/** Makes a machine of it and disposes of that. */
async function tryOut(
  reader: StoreReader,
  { shape, wallMs }: SnapshotFacts,
  parts: Parts,
): Promise<void> {
  const { own: sections } = readFacts(reader.sections);
  const image = new LazyImage(reader, () => {});
  const machine = await parts.host.createFrom(
    { shape, sections, wallMs, fill: (view) => void image.spread(view) },
    { disks: shape.disks.map(({ bytes, isReadOnly }) => zeroDisk(bytes, isReadOnly)) },
  );
  machine.dispose();
}

/** What an error says; a defect of this program is thrown on. */
function told(error: unknown): string {
  if (error instanceof VmError) return error.message;
  throw error;
}

/** Looks a snapshot over. Throws "not-found". */
export async function inspectSnapshot(id: string, parts: Parts): Promise<Inspection> {
  const problems: string[] = [];
  let sections: string[] = [];
  let disksToGive: number[] = [];
  const [first] = chainOf(parts.list(), parts.get(id).id);
  if (first.parent !== null) problems.push(`its parent ${first.parent} is not in the store`);
  try {
    const reader = await parts.store.reader(id);
    try {
      sections = reader.sections.map(({ name, version }) => `${name} v${version}`);
      const { facts } = readFacts(reader.sections);
      disksToGive = [...facts.wholeDisks.keys()].filter((slot) => !facts.wholeDisks[slot]);
      await tryOut(reader, facts, parts);
    } finally {
      await reader.close();
    }
  } catch (error) {
    problems.push(told(error));
  }
  return { isRestorable: problems.length === 0, problems, disksToGive, sections };
}
