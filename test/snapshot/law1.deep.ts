/**
 * law1, deep: Debian's boot, kept in files at 1000 random points, goes on for two million
 * instructions as the machines that are made of the snapshots do. POINTS=... makes it shorter.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { findGuest, Host, type PreparedGuest } from "../../src/node.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { seedOf } from "../helpers/random.ts";
import { runCampaign } from "./law1.ts";

const test = suite("snapshot/law1");
const POINTS = Number(process.env["POINTS"] ?? 1000);
/** What the boot takes, about. */
const BOOT_INSTRUCTIONS = 600_000_000;
const ON = 2_000_000;
const seed = seedOf(4_110_824);

testNeeding(test, [DEBIAN_GUEST], `${POINTS} points of the Debian boot`, async () => {
  const { folder, manifest } = findGuest("debian") as PreparedGuest;
  const host = await Host.create();
  const machine = host.createMachine({
    kernel: readFileSync(join(folder, manifest.kernel)),
    initrd: readFileSync(join(folder, manifest.initrd)),
    append: manifest.append,
    memoryBytes: "64M",
  });
  await machine.boot();
  const gap = Math.max(1, Math.ceil((2 * BOOT_INSTRUCTIONS) / POINTS) - 2 * ON);
  const tally = await runCampaign({
    ...{ host, machine, seed, points: POINTS, gap: Math.max(gap, 100_000), on: ON },
    config: { consoleInput: "closed" },
  });
  console.log(`SEED=${seed}: ${JSON.stringify(tally)}`);
  host.dispose();
});

test.run();
