/**
 * invariants: the walker says nothing about a sound arena, and names what is wrong with a broken
 * one.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MACHINE_LOG_FRAMES, MACHINE_ROOT } from "../../assembly/layout.ts";
import type { Core } from "../../src/core/instance.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { makeCore } from "../mmu/core.ts";
import { makeGuest, RAM } from "./guest.ts";
import { addressOf, brokenInvariants } from "./invariants.ts";

const test = suite("memory/invariants");

/** A machine in the middle of a loop that loads, stores and executes. */
async function busy(): Promise<{ core: Core; machine: MachineView }> {
  const core = await makeCore(16 * 1024 * 1024);
  makeGuest(core, (a) => a.nop()).dispose();
  const machine = makeGuest(core, (a) => {
    a.li("s0", RAM + 0x10_0000);
    a.label("again");
    a.sd("s0", "s0", 0);
    a.ld("t0", "s0", 0);
    a.lui("t1", 64);
    a.add("t1", "t1", "s0");
    a.ld("t1", "t1", 0);
    a.j("again");
  });
  machine.run(100);
  return { core, machine };
}

const BREAKS: readonly [name: string, pattern: RegExp, (c: Core, m: MachineView) => void][] = [
  [
    "a reference too many",
    /references, named/,
    (core) => void core.u32[addressOf(core, "references", 2) / 4]++,
  ],
  ["a lost frame", /counted free/, (core) => void core.u32[addressOf(core, "free", 0) / 4]--],
  [
    "a log that was never closed",
    /is closed and holds frame/,
    (_core, machine) => machine.set32(MACHINE_LOG_FRAMES, 9),
  ],
  ["a root that is no frame", /frame 0 named/, (_core, machine) => machine.set32(MACHINE_ROOT, 0)],
  [
    "a tag in a slot of its own number",
    /of nobody is filled|leads to frame/,
    (core) => {
      core.u64[addressOf(core, "tlb", 77) / 8] = 77n << 12n;
    },
  ],
  [
    "a tag of 0 in slot 5",
    /tag 0|leads to frame/,
    (core) => {
      core.u64[addressOf(core, "tlb", 5) / 8] = 0n;
    },
  ],
  [
    "a zero page that nobody noted",
    /zero page, but not noted/,
    (core) => {
      core.u32[addressOf(core, "zero mapped", 0) / 4] = 0;
    },
  ],
  [
    "an epoch that ended too early",
    /is not noted/,
    (core) => void core.u32[addressOf(core, "epoch", 0) / 4]++,
  ],
];

test("a sound arena has no complaints", async () => {
  const { core, machine } = await busy();
  assert.equal(brokenInvariants(core, [machine]), []);
  machine.dispose();
  assert.equal(brokenInvariants(core, []), []);
});

for (const [name, pattern, damage] of BREAKS) {
  test(`${name} is found`, async () => {
    const { core, machine } = await busy();
    damage(core, machine);
    assert.match(brokenInvariants(core, [machine]).join("; "), pattern);
  });
}

test("a machine that is not named leaves frames without an owner", async () => {
  const { core } = await busy();
  assert.match(brokenInvariants(core, []).join("; "), /named 0 times/);
});

test.run();
