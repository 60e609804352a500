/**
 * fairness: machines that run at the same time on one host share it turn by turn, and do not see
 * each other.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Assembler } from "../../src/asm/assembler.ts";
import { nodePlatform } from "../../src/node.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import { elfProgram, emitHang, smallHost } from "../helpers/guest-program.ts";

const test = suite("machine/fairness");
const SLICE_SLOTS_MAX = 1_000_000;
const wasm = await nodePlatform().loadCore();

/** Computes with memory and a CSR, so that a mixed-up state would show. */
function worker(factor: number): (a: Assembler) => void {
  return (a) => {
    a.la("s0", "memory");
    a.li("s1", factor);
    a.li("s2", 1);
    a.label("round");
    a.mul("s2", "s2", "s1");
    a.addi("s2", "s2", 11);
    a.csrw("mscratch", "s2");
    a.srli("t0", "s2", 40);
    a.andi("t0", "t0", 0x7f8);
    a.add("t0", "t0", "s0");
    a.ld("t1", "t0", 0);
    a.csrr("t2", "mscratch");
    a.xor("t1", "t1", "t2");
    a.sd("t1", "t0", 0);
    a.j("round");
    a.align(4096);
    a.label("memory");
    a.space(4096);
  };
}

test("no machine gets ahead by more than a slice", async () => {
  const host = await smallHost({ platform: new SimPlatform(wasm) });
  const machines = [];
  for (let index = 0; index < 3; index++) {
    const machine = host.createMachine({ kernel: elfProgram(emitHang), memoryBytes: "1M" });
    await machine.boot();
    machines.push(machine);
  }
  const [first, ...others] = machines;
  const runs = others.map((machine) => machine.run());
  await first.run(8 * SLICE_SLOTS_MAX);
  for (const other of others) {
    const ahead = other.instructions - first.instructions;
    assert.ok(Math.abs(ahead) <= 2 * SLICE_SLOTS_MAX, `${ahead} ahead`);
    other.stop();
  }
  for (const run of runs) assert.equal(await run, { kind: "stopped" });
});

test("machines that share a core end as they do alone", async () => {
  const budget = 3_000_000;
  const factors = [6364136223, 2862933555, 3202034523];
  const host = await smallHost();
  const make = async (factor: number, harts: number) => {
    const kernel = elfProgram(worker(factor));
    const machine = host.createMachine({ kernel, memoryBytes: "2M", harts });
    await machine.boot();
    return machine;
  };
  const alone: string[] = [];
  for (const [index, factor] of factors.entries()) {
    const machine = await make(factor, index + 1);
    await machine.run(budget);
    alone.push(machine.stateDigest());
    machine.dispose();
  }
  const together = [];
  for (const [index, factor] of factors.entries()) together.push(await make(factor, index + 1));
  await Promise.all(together.map((machine) => machine.run(budget)));
  assert.equal(
    together.map((machine) => machine.stateDigest()),
    alone,
  );
});

test("a frame given back and taken by another machine holds zeros", async () => {
  const host = await smallHost({ arenaBytes: 16 * 1024 * 1024 });
  const kernel = elfProgram(worker(7));
  const run = async () => {
    const machine = host.createMachine({ kernel, memoryBytes: "2M" });
    await machine.boot();
    await machine.run(100_000);
    const digest = machine.stateDigest();
    machine.dispose();
    return digest;
  };
  const first = await run();
  for (let round = 0; round < 20; round++) assert.is(await run(), first);
});

test.run();
