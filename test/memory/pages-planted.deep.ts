/**
 * pages-planted: bugs in bitmaps, hash, delta and LZ4, planted one at a time in a copy of
 * pages.wasm, and the suite that must fail because of it.
 */
import { suite } from "uvu";
import { type Planted, plantAll } from "../mmu/plant.ts";

const test = suite("memory/pages-planted");
const DIRTY = { file: "memory/dirty.ts", suites: ["memory/dirty"] };
const CODEC = { file: "memory/codec.ts", suites: ["memory/codec"] };
const DELTA = { file: "memory/delta.ts", suites: ["memory/delta"] };
const LZ4 = { file: "memory/lz4.ts", suites: ["memory/lz4"] };

const BUGS: readonly Planted[] = [
  {
    ...DIRTY,
    title: "a mark does not reach the summary",
    from: "  groupMark(summary, index >> 12);\n",
    to: "",
  },
  {
    ...DIRTY,
    title: "a range marks the summary of its first page only",
    from: "group <= last >> 12; group++",
    to: "group <= first >> 12; group++",
  },
  {
    ...DIRTY,
    title: "a range's last word is whole",
    from: "if (word == lastWord) mask &= ~(<u64>0) >> (63 - (last & 63));",
    to: "",
  },
  {
    ...DIRTY,
    title: "a count forgets the words behind the last block",
    from: "for (; word < words; word++) count",
    to: "for (; word < 0; word++) count",
  },
  {
    ...DIRTY,
    title: "the last vector of a block is not looked at",
    from: "v128.or(v128.load(at, 32), v128.load(at, 48))",
    to: "v128.load(at, 32)",
  },
  {
    ...DIRTY,
    title: "a full word's last numbers are one off",
    from: "v128.store(at, numbers, 48);\n    numbers = i32x4.add(numbers, four);",
    to: "v128.store(at, numbers, 48);\n    numbers = i32x4.add(numbers, i32x4.splat(5));",
  },
  {
    ...DIRTY,
    title: "a word with no room for all of it is written whole",
    from: "if (limit - found < 64) {",
    to: "if (limit - found < 60) {",
  },
  {
    ...DIRTY,
    title: "what did not fit is marked clean",
    from: "        store<u64>(at, bits);\n        if (found == limit)",
    to: "        store<u64>(at, 0);\n        if (found == limit)",
  },
  {
    ...DIRTY,
    title: "the summary is cleared although the group was begun in its middle",
    from: "if (first == begin) groupClear(summary, group);",
    to: "groupClear(summary, group);",
  },
  {
    ...DIRTY,
    title: "the summary is never cleared",
    from: "if (first == begin) groupClear(summary, group);",
    to: "",
  },
  {
    ...DIRTY,
    title: "an empty summary word skips one group too many",
    from: "group |= 63; // on to the next summary word",
    to: "group = (group | 63) + 1;",
  },
  {
    ...DIRTY,
    title: "a merge forgets the summary",
    from: "if (v128.any_true(any)) groupMark(toSummary, group);",
    to: "",
  },
  {
    ...DIRTY,
    title: "a merge's odd word is copied, not added",
    from: "store<u64>(at, load<u64>(at) | more);",
    to: "store<u64>(at, more);",
  },
  {
    ...DIRTY,
    title: "subtract clears the summary of what is left",
    from: "if (!v128.any_true(any)) groupClear(toSummary, group);",
    to: "groupClear(toSummary, group);",
  },
  {
    ...CODEC,
    title: "the zero test skips a vector",
    from: "v128.load(at, 96), v128.load(at, 112)",
    to: "v128.load(at, 96), v128.load(at, 96)",
  },
  {
    ...CODEC,
    title: "the zero test stops before the end",
    from: "for (let end = at + 4096; at < end; at += 128)",
    to: "for (let end = at + 3968; at < end; at += 128)",
  },
  {
    ...CODEC,
    title: "a pass of the hash uses another's key",
    from: "v128.load(words, 96), v128.load(words, 112)",
    to: "v128.load(words, 64), v128.load(words, 80)",
  },
  {
    ...CODEC,
    title: "the hash leaves half of the products out",
    from: "i64x2.extmul_high_i32x4_u(a, b)",
    to: "i64x2.extmul_low_i32x4_u(a, b)",
  },
  {
    ...CODEC,
    title: "products are signed",
    from: "i64x2.extmul_low_i32x4_u(a, b)",
    to: "i64x2.extmul_low_i32x4_s(a, b)",
  },
  {
    ...DELTA,
    title: "a gap of three is kept",
    from: "const GAP_MAX: u32 = 2;",
    to: "const GAP_MAX: u32 = 3;",
  },
  {
    ...DELTA,
    title: "128 takes one byte",
    from: "if (value < 128) {",
    to: "if (value <= 128) {",
  },
  {
    ...DELTA,
    title: "the limit is not kept",
    from: "if (<usize>(count + head) > last - out) return DELTA_TOO_LONG;",
    to: "",
  },
  {
    ...DELTA,
    title: "a record may end behind the page",
    from: "else if (pageNext > pageEnd || next > end) return delta;",
    to: "else if (next > end) return delta;",
  },
  {
    ...DELTA,
    title: "a record may end behind the delta",
    from: "else if (pageNext > pageEnd || next > end) return delta;",
    to: "else if (pageNext > pageEnd) return delta;",
  },
  {
    ...DELTA,
    title: "a number may end behind the delta",
    from: "if (skip > 127) {\n      if (at == end) return delta;",
    to: "if (skip > 127) {",
  },
  {
    ...DELTA,
    title: "what was changed by a delta that is none stays changed",
    from: "recordsApply(page, delta, reached);",
    to: "",
  },
  {
    ...DELTA,
    title: "16 bytes are taken at the end of a delta",
    from: "const room = end - 16;",
    to: "const room = end;",
  },
  {
    ...LZ4,
    title: "a match may reach into the last five bytes",
    from: "const LAST_LITERALS: u32 = 5;",
    to: "const LAST_LITERALS: u32 = 4;",
  },
  {
    ...LZ4,
    title: "a match may begin in the last twelve bytes",
    from: "const MATCH_LIMIT: u32 = 12;",
    to: "const MATCH_LIMIT: u32 = 11;",
  },
  {
    ...LZ4,
    title: "a length of 255 more has no byte behind it",
    from: "for (; rest >= 255; rest -= 255)",
    to: "for (; rest > 255; rest -= 255)",
  },
  {
    ...LZ4,
    title: "a sequence is written without room for it",
    from: "if (<usize>size > last - out) return 0;",
    to: "",
  },
  {
    ...LZ4,
    title: "a copy of literals may touch what lies behind the source",
    from: "if (<usize>(count + SLACK) <= last - out && <usize>(count + SLACK) <= end - from) {",
    to: "if (<usize>(count) <= last - out && <usize>(count) <= end - from) {",
  },
  {
    ...LZ4,
    title: "offsets may reach before the target",
    from: "if (offset == 0 || <usize>offset > out - target) return 0;",
    to: "if (offset == 0) return 0;",
  },
  {
    ...LZ4,
    title: "offset 0 is taken",
    from: "if (offset == 0 || <usize>offset > out - target) return 0;",
    to: "if (<usize>offset > out - target) return 0;",
  },
  {
    ...LZ4,
    title: "short periods are copied as long ones",
    from: "count != 15 + MATCH_MIN && offset >= 16 &&",
    to: "count != 15 + MATCH_MIN && offset >= 8 &&",
  },
  {
    ...LZ4,
    title: "matches may be copied past the target",
    from: "if (<usize>count > last - out) return 0;\n    if (<usize>(count + SLACK) <= last - out) match",
    to: "if (<usize>count > last - out) return 0;\n    if (<usize>(count) <= last - out) match",
  },
  {
    ...LZ4,
    title: "a short match needs no room for two vectors",
    from: "last - out >= 2 * SLACK",
    to: "last - out >= SLACK",
  },
  {
    ...LZ4,
    title: "a length may go on behind the block",
    from: "if (source >= end || count > limit) return 0;\n          more",
    to: "if (count > limit) return 0;\n          more",
  },
  {
    ...LZ4,
    title: "a block may end with a match",
    from: "    out += count;\n  }\n  return 0;",
    to: "    out += count;\n  }\n  return <u32>(out - target);",
  },
];

plantAll(test, BUGS, { config: "asconfig.pages.json", variable: "RIVULET_PAGES" });

test.run();
