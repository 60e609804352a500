/**
 * store-format: the files of each released format are read, to the byte as they were written then.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { unzlibSync, zlibSync } from "fflate";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MemoryBytes, SnapshotStore } from "../../src/node.ts";
import { SimDirectory } from "../../src/platform/sim/store-directory.ts";
import {
  checkStore,
  idOf,
  type Model,
  metaOf,
  openStore,
  over,
  platformOf,
  write,
} from "./store-kit.ts";

const test = suite("snapshot/store-format");
/** Of the sources: tests run in dist/. */
const GOLDEN = fileURLToPath(
  new URL("../../../test/golden/snapshot-store-1.json", import.meta.url),
);

/** What the golden store holds. */
const FIRST = new Map([
  ["0:1", 3],
  ["0:2", 4],
  ["0:9", 5],
  ["1:7", 4],
]);
const SECOND = new Map<string, number | null>([
  ["0:2", 8],
  ["0:9", null],
]);
const MODEL: Model = new Map([
  [idOf(1), FIRST],
  [idOf(2), over(FIRST, SECOND)],
]);

/** Writes it with the present code, the same in every run. */
async function written(): Promise<Map<string, Uint8Array>> {
  const directory = new SimDirectory();
  const platform = platformOf(1);
  const store = await SnapshotStore.open(directory, { platform, compress: "lz4" });
  await write(store, { ...metaOf(1), labels: { kind: "golden" } }, FIRST, ["core", "hub"]);
  await write(store, metaOf(2, idOf(1)), SECOND, ["core"]);
  await store.saveWorkingSet(idOf(2), Uint32Array.of(2, 1));
  const file = new MemoryBytes();
  await store.exportTo(idOf(2), file);
  await store.close();
  const exported = new Uint8Array(file.bytes);
  file.read(0, exported);
  return directory.files.set("export", exported);
}

/** Path and bytes, packed: two of the pages are noise. */
function golden(): Map<string, Uint8Array> {
  const packed: Record<string, string> = JSON.parse(readFileSync(GOLDEN, "utf8"));
  return new Map(
    Object.entries(packed).map(([path, text]) => [
      path,
      unzlibSync(new Uint8Array(Buffer.from(text, "base64"))),
    ]),
  );
}

if (process.env["RIVULET_GOLDEN"] !== undefined) {
  const entries = [...(await written())].map(([path, bytes]) => {
    return [path, Buffer.from(zlibSync(bytes, { level: 9 })).toString("base64")];
  });
  console.log(JSON.stringify(Object.fromEntries(entries), null, 1));
  process.exit(0);
}

test("a store of format 1 holds what it held", async () => {
  const files = golden();
  const exported = files.get("export") as Uint8Array;
  files.delete("export");
  const store = await openStore(new SimDirectory({ files }));
  await checkStore(store, MODEL);
  const { labels, level } = store.get(idOf(1));
  assert.equal({ labels, level }, { labels: { kind: "golden" }, level: 1 });
  const reader = await store.reader(idOf(2));
  assert.equal(reader.workingSet, Uint32Array.of(2, 1));
  const other = await openStore(new SimDirectory());
  await other.importFrom(new MemoryBytes(exported));
  await checkStore(other, new Map([[idOf(2), MODEL.get(idOf(2)) as Map<string, number>]]));
});

test("what is written now is format 1 to the byte", async () => {
  const now = await written();
  const then = golden();
  assert.equal([...now.keys()].sort(), [...then.keys()].sort());
  for (const [path, bytes] of now) {
    assert.ok(Buffer.compare(bytes, then.get(path) as Uint8Array) === 0, `${path} has changed`);
  }
});

test.run();
