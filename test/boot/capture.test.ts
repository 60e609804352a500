/**
 * capture of a running Debian guest: law 1 at random points of its boot, with one and with four
 * harts; and a capture that goes on an hour later, with the date of then and a quiet log.
 *
 * SEED=... reruns the points; POINTS=1000 makes the campaign of issue 4.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Host, type Machine, MemoryBackend } from "../../src/node.ts";
import { debian, say } from "../helpers/debian.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { ShiftedPlatform } from "../helpers/shifted-platform.ts";

const test = suite("boot/capture");
const SEED = seedOf(20_261_123);
const ARENA_BYTES = 1024 * 1024 * 1024;
const POINTS = Number(process.env["POINTS"] ?? 10);
const BOOT_INSTRUCTIONS = 1_300_000_000;
const BEYOND = 2_000_000;
const HOUR_MS = 3_600_000;
const TURNS_MAX = 10_000_000;

/** A host for one test: gone with it, whatever happens. */
async function onHost(
  work: (host: Host) => Promise<void>,
  platform?: ShiftedPlatform,
): Promise<void> {
  const options = platform === undefined ? {} : { platform };
  const host = await Host.create({ ...options, arenaBytes: ARENA_BYTES, machinesMax: 4 });
  try {
    await work(host);
  } finally {
    host.dispose();
  }
}

async function checkHour(host: Host, platform: ShiftedPlatform): Promise<void> {
  const machine = host.createMachine(debian({ clock: "host", consoleInput: "open" }));
  await machine.boot();
  const before = (await say(machine, "dmesg")).split("\n").length;
  const capture = machine.capture();
  machine.dispose();
  platform.sleep(HOUR_MS);
  const later = await host.createFrom(capture, { consoleInput: "open" }, { clock: "jump" });
  later.resume();
  void later.run();
  const isBehind = () => later.stats().behindTicks > 0;
  for (let turn = 0; turn < TURNS_MAX && isBehind(); turn++) await platform.yieldToEventLoop();
  const earliest = Math.floor(platform.wallMs() / 1000) - 1;
  const date = Number(await say(later, "date +%s"));
  const latest = Math.ceil(platform.wallMs() / 1000) + 1;
  assert.ok(date >= earliest && date <= latest, `${date} is not ${earliest} to ${latest}`);
  const news = (await say(later, "dmesg")).split("\n").slice(before);
  assert.is(news.filter((line) => line.includes("crng reseeded")).length, 1);
  assert.is(news.length, 1, news.join("\n"));
}

testNeeding(test, [DEBIAN_GUEST], "an hour later: the date of then, and a quiet log", () => {
  const platform = new ShiftedPlatform();
  return onHost((host) => checkHour(host, platform), platform);
});

async function checkPoints(host: Host, harts: number): Promise<void> {
  const random = new Random(SEED + harts);
  const disks = [new MemoryBackend(new Uint8Array(4096))];
  const machine = host.createMachine(debian({ harts, disks }));
  await machine.boot();
  let copy: Machine | null = null;
  const points = Array.from({ length: POINTS }, () => random.below(BOOT_INSTRUCTIONS));
  for (const point of points.sort((a, b) => a - b)) {
    await machine.run(Math.max(0, point - machine.instructions));
    const where = `SEED=${SEED}, ${harts} harts, at ${machine.instructions}`;
    const capture = machine.capture();
    const digest = machine.stateDigest();
    assert.is(capture.digest(), digest, where);
    if (copy === null) copy = await host.createFrom(capture, {}, { identity: "same" });
    else await copy.adopt(capture, { identity: "same" });
    assert.is(copy.stateDigest(), digest, where);
    if (copy.state === "paused") copy.resume();
    await machine.run(BEYOND);
    await copy.run(BEYOND);
    assert.is(copy.stateDigest(), machine.stateDigest(), `${where}, ${BEYOND} on`);
    capture.release();
  }
}

for (const harts of [1, 4]) {
  const title = `law 1 at ${POINTS} points of the boot on ${harts} harts`;
  testNeeding(test, [DEBIAN_GUEST], title, () => onHost((host) => checkPoints(host, harts)));
}

test.run();
