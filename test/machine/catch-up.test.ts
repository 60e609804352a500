/**
 * catch-up: a machine that catches up with its host has no step of that while a hart has
 * its interrupts masked, as a handler has; one that masks them for good catches up all the same.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import { imageProgram, KERNEL, smallHost } from "../helpers/guest-program.ts";
import { HostTime } from "../helpers/host-time.ts";

const test = suite("machine/catch-up");
const GAP_MS = 100_000;
/** Of a step of 250 ms; a slice's estimate of the time takes a little of it. */
const HALF_STEP_TICKS = 1_250_000;
const TURNS_MAX = 10_000_000;
/** Where the guest keeps the longest time that it was masked, and that it was not. */
const LONGEST = KERNEL + 0x1000;
const SIE = 2;

type Build = (a: Assembler) => void;

/** `work` between two looks at the time; the longest goes to LONGEST + `offset`. */
function emitTimed(a: Assembler, offset: number, loops: number): void {
  const again = a.fresh("again");
  const isShorter = a.fresh("shorter");
  a.csrr("t0", "time");
  a.li("t2", loops);
  a.label(again);
  a.addi("t2", "t2", -1);
  a.bne("t2", "zero", again);
  a.csrr("t1", "time");
  a.sub("t1", "t1", "t0");
  a.ld("t0", "s0", offset);
  a.bge("t0", "t1", isShorter);
  a.sd("t1", "s0", offset);
  a.label(isShorter);
}

/** Masked for longer than lies between two steps; then not, for a moment. */
const emitHandlers: Build = (a) => {
  a.li("s0", LONGEST);
  a.label("round");
  a.csrci("sstatus", SIE);
  emitTimed(a, 0, 60_000);
  a.csrsi("sstatus", SIE);
  emitTimed(a, 8, 5000);
  a.j("round");
};

/** Never lets an interrupt in. */
const emitMasked: Build = (a) => {
  a.li("s0", LONGEST);
  a.csrci("sstatus", SIE);
  a.label("round");
  emitTimed(a, 0, 10_000);
  a.j("round");
};

async function afterGap(build: Build, harts: number): Promise<{ masked: number; open: number }> {
  const platform = new HostTime();
  const host = await smallHost({ platform });
  try {
    const config = { kernel: imageProgram(build), memoryBytes: "4M", clock: "host" } as const;
    const machine = host.createMachine({ ...config, harts });
    await machine.boot();
    await machine.run(1_000_000);
    const capture = machine.capture();
    platform.sleep(GAP_MS);
    const later = await host.createFrom(capture, {}, { clock: "jump" });
    const before = later.stats().ticks;
    later.resume();
    const run = later.run();
    for (let turn = 0; later.stats().behindTicks > 0; turn++) {
      assert.ok(turn < TURNS_MAX, `${later.stats().behindTicks} ticks behind`);
      await platform.yieldToEventLoop();
    }
    later.stop();
    await run;
    assert.ok(later.stats().ticks - before >= GAP_MS * 10_000, "the gap has passed");
    const bytes = new Uint8Array(16);
    assert.ok(later.view.memory.read(LONGEST, bytes));
    const at = new DataView(bytes.buffer);
    const [masked, open] = [0, 8].map((offset) => Number(at.getBigUint64(offset, true)));
    return { masked, open };
  } finally {
    host.dispose();
  }
}

for (const harts of [1, 2]) {
  test(`${harts} harts: no step comes while interrupts are masked`, async () => {
    const { masked, open } = await afterGap(emitHandlers, harts);
    assert.ok(masked > 0 && masked < HALF_STEP_TICKS, `masked for ${masked} ticks`);
    assert.ok(open >= HALF_STEP_TICKS, `steps come where they are not: ${open} ticks`);
  });
}

test("a busy machine that goes back to before catches up from there", async () => {
  const platform = new HostTime();
  const host = await smallHost({ platform });
  try {
    const kernel = imageProgram(emitHandlers);
    const machine = host.createMachine({ kernel, memoryBytes: "4M", clock: "host" });
    await machine.boot();
    await machine.run(1_000_000);
    const early = machine.capture();
    await machine.run(100_000_000);
    machine.pause();
    const late = machine.capture();
    platform.sleep(GAP_MS);
    for (const capture of [late, early]) {
      await machine.adopt(capture, { identity: "same", clock: "jump" });
      const behind = machine.stats().behindTicks;
      machine.resume();
      await machine.run(60_000_000);
      machine.pause();
      const { behindTicks } = machine.stats();
      assert.ok(behindTicks < behind / 2, `${behindTicks} of ${behind} ticks are still missing`);
    }
  } finally {
    host.dispose();
  }
});

test("a guest that never unmasks them catches up too", async () => {
  const { masked } = await afterGap(emitMasked, 1);
  assert.ok(masked >= HALF_STEP_TICKS, `${masked} ticks`);
});

test.run();
