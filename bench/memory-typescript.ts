/**
 * memory-typescript: the cases of the suite `memory` as a TypeScript author would write them, with
 * the same results.
 *
 * Used by suites/memory.
 */
import { COPIES, type Inputs, PAGE, PAGES, WORDS } from "./memory-inputs.ts";
import { inProcess, type Rival, type Work } from "./memory-rivals.ts";

/** Page numbers of the bits, which are cleared. */
function harvest(words: Uint32Array, target: Uint32Array): number {
  let found = 0;
  for (let word = 0; word < words.length; word++) {
    let bits = words[word];
    if (bits === 0) continue;
    words[word] = 0;
    const first = word * 32;
    for (; bits !== 0; bits &= bits - 1) target[found++] = first + 31 - Math.clz32(bits & -bits);
  }
  return found;
}

function isZero(words: Uint32Array): boolean {
  for (let at = 0; at < words.length; at += 4) {
    if ((words[at] | words[at + 1] | words[at + 2] | words[at + 3]) !== 0) return false;
  }
  return true;
}

const MASK = (1n << 64n) - 1n;

function mix(value: bigint): bigint {
  let mixed = ((value ^ (value >> 32n)) * 0xbb67ae8584caa73bn) & MASK;
  mixed = ((mixed ^ (mixed >> 29n)) * 0xa54ff53a5f1d36f1n) & MASK;
  return mixed ^ (mixed >> 32n);
}

/** Sum of the 64-bit products of one pass, by halves, which a double holds exactly. */
function sumOf(words: Uint32Array, key: Uint32Array, shift: number): bigint {
  let [low, middle, high] = [0, 0, 0];
  for (let at = 0; at < words.length; at += 8) {
    for (let lane = at; lane < at + 4; lane++) {
      const a = (words[lane] + key[lane + shift]) >>> 0;
      const b = (words[lane + 4] + key[lane + 4 + shift]) >>> 0;
      low += (a & 0xffff) * (b & 0xffff);
      middle += (a >>> 16) * (b & 0xffff) + (a & 0xffff) * (b >>> 16);
      high += (a >>> 16) * (b >>> 16);
    }
  }
  return (BigInt(low) + (BigInt(middle) << 16n) + (BigInt(high) << 32n)) & MASK;
}

function hash(words: Uint32Array, key: Uint32Array): bigint {
  const [first, second, third, fourth] = [0, 8, 16, 24].map((shift) => sumOf(words, key, shift));
  const word = (at: number) => BigInt(key[at]) | (BigInt(key[at + 1]) << 32n);
  const fold = (a: bigint, b: bigint, at: number) =>
    mix((mix(a ^ word(at)) + ((b << 23n) | (b >> 41n))) & MASK);
  return fold(first, second, 0) ^ fold(third, fourth, 2);
}

function numberPut(target: Uint8Array, at: number, value: number): number {
  if (value < 128) {
    target[at] = value;
    return at + 1;
  }
  target[at] = value | 128;
  target[at + 1] = value >> 7;
  return at + 2;
}

/** A delta as assembly/memory/delta.ts draws it; its length. */
function deltaEncode(base: Uint8Array, page: Uint8Array, target: Uint8Array): number {
  let [out, done] = [0, 0];
  for (let at = 0; at < PAGE; ) {
    if (base[at] === page[at]) {
      at++;
      continue;
    }
    let end = at + 1;
    for (let next = end; next < PAGE && next - end <= 2; next++) {
      if (base[next] !== page[next]) end = next + 1;
    }
    out = numberPut(target, out, at - done);
    out = numberPut(target, out, end - at - 1);
    while (at < end) {
      target[out++] = base[at] ^ page[at];
      at++;
    }
    done = end;
  }
  return out;
}

function deltaApply(page: Uint8Array, delta: Uint8Array, bytes: number): boolean {
  let at = 0;
  for (let from = 0; from < bytes; ) {
    let skip = delta[from++];
    if (skip > 127) skip = (skip & 127) | (delta[from++] << 7);
    let count = delta[from++];
    if (count > 127) count = (count & 127) | (delta[from++] << 7);
    at += skip;
    if (at + count >= PAGE || from + count >= bytes) return false;
    for (let left = count + 1; left > 0; left--) page[at++] ^= delta[from++];
  }
  return true;
}

function morePut(target: Uint8Array, at: number, length: number): number {
  if (length < 15) return at;
  let rest = length - 15;
  for (; rest >= 255; rest -= 255) target[at++] = 255;
  target[at] = rest;
  return at + 1;
}

const slots = new Uint16Array(2048);

function lz4Compress(source: Uint8Array, target: Uint8Array): number {
  slots.fill(0);
  const end = source.length;
  const four = (at: number) =>
    source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24);
  const slotOf = (value: number) => Math.imul(value, 0x9e3779b1) >>> 21;
  let [out, anchor, tries] = [0, 0, 64];
  for (let at = 1; at <= end - 12; ) {
    const value = four(at);
    const slot = slotOf(value);
    let match = slots[slot];
    slots[slot] = at;
    if (four(match) !== value) {
      at += tries++ >> 6;
      continue;
    }
    tries = 64;
    while (at > anchor && match > 0 && source[at - 1] === source[match - 1]) {
      at--;
      match--;
    }
    let more = 0;
    while (at + 4 + more < end - 5 && source[at + 4 + more] === source[match + 4 + more]) more++;
    const count = at - anchor;
    target[out] = (Math.min(count, 15) << 4) | Math.min(more, 15);
    out = morePut(target, out + 1, count);
    for (let from = anchor; from < at; from++) target[out++] = source[from];
    target[out] = at - match;
    target[out + 1] = (at - match) >> 8;
    out = morePut(target, out + 2, more);
    at += 4 + more;
    anchor = at;
    if (at <= end - 12) slots[slotOf(four(at - 2))] = at - 2;
  }
  target[out] = Math.min(end - anchor, 15) << 4;
  out = morePut(target, out + 1, end - anchor);
  for (let from = anchor; from < end; from++) target[out++] = source[from];
  return out;
}

function lz4Decompress(source: Uint8Array, bytes: number, target: Uint8Array): number {
  let [at, out] = [0, 0];
  const length = (bits: number) => {
    let sum = bits;
    if (bits !== 15) return sum;
    for (;;) {
      if (at >= bytes || sum > target.length) return target.length + 1;
      const more = source[at++];
      sum += more;
      if (more !== 255) return sum;
    }
  };
  while (at < bytes) {
    const token = source[at++];
    const count = length(token >> 4);
    if (count > bytes - at || count > target.length - out) return 0;
    for (let left = count; left > 0; left--) target[out++] = source[at++];
    if (at === bytes) return out;
    const offset = source[at] | (source[at + 1] << 8);
    at += 2;
    const match = length(token & 15) + 4;
    if (offset === 0 || offset > out || match > target.length - out) return 0;
    for (let left = match; left > 0; left--, out++) target[out] = target[out - offset];
  }
  return 0;
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}

/** Plain TypeScript over typed arrays. */
export function typescriptRival(inputs: Inputs): Rival {
  const kept = inputs.bitmaps.map(wordsOf);
  const bitmaps = Array.from({ length: COPIES }, () => new Uint32Array(WORDS * 2));
  const numbers = new Uint32Array(WORDS * 64);
  const pagesOf = <Part>(bytes: Uint8Array, view: (page: Uint8Array) => Part) =>
    Array.from({ length: PAGES }, (_, page) => view(bytes.slice(page * PAGE, (page + 1) * PAGE)));
  const zeros = pagesOf(new Uint8Array(PAGES * PAGE), wordsOf);
  const noiseWords = pagesOf(inputs.noise, wordsOf);
  const [noise, fresh, real] = [inputs.noise, inputs.fresh, inputs.real].map((bytes) =>
    pagesOf(bytes, (page) => page),
  );
  const key = wordsOf(inputs.key);
  const outputs = Array.from({ length: PAGES }, () => new Uint8Array(2 * PAGE));
  const lengths = new Uint32Array(PAGES);
  const scratch = new Uint8Array(PAGE);
  const every = (run: (page: number) => number) => {
    let check = 0;
    for (let page = 0; page < PAGES; page++) check += run(page);
    return check;
  };
  const harvestWork = (which: number): Work => ({
    prepare: () => {
      for (const bitmap of bitmaps) bitmap.set(kept[which]);
    },
    turn: () => {
      let check = 0;
      for (const bitmap of bitmaps) {
        const count = harvest(bitmap, numbers);
        check += count + numbers[count >>> 1] + numbers[count - 1];
      }
      return check;
    },
  });
  const encode = () =>
    every((page) => {
      lengths[page] = deltaEncode(noise[page], fresh[page], outputs[page]);
      return lengths[page];
    });
  const apply = (page: number) =>
    Number(deltaApply(noise[page], outputs[page], lengths[page])) + noise[page][PAGE - 1];
  const compress = () =>
    every((page) => {
      lengths[page] = lz4Compress(real[page], outputs[page]);
      return lengths[page];
    });
  return inProcess("typescript", {
    harvest0: harvestWork(0),
    harvest1: harvestWork(1),
    harvest2: harvestWork(2),
    harvest3: harvestWork(3),
    zero: { turn: () => every((page) => Number(!isZero(zeros[page]))) },
    hash: { turn: () => every((page) => Number(hash(noiseWords[page], key) & 0xffffn)) },
    encode: { turn: encode },
    apply: { prepare: encode, turn: () => every((page) => apply(page) + apply(page)) },
    compress: { turn: compress },
    decompress: {
      prepare: compress,
      turn: () =>
        every((page) => {
          const count = lz4Decompress(outputs[page], lengths[page], scratch);
          return count + scratch[PAGE - 1];
        }),
    },
  });
}
