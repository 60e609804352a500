/**
 * plic: claims, completions, priorities, thresholds and gateways, by hand and against a plain
 * model.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Plic } from "../../src/device/plic.ts";
import { Random } from "../helpers/random.ts";

const test = suite("device/plic");

const enableAt = (context: number, source: number) => 0x2000 + context * 0x80 + (source >> 5) * 4;
const thresholdAt = (context: number) => 0x200000 + context * 0x1000;
const claimAt = (context: number) => thresholdAt(context) + 4;

function make(harts: number) {
  const lines = new Map<number, number>();
  const plic = new Plic({ harts, onLines: (hart, bits) => lines.set(hart, bits) });
  return {
    plic,
    line: (hart: number) => lines.get(hart) ?? 0,
    read: (offset: number) => plic.read(offset, 4),
    write: (offset: number, value: number) => plic.write(offset, 4, value),
  };
}

test("a source reaches the S context of its hart, is claimed once, and completed", () => {
  const p = make(2);
  p.write(4 * 10, 1);
  p.write(enableAt(3, 10), 1 << 10); // context 3: hart 1, S-mode
  p.plic.setLevel(10, true);
  assert.is(p.line(1), 1 << 9);
  assert.is(p.line(0), 0);
  assert.is(p.read(claimAt(1)), 0, "the M context of hart 0 has nothing");
  assert.is(p.read(claimAt(3)), 10);
  assert.is(p.line(1), 0);
  assert.is(p.read(claimAt(3)), 0, "claimed once");
  p.write(claimAt(3), 10);
  assert.is(p.line(1), 1 << 9, "the level is still high, so it is pending again");
  p.plic.setLevel(10, false);
  assert.is(p.read(claimAt(3)), 10);
  p.write(claimAt(3), 10);
  assert.is(p.line(1), 0);
});

test("the highest priority wins, then the lowest number; the threshold masks", () => {
  const p = make(1);
  for (const [source, priority] of [
    [40, 3],
    [7, 2],
    [8, 3],
  ]) {
    p.write(4 * source, priority);
    p.write(enableAt(0, source), p.read(enableAt(0, source)) | (1 << (source & 31)));
    p.plic.setLevel(source, true);
  }
  assert.is(p.line(0), 1 << 11);
  assert.equal([p.read(claimAt(0)), p.read(claimAt(0)), p.read(claimAt(0))], [8, 40, 7]);
  for (const source of [8, 40, 7]) p.write(claimAt(0), source);
  p.write(thresholdAt(0), 3);
  assert.is(p.line(0), 0);
});

test("priority 0 never interrupts; source 0 and those past 96 do not exist", () => {
  const p = make(1);
  p.write(enableAt(0, 5), 1 << 5);
  p.plic.setLevel(5, true);
  assert.is(p.line(0), 0);
  p.write(0, 7);
  assert.is(p.read(0), 0);
  p.write(4 * 97, 7);
  assert.is(p.read(4 * 97), 0);
  p.plic.setLevel(97, true);
  p.plic.setLevel(-1, true);
});

test("random traffic equals a plain model", () => {
  const seed = Number(process.env.SEED ?? 4);
  const random = new Random(seed);
  const p = make(2);
  // the model: arrays of booleans and a search over everything
  const priority = new Array(97).fill(0);
  const level = new Array(97).fill(false);
  const pending = new Array(97).fill(false);
  const serving = new Array(97).fill(false);
  const enabled = Array.from({ length: 4 }, () => new Array(97).fill(false));
  const threshold = [0, 0, 0, 0];
  const best = (context: number, above: number) => {
    let found = 0;
    for (let source = 96; source >= 1; source--) {
      const counts = pending[source] && enabled[context][source] && priority[source] > above;
      if (counts && (found === 0 || priority[source] >= priority[found])) found = source;
    }
    return found;
  };
  for (let step = 0; step < 20_000; step++) {
    const source = 1 + random.below(96);
    const context = random.below(4);
    switch (random.below(6)) {
      case 0:
        priority[source] = random.below(8);
        p.write(4 * source, priority[source]);
        break;
      case 1: {
        const isHigh = random.below(2) === 0;
        p.plic.setLevel(source, isHigh);
        if (isHigh && !level[source] && !serving[source]) pending[source] = true;
        level[source] = isHigh;
        break;
      }
      case 2: {
        const at = enableAt(context, source);
        p.write(at, (p.read(at) ^ (1 << (source & 31))) >>> 0);
        enabled[context][source] = !enabled[context][source];
        break;
      }
      case 3:
        threshold[context] = random.below(8);
        p.write(thresholdAt(context), threshold[context]);
        break;
      case 4: {
        const expected = best(context, 0);
        assert.is(p.read(claimAt(context)), expected, `claim, step ${step}, SEED=${seed}`);
        if (expected !== 0) {
          pending[expected] = false;
          serving[expected] = true;
        }
        break;
      }
      default:
        p.write(claimAt(context), source);
        if (serving[source] && enabled[context][source]) {
          serving[source] = false;
          if (level[source]) pending[source] = true;
        }
    }
    for (let hart = 0; hart < 2; hart++) {
      const machine = best(2 * hart, threshold[2 * hart]) !== 0 ? 1 << 11 : 0;
      const supervisor = best(2 * hart + 1, threshold[2 * hart + 1]) !== 0 ? 1 << 9 : 0;
      assert.is(p.line(hart), machine | supervisor, `lines, step ${step}, SEED=${seed}`);
    }
  }
});

test("a reset forgets everything that was set", () => {
  const plic = new Plic({ harts: 2, onLines: () => {} });
  const fresh = plic.save();
  plic.setLevel(10, true);
  plic.write(4 * 10, 4, 7);
  for (let context = 0; context < 4; context++) {
    plic.write(0x2000 + 0x80 * context, 4, 0xffffffff);
    plic.write(0x200000 + 0x1000 * context, 4, context);
  }
  assert.is(plic.read(0x200004, 4), 10);
  plic.reset();
  assert.equal(plic.save(), fresh);
});

test.run();
