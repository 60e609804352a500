/**
 * local: a machine moves within its host, pages and disks as they are.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Machine, MemoryBackend, moveLocally, type VmError } from "../../src/node.ts";
import { scribblingHost } from "../snapshot/scribbler.ts";

const test = suite("migration/local");

test("a machine that runs moves to a successor again and again, and stays what it is", async () => {
  const { host, start } = await scribblingHost();
  const twin = await start({ name: "twin" });
  let machine: Machine = await start({ name: "mover" });
  for (let move = 0; move < 5; move++) {
    const run = machine.run();
    const before = machine;
    const { machine: next } = await moveLocally(host, machine, { name: `mover-${move}` });
    assert.is((await run).kind, "stopped");
    assert.is(before.state, "terminated");
    assert.is(before.reason, "migrated");
    assert.is(next.state, "running");
    before.dispose();
    machine = next;
    await machine.run(200_000);
    await twin.run(machine.instructions - twin.instructions);
    assert.is(machine.stateDigest(), twin.stateDigest(), `move ${move}`);
  }
  host.dispose();
});

test("a paused machine arrives paused", async () => {
  const { host, start } = await scribblingHost();
  const machine = await start();
  await machine.run(100_000);
  machine.pause("lunch");
  const digest = machine.stateDigest();
  const free = host.stats().framesFree;
  const { machine: next, pages } = await moveLocally(host, machine);
  assert.ok(pages > 1000, `${pages} pages`);
  // tables of the successor, at most
  assert.ok(host.stats().framesFree > free - 8, "no page was copied");
  assert.is(next.state, "paused");
  assert.is(next.stateDigest(), digest);
  host.dispose();
});

test("disks go along: what the machine wrote, and what is written later", async () => {
  const { host, start } = await scribblingHost();
  let isClosed = false;
  class Watched extends MemoryBackend {
    override close(): void {
      isClosed = true;
    }
  }
  const backend = new Watched(new Uint8Array(1 << 16));
  const machine = await start({ disks: [backend] });
  using capture = machine.capture();
  await machine.devices.disks[0].write(4096, new Uint8Array(512).fill(7));
  const { machine: next } = await moveLocally(host, machine);
  machine.dispose();
  await next.devices.disks[0].write(8192, new Uint8Array(512).fill(9));
  const read = async (at: number) => {
    const target = new Uint8Array(512);
    await backend.read(at, target);
    return target[0];
  };
  assert.equal([await read(4096), await read(8192)], [7, 9]);
  // a capture from before the move still shows the disk as it was then
  const old = new Uint8Array(4096);
  await capture.disks[0].read(2, old);
  assert.is(old[0], 0);
  assert.not.ok(isClosed);
  host.dispose();
});

test("a host without room refuses, and the machine runs on", async () => {
  const { host, start } = await scribblingHost({ machinesMax: 1 });
  const machine = await start();
  try {
    await moveLocally(host, machine);
    assert.unreachable();
  } catch (error) {
    assert.is((error as VmError).code, "limit");
  }
  assert.is(machine.state, "running");
  assert.is((await machine.run(1000)).kind, "budget");
  host.dispose();
});

test.run();
