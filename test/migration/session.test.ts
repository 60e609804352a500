/**
 * session: a machine moves while it runs, and is the same machine at the other end.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MigrationManager } from "../../src/migration/manager.ts";
import type { Machine } from "../../src/node.ts";
import { scribblingHost } from "../snapshot/scribbler.ts";
import { PipeDoor } from "./pipe.ts";

const test = suite("migration/session");

test("a machine that runs goes to another host, bit by bit what it would have been", async () => {
  const [from, to] = [await scribblingHost(), await scribblingHost()];
  const door = new PipeDoor();
  let arrived: Machine | null = null;
  const source = await MigrationManager.create({ host: from.host, door });
  const target = await MigrationManager.create({
    host: to.host,
    door,
    arrived: (machine) => {
      arrived = machine;
    },
  });
  await source.listen("pipe:source");
  await target.listen("pipe:target");
  const machine = await from.start({ name: "mover" });
  const run = machine.run();
  const session = await source.start(machine, "pipe:target");
  const result = await session.ended;
  assert.equal(result, { kind: "completed", machine: "at-target" }, JSON.stringify(result));
  assert.is(machine.state, "terminated");
  assert.is(machine.reason, "migrated");
  assert.is((await run).kind, "stopped");
  const moved = arrived as unknown as Machine;
  assert.is(moved.state, "running");
  const twin = await from.start({ name: "twin" });
  await twin.run(moved.instructions);
  assert.is(moved.stateDigest(), twin.stateDigest());
  await moved.run(1_000_000);
  await twin.run(1_000_000);
  assert.is(moved.stateDigest(), twin.stateDigest());
  console.log(JSON.stringify(session.progress), session.timeline);
  await source.close();
  await target.close();
  from.host.dispose();
  to.host.dispose();
});

test.run();
