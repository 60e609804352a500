/**
 * kill-kit: kills a process that works on a store at random moments, and looks at what it left.
 *
 * Used by test/platform/store-directory.test.ts, store-kill.deep.ts.
 * Holds   what the process was told is durable is there; what it was removing may be. Power that
 *         fails is another matter (crash-kit.ts): here the system lives on.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { openStoreDirectory } from "../../src/node.ts";
import { Random } from "../helpers/random.ts";
import { checkSnapshot, openStore } from "./store-kit.ts";
import { pagesOf } from "./store-worker.ts";

const WORKER = fileURLToPath(new URL("store-worker.js", import.meta.url));

/** What came of a campaign. */
export interface KillTally {
  kills: number;
  /** Snapshots that were there, all of them whole. */
  found: number;
  /** Operations that the processes finished. */
  done: number;
}

/** Runs the worker until it has said `lines` lines and a little more, then kills it. */
function runAndKill(folder: string, seed: number, lines: number, spins: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WORKER, "work", folder, String(seed)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let errors = "";
    let left = spins;
    // some turns of this event loop later, so that no operation is favoured
    const later = () => {
      if (left-- > 0) setImmediate(later);
      else child.kill("SIGKILL");
    };
    child.stdout.on("data", (bytes) => {
      const before = output.split("\n").length;
      output += bytes.toString("utf8");
      const now = output.split("\n").length;
      if (before <= lines && now > lines) later();
    });
    child.stderr.on("data", (bytes) => {
      errors += bytes.toString("utf8");
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code !== null && code !== 0) reject(new Error(`the worker failed: ${errors}`));
      else resolve(output.split("\n").slice(0, -1));
    });
  });
}

/** Kills `count` processes, one after the other, on one store. Throws when something is lost. */
export async function killCampaign(folder: string, count: number, seed: number) {
  const random = new Random(seed);
  const tally: KillTally = { kills: 0, found: 0, done: 0 };
  /** Durable snapshots, by id; of what was being removed it is not known. */
  const durable = new Map<string, number>();
  let doubtful = new Map<string, number>();
  for (let kill = 0; kill < count; kill++) {
    const workerSeed = random.below(0x7fffffff);
    const lines = await runAndKill(folder, workerSeed, 2 + random.below(20), random.below(60));
    const what = `SEED=${seed}, kill ${kill}`;
    for (const [index, line] of lines.entries()) {
      const id = line.slice(1, 33);
      if (line.startsWith("+")) durable.set(id, Number(line.slice(34)));
      if (!line.startsWith("-")) continue;
      const held = durable.get(id) ?? doubtful.get(id);
      durable.delete(id);
      if (index === lines.length - 1 && held !== undefined) doubtful.set(id, held);
    }
    tally.done += lines.length;
    const store = await openStore(await openStoreDirectory(folder));
    try {
      const { problems } = await store.verify();
      if (problems.length > 0 || store.damaged().length > 0) {
        throw new Error(`${what}: ${[...problems, ...store.damaged()].join("; ")}`);
      }
      const there = new Set(store.list().map(({ id }) => id));
      for (const [id, pages] of durable) {
        if (!there.has(id)) throw new Error(`${what}: snapshot ${id} was durable and is gone`);
        await checkSnapshot(store, id, pagesOf(pages), what);
        tally.found++;
      }
      for (const id of there) {
        if (durable.has(id)) continue;
        // it was being removed, or written: then it is whole, and its number tells what it holds
        const number = doubtful.get(id) ?? Number.parseInt(id, 16);
        await checkSnapshot(store, id, pagesOf(number), what);
        durable.set(id, number);
      }
      doubtful = new Map();
    } finally {
      await store.close();
    }
    tally.kills++;
  }
  return tally;
}
