/**
 * working-set: the pages that a lazily restored machine wanted first, for the next time.
 *
 * Owns    the folder "working": ID.set for a snapshot.
 * Used by reader.ts, store.ts.
 * Holds   losing one does no harm, so it is not synced; one that is damaged, or of what the
 *         snapshot held before, is as none.
 *
 *   store.working   content of the snapshot, 16 bytes ─ pages u32 each
 */
import type { StoreDirectory } from "../../platform/contract.ts";
import { fromHex, readWhole, toHex } from "./bytes.ts";
import { decodeContainer, encodeContainer } from "./container.ts";
import type { Manifest } from "./manifest.ts";

/** Folder of the working sets. */
export const WORKING = "working";
const ENDING = ".set";
const SECTION = "store.working";
const PAGES_MAX = 1 << 20;
const CONTENT_BYTES = 16;
/** Of the container beside the pages. */
const FRAME_BYTES_MAX = 256;

function pathOf(id: string): string {
  return `${WORKING}/${id}${ENDING}`;
}

/** Keeps a working set; more than a million pages are cut off. */
export async function saveWorkingSet(
  directory: StoreDirectory,
  { id, content }: Manifest,
  pages: Uint32Array,
): Promise<void> {
  const kept = pages.slice(0, PAGES_MAX);
  const bytes = new Uint8Array(CONTENT_BYTES + 4 * kept.length);
  bytes.set(fromHex(content));
  bytes.set(new Uint8Array(kept.buffer), CONTENT_BYTES);
  const path = pathOf(id);
  const file = await directory.create(`${path}.tmp`);
  try {
    await file.write(0, encodeContainer("WSET", [{ name: SECTION, version: 1, bytes }]));
  } finally {
    file.close();
  }
  await directory.rename(`${path}.tmp`, path);
}

/** What is kept for a snapshot. Throws "bad-file" for a file that is damaged. */
export function decodeWorkingSet(file: Uint8Array, content: string, what: string): Uint32Array {
  const [section] = decodeContainer("WSET", file, what);
  if (section?.name !== SECTION || section.version !== 1) return new Uint32Array(0);
  const { bytes } = section;
  const isOurs = toHex(bytes.subarray(0, CONTENT_BYTES)) === content;
  if (!isOurs || bytes.length % 4 !== 0) return new Uint32Array(0);
  return new Uint32Array(bytes.slice(CONTENT_BYTES).buffer);
}

/** What is kept for a snapshot; empty when nothing is, or it cannot be read. */
export function readWorkingSet(directory: StoreDirectory, manifest: Manifest): Uint32Array {
  const { id, content } = manifest;
  const path = pathOf(id);
  try {
    const bytesMax = FRAME_BYTES_MAX + CONTENT_BYTES + 4 * PAGES_MAX;
    return decodeWorkingSet(readWhole(directory, path, bytesMax), content, path);
  } catch {
    return new Uint32Array(0); // it is made again
  }
}

/** Removes what is kept for snapshots that are gone, and what was not finished. */
export async function sweepWorkingSets(
  directory: StoreDirectory,
  ids: ReadonlySet<string>,
): Promise<void> {
  for (const name of directory.list(WORKING)) {
    const isOurs = name.endsWith(ENDING) && ids.has(name.slice(0, -ENDING.length));
    if (!isOurs) await directory.remove(`${WORKING}/${name}`);
  }
}
