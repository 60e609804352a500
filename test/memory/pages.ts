/**
 * pages: a memory with pages.wasm over it, for tests that call its functions by address: guards
 * around every piece, so that a write outside of it is seen.
 *
 * Used by the suites of pages.wasm. RIVULET_PAGES names another module, into which the deep suite
 * has planted a bug.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import * as assert from "uvu/assert";
import type { PagesExports } from "../../src/core/pages-module.ts";
import { PagesModule, type PagesSource } from "../../src/core/pages-module.ts";

export const PAGE = 4096;
const GUARD = 64;
const GUARD_BYTE = 0xa5;

/** The module under test. */
export const source: PagesSource = {
  loadPages: async () => {
    const path = process.env["RIVULET_PAGES"];
    const url = path ? pathToFileURL(path) : new URL("../../pages.wasm", import.meta.url);
    return new Uint8Array(readFileSync(url));
  },
};

/** A piece of the memory: where it is, and its bytes. */
export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Pieces of one memory, each between guards. */
export class Bench {
  readonly exports: PagesExports;
  readonly #u8: Uint8Array;
  readonly #guards: number[] = [];
  #end = 1024;

  private constructor({ exports, u8 }: PagesModule) {
    this.exports = exports;
    this.#u8 = u8;
  }

  static async create(bytes = 8 << 20): Promise<Bench> {
    return new Bench(await PagesModule.create(source, bytes));
  }

  /** A piece of `bytes` bytes; `skew` moves it off its alignment to 16 bytes. */
  piece(bytes: number, skew = 0): Piece {
    const at = Math.ceil((this.#end + GUARD) / 16) * 16 + skew;
    this.#end = at + bytes + GUARD;
    if (this.#end > this.#u8.length) throw new Error("the test's memory is full");
    for (const guard of [at - GUARD, at + bytes]) {
      this.#u8.fill(GUARD_BYTE, guard, guard + GUARD);
      this.#guards.push(guard);
    }
    return { at, bytes: this.#u8.subarray(at, at + bytes) };
  }

  /** The last bytes of the memory: reading behind them traps. */
  lastPiece(bytes: number): Piece {
    const at = this.#u8.length - bytes;
    if (at < this.#end) throw new Error("the test's memory is full");
    return { at, bytes: this.#u8.subarray(at) };
  }

  /** Throws when a byte beside a piece has changed. */
  check(): void {
    for (const guard of this.#guards) {
      const isWhole = this.#u8.subarray(guard, guard + GUARD).every((byte) => byte === GUARD_BYTE);
      assert.ok(isWhole, `something was written outside, near ${guard}`);
    }
  }

  /** Gives every piece back. */
  reset(): void {
    this.#guards.length = 0;
    this.#end = 1024;
  }
}

/** Throws when the bytes differ, naming the first place: assert.equal of long arrays is slow. */
export function sameBytes(got: Uint8Array, meant: Uint8Array, what: string): void {
  assert.is(got.length, meant.length, `${what}: length`);
  for (let at = 0; at < got.length; at++) {
    if (got[at] !== meant[at]) assert.is(got[at], meant[at], `${what}: byte ${at}`);
  }
}
