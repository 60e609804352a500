/**
 * random: the seeded generator of every randomised test. The same seed gives the same numbers on
 * any machine.
 *
 * Used by contract/device.ts and, through test/helpers/random.ts, by the tests.
 * Holds   no state outside the object; `fork` gives a stream of its own, so that what one part of a
 *         test draws does not shift what another part draws.
 *
 * The generator is sfc32 (Doty-Humphrey, PractRand): 128 bits of state, counter included, so no
 * period is shorter than 2^32. splitmix32 spreads the seed over the state.
 */

function spread(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let word = state ^ (state >>> 16);
    word = Math.imul(word, 0x21f0aaad);
    word ^= word >>> 15;
    word = Math.imul(word, 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
}

/** A stream of random numbers. */
export class Random {
  /** What the stream was made from: print it when a test fails. */
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    const next = spread(seed);
    this.#a = next();
    this.#b = next();
    this.#c = next();
    for (let round = 0; round < 12; round++) this.u32();
  }

  /** 32 random bits. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#count) >>> 0;
    this.#count = (this.#count + 1) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0;
    return sum;
  }

  /** 64 random bits. */
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** An integer from 0 to `limit` - 1; `limit` is at most 2^32. */
  below(limit: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * limit);
  }

  /** An integer from `first` to `last`, both included. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** One of the items, each as likely as the other. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)];
  }

  /** One of the items, by weight. */
  weighted<Item>(items: readonly (readonly [weight: number, item: Item])[]): Item {
    let sum = 0;
    for (const [weight] of items) sum += weight;
    let at = this.below(sum);
    for (const [weight, item] of items) {
      if (at < weight) return item;
      at -= weight;
    }
    return items[items.length - 1][1];
  }

  /** Another stream, decided by this one's next number and `salt`. */
  fork(salt = 0): Random {
    return new Random((this.u32() ^ Math.imul(salt, 0x9e3779b1)) >>> 0);
  }
}
