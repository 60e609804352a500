/**
 * prove: 1000 moves of a Debian under load at random moments, compared with a twin after each.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seedOf } from "../helpers/random.ts";
import { proveDebian } from "./prove-kit.ts";

const test = suite("boot/prove (deep)");
const POINTS = 1000;

test(`${POINTS} moves, no difference`, async () => {
  const seed = seedOf(1000);
  const proof = await proveDebian(POINTS, seed, ({ index, digest, isSame }) => {
    if (index % 100 === 99 || !isSame) console.log(`move ${index + 1}: ${isSame}, ${digest}`);
  });
  console.log(`SEED=${seed}: ${JSON.stringify(proof)}`);
  assert.equal([proof.moves, proof.differences], [POINTS, 0]);
});

test.run();
