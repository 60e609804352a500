/**
 * target-init: what a target does before the first page comes: it makes the machine, or refuses.
 *
 * Used by target.ts.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { PageCodec } from "../core/page-codec.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import { ReadOnlyBackend } from "../device/block/read-only.ts";
import { VmError } from "../errors.ts";
import { checkShape } from "../machine/adopt.ts";
import { configOf, emptyDisk } from "../machine/fork.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import type { LinkDoor } from "../platform/link.ts";
import type { Ancestors } from "./ancestors.ts";
import type { Arrival, ArrivalParts, MigrationSession } from "./contract.ts";
import { BlockReceiver } from "./disks.ts";
import type { MigrationJournal } from "./journal.ts";
import type { InitFacts } from "./messages.ts";
import { PageReceiver } from "./target-memory.ts";

/** What a session is begun with. */
export interface TargetParts {
  readonly platform: Platform;
  readonly door: LinkDoor;
  readonly host: Host;
  readonly journal: MigrationJournal;
  /** Where this end is called. */
  readonly address: string;
  /** What there is for the machine. Throws, or rejects, to refuse it. */
  readonly arrive: (arrival: Arrival) => Promise<ArrivalParts> | ArrivalParts;
  /** It is here, and runs or is paused as it was. */
  readonly arrived: (machine: Machine, session: MigrationSession) => void;
  /** Frames that the host is to keep for it. Throws "no-memory"; the answer gives them back. */
  readonly promise: (frames: number) => () => void;
  readonly ancestors: Ancestors;
  readonly forget: () => void;
}

/** A machine that is being made. */
export interface Incoming {
  readonly machine: Machine;
  readonly facts: InitFacts;
  readonly pages: PageReceiver;
  readonly blocks: BlockReceiver;
  readonly backends: readonly BlockBackend[];
  readonly unpromise: () => void;
  readonly given: ArrivalParts;
}

/** Makes a machine that is to become the one that comes: everything that would fail later fails. */
export async function makeIncoming(
  parts: TargetParts,
  facts: InitFacts,
  arrival: Arrival,
): Promise<Incoming> {
  const { host, platform } = parts;
  const { shape } = facts;
  if (facts.disks.length !== shape.disks.length) {
    throw new VmError("bad-file", `${facts.disks.length} disks for ${shape.disks.length}`);
  }
  const given = await parts.arrive(arrival);
  let unpromise = () => {};
  let backends: readonly BlockBackend[] = [];
  let machine: Machine | null = null;
  try {
    backends = backendsOf(facts, given);
    unpromise = parts.promise(facts.pages);
    const codec = await PageCodec.create({ platform, key: hexToBytes(facts.hashKey) });
    machine = host.createMachine({
      ...configOf(shape),
      name: given.name ?? arrival.name,
      noReboot: true, // it comes without the files that it began with
      disks: backends.map((backend, slot) => {
        return shape.disks[slot].isReadOnly ? new ReadOnlyBackend(backend) : backend;
      }),
      ...(given.consoleInput === undefined ? {} : { consoleInput: given.consoleInput }),
    });
    checkSections(machine, facts);
    machine.mover.expect();
    const ancestor = parts.ancestors.of(facts.lineage);
    const hasAncestor = ancestor !== null && ancestor.ramPages === machine.view.ramPages;
    if (hasAncestor) machine.view.revertTo(ancestor);
    const pages = new PageReceiver(machine.view, codec, hasAncestor);
    const blocks = new BlockReceiver(backends, codec);
    return { machine, facts, pages, blocks, backends, unpromise, given };
  } catch (error) {
    machine?.dispose();
    unpromise();
    for (const backend of given.disks ?? []) await backend?.close();
    given.discarded?.();
    throw error;
  }
}

/** Where the disks' blocks go, by slot. */
function backendsOf(facts: InitFacts, given: ArrivalParts): BlockBackend[] {
  return facts.shape.disks.map(({ bytes }, slot) => {
    const own = given.disks?.[slot] ?? null;
    const { way, name } = facts.disks[slot];
    if (own === null && way === "shared") {
      const text = `disk ${slot} (${name}) is shared, and cannot be opened here`;
      throw new VmError("bad-config", `${text}: give it, or have it carried`);
    }
    if (own !== null && own.bytes !== bytes) {
      const text = `disk ${slot} has ${own.bytes} bytes here, and ${bytes} at the source`;
      throw new VmError("bad-config", text);
    }
    return own ?? emptyDisk(bytes);
  });
}

/** Throws "unsupported" for a section that would not be read. */
function checkSections(machine: Machine, { sections, shape }: InitFacts): void {
  const facts = machine.mover.facts();
  checkShape(shape, facts.shape, machine.name);
  const own = new Map(facts.sections.map(({ name, version }) => [name, version]));
  for (const { name, version } of sections) {
    const most = own.get(name);
    if (most !== undefined && version <= most) continue;
    const accepted = most === undefined ? "there is none here" : `up to ${most} is read here`;
    throw new VmError("unsupported", `section "${name}" of version ${version}: ${accepted}`);
  }
  if (sections.length === own.size) return;
  throw new VmError("unsupported", `${sections.length} sections: here are ${own.size}`);
}

/** Nothing of it is needed. */
export async function dismantle({ machine, backends, unpromise, given }: Incoming): Promise<void> {
  machine.dispose();
  unpromise();
  for (const backend of backends) await backend.close();
  given.discarded?.();
}
