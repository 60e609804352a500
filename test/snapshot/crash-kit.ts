/**
 * crash-kit: operations of a store that are cut off at every step: what a process finds that opens
 * the store afterwards.
 *
 * Used by store-crash.test.ts, store-crash.deep.ts.
 * Holds   an operation that resolved is durable; one that was cut off is there as a whole or not at
 *         all; everything that is there verifies.
 */
import { createHash } from "node:crypto";
import { MemoryBytes, type SnapshotStore, VmError } from "../../src/node.ts";
import { Crash, SimDirectory } from "../../src/platform/sim/store-directory.ts";
import type { Random } from "../helpers/random.ts";
import { idOf, metaOf, openStore, PAGE, type Pages, write } from "./store-kit.ts";

type Files = ReadonlyMap<string, Uint8Array>;

/** Something that is done to a store. */
export interface Deed {
  readonly title: string;
  /** The store that it is done to; empty by default. */
  readonly before: () => Promise<Files>;
  readonly act: (store: SnapshotStore) => Promise<unknown>;
}

function some(from: number, count: number): Pages {
  return new Map(Array.from({ length: count }, (_, page) => [`0:${page}`, from + page]));
}

/** A chain of four, a second child of the second, and one of another machine. */
async function family(): Promise<Files> {
  const directory = new SimDirectory();
  const store = await openStore(directory, "lz4");
  await write(store, metaOf(1), some(0, 6), ["core"]);
  const small = (seed: number): Pages =>
    new Map<string, number | null>([
      [`0:${seed % 8}`, seed],
      [`1:${seed}`, seed + 1],
      ["0:5", seed % 2 === 0 ? null : seed + 2],
    ]);
  for (let number = 2; number <= 4; number++) {
    await write(store, metaOf(number, idOf(number - 1)), small(number * 10), ["core"]);
  }
  await write(store, metaOf(5, idOf(2)), small(70), ["core", "hub"]);
  await write(store, { ...metaOf(6), machine: "b" }, some(3, 4));
  await store.close();
  return directory.files;
}

/** The family without its first: pages that nobody needs are in a segment that is needed. */
async function gaps(): Promise<Files> {
  const directory = new SimDirectory({ files: await family() });
  const store = await openStore(directory);
  await write(store, metaOf(7, idOf(4)), new Map([["0:9", 4]]));
  await store.remove(idOf(1));
  await store.remove(idOf(5));
  await store.remove(idOf(6));
  await store.close();
  return directory.files;
}

async function parcel(): Promise<MemoryBytes> {
  const store = await openStore(new SimDirectory({ files: await family() }));
  await write(store, metaOf(11, idOf(4)), some(200, 2));
  const bytes = new MemoryBytes();
  await store.exportTo(idOf(11), bytes);
  return bytes;
}

const exported = await parcel();
const familyFiles = await family();
const before = async () => familyFiles;

/** Every kind of change. */
export const DEEDS: readonly Deed[] = [
  { title: "the first opening", before: async () => new Map(), act: async () => {} },
  {
    title: "the first snapshot",
    before: async () => new Map(),
    act: (store) => write(store, metaOf(1), some(0, 5), ["core"]),
  },
  { title: "create full", before, act: (store) => write(store, metaOf(9), some(100, 8), ["core"]) },
  {
    title: "create incremental",
    before,
    act: (store) => write(store, metaOf(9, idOf(4)), some(2, 5), ["core"]),
  },
  {
    title: "create without a new page",
    before,
    act: (store) => write(store, metaOf(9, idOf(1)), new Map([["0:20", 3]])),
  },
  { title: "rename", before, act: (store) => store.rename(idOf(2), "other") },
  { title: "label", before, act: (store) => store.label(idOf(2), { notes: "noted" }) },
  { title: "remove a leaf", before, act: (store) => store.remove(idOf(4)) },
  { title: "remove the base", before, act: (store) => store.remove(idOf(1)) },
  { title: "remove one with two children", before, act: (store) => store.remove(idOf(2)) },
  { title: "merge up", before, act: (store) => store.merge(idOf(3), "up") },
  { title: "merge down", before, act: (store) => store.merge(idOf(3), "down") },
  { title: "flatten", before, act: (store) => store.flatten(idOf(4)) },
  { title: "prune", before, act: (store) => store.prune({ keep: 1 }) },
  { title: "compact", before: gaps, act: (store) => store.compact({ deadShare: 0 }) },
  { title: "import", before, act: (store) => store.importFrom(exported) },
];

/** All that a store holds, as lines to be compared. */
export async function printOf(store: SnapshotStore): Promise<string> {
  const lines: string[] = [];
  const page = new Uint8Array(PAGE);
  for (const one of store.list()) {
    const hash = createHash("sha256");
    const reader = await store.reader(one.id);
    for (let region = 0; region < 3; region++) {
      for (const number of reader.pages(region)) {
        reader.read(region, number, page);
        hash.update(`${region}:${number}`).update(page);
      }
    }
    for (const { name, version, bytes } of reader.sections) {
      hash.update(`${name} ${version} ${bytes.length}`).update(bytes);
    }
    await reader.close();
    const { id, name, machine, type, parent, level, notes, instructions } = one;
    const facts = { id, name, machine, type, parent, level, notes, instructions };
    lines.push(`${JSON.stringify(facts)} ${hash.digest("hex")}`);
  }
  return lines.sort().join("\n");
}

/** What the deed makes of the store when nothing cuts it off, and how many steps it has. */
export interface Course {
  readonly files: Files;
  readonly before: string;
  readonly after: string;
  readonly steps: number;
}

/** The course of a deed. */
export async function courseOf(deed: Deed): Promise<Course> {
  const files = await deed.before();
  const first = await openStore(new SimDirectory({ files }));
  const before = await printOf(first);
  const directory = new SimDirectory({ files });
  const store = await openStore(directory);
  await deed.act(store);
  const after = await printOf(store);
  await store.close();
  return { files, before, after, steps: directory.count };
}

/** Opens what is left and says what is wrong with it, or null. */
async function judge(
  files: Files,
  course: Course,
  isDone: boolean,
  crashAt?: number,
): Promise<string | null> {
  const directory = new SimDirectory({ files, crashAt });
  const store = await openStore(directory);
  const found = await printOf(store);
  if (store.damaged().length > 0) return `damaged: ${JSON.stringify(store.damaged())}`;
  const { problems } = await store.verify();
  if (problems.length > 0) return `problems: ${problems.join("; ")}`;
  if (isDone && found !== course.after) return `what was done is not there:\n${found}`;
  if (found !== course.before && found !== course.after) return `neither old nor new:\n${found}`;
  const named = new Set(store.list().map(({ id }) => `${id}.snap`));
  const stray = directory.list("snapshots").filter((name) => !named.has(name));
  if (stray.length > 0) return `left behind: ${stray.join(" ")}`;
  if (directory.list("segments").length !== store.usage().segments) return "segments left behind";
  // and it can be gone on with
  await write(store, metaOf(50), some(40, 3));
  await store.close();
  return null;
}

/** What came of a campaign. */
export interface Tally {
  crashes: number;
  /** Of them, those after which the deed was done. */
  kept: number;
  openings: number;
}

async function actUntil(deed: Deed, directory: SimDirectory): Promise<boolean> {
  try {
    const store = await openStore(directory);
    await deed.act(store);
    return true;
  } catch (error) {
    if (error instanceof Crash) return false;
    throw error;
  }
}

/** Cuts a deed off before each of its steps, each time losing different things. Throws. */
export async function campaign(
  deed: Deed,
  losses: number,
  random: Random,
  tally: Tally,
): Promise<void> {
  const course = await courseOf(deed);
  for (let step = 1; step <= course.steps + 1; step++) {
    const directory = new SimDirectory({ files: course.files, crashAt: step });
    const isDone = await actUntil(deed, directory);
    for (let loss = 0; loss < losses; loss++) {
      const files = directory.crash(random);
      const what = `${deed.title}, cut off before step ${step}, loss ${loss}`;
      // the second process may be cut off, too, while it tidies up
      const second = new SimDirectory({ files, crashAt: 1 + random.below(8) });
      const isOpened = await actUntil({ ...deed, act: async () => {} }, second);
      const left = isOpened ? files : second.crash(random);
      const wrong = await judge(left, course, isDone).catch((error: unknown) => String(error));
      if (wrong !== null) throw new Error(`${what}: ${wrong}\n${directory.operations.join("\n")}`);
      tally.openings++;
      if (isDone) tally.kept++;
    }
    tally.crashes++;
  }
}

/** Lets each step of a deed fail, alone: it was done or it was not, and the store goes on. */
export async function failures(deed: Deed): Promise<number> {
  const course = await courseOf(deed);
  let failed = 0;
  for (let step = 1; step <= course.steps; step++) {
    const directory = new SimDirectory({ files: course.files, failAt: step });
    const what = `${deed.title}, step ${step} failed`;
    try {
      const store = await openStore(directory);
      let isDone = true;
      try {
        await deed.act(store);
      } catch (error) {
        if (!(error instanceof VmError)) throw error;
        isDone = false;
        failed++;
      }
      await store.close();
      const wrong = await judge(directory.files, course, isDone);
      if (wrong !== null) throw new Error(`${what}: ${wrong}`);
    } catch (error) {
      if (!(error instanceof VmError)) throw error;
      failed++; // it could not be opened
      const wrong = await judge(directory.files, course, false);
      if (wrong !== null) throw new Error(`${what}: ${wrong}`);
    }
  }
  return failed;
}
