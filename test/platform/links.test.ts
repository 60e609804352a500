/**
 * links: every way by which two processes can be connected keeps the contract of platform/link.ts,
 * and a machine moves over it.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { WebSocket } from "ws";
import {
  type Machine,
  MigrationManager,
  type NodeLinkOptions,
  nodeLinks,
  type VmError,
} from "../../src/node.ts";
import type { ByteLink, LinkDoor } from "../../src/platform/link.ts";
import { SocketLink, withBuffer } from "../../src/platform/node/socket-link.ts";
import { SimNet } from "../../src/platform/sim/links.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import { OPENSSL, testNeeding } from "../helpers/need.ts";
import { Random } from "../helpers/random.ts";
import { scribblingHost } from "../snapshot/scribbler.ts";

const test = suite("platform/links");
const folder = mkdtempSync(join(tmpdir(), "rivulet-links-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
  assert.is(status, 0, stderr);
}

/** A certificate of an authority of its own name, and that. */
function certificates(authority: string): NonNullable<NodeLinkOptions["tls"]> {
  const [ca, key, request, cert] = ["ca.pem", "key.pem", "request.pem", "cert.pem"].map((name) => {
    return `${authority}-${name}`;
  });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const caKey = `${authority}-ca-key.pem`;
  openssl("req", "-x509", ...curve, "-keyout", caKey, "-out", ca, "-subj", `/CN=${authority}`);
  openssl("req", "-new", ...curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost");
  writeFileSync(join(folder, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const sign = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-extfile", "names"];
  openssl("x509", "-req", "-in", request, "-out", cert, ...sign);
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return { ca: read(ca), cert: read(cert), key: read(key) };
}

interface Way {
  readonly title: string;
  readonly address: string;
  readonly door: () => LinkDoor;
  readonly needs?: boolean;
}

const WAYS: readonly Way[] = [
  { title: "tcp", address: "tcp://127.0.0.1:0", door: () => nodeLinks() },
  { title: "unix", address: `unix://${join(folder, "socket")}`, door: () => nodeLinks() },
  { title: "ws", address: "ws://127.0.0.1:0/", door: () => nodeLinks() },
  {
    title: "tls",
    address: "tls://127.0.0.1:0",
    door: () => nodeLinks({ tls: certificates("ours") }),
    needs: true,
  },
  {
    title: "simulated",
    address: "sim:there",
    door: () => new SimNet(new SimPlatform(new Uint8Array())).door("one"),
  },
];

/** What arrives, as one; and when so much has. */
class Collector {
  readonly bytes: Uint8Array;
  closed = "";
  #count = 0;
  #onFull: () => void = () => {};
  readonly full = new Promise<void>((resolve) => {
    this.#onFull = resolve;
  });
  readonly over: Promise<string>;

  constructor(link: ByteLink, count: number) {
    this.bytes = new Uint8Array(count);
    this.over = new Promise((resolve) => link.onClose(resolve));
    link.onBytes((bytes) => {
      this.bytes.set(bytes, this.#count);
      this.#count += bytes.length;
      if (this.#count === count) this.#onFull();
    });
  }
}

async function pair(door: LinkDoor, address: string) {
  let onLink: (link: ByteLink) => void = () => {};
  const accepted = new Promise<ByteLink>((resolve) => {
    onLink = resolve;
  });
  const listener = await door.listen(address, (link) => onLink(link));
  const here = await door.dial(listener.address);
  return { here, there: await accepted, listener };
}

function noise(count: number, seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: count }, () => random.below(256));
}

/** In pieces of odd sizes, a few to each send, the next one when the last one wants more. */
async function sendAll(link: ByteLink, bytes: Uint8Array, seed: number): Promise<void> {
  const random = new Random(seed);
  for (let at = 0; at < bytes.length; ) {
    const pieces: Uint8Array[] = [];
    for (let piece = 0; piece < 3; piece++) {
      const size = random.between(1, 70_000);
      // its own memory, which is changed as soon as it may be
      pieces.push(bytes.slice(at, at + size));
      at += size;
    }
    await link.send(pieces);
    for (const piece of pieces) piece.fill(0xee);
  }
}

async function code(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "none";
  } catch (error) {
    return (error as VmError).code;
  }
}

for (const { title, address, door: makeDoor, needs } of WAYS) {
  const ask = (what: string, work: () => Promise<void>) => {
    const name = `${title}: ${what}`;
    testNeeding(test, needs === true ? [OPENSSL] : [], name, work);
  };

  ask(
    "every byte comes, in order, both ways at once; the sender's pieces are its own again",
    async () => {
      const { here, there, listener } = await pair(makeDoor(), address);
      const [east, west] = [noise(3 << 20, 1), noise(3 << 20, 2)];
      const [atThere, atHere] = [
        new Collector(there, east.length),
        new Collector(here, west.length),
      ];
      await Promise.all([sendAll(here, east, 3), sendAll(there, west, 4)]);
      await Promise.all([atThere.full, atHere.full]);
      assert.is(Buffer.compare(atThere.bytes, east), 0);
      assert.is(Buffer.compare(atHere.bytes, west), 0);
      here.close();
      here.close();
      assert.is(await code(() => here.send([new Uint8Array(1)])), "io");
      assert.ok((await atThere.over).length > 0);
      assert.ok((await atHere.over).length > 0);
      await listener.close();
    },
  );

  ask("nobody there is an error of the dial", async () => {
    const door = makeDoor();
    const listener = await door.listen(address, () => {});
    await listener.close();
    assert.is(await code(() => door.dial(listener.address)), "io");
  });

  ask("an address that somebody has is refused", async () => {
    const door = makeDoor();
    const listener = await door.listen(address, () => {});
    assert.is(await code(() => door.listen(listener.address, () => {})), "busy");
    await listener.close();
  });

  if (title === "simulated") continue;
  ask("a machine moves over it", async () => {
    const door = makeDoor();
    const [from, to] = [await scribblingHost(), await scribblingHost()];
    let onArrived: (machine: Machine) => void = () => {};
    const arrived = new Promise<Machine>((resolve) => {
      onArrived = resolve;
    });
    const source = await MigrationManager.create({ host: from.host, door });
    const target = await MigrationManager.create({ host: to.host, door, arrived: onArrived });
    const { address: there } = await target.listen(address);
    const machine = await from.start();
    await machine.run(2_000_000);
    void machine.run();
    const session = await source.start(machine, there);
    assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
    const moved = await arrived;
    const twin = await from.start();
    await twin.run(moved.instructions);
    assert.is(moved.stateDigest(), twin.stateDigest());
    await source.close();
    await target.close();
    from.host.dispose();
    to.host.dispose();
  });
}

test("plain bytes do not leave this host unless that is asked for by name", async () => {
  const door = nodeLinks();
  for (const address of ["tcp://0.0.0.0:0", "ws://0.0.0.0:0/", "tcp://192.0.2.1:4711"]) {
    assert.is(await code(() => door.listen(address, () => {})), "bad-argument", address);
    assert.is(await code(() => door.dial(address.replace(":0", ":1"))), "bad-argument", address);
  }
  const open = nodeLinks({ isPlainAllowed: true });
  const listener = await open.listen("tcp://0.0.0.0:0", () => {});
  await listener.close();
});

test("addresses that are none", async () => {
  for (const address of ["", "tcp://", "tcp://127.0.0.1", "http://127.0.0.1:1/", "tcp://h:99999"]) {
    assert.is(await code(() => nodeLinks().dial(address)), "bad-argument", address);
  }
});

/** Waits at a listener to be dialed, as a page does; and the end of that. */
async function waitAt(listener: string, path: string) {
  const socket = new WebSocket(`${listener.slice(0, -1)}${path}`);
  const over = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  return { socket, over };
}

test("a socket that was accepted reads into one buffer, as one that was dialed does", async () => {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const dialed = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const { socket, buffer } = withBuffer(await accepted);
  server.close();
  assert.ok(buffer, "this Node holds the connection elsewhere");
  const link = new SocketLink(socket, "peer", buffer);
  const memories = new Set<ArrayBufferLike>();
  const closed = new Promise<string>((resolve) => link.onClose(resolve));
  let sum = 0;
  link.onBytes((bytes) => {
    memories.add(bytes.buffer);
    for (const byte of bytes) sum += byte;
  });
  dialed.end(new Uint8Array(3 << 20).fill(1));
  await closed;
  assert.is(sum, 3 << 20);
  assert.is(memories.size, 1);
});

test("await: who waits by a name is dialed by it, once, the newest first", async () => {
  const door = nodeLinks({ dialMs: 50 });
  const links: ByteLink[] = [];
  const listener = await door.listen("ws://127.0.0.1:0/", (link) => links.push(link));
  const first = await waitAt(listener.address, "/await/tab-1");
  const other = await waitAt(listener.address, "/await/tab-2");
  const second = await waitAt(listener.address, "/await/tab-1");
  for (const { socket } of [second, first]) {
    const said = new Promise<Buffer>((resolve) => socket.once("message", resolve));
    const link = await door.dial("await://tab-1");
    assert.is(link.peer, "await://tab-1");
    await link.send([Uint8Array.of(1, 2), Uint8Array.of(3)]);
    assert.equal([...(await said)], [1, 2, 3]);
    const heard = new Collector(link, 2);
    socket.send(Uint8Array.of(4, 5));
    await heard.full;
    assert.equal([...heard.bytes], [4, 5]);
    link.close();
  }
  assert.is(await code(() => door.dial("await://tab-1")), "io", "nobody is left");
  assert.is(await code(() => door.dial("await://tab 1")), "bad-argument");
  assert.is(await code(() => door.listen("await://tab-1", () => {})), "bad-argument");
  assert.is(await code(async () => waitAt(listener.address, "/await/")), undefined);
  other.socket.send(Uint8Array.of(1));
  await other.over;
  assert.is(await code(() => door.dial("await://tab-2")), "io", "it spoke before its turn");
  assert.equal(links, []);
  await listener.close();
});

test("await: a dial waits for who comes, and a listener that closes keeps nobody", async () => {
  const door = nodeLinks();
  const listener = await door.listen("ws://127.0.0.1:0/", () => {});
  const dialed = door.dial("await://tab");
  const first = await waitAt(listener.address, "/await/tab");
  const link = await dialed;
  const second = await waitAt(listener.address, "/await/tab");
  await listener.close();
  await second.over;
  await link.send([Uint8Array.of(7)]);
  assert.is(first.socket.readyState, WebSocket.OPEN, "a link that is there stays");
  link.close();
  await first.over;
});

testNeeding(
  test,
  [OPENSSL],
  "tls: who has no certificate of the authority is never a link",
  async () => {
    const [ours, theirs] = [certificates("ours"), certificates("theirs")];
    let links = 0;
    const listener = await nodeLinks({ tls: ours }).listen("tls://127.0.0.1:0", () => links++);
    // one that we do not trust, and that does not trust us
    assert.is(await code(() => nodeLinks({ tls: theirs }).dial(listener.address)), "io");
    // one that trusts us, with a certificate of somebody else
    const mixed = nodeLinks({ tls: { ...theirs, ca: ours.ca } });
    try {
      const link = await mixed.dial(listener.address);
      await new Promise<string>((resolve) => {
        link.onClose(resolve);
        link.onBytes(() => {});
      });
    } catch (error) {
      assert.is((error as VmError).code, "io");
    }
    // one that speaks no TLS at all
    const port = Number(listener.address.slice(listener.address.lastIndexOf(":") + 1));
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.0\r\n\r\n");
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    assert.is(links, 0);
    await listener.close();
  },
);

test.run();
