/**
 * fork: children of a running Debian: each answers, each draws random numbers of its own because
 * the kernel was told of the fork, each has its own files and disk; an exact child is a replay.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Host, MemoryBackend } from "../../src/node.ts";
import { debian, say } from "../helpers/debian.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";

const test = suite("boot/fork");
const CHILDREN = 8;

testNeeding(
  test,
  [DEBIAN_GUEST],
  "eight forks of a running Debian live lives of their own",
  async () => {
    const host = await Host.create({ machinesMax: 2 + CHILDREN });
    try {
      const disks = [new MemoryBackend(new Uint8Array(1 << 20))];
      const parent = host.createMachine({ ...debian(), name: "parent", disks });
      await parent.boot();
      await say(parent, "echo before > /tmp/file; echo before | dd of=/dev/vda conv=fsync");
      const framesBefore = host.stats().framesFree;
      const children = await parent.fork(CHILDREN);
      const taken = framesBefore - host.stats().framesFree;
      assert.ok(taken <= 4 * CHILDREN, `${taken} frames for ${CHILDREN} children`);
      const draws = new Set<string>();
      for (const [index, child] of children.entries()) {
        assert.is(await say(child, "cat /tmp/file; head -c 6 /dev/vda"), "before\nbefore");
        draws.add(await say(child, "head -c 16 /dev/urandom | od -An -tx1"));
        assert.match(await say(child, "dmesg | tail -n 3"), /reseeded due to virtual machine fork/);
        await say(
          child,
          `echo ${index} > /tmp/file; echo child${index} | dd of=/dev/vda conv=fsync`,
        );
      }
      draws.add(await say(parent, "head -c 16 /dev/urandom | od -An -tx1"));
      assert.is(draws.size, CHILDREN + 1, [...draws].join("\n"));
      assert.is(await say(parent, "cat /tmp/file; head -c 6 /dev/vda"), "before\nbefore");
      for (const [index, child] of children.entries()) {
        const own = await say(child, "cat /tmp/file; head -c 6 /dev/vda");
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
    const parent = host.createMachine(debian());
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
