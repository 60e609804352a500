/**
 * serial-shell: commands typed at a console whose other end is this host's /bin/sh, with an echo
 * and with a kernel that prints into everything.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ConsoleEnd } from "../../src/machine/console.ts";
import { Patience } from "../../src/machine/patience.ts";
import { blockOf, endsInPrompt, SerialShell } from "../../src/machine/serial-shell.ts";
import { nodePlatform, type Platform, type VmError } from "../../src/node.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("machine/serial-shell");
const SEED = seedOf(20261123);
const bytesOf = (text: string) => new TextEncoder().encode(text);
/** What is lost is missed after a twentieth of the time. */
const platform: Platform = {
  ...nodePlatform(),
  monotonicMs: () => nodePlatform().monotonicMs(),
  after: (ms, wake) => nodePlatform().after(ms / 20, wake),
};

/** A guest: a shell behind a console that echoes, and now and then a kernel message anywhere. */
class Guest {
  readonly console = new ConsoleEnd(true, () => this.#type());
  readonly serial = new SerialShell(this.console, platform);
  readonly #shell: ChildProcessWithoutNullStreams;
  readonly #random: Random | null;
  /** Messages that the kernel still has to say. */
  #messages: number;

  constructor(random: Random | null = null, messages = 0) {
    this.#random = random;
    this.#messages = messages;
    this.#shell = spawn("/bin/sh", [], { stdio: "pipe", detached: true });
    this.#shell.stdout.on("data", (bytes: Buffer) => this.#print(bytes));
    this.#shell.stderr.on("data", (bytes: Buffer) => this.#print(bytes));
    this.#print(bytesOf("Welcome\r\n# "));
  }

  end(): void {
    this.#shell.kill("SIGKILL");
  }

  #print(bytes: Uint8Array): void {
    const text = new TextDecoder("latin1").decode(bytes).replaceAll("\n", "\r\n");
    let at = 0;
    while (this.#random !== null && this.#messages > 0 && this.#random.below(3) === 0) {
      this.#messages--;
      const next = at + this.#random.below(text.length - at + 1);
      this.console.putAll(bytesOf(`${text.slice(at, next)}[  1.5] kernel: oops\r\n`));
      at = next;
    }
    this.console.putAll(bytesOf(text.slice(at)));
    this.console.flush();
  }

  #type(): void {
    const line = new TextDecoder().decode(this.console.take(1 << 20));
    this.#print(bytesOf(line.replaceAll("\x15", "^U")));
    this.#shell.stdin.write(line.replaceAll("\x15", ""));
  }

  run(script: string, stdin = new Uint8Array(0), outputBytesMax = 1 << 20) {
    const request = { script, stdin, outputBytesMax };
    return this.serial.run(request, new Patience(), () => () => {});
  }
}

async function withGuest(guest: Guest, work: (guest: Guest) => Promise<void>): Promise<void> {
  try {
    await work(guest);
  } finally {
    guest.end();
  }
}

test("status, output and errors come back as they were, whatever bytes they are", async () => {
  await withGuest(new Guest(), async (guest) => {
    await guest.serial.waitForPrompt(new Patience());
    const all = Uint8Array.from({ length: 1000 }, (_, index) => index & 0xff);
    const { status, stdout, stderr } = await guest.run("cat; echo sorry >&2; exit 7", all);
    assert.equal([status, stdout], [7, all]);
    assert.equal(stderr, bytesOf("sorry\n"));
    const none = await guest.run("exit 0");
    assert.equal([none.status, none.stdout.length, none.stderr.length], [0, 0, 0]);
  });
});

test("a script that ends or kills its shell does not end the console's", async () => {
  await withGuest(new Guest(), async (guest) => {
    assert.is((await guest.run("kill -9 $$")).status, 137);
    assert.is((await guest.run("exec false")).status, 1);
    assert.is((await guest.run("it's not a script")).status, 2);
    assert.is((await guest.run("echo $0; exit 3")).status, 3);
  });
});

test("output beyond the limit is not fetched", async () => {
  await withGuest(new Guest(), async (guest) => {
    const outcome = await guest.run("seq 100000", undefined, 100);
    assert.is(outcome.isTruncated, true);
    assert.is(outcome.stdout.length, 100);
  });
});

test("a kernel that prints into everything is read around, and nothing is run twice", async () => {
  const random = new Random(SEED);
  await withGuest(new Guest(random, 60), async (guest) => {
    const script = "echo once >>/tmp/rivulet-once-$PPID; seq 9000; cat /tmp/rivulet-once-$PPID";
    const outcome = await guest.run(`${script}; rm /tmp/rivulet-once-$PPID`);
    const expected = Array.from({ length: 9000 }, (_, index) => `${index + 1}\n`).join("");
    assert.equal(outcome.stdout, bytesOf(`${expected}once\n`), `SEED=${SEED}`);
  });
});

test("what looks like a prompt and answers nothing is told soon", async () => {
  const console = new ConsoleEnd(true, () => {});
  console.putAll(bytesOf("\r\nPassword for the vault # "));
  console.flush();
  const serial = new SerialShell(console, platform);
  const patience = new Patience();
  await serial.waitForPrompt(patience);
  const request = { script: "x", stdin: new Uint8Array(0), outputBytesMax: 1 };
  try {
    await serial.run(request, patience, () => () => {});
    assert.unreachable();
  } catch (error) {
    assert.is((error as VmError).code, "io");
  }
});

test("prompts are told from what is no prompt", () => {
  for (const text of ["# ", "\n~ # ", "user@host:~$ ", "\r\n\x1b[1mroot\x1b[0m# \x1b[6n", "> "]) {
    assert.ok(endsInPrompt(text), JSON.stringify(text));
  }
  for (const text of ["", "login: ", "# \n", "100%\r\n", "Password: ", "[  0.1] usb 1-1"]) {
    assert.not(endsInPrompt(text), JSON.stringify(text));
  }
});

test("a block is taken only when it is whole", () => {
  const bytes = bytesOf("The quick brown fox jumps over the lazy dog. ".repeat(3));
  const hash = createHash("sha256").update(bytes).digest("hex");
  const text = Buffer.from(bytes).toString("base64").replaceAll(/.{76}/g, "$&\r\n");
  assert.equal(blockOf(text, bytes.length, hash), bytes);
  assert.equal(blockOf(text.replace("\r\n", "\r\n[ 1.5] oops\r\n"), bytes.length, hash), bytes);
  assert.is(blockOf(text, bytes.length, "".padEnd(64, "0")), null, "something else was said");
  assert.is(blockOf(text, bytes.length - 1, hash), null);
  assert.is(blockOf(text.slice(0, -8), bytes.length, hash), null);
  assert.is(blockOf("", 3, hash), null);
  assert.is(blockOf("====", 3, hash), null);
});

test.run();
