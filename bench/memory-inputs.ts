/**
 * memory-inputs: what the suite `memory` works on: bitmaps of four densities, pages of noise and
 * the same with changes, pages of a real program.
 *
 * Used by suites/memory; the layout is struct inputs of native/memory.c.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { Random } from "../src/contract/random.ts";

export const PAGE = 4096;
/** Pages of a turn. */
export const PAGES = 256;
/** Words of a bitmap: 1 Mi pages. */
export const WORDS = 16384;
/** Bitmaps of a turn, so that the clock is read rarely. */
export const COPIES = 8;
/** Parts of 1000 that are marked, by bitmap. */
export const DENSITIES = [1, 10, 100, 1000] as const;
const BITMAP_BYTES = WORDS * 8;
const KEY_BYTES = 4192;

/** Every input, and all of them in one piece. */
export interface Inputs {
  readonly bitmaps: readonly Uint8Array[];
  readonly noise: Uint8Array;
  readonly fresh: Uint8Array;
  readonly real: Uint8Array;
  readonly key: Uint8Array;
  readonly all: Uint8Array;
}

/** Pages spread evenly over a file, without those that hold nothing. */
function pagesOf(path: string, target: Uint8Array): void {
  const file = openSync(path, "r");
  const last = Math.floor(statSync(path).size / PAGE) - 1;
  const page = new Uint8Array(PAGE);
  let done = 0;
  for (let step = 0; done < PAGES && step < 4 * PAGES; step++) {
    readSync(file, page, 0, PAGE, Math.floor((last * (step % (2 * PAGES))) / (2 * PAGES)) * PAGE);
    if (page.every((byte) => byte === 0)) continue;
    target.set(page, done++ * PAGE);
  }
  closeSync(file);
}

/** Changes as between two rounds of a migration: counters, and a few structures written anew. */
function change(page: Uint8Array, random: Random): void {
  for (let n = 0; n < 8; n++) {
    const at = random.below(PAGE / 8) * 8;
    page[at]++;
    page[at + 1] ^= 1;
  }
  for (let n = 0; n < 4; n++) {
    const first = random.below(PAGE - 64);
    for (let at = first + random.below(64); at >= first; at--) page[at] = random.u32();
  }
}

/** The inputs: the same at every call, but for the real pages, which are this Node's. */
export function makeInputs(): Inputs {
  const random = new Random(7);
  const sizes = [...DENSITIES.map(() => BITMAP_BYTES), PAGES * PAGE, PAGES * PAGE, PAGES * PAGE];
  const all = new Uint8Array([...sizes, KEY_BYTES].reduce((sum, size) => sum + size, 0));
  let end = 0;
  const part = (bytes: number) => {
    end += bytes;
    return all.subarray(end - bytes, end);
  };
  const bitmaps = DENSITIES.map((parts) => {
    const bitmap = part(BITMAP_BYTES);
    for (let page = 0; page < WORDS * 64; page++) {
      if (random.below(1000) < parts) bitmap[page >> 3] |= 1 << (page & 7);
    }
    return bitmap;
  });
  const [noise, fresh, real] = [0, 1, 2].map(() => part(PAGES * PAGE));
  const key = part(KEY_BYTES);
  for (const bytes of [noise, key]) {
    for (let at = 0; at < bytes.length; at++) bytes[at] = random.u32();
  }
  fresh.set(noise);
  for (let page = 0; page < PAGES; page++) {
    change(fresh.subarray(page * PAGE, (page + 1) * PAGE), random);
  }
  pagesOf(process.execPath, real);
  return { bitmaps, noise, fresh, real, key, all };
}
