/**
 * keep: the snapshots of a store kept in order: renamed, labelled, removed, folded into each other.
 *
 * Used by manager.ts.
 * Holds   what stays holds the same as before. A machine that stands on a snapshot that goes stands
 *         on its neighbour afterwards, and its next snapshot holds what lies between.
 */
import { VmError } from "../errors.ts";
import { checkName, fullName } from "./catalog.ts";
import type { LongOptions, Snapshot } from "./contract.ts";
import { persist } from "./make.ts";
import type { Parts } from "./parts.ts";
import { checkAborted } from "./throttle.ts";

const NONE = new Uint32Array(0);

/** A change of what is said of a snapshot. */
export interface Annotation {
  /** Beside those that it has; one with an empty value goes. */
  readonly labels?: Readonly<Record<string, string>>;
  /** In place of those that it has. */
  readonly notes?: string;
}

/** What `remove` takes. */
export interface RemoveOptions extends LongOptions {
  /** Also those that build on it. */
  readonly isWithChildren?: boolean;
}

/** What `merge` takes. */
export interface MergeOptions extends LongOptions {
  /**
   * "parent" (default): the snapshot takes its parent's place. "child": its only child takes its
   * own.
   */
  readonly into?: "parent" | "child";
  /** With "parent": down to the first of the chain; what stays is a full snapshot. */
  readonly isAll?: boolean;
}

/** What `prune` takes. */
export interface PruneOptions extends LongOptions {
  /** How many of each machine stay, at least 1. */
  readonly keep: number;
  /** Only those of the machine so named. */
  readonly machine?: string;
  /** Only says which would go. */
  readonly isDryRun?: boolean;
}

/** Gives a snapshot another name. */
export async function renameSnapshot(id: string, name: string, parts: Parts): Promise<Snapshot> {
  const { machine } = parts.get(id);
  checkName(parts.list(), name, machine);
  if (!parts.shelf.amend(id, { name })) await parts.store.rename(id, name);
  return parts.get(id);
}

/** Changes labels and notes of a snapshot. */
export async function annotateSnapshot(
  id: string,
  change: Annotation,
  parts: Parts,
): Promise<Snapshot> {
  const before = parts.get(id);
  const merged = Object.entries({ ...before.labels, ...change.labels });
  const labels = Object.fromEntries(merged.filter(([, value]) => value !== ""));
  const notes = change.notes ?? before.notes;
  if (!parts.shelf.amend(id, { labels, notes })) await parts.store.label(id, { labels, notes });
  return parts.get(id);
}

function childrenOf(id: string, parts: Parts): Snapshot[] {
  return parts.list().filter(({ parent }) => parent === id);
}

/** The snapshot and all that build on it, those first that nothing builds on. */
function branchOf(id: string, parts: Parts): Snapshot[] {
  return [...childrenOf(id, parts).flatMap((one) => branchOf(one.id, parts)), parts.get(id)];
}

/** Machines that stand on `from`, which is about to go, stand on `to` from then on. */
async function betweenOf(from: string, to: string | null, parts: Parts): Promise<Uint32Array> {
  const isWanted = parts.histories.some(({ current, base }) => {
    return current === from || base?.id === from || base?.via === from;
  });
  if (to === null || !isWanted) return NONE;
  return (await parts.store.diff(from, to)).regions[0] ?? NONE;
}

/** One that nothing builds on. */
async function removeLeaf({ id, parent }: Snapshot, parts: Parts): Promise<void> {
  await parts.persisting.get(id)?.catch(() => {}); // it would come back
  const kept = parts.shelf.get(id);
  if (kept?.isDurable === false) {
    for (const history of parts.histories) history.moved(id, parent, kept.ram ?? NONE);
  } else {
    if (parent !== null) await persist(parent, {}, parts);
    const between = await betweenOf(id, parent, parts);
    await parts.store.remove(id);
    for (const history of parts.histories) history.moved(id, parent, between);
  }
  parts.shelf.drop(id);
}

/** Removes a snapshot; names of what went. */
export async function removeSnapshot(
  id: string,
  { isWithChildren, signal }: RemoveOptions,
  parts: Parts,
): Promise<string[]> {
  const snapshot = parts.get(id);
  const children = childrenOf(id, parts);
  if (children.length > 0 && isWithChildren !== true) {
    const names = children.map(fullName).join(", ");
    const accepted = "merge it, or remove those with it";
    throw new VmError("busy", `${fullName(snapshot)}: ${names} build on it; ${accepted}`);
  }
  await parts.settle("remove");
  const removed: string[] = [];
  for (const one of branchOf(id, parts)) {
    checkAborted(signal, "remove");
    await removeLeaf(one, parts);
    removed.push(fullName(one));
  }
  return removed;
}

/** `upper` takes over what its parent holds; the parent goes. */
async function fold(upper: Snapshot, options: LongOptions, parts: Parts): Promise<void> {
  const { id, parent } = upper;
  if (parent === null) return;
  const others = childrenOf(parent, parts).filter((one) => one.id !== id);
  if (others.length > 0) {
    const names = others.map(fullName).join(", ");
    const text = `${fullName(parts.get(parent))} cannot go: ${names} build on it, too`;
    throw new VmError("busy", `${text}; \`flatten\` makes one stand alone`);
  }
  await persist(id, options, parts);
  const between = await betweenOf(parent, id, parts);
  await parts.store.mergeParent(id, options);
  for (const history of parts.histories) history.moved(parent, id, between);
  parts.shelf.drop(parent);
}

/** Folds a snapshot into a neighbour. */
export async function mergeSnapshot(
  id: string,
  options: MergeOptions,
  parts: Parts,
): Promise<Snapshot> {
  await parts.settle("merge");
  const snapshot = parts.get(id);
  if (options.into === "child") {
    const children = childrenOf(id, parts);
    if (children.length !== 1) {
      const text = `${fullName(snapshot)} has ${children.length} children`;
      throw new VmError("bad-state", `${text}: one is accepted, which takes its place`);
    }
    await fold(children[0], options, parts);
    return parts.get(children[0].id);
  }
  if (snapshot.parent === null) {
    throw new VmError("bad-state", `${fullName(snapshot)} builds on nothing: it has no parent`);
  }
  do await fold(parts.get(id), options, parts);
  while (options.isAll === true && parts.get(id).parent !== null);
  return parts.get(id);
}

/** Makes a snapshot stand alone. */
export async function flattenSnapshot(
  id: string,
  options: LongOptions,
  parts: Parts,
): Promise<Snapshot> {
  await parts.settle("flatten");
  await persist(id, options, parts);
  if (parts.get(id).parent !== null) await parts.store.flatten(id, options);
  return parts.get(id);
}

/** Keeps the last few of each machine; names of what went, or would. */
export async function pruneSnapshots(
  { keep, machine, isDryRun, ...long }: PruneOptions,
  parts: Parts,
): Promise<string[]> {
  if (!Number.isInteger(keep) || keep < 1) {
    throw new VmError("bad-argument", `prune, keep ${keep}: accepted are whole numbers from 1`);
  }
  if (isDryRun !== true) await parts.settle("prune");
  const removed: string[] = [];
  const machines = new Set(parts.list().map((one) => one.machine));
  for (const name of machines) {
    if (machine !== undefined && name !== machine) continue;
    const mine = parts.list().filter((one) => one.machine === name);
    const old = mine.slice(0, Math.max(0, mine.length - keep));
    for (const one of old.filter(({ labels }) => labels["keep"] === undefined)) {
      const children = childrenOf(one.id, parts);
      // where a chain forks, what both stand on stays
      if (children.length > 1) continue;
      checkAborted(long.signal, "prune");
      removed.push(fullName(one));
      if (isDryRun === true) continue;
      if (children.length === 0) await removeLeaf(one, parts);
      else await fold(children[0], long, parts);
    }
  }
  return removed;
}
