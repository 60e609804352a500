/**
 * Machines of the shell: runs behind the prompt that are looked at in between, consoles with
 * several readers, what a change and an end leave behind.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError } from "../../src/errors.ts";
import { ConsoleLog } from "../../src/shell/console-log.ts";
import { Abort, runWords } from "../../src/shell/session.ts";
import type { Vm } from "../../src/shell/vm.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { type Shell, setUp } from "./cases.ts";
import { fakeStreams, spoken } from "./fake.ts";

const test = suite("shell/vm");

async function withWeb(work: (vm: Vm, shell: Shell) => Promise<void>): Promise<void> {
  const shell = await setUp();
  try {
    await work(shell.fleet.get("web"), shell);
  } finally {
    await shell.fleet.dispose();
  }
}

const code = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    assert.instance(error, VmError);
    return (error as VmError).code;
  }
  return "none";
};

test("between: nothing runs meanwhile, any number at once, and the run goes on afterwards", () =>
  withWeb(async (vm, shell) => {
    await shell.run("console send web 'primes 20000\\n'");
    for (let round = 0; round < 3; round++) {
      const digests = await Promise.all(
        Array.from({ length: 3 }, () => vm.between((machine) => machine.stateDigest())),
      );
      assert.is(new Set(digests).size, 1);
      const again = vm.between(async (machine) => machine.stateDigest());
      assert.type(await again, "string");
    }
    assert.ok(vm.isRunning);
    assert.is(vm.lastResult, null);
    await shell.run("console send web 'poweroff 4\\n'");
    assert.is(await shell.run("vm wait web --timeout 60s"), 0);
    assert.equal(vm.lastResult, { kind: "failure", code: 4 });
  }));

test("between: a paused machine and one that does not run are looked at too", () =>
  withWeb(async (vm, shell) => {
    await vm.pause();
    const paused = await vm.between((machine) => machine.stateDigest());
    assert.is(vm.state, "paused");
    assert.is(await vm.between((machine) => machine.stateDigest()), paused);
    await vm.resume();
    assert.is(vm.state, "running");
    await shell.run("console send web 'echo back\\n'; console wait web '\\nback'");
    assert.match(new TextDecoder().decode(vm.log.tail(3)), /back/);
    await shell.run("vm destroy web --keep");
    assert.type(await vm.between((machine) => machine.stateDigest()), "string");
  }));

test("stop ends a run that others look at", () =>
  withWeb(async (vm) => {
    const looks = Array.from({ length: 5 }, () => vm.between((machine) => machine.instructions));
    vm.stop();
    await Promise.all(looks);
    for (let round = 0; vm.isRunning && round < 1000; round++) await Promise.resolve();
    assert.not(vm.isRunning);
    assert.equal(vm.lastResult, { kind: "stopped" });
    await vm.resume();
    assert.ok(vm.isRunning);
  }));

test("names are checked, and free again after destroy", () =>
  withWeb(async (vm, { fleet, run }) => {
    for (const name of ["web", "", "-x", "a b", "x".repeat(65), "é"]) {
      assert.is(await code(() => fleet.create({ ...vm.spec, name })), "bad-argument", name);
    }
    assert.is(await code(() => fleet.get("no")), "not-found");
    assert.is(await run("vm destroy web; vm create web --guest builtin --memory 16M"), 0);
    const host = await fleet.openHost();
    await fleet.remove("web");
    assert.is(host.stats().machines, 0);
  }));

test("a change that cannot be made leaves the machine as it was", () =>
  withWeb(async (vm, { run, said }) => {
    assert.is(await run("vm set web harts 2"), 1);
    assert.match(said.err, /vm stop web.*vm destroy web --keep/);
    await run("vm destroy web --keep");
    assert.is(await run("vm set web memory 3"), 1);
    assert.is(await run("vm set web harts 9"), 2);
    assert.is(await run("vm set web kernel nowhere"), 1);
    assert.is(vm.machine.config.memoryBytes, 16 << 20);
    assert.is(await run("vm set web harts 2; vm start web; console wait web '> '"), 0);
    assert.is(vm.machine.config.harts, 2);
  }));

test("two attachments see the same; detach and the machine's end end them", () =>
  withWeb(async (vm, { run }) => {
    const said = [spoken(), spoken()];
    const keys: ((bytes: Uint8Array | null) => void)[] = [];
    const ends = said.map((one) =>
      vm.attach(
        {
          ...fakeStreams(one),
          isTerminal: true,
          listen: (onInput) => {
            keys.push(onInput);
            return () => {};
          },
        },
        new Abort(),
      ),
    );
    keys[0](new TextEncoder().encode("echo both\r"));
    await run("console wait web '\\nboth'; console wait web '> '");
    assert.match(said[0].out, /\nboth/);
    assert.is(said[0].out, said[1].out);
    keys[1](new TextEncoder().encode("\x01x"));
    assert.is(await ends[1], "escape");
    assert.is(vm.attachments, 1);
    await run("vm destroy web --keep");
    assert.is(await ends[0], "ended");
    assert.is(vm.attachments, 0);
  }));

/** Streams whose reader takes nothing until `drain`. */
function slowStreams() {
  const said = spoken();
  let isBlocked = true;
  let drain = () => {};
  const write = (bytes: Uint8Array) => {
    said.out += Buffer.from(bytes).toString("latin1");
    return !isBlocked;
  };
  const drained = () => new Promise<void>((resolve) => (drain = resolve));
  const go = () => {
    isBlocked = false;
    drain();
  };
  return { streams: { ...fakeStreams(said), write, drained }, said, go };
}

test("a reader that is slow misses the oldest, is told how much, and the guest does not wait", () =>
  withWeb(async (vm) => {
    const { streams, said, go } = slowStreams();
    const abort = new Abort();
    const end = vm.attach(streams, abort);
    vm.log.append(new TextEncoder().encode("a"));
    vm.log.append(new Uint8Array(3 << 20).fill(0x62));
    go();
    await Promise.resolve();
    // one byte more than fits behind it pushes the "a" out; the prompt was written at once
    assert.match(said.err, /\[2097153 bytes went by too fast\]/);
    assert.is(said.out.length, "> ".length + (1 << 20));
    abort.abort();
    assert.is(await end, "aborted");
  }));

test("a slow reader gets the last words, too", () =>
  withWeb(async (vm, { run }) => {
    const { streams, said, go } = slowStreams();
    const end = vm.attach(streams, new Abort());
    vm.log.append(new TextEncoder().encode("last words\n"));
    await run("vm destroy web --keep");
    assert.is(said.out, "> ");
    go();
    assert.is(await end, "ended");
    assert.is(said.out, "> last words\n");
  }));

test("attaching shows the last line first, and ends at once where the machine has ended", () =>
  withWeb(async (vm, shell) => {
    shell.said.out = shell.said.err = "";
    const abort = new Abort();
    const end = vm.attach(shell.streams, abort);
    assert.is(shell.said.out, "> ");
    abort.abort();
    assert.is(await end, "aborted");
    assert.is(
      await shell.run("console send web 'poweroff\\n'; vm wait web; console attach web"),
      0,
    );
    assert.match(shell.said.err, /web: the machine ended\n$/);
  }));

test("an attached console hears that its machine was destroyed", () =>
  withWeb(async (_vm, shell) => {
    shell.said.err = "";
    const attached = runWords(["console", "attach", "web"], shell, "");
    assert.is(await shell.run("vm destroy web"), 0);
    assert.is(await attached, 0);
    assert.match(shell.said.err, /web: the machine was destroyed\n$/);
  }));

test("a machine is paused once and resumed once; what is not so is told", () =>
  withWeb(async (vm, shell) => {
    const err = async (line: string) => {
      shell.said.err = "";
      return `${await shell.run(line)} ${shell.said.err}`;
    };
    assert.match(await err("vm resume web"), /^1 web is running: only a paused one resumes/);
    assert.is(await err("vm pause web"), "0 ");
    assert.match(await err("vm pause web"), /^1 web is paused \(user\) already; `vm resume web`/);
    assert.is(await err("vm resume web"), "0 ");
    assert.is(vm.state, "running");
  }));

test("what happened is an event, in order, without gaps", () =>
  withWeb(async (_vm, { fleet, run }) => {
    await run("vm pause web; vm resume web; vm destroy web");
    const events = fleet.events.tail();
    assert.equal(
      events.map(({ sequence }) => sequence),
      events.map((_, index) => index + 1),
    );
    const kinds = events.map(({ kind, detail }) => `${kind} ${detail}`.trim());
    assert.equal(kinds, [
      "created",
      "state created -> running (booted)",
      "state running -> paused (user)",
      "state paused -> running (resumed)",
      "removed",
    ]);
  }));

// ---- the log ----

function logOf(): ConsoleLog {
  return new ConsoleLog(() => () => {});
}

test("the log is the end of what was said, however it was cut", () => {
  const seed = seedOf(7);
  const random = new Random(seed);
  const log = logOf();
  let said = new Uint8Array(0);
  for (let round = 0; round < 12; round++) {
    const bytes = Uint8Array.from({ length: random.below(200_000) }, () => random.below(256));
    log.append(bytes);
    said = Uint8Array.from([...said.subarray(-(1 << 20)), ...bytes]).subarray(-(1 << 20));
    const { bytes: kept } = log.read(log.begin);
    assert.ok(Buffer.compare(kept, said) === 0, `SEED=${seed}, round ${round}`);
    const from = random.between(log.begin, log.end);
    const part = log.read(from, 1000);
    assert.is(part.from, from);
    assert.ok(Buffer.compare(part.bytes, kept.subarray(from - log.begin).subarray(0, 1000)) === 0);
  }
});

test("the last line is that of the prompt", () => {
  const log = logOf();
  assert.is(log.lastLine, 0);
  log.append(new TextEncoder().encode("one\n> "));
  assert.is(log.lastLine, 4);
  log.append(new TextEncoder().encode(`\n${"x".repeat(9000)}`));
  assert.is(log.lastLine, log.end - 4096);
});

test("tail counts lines as people do", () => {
  const log = logOf();
  const tail = (lines: number) => new TextDecoder().decode(log.tail(lines));
  assert.is(tail(3), "");
  log.append(new TextEncoder().encode("one\ntwo\nthree"));
  assert.equal(
    [tail(0), tail(1), tail(2), tail(9)],
    ["", "three", "two\nthree", "one\ntwo\nthree"],
  );
  log.append(new TextEncoder().encode("\n"));
  assert.equal([tail(1), tail(2)], ["three\n", "two\nthree\n"]);
});

test("wait finds a text that comes in pieces, from where it is told, and no sooner", async () => {
  const log = logOf();
  const bytes = (text: string) => new TextEncoder().encode(text);
  const wait = (text: string, from: number) =>
    log.wait({ bytes: bytes(text), from, timeoutMs: null, signal: new Abort() });
  log.append(bytes("login: "));
  assert.equal(await wait("login: ", 0), { kind: "found", position: 7 });
  const next = wait("aab", 7);
  for (const piece of ["a", "a", "a", "b"]) log.append(bytes(piece));
  assert.equal(await next, { kind: "found", position: 11 });
  const abort = new Abort();
  const aborted = log.wait({
    bytes: bytes("x"),
    from: 0,
    timeoutMs: null,
    signal: abort,
  });
  abort.abort();
  assert.equal(await aborted, { kind: "aborted" });
  const ended = wait("x", 0);
  log.close();
  assert.equal(await ended, { kind: "ended" });
  const late = new ConsoleLog((_ms, wake) => {
    wake();
    return () => {};
  });
  const never = { bytes: bytes("x"), from: 0, timeoutMs: 5, signal: new Abort() };
  assert.equal(await late.wait(never), { kind: "timeout" });
});

test.run();
