/**
 * exec: commands in the Debian guest, by its agent and by the shell at its console: exit codes,
 * bytes, megabytes, crowds, time-outs, four harts, a flooded console, both clocks.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ExecOptions,
  findGuest,
  guestAgent,
  Host,
  type Machine,
  type MachineConfig,
  type PreparedGuest,
  type VmError,
} from "../../src/node.ts";
import { writeCpio } from "../../src/platform/node/guest-cpio.ts";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";

const test = suite("boot/exec");
/** Everything is over long before; a test that hangs is told by name. */
const GUARD_MS = 120_000;
const MEBIBYTE = 1 << 20;

type Exec = (command: string | string[], options?: ExecOptions) => ReturnType<Machine["exec"]>;

/** The guest may have been prepared long ago: what a later archive names takes its place. */
function withTodaysAgent(initrd: Uint8Array): Uint8Array {
  const path = "bin/rivulet-agent";
  const archive = writeCpio([{ kind: "file", path, mode: 0o755, bytes: guestAgent() }]);
  return Buffer.concat([initrd, gzipSync(archive)]);
}

/** Boots the guest, waits until it takes commands, and does `work`. */
async function withGuest(
  config: MachineConfig,
  work: (machine: Machine, exec: Exec) => Promise<void>,
): Promise<void> {
  const { folder, manifest } = findGuest("debian") as PreparedGuest;
  const host = await Host.create();
  const machine = host.createMachine({
    kernel: readFileSync(join(folder, manifest.kernel)),
    initrd: withTodaysAgent(readFileSync(join(folder, manifest.initrd))),
    append: manifest.append,
    consoleInput: "open",
    ...config,
  });
  try {
    await machine.boot();
    const way = await machine.ready({ timeoutMs: GUARD_MS });
    assert.is(way, config.agent === true ? "agent" : "serial");
    await work(machine, (command, options) =>
      machine.exec(command, { timeoutMs: GUARD_MS, ...options }),
    );
  } finally {
    host.dispose();
  }
}

const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
const all256 = Uint8Array.from({ length: 256 }, (_, index) => index);

/** What holds by either way. */
async function checkBasics(exec: Exec): Promise<void> {
  const uname = await exec("uname -a");
  assert.match(text(uname.stdout), /^Linux rivulet 6\.\S+ .*riscv64 GNU\/Linux\n$/);
  assert.equal([uname.status, uname.stderr.length], [0, 0]);
  const fails = await exec("echo out; echo err >&2; exit 42");
  assert.equal([fails.status, text(fails.stdout), text(fails.stderr)], [42, "out\n", "err\n"]);
  assert.is((await exec("no-such-program")).status, 127);
  assert.is((await exec("kill -9 $$")).status, 137);
  assert.equal((await exec("cat", { stdin: all256 })).stdout, all256);
  const escapes = await exec("printf '\\033[2J\\033]0;title\\007\\r\\n\\033[6n'");
  assert.is(text(escapes.stdout), "\x1b[2J\x1b]0;title\x07\r\n\x1b[6n");
  const words = await exec(["printf", "%s|", "a b", "it's", "$HOME", ""]);
  assert.is(text(words.stdout), "a b|it's|$HOME||");
  const placed = await exec("echo $A; pwd", { env: { A: "x 'y' $z" }, cwd: "/tmp" });
  assert.is(text(placed.stdout), "x 'y' $z\n/tmp\n");
  assert.is((await exec("pwd", { cwd: "/nowhere" })).status, 126);
}

/** A command that never ends is killed, and so is what it left in the background. */
async function checkTimeout(exec: Exec): Promise<void> {
  const late = await exec("sleep 77777 & while :; do :; done", { timeoutMs: 1000 });
  assert.equal([late.isTimedOut, late.status, late.signal], [true, 137, "SIGKILL"]);
  const left = await exec("ps | grep -c '[s]leep 77777'");
  assert.is(text(left.stdout), "0\n");
}

/** Prints on the console from user space and from the kernel, without end; how to end it. */
async function flood(exec: Exec): Promise<() => Promise<unknown>> {
  const loop = "while :; do echo flood; echo kernel flood >/dev/kmsg; usleep 20000; done";
  const started = await exec(`(${loop}) >/dev/console 2>&1 & echo $!`);
  return () => exec(`kill ${text(started.stdout).trim()}`);
}

async function checkFlooded(exec: Exec): Promise<void> {
  const end = await flood(exec);
  const counted = await exec("seq 500; exit 9");
  assert.is(counted.status, 9);
  const expected = Array.from({ length: 500 }, (_, index) => `${index + 1}\n`).join("");
  assert.is(text(counted.stdout), expected);
  await end();
}

testNeeding(test, [DEBIAN_GUEST], "by the agent: codes, bytes, words, folders", async () => {
  await withGuest({ agent: true }, async (machine, exec) => {
    let console = "";
    machine.console.onOutput((bytes) => {
      console += text(bytes);
    });
    await checkBasics(exec);
    const killed = await exec("kill -9 $$");
    assert.is(killed.signal, "SIGKILL");
    assert.is((await exec("exit 137")).signal, undefined, "a status is no signal");
    const background = await exec("sleep 99999 & echo begun");
    assert.is(text(background.stdout), "begun\n");
    assert.not.match(console, /begun|R""V/, "the console has nothing to do with it");
    await checkTimeout(exec);
    await checkFlooded(exec);
    const result = await machine.powerdown({ timeoutMs: GUARD_MS });
    assert.equal(result, { kind: "poweroff", code: 0 });
  });
});

/** What the command says first is heard before it goes on: it waits for an answer to that. */
async function checkStreaming(exec: Exec): Promise<void> {
  await exec("mkfifo /tmp/answer");
  let out = "";
  let err = "";
  const result = await exec("echo out; echo err >&2; cat /tmp/answer; exit 5", {
    onOutput(bytes, stream) {
      if (stream === "stderr") err += text(bytes);
      else out += text(bytes);
      if (out === "out\n" && err === "err\n") void exec("echo answer >/tmp/answer");
    },
  });
  assert.equal([out, err, result.status], ["out\nanswer\n", "err\n", 5]);
  assert.is(result.stdout.length + result.stderr.length, 0);
}

/** A flood waits in the guest while nobody takes it; other commands do not wait with it. */
async function checkHeld(exec: Exec): Promise<void> {
  const count = 8 * MEBIBYTE;
  let came = 0;
  let take = () => {};
  let hasCome = () => {};
  const isBlocked = new Promise<void>((resolve) => (hasCome = resolve));
  const flood = exec(`dd if=/dev/zero bs=64k count=${count >> 16} 2>/dev/null; echo $? >&2`, {
    onOutput(bytes, stream) {
      if (stream === "stderr") return;
      came += bytes.length;
      if (came > bytes.length) return;
      hasCome();
      return new Promise((resolve) => (take = resolve));
    },
  });
  flood.catch(() => {}); // a test that fails before it is waited for says why
  await isBlocked;
  for (let round = 0; round < 3; round++) await exec("ps >/dev/null; sleep 0.2");
  const held = came;
  await exec("sleep 0.2");
  assert.is(came, held, "it stands still");
  assert.ok(held < count / 2, `${held} bytes came`);
  take();
  assert.is((await flood).status, 0);
  assert.is(came, count);
  const controller = new AbortController();
  const stuck = exec("yes", {
    signal: controller.signal,
    onOutput: () => new Promise(() => controller.abort()),
  }).catch((error) => error);
  assert.is(((await stuck) as VmError).code, "aborted");
  await exec("while ps | grep -q '[ ]yes$'; do :; done");
}

testNeeding(test, [DEBIAN_GUEST], "by the agent: megabytes, limits, crowds, harts", async () => {
  await withGuest({ agent: true, harts: 4 }, async (machine, exec) => {
    const run = machine.run(); // it rides on this one
    const large = await exec("dd if=/dev/zero bs=64k count=64 2>/dev/null | tr '\\0' '\\377'");
    assert.is(large.stdout.length, 4 * MEBIBYTE);
    assert.ok(large.stdout.every((byte) => byte === 255));
    const stdin = new Uint8Array(MEBIBYTE).map((_, index) => (index * 7) ^ (index >> 8));
    assert.equal((await exec("cat", { stdin })).stdout, stdin);
    const cut = await exec("seq 100000; exit 4", { outputBytesMax: 100 });
    assert.equal([cut.isTruncated, cut.status, cut.stdout.length], [true, 4, 100]);
    await checkStreaming(exec);
    await checkHeld(exec);
    const crowd = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        exec(`usleep ${(index % 7) * 1000}; echo ${index}; exit ${index}`),
      ),
    );
    assert.equal(
      crowd.map(({ status, stdout }) => [status, text(stdout)]),
      crowd.map((_, index) => [index, `${index}\n`]),
    );
    const controller = new AbortController();
    const aborted = exec("sleep 66666", { signal: controller.signal }).catch((error) => error);
    await exec("until ps | grep -q '[s]leep 66666'; do :; done");
    controller.abort();
    assert.is(((await aborted) as VmError).code, "aborted");
    await exec("while ps | grep -q '[s]leep 66666'; do :; done");
    machine.stop();
    assert.equal(await run, { kind: "stopped" });
  });
});

testNeeding(
  test,
  [DEBIAN_GUEST],
  "by the agent under the host's clock; it comes back",
  async () => {
    await withGuest({ agent: true, clock: "host" }, async (machine, exec) => {
      assert.is(text((await exec("sleep 0.1; echo slept")).stdout), "slept\n");
      await checkTimeout(exec);
      const gone = await exec("kill -9 $(pidof rivulet-agent)").catch((error) => error);
      assert.is((gone as VmError).code, "io");
      assert.is(text((await exec("echo again")).stdout), "again\n");
      const run = machine.run();
      assert.is((await machine.powerdown({ timeoutMs: GUARD_MS })).kind, "poweroff");
      assert.is((await run).kind, "poweroff");
      const after = await exec("x").catch((error) => error);
      assert.is((after as VmError).code, "bad-state");
    });
  },
);

testNeeding(test, [DEBIAN_GUEST], "by the console: all that, typed and read back", async () => {
  await withGuest({}, async (machine, exec) => {
    await checkBasics(exec);
    machine.console.write("PS1='odd> '\n");
    const two = await Promise.all([exec("echo one"), exec("echo two")]);
    assert.equal(
      two.map(({ stdout }) => text(stdout)),
      ["one\n", "two\n"],
    );
    const pieces: string[] = [];
    const onOutput = (bytes: Uint8Array, stream: string) => {
      pieces.push(`${stream} ${text(bytes)}`);
    };
    const handed = await exec("echo one; echo two >&2; echo three", { onOutput });
    assert.equal(pieces, ["stdout one\nthree\n", "stderr two\n"], "at the end, stream by stream");
    assert.is(handed.stdout.length + handed.stderr.length, 0);
    await checkTimeout(exec);
    await checkFlooded(exec);
    assert.is(text((await exec("ls -d /tmp/.rivulet-* | wc -l")).stdout), "1\n", "only its own");
    assert.is((await machine.powerdown({ timeoutMs: GUARD_MS })).kind, "poweroff");
  });
});

test.run();
