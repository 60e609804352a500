/**
 * sixteen Debian guests at once on one host: each boots, each answers with what only it knows, and
 * they run on while the others do.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Host } from "../../src/node.ts";
import { debian, say } from "../helpers/debian.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";

const test = suite("boot/sixteen (deep)");
const MACHINES = 16;
/** They boot on one core. */
const GUARD_MS = 900_000;

testNeeding(test, [DEBIAN_GUEST], "sixteen Debians on one host, each alive", async () => {
  const host = await Host.create();
  try {
    const machines = Array.from({ length: MACHINES }, (_, index) =>
      host.createMachine(
        debian({ name: `m${index}`, memoryBytes: "128M", clock: "host", seed: index }),
      ),
    );
    assert.throws(() => host.createMachine(debian({ name: "one more" })), /16/);
    await Promise.all(machines.map((machine) => machine.boot()));
    for (const machine of machines) void machine.run();
    await Promise.all(machines.map((machine) => machine.ready({ timeoutMs: GUARD_MS })));
    const up = await Promise.all(
      machines.map((machine) => say(machine, "cut -d. -f1 /proc/uptime")),
    );
    await Promise.all(
      machines.map(({ name }, index) => say(machines[index], `echo ${name} > /me`)),
    );
    const names = await Promise.all(machines.map((machine) => say(machine, "cat /me; uname -m")));
    assert.equal(
      names,
      machines.map(({ name }) => `${name}\nriscv64`),
    );
    const draws = machines.map((machine) => say(machine, "od -An -tx8 -N16 /dev/urandom"));
    assert.is(new Set(await Promise.all(draws)).size, MACHINES);
    const { framesTotal, framesFree, machines: count } = host.stats();
    assert.is(count, MACHINES);
    const mebibytes = Math.round(((framesTotal - framesFree) * 4096) / 2 ** 20);
    console.log(`${count} Debians up for ${up.join(" ")} s, in ${mebibytes} MiB`);
  } finally {
    host.dispose();
  }
});

test.run();
