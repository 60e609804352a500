/**
 * views: the typed windows on the core: arena, machines, harts, guest memory.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HART_STIMECMP, MACHINE_SLOTS } from "../../assembly/layout.ts";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { nodePlatform, VmError } from "../../src/node.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("core/views");
const RAM = 0x8000_0000;
const MEBIBYTE = 1024 * 1024;
const wasm = await nodePlatform().loadCore();

const makeCore = (arenaBytes = 32 * MEBIBYTE, machinesMax = 2) =>
  Core.create(wasm, { arenaBytes, machinesMax });

async function refuses(work: () => Promise<unknown>, code: string, text: RegExp): Promise<void> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, code);
    assert.match(error.message, text);
    return;
  }
  assert.unreachable(`accepted, expected ${text}`);
}

test("arenas of the wrong size", async () => {
  for (const bytes of [0, 65536, 8 * MEBIBYTE, 16 * MEBIBYTE + 1, 2 ** 33, Number.NaN, -65536]) {
    await refuses(() => makeCore(bytes), "bad-config", /accepted are multiples of 65536/);
  }
  await refuses(() => makeCore(16 * MEBIBYTE, 4096), "bad-config", /at least \d+ are needed/);
});

test("bytes that are no core", async () => {
  const create = (bytes: Uint8Array) =>
    Core.create(bytes, { arenaBytes: 32 * MEBIBYTE, machinesMax: 1 });
  await refuses(() => create(new Uint8Array(8)), "bad-file", /does not instantiate/);
  await refuses(() => create(wasm.slice(0, 5000)), "bad-file", /does not instantiate/);
});

test("the whole 4 GiB can be reserved", async () => {
  const core = await Core.create(wasm, { machinesMax: 16 });
  assert.is(core.arenaBytes, 2 ** 32);
  const machine = MachineView.create(core, { ramPages: 524288, harts: 8, quantum: 1000 });
  const last = machine.memory.end - 8;
  assert.ok(machine.memory.writeU64(last, 0x1122334455667788n));
  assert.is(machine.memory.readU64(last), 0x1122334455667788n);
  assert.is(machine.harts.length, 8);
});

test("64-bit fields as numbers and as bigints agree", async () => {
  const core = await makeCore();
  const machine = MachineView.create(core, { ramPages: 256, harts: 2, quantum: 1000 });
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 12_345, Number.MAX_SAFE_INTEGER]) {
    machine.setNumber(MACHINE_SLOTS, value);
    assert.is(machine.slots, value);
    assert.is(machine.get64(MACHINE_SLOTS), BigInt(value));
  }
  const [first, second] = machine.harts;
  first.set64(HART_STIMECMP, 2n ** 64n - 1n);
  assert.is(first.get64(HART_STIMECMP), 2n ** 64n - 1n);
  first.setX(5, -1n);
  assert.is(first.x(5), 2n ** 64n - 1n);
  assert.is(first.xNumber(5), Number.POSITIVE_INFINITY);
  first.setX(0, 7n);
  assert.is(first.x(0), 0n);
  assert.is(second.x(5), 0n);
  assert.equal([first.id, second.id], [0, 1]);
});

test("guest memory against a plain array", async () => {
  const random = new Random(seedOf(20261125));
  const core = await makeCore();
  const machine = MachineView.create(core, { ramPages: 256, harts: 1, quantum: 1000 });
  const model = new Uint8Array(MEBIBYTE);
  for (let round = 0; round < 3000; round++) {
    const at = random.below(MEBIBYTE);
    const bytes = new Uint8Array(random.chance(20) ? random.below(20_000) : random.below(64));
    const isInside = at + bytes.length <= MEBIBYTE;
    const where = `SEED=${random.seed} round ${round}`;
    if (random.chance(50)) {
      for (let index = 0; index < bytes.length; index++) bytes[index] = random.below(256);
      assert.is(machine.memory.write(RAM + at, bytes), isInside, where);
      if (isInside) model.set(bytes, at);
    } else {
      assert.is(machine.memory.read(RAM + at, bytes), isInside, where);
      if (isInside) assert.equal(bytes, model.slice(at, at + bytes.length), where);
    }
  }
});

test("addresses outside RAM", async () => {
  const core = await makeCore();
  const machine = MachineView.create(core, { ramPages: 256, harts: 1, quantum: 1000 });
  const { memory } = machine;
  const one = Uint8Array.of(1);
  for (const at of [0, RAM - 1, RAM + MEBIBYTE, 2 ** 40, 2 ** 53, Number.POSITIVE_INFINITY, -1]) {
    assert.not(memory.contains(at, 1), String(at));
    assert.not(memory.write(at, one), String(at));
    assert.not(memory.read(at, one), String(at));
    assert.not(memory.reserve(at, 1), String(at));
    assert.is(memory.readU64(at), null);
  }
  for (const bytes of [2, 2 ** 32, 2 ** 53, Number.POSITIVE_INFINITY]) {
    assert.not(memory.contains(RAM + MEBIBYTE - 1, bytes));
    assert.not(memory.reserve(RAM + MEBIBYTE - 1, bytes));
  }
  assert.not(memory.contains(Number.NaN, 1));
  assert.not(memory.contains(RAM, Number.NaN));
});

test("a full pool refuses, and what was written stays", async () => {
  const core = await makeCore(16 * MEBIBYTE, 2);
  const pages = Math.floor(core.framesTotal / 2) + 200;
  const shape = { ramPages: pages, harts: 1, quantum: 1000 };
  const first = MachineView.create(core, shape);
  const second = MachineView.create(core, shape);
  assert.ok(first.memory.reserve(RAM, pages * 4096));
  assert.not(second.memory.reserve(RAM, pages * 4096));
  const bytes = new Uint8Array(8192).fill(7);
  assert.not(second.memory.write(RAM + (pages - 2) * 4096, bytes));
  assert.ok(second.memory.write(RAM, bytes));
  first.dispose();
  assert.ok(second.memory.write(RAM + (pages - 2) * 4096, bytes));
  second.dispose();
  assert.is(core.framesFree, core.framesTotal);
});

test("equal memory has equal page digests, whatever was allocated for zeros", async () => {
  const core = await makeCore();
  const shape = { ramPages: 256, harts: 1, quantum: 1000 };
  const first = MachineView.create(core, shape);
  const second = MachineView.create(core, shape);
  const digest = (view: MachineView) => view.digestPages().join();
  assert.is(digest(first), digest(second));
  first.memory.reserve(RAM, 65536);
  assert.is(digest(first), digest(second));
  first.memory.write(RAM + 5000, Uint8Array.of(1));
  assert.is.not(digest(first), digest(second));
  second.memory.write(RAM + 5000 + 4096, Uint8Array.of(1));
  assert.is.not(digest(first), digest(second));
  second.memory.write(RAM + 5000 + 4096, Uint8Array.of(0));
  second.memory.write(RAM + 5000, Uint8Array.of(1));
  assert.is(digest(first), digest(second));
});

test.run();
