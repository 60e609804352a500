/**
 * agent: the channel to a guest's agent, with an agent that keeps the protocol, one that does not,
 * and one that goes away; scripts, collectors, and what a machine without a guest answers.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  AGENT_ERRORS,
  AGENT_EXIT,
  AGENT_HEADER_BYTES,
  AGENT_HELLO,
  AGENT_HOLD,
  AGENT_INPUT,
  AGENT_JOBS_MAX,
  AGENT_KILL,
  AGENT_OPEN,
  AGENT_OUTPUT,
  AGENT_PAYLOAD_BYTES_MAX,
  AGENT_REFUSED,
  AGENT_RUN,
  AGENT_VERSION,
} from "../../src/guest/agent-protocol.ts";
import { AgentChannel, type AgentJob } from "../../src/machine/agent.ts";
import { OutputCollector, type OutputRequest, signalName } from "../../src/machine/exec-result.ts";
import { scriptOf } from "../../src/machine/exec-script.ts";
import { guestAgent, type Host, isElf, VmError } from "../../src/node.ts";
import { elfProgram, emitPoweroff, smallHost } from "../helpers/guest-program.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("machine/agent");
const SEED = seedOf(20261123);
const NONE = new Uint8Array(0);
const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

interface Frame {
  readonly type: number;
  readonly job: number;
  readonly payload: Uint8Array;
}

function frame(type: number, job: number, payload: Uint8Array, length = payload.length) {
  const bytes = new Uint8Array(AGENT_HEADER_BYTES + payload.length);
  new Uint32Array(bytes.buffer, 0, 3).set([type, job, length]);
  bytes.set(payload, AGENT_HEADER_BYTES);
  return bytes;
}

const word = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);
const HELLO = frame(AGENT_HELLO, 0, word(AGENT_VERSION));

/** The guest's end: a port with as much room as a test gives it. */
class Guest {
  readonly channel = new AgentChannel(() => this.#wakes++);
  inputRoom = 1 << 30;
  #wakes = 0;
  #came: number[] = [];

  constructor() {
    this.channel.connect(this);
  }

  get wakes(): number {
    return this.#wakes;
  }

  offer(bytes: Uint8Array): void {
    this.#came.push(...bytes);
  }

  start(script: string, stdin = NONE, output: Partial<OutputRequest> = {}): AgentJob {
    return this.channel.start({ script, stdin, outputBytesMax: 1000, ...output });
  }

  /** The frames that came since the last call. */
  heard(): Frame[] {
    this.channel.pump();
    const bytes = Uint8Array.from(this.#came.splice(0));
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.length; ) {
      const view = new DataView(bytes.buffer, at);
      const end = at + AGENT_HEADER_BYTES + view.getUint32(8, true);
      const payload = bytes.slice(at + AGENT_HEADER_BYTES, end);
      frames.push({ type: view.getUint32(0, true), job: view.getUint32(4, true), payload });
      at = end;
    }
    return frames;
  }
}

/** "code: message" of the error that a promise ends with. */
async function errorOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, VmError);
    return `${(error as VmError).code}: ${(error as VmError).message}`;
  }
  return "no error";
}

test("a job is opened, fed and run once the agent is up, and gives back what came", async () => {
  const guest = new Guest();
  const job = guest.start("cat", new Uint8Array(AGENT_PAYLOAD_BYTES_MAX + 1));
  assert.equal(guest.heard(), [], "nobody is there");
  guest.channel.take(HELLO);
  const frames = guest.heard();
  assert.equal(
    frames.map(({ type, payload }) => [type, payload.length]),
    [
      [AGENT_OPEN, 0],
      [AGENT_INPUT, AGENT_PAYLOAD_BYTES_MAX],
      [AGENT_INPUT, 1],
      [AGENT_RUN, 4],
    ],
  );
  assert.is(textOf(frames[3].payload), "cat\0");
  assert.ok(guest.wakes > 0);
  const id = frames[0].job;
  guest.channel.take(frame(AGENT_OUTPUT, id, bytesOf("out")));
  guest.channel.take(frame(AGENT_ERRORS, id, bytesOf("err")));
  guest.channel.take(frame(AGENT_EXIT, id, word(3 << 8)));
  assert.is(await job.done, 3 << 8);
  assert.is(textOf(job.stdout.bytes) + textOf(job.stderr.bytes), "outerr");
});

test("frames may come in pieces of any size, and go in pieces of any size", async () => {
  const random = new Random(SEED);
  const guest = new Guest();
  const job = guest.start("x", NONE, { outputBytesMax: 1 << 20 });
  const payload = Uint8Array.from({ length: 5000 }, () => random.below(256));
  const stream: number[] = [...HELLO];
  for (let count = 0; count < 20; count++) stream.push(...frame(AGENT_OUTPUT, 1, payload));
  stream.push(...frame(AGENT_EXIT, 1, word(0)));
  for (let at = 0; at < stream.length; ) {
    const size = 1 + random.below(3000);
    guest.channel.take(Uint8Array.from(stream.slice(at, at + size)));
    at += size;
  }
  assert.is(await job.done, 0, `SEED=${SEED}`);
  assert.is(job.stdout.bytes.length, 20 * payload.length);
  assert.equal(job.stdout.bytes.slice(-payload.length), payload);
  guest.inputRoom = 7;
  const wide = guest.heard();
  assert.equal(
    wide.map(({ type }) => type),
    [AGENT_OPEN, AGENT_RUN],
  );
});

test("sixteen jobs run at a time; the next begins when one is done", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  const jobs = Array.from({ length: AGENT_JOBS_MAX + 2 }, (_, index) => guest.start(`${index}`));
  const opened = () => guest.heard().filter(({ type }) => type === AGENT_OPEN).length;
  assert.is(opened(), AGENT_JOBS_MAX);
  guest.channel.take(frame(AGENT_EXIT, 5, word(0)));
  assert.is(opened(), 1);
  guest.channel.take(frame(AGENT_REFUSED, 6, word(12)));
  assert.is(opened(), 1);
  assert.is(await jobs[4].done, 0);
  assert.match(await errorOf(jobs[5].done), /^io: .*errno 12$/);
});

test("kill reaches a job that runs, and takes one back that waits", async () => {
  const guest = new Guest();
  const waiting = guest.start("never");
  waiting.kill(9);
  assert.is(await waiting.done, 9);
  guest.channel.take(HELLO);
  assert.equal(guest.heard(), []);
  const job = guest.start("now");
  guest.heard();
  job.kill(15);
  const [kill] = guest.heard();
  assert.equal([kill.type, new DataView(kill.payload.buffer).getUint32(0, true)], [AGENT_KILL, 15]);
});

/** What the guest was told about holding since the last look: 1, 0. */
const holds = (guest: Guest) =>
  guest
    .heard()
    .filter(({ type }) => type === AGENT_HOLD)
    .map(({ payload }) => payload[0]);

test("output is handed on as it comes; while it is not taken the guest is told to hold it", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  const came: string[] = [];
  let take = () => {};
  const job = guest.start("x", NONE, {
    outputBytesMax: Number.POSITIVE_INFINITY,
    onOutput: (bytes, stream) => {
      came.push(`${stream} ${textOf(bytes)}`);
      if (stream === "stderr") return;
      return new Promise<void>((resolve) => (take = resolve));
    },
  });
  guest.channel.take(frame(AGENT_ERRORS, 1, bytesOf("a")));
  assert.equal([came, holds(guest)], [["stderr a"], []]);
  guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("b")));
  const first = take;
  guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("c")));
  assert.equal([came.slice(1), holds(guest)], [["stdout b", "stdout c"], [1]]);
  first();
  await Promise.resolve();
  assert.equal(holds(guest), [], "one is left");
  take();
  await job.stdout.taken;
  assert.equal(holds(guest), [0]);
  guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("d")));
  guest.channel.take(frame(AGENT_EXIT, 1, word(0)));
  assert.is(await job.done, 0);
  guest.heard();
  take();
  await job.stdout.taken;
  assert.equal(holds(guest), [], "there is no such job any more");
  assert.is(job.stdout.bytes.length + job.stderr.bytes.length, 0, "nothing is kept");
});

test("a limit cuts what is handed on, too", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  let came = "";
  const onOutput = (bytes: Uint8Array) => {
    came += textOf(bytes);
  };
  const job = guest.start("x", NONE, { outputBytesMax: 5, onOutput });
  for (const text of ["123", "456", "789"])
    guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf(text)));
  assert.equal([came, job.stdout.isTruncated, job.stderr.isTruncated], ["12345", true, false]);
});

test("a taker that fails ends the job with its error, and hears no more", async () => {
  for (const fail of [
    () => {
      throw new Error("taken badly");
    },
    () => Promise.reject(new Error("taken badly")),
  ]) {
    const guest = new Guest();
    guest.channel.take(HELLO);
    let calls = 0;
    const job = guest.start("x", NONE, {
      onOutput: () => {
        calls++;
        return fail();
      },
    });
    guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("a")));
    const error = await job.done.catch((one) => one);
    assert.is(error.message, "taken badly");
    guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("b")));
    assert.is(calls, 1);
    const [kill] = guest.heard().filter(({ type }) => type === AGENT_KILL);
    assert.is(kill.payload[0], 9);
  }
});

test("an agent that holds nothing is not listened to for ever", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  let bytes = 0;
  const job = guest.start("x", NONE, {
    outputBytesMax: Number.POSITIVE_INFINITY,
    onOutput: (piece) => {
      bytes += piece.length;
      return new Promise(() => {});
    },
  });
  const piece = frame(AGENT_OUTPUT, 1, new Uint8Array(AGENT_PAYLOAD_BYTES_MAX));
  for (let count = 0; count < 1000; count++) guest.channel.take(piece);
  assert.match(await errorOf(job.done), /^io: told to hold it.*accepted are agents that know HOLD/);
  assert.ok(bytes <= (16 << 20) + AGENT_PAYLOAD_BYTES_MAX, `${bytes}`);
});

test("small pieces count for what keeping them costs", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  let pieces = 0;
  const onOutput = () => {
    pieces++;
    return new Promise<void>(() => {});
  };
  const job = guest.start("x", NONE, { outputBytesMax: Number.POSITIVE_INFINITY, onOutput });
  const piece = frame(AGENT_OUTPUT, 1, bytesOf("a"));
  for (let count = 0; count < 100_000; count++) guest.channel.take(piece);
  assert.match(await errorOf(job.done), /^io: told to hold it/);
  assert.ok(pieces < 70_000, `${pieces} pieces`);
});

test("a guest that reads nothing makes no queue of what it is told about holding", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  const onOutput = () => Promise.resolve();
  guest.start("x", NONE, { outputBytesMax: Number.POSITIVE_INFINITY, onOutput });
  guest.heard();
  for (let count = 0; count < 1000; count++) {
    guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("a")));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(holds(guest).length <= 1);
});

test("what runs is over when the port closes or the agent begins anew", async () => {
  for (const end of ["closed", "hello"]) {
    const guest = new Guest();
    guest.channel.take(HELLO);
    const job = guest.start("x");
    if (end === "closed") guest.channel.opened();
    else guest.channel.take(HELLO);
    assert.match(await errorOf(job.done), /^io: the guest's agent /);
    assert.is(guest.channel.isUp, end === "hello");
    const frames = guest.heard();
    assert.equal(frames, [], "nothing of the old job reaches the new agent");
  }
});

test("nonsense ends the agent's session and nothing else, until the port opens anew", async () => {
  const wrong: [string, Uint8Array][] = [
    ["unknown type", frame(77, 1, NONE)],
    ["too long", frame(AGENT_OUTPUT, 1, NONE, AGENT_PAYLOAD_BYTES_MAX + 1)],
    ["huge", frame(AGENT_OUTPUT, 1, NONE, 0xffffffff)],
    ["a status of 3 bytes", frame(AGENT_EXIT, 1, new Uint8Array(3))],
    ["a status of 5 bytes", frame(AGENT_EXIT, 1, new Uint8Array(5))],
    ["the host's own frame", frame(AGENT_RUN, 1, NONE)],
  ];
  for (const [what, bytes] of wrong) {
    const guest = new Guest();
    guest.channel.take(HELLO);
    const job = guest.start("x");
    guest.channel.take(bytes);
    assert.match(await errorOf(job.done), /^io: the guest's agent sent a frame of type /, what);
    assert.is(guest.channel.isUp, false, what);
    guest.channel.take(HELLO);
    assert.is(guest.channel.isUp, false, what);
    guest.channel.opened();
    guest.channel.take(HELLO);
    assert.is(guest.channel.isUp, true, what);
  }
});

test("an agent of another version is none", () => {
  const guest = new Guest();
  guest.channel.take(frame(AGENT_HELLO, 0, word(AGENT_VERSION + 1)));
  assert.is(guest.channel.isUp, false);
});

test("random bytes never get further than the session", async () => {
  const random = new Random(SEED);
  for (let round = 0; round < 300; round++) {
    const guest = new Guest();
    guest.channel.take(HELLO);
    const job = guest.start("x");
    for (let piece = 0; piece < 10; piece++) {
      const bytes = Uint8Array.from({ length: random.below(64) }, () =>
        random.below(4) === 0 ? random.below(256) : random.below(6),
      );
      guest.channel.take(bytes);
    }
    guest.channel.opened();
    const ended = await Promise.race([job.done.catch(() => -1), Promise.resolve(-2)]);
    assert.type(ended, "number", `SEED=${SEED} round ${round}`);
    assert.ok(job.stdout.bytes.length <= 1000);
  }
});

test("frames about jobs that are over or never were mean nothing", async () => {
  const guest = new Guest();
  guest.channel.take(HELLO);
  const job = guest.start("x");
  for (const type of [AGENT_OUTPUT, AGENT_ERRORS]) {
    guest.channel.take(frame(type, 99, bytesOf("stray")));
  }
  guest.channel.take(frame(AGENT_EXIT, 99, word(1)));
  guest.channel.take(frame(AGENT_EXIT, 1, word(0)));
  guest.channel.take(frame(AGENT_OUTPUT, 1, bytesOf("late")));
  assert.is(await job.done, 0);
  assert.is(job.stdout.bytes.length, 0);
});

test("a collector keeps what fits, and says that there was more", () => {
  const collector = new OutputCollector({ outputBytesMax: 10 }, "stdout");
  collector.add(bytesOf("12345"));
  collector.add(bytesOf("67890"));
  assert.is(collector.isTruncated, false);
  collector.add(NONE);
  assert.is(collector.isTruncated, false);
  collector.add(bytesOf("x"));
  assert.is(collector.isTruncated, true);
  assert.is(textOf(collector.bytes), "1234567890");
});

test("scripts quote everything that was not meant as a script", () => {
  const options = { env: { A: "it's $B" }, cwd: "-x y" };
  assert.is(
    scriptOf(["ls", "a b", "'", ""], options),
    "export A='it'\\''s $B'\ncd -- '-x y' || exit 126\nexec 'ls' 'a b' ''\\''' ''",
  );
  assert.is(scriptOf("ls | wc", {}), "ls | wc");
  const refused: [string | string[], object][] = [
    [[], {}],
    ["a\0b", {}],
    [["a\0"], {}],
    ["a", { env: { "A B": "" } }],
    ["a", { env: { A: "\0" } }],
    ["a", { cwd: "\0" }],
  ];
  for (const [command, given] of refused) {
    assert.throws(
      () => scriptOf(command, given),
      (error: VmError) => error.code === "bad-argument",
    );
  }
});

test("signals have their names", () => {
  assert.equal([1, 9, 15, 31, 40].map(signalName), [
    "SIGHUP",
    "SIGKILL",
    "SIGTERM",
    "SIGSYS",
    "SIG40",
  ]);
});

test("the agent is a small ELF", () => {
  const bytes = guestAgent();
  assert.ok(isElf(bytes) && bytes.length < 8192, `${bytes.length} bytes`);
  assert.equal(bytes, guestAgent());
});

/** A guest that says nothing and never ends. */
const silent = () =>
  elfProgram((a) => {
    a.label("again");
    a.j("again");
  });

async function withSilent(work: (machine: ReturnType<Host["createMachine"]>) => Promise<void>) {
  const host = await smallHost();
  try {
    const machine = host.createMachine({ kernel: silent(), memoryBytes: "4M", agent: true });
    await machine.boot();
    await work(machine);
  } finally {
    host.dispose();
  }
}

test("a guest that takes no commands is waited for as long as was said", async () => {
  await withSilent(async (machine) => {
    const text = await errorOf(machine.ready({ timeoutMs: 30 }));
    assert.match(text, /^timeout: .*its agent or a shell's prompt did not come within 30 ms/);
    assert.match(await errorOf(machine.exec("x", { timeoutMs: 0 })), /^timeout: /);
    assert.match(await errorOf(machine.powerdown({ timeoutMs: 10 })), /^timeout: /);
    assert.is(machine.hasRun, false, "nothing runs on behind the caller's back");
    machine.stateDigest();
  });
});

test("a command whose signal was aborted before is not begun", async () => {
  await withSilent(async (machine) => {
    const { agent } = machine.devices;
    let bytes = 0;
    agent?.connect({ inputRoom: 1 << 20, offer: (piece) => (bytes += piece.length) });
    agent?.take(HELLO);
    assert.is(await machine.ready(), "agent");
    const gone = new AbortController();
    gone.abort();
    assert.match(await errorOf(machine.exec("x", { signal: gone.signal })), /^aborted: /);
    agent?.pump();
    assert.is(bytes, 0);
  });
});

test("waiting ends with an abort, a stop, the machine's end", async () => {
  await withSilent(async (machine) => {
    const gone = new AbortController();
    gone.abort();
    assert.match(await errorOf(machine.exec("x", { signal: gone.signal })), /^aborted: /);
    const controller = new AbortController();
    const waiting = errorOf(machine.exec("x", { signal: controller.signal }));
    controller.abort();
    assert.match(await waiting, /^aborted: /);
    const stopped = errorOf(machine.exec("x"));
    machine.stop();
    assert.match(await stopped, /^bad-state: .*\(stopped\)/);
    const both = [errorOf(machine.exec("x")), errorOf(machine.ready())];
    machine.dispose();
    for (const text of await Promise.all(both)) assert.match(text, /^bad-state: /);
    assert.match(await errorOf(machine.exec("x")), /^disposed: /);
    assert.match(await errorOf(machine.powerdown()), /^disposed: /);
  });
});

test("a guest that switches itself off ends the wait, whoever runs it", async () => {
  const host = await smallHost();
  for (const isOurs of [true, false]) {
    const machine = host.createMachine({ kernel: elfProgram(emitPoweroff), memoryBytes: "4M" });
    await machine.boot();
    const run = isOurs ? machine.run() : null;
    assert.match(await errorOf(machine.exec("x")), /^bad-state: .*\(poweroff\)/);
    assert.is(machine.state, "terminated");
    await run;
  }
  host.dispose();
});

test("a caller who runs the machine takes over from exec, which waits on", async () => {
  await withSilent(async (machine) => {
    const waiting = errorOf(machine.exec("x", { timeoutMs: 500 }));
    const before = machine.instructions;
    assert.equal(await machine.run(1000), { kind: "budget" });
    assert.ok(machine.instructions >= before + 1000);
    assert.match(await waiting, /^timeout: /);
  });
});

test("a machine that is not booted, and wrong arguments, are told at once", async () => {
  const host = await smallHost();
  const machine = host.createMachine({ kernel: silent(), memoryBytes: "4M" });
  assert.match(await errorOf(machine.exec("x")), /^bad-state: .*created/);
  await machine.boot();
  assert.match(await errorOf(machine.exec([])), /^bad-argument: /);
  assert.match(await errorOf(machine.exec("x".repeat(40_000))), /^bad-argument: .*stdin/);
  assert.match(await errorOf(machine.exec("x", { outputBytesMax: -1 })), /^bad-argument: /);
  assert.match(await errorOf(machine.exec("x", { timeoutMs: Number.NaN })), /^bad-argument: /);
  host.dispose();
});

test.run();
