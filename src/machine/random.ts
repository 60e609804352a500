/**
 * random: the machine's seeded generator: SHA-256 over (seed, purpose, counter).
 *
 * Owns    seed and counter, which are part of the machine's state.
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

  /** Blocks taken so far. */
  get counter(): number {
    return this.#counter;
  }

  get seed(): bigint {
    return new DataView(this.#input.buffer).getBigUint64(0, true);
  }

  /** Another stream from here on, or the same one elsewhere. */
  begin(seed: bigint, counter: number): void {
    new DataView(this.#input.buffer).setBigUint64(0, BigInt.asUintN(64, seed), true);
    this.#counter = counter;
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
