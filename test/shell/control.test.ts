/**
 * `--control` and `--connect`: a real socket between real processes; and what a hostile peer may
 * send.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Console } from "../../bench/process.ts";
import { ClientMessage, MessageReader, ProtocolError } from "../../src/shell/control-protocol.ts";
import { CLI, type CliCall, rivulet } from "../helpers/cli.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("shell/control");
const SECONDS_MAX = 60;
const folder = mkdtempSync(join(tmpdir(), "rivulet-control-"));
const alive: Console[] = [];
test.after(async () => {
  for (const one of alive) await one.kill();
  rmSync(folder, { recursive: true });
});

let sockets = 0;

/** A process that serves a socket; it takes commands on stdin too. */
async function serving(path = join(folder, `s${sockets++}`)) {
  const shell = new Console([process.execPath, CLI, "--control", `unix:${path}`]);
  alive.push(shell);
  shell.write("echo up\n");
  await shell.expect(/up\n/, SECONDS_MAX);
  return { path, shell };
}

const at = (path: string, args: readonly string[], call?: CliCall) =>
  rivulet(["--connect", `unix:${path}`, ...args], call);

test("commands run in the serving process: output, errors, statuses, JSON, relative paths", async () => {
  const { path, shell } = await serving();
  assert.is(statSync(path).mode & 0o777, 0o600);
  const make = ["vm", "create", "m", "--guest", "builtin", "--memory", "16M", "--start"];
  assert.equal(await at(path, make), { status: 0, stdout: "", stderr: "" });
  assert.is((await at(path, ["console", "wait", "m", "> "])).status, 0);
  const [listed] = JSON.parse((await at(path, ["vm", "list", "--json"])).stdout);
  assert.is(listed.state, "running");
  const unknown = await at(path, ["vm", "start", "nobody"]);
  assert.is(unknown.status, 1);
  assert.match(unknown.stderr, /^rivulet: machine "nobody": there is m\n$/);
  assert.is((await at(path, ["vm", "jump"])).status, 2);
  const document = await at(path, ["vm", "start", "--json"]);
  assert.is(JSON.parse(document.stdout).error.code, "usage");
  const late = await at(path, ["console", "wait", "m", "never", "--timeout", "50ms"]);
  assert.is(late.status, 1);
  assert.match(late.stderr, /did not say "never" within 50ms/);

  const here = join(folder, "here");
  mkdirSync(here);
  const dump = await at(path, ["vm", "screendump", "m", "screen.txt"], { cwd: here });
  assert.is(dump.status, 0, dump.stderr);
  assert.ok(existsSync(join(here, "screen.txt")));
  writeFileSync(join(here, "two.rv"), "echo one\necho two\n");
  assert.is((await at(path, ["source", "two.rv"], { cwd: here })).stdout, "one\ntwo\n");

  const talk = await at(path, ["console", "attach", "m"], { input: "echo over\npoweroff 3\n" });
  assert.is(talk.status, 0);
  assert.match(talk.stdout, /^over\r?$/m);
  shell.write("exit 5\n");
  assert.is(await shell.finish(SECONDS_MAX), 5);
  assert.not(existsSync(path));
  assert.match((await at(path, ["vm", "list"])).stderr, /no process serves it/);
});

test("Ctrl-C of a client ends its command alone", async () => {
  const { path } = await serving();
  await at(path, ["vm", "create", "m", "--guest", "builtin", "--memory", "16M", "--start"]);
  const line = `"${process.execPath}" "${CLI}" --connect "unix:${path}"`;
  const script = `${line} console log m --follow & p=$!; read -r; kill -INT $p; wait $p; echo "status $?"`;
  const client = new Console(["bash", "-mc", script]);
  await client.expect(/> $/, SECONDS_MAX);
  client.write("\n");
  await client.expect(/status 130\n/, SECONDS_MAX);
  await client.finish(SECONDS_MAX);
  assert.match((await at(path, ["vm", "list"])).stdout, /m +running/);
});

test("a process that ends tells its clients how their commands ended", async () => {
  const { path, shell } = await serving();
  await at(path, ["vm", "create", "m", "--guest", "builtin", "--memory", "16M", "--start"]);
  await at(path, ["console", "wait", "m", "> "]);
  const begin = async (words: readonly string[]) => {
    const peer = await raw(path);
    peer.socket.write(`${JSON.stringify({ type: "run", words, folder: "/" })}\n`);
    return peer;
  };
  const attached = await begin(["console", "attach", "m"]);
  await attached.until(/"listen"/);
  const waiting = await begin(["vm", "wait", "m"]);
  const following = await begin(["host", "events", "--follow"]);
  await following.until(/"stdout"/);
  shell.write("exit 3\n");
  assert.is(await shell.finish(SECONDS_MAX), 3);
  const ends: readonly [RawPeer, number, RegExp][] = [
    [attached, 0, /m: the machine was destroyed\n$/],
    [waiting, 1, /m was destroyed before it was terminated\n$/],
    [following, 1, /the process that serves this command ends\n$/],
  ];
  for (const [peer, status, text] of ends) {
    const said = await peer.end;
    assert.ok(said.endsWith(`{"type":"exit","status":${status}}\n`), said);
    const err = [...said.matchAll(/"stderr","data":"([^"]+)"/g)].map(([, data]) => atob(data));
    assert.match(err.join(""), /the process that serves this command ends/);
    assert.match(err.join(""), text);
  }
});

test("what only changes a session is refused, but in a script that is sourced", async () => {
  const { path } = await serving();
  for (const words of [["exit", "3"], ["set", "a", "b"], ["unset", "a"], ["alias"], ["history"]]) {
    const { status, stdout, stderr } = await at(path, words);
    assert.equal([status, stdout], [2, ""]);
    assert.is(
      stderr,
      `rivulet: ${words[0]} needs a shell: \`rivulet\`, or a script (\`-f FILE\`)\n`,
    );
  }
  const { stdout } = await at(path, ["exit", "--json"]);
  assert.is(JSON.parse(stdout).error.code, "usage");
  assert.is((await at(path, ["exit", "--help"])).status, 0);
  const script = join(folder, "sets.rv");
  writeFileSync(script, "set word hello\necho $word\nexit 0\n");
  assert.equal(await at(path, ["source", script]), { status: 0, stdout: "hello\n", stderr: "" });
});

test("a follower of a quiet console ends with its reader", async () => {
  const { path } = await serving();
  await at(path, ["vm", "create", "m", "--guest", "builtin", "--memory", "16M", "--start"]);
  await at(path, ["console", "wait", "m", "> "]);
  const line = `"${process.execPath}" "${CLI}" --connect "unix:${path}" console log m --follow`;
  const client = new Console(["bash", "-c", `${line} | head -c 1; echo " \${PIPESTATUS[0]}"`]);
  alive.push(client);
  await client.expect(/ 141\n/, SECONDS_MAX);
  assert.is(await client.finish(SECONDS_MAX), 0);
});

test("a client that goes away ends its command", async () => {
  const { path } = await serving();
  await at(path, ["vm", "create", "m", "--guest", "builtin", "--memory", "16M", "--start"]);
  const peer = await raw(path);
  peer.socket.write('{"type":"run","words":["console","attach","m"],"folder":"/"}\n');
  await peer.until(/"listen"/);
  peer.socket.destroy();
  for (let round = 0; ; round++) {
    const { stdout } = await at(path, ["vm", "info", "m", "--json"]);
    if (JSON.parse(stdout).attachments === 0) break;
    assert.ok(round < 100, "still attached");
  }
});

test("the machine of `run --control` is in reach, and `run` ends as it does", async () => {
  const path = join(folder, "run");
  const run = ["run", "--guest", "builtin", "--memory", "16M", "--clock", "host"];
  const shell = new Console([process.execPath, CLI, ...run, "--control", `unix:${path}`]);
  alive.push(shell);
  await shell.expect(/> $/, SECONDS_MAX);
  assert.match((await at(path, ["vm", "list"])).stdout, /builtin +running/);
  const waiter = await raw(path);
  waiter.socket.write('{"type":"run","words":["vm","wait","builtin"],"folder":"/"}\n');
  const stopped = await at(path, ["vm", "stop", "builtin", "--json"]);
  assert.is(stopped.status, 0, stopped.stderr);
  assert.is(JSON.parse(stopped.stdout).ended, "poweroff, code 0");
  // whoever waits for the end hears of it, though the process ends with it
  assert.match(await waiter.end, /"stdout"[^\n]+\n\{"type":"exit","status":0\}\n$/);
  assert.is(await shell.finish(SECONDS_MAX), 0);
  assert.not(existsSync(path));
});

test("a dead process's socket is replaced; a live one, or a file, is refused", async () => {
  const { path, shell } = await serving();
  const second = await rivulet(["--control", `unix:${path}`]);
  assert.is(second.status, 1);
  assert.match(second.stderr, /another process serves it/);
  await shell.kill();
  assert.ok(existsSync(path), "killed: the socket stays");
  const third = await rivulet(["--control", `unix:${path}`], { input: "exit 4\n" });
  assert.is(third.status, 4, third.stderr);
  assert.not(existsSync(path));
  const file = join(folder, "file");
  writeFileSync(file, "precious");
  const fourth = await rivulet(["--control", `unix:${file}`]);
  assert.is(fourth.status, 1);
  assert.match(fourth.stderr, /a file that is no socket/);
  assert.ok(existsSync(file));
  assert.is((await rivulet(["--control", "tcp:1"])).status, 2);
});

test("a path longer than a socket's address works", async () => {
  const long = join(folder, "d".repeat(100), "e".repeat(100));
  mkdirSync(long, { recursive: true });
  const path = join(long, "socket");
  const { shell } = await serving(path);
  assert.is((await at(path, ["echo", "far"])).stdout, "far\n");
  shell.write("exit\n");
  assert.is(await shell.finish(SECONDS_MAX), 0);
  assert.not(existsSync(path));
});

// ---- hostile peers ----

interface RawPeer {
  readonly socket: Socket;
  /** What came until the pattern did. */
  until(pattern: RegExp): Promise<string>;
  /** Everything, once the other side has closed. */
  readonly end: Promise<string>;
}

function raw(path: string): Promise<RawPeer> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let said = "";
    let look = () => {};
    let finish: (said: string) => void = () => {};
    const end = new Promise<string>((settle) => {
      finish = settle;
    });
    socket.on("data", (bytes) => {
      said += bytes.toString("latin1");
      look();
    });
    socket.on("close", () => {
      finish(said);
      look();
    });
    socket.once("error", (error) => {
      reject(error);
      finish(said);
    });
    const until = (pattern: RegExp) =>
      new Promise<string>((settle, fail) => {
        look = () => {
          if (pattern.test(said)) settle(said);
          else if (socket.destroyed) fail(new Error(`closed before ${pattern}: ${said}`));
        };
        look();
      });
    socket.once("connect", () => resolve({ socket, until, end }));
  });
}

test("nonsense is answered with an error, and the others go on", async () => {
  const { path } = await serving();
  const run = '{"type":"run","words":["echo","hi"],"folder":"/"}\n';
  const nonsense: readonly (string | Buffer)[] = [
    "hello\n",
    "null\n",
    "[]\n",
    '{"type":"jump"}\n',
    '{"type":"run"}\n',
    '{"type":"run","words":[],"folder":"/"}\n',
    '{"type":"run","words":[1],"folder":"/"}\n',
    '{"type":"run","words":["echo"],"folder":"relative"}\n',
    '{"type":"run","words":["echo"],"folder":"/","isTerminal":-1}\n',
    '{"type":"run","words":["echo"],"folder":"/","__proto__":{"a":1},"more":1}\n',
    '{"type":"input","data":"***"}\n',
    Buffer.from([0xff, 0xfe, 0x0a]),
    `${"[".repeat(100_000)}\n`,
    "x".repeat(2 << 20),
  ];
  const bystander = await raw(path);
  for (const bytes of nonsense) {
    const peer = await raw(path);
    peer.socket.on("error", () => {});
    peer.socket.write(bytes);
    const said = await peer.end;
    assert.match(said, /\{"type":"error","message":"[^\n]+"\}\n$/, String(bytes).slice(0, 60));
  }
  bystander.socket.write(run);
  await bystander.until(/"exit","status":0/);
  bystander.socket.destroy();
});

test("messages out of turn, many at once, and commands in a row on one connection", async () => {
  const { path } = await serving();
  const peer = await raw(path);
  const input = '{"type":"input","data":"aGk="}\n{"type":"input-end"}\n{"type":"interrupt"}\n';
  const run = (word: string) => `{"type":"run","words":["echo","${word}"],"folder":"/"}\n`;
  peer.socket.write(`\n${input}${run("one")}${run("two")}${input}${run("three")}`);
  const said = await peer.until(/(exit[\s\S]*){3}/);
  const out = [...said.matchAll(/"stdout","data":"([^"]+)"/g)].map(([, data]) => atob(data));
  assert.is(out.at(0), "one\n");
  peer.socket.destroy();
  const crowd = await raw(path);
  crowd.socket.write(run("x").repeat(1000));
  assert.match(await crowd.end, /more than \d+ commands wait/);
});

test("a peer that asks for much and reads nothing does not keep the process", async () => {
  const { path, shell } = await serving();
  const peer = await raw(path);
  peer.socket.pause();
  const run = '{"type":"run","words":["help","--markdown"],"folder":"/"}\n';
  peer.socket.write(run.repeat(60));
  assert.is((await at(path, ["echo", "hi"])).stdout, "hi\n");
  shell.write("exit 2\n");
  assert.is(await shell.finish(SECONDS_MAX), 2);
  peer.socket.destroy();
});

test("input that the guest does not take is held, and the client is heard all the same", async () => {
  const { path } = await serving();
  await at(path, ["vm", "create", "m", "--guest", "builtin", "--memory", "16M", "--start"]);
  await at(path, ["vm", "pause", "m"]);
  const data = Buffer.alloc(48 << 10, 0x20).toString("base64");
  const input = `{"type":"input","data":"${data}"}\n`;
  const attach = '{"type":"run","words":["console","attach","m"],"folder":"/"}\n';
  const held = /"hold","isOn":true/;
  const flooding = async () => {
    const peer = await raw(path);
    peer.socket.on("error", () => {});
    peer.socket.write(attach);
    await peer.until(/"listen"/);
    peer.socket.write(input.repeat(360)); // 17 MiB
    await peer.until(held);
    return peer;
  };
  const polite = await flooding();
  polite.socket.write('{"type":"interrupt"}\n');
  await polite.until(/"exit","status":130/);
  polite.socket.destroy();
  const gone = await flooding();
  gone.socket.destroy();
  const deaf = await flooding();
  deaf.socket.write(input.repeat(400));
  assert.match(await deaf.end, /bytes of input while it is held/);
  for (let round = 0; ; round++) {
    const { stdout } = await at(path, ["vm", "info", "m", "--json"]);
    if (JSON.parse(stdout).attachments === 0) break;
    assert.ok(round < 100, "still attached");
  }
});

test("the reader takes lines cut anywhere, and random bytes never get through as messages", () => {
  const seed = seedOf(5);
  const random = new Random(seed);
  const message = { type: "run", words: ["echo", "é"], folder: "/", isTerminal: true };
  const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`.repeat(3));
  for (let round = 0; round < 200; round++) {
    const reader = new MessageReader(ClientMessage);
    const found: unknown[] = [];
    for (let begin = 0; begin < bytes.length; ) {
      const end = Math.min(bytes.length, begin + 1 + random.below(40));
      found.push(...reader.take(bytes.subarray(begin, end)));
      begin = end;
    }
    assert.equal(found, [message, message, message], `SEED=${seed}`);
    const noise = bytes.map((byte) => (random.chance(5) ? random.below(256) : byte));
    try {
      for (const one of new MessageReader(ClientMessage).take(noise)) {
        assert.ok(ClientMessage.safeParse(one).success);
      }
    } catch (error) {
      assert.instance(error, ProtocolError, `SEED=${seed}: ${error}`);
    }
  }
});

test.run();
