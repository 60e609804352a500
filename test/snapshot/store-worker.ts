/**
 * store-worker: a process that works on a store until it is killed, and says what is done.
 *
 * Used by kill-kit.ts, test/platform/store-directory.test.ts.
 *
 *   store-worker hold FOLDER          takes the lock and waits
 *   store-worker work FOLDER SEED     changes the store; a line "ID SEED" when a snapshot is
 *                                     durable, "-ID" before one is removed
 */
import { writeSync } from "node:fs";
import { nodePlatform, openStoreDirectory, SnapshotStore } from "../../src/node.ts";
import { Random } from "../helpers/random.ts";
import { metaOf, write } from "./store-kit.ts";

const [, , mode, folder, seedText] = process.argv;
const STEPS = 400;
const SNAPSHOTS = 12;

const say = (line: string) => writeSync(1, `${line}\n`);

/** Pages of the snapshot that a seed makes. */
export function pagesOf(seed: number): Map<string, number> {
  const random = new Random(seed);
  const count = 1 + random.below(40);
  return new Map(
    Array.from({ length: count }, (_, page) => [`${random.below(2)}:${page}`, random.below(300)]),
  );
}

async function work(): Promise<void> {
  const random = new Random(Number(seedText));
  const directory = await openStoreDirectory(folder);
  const store = await SnapshotStore.open(directory, { platform: nodePlatform(), compress: "lz4" });
  say("open");
  for (let step = 0; step < STEPS; step++) {
    const ids = store.list().map(({ id }) => id);
    const id = ids[random.below(Math.max(1, ids.length))];
    const kind = random.below(10);
    if (ids.length < 3 || (ids.length < SNAPSHOTS && kind < 5)) {
      const seed = random.below(0x7fffffff);
      await write(store, metaOf(seed), pagesOf(seed), ["core"]);
      say(`+${metaOf(seed).id} ${seed}`);
    } else if (kind < 6) {
      await store.compact({ deadShare: 0 });
    } else if (kind < 7) {
      await store.label(id, { notes: `noted ${step}` });
    } else {
      say(`-${id}`);
      await store.remove(id);
    }
  }
  await store.close();
}

if (mode === "work") await work();
if (mode === "hold") {
  await (await openStoreDirectory(folder)).lock();
  say("held");
  process.stdin.resume(); // until it is killed
}
