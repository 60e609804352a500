/**
 * A remote machine over a channel of this process: it does what a machine does, its output waits
 * for whoever shows it, and nothing is left waiting when it ends.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { VmError } from "../../src/errors.ts";
import { builtinGuest, Host, nodePlatform } from "../../src/node.ts";
import type { Port, RemoteConfig } from "../../src/remote/protocol.ts";
import { RemoteMachine } from "../../src/remote/remote-machine.ts";
import { serveMachine } from "../../src/remote/serve-machine.ts";

const test = suite("remote/remote-machine");
const CONFIG: RemoteConfig = { kernel: builtinGuest(), memoryBytes: "16M" };
const ARENA = { arenaBytes: 64 << 20 };
/** Each is answered with some 700 bytes. */
const QUESTIONS = 1500;
/** Output that may be under way before the guest has to wait, and a piece more. */
const OUTPUT_BYTES_MAX = (256 << 10) + 4096;

/** An open channel keeps the process alive: a test that fails leaves one. */
const made: RemoteMachine[] = [];
test.after(() => {
  for (const machine of made) machine.dispose();
});

function portOf(port: MessagePort): Port {
  return {
    post: (message, transfer) => port.postMessage(message, [...transfer]),
    listen: (listener) => port.on("message", listener),
  };
}

/** A machine at the other end of a channel, and the means to make its thread fail. */
async function connect(config = CONFIG) {
  const { port1, port2 } = new MessageChannel();
  let fail = (_: string) => {};
  serveMachine(portOf(port2), {
    platform: () => nodePlatform(),
    openBlock: async (source) => {
      if (source !== "disk") throw new VmError("not-found", `no disk ${String(source)}`);
      return new MemoryBackend(new Uint8Array(1024));
    },
  });
  const thread = {
    port: portOf(port1),
    onFailure: (listener: (reason: string) => void) => (fail = listener),
    terminate: () => port1.close(),
  };
  const machine = await RemoteMachine.create(thread, config, ARENA);
  made.push(machine);
  return { machine, fail: (reason: string) => fail(reason) };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as VmError).code;
  }
  return "nothing was wrong";
}

/** Collects output; returns what has come. */
function collect(machine: RemoteMachine): () => string {
  const pieces: Uint8Array[] = [];
  machine.console.onOutput((bytes) => void pieces.push(bytes));
  return () => Buffer.concat(pieces).toString();
}

test("it boots, answers, tells its states and ends as a machine here does", async () => {
  const { machine } = await connect();
  const text = collect(machine);
  const states: string[] = [];
  machine.on("state", ({ to }) => states.push(to));
  assert.is(machine.state, "created");
  machine.console.write("primes 1000\npoweroff\n");
  await machine.boot();
  assert.is(machine.state, "running");
  assert.equal(await machine.run(), { kind: "poweroff", code: 0 });
  assert.match(text(), /168 primes/);
  assert.equal(states, ["running", "terminated"]);
  machine.dispose();
});

test("after so many instructions it has the digest of a machine here", async () => {
  const { machine } = await connect({ ...CONFIG, seed: 3, harts: 2 });
  const host = await Host.create(ARENA);
  const here = host.createMachine({ ...CONFIG, seed: 3, harts: 2, disks: [] });
  const work = "mem 4\nprimes 100000\n";
  here.console.write(work);
  machine.console.write(work);
  await Promise.all([here.boot(), machine.boot()]);
  await Promise.all([here.run(2_000_000), machine.run(2_000_000)]);
  assert.is(await machine.stateDigest(), here.stateDigest());
  const stats = await machine.stats();
  assert.is(stats.instructions, here.instructions);
  assert.is(stats.host.arenaBytes, ARENA.arenaBytes);
  host.dispose();
  machine.dispose();
});

test("a listener that is slow holds the guest up, and loses nothing", async () => {
  const { machine } = await connect({ ...CONFIG, consoleInput: "open" });
  let [shown, pending, most, asked] = [0, 0, 0, 0];
  const waiting: (() => void)[] = [];
  machine.console.onOutput((bytes) => {
    pending += bytes.length;
    most = Math.max(most, pending);
    // Each prompt is answered with a question that is answered at length.
    for (const char of bytes) {
      if (char === 0x3e) machine.console.write(++asked > QUESTIONS ? "poweroff\n" : "help\n");
    }
    return new Promise((resolve) => {
      waiting.push(() => {
        pending -= bytes.length;
        shown += bytes.length;
        resolve();
      });
    });
  });
  await machine.boot();
  let result: unknown = null;
  const run = machine.run().then((end) => {
    result = end;
  });
  for (let round = 0; result === null && round < 1_000_000; round++) {
    const { instructions } = await machine.stats();
    // Nothing moves any more: only now is some of it shown.
    if (instructions === (await machine.stats()).instructions) waiting.shift()?.();
  }
  await run;
  for (const show of waiting) show();
  assert.equal(result, { kind: "poweroff", code: 0 });
  assert.ok(shown > 3 * OUTPUT_BYTES_MAX, `${shown} bytes are no flood`);
  assert.ok(most <= OUTPUT_BYTES_MAX, `${most} bytes were under way`);
  machine.dispose();
});

/** A machine that stands because nobody takes its output. */
async function flooded() {
  const { machine } = await connect({ ...CONFIG, consoleInput: "open" });
  machine.console.onOutput((bytes) => {
    if (bytes.includes(0x3e)) machine.console.write("help\n".repeat(10));
    return new Promise(() => {});
  });
  await machine.boot();
  const run = machine.run();
  let last = -1;
  for (let round = 0; round < 1_000_000; round++) {
    const { instructions } = await machine.stats();
    if (instructions === last && instructions > 1_000_000) break;
    last = instructions;
  }
  return { machine, run };
}

/** What work comes to within so many answers of the machine; null when it does not. */
async function soon<T>(machine: RemoteMachine, work: Promise<T>): Promise<T | null> {
  let result: T | null = null;
  void work.then((value) => {
    result = value;
  });
  for (let round = 0; result === null && round < 10_000; round++) await machine.stats();
  return result;
}

test("a machine whose output nobody takes can be stopped", async () => {
  const { machine, run } = await flooded();
  await machine.stop();
  assert.equal(await soon(machine, run), { kind: "stopped" });
  machine.dispose();
});

test("who waits for a guest whose output nobody takes waits no longer than was said", async () => {
  const { machine, run } = await flooded();
  await machine.stop();
  await run;
  assert.is(await soon(machine, codeOf(machine.ready({ timeoutMs: 1 }))), "timeout");
  machine.dispose();
});

test("a listener that throws does not hold the guest up, and its error is seen", async () => {
  const { machine } = await connect();
  const seen: unknown[] = [];
  const see = (error: unknown) => seen.push(error);
  process.on("unhandledRejection", see);
  const remove = machine.console.onOutput(() => {
    throw new Error("cannot show it");
  });
  machine.console.write("poweroff\n");
  await machine.boot();
  assert.equal(await machine.run(), { kind: "poweroff", code: 0 });
  await new Promise((resolve) => setImmediate(resolve));
  remove();
  const heard = seen.length;
  const late = await connect();
  late.machine.console.write("help\npoweroff\n");
  await late.machine.boot();
  await late.machine.run();
  let pieces = 0;
  late.machine.console.onOutput(() => {
    pieces++;
    throw new Error("cannot show it");
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(seen.length, heard + pieces, "what was kept is heard to its end");
  late.machine.dispose();
  process.off("unhandledRejection", see);
  assert.ok(heard > 0);
  machine.dispose();
});

test("output that nobody listened for is handed to who comes first", async () => {
  const { machine } = await connect();
  machine.console.write("poweroff\n");
  await machine.boot();
  await machine.run();
  assert.match(collect(machine)(), /Rivulet built-in guest/);
  machine.dispose();
});

test("pause and resume, stop and run again", async () => {
  const { machine } = await connect();
  await machine.boot();
  machine.console.write("primes 5000000\n");
  const run = machine.run();
  await machine.pause("look");
  assert.is(machine.state, "paused");
  assert.is(machine.reason, "look");
  const { instructions } = await machine.stats();
  assert.is((await machine.stats()).instructions, instructions);
  await machine.resume();
  await machine.stop();
  assert.equal(await run, { kind: "stopped" });
  assert.equal(await machine.run(1000), { kind: "budget" });
  machine.dispose();
});

test("errors keep their codes", async () => {
  assert.is(await codeOf(connect({ ...CONFIG, harts: 99 })), "bad-config");
  assert.is(await codeOf(connect({ ...CONFIG, disks: [{ source: "none" }] })), "not-found");
  const mode = "rw" as "ro";
  assert.is(await codeOf(connect({ ...CONFIG, disks: [{ source: "disk", mode }] })), "bad-config");
  const odd = new Uint8Array(100);
  assert.is(await codeOf(connect({ ...CONFIG, disks: [{ source: odd }] })), "bad-file");
  const name = (() => {}) as unknown as string;
  assert.is(await codeOf(connect({ ...CONFIG, name })), "bad-argument");
  const { machine } = await connect({ ...CONFIG, disks: [{ source: "disk" }] });
  assert.is(await codeOf(machine.run()), "bad-state");
  assert.is(await codeOf(machine.resume()), "bad-state");
  machine.dispose();
});

test("disposing ends a run with stopped and refuses what comes after", async () => {
  const { machine } = await connect();
  await machine.boot();
  const ends: string[] = [];
  machine.on("state", ({ from, to, reason }) => ends.push(`${from} ${to} ${reason}`));
  const run = machine.run();
  machine.dispose();
  assert.equal(await run, { kind: "stopped" });
  assert.is(machine.state, "terminated");
  assert.equal(ends, ["running terminated disposed"]);
  assert.is(await codeOf(machine.stats()), "disposed");
  machine.console.write("too late\n");
  machine.dispose();
});

test("a thread that fails rejects everything that waits", async () => {
  const { machine, fail } = await connect();
  await machine.boot();
  const run = codeOf(machine.run());
  fail("out of memory");
  assert.is(await run, "io");
  assert.is(machine.state, "terminated");
  assert.is(machine.reason, "error");
});

test("commands for a guest that takes none end as on a machine here", async () => {
  const { machine } = await connect();
  assert.is(await codeOf(machine.exec("x")), "bad-state", "not booted");
  await machine.boot();
  assert.is(await codeOf(machine.ready({ timeoutMs: 1 })), "timeout");
  assert.is(await codeOf(machine.exec([], {})), "bad-argument");
  assert.is(await codeOf(machine.powerdown({ timeoutMs: 1 })), "timeout");
  machine.dispose();
});

test.run();
