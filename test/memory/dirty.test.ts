/**
 * dirty: the bitmap beside a plain array of booleans, operation by operation, in every shape that
 * its loops have an edge at.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random, seedOf } from "../helpers/random.ts";
import { Bench, type Piece } from "./pages.ts";

const test = suite("memory/dirty");
const SEED = seedOf(41);
const bench = await Bench.create();
const { exports } = bench;

/** A bitmap and what it should hold. */
class Pair {
  readonly words: number;
  readonly base: Piece;
  readonly summary: Piece;
  readonly model: Uint8Array;

  constructor(words: number) {
    this.words = words;
    this.base = bench.piece(words * 8);
    this.summary = bench.piece(Math.ceil(words / 4096) * 8);
    this.base.bytes.fill(0);
    this.summary.bytes.fill(0);
    this.model = new Uint8Array(words * 64);
  }

  get pages(): number {
    return this.words * 64;
  }

  mark(page: number): void {
    exports.dirtyMark(this.base.at, this.summary.at, page);
    this.model[page] = 1;
  }

  markRange(first: number, count: number): void {
    exports.dirtyMarkRange(this.base.at, this.summary.at, first, count);
    this.model.fill(1, first, first + count);
  }

  harvest(from: number, limit: number): void {
    const target = bench.piece(limit * 4);
    const { base, summary } = this;
    const count = exports.dirtyHarvest(base.at, summary.at, this.words, from, target.at, limit);
    const meant: number[] = [];
    for (let page = from * 64; page < this.pages && meant.length < limit; page++) {
      if (this.model[page] === 0) continue;
      meant.push(page);
      this.model[page] = 0;
    }
    const got = new Uint32Array(target.bytes.slice(0, count * 4).buffer);
    assert.is(count, meant.length, `harvest from word ${from}, at most ${limit}`);
    assert.equal([...got], meant);
  }

  merge(other: Pair): void {
    exports.dirtyMerge(this.base.at, this.summary.at, other.base.at, this.words);
    for (let page = 0; page < this.pages; page++) this.model[page] |= other.model[page];
  }

  subtract(other: Pair): void {
    exports.dirtySubtract(this.base.at, this.summary.at, other.base.at, this.words);
    for (let page = 0; page < this.pages; page++) this.model[page] &= other.model[page] ^ 1;
  }

  /** The words are the model's; each word with a mark has its summary bit; nothing else changed. */
  check(): void {
    const bits = new Uint8Array(this.words * 8);
    for (let page = 0; page < this.pages; page++) {
      if (this.model[page] === 0) continue;
      bits[page >> 3] |= 1 << (page & 7);
      const group = page >> 12;
      const isInSummary = (this.summary.bytes[group >> 3] >> (group & 7)) & 1;
      if (!isInSummary) assert.unreachable(`page ${page} is marked, its summary bit is not`);
    }
    for (let at = 0; at < bits.length; at++) {
      if (bits[at] !== this.base.bytes[at]) {
        assert.is(this.base.bytes[at], bits[at], `pages ${at * 8} to ${at * 8 + 7}`);
      }
    }
    bench.check();
  }

  checkCount(): void {
    const count = exports.dirtyCount(this.base.at, this.words);
    assert.is(
      count,
      this.model.reduce((sum, one) => sum + one, 0),
    );
  }
}

/** Marks pages the way guests do, and the way they do not. */
function dirtySome(pair: Pair, random: Random): void {
  const { pages } = pair;
  const kind = random.below(5);
  if (kind === 0) for (let n = random.below(20); n > 0; n--) pair.mark(random.below(pages));
  if (kind === 1) {
    const first = random.below(pages);
    pair.markRange(first, random.below(pages - first + 1));
  }
  if (kind === 2) {
    const first = random.below(pair.words);
    pair.markRange(first * 64, Math.min(64 * random.between(1, 4), pages - first * 64));
  }
  if (kind === 3) {
    const percent = random.pick([1, 10, 50, 90, 99]);
    const first = random.below(pages);
    const end = Math.min(pages, first + random.below(2000));
    for (let page = first; page < end; page++) if (random.chance(percent)) pair.mark(page);
  }
  if (kind === 4) pair.mark(random.pick([0, pages - 1]));
}

const LIMITS = [0, 1, 2, 63, 64, 65, 127, 128, 129, 512, 4096];
/** A machine's window is 512; the others are for the edges of blocks, groups and summary words. */
const SIZES = [1, 2, 7, 8, 9, 15, 63, 64, 65, 72, 127, 129, 512, 512, 520, 4095, 4096, 4097];

test("any operations give what the plain array gives", () => {
  const random = new Random(SEED);
  for (let round = 0; round < 250; round++) {
    bench.reset();
    const words = round < SIZES.length ? SIZES[round] : random.between(1, 700);
    const pair = new Pair(words);
    const other = new Pair(words);
    try {
      for (let step = 0; step < 12; step++) {
        const kind = random.below(9);
        if (kind < 3) dirtySome(pair, random);
        if (kind === 3) dirtySome(other, random);
        if (kind === 4) pair.merge(other);
        if (kind === 5) pair.subtract(other);
        if (kind === 6) pair.harvest(random.below(words), random.pick(LIMITS));
        if (kind === 7) pair.harvest(0, random.pick([...LIMITS, words * 64]));
        if (kind === 8) pair.checkCount();
        pair.check();
        other.check();
      }
    } catch (error) {
      throw new Error(`SEED=${SEED}, round ${round}, ${words} words`, { cause: error });
    }
  }
});

test("each page alone: marked, tested, counted, harvested", () => {
  bench.reset();
  const pair = new Pair(130);
  for (let page = 0; page < pair.pages; page++) {
    pair.mark(page);
    assert.is(exports.dirtyTest(pair.base.at, page), 1);
    assert.is(exports.dirtyTest(pair.base.at, (page + 1) % pair.pages), 0);
    assert.is(exports.dirtyTest(pair.base.at, (page + 64) % pair.pages), 0);
    assert.is(exports.dirtyCount(pair.base.at, pair.words), 1);
    pair.harvest(0, 1);
  }
  pair.check();
});

test("a page that is alone in a large bitmap is found", () => {
  bench.reset();
  const pair = new Pair(3 * 4096 + 5);
  for (let group = 0; group << 12 < pair.pages; group++) {
    pair.mark(group << 12);
    pair.harvest(0, 2);
    pair.mark(Math.min((group << 12) + 4095, pair.pages - 1));
    pair.harvest(0, 2);
  }
  pair.check();
});

test("every range within three words", () => {
  bench.reset();
  const pair = new Pair(3);
  for (let first = 0; first < 192; first += 5) {
    for (let count = 0; first + count <= 192; count++) {
      pair.markRange(first, count);
      pair.check();
      pair.base.bytes.fill(0);
      pair.summary.bytes.fill(0);
      pair.model.fill(0);
    }
  }
});

test("batches of every size take every page once, in order", () => {
  const random = new Random(SEED + 1);
  for (const limit of [1, 3, 64, 100, 512, 1000]) {
    bench.reset();
    const pair = new Pair(512);
    for (let n = 0; n < 40; n++) dirtySome(pair, random);
    const target = bench.piece(limit * 4);
    const meant = [...pair.model.keys()].filter((page) => pair.model[page] === 1);
    const got: number[] = [];
    for (let round = 0; round <= meant.length + 1; round++) {
      const { base, summary } = pair;
      const from = got.length === 0 ? 0 : (got.at(-1) as number) >> 6;
      const count = exports.dirtyHarvest(base.at, summary.at, 512, from, target.at, limit);
      got.push(...new Uint32Array(target.bytes.slice(0, count * 4).buffer));
      if (count < limit) break;
    }
    assert.equal(got, meant, `SEED=${SEED}, batches of ${limit}`);
    pair.model.fill(0);
    pair.check();
  }
});

test("a harvest that empties everything leaves an empty summary, so the next one looks at nothing", () => {
  bench.reset();
  const pair = new Pair(8192);
  for (let page = 0; page < pair.pages; page += 777) pair.mark(page);
  pair.harvest(0, pair.pages);
  assert.ok(pair.summary.bytes.every((byte) => byte === 0));
  // marks that the summary does not know are not looked for: this is how it is seen
  pair.base.bytes[77] = 1;
  const target = bench.piece(64);
  const { base, summary } = pair;
  assert.is(exports.dirtyHarvest(base.at, summary.at, pair.words, 0, target.at, 16), 0);
});

test("subtract empties the summary of what it empties", () => {
  bench.reset();
  const pair = new Pair(200);
  const other = new Pair(200);
  pair.markRange(0, pair.pages);
  other.markRange(0, other.pages);
  other.harvest(64, 64 * 64);
  pair.subtract(other);
  pair.check();
  assert.is(pair.summary.bytes[0], 0b0010);
});

test.run();
