/**
 * random: the machine's seeded generator: SHA-256 over (seed, purpose, counter).
 *
 * Owns    the counter, which is part of the machine's state.
 * Used by device contexts (entropy under the virtual clock) and machine-tree.ts (rng-seed).
 */
import { sha256 } from "@noble/hashes/sha2.js";

const BLOCK_BYTES = 32;

/** A stream of bytes that depends only on its seed and purpose. */
export class SeededRandom {
  readonly #input: Uint8Array;
  #counter = 0;

  constructor(seed: bigint, purpose: string) {
    const name = new TextEncoder().encode(purpose);
    this.#input = new Uint8Array(16 + name.length);
    new DataView(this.#input.buffer).setBigUint64(0, BigInt.asUintN(64, seed), true);
    this.#input.set(name, 16);
  }

  /** Blocks taken so far: all the state there is beside the seed. */
  get counter(): number {
    return this.#counter;
  }

  set counter(value: number) {
    this.#counter = value;
  }

  /** The next `count` bytes; what is left of the last block is thrown away. */
  bytes(count: number): Uint8Array {
    const result = new Uint8Array(count);
    const view = new DataView(this.#input.buffer);
    for (let at = 0; at < count; at += BLOCK_BYTES) {
      view.setBigUint64(8, BigInt(this.#counter++), true);
      result.set(sha256(this.#input).subarray(0, Math.min(BLOCK_BYTES, count - at)), at);
    }
    return result;
  }
}
