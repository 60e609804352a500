/**
 * A machine moves between Node and a tab: links, decisions that are kept, and the machine itself.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ByteLink,
  Host,
  type LinkDoor,
  type Machine,
  MigrationManager,
  nodeLinks,
} from "../../src/node.ts";
import { CHROMIUM, testNeeding } from "../helpers/need.ts";
import { Random } from "../helpers/random.ts";
import { countedTo, counter } from "./counter.ts";
import { becomeEnd, queue, sendBack, type TabWindow } from "./tab-end.ts";
import { openRivulet, type RivuletWindow } from "./window.ts";

declare const window: TabWindow & { WebSocket: typeof WebSocket };

const test = suite("browser/migration");
const MEMORY = "16M";

let open: RivuletWindow | null = null;

/** The page, loaded afresh. */
async function visit(): Promise<RivuletWindow> {
  if (open === null) open = await openRivulet();
  else await open.load();
  open.complaints.length = 0;
  return open;
}

test.after(() => open?.end());

/** Sends 20 MiB; a sum over them. */
async function sendNoise(link: ByteLink): Promise<number> {
  const random = new Random(5);
  let sum = 0;
  for (let round = 0; round < 20; round++) {
    const piece = Uint8Array.from({ length: 1 << 20 }, () => random.below(256));
    for (const byte of piece) sum = (Math.imul(sum, 31) + byte) | 0;
    await link.send([piece.subarray(0, 77_777), piece.subarray(77_777)]);
  }
  return sum;
}

testNeeding(test, [CHROMIUM], "a page's links keep the contract, both ways at once", async () => {
  const { page, complaints } = await visit();
  const links = queue<ByteLink>();
  const listener = await nodeLinks().listen("ws://127.0.0.1:0/", links.put);
  const there = page.evaluate(async (address) => {
    const sockets: WebSocket[] = [];
    window.WebSocket = class extends WebSocket {
      constructor(...given: ConstructorParameters<typeof WebSocket>) {
        super(...given);
        sockets.push(this);
      }
    };
    const link = await window.rivulet.browserLinks().dial(address);
    let [sum, count] = [0, 0];
    const full = new Promise<void>((resolve) => {
      link.onBytes(async (bytes) => {
        await Promise.resolve();
        for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0;
        count += bytes.length;
        if (count === 20 << 20) resolve();
      });
    });
    const why = new Promise<string>((resolve) => link.onClose(resolve));
    let waiting = 0;
    // more than may wait in the browser, in pieces that are changed as soon as they may be
    for (let round = 0; round < 40; round++) {
      const pieces = [1, 70_000, 454_287].map((size) => new Uint8Array(size).fill(round));
      await link.send(pieces);
      for (const piece of pieces) piece.fill(0xee);
      waiting = Math.max(waiting, sockets[0].bufferedAmount);
    }
    await full;
    await link.send([Uint8Array.of(0xff)]);
    const reason = await why;
    const refused = await link.send([new Uint8Array(1)]).catch(({ code }) => code);
    return { sum, reason, refused, peer: link.peer, isHeldBack: waiting <= 4 << 20 };
  }, listener.address);
  const link = await links.take();
  const rounds = new Uint32Array(256);
  let last = 0;
  let isInOrder = true;
  const heard = new Promise<void>((resolve) => {
    link.onBytes((bytes) => {
      for (const byte of bytes) {
        isInOrder &&= byte >= last;
        last = byte;
        rounds[byte]++;
      }
      if (last === 0xff) resolve();
    });
  });
  const sum = await sendNoise(link);
  await heard;
  link.close();
  const { address } = listener;
  const reason = `closed by ${address}`;
  const refused = { reason, refused: "io", isHeldBack: true };
  assert.equal(await there, { sum, peer: address, ...refused });
  assert.ok(isInOrder);
  assert.equal(
    [...rounds.subarray(0, 40)],
    Array.from({ length: 40 }, () => 524_288),
  );
  await listener.close();
  assert.equal(complaints, []);
});

testNeeding(test, [CHROMIUM], "a page waits to be dialed, and says what it cannot", async () => {
  const { page } = await visit();
  const door = nodeLinks();
  const listener = await door.listen("ws://127.0.0.1:0/", () => {});
  const there = await page.evaluate(async (address) => {
    const door = window.rivulet.browserLinks();
    // says each byte again
    const waiting = await door.listen(`${address}await/tab`, (link) => {
      link.onBytes((bytes) => link.send([bytes.slice()]));
    });
    const codeOf = (work: Promise<unknown>) => work.then(String, ({ code }) => code);
    return [
      waiting.address,
      await codeOf(door.listen(address, () => {})),
      await codeOf(door.listen("tcp://127.0.0.1:1", () => {})),
      await codeOf(door.dial("tcp://127.0.0.1:1")),
      await codeOf(door.dial(`${address}nowhere`)),
    ];
  }, listener.address);
  assert.equal(there, ["await://tab", "unsupported", "bad-argument", "bad-argument", "io"]);
  // it waits anew when the one it waited at was gone, and when it was dialed
  await listener.close();
  const again = await door.listen(listener.address, () => {});
  const links: ByteLink[] = [];
  for (let byte = 0; byte < 3; byte++) {
    const link = await door.dial("await://tab");
    const heard = new Promise<Uint8Array>((resolve) => {
      link.onBytes((bytes) => resolve(bytes.slice()));
    });
    await link.send([Uint8Array.of(byte)]);
    assert.equal([...(await heard)], [byte]);
    links.push(link);
  }
  for (const link of links) link.close();
  await again.close();
});

const FACTS = {
  session: "0123456789abcdef0123456789abcdef",
  secret: "fedcba9876543210fedcba9876543210",
  side: "target",
  machine: "guest",
  source: "ws://127.0.0.1:1/",
  target: "await://tab",
  beganMs: 0,
} as const;

testNeeding(test, [CHROMIUM], "what a page has decided is there when it comes back", async () => {
  const it = await visit();
  const refused = await it.page.evaluate(async (facts) => {
    const { browserLinks, Host, MigrationManager, openStoreDatabase } = window.rivulet;
    const open = async () => {
      const state = await openStoreDatabase("decisions");
      const host = await Host.create({ arenaBytes: 64 << 20 });
      return MigrationManager.create({ host, door: browserLinks(), state });
    };
    const { journal } = await open();
    const other = await journal.begin({ ...facts, side: "source" });
    const session = await journal.begin(facts);
    await session.write("prepared", 1);
    await session.write("owned", 1);
    await journal.forget(other);
    return open().then(String, ({ code }) => code);
  }, FACTS);
  assert.is(refused, "busy");
  await it.load();
  const found = await it.page.evaluate(async () => {
    const { Host, MigrationManager, openStoreDatabase } = window.rivulet;
    const nobody = () => new Promise<never>(() => {});
    const { journal } = await MigrationManager.create({
      host: await Host.create({ arenaBytes: 64 << 20 }),
      door: { dial: nobody, listen: nobody },
      state: await openStoreDatabase("decisions"),
    });
    const sessions = journal.found.map(({ facts, records }) => ({
      facts,
      records: records.map(({ kind, fence }) => `${kind} ${fence}`),
    }));
    return { sessions, damaged: journal.damaged };
  });
  const records = ["began 0", "prepared 1", "owned 1"];
  assert.equal(found, { sessions: [{ facts: FACTS, records }], damaged: [] });
  assert.equal(it.complaints, []);
});

/** Takes a link away when the message GO is to leave over it, the first time. */
function cutAtGo(door: LinkDoor) {
  const GO = 14;
  let gap: Promise<void> | null = null;
  const state = {
    cuts: 0,
    /** Told at the cut: until its promise resolves, nobody is reached, either way. */
    onCut: async (): Promise<void> => {},
    door: {
      dial: async (address: string) => {
        await gap;
        return cutting(await door.dial(address));
      },
      listen: (address: string, onLink: (link: ByteLink) => void) =>
        door.listen(address, (link) => (gap === null ? onLink(link) : link.close())),
    } satisfies LinkDoor,
  };
  const cutting = (link: ByteLink): ByteLink => ({
    peer: link.peer,
    send: (pieces) => {
      if (pieces[0][4] === GO && state.cuts++ === 0) {
        link.close();
        gap = state.onCut().then(() => {
          gap = null;
        });
      }
      return link.send(pieces);
    },
    onBytes: (listener) => link.onBytes(listener),
    onClose: (listener) => link.onClose(listener),
    close: () => link.close(),
  });
  return state;
}

for (const isCut of [false, true]) {
  const title = isCut
    ? "a link that is cut behind the commit is made again, and the machine arrives"
    : "a machine that counts goes to a tab and comes back, bit by bit what it would have been";
  testNeeding(test, [CHROMIUM], title, async () => {
    const it = await visit();
    const host = await Host.create({ arenaBytes: 128 << 20 });
    const cut = cutAtGo(nodeLinks());
    const door = isCut ? cut.door : nodeLinks();
    const arrivals = queue<Machine>();
    const manager = await MigrationManager.create({ host, door, arrived: arrivals.put });
    const { address } = await manager.listen("ws://127.0.0.1:0/");
    await becomeEnd(it, address, { isRun: true });

    const config = { kernel: counter(), memoryBytes: MEMORY };
    const machine = host.createMachine({ ...config, name: "counter" });
    let text = "";
    machine.console.onOutput((bytes) => {
      text += new TextDecoder().decode(bytes);
    });
    await machine.boot();
    await machine.run(3_000_000);
    const run = machine.run();
    const session = await manager.start(machine, "await://tab");
    assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
    assert.is((await run).kind, "stopped");
    assert.is(cut.cuts > 0, isCut);
    const before = countedTo(text);
    assert.ok(before >= 10, `counted to ${before} in Node`);

    await it.page.waitForFunction(() => window.end.text.split("\n").length > 20);
    const back = await sendBack(it, address);
    assert.equal(back.result, { kind: "completed", machine: "at-target" });
    text += back.text;
    const inTab = countedTo(text);
    assert.ok(inTab >= before + 19, `from ${before} to ${inTab} in the tab`);

    const again = await arrivals.take();
    again.console.onOutput((bytes) => {
      text += new TextDecoder().decode(bytes);
    });
    for (let slice = 0; slice < 100 && countedTo(text) < inTab + 20; slice++) {
      await again.run(100_000);
    }
    const twin = host.createMachine({ ...config, name: "twin" });
    await twin.boot();
    await twin.run(again.instructions);
    assert.is(again.stateDigest(), twin.stateDigest());
    assert.equal(await it.page.evaluate(() => window.end.manager.sessions.length), 0);
    assert.equal(it.complaints, []);
    await manager.close();
    host.dispose();
  });
}

testNeeding(
  test,
  [CHROMIUM],
  "a tab that is loaded anew behind the commit has lost it, and says so",
  async () => {
    const it = await visit();
    const host = await Host.create({ arenaBytes: 128 << 20 });
    const cut = cutAtGo(nodeLinks());
    const manager = await MigrationManager.create({ host, door: cut.door });
    const { address } = await manager.listen("ws://127.0.0.1:0/");
    await becomeEnd(it, address, { isRun: true });
    cut.onCut = async () => {
      await it.load();
      await becomeEnd(it, address, { isRun: true });
    };
    const config = { kernel: counter(), memoryBytes: MEMORY };
    const machine = host.createMachine({ ...config, name: "counter" });
    await machine.boot();
    await machine.run(1_000_000);
    const session = await manager.start(machine, "await://tab");
    const result = await session.ended;
    assert.equal([result.kind, result.machine], ["taken-back", "at-source"]);
    assert.equal(await it.page.evaluate(() => window.end.machine), null, "it runs nowhere else");
    await machine.run(1_000_000);
    const twin = host.createMachine({ ...config, name: "twin" });
    await twin.boot();
    await twin.run(2_000_000);
    assert.is(machine.stateDigest(), twin.stateDigest());
    await manager.close();
    host.dispose();
  },
);

test.run();
