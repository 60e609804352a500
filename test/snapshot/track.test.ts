/**
 * track: pages leave it only when they are in a snapshot; lists of pages put together.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { RAM_BASE } from "../../src/core/memory-view.ts";
import { nodePlatform } from "../../src/platform/node/platform.ts";
import { ChangeTrack, gather, union } from "../../src/snapshot/track.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("snapshot/track");
const RAM_PAGES = 2048;

async function withView(work: (view: MachineView) => void): Promise<void> {
  const wasm = await nodePlatform().loadCore();
  const core = await Core.create(wasm, { arenaBytes: 64 << 20, machinesMax: 2 });
  const view = MachineView.create(core, { ramPages: RAM_PAGES, harts: 1, quantum: 1000 });
  work(view);
  view.dispose();
}

function write(view: MachineView, ...pages: number[]): void {
  for (const page of pages) view.memory.write(RAM_BASE + page * 4096, Uint8Array.of(1));
}

test("union is that of sets, in order, whatever overlaps", () => {
  const seed = seedOf(4);
  const random = new Random(seed);
  for (let round = 0; round < 300; round++) {
    const pick = () => {
      const count = random.below(20);
      const all = Array.from({ length: count }, () => random.below(30));
      return [...new Set(all)].sort((a, b) => a - b);
    };
    const [a, b] = [pick(), pick()];
    const expected = [...new Set([...a, ...b])].sort((x, y) => x - y);
    assert.equal([...union(Uint32Array.from(a), Uint32Array.from(b))], expected, `SEED=${seed}`);
  }
});

test("gather copies batches that are used again", () => {
  const strip = new Uint32Array(2);
  function* batches() {
    for (let at = 0; at < 6; at += 2) {
      strip.set([at, at + 1]);
      yield strip;
    }
  }
  assert.equal([...gather(batches())], [0, 1, 2, 3, 4, 5]);
});

test("a page stays in the track until it is settled, and comes again when it is written", async () => {
  await withView((view) => {
    const track = new ChangeTrack(view);
    write(view, 5, 900, 7);
    assert.is(track.count, 3);
    assert.equal([...track.take()], [5, 7, 900]);
    // a snapshot that failed: nothing is lost
    write(view, 7, 8);
    assert.equal([...track.take()], [5, 7, 8, 900]);
    // written while the snapshot is written behind: the next one's
    write(view, 900, 1);
    track.settle();
    assert.equal([...track.take()], [1, 900]);
    track.restart(Uint32Array.of(3));
    assert.equal([...track.take()], [3]);
    write(view, 2);
    track.restart();
    assert.is(track.count, 0);
    track.close();
  });
});

test("two tracks of a machine do not disturb each other; a revert is in both", async () => {
  await withView((view) => {
    write(view, 1);
    const root = view.retainRoot();
    const [chain, base] = [new ChangeTrack(view), new ChangeTrack(view)];
    write(view, 1, 600);
    chain.take();
    chain.settle();
    assert.equal([...base.take()], [1, 600]);
    view.revertTo(root);
    assert.equal([...chain.take()], [1, 600]);
    root.release();
    chain.close();
    base.close();
  });
});

test.run();
