/**
 * Law 0 on the Debian boot: two machines from the same files, one run straight, the other with its
 * budget split and its caches flushed at random; after every stretch their digests are equal.
 *
 *   100 stretches of at least 5 M instructions, at least 8 splits and flushes each, half of them
 *   with four harts
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findGuest, Host, type Machine, type PreparedGuest } from "../../src/node.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("law0/boot");
const SEED = seedOf(5);
const STRETCHES = 50;
/** On average so long that the last stretches come behind the prompt (1,300 M instructions). */
const INSTRUCTIONS_MIN = 5_000_000;
const INSTRUCTIONS_MAX = 54_000_000;
const SPLITS_MIN = 8;
const SPLITS_MAX = 20;
const ARENA_BYTES = 512 * 1024 * 1024;
/** Work for the shell, should the boot be over before the stretches are. */
const TYPED = "while true; do ls -lR /proc/1 | md5sum; done\n";

async function bootedMachine(harts: number): Promise<Machine> {
  const { folder, manifest } = findGuest("debian") as PreparedGuest;
  const host = await Host.create({ arenaBytes: ARENA_BYTES, machinesMax: 1 });
  const machine = await host.createMachine({
    harts,
    memoryBytes: "256M",
    kernel: readFileSync(join(folder, manifest.kernel)),
    initrd: readFileSync(join(folder, manifest.initrd)),
    append: manifest.append,
  });
  machine.console.write(TYPED);
  await machine.boot();
  return machine;
}

async function runTo(machine: Machine, instructions: number): Promise<void> {
  const result = await machine.run(instructions - machine.instructions);
  assert.is(result.kind, "budget", `ended with ${result.kind} at ${machine.instructions}`);
  assert.is(machine.instructions, instructions);
}

/** Where a stretch is cut, ascending: some cuts lie an instruction or a few from another. */
function cutsOf(random: Random, from: number, to: number): number[] {
  const cuts = Array.from({ length: random.between(SPLITS_MIN, SPLITS_MAX) }, () =>
    random.between(from + 1, to - 100),
  );
  const close = cuts.slice(0, 3).map((cut) => cut + random.between(1, 50));
  return [...new Set([...cuts, ...close])].sort((a, b) => a - b);
}

async function runSplit(machine: Machine, random: Random, to: number): Promise<number> {
  const cuts = cutsOf(random, machine.instructions, to);
  for (const cut of cuts) {
    await runTo(machine, cut);
    machine.view.flush(random.between(1, 3));
  }
  await runTo(machine, to);
  return cuts.length;
}

async function checkBoot(harts: number): Promise<void> {
  const random = new Random(SEED + harts);
  const straight = await bootedMachine(harts);
  const split = await bootedMachine(harts);
  let text = "";
  straight.console.onOutput((bytes) => {
    text += Buffer.from(bytes).toString("latin1");
  });
  assert.is(split.stateDigest(), straight.stateDigest(), "the two start alike");
  let cuts = 0;
  for (let stretch = 1; stretch <= STRETCHES; stretch++) {
    const to = straight.instructions + random.between(INSTRUCTIONS_MIN, INSTRUCTIONS_MAX);
    const from = straight.instructions;
    await runTo(straight, to);
    cuts += await runSplit(split, random, to);
    const where = `SEED=${SEED}, ${harts} harts, stretch ${stretch}: ${from} to ${to}`;
    assert.is(split.stateDigest(), straight.stateDigest(), where);
  }
  console.log(`${harts} harts: ${straight.instructions} instructions, ${cuts} cuts and flushes`);
  assert.ok(cuts >= STRETCHES * SPLITS_MIN, `${cuts} cuts`);
  assert.match(text, /^BOOT-OK\r?$/m, "it came to the shell and went on");
}

for (const harts of [1, 4]) {
  const title = `${harts === 1 ? "one hart" : "four harts"}: ${STRETCHES} stretches of the boot`;
  testNeeding(test, [DEBIAN_GUEST], `${title}, split and flushed, come out equal`, () =>
    checkBoot(harts),
  );
}

test.run();
