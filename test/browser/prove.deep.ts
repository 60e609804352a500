/**
 * A machine goes to a tab and back again and again, at random instructions, and is after each move
 * what its unmigrated twin in Node is.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  DEBIAN_GUEST_NAME,
  findGuest,
  Host,
  type Machine,
  type MachineConfig,
  MigrationManager,
  nodeLinks,
  type PreparedGuest,
} from "../../src/node.ts";
import { CHROMIUM, DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { Random } from "../helpers/random.ts";
import { counter } from "./counter.ts";
import { becomeEnd, queue, sendBack, type TabWindow } from "./tab-end.ts";
import { openRivulet, type RivuletWindow } from "./window.ts";

const test = suite("browser/prove");
const seed = Number(process.env.SEED ?? 1);
const ARENA = 512 << 20;
const POINTS = 50;

declare const window: TabWindow;

let open: RivuletWindow | null = null;
test.after(() => open?.end());

/** Runs the tab's machine by so many instructions; where it stands then, and its digest. */
function runThere(count: number): Promise<readonly [instructions: number, digest: string]> {
  const { machine } = window.end;
  if (machine === null) throw new Error("no machine has arrived");
  return machine.run(count).then(() => [machine.instructions, machine.stateDigest()] as const);
}

/** Moves a machine to a tab and back until POINTS switch-overs to the tab are compared. */
async function prove(config: MachineConfig, instructionsMax: number): Promise<void> {
  const random = new Random(seed);
  open ??= await openRivulet();
  const window = open;
  await window.load();
  const host = await Host.create({ arenaBytes: ARENA });
  const twins = await Host.create({ arenaBytes: ARENA });
  const arrivals = queue<Machine>();
  const door = nodeLinks();
  const manager = await MigrationManager.create({ host, door, arrived: arrivals.put });
  const { address } = await manager.listen("ws://127.0.0.1:0/");
  await becomeEnd(window, address, { isRun: false, arenaBytes: ARENA });
  let machine = host.createMachine(config);
  const twin = twins.createMachine(config);
  await machine.boot();
  await twin.boot();
  const compare = async (where: string, [instructions, digest]: readonly [number, string]) => {
    await twin.run(instructions - twin.instructions);
    assert.is(twin.instructions, instructions);
    assert.is(digest, twin.stateDigest(), `${where}, instruction ${instructions}, SEED=${seed}`);
  };
  for (let point = 0; point < POINTS; point++) {
    await machine.run(random.between(1, instructionsMax));
    // one that runs is caught somewhere, one that stands is where it stands
    const run = random.below(2) === 0 ? machine.run() : null;
    const session = await manager.start(machine, "await://tab");
    assert.equal(await session.ended, { kind: "completed", machine: "at-target" });
    if (run !== null) assert.is((await run).kind, "stopped");
    const there = await window.page.evaluate(runThere, random.between(1, instructionsMax));
    await compare("in the tab", there);
    const back = await sendBack(window, address);
    assert.equal(back.result, { kind: "completed", machine: "at-target" });
    machine.dispose();
    machine = await arrivals.take();
    await compare("back in Node", [machine.instructions, machine.stateDigest()]);
    console.log(`switch-over ${point + 1} of ${POINTS}: instruction ${there[0]}, equal`);
  }
  assert.equal(window.complaints, []);
  await manager.close();
  host.dispose();
  twins.dispose();
}

testNeeding(test, [CHROMIUM], "a guest that counts and writes", () =>
  prove({ kernel: counter(), memoryBytes: "16M", name: "counter" }, 3_000_000),
);

testNeeding(
  test,
  [CHROMIUM, DEBIAN_GUEST],
  "Debian on two harts, from its first instruction on",
  async () => {
    const { folder, manifest } = findGuest(DEBIAN_GUEST_NAME) as PreparedGuest;
    const [kernel, initrd] = await Promise.all(
      [manifest.kernel, manifest.initrd].map((name) => readFile(join(folder, name))),
    );
    const { append } = manifest;
    const config = { kernel, initrd, append, memoryBytes: "128M", harts: 2, seed: 5 } as const;
    await prove(config, 10_000_000);
  },
);

test.run();
