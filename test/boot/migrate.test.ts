/**
 * migrate: a Debian moves between processes that are killed, over links that are cut; and a copy of
 * one that moves is the same as a twin that stays.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { moveCampaign } from "./migrate-kit.ts";
import { proveDebian } from "./prove-kit.ts";

const test = suite("boot/migrate");
const MOVES = 8;
const POINTS = 20;

testNeeding(test, [DEBIAN_GUEST], `${MOVES} moves of a Debian, with kills and cuts`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-move-"));
  try {
    const tally = await moveCampaign(folder, MOVES, new Random(seedOf(2)));
    const moves = Object.values(tally).reduce((sum, count) => sum + count, 0);
    assert.is(moves, MOVES, JSON.stringify(tally));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

testNeeding(
  test,
  [DEBIAN_GUEST],
  `${POINTS} moves of a Debian, and a twin that stays`,
  async () => {
    const proof = await proveDebian(POINTS, seedOf(1));
    assert.equal([proof.moves, proof.differences], [POINTS, 0]);
  },
);

test.run();
