/**
 * store-kit: stores to test with: a platform of a seed, pages that are easily told apart, and a
 * plain model of what a store holds.
 *
 * Used by the suites of the store.
 */
import * as assert from "uvu/assert";
import { SnapshotStore, VmError } from "../../src/node.ts";
import type { Platform, StoreDirectory } from "../../src/platform/contract.ts";
import type { Compression } from "../../src/snapshot/store/index.ts";
import type { SnapshotMeta } from "../../src/snapshot/store-port.ts";
import { Random } from "../helpers/random.ts";
import { source } from "../memory/pages.ts";

export const PAGE = 4096;
const pagesWasm = await source.loadPages();

/** A platform whose entropy comes of a seed and whose clock stands still. */
export function platformOf(seed: number): Platform {
  const random = new Random(seed);
  return {
    name: "test",
    monotonicMs: () => 0,
    wallMs: () => 0,
    entropy: (count) => Uint8Array.from({ length: count }, () => random.below(256)),
    yieldToEventLoop: () => Promise.resolve(),
    after: (_ms, wake) => {
      queueMicrotask(wake);
      return () => {};
    },
    loadCore: async () => new Uint8Array(),
    loadPages: async () => pagesWasm,
  };
}

let opened = 0;

/** Opens a store; each with entropy of its own. */
export function openStore(
  directory: StoreDirectory,
  compress: Compression = "none",
): Promise<SnapshotStore> {
  return SnapshotStore.open(directory, { platform: platformOf(++opened), compress });
}

/** A page that is a function of `seed`: noise, text that compresses, or a word or two. */
export function pageOf(seed: number): Uint8Array {
  const page = new Uint8Array(PAGE);
  const random = new Random(seed);
  if (seed % 3 === 0) for (let at = 0; at < PAGE; at++) page[at] = random.below(256);
  if (seed % 3 === 1) page.fill(1 + random.below(255), 0, 2048);
  page.set([seed, seed >> 8, seed >> 16, 1], random.below(1000) * 4);
  return page;
}

/** An id that a number gives. */
export function idOf(number: number): string {
  return number.toString(16).padStart(32, "0");
}

/** What is said of snapshot `number`. */
export function metaOf(number: number, parent: string | null = null): SnapshotMeta {
  return {
    id: idOf(number),
    name: `snap-${number}`,
    machine: "a",
    type: parent === null ? "full" : "incremental",
    parent,
    createdMs: 1000 + number,
    ticks: number * 10,
    instructions: number * 100,
    digest: null,
    labels: {},
    notes: "",
  };
}

/** Pages by region and number: the seed of each, or null for zeros. */
export type Pages = ReadonlyMap<string, number | null>;

/** Writes a snapshot; what is not in `pages` is as in the parent. */
export async function write(
  store: SnapshotStore,
  meta: SnapshotMeta,
  pages: Pages,
  sections: readonly string[] = [],
): Promise<void> {
  const writer = await store.begin(meta);
  try {
    for (const [key, seed] of pages) {
      const [region, page] = key.split(":").map(Number);
      if (seed === null) writer.zero(region, page);
      else await writer.page(region, page, pageOf(seed));
    }
    for (const name of sections) {
      const bytes = new TextEncoder().encode(`${name} of ${meta.id}`);
      writer.section({ name, version: 1, bytes });
    }
    await writer.commit();
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
  }
}

/** What snapshots hold, by id, their chains as one. */
export type Model = Map<string, Map<string, number>>;

/** What a snapshot comes to hold that is written over `base`. */
export function over(base: ReadonlyMap<string, number> | undefined, pages: Pages) {
  const all = new Map(base ?? []);
  for (const [key, seed] of pages) {
    if (seed === null) all.delete(key);
    else all.set(key, seed);
  }
  return all;
}

/** What a snapshot holds, as one text, to be compared. */
export function textOf(pages: ReadonlyMap<string, number>): string {
  return [...pages]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, seed]) => `${key}=${seed}`)
    .join(" ");
}

/** Checks that a snapshot holds exactly what the model says. */
export async function checkSnapshot(
  store: SnapshotStore,
  id: string,
  expected: ReadonlyMap<string, number>,
  what = "",
): Promise<void> {
  const reader = await store.reader(id);
  try {
    const found: string[] = [];
    const page = new Uint8Array(PAGE);
    for (let region = 0; region < 4; region++) {
      for (const number of reader.pages(region)) {
        const key = `${region}:${number}`;
        found.push(key);
        const seed = expected.get(key);
        if (seed === undefined) throw new Error(`${what} ${id}: ${key} should not be there`);
        assert.ok(reader.read(region, number, page), `${what} ${key}`);
        if (Buffer.compare(page, pageOf(seed)) !== 0) {
          throw new Error(`${what} snapshot ${id}: ${key} is not page ${seed}`);
        }
      }
    }
    assert.is(found.length, expected.size, `${what} snapshot ${id}: pages`);
  } finally {
    await reader.close();
  }
}

/** Checks every snapshot, and that nothing is damaged. */
export async function checkStore(store: SnapshotStore, model: Model, what = ""): Promise<void> {
  assert.equal(store.damaged(), [], what);
  const ids = store.list().map(({ id }) => id);
  assert.equal(ids.sort(), [...model.keys()].sort(), `${what} snapshots`);
  for (const [id, pages] of model) await checkSnapshot(store, id, pages, what);
  const { problems } = await store.verify();
  assert.equal(problems, [], what);
}

/** The VmError that `work` rejects with. */
export async function refusal(work: () => Promise<unknown> | unknown): Promise<VmError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof VmError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
