/**
 * random: the seed of a randomised test, from the environment, beside the generator that it starts.
 *
 * Used by every randomised test.
 */
export { Random } from "../../src/contract/random.ts";

/** The seed of a run: SEED of the environment when it is set, else `fallback`. */
export function seedOf(fallback: number): number {
  const given = process.env["SEED"];
  if (given === undefined || given === "") return fallback;
  const seed = Number(given);
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw new Error(`SEED=${given}: accepted are integers from 0 to 4294967295`);
  }
  return seed;
}
