/**
 * journal: changes of the manifests that are durable as a whole or not at all.
 *
 * Owns    the folder of manifests: ID.snap; ID.next and "plan" while several change at once.
 * Used by state.ts.
 * Holds   the order of syncs: what is named is durable before its name is, and a name is only taken
 *         for durable once its folder was synced. Doing a plan twice does what once does.
 *
 *   one manifest    FILE.tmp written, synced ─ renamed to FILE ─ folder synced
 *   several         each ID.next written, synced ─ folder synced ─ "plan" put as one file: done ─
 *                   renamed and removed as it says ─ folder synced ─ "plan" removed ─ folder synced
 */
import { z } from "zod";
import { VmError } from "../../errors.ts";
import type { StoreDirectory } from "../../platform/contract.ts";
import { readWhole } from "./bytes.ts";
import { decodeContainer, encodeContainer } from "./container.ts";

/** Folder of the manifests. */
export const SNAPSHOTS = "snapshots";
/** Ending of a manifest's name. */
export const MANIFEST_ENDING = ".snap";
const NEXT_ENDING = ".next";
const PLAN = "plan";
const PLAN_SECTION = "store.plan";
const PLAN_BYTES_MAX = 16 << 20;

const Ids = z.array(z.string().regex(/^[0-9a-f]{32}$/)).max(65_536);
const Plan = z.strictObject({ replace: Ids, remove: Ids });

/** Manifests that change together, by id. */
export interface Change {
  readonly write: ReadonlyMap<string, Uint8Array>;
  readonly remove: readonly string[];
  /** What the new ones name is durable when it resolves; before that the change does not count. */
  readonly ready: Promise<unknown>;
}

function pathOf(id: string, ending: string): string {
  return `${SNAPSHOTS}/${id}${ending}`;
}

async function writeSynced(directory: StoreDirectory, path: string, bytes: Uint8Array) {
  const file = await directory.create(path);
  try {
    await file.write(0, bytes);
    await file.sync();
  } finally {
    file.close();
  }
}

/** When a file may get its name, and who is told just before. */
interface Turn {
  readonly ready: Promise<unknown>;
  readonly onDoubt: () => void;
}

/**
 * Makes a file durable under its name: the old one or the new one is there, always. It is written
 * and synced beside what `ready` waits for.
 */
export async function putFile(
  directory: StoreDirectory,
  folder: string,
  name: string,
  bytes: Uint8Array,
  { ready, onDoubt }: Turn = { ready: Promise.resolve(), onDoubt: () => {} },
): Promise<void> {
  const path = folder === "" ? name : `${folder}/${name}`;
  await writeSynced(directory, `${path}.tmp`, bytes);
  await ready;
  onDoubt();
  await directory.rename(`${path}.tmp`, path);
  await directory.sync(folder);
}

/** Does what a durable plan says; what of it is done already stays done. */
async function carryOut(
  directory: StoreDirectory,
  { replace, remove }: z.infer<typeof Plan>,
): Promise<void> {
  const there = new Set(directory.list(SNAPSHOTS));
  for (const id of replace) {
    if (!there.has(id + NEXT_ENDING)) continue;
    await directory.rename(pathOf(id, NEXT_ENDING), pathOf(id, MANIFEST_ENDING));
  }
  for (const id of remove) await directory.remove(pathOf(id, MANIFEST_ENDING));
  await directory.sync(SNAPSHOTS);
  await directory.remove(`${SNAPSHOTS}/${PLAN}`);
  await directory.sync(SNAPSHOTS);
}

/**
 * Changes manifests; durable when it resolves. What fails before `onDoubt` is called has changed
 * nothing; what fails later may have been done, or not, and the next `recover` shows.
 */
export async function changeManifests(
  directory: StoreDirectory,
  change: Change,
  onDoubt: () => void,
): Promise<void> {
  const { write, remove, ready } = change;
  const turn = { ready, onDoubt };
  if (write.size + remove.length === 0) return;
  if (write.size === 1 && remove.length === 0) {
    for (const [id, bytes] of write) {
      await putFile(directory, SNAPSHOTS, id + MANIFEST_ENDING, bytes, turn);
    }
    return;
  }
  if (write.size === 0 && remove.length === 1) {
    onDoubt();
    await directory.remove(pathOf(remove[0], MANIFEST_ENDING));
    await directory.sync(SNAPSHOTS);
    return;
  }
  for (const [id, bytes] of write) await writeSynced(directory, pathOf(id, NEXT_ENDING), bytes);
  await directory.sync(SNAPSHOTS);
  const plan = { replace: [...write.keys()], remove: [...remove] };
  const json = new TextEncoder().encode(JSON.stringify(plan));
  const file = encodeContainer("PLAN", [{ name: PLAN_SECTION, version: 1, bytes: json }]);
  await putFile(directory, SNAPSHOTS, PLAN, file, turn);
  await carryOut(directory, plan);
}

function decodePlan(file: Uint8Array): z.infer<typeof Plan> {
  const what = `${SNAPSHOTS}/${PLAN}`;
  const [section] = decodeContainer("PLAN", file, what);
  if (section?.name !== PLAN_SECTION || section.version !== 1) {
    throw new VmError("unsupported", `${what} is of a later version`);
  }
  return Plan.parse(JSON.parse(new TextDecoder().decode(section.bytes)));
}

/**
 * Finishes what was under way when the last process that had the store ended, and clears away what
 * had not begun to count. Throws "bad-file" for a plan that cannot be read.
 */
export async function recover(directory: StoreDirectory): Promise<void> {
  const names = directory.list(SNAPSHOTS);
  if (names.includes(PLAN)) {
    const file = readWhole(directory, `${SNAPSHOTS}/${PLAN}`, PLAN_BYTES_MAX);
    await carryOut(directory, decodePlan(file));
  }
  for (const name of directory.list(SNAPSHOTS)) {
    if (!/\.(tmp|next)$/.test(name)) continue;
    await directory.remove(`${SNAPSHOTS}/${name}`);
  }
}
