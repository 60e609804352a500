/**
 * dispose: nothing of a machine or a host stays behind: frames, heap, timers, handles.
 */
import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("package/dispose");

/** Runs a module in a process of its own, with the collector at hand. */
function runModule(script: string): unknown {
  const args = ["--expose-gc", "--input-type=module", "-e", script];
  const done = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 120_000 });
  assert.is(done.status, 0, done.stderr);
  return JSON.parse(done.stdout);
}

const ROUNDS = `
import { builtinGuest, Host } from "./dist/src/node.js";
const heapBytes = () => {
  for (let round = 0; round < 3; round++) globalThis.gc();
  return process.memoryUsage().heapUsed;
};
`;

test("after 100 rounds of create, boot and dispose no frame is in use, the heap as after 10", () => {
  const found = runModule(`${ROUNDS}
const host = await Host.create({ arenaBytes: 1 << 28 });
const framesFree = host.stats().framesFree;
const kernel = builtinGuest();
let tenth = 0;
for (let round = 1; round <= 100; round++) {
  const machine = host.createMachine({ kernel, memoryBytes: "16M", harts: 1 + (round % 4) });
  let bytes = 0;
  machine.console.onOutput((piece) => { bytes += piece.length; });
  machine.on("state", () => {});
  await machine.boot();
  machine.console.write("info\\n");
  await machine.run(400_000);
  if (bytes === 0) throw new Error("the guest says nothing");
  machine.dispose();
  if (round === 10) tenth = heapBytes();
}
const { framesTotal, framesFree: left, machines } = host.stats();
console.log(JSON.stringify({ grown: heapBytes() - tenth, inUse: framesFree - left, machines }));
`) as { grown: number; inUse: number; machines: number };
  assert.is(found.inUse, 0);
  assert.is(found.machines, 0);
  assert.ok(found.grown < 1 << 20, `the heap grew by ${found.grown} bytes`);
});

test("hosts go too: their arenas are collected", () => {
  const found = runModule(`${ROUNDS}
const held = [];
for (let round = 0; round < 40; round++) {
  const host = await Host.create({ arenaBytes: 1 << 26 });
  const machine = host.createMachine({ kernel: builtinGuest(), memoryBytes: "16M" });
  await machine.boot();
  await machine.run(100_000);
  host.dispose();
  held.push(new WeakRef(host));
  if (round % 8 === 7) { await new Promise(setImmediate); heapBytes(); }
}
await new Promise(setImmediate);
heapBytes();
const alive = held.filter((reference) => reference.deref() !== undefined).length;
console.log(JSON.stringify({ alive, arrays: process.memoryUsage().arrayBuffers }));
`) as { alive: number; arrays: number };
  assert.ok(found.alive <= 2, `${found.alive} of 40 hosts are still there`);
});

test("a run under way ends as stopped, and the process ends by itself", () => {
  const found = runModule(`${ROUNDS}
const host = await Host.create({ arenaBytes: 1 << 26 });
const config = { kernel: builtinGuest(), memoryBytes: "16M", clock: "host", consoleInput: "open" };
const machine = host.createMachine(config);
await machine.boot();
const run = machine.run();
await new Promise(setImmediate);
host.dispose();
console.log(JSON.stringify(await run));
`);
  assert.equal(found, { kind: "stopped" });
});

test.run();
