/**
 * store-damage: flipped bits, files cut short, files that somebody made to do harm: told as what
 * they are, with nothing of the rest damaged.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MemoryBytes, type SnapshotStore, VmError } from "../../src/node.ts";
import { SimDirectory } from "../../src/platform/sim/store-directory.ts";
import { digestOf } from "../../src/snapshot/store/bytes.ts";
import { decodeContainer, encodeContainer } from "../../src/snapshot/store/container.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { checkSnapshot, idOf, metaOf, openStore, PAGE, refusal, write } from "./store-kit.ts";

const test = suite("snapshot/store-damage");
const SEED = seedOf(33);
/** Every how manieth byte of a page; all of them in the deep suite. */
const STRIDE = Number(process.env["STRIDE"] ?? 23);

type Files = Map<string, Uint8Array>;

/** Two snapshots, one on the other, a page of each kind, a working set. */
async function small(): Promise<Files> {
  const directory = new SimDirectory();
  const store = await openStore(directory, "lz4");
  await write(
    store,
    metaOf(1),
    new Map([
      ["0:1", 3],
      ["0:2", 4],
      ["0:3", 5],
    ]),
    ["core"],
  );
  await write(store, metaOf(2, idOf(1)), new Map([["0:2", 7]]), ["core"]);
  await store.saveWorkingSet(idOf(2), Uint32Array.of(1, 2));
  await store.close();
  return directory.files;
}

const files = await small();

/** What is said of a store; "" when it is said to be well. */
async function complaints(given: Files): Promise<string> {
  let store: SnapshotStore;
  try {
    store = await openStore(new SimDirectory({ files: given }));
  } catch (error) {
    if (error instanceof VmError) return error.message;
    throw error;
  }
  const damaged = store.damaged().map(({ why }) => why);
  const { problems } = await store.verify();
  await store.close();
  return [...damaged, ...problems].join("; ");
}

const isWorkingSet = (path: string) => path.startsWith("working/");

test("without damage nothing is said", async () => {
  assert.is(await complaints(files), "");
});

test("every flipped bit is seen", async () => {
  let flips = 0;
  const random = new Random(SEED);
  for (const [path, bytes] of files) {
    if (isWorkingSet(path)) continue;
    const isData = (at: number) => path.startsWith("segments/") && at < bytes.length - 400;
    for (let at = 0; at < bytes.length; at += isData(at) ? STRIDE : 1) {
      const changed = bytes.slice();
      changed[at] ^= 1 << random.below(8);
      const said = await complaints(new Map(files).set(path, changed));
      if (said === "") throw new Error(`SEED=${SEED}: ${path}, byte ${at}: nobody noticed`);
      flips++;
    }
  }
  assert.ok(flips > 1000);
});

test("a working set that is damaged is as none", async () => {
  for (const [path, bytes] of files) {
    if (!isWorkingSet(path)) continue;
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] ^= 1 << (at % 8);
      const store = await openStore(new SimDirectory({ files: new Map(files).set(path, changed) }));
      const reader = await store.reader(idOf(2));
      assert.is(reader.workingSet.length, 0);
    }
  }
});

test("files cut short, made longer, gone, swapped", async () => {
  const random = new Random(SEED);
  for (const [path, bytes] of files) {
    if (isWorkingSet(path)) continue;
    const cuts = Array.from({ length: 30 }, () => random.below(bytes.length));
    for (const length of [0, 1, ...cuts, bytes.length - 1]) {
      const said = await complaints(new Map(files).set(path, bytes.slice(0, length)));
      assert.is.not(said, "", `${path} cut to ${length}`);
    }
    const longer = new Uint8Array(bytes.length + 9);
    longer.set(bytes);
    assert.is.not(await complaints(new Map(files).set(path, longer)), "", `${path} made longer`);
    // a snapshot that is gone with its manifest is no damage, unless one builds on it
    const gone = new Map(files);
    gone.delete(path);
    if (!path.endsWith(`${idOf(2)}.snap`)) assert.is.not(await complaints(gone), "", path);
    for (const [other, theirs] of files) {
      if (other === path || isWorkingSet(other)) continue;
      assert.is.not(await complaints(new Map(files).set(path, theirs)), "", `${other} as ${path}`);
    }
  }
});

test("what is damaged is kept apart, and the rest goes on", async () => {
  const path = `snapshots/${idOf(2)}.snap`;
  const bytes = (files.get(path) as Uint8Array).slice();
  bytes[100] ^= 1;
  const directory = new SimDirectory({ files: new Map(files).set(path, bytes) });
  const store = await openStore(directory);
  assert.equal(
    store.list().map(({ id }) => id),
    [idOf(1)],
  );
  assert.is(store.damaged()[0].id, idOf(2));
  assert.match(store.damaged()[0].why, /digest/);
  assert.is((await refusal(() => store.reader(idOf(2)))).code, "bad-file");
  assert.is(store.inspect(idOf(2)).problems.length, 1);
  const segments = directory.list("segments").length;
  await write(store, metaOf(3), new Map([["0:9", 9]]));
  await store.remove(idOf(3));
  assert.is(directory.list("segments").length, segments + 1, "it may need any segment");
  await store.remove(idOf(2));
  assert.equal(store.damaged(), []);
  assert.is(directory.list("segments").length, 1);
  await checkSnapshot(
    store,
    idOf(1),
    new Map([
      ["0:1", 3],
      ["0:2", 4],
      ["0:3", 5],
    ]),
  );
});

test("a page that went bad is told, affects who needs it, and is written anew", async () => {
  const directory = new SimDirectory({ files });
  const store = await openStore(directory);
  const [path] = [...files].find(([name, bytes]) => {
    return name.startsWith("segments/") && bytes.length > 2 * PAGE;
  }) as [string, Uint8Array];
  directory.damage(path, (bytes) => {
    bytes[PAGE + 100] ^= 4;
    return bytes;
  });
  const { problems, affected } = await store.verify(idOf(2));
  assert.is(problems.length, 1);
  assert.match(problems[0], /at 4096 is not what was written/);
  assert.equal(affected, [idOf(2)]);
  const reader = await store.reader(idOf(2));
  const page = new Uint8Array(PAGE);
  const error = await refusal(() => reader.read(0, 1, page));
  assert.is(error.code, "bad-file");
  await write(store, metaOf(3), new Map([["0:1", 3]]));
  await checkSnapshot(store, idOf(3), new Map([["0:1", 3]]));
});

// ---- files that are made to do harm ----

const SNAP = `snapshots/${idOf(2)}.snap`;

/** The second manifest with one section replaced, its digest right. */
function forged(name: string, change: (bytes: Uint8Array) => Uint8Array, version = 1): Files {
  const sections = decodeContainer("SNAP", files.get(SNAP) as Uint8Array, "it").map((section) => {
    if (section.name !== name) return section;
    return { name, version, bytes: change(section.bytes.slice()) };
  });
  return new Map(files).set(SNAP, encodeContainer("SNAP", sections));
}

function forgedMeta(change: Record<string, unknown>): Files {
  return forged("store.meta", (bytes) => {
    const meta = { ...JSON.parse(new TextDecoder().decode(bytes)), ...change };
    return new TextEncoder().encode(JSON.stringify(meta));
  });
}

test("forged manifests are refused, each for what it is", async () => {
  const words = (list: readonly number[]) => () => new Uint8Array(Uint32Array.from(list).buffer);
  const MOST = 0xffffffff;
  const cases: readonly (readonly [Files, RegExp])[] = [
    [forgedMeta({ parent: idOf(2), parentContent: idOf(2) }), /parent wrongly/],
    [forgedMeta({ parent: idOf(9), parentContent: idOf(2) }), /is not there/],
    [forgedMeta({ parentContent: idOf(4) }), /not the one/],
    [forgedMeta({ id: idOf(4) }), /is of/],
    [forgedMeta({ ticks: -1 }), /ticks/],
    [forgedMeta({ extra: 1 }), /extra/],
    [forged("store.meta", () => Uint8Array.of(1)), /JSON/],
    [forged("store.meta", () => new Uint8Array(2 << 20)), /too long/],
    [forged("store.pages", words([MOST, 0])), /not as long/],
    [forged("store.pages", words([1, 0, 0, MOST])), /not as long/],
    [forged("store.pages", words([1, 0, 5000, 0])), /not as long/],
    [forged("store.pages", words([2, 0, 0, 0, 0, 0])), /not as long/],
    [forged("store.pages", words([1, 0, 0, 2, 5, 5, 0, 0, 0, 0])), /wrong at 1/],
    [forged("store.pages", words([1, 0, 0, 1, 5, 7, 0])), /wrong at 0/],
    [forged("store.pages", words([1, 0, 0, 1, 5, MOST, 7])), /wrong at 0/],
    [forged("store.pages", words([1, 0, 0, 1, MOST, 0, 0])), /wrong at 0/],
    [forged("store.pages", words([1, 0, 0, 1, 5, 0, 77])), /no slot 77/],
    [forged("store.segments", (bytes) => bytes.slice(1)), /cut short/],
    [forged("store.segments", (bytes) => bytes.fill(9)), /no such|not there/],
    [forged("store.pages", (bytes) => bytes, 2), /"store.pages" has version 2/],
    [forged("store.pages", (bytes) => bytes, 0), /version 0/],
  ];
  for (const [given, expected] of cases) assert.match(await complaints(given), expected);
});

test("chains without an end are refused", async () => {
  const directory = new SimDirectory();
  const store = await openStore(directory);
  await write(store, metaOf(1), new Map([["0:1", 3]]));
  await write(store, metaOf(2, idOf(1)), new Map([["0:1", 4]]));
  await store.close();
  const all = directory.files;
  const metas = [1, 2].map((number) => {
    const path = `snapshots/${idOf(number)}.snap`;
    const sections = decodeContainer("SNAP", all.get(path) as Uint8Array, "it");
    const bytes = sections.find(({ name }) => name === "store.meta")?.bytes as Uint8Array;
    return { path, sections, meta: JSON.parse(new TextDecoder().decode(bytes)) };
  });
  const { path, sections, meta } = metas[0];
  Object.assign(meta, { parent: idOf(2), parentContent: metas[1].meta.content });
  const json = new TextEncoder().encode(JSON.stringify(meta));
  const changed = sections.map((one) =>
    one.name === "store.meta" ? { ...one, bytes: json } : one,
  );
  all.set(path, encodeContainer("SNAP", changed));
  const again = await openStore(new SimDirectory({ files: all }));
  assert.equal(again.list(), []);
  assert.match(again.damaged()[0].why, /no end/);
});

test("exported files: every flip, every cut, and claims beyond reason", async () => {
  const store = await openStore(new SimDirectory({ files }));
  const whole = new MemoryBytes();
  await store.exportTo(idOf(2), whole);
  const bytes = new Uint8Array(whole.bytes);
  whole.read(0, bytes);
  const target = await openStore(new SimDirectory());
  const random = new Random(SEED);
  const tryOne = async (given: Uint8Array, what: string) => {
    const error = await refusal(() => target.importFrom(new MemoryBytes(given)));
    assert.ok(["bad-file", "unsupported"].includes(error.code), `${what}: ${error.code}`);
  };
  const tailAt = bytes.length - 64;
  for (let at = 0; at < bytes.length; at += at < bytes.length - 3000 ? 97 : 3) {
    const changed = bytes.slice();
    changed[at] ^= 1 << random.below(8);
    await tryOne(changed, `SEED=${SEED} byte ${at}`);
  }
  for (let count = 0; count < 40; count++) {
    const length = random.below(bytes.length);
    await tryOne(bytes.slice(0, length), `cut to ${length}`);
  }
  for (const [offset, claim] of [
    [16, 2n ** 60n],
    [24, 2n ** 60n],
    [16, 2n ** 64n - 65n],
  ] as const) {
    const changed = bytes.slice();
    const view = new DataView(changed.buffer);
    view.setBigUint64(tailAt + offset, claim, true);
    changed.set(digestOf(changed.subarray(tailAt, tailAt + 32)), tailAt + 32);
    await tryOne(changed, `a claim of ${claim} bytes`);
  }
  assert.equal(target.list(), []);
  assert.equal(target.usage(), { snapshots: 0, segments: 0, bytes: 0 });
  await target.importFrom(new MemoryBytes(bytes));
  await checkSnapshot(
    target,
    idOf(2),
    new Map([
      ["0:1", 3],
      ["0:2", 7],
      ["0:3", 5],
    ]),
  );
});

test("noise is no store", async () => {
  const random = new Random(SEED);
  for (let round = 0; round < 60; round++) {
    const noise = Uint8Array.from({ length: random.below(400) }, () => random.below(256));
    for (const path of files.keys()) {
      if (isWorkingSet(path)) continue;
      assert.is.not(await complaints(new Map(files).set(path, noise)), "", path);
    }
  }
  const stray = new Map([["snapshots/x.snap", new Uint8Array(4)]]);
  assert.match(await complaints(stray), /accepted is a store/);
});

test.run();
