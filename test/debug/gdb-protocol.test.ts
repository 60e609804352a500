/**
 * gdb-protocol: packets in, packets out: what gdb relies on, and what a hostile peer sends.
 *
 * SEED=... reruns the random part.
 */
import { setImmediate as turn } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MACHINE_STEP } from "../../assembly/layout.ts";
import {
  bytesOf,
  frame,
  fromHex,
  type Incoming,
  latin1,
  PACKET_BYTES_MAX,
  PacketReader,
  toHex,
} from "../../src/debug/packet.ts";
import { GdbServer, letGo, type Machine } from "../../src/index.ts";
import {
  elfProgram,
  emitHang,
  emitPoweroff,
  imageProgram,
  KERNEL,
  RAM,
  smallHost,
} from "../helpers/guest-program.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { GdbClient } from "./gdb-client.ts";

const test = suite("debug/gdb-protocol");
const host = await smallHost({ machinesMax: 32 });
const seed = seedOf(20_261_125);
const LOOP = KERNEL + 0x100;
const KERNEL_HEX = (KERNEL + 64).toString(16);

interface Session {
  readonly machine: Machine;
  readonly client: GdbClient;
  readonly server: GdbServer;
  readonly said: string[];
}

/** a0 counts up, and is stored 16 below sp. */
const counting = imageProgram((a) => {
  a.li("sp", KERNEL + 0x4000);
  a.j("loop");
  a.padTo(LOOP);
  a.label("loop");
  a.addi("a0", "a0", 1);
  a.sd("a0", "sp", -16);
  a.j("loop");
});

const OTHER = RAM + 0x100;

/** Hart 0 waits for an interrupt that never comes; the others go round and round at OTHER. */
const waiting = elfProgram((a) => {
  a.csrr("t0", "mhartid");
  a.bnez("t0", "other");
  a.label("wait");
  a.wfi();
  a.j("wait");
  a.padTo(OTHER);
  a.label("other");
  a.addi("a0", "a0", 1);
  a.j("other");
});

/** Hart 0 waits, and is stepped all the same. */
async function openStepping(): Promise<Session> {
  const session = await open(waiting, 2);
  const { client, machine } = session;
  for (let count = 0; count < 3; count++) await client.ask("vCont;s:1");
  assert.ok(machine.debugger.registers(0).isWaiting);
  client.send("vCont;s:1");
  for (let turns = 0; turns < 5; turns++) await turn();
  assert.is(client.waiting, 0);
  assert.is(machine.view.get32(MACHINE_STEP), 1);
  return session;
}

async function open(kernel = counting, harts = 1): Promise<Session> {
  const machine = host.createMachine({ kernel, harts, memoryBytes: "4M", clock: "virtual" });
  await machine.boot();
  const said: string[] = [];
  const kill = () => machine.dispose();
  const server = new GdbServer({
    target: () => ({ machine, resume: () => letGo(machine), kill }),
    say: (text) => said.push(text),
  });
  const client = new GdbClient();
  server.accept(client.peer);
  return { machine, client, server, said };
}

async function pcOf(client: GdbClient): Promise<bigint> {
  const bytes = fromHex(await client.ask("p20")) ?? assert.unreachable("no hex");
  return new DataView((bytes as Uint8Array).buffer).getBigUint64(0, true);
}

// machines that run on would keep the process
test.after(() => host.dispose());

// ---- frames ----

test("frames survive every byte, cut anywhere", () => {
  const payload = Uint8Array.from({ length: 256 }, (_, index) => index);
  const bytes = frame(payload);
  const random = new Random(seed);
  const reader = new PacketReader();
  const got: Incoming[] = [];
  for (let at = 0; at < bytes.length; ) {
    const count = random.between(1, 9);
    got.push(...reader.take(bytes.subarray(at, at + count)));
    at += count;
  }
  assert.equal(got, [{ kind: "packet", payload }]);
});

test("a wrong checksum, a lost end, too many bytes, noise", () => {
  const kinds = (text: string) => new PacketReader().take(bytesOf(text)).map(({ kind }) => kind);
  assert.equal(kinds("$g#00"), ["damaged"]);
  assert.equal(kinds("$g#zz"), ["damaged"]);
  assert.equal(kinds("$lost$g#67"), ["packet"]);
  assert.equal(kinds(`$${"a".repeat(PACKET_BYTES_MAX + 1)}#61`), ["too-long"]);
  assert.equal(kinds("x+y-\u0003$g#67"), ["ack", "nack", "interrupt", "packet"]);
  assert.is(fromHex("0g"), null);
  assert.is(fromHex("0"), null);
  assert.is(toHex(Uint8Array.of(0, 255)), "00ff");
});

// ---- a session ----

test("gdb is told what there is", async () => {
  const { client } = await open(counting, 4);
  assert.match(await client.ask("qSupported:multiprocess+;swbreak+"), /PacketSize=4000;/);
  assert.is(await client.ask("vMustReplyEmpty"), "");
  assert.is(await client.ask("qTStatus"), "");
  assert.is(await client.ask("qCRC:0,10"), "");
  assert.is(await client.ask("Hg0"), "OK");
  assert.is(await client.ask("qC"), "QC1");
  assert.is(await client.ask("qfThreadInfo"), "m1,2,3,4");
  assert.is(await client.ask("qsThreadInfo"), "l");
  assert.is(await client.ask("T4"), "OK");
  assert.is(await client.ask("T5"), "E16");
  assert.match(
    latin1(fromHex(await client.ask("qThreadExtraInfo,2")) as Uint8Array),
    /not started/,
  );
  assert.is(await client.ask("qAttached"), "1");
  assert.match(await client.ask("?"), /^T05thread:1;2:0{16};8:0{16};20:[0-9a-f]{16};$/);
  assert.is(client.acks, 13);
  client.drop();
});

test("the description comes in pieces, with the names and numbers that gdb expects", async () => {
  const { client } = await open();
  let xml = "";
  for (let rounds = 0; rounds < 1000; rounds++) {
    const piece = await client.ask(`qXfer:features:read:target.xml:${xml.length.toString(16)},100`);
    xml += piece.slice(1);
    if (piece[0] === "l") break;
  }
  assert.match(xml, /<\/target>\s*$/);
  for (const name of ["cpu", "fpu", "csr", "virtual"]) {
    assert.match(xml, `<feature name="org.gnu.gdb.riscv.${name}">`);
  }
  assert.match(xml, '<reg name="satp" bitsize="64" regnum="449"');
  assert.match(xml, '<reg name="ft0" bitsize="64" regnum="33"');
  assert.match(xml, '<reg name="priv" bitsize="64" regnum="4161"');
  assert.is(await client.ask("qXfer:features:read:target.xml:fffff,10"), "E16");
  assert.match(await client.ask("qXfer:threads:read::0,800"), /^l<\?xml.*<thread id="1" core="0"/s);
  client.drop();
});

test("registers and memory, in hex and in binary", async () => {
  const { client, machine } = await open();
  assert.is((await client.ask("g")).length, 33 * 16);
  assert.is(await client.ask("Pa=0102030405060708"), "OK");
  assert.is(machine.debugger.registers().x[10], 0x0807060504030201n);
  assert.is(await client.ask("pa"), "0102030405060708");
  assert.is(await client.ask("Pa=01"), "E16");
  assert.is(await client.ask("p1041"), "1".padStart(2, "0").padEnd(16, "0"), "priv: S");
  assert.is(await client.ask("p1c1"), "0".repeat(16), "satp");
  assert.is(await client.ask("pffff"), "x".repeat(16));
  assert.is(await client.ask(`P${(65 + 0xf14).toString(16)}=${"0".repeat(16)}`), "E16");
  const all = await client.ask("g");
  assert.is(await client.ask(`G${all}`), "OK");
  assert.is(await client.ask("G00"), "E16");
  assert.is(await client.ask("m80300000,4"), "00000000");
  assert.is(await client.ask("M80300000,4:01020304"), "OK");
  assert.is(await client.ask("M80300000,4:010203"), "E16");
  assert.is(await client.ask("m80300002,4"), "03040000");
  assert.is(await client.ask(Uint8Array.of(...bytesOf("X80300000,3:"), 0x23, 0x24, 0x7d)), "OK");
  assert.is(await client.ask("m80300000,3"), "23247d");
  assert.is(await client.ask("X80300000,0:"), "OK");
  assert.is(await client.ask("m80400000,4"), "E0e", "outside RAM");
  assert.is(await client.ask("m803ffffe,4"), "0000", "as far as it goes");
  assert.is(await client.ask("M10000000,1:41"), "E0e", "devices are left alone");
  assert.is(await client.ask("mzz,4"), "E16");
  client.drop();
});

test("breakpoints, steps, ranges, watchpoints and Ctrl-C", async () => {
  const { client, machine } = await open();
  assert.is(await client.ask("vCont?"), "vCont;c;C;s;S;r");
  for (let count = 0; count < 6; count++) assert.match(await client.ask("vCont;s:1"), /^T05/);
  const loop = BigInt(LOOP);
  const at = loop.toString(16);
  assert.is(await client.ask(`Z0,${at},4`), "OK");
  assert.match(await client.ask("vCont;c"), /^T05thread:1;swbreak:;/);
  assert.is(await pcOf(client), loop);
  assert.match(await client.ask("c"), /swbreak/);
  assert.is(await client.ask(`Z1,${at},4`), "OK");
  assert.is(await client.ask(`z0,${at},4`), "OK");
  assert.match(await client.ask("vCont;c"), /hwbreak/);
  assert.is(await client.ask(`z1,${at},4`), "OK");
  const cell = (KERNEL + 0x4000 - 16).toString(16);
  for (const [type, name] of [
    ["2", "watch"],
    ["4", "awatch"],
  ]) {
    assert.is(await client.ask(`Z${type},${cell},8`), "OK");
    assert.match(await client.ask("vCont;c"), `${name}:${cell};`);
    assert.is(await client.ask(`z${type},${cell},8`), "OK");
  }
  const end = (loop + 8n).toString(16);
  const start = (loop - 4n).toString(16);
  await client.ask(`Z0,${at},4`);
  await client.ask("vCont;c");
  await client.ask(`z0,${at},4`);
  assert.match(await client.ask(`vCont;r${start},${end}:1;c`), /^T05thread:1;[^s]*$/);
  assert.is(await pcOf(client), loop + 8n);
  client.send("vCont;c");
  for (let turns = 0; turns < 5; turns++) await turn();
  assert.is(machine.state, "running");
  assert.is(client.waiting, 0);
  client.raw("\u0003");
  assert.match(await client.next(), /^T02thread:1;/);
  assert.is(machine.state, "paused");
  assert.is(await client.ask("D"), "OK");
  assert.ok(client.isClosed);
  assert.is(machine.state, "running");
  machine.dispose();
});

test("a point that gdb did not set stops as a signal: gdb passes over break reports not its own", async () => {
  const { client, machine } = await open();
  const points = machine.debugger.openPoints();
  points.setBreakpoint(BigInt(LOOP));
  assert.match(await client.ask("vCont;c"), /^T05thread:1;2:/);
  assert.is(await pcOf(client), BigInt(LOOP));
  points.clear();
  const cell = BigInt(KERNEL + 0x4000 - 16);
  points.setWatchpoint(cell, 4, "write");
  assert.match(await client.ask("vCont;c"), /^T05thread:1;2:/);
  assert.is(await pcOf(client), BigInt(LOOP + 8));
  assert.is(await client.ask(`Z2,${cell.toString(16)},4`), "OK");
  assert.match(await client.ask("vCont;c"), `watch:${cell.toString(16)};`);
  points.close();
  client.drop();
});

test("a stop is told of the hart that it is of", async () => {
  const { client } = await open(waiting, 2);
  const at = OTHER.toString(16);
  assert.is(await client.ask(`Z0,${at},4`), "OK");
  assert.match(await client.ask("vCont;c"), /^T05thread:2;swbreak:;/);
  assert.is(await pcOf(client), BigInt(OTHER));
  assert.is(await client.ask("qC"), "QC2");
  client.drop();
});

test("Ctrl-C, and an end of the connection, forget a step that has not come to its end", async () => {
  const interrupted = await openStepping();
  interrupted.client.raw("\u0003");
  assert.match(await interrupted.client.next(), /^T02/);
  assert.is(interrupted.machine.view.get32(MACHINE_STEP), 0);
  interrupted.machine.dispose();
  const { client, machine } = await openStepping();
  client.drop();
  assert.is(machine.view.get32(MACHINE_STEP), 0);
  assert.is(machine.state, "running");
  machine.dispose();
});

test("without acknowledgements none are sent, with them the last packet comes again", async () => {
  const { client } = await open();
  await client.ask("qC");
  client.raw("-");
  assert.is(await client.next(), "QC1");
  client.raw("$qC#00");
  assert.is(client.nacks, 1);
  assert.is(await client.ask("QStartNoAckMode"), "OK");
  const { acks } = client;
  assert.is(await client.ask("qC"), "QC1");
  assert.is(client.acks, acks);
  client.raw("-");
  assert.is(client.waiting, 0);
  client.drop();
});

test("the guest's end is the program's", async () => {
  const { client, machine } = await open(imageProgram(emitPoweroff));
  assert.is(await client.ask("vCont;c"), "W00");
  assert.is(await client.ask("vCont;c"), "W00");
  assert.is(machine.state, "terminated");
  client.drop();
});

test("a machine that ends under gdb ends the session", async () => {
  const { client, machine, said } = await open();
  client.send("c");
  await turn();
  machine.dispose();
  assert.ok(client.isClosed);
  assert.match(said.at(-1) ?? "", /detached/);
});

test("a session does not outlast a machine that is disposed of after its end", async () => {
  const { client, machine, server } = await open(imageProgram(emitPoweroff));
  assert.is(await client.ask("vCont;c"), "W00");
  machine.dispose();
  client.send("g");
  assert.ok(client.isClosed);
  assert.not(server.isAttached);
});

test("a connection that is over before it is taken leaves room for the next", async () => {
  const { client, machine, server } = await open();
  client.drop();
  const gone = new GdbClient();
  const peer = { ...gone.peer, pendingBytes: 0, onClose: (listener: () => void) => listener() };
  server.accept(peer);
  assert.not(server.isAttached);
  assert.is(machine.state, "running");
  machine.dispose();
});

test("kill ends the machine, reset starts it again", async () => {
  const reset = await open();
  for (let count = 0; count < 9; count++) await reset.client.ask("s");
  assert.match(
    latin1(fromHex(await reset.client.ask(`qRcmd,${toHex(bytesOf("reset"))}`)) as Uint8Array),
    /reset/,
  );
  await reset.client.ask("s");
  assert.is(reset.machine.stats().reboots, 1);
  assert.is((await pcOf(reset.client)).toString(16).slice(0, 4), KERNEL_HEX.slice(0, 4));
  assert.is(await reset.client.ask("vKill;1"), "OK");
  assert.is(reset.machine.state, "terminated");
});

test("what gdb has killed does not go on when it leaves", async () => {
  const machine = host.createMachine({ kernel: counting, memoryBytes: "4M" });
  await machine.boot();
  const server = new GdbServer({
    target: () => ({ machine, resume: () => letGo(machine), kill: () => machine.stop() }),
  });
  const client = new GdbClient();
  server.accept(client.peer);
  client.send("k");
  client.drop();
  assert.is(machine.state, "paused");
  assert.not(machine.hasRun);
  machine.dispose();
});

test("monitor answers in lines and refuses in words", async () => {
  const { client, machine } = await open();
  const monitor = async (line: string) =>
    latin1(fromHex(await client.ask(`qRcmd,${toHex(bytesOf(line))}`)) as Uint8Array);
  assert.match(await monitor("info"), /4 MiB, 1 harts|4 MiB, 1 hart/);
  assert.is(await monitor("digest"), `${machine.stateDigest()}\n`);
  assert.match(await monitor("translate 0x80200000"), /0x80200000 -> 0x80200000 \(bare\)/);
  assert.match(await monitor("translate nowhere"), /accepted are/);
  assert.match(await monitor("dance"), /none of these/);
  assert.match(await monitor("help"), /monitor reset/);
  assert.match(await monitor("memory sideways"), /accepted are physical and virtual/);
  assert.match(await monitor("memory physical"), /physical now/);
  client.drop();
});

test("a second gdb, and one for a machine that is not booted, are turned away", async () => {
  const { server, client, machine } = await open();
  const second = new GdbClient();
  server.accept(second.peer);
  assert.ok(second.isClosed && !client.isClosed);
  server.close();
  assert.ok(client.isClosed);
  const third = new GdbClient();
  server.accept(third.peer);
  assert.ok(third.isClosed);
  machine.dispose();
});

test("a dropped connection leaves the machine running, without points", async () => {
  const { client, machine } = await open();
  await client.ask(`Z0,${KERNEL_HEX},4`);
  await client.ask("Z2,80300000,8");
  assert.is(machine.debugger.breakpoints.length, 1);
  client.drop();
  assert.is(machine.debugger.breakpoints.length + machine.debugger.watchpoints.length, 0);
  assert.not(machine.debugger.isHolding);
  assert.is(machine.state, "running");
  assert.ok(machine.hasRun);
  machine.dispose();
});

test("who asks for everything again for ever, or reads nothing, is left", async () => {
  const again = await open();
  await again.client.ask("g");
  again.client.raw("-".repeat(1000));
  assert.ok(again.client.isClosed);
  assert.ok(again.client.sentBytes < 40 * 600);
  const deaf = await open();
  deaf.client.pendingBytes = 100 << 20;
  deaf.client.send("g");
  assert.ok(deaf.client.isClosed);
  again.machine.dispose();
  deaf.machine.dispose();
});

test("who begins like a browser is left at once, and its packets are not read", async () => {
  const { client, machine } = await open();
  const before = machine.debugger.registers().x[10];
  client.raw(`POST / HTTP/1.1\r\n\r\n${latin1(frame(bytesOf("Pa=0102030405060708")))}`);
  assert.ok(client.isClosed);
  assert.is(client.sentBytes, 0);
  assert.is(machine.debugger.registers().x[10], before);
  assert.is(machine.state, "running");
  machine.dispose();
});

test("points without end are refused", async () => {
  const { client } = await open();
  for (let at = 0; at < 128; at++) await client.ask(`Z0,${(at * 4).toString(16)},4`);
  assert.is(await client.ask("Z0,80000,4"), "E1c");
  assert.is(await client.ask("Z0,80001,4"), "E16");
  assert.is(await client.ask("Z2,0,0"), "E16");
  assert.is(await client.ask("Z9,0,1"), "");
  client.drop();
});

test("random packets are answered, and nothing throws", async () => {
  const random = new Random(seed);
  const { client, machine, server } = await open(imageProgram(emitHang), 2);
  const starts = ["g", "G", "p", "P", "m", "M", "X", "Z0,", "z", "H", "T", "vCont;", "qXfer:", "q"];
  const more = [
    "Z2,",
    "c",
    "s",
    "qRcmd,",
    "R",
    "!",
    "?",
    "v",
    "qThreadExtraInfo,",
    "",
    "C05;",
    "Q",
  ];
  const alphabet = "0123456789abcdef,;:=-?crs\u0000\u007f}";
  for (let count = 0; count < 4000; count++) {
    let text = random.pick([...starts, ...more]);
    for (let left = random.below(14); left > 0; left--)
      text += alphabet[random.below(alphabet.length)];
    if (text.startsWith("k") || text.startsWith("D") || text.startsWith("vKill")) continue;
    if (random.chance(5)) client.raw(Uint8Array.from({ length: 20 }, () => random.below(256)));
    const before = client.sentBytes;
    client.send(text);
    assert.ok(!client.isClosed, `closed by ${JSON.stringify(text)}, SEED=${seed}`);
    assert.ok(client.sentBytes > before, `no answer to ${JSON.stringify(text)}`);
    client.raw("\u0003");
    if (count % 100 === 0) await turn();
  }
  server.close();
  assert.ok(machine.state === "running" || machine.state === "paused");
  machine.dispose();
});

test.run();
