/**
 * gdb: gdb-multiarch itself at the built-in guest and at the Debian kernel: what it shows is what
 * the machine is, it gets where it wants to, and the guest does not notice that it was there.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { bytesOf, frame } from "../../src/debug/packet.ts";
import {
  builtinGuest,
  findGuest,
  GdbServer,
  Host,
  letGo,
  type Machine,
  type PreparedGuest,
} from "../../src/node.ts";
import { listenTcp } from "../../src/platform/node/tcp-server.ts";
import { CLI } from "../helpers/cli.ts";
import { DEBIAN_GUEST, GDB, testNeeding } from "../helpers/need.ts";

const test = suite("debug/gdb");
const GDB_MS_MAX = 240_000;

const host = await Host.create();
test.after(() => host.dispose());

const hex = (value: bigint) => `0x${value.toString(16)}`;

/** Runs a program to its end; what it said. */
function program(name: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: GDB_MS_MAX,
      killSignal: "SIGKILL",
    });
    let output = "";
    const take = (bytes: Buffer) => {
      output += bytes.toString("utf8");
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", reject);
    child.once("close", (_, signal) => {
      if (signal === null) resolve(output);
      else reject(new Error(`${name}: ${signal} after ${output.slice(-3000)}`));
    });
  });
}

/** gdb in batch mode at a port. */
function gdbAt(port: number, commands: readonly string[]): Promise<string> {
  const first = [
    "set confirm off",
    "set pagination off",
    "set tcp connect-timeout 10",
    "set remotetimeout 60",
    "set architecture riscv:rv64",
    `target remote 127.0.0.1:${port}`,
  ];
  const all = [...first, ...commands].flatMap((one) => ["-ex", one]);
  return program(GDB.name, ["-nx", "-batch", ...all]);
}

/** Serves a machine, lets gdb do its commands, and closes the door again. */
async function debug(machine: Machine, commands: readonly string[]): Promise<string> {
  const target = { machine, resume: () => letGo(machine), kill: () => machine.stop() };
  const server = new GdbServer({ target: () => target });
  const place = { host: "127.0.0.1", port: 0, isOpen: false };
  const listener = await listenTcp(place, (peer) => server.accept(peer));
  try {
    return await gdbAt(listener.port, commands);
  } finally {
    server.close();
    await listener.close();
  }
}

/** Runs to the end without a debugger. */
async function endOf(machine: Machine): Promise<string> {
  const result = await machine.run();
  assert.is(result.kind, "poweroff");
  const digest = machine.stateDigest();
  machine.dispose();
  return digest;
}

async function builtin(): Promise<Machine> {
  const kernel = builtinGuest();
  const machine = host.createMachine({
    kernel,
    memoryBytes: "16M",
    harts: 4,
    clock: "virtual",
    seed: 3,
  });
  await machine.boot();
  machine.console.write(new TextEncoder().encode("echo one two\npoweroff\n"));
  machine.console.closeInput();
  return machine;
}

testNeeding(test, [GDB], "the built-in guest under gdb", async () => {
  const digest = await endOf(await builtin());
  const machine = await builtin();
  const output = await debug(machine, [
    "info threads",
    "x/2i $pc",
    "stepi",
    "stepi",
    "info registers pc priv misa",
    "set $a5 = 0x1234",
    "p/x $a5",
    "set $a5 = 0",
    "set *(int*)0x80f00000 = 0x55667788",
    "x/1wx 0x80f00000",
    "set *(int*)0x80f00000 = 0",
    "watch *(int*)0x80f00000",
    "hbreak *0x80000014",
    "delete",
    "thread 3",
    "stepi",
    "monitor info",
    "awatch *(char*)0x10000000",
    "continue",
    "delete",
    "continue",
  ]);
  assert.match(output, /\* 1 +Thread 1 "hart 0" \(M at 0x80000000\)/, output);
  assert.match(output, /4 +Thread 4 "hart 3"/);
  assert.match(output, /=> 0x80000000:\tcsrr\tt0,mhartid/);
  assert.match(output, /priv +0x3\tprv:3 \[Machine\]/);
  assert.match(output, /misa .*RV64ACDFIMSU/);
  assert.match(output, /= 0x1234\n/);
  assert.match(output, /0x80f00000:\t0x55667788/);
  assert.match(output, /Hardware watchpoint \d: \*\(int\*\)0x80f00000/);
  assert.match(output, /hart 2: M at 0x80000004/);
  assert.match(output, /Hardware access \(read\/write\) watchpoint \d: \*\(char\*\)0x10000000/);
  assert.match(output, /exited normally/);
  assert.is(machine.state, "terminated");
  assert.is(machine.stateDigest(), digest, "what was written was put back");
  machine.dispose();
});

async function debian(): Promise<Machine> {
  const { folder, manifest } = findGuest("debian") as PreparedGuest;
  const file = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
  const machine = host.createMachine({
    kernel: file(manifest.kernel),
    initrd: file(manifest.initrd),
    append: manifest.append,
    memoryBytes: "256M",
    harts: 4,
    clock: "virtual",
    seed: 5,
  });
  await machine.boot();
  machine.console.write(new TextEncoder().encode("poweroff -f\n"));
  machine.console.closeInput();
  return machine;
}

testNeeding(test, [GDB, DEBIAN_GUEST], "the Debian kernel on four harts under gdb", async () => {
  const plain = await debian();
  assert.is((await plain.debugger.step(0, 50)).kind, "break");
  const early = hex(plain.debugger.registers().pc);
  await plain.run(40_000_000);
  const vector = plain.debugger.csr(0, "stvec") ?? 0n;
  assert.ok(vector > 0xffff_0000_0000_0000n, "the kernel has its own addresses by now");
  const at = hex(vector);
  const digest = await endOf(plain);
  const machine = await debian();
  const output = await debug(machine, [
    "info threads",
    "x/2i $pc",
    `hbreak *${early}`,
    "continue",
    "stepi",
    "p/x $satp",
    "delete",
    `break *${at}`,
    "continue",
    "info registers pc priv",
    "x/3i $pc",
    "monitor translate sp",
    `monitor translate ${at}`,
    "x/2gx $sp",
    "stepi",
    "stepi",
    "delete",
    "awatch -location *(long*)($sp - 64)",
    "continue",
    "info threads",
    "monitor digest",
    "delete",
    "continue",
  ]);
  assert.match(output, /Thread 2 "hart 1" \([^)]*not started\)/, output);
  assert.match(output, /=> 0x80200000:/);
  assert.match(output, `hit Breakpoint 1, 0x${early.slice(2).padStart(16, "0")} in`);
  assert.match(output, /hit Breakpoint 2, 0xffffffff/);
  assert.match(output, new RegExp(`=> ${at}:`));
  assert.match(output, /priv +0x1\tprv:1 \[Supervisor\]/);
  assert.match(output, new RegExp(`${at} -> 0x[0-9a-f]+ \\(sv57|sv48|sv39\\)`));
  assert.match(output, /[kKM]iB page, r-x supervisor/);
  assert.match(output, /0xffffffff[0-9a-f]+ -> 0x[0-9a-f]+ .*\n(.*\n)+ .*page, rw-/);
  assert.match(output, /Hardware access \(read\/write\) watchpoint 3.*\n(.*\n)*New value = /);
  assert.match(output, /exited normally/, output.slice(-2000));
  assert.is(machine.stateDigest(), digest);
  machine.dispose();
});

/** `rivulet run` with its first line of stderr awaited. */
function runCli(args: readonly string[]) {
  const child = spawn(process.execPath, [CLI, "run", ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const said = { out: "", err: "" };
  child.stdout.on("data", (bytes: Buffer) => {
    said.out += bytes.toString("utf8");
  });
  const port = new Promise<number>((resolve, reject) => {
    child.stderr.on("data", (bytes: Buffer) => {
      said.err += bytes.toString("utf8");
      const match = /^gdb: tcp:\/\/127\.0\.0\.1:(\d+)\n/.exec(said.err);
      if (match !== null) resolve(Number(match[1]));
    });
    child.once("close", () => reject(new Error(`no port: ${said.err}`)));
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, said, port, ended };
}

testNeeding(test, [GDB], "run --gdb --gdb-wait stands until gdb lets it go", async () => {
  const wait = [
    "--guest",
    "builtin",
    "--memory",
    "16M",
    "--gdb",
    "tcp://127.0.0.1:0",
    "--gdb-wait",
  ];
  const { child, said, port, ended } = runCli([...wait, "--digest"]);
  child.stdin.end("poweroff 7\n");
  const output = await gdbAt(await port, ["p/x $pc", "p $instret", "continue"]);
  assert.match(output, /= 0x80000000/);
  assert.match(output, /= 0\n/);
  assert.match(output, /exited with code 07/);
  assert.is(await ended, 7, said.err);
  assert.match(said.out, /Rivulet built-in guest/);
});

testNeeding(test, [GDB], "kill ends the run, detach lets it go on", async () => {
  const args = ["--guest", "builtin", "--memory", "16M", "--gdb", "tcp://127.0.0.1:0"];
  const killed = runCli(args);
  const output = await gdbAt(await killed.port, ["kill"]);
  assert.match(output, /killed/);
  assert.is(await killed.ended, 0, killed.said.err);
  // before the run has begun: nobody is as fast as a packet that waits for the port
  const early = runCli(args);
  const socket = connect(await early.port, "127.0.0.1", () => socket.write(frame(bytesOf("k"))));
  socket.on("error", () => {});
  assert.is(await early.ended, 0, early.said.err);
  const detached = runCli(args);
  await gdbAt(await detached.port, ["break *0x80000000", "detach"]);
  detached.child.stdin.end("poweroff 3\n");
  assert.is(await detached.ended, 3, detached.said.err);
});

test("an address that others reach needs to be meant", async () => {
  const run = runCli(["--guest", "builtin", "--gdb", "tcp://0.0.0.0:0"]);
  run.port.catch(() => {});
  assert.is(await run.ended, 2);
  assert.match(run.said.err, /other hosts can reach it/);
  const wrong = runCli(["--guest", "builtin", "--gdb", "1234"]);
  wrong.port.catch(() => {});
  assert.is(await wrong.ended, 2);
  assert.match(wrong.said.err, /accepted is tcp:\/\/HOST:PORT/);
});

test.run();
