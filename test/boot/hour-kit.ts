/**
 * hour-kit: a Debian that is snapshotted into files, and restored from them an hour later by
 * another host.
 *
 * Used by hour.test.ts and hour.deep.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import {
  Host,
  type Machine,
  openStoreDirectory,
  SnapshotManager,
  SnapshotStore,
} from "../../src/node.ts";
import { debian, say } from "../helpers/debian.ts";
import { ShiftedPlatform } from "../helpers/shifted-platform.ts";

const HOUR_MS = 3_600_000;
const TURNS_MAX = 100_000_000;
const SHELL = "while :; do :; done > /dev/null 2>&1 &";

/** What the hour is tried on. */
interface Tried {
  readonly harts: number;
  /** A shell on each hart never rests. */
  readonly isBusy: boolean;
}

async function onStore<T>(
  platform: ShiftedPlatform,
  folder: string,
  work: (manager: SnapshotManager, host: Host) => Promise<T>,
): Promise<T> {
  const host = await Host.create({ platform, machinesMax: 4 });
  const store = await SnapshotStore.open(await openStoreDirectory(folder), { platform });
  const manager = new SnapshotManager(store, { host });
  try {
    return await work(manager, host);
  } finally {
    await manager.close();
    await store.close();
    host.dispose();
  }
}

const logOf = async (machine: Machine) => (await say(machine, "dmesg")).split("\n");

async function untilThere(machine: Machine, platform: ShiftedPlatform): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    if (machine.stats().behindTicks === 0) return;
    await platform.yieldToEventLoop();
  }
  assert.unreachable(`${machine.stats().behindTicks} ticks behind`);
}

/** Its date must be that of the host; an idle guest says nothing but that it was reseeded. */
export async function anHourLater({ harts, isBusy }: Tried): Promise<void> {
  const platform = new ShiftedPlatform();
  const folder = mkdtempSync(join(tmpdir(), "rivulet-hour-"));
  try {
    const before = await onStore(platform, folder, async (manager, host) => {
      const machine = host.createMachine(debian({ clock: "host", consoleInput: "open", harts }));
      await machine.boot();
      if (isBusy) await say(machine, SHELL.repeat(harts));
      const { length } = await logOf(machine);
      await manager.create(machine, { name: "before" });
      return length;
    });
    platform.sleep(HOUR_MS);
    const news = await onStore(platform, folder, async (manager) => {
      const { id } = manager.find("before");
      const { machine } = await manager.restore(id, { lazy: true, clock: "jump" });
      machine.resume();
      void machine.run();
      await untilThere(machine, platform);
      const earliest = Math.floor(platform.wallMs() / 1000) - 1;
      const date = Number(await say(machine, "date +%s"));
      const latest = Math.ceil(platform.wallMs() / 1000) + 1;
      assert.ok(date >= earliest && date <= latest, `${date} is not ${earliest} to ${latest}`);
      return (await logOf(machine)).slice(before);
    });
    assert.is(news.filter((line) => line.includes("crng reseeded")).length, 1);
    if (isBusy) console.log(`busy, ${harts} harts, an hour later:\n${news.join("\n")}`);
    else assert.is(news.length, 1, news.join("\n"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
