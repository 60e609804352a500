/**
 * fork: children of a running Debian: each answers, each draws random numbers of its own because
 * the kernel was told of the fork, each has its own files and disk; an exact child is a replay.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  findGuest,
  Host,
  type Machine,
  type MachineConfig,
  MemoryBackend,
  type PreparedGuest,
} from "../../src/node.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";

const test = suite("boot/fork");
const CHILDREN = 8;
const GUARD_MS = 120_000;

function guestConfig(): MachineConfig {
  const { folder, manifest } = findGuest("debian") as PreparedGuest;
  return {
    kernel: readFileSync(join(folder, manifest.kernel)),
    initrd: readFileSync(join(folder, manifest.initrd)),
    append: manifest.append,
    agent: true,
  };
}

async function ask(machine: Machine, command: string): Promise<string> {
  const { status, stdout, stderr } = await machine.exec(command, { timeoutMs: GUARD_MS });
  const text = new TextDecoder();
  assert.is(status, 0, `${command}: ${text.decode(stderr)}`);
  return text.decode(stdout).trim();
}

testNeeding(
  test,
  [DEBIAN_GUEST],
  "eight forks of a running Debian live lives of their own",
  async () => {
    const host = await Host.create({ machinesMax: 2 + CHILDREN });
    try {
      const disks = [new MemoryBackend(new Uint8Array(1 << 20))];
      const parent = host.createMachine({ ...guestConfig(), name: "parent", disks });
      await parent.boot();
      await ask(parent, "echo before > /tmp/file; echo before | dd of=/dev/vda conv=fsync");
      const framesBefore = host.stats().framesFree;
      const children = await parent.fork(CHILDREN);
      const taken = framesBefore - host.stats().framesFree;
      assert.ok(taken <= 4 * CHILDREN, `${taken} frames for ${CHILDREN} children`);
      const draws = new Set<string>();
      for (const [index, child] of children.entries()) {
        assert.is(await ask(child, "cat /tmp/file; head -c 6 /dev/vda"), "before\nbefore");
        draws.add(await ask(child, "head -c 16 /dev/urandom | od -An -tx1"));
        assert.match(await ask(child, "dmesg | tail -n 3"), /reseeded due to virtual machine fork/);
        await ask(
          child,
          `echo ${index} > /tmp/file; echo child${index} | dd of=/dev/vda conv=fsync`,
        );
      }
      draws.add(await ask(parent, "head -c 16 /dev/urandom | od -An -tx1"));
      assert.is(draws.size, CHILDREN + 1, [...draws].join("\n"));
      assert.is(await ask(parent, "cat /tmp/file; head -c 6 /dev/vda"), "before\nbefore");
      for (const [index, child] of children.entries()) {
        const own = await ask(child, "cat /tmp/file; head -c 6 /dev/vda");
        assert.is(own, `${index}\nchild${index}`);
      }
    } finally {
      host.dispose();
    }
  },
);

testNeeding(test, [DEBIAN_GUEST], "an exact fork comes to the same, bit by bit", async () => {
  const host = await Host.create();
  try {
    const parent = host.createMachine(guestConfig());
    await parent.boot();
    await parent.run(150_000_000);
    const [twin] = await parent.fork(1, { exact: true });
    assert.is(twin.stateDigest(), parent.stateDigest());
    await twin.run(60_000_000);
    const digest = twin.stateDigest();
    twin.dispose();
    for (let turn = 0; turn < 6; turn++) await parent.run(10_000_000);
    assert.is(parent.stateDigest(), digest);
  } finally {
    host.dispose();
  }
});

test.run();
