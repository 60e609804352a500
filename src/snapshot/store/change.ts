/**
 * change: what becomes of snapshots when others go: nothing is copied, only what points to pages is
 * written anew.
 *
 * Used by store.ts.
 * Holds   a snapshot that stays holds what it held; several manifests change together or not at all
 *         (journal.ts).
 */
import { VmError } from "../../errors.ts";
import type { Manifest } from "./manifest.ts";
import { overlayRegions } from "./page-columns.ts";
import type { StoreState } from "./state.ts";

/** What became of snapshots. */
export interface Removal {
  /** Ids that are gone. */
  readonly removed: readonly string[];
  /** Of those, which other id holds now what it held. */
  readonly renamed: Readonly<Record<string, string>>;
}

/** `child`, standing on the first of its ancestors that `goes` does not name. */
function rebased(state: StoreState, child: Manifest, goes: ReadonlySet<string>): Manifest {
  let { parent, parentContent, regions } = child;
  while (parent !== null && goes.has(parent)) {
    const below = state.manifests.get(parent);
    if (below === undefined) break;
    regions = overlayRegions(below.regions, regions, below.parent === null);
    ({ parent, parentContent } = below);
  }
  return { ...child, parent, parentContent, regions, type: parent === null ? "full" : child.type };
}

/** Removes snapshots; those that build on them take what they need. Throws "busy". */
export async function removeSnapshots(state: StoreState, ids: readonly string[]): Promise<Removal> {
  const goes = new Set(ids);
  state.checkUnused(goes);
  const write: Manifest[] = [];
  for (const manifest of state.manifests.values()) {
    const { id, parent } = manifest;
    if (goes.has(id) || parent === null || !goes.has(parent)) continue;
    if (state.problemOf(id) !== null) continue; // it cannot be used anyway
    write.push(rebased(state, manifest, goes));
  }
  await state.change(write, [...goes]);
  return { removed: [...goes], renamed: {} };
}

function parentOf(state: StoreState, { name, parent }: Manifest): Manifest {
  if (parent === null) {
    const accepted = "accepted is one that builds on another";
    throw new VmError("bad-state", `snapshot ${name} has no parent to merge with: ${accepted}`);
  }
  return state.manifests.get(parent) as Manifest;
}

/** A snapshot and its parent become one, which keeps the snapshot's identity. */
export async function mergeUp(state: StoreState, id: string): Promise<Removal> {
  const parent = parentOf(state, state.chainOf(id)[0]);
  return removeSnapshots(state, [parent.id]);
}

/** A snapshot and its parent become one: what the snapshot holds, with the parent's identity. */
export async function mergeDown(state: StoreState, id: string): Promise<Removal> {
  const own = state.chainOf(id)[0];
  const parent = parentOf(state, own);
  state.checkUnused([id, parent.id]);
  const goes = new Set([parent.id]);
  const write: Manifest[] = [
    {
      ...rebased(state, own, goes),
      id: parent.id,
      name: parent.name,
      machine: parent.machine,
      labels: parent.labels,
      notes: parent.notes,
      type: parent.type,
      writtenBytes: parent.writtenBytes + own.writtenBytes,
    },
  ];
  for (const manifest of state.manifests.values()) {
    if (manifest.id === id) continue;
    if (manifest.parent === id) write.push({ ...manifest, parent: parent.id });
    else if (manifest.parent === parent.id && state.problemOf(manifest.id) === null) {
      write.push(rebased(state, manifest, goes));
    }
  }
  await state.change(write, [id]);
  return { removed: [id], renamed: { [id]: parent.id } };
}

/** A snapshot comes to stand on its own. */
export async function flatten(state: StoreState, id: string): Promise<void> {
  const [own] = state.chainOf(id);
  if (own.parent === null) return;
  const alone = { parent: null, parentContent: null, type: "full" as const };
  await state.change([{ ...own, ...alone, regions: state.resolve(id) }], []);
}

/** Ids of all but the last `keep` snapshots of each machine, or of one. */
export function idsToPrune(state: StoreState, keep: number, machine: string | null): string[] {
  if (!Number.isInteger(keep) || keep < 1) {
    throw new VmError("bad-argument", `keep ${keep}: accepted are whole numbers from 1`);
  }
  const byMachine = new Map<string, Manifest[]>();
  for (const manifest of state.manifests.values()) {
    if (machine !== null && manifest.machine !== machine) continue;
    const others = byMachine.get(manifest.machine) ?? [];
    others.push(manifest);
    byMachine.set(manifest.machine, others);
  }
  return [...byMachine.values()].flatMap((all) => {
    // of one moment, a child is later than what it builds on
    const level = new Map(all.map((one) => [one.id, state.levelOf(one.id)]));
    const rank = ({ id }: Manifest) => level.get(id) as number;
    all.sort((a, b) => a.createdMs - b.createdMs || rank(a) - rank(b));
    return all.slice(0, Math.max(0, all.length - keep)).map(({ id }) => id);
  });
}
