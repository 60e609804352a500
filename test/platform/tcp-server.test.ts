/**
 * A TCP port of this host: connections, and an end that no peer can hold up.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodePlatform } from "../../src/platform/node/platform.ts";
import { listenTcp } from "../../src/platform/node/tcp-server.ts";

const test = suite("platform/tcp-server");
const GUARD_MS = 30_000;
const PLACE = { host: "127.0.0.1", port: 0, isOpen: false };

test("bytes come and go, and both ends hear of the end", async () => {
  const ends: string[] = [];
  const door = await listenTcp(PLACE, (peer) => {
    peer.onBytes((bytes) => peer.write(bytes));
    peer.onClose(() => ends.push("server"));
  });
  const socket = connect(door.port, "127.0.0.1");
  socket.write("hello");
  const [echo] = (await once(socket, "data")) as [Buffer];
  assert.is(echo.toString(), "hello");
  const closed = once(socket, "close");
  await door.close();
  await closed;
  assert.equal(ends, ["server"]);
});

test("a peer that does not read what is left does not keep the door open", async () => {
  const door = await listenTcp(PLACE, (peer) => peer.write(new Uint8Array(64 << 20)));
  const socket = connect(door.port, "127.0.0.1");
  socket.pause();
  socket.on("error", () => {});
  await once(socket, "connect");
  let cancel = () => {};
  const late = new Promise<string>((resolve) => {
    cancel = nodePlatform().after(GUARD_MS, () => resolve("late"));
  });
  assert.is(await Promise.race([door.close().then(() => "closed"), late]), "closed");
  cancel();
  socket.destroy();
});

test("addresses that others reach are refused unless they are meant", async () => {
  for (const host of ["0.0.0.0", "::", "192.0.2.1"]) {
    try {
      await listenTcp({ ...PLACE, host }, () => {});
      assert.unreachable(host);
    } catch (error) {
      assert.is((error as { code: string }).code, "bad-argument", host);
    }
  }
});

test.run();
