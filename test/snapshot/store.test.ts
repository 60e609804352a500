/**
 * store: snapshots written, read, changed and removed, beside a model that keeps every page of
 * every snapshot.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { RAM_BASE } from "../../src/core/memory-view.ts";
import type { RetainedRoot } from "../../src/core/root.ts";
import { CHAIN_MAX, MemoryBytes, MemoryDirectory, nodePlatform, VmError } from "../../src/node.ts";
import type { StoreFile } from "../../src/platform/contract.ts";
import { SimDirectory } from "../../src/platform/sim/store-directory.ts";
import type { FrozenPages, StoredSnapshot, StoreWriter } from "../../src/snapshot/store-port.ts";
import { Random, seedOf } from "../helpers/random.ts";
import {
  checkSnapshot,
  checkStore,
  idOf,
  type Model,
  metaOf,
  openStore,
  over,
  type Pages,
  pageOf,
  refusal,
  write,
} from "./store-kit.ts";

const test = suite("snapshot/store");
const SEED = seedOf(8);
const CORE = { arenaBytes: 64 << 20, machinesMax: 2 };

/** A chain: each writes some pages and makes one zero. */
async function chain(directory: SimDirectory | MemoryDirectory, length: number) {
  const store = await openStore(directory);
  const model: Model = new Map();
  for (let number = 1; number <= length; number++) {
    const parent = number === 1 ? null : idOf(number - 1);
    const pages: Pages = new Map<string, number | null>([
      [`0:${number}`, number],
      [`0:${number + 100}`, 7],
      [`0:${number - 1}`, null],
      [`1:${number * 3}`, number + 50],
    ]);
    await write(store, metaOf(number, parent), pages, ["core"]);
    const base = parent === null ? undefined : model.get(parent);
    model.set(idOf(number), over(base, pages));
  }
  return { store, model };
}

for (const compress of ["none", "lz4"] as const) {
  test(`what was written is there, also when the store is opened again (${compress})`, async () => {
    const directory = new SimDirectory();
    const store = await openStore(directory, compress);
    const pages = new Map(Array.from({ length: 300 }, (_, page) => [`0:${page * 2}`, page % 200]));
    await write(store, metaOf(1), pages, ["core", "hub"]);
    const model: Model = new Map([[idOf(1), pages]]);
    await checkStore(store, model);
    await store.close();
    const again = await openStore(directory);
    await checkStore(again, model);
    const reader = await again.reader(idOf(1));
    assert.equal(
      reader.sections.map(({ name, version }) => `${name} ${version}`),
      ["core 1", "hub 1"],
    );
    assert.is(new TextDecoder().decode(reader.sections[1].bytes), `hub of ${idOf(1)}`);
    const target = pageOf(5);
    assert.is(reader.read(0, 1, target), false);
    assert.equal(target, pageOf(5), "a page of zeros leaves the target as it is");
    await reader.close();
    const { bytes, pages: count, level } = again.get(idOf(1));
    assert.is(count, 300);
    assert.is(level, 1);
    assert.ok(bytes.unique <= 200 * 4096, `200 different pages, ${bytes.unique} bytes`);
    if (compress === "lz4") assert.ok(bytes.unique < 120 * 4096, `${bytes.unique} bytes`);
    await again.close();
  });
}

test("pages are kept once, whoever has them", async () => {
  const directory = new SimDirectory();
  const store = await openStore(directory);
  const pages = new Map(Array.from({ length: 64 }, (_, page) => [`0:${page}`, page]));
  await write(store, metaOf(1), pages);
  const before = store.usage().bytes;
  await write(store, metaOf(2), pages);
  assert.is(store.usage().bytes, before);
  assert.is(store.get(idOf(1)).bytes.unique, 0);
  await store.remove(idOf(1));
  assert.is(store.get(idOf(2)).bytes.unique, 64 * 4096);
  await checkStore(store, new Map([[idOf(2), pages]]));
});

/** A machine's pages, frozen: by number what each holds, as `pageOf` gives it. */
async function freeze(pages: ReadonlyMap<number, number>): Promise<RetainedRoot> {
  const core = await Core.create(await nodePlatform().loadCore(), CORE);
  const view = MachineView.create(core, { ramPages: 2048, harts: 1, quantum: 1000 });
  for (const [page, seed] of pages) view.memory.write(RAM_BASE + page * 4096, pageOf(seed));
  return view.retainRoot();
}

async function writeFrozen(writer: StoreWriter, numbers: readonly number[], root: FrozenPages) {
  for (let at = 0; at < numbers.length; ) {
    const taken = await writer.frozen(0, Uint32Array.from(numbers.slice(at)), root);
    assert.ok(taken > 0);
    at += taken;
  }
}

for (const compress of ["none", "lz4"] as const) {
  test(`frozen pages are kept as others are, once (${compress})`, async () => {
    const random = new Random(SEED);
    // in any order in memory: runs of one and of many; some are equal; every tenth is zeros
    const numbers = Array.from({ length: 900 }, (_, at) => at * 2).filter((page) => page % 20 > 0);
    for (let at = numbers.length - 1; at > 0; at--) {
      if (random.chance(50)) continue;
      const other = random.below(at + 1);
      [numbers[at], numbers[other]] = [numbers[other], numbers[at]];
    }
    const held = new Map(numbers.map((page) => [page, random.below(600)]));
    const root = await freeze(held);
    const directory = new SimDirectory();
    const store = await openStore(directory, compress);
    await write(store, metaOf(1), new Map([["0:1", held.get(2) as number]]));
    const writer = await store.begin(metaOf(2));
    await writer.page(1, 0, pageOf(900));
    await writeFrozen(
      writer,
      Array.from({ length: 1800 }, (_, page) => page),
      root,
    );
    await writer.page(1, 4, pageOf(902));
    // equal to one that is frozen, to one that was copied, and to none
    await writer.page(1, 1, pageOf(held.get(4) as number));
    await writer.page(1, 2, pageOf(900));
    await writer.page(1, 3, pageOf(901));
    await writer.commit();
    root.release();
    const all = new Map([...held].map(([page, seed]) => [`0:${page}`, seed]));
    const more = [900, held.get(4) as number, 900, 901, 902];
    const model: Model = new Map([
      [idOf(1), new Map([["0:1", held.get(2) as number]])],
      [idOf(2), over(all, new Map(more.map((seed, page) => [`1:${page}`, seed])))],
    ]);
    await checkStore(store, model);
    const { unique, onDisk } = store.get(idOf(2)).bytes;
    // the first snapshot has one of them already
    const different = new Set([...held.values(), 900, 901, 902]).size - 1;
    if (compress === "none") assert.is(unique, different * 4096);
    else assert.ok(unique < different * 4096 * 0.7, `${unique} bytes`);
    assert.ok(onDisk < unique + different * 64 + 4096, `${onDisk} bytes`);
    await store.close();
    const again = await openStore(directory, compress);
    await checkStore(again, model);
    for (const id of model.keys()) assert.equal((await again.verify(id)).problems, []);
    await again.close();
  });
}

/** A directory whose writes take their bytes only when they are let go on. */
class SlowDirectory extends SimDirectory {
  readonly waiting: (() => void)[] = [];

  override async create(path: string): Promise<StoreFile> {
    const file = await super.create(path);
    const writev: StoreFile["writev"] = async (offset, pieces) => {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
      await file.writev(offset, pieces);
    };
    return new Proxy(file, {
      get: (_, name) => (name === "writev" ? writev : Reflect.get(file, name)),
    });
  }
}

test("frozen pages that are released while they are written: no snapshot", async () => {
  const root = await freeze(new Map([[3, 3]]));
  const directory = new SlowDirectory();
  const store = await openStore(directory);
  const writer = await store.begin(metaOf(1));
  await writeFrozen(writer, [3], root);
  const done = refusal(() => writer.commit());
  while (directory.waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  root.release();
  for (const go of directory.waiting) go();
  assert.is((await done).code, "disposed");
  assert.equal(store.list(), []);
  await store.close();
  const again = await openStore(directory);
  assert.equal(
    [...directory.files.keys()].filter((path) => path.startsWith("segments/")),
    [],
  );
  await again.close();
});

test("what is as in the parent takes no room in the child", async () => {
  const { store } = await chain(new SimDirectory(), 1);
  await write(
    store,
    metaOf(2, idOf(1)),
    new Map<string, number | null>([
      ["0:1", 1],
      ["0:90", null],
    ]),
  );
  assert.is(store.get(idOf(2)).pages, 0);
  assert.equal(await store.diff(idOf(1), idOf(2)), {
    regions: [new Uint32Array(0), new Uint32Array(0)],
    sections: ["core"],
  });
});

test("a page is read with one read, however long the chain is", async () => {
  const counts: number[] = [];
  for (const length of [1, CHAIN_MAX]) {
    const directory = new SimDirectory();
    const { store } = await chain(directory, length);
    const reader = await store.reader(idOf(length));
    const page = new Uint8Array(4096);
    for (const number of reader.pages(0)) reader.read(0, number, page);
    const before = directory.reads;
    for (const number of reader.pages(0)) reader.read(0, number, page);
    counts.push((directory.reads - before) / reader.pages(0).length);
  }
  assert.equal(counts, [1, 1]);
});

test("the 33rd of a chain is refused, and merging makes room", async () => {
  const { store, model } = await chain(new SimDirectory(), CHAIN_MAX);
  await checkStore(store, model);
  const next = metaOf(33, idOf(32));
  const error = await refusal(() => store.begin(next));
  assert.is(error.code, "limit");
  assert.match(error.message, /merge/);
  await store.merge(idOf(32), "up");
  model.delete(idOf(31));
  await write(store, next, new Map([["0:5", 5]]));
  model.set(idOf(33), over(model.get(idOf(32)), new Map([["0:5", 5]])));
  await checkStore(store, model);
});

test("256 snapshots and more", async () => {
  const directory = new SimDirectory();
  const store = await openStore(directory);
  const model: Model = new Map();
  for (let number = 1; number <= 300; number++) {
    const pages = new Map([[`0:${number}`, number % 40]]);
    await write(store, metaOf(number), pages);
    model.set(idOf(number), pages);
  }
  await store.close();
  const again = await openStore(directory);
  await checkStore(again, model);
  assert.is(again.list().length, 300);
});

test("merging down and up, flattening, removing: what stays holds what it held", async () => {
  const { store, model } = await chain(new SimDirectory(), 6);
  await write(store, metaOf(7, idOf(3)), new Map([["0:1", 99]]));
  model.set(idOf(7), over(model.get(idOf(3)), new Map([["0:1", 99]])));
  // 4 goes into 3: 3 has what 4 had, and 7, which stood on 3, still has what it had
  const down = await store.merge(idOf(4), "down");
  assert.equal(down, { removed: [idOf(4)], renamed: { [idOf(4)]: idOf(3) } });
  model.set(idOf(3), model.get(idOf(4)) as Map<string, number>);
  model.delete(idOf(4));
  await checkStore(store, model, "down");
  assert.is(store.get(idOf(3)).instructions, 400);
  assert.is(store.get(idOf(3)).name, "snap-3");
  assert.is(store.get(idOf(5)).parent, idOf(3));
  const up = await store.merge(idOf(6), "up");
  assert.equal(up, { removed: [idOf(5)], renamed: {} });
  model.delete(idOf(5));
  await checkStore(store, model, "up");
  await store.flatten(idOf(3));
  assert.is(store.get(idOf(3)).type, "full");
  await checkStore(store, model, "flatten");
  await store.remove(idOf(1));
  model.delete(idOf(1));
  await checkStore(store, model, "remove");
  assert.is(store.get(idOf(2)).type, "full");
  assert.is((await refusal(() => store.merge(idOf(2), "up"))).code, "bad-state");
});

test("prune keeps the last of each machine", async () => {
  const { store, model } = await chain(new SimDirectory(), 8);
  const other = { ...metaOf(20), machine: "b" };
  await write(store, other, new Map([["0:1", 3]]));
  model.set(idOf(20), new Map([["0:1", 3]]));
  const { removed } = await store.prune({ keep: 2 });
  assert.is(removed.length, 6);
  for (const id of removed) model.delete(id);
  await checkStore(store, model);
  assert.is((await refusal(() => store.prune({ keep: 0 }))).code, "bad-argument");
});

test("compact gives room back", async () => {
  const directory = new SimDirectory();
  const store = await openStore(directory);
  const pages = (from: number) =>
    new Map(Array.from({ length: 64 }, (_, page) => [`0:${page}`, page + from]));
  await write(store, metaOf(1), pages(0));
  await write(store, metaOf(2), pages(32));
  const reader = await store.reader(idOf(2));
  await store.remove(idOf(1));
  const { segments, pages: copied, bytesBefore } = await store.compact();
  assert.equal({ segments, copied }, { segments: 1, copied: 32 });
  const page = new Uint8Array(4096);
  assert.ok(reader.read(0, 3, page), "who reads meanwhile goes on");
  assert.equal(page, pageOf(35));
  await reader.close();
  assert.ok(bytesBefore - store.usage().bytes >= 31 * 4096, "32 pages and a slot each less");
  await checkStore(store, new Map([[idOf(2), pages(32)]]));
  assert.is(directory.list("segments").length, store.usage().segments);
  assert.is((await store.compact()).segments, 0);
});

test("a snapshot that is being read may go; what is needed stays until it is closed", async () => {
  const directory = new SimDirectory();
  const { store } = await chain(directory, 2);
  const reader = await store.reader(idOf(2));
  await store.remove(idOf(2));
  await store.remove(idOf(1));
  assert.ok(directory.list("segments").length > 0);
  const page = new Uint8Array(4096);
  assert.ok(reader.read(0, 2, page));
  assert.equal(page, pageOf(2));
  await reader.close();
  assert.equal(directory.list("segments"), []);
});

test("two that are written at once do not disturb each other", async () => {
  const { store, model } = await chain(new SimDirectory(), 1);
  const one = await store.begin(metaOf(2, idOf(1)));
  const two = await store.begin(metaOf(3, idOf(1)));
  assert.is((await refusal(() => store.remove(idOf(1)))).code, "busy");
  for (let page = 0; page < 20; page++) {
    await one.page(0, page, pageOf(page + 200));
    await two.page(0, page, pageOf(page + 210));
  }
  await two.commit();
  await one.abort();
  await one.abort();
  const pages = new Map(Array.from({ length: 20 }, (_, page) => [`0:${page}`, page + 210]));
  model.set(idOf(3), over(model.get(idOf(1)), pages));
  await checkStore(store, model);
});

test("what a writer points to stays, whatever goes meanwhile", async () => {
  const store = await openStore(new SimDirectory());
  await write(store, metaOf(1), new Map([["0:1", 5]]));
  const writer = await store.begin(metaOf(2));
  await writer.page(0, 7, pageOf(5));
  await store.remove(idOf(1));
  assert.is(store.usage().segments, 1);
  await writer.commit();
  await checkStore(store, new Map([[idOf(2), new Map([["0:7", 5]])]]));
});

test("names, labels, notes and working sets", async () => {
  const directory = new SimDirectory();
  const { store, model } = await chain(directory, 2);
  await store.rename(idOf(1), "base");
  await store.label(idOf(1), { labels: { kept: "yes" }, notes: "first\nof all" });
  assert.is((await refusal(() => store.rename(idOf(2), "base"))).code, "bad-argument");
  assert.is((await refusal(() => store.rename(idOf(2), ""))).code, "bad-argument");
  await store.saveWorkingSet(idOf(2), Uint32Array.of(7, 3, 5));
  await store.close();
  const again = await openStore(directory);
  const { name, labels, notes } = again.get(idOf(1));
  assert.equal(
    { name, labels, notes },
    { name: "base", labels: { kept: "yes" }, notes: "first\nof all" },
  );
  await checkStore(again, model);
  const reader = await again.reader(idOf(2));
  assert.equal(reader.workingSet, Uint32Array.of(7, 3, 5));
});

test("one file, and into another store", async () => {
  const { store, model } = await chain(new SimDirectory(), 5);
  const file = new MemoryBytes();
  const bytes = await store.exportTo(idOf(5), file);
  assert.is(bytes, file.bytes);
  assert.is((await store.inspectFile(file)).name, "snap-5");
  const other = await openStore(new MemoryDirectory(), "lz4");
  assert.is(await other.importFrom(file), idOf(5));
  assert.is(other.get(idOf(5)).level, 1);
  await checkStore(other, new Map([[idOf(5), model.get(idOf(5)) as Map<string, number>]]));
  assert.is((await refusal(() => other.importFrom(file))).code, "bad-argument");
  const second = await other.importFrom(file, { name: "again" });
  assert.is.not(second, idOf(5));
  await checkSnapshot(other, second, model.get(idOf(5)) as Map<string, number>);
});

const byId = (all: readonly StoredSnapshot[]) => all.toSorted((a, b) => (a.id < b.id ? -1 : 1));

test("random operations beside the model", async () => {
  const random = new Random(SEED);
  const directory = new SimDirectory();
  let store = await openStore(directory, "lz4");
  const model: Model = new Map();
  for (let number = 1; number <= 250; number++) {
    const ids = [...model.keys()];
    const id = ids[random.below(Math.max(1, ids.length))];
    const what = `SEED=${SEED}, step ${number}`;
    const kind = ids.length < 3 ? 0 : random.below(12);
    if (kind < 5) {
      const isChild = ids.length > 0 && random.chance(70) && store.get(id).level < CHAIN_MAX;
      const pages = new Map<string, number | null>();
      for (let count = random.below(12); count >= 0; count--) {
        const key = `${random.below(3)}:${random.below(40)}`;
        pages.set(key, random.chance(25) ? null : random.below(60));
      }
      await write(store, metaOf(number, isChild ? id : null), pages, ["core"]);
      model.set(idOf(number), over(isChild ? model.get(id) : undefined, pages));
    } else if (kind < 7) {
      await store.remove(id);
      model.delete(id);
    } else if (kind === 7) await store.flatten(id);
    else if (kind === 8) await store.compact({ deadShare: 0 });
    else if (kind === 9) {
      const kept = byId(store.list());
      await store.close();
      store = await openStore(directory, random.chance(50) ? "lz4" : "none");
      assert.equal(byId(store.list()), kept, `${what}: sizes counted on, and anew`);
    } else {
      const { parent } = store.get(id);
      if (parent === null) continue;
      if (kind === 10) model.delete(parent);
      else {
        model.set(parent, model.get(id) as Map<string, number>);
        model.delete(id);
      }
      await store.merge(id, kind === 10 ? "up" : "down");
    }
    store.list(); // as it is from step to step
    if (number % 10 === 0) await checkStore(store, model, what);
  }
  await checkStore(store, model, `SEED=${SEED}`);
});

test("a full disk is an error of the save, whichever write is told first", async () => {
  const { yieldToEventLoop } = nodePlatform();
  let isFull = false;
  const full = () => new VmError("io", "no space is left");
  class Small extends MemoryDirectory {
    override async create(path: string): Promise<StoreFile> {
      const file = await super.create(path);
      return {
        get bytes() {
          return file.bytes;
        },
        read: (offset, target) => file.read(offset, target),
        // what is small is told at once, what is large later
        write: (offset, bytes) => (isFull ? Promise.reject(full()) : file.write(offset, bytes)),
        writev: async (offset, pieces) => {
          if (!isFull) return file.writev(offset, pieces);
          for (let turn = 0; turn < 3; turn++) await yieldToEventLoop();
          throw full();
        },
        sync: () => file.sync(),
        close: () => file.close(),
      };
    }
  }
  const store = await openStore(new Small());
  isFull = true;
  try {
    await write(store, metaOf(1), new Map([["0:1", 5]]));
    assert.unreachable();
  } catch (error) {
    assert.is((error as VmError).code, "io");
  }
  isFull = false;
  await write(store, metaOf(2), new Map([["0:1", 5]]));
  assert.is(store.list().length, 1);
  await store.close();
});

test.run();
