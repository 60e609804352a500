/**
 * convergence: when it is time to switch over, for guests that write faster than a link takes it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Share } from "../../src/machine/accounting.ts";
import { Convergence, SWITCHES_MAX } from "../../src/migration/convergence.ts";

const test = suite("migration/convergence");

/** A guest that writes some pages again and again, and a link. */
interface Model {
  readonly hotPages: number;
  /** Of the guest, per millisecond that it has. */
  readonly dirtyPerMs: number;
  readonly pageMs: number;
}

const REST_MS = 4;
const ROUNDS_MAX = 100;

/** Rounds until it is time, and the part of that time that the guest had. */
function converge(convergence: Convergence, share: Share, model: Model) {
  const { hotPages, dirtyPerMs, pageMs } = model;
  let [pages, totalMs, rounds] = [hotPages, 0, 0];
  for (; rounds < ROUNDS_MAX; rounds++) {
    convergence.beginRound();
    const roundMs = pages * pageMs;
    const guestMs = Math.min(share.allowanceMs ?? roundMs, roundMs);
    share.charge(guestMs);
    totalMs += roundMs + guestMs;
    pages = Math.min(hotPages, Math.round(guestMs * dirtyPerMs));
    const expectedMs = pages * pageMs + REST_MS;
    const standing = { expectedMs, totalMs, attempts: 0, pages, pageMs, restMs: REST_MS };
    if (convergence.isTime({ ...standing, dirtyPerMs })) break;
  }
  convergence.release();
  return { rounds, progress: share.usedMs / totalMs };
}

test("a guest that writes faster than the link takes it is slowed for some rounds", () => {
  for (const limitMs of [10, 30, 300]) {
    for (const hotPages of [4096, 16_384, 65_536]) {
      const share = new Share();
      const convergence = new Convergence(share, { downtimeLimitMs: limitMs });
      const model = { hotPages, dirtyPerMs: 300, pageMs: 0.01 };
      const { rounds, progress } = converge(convergence, share, model);
      assert.ok(rounds <= 12, `${hotPages} pages, ${limitMs} ms: ${rounds} rounds`);
      assert.ok(progress > 0.1, `${hotPages} pages, ${limitMs} ms: it had ${progress}`);
      assert.is(share.allowanceMs, null);
    }
  }
});

test("one that converges by itself is left alone", () => {
  const share = new Share();
  const convergence = new Convergence(share, { downtimeLimitMs: 10 });
  const model = { hotPages: 50_000, dirtyPerMs: 20, pageMs: 0.01 };
  const { progress } = converge(convergence, share, model);
  assert.is(progress, 0.5);
  assert.is(convergence.throttlePercent, 0);
});

test("policies wait for their time, and give up, force, or turn to post-copy then", () => {
  const standing = { attempts: 0, pages: 1000, pageMs: 0.01, restMs: 4, dirtyPerMs: 300 };
  const at = (totalMs: number) => ({ ...standing, totalMs, expectedMs: 500 });
  const make = (policy: "cancel" | "force" | "postcopy") =>
    new Convergence(new Share(), { policy, timeoutMs: 1000 });
  const cancel = make("cancel");
  assert.not.ok(cancel.isTime(at(999)));
  assert.throws(() => cancel.isTime(at(1000)), /did not converge in 1000 ms: 1000 pages are left/);
  const force = make("force");
  assert.not.ok(force.isTime(at(999)) || force.isForced);
  assert.ok(force.isTime(at(1000)) && force.isForced);
  const postcopy = make("postcopy");
  assert.not.ok(postcopy.isTime(at(999)) || postcopy.isPostcopy);
  assert.ok(postcopy.isTime(at(1000)) && postcopy.isPostcopy);
});

test("attempts that are always abandoned come to an end", () => {
  const convergence = new Convergence(new Share(), { downtimeLimitMs: 5 });
  const standing = { totalMs: 1, pages: 9, pageMs: 0.01, restMs: 9, dirtyPerMs: 1 };
  const after = (attempts: number) => ({ ...standing, expectedMs: 9, attempts });
  assert.not.ok(convergence.isTime(after(SWITCHES_MAX - 1)));
  assert.throws(() => convergence.isTime(after(SWITCHES_MAX)), /9 pages are left, 40 attempts/);
});

test("what is counted out to a machine is all that it gets", () => {
  const share = new Share();
  share.allowanceMs = 5;
  share.charge(4);
  assert.is(share.blockedMs(100), 0);
  share.charge(4);
  assert.ok(share.blockedMs(100) > 0);
  share.allowanceMs = null;
  assert.is(share.blockedMs(100), 0);
});

test("what cannot be asked for is refused", () => {
  const make = (options: object) => () => new Convergence(new Share(), options);
  assert.throws(make({ downtimeLimitMs: 0 }), /more than 0 to 3600000 ms/);
  assert.throws(make({ policy: "hope" }), /accepted are throttle, postcopy, cancel, force/);
  assert.throws(make({ timeoutMs: -1 }), /accepted are 0 and more/);
});

test.run();
