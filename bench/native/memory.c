// The algorithms of assembly/memory/{dirty,codec,delta,lz4}.ts in C, timed on demand: the rival of the suite `memory`.
//
// Used by bench/suites/memory-native.ts: `memory FILE`, where FILE holds the inputs in the order of struct inputs. For
// each line `CASE MILLISECONDS` on stdin it answers `NANOSECONDS CHECK` for one turn of the case on stdout.
// Holds: same passes, same blocks, same tables; vectors of 16 bytes where the module has them.
#ifdef __GNUC__
// or gcc makes calls of memcpy out of copies of a few bytes, and decompression takes five times as long
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define PAGE 4096
#define PAGES 256
#define BITMAP_WORDS 16384
#define COPIES 8
#define KEY_BYTES 4192

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef u64 u64x2 __attribute__((vector_size(16)));
typedef u32 u32x4 __attribute__((vector_size(16)));
typedef u8 u8x16 __attribute__((vector_size(16)));

struct inputs {
  u64 bitmaps[4][BITMAP_WORDS];
  u8 noise[PAGES][PAGE];
  u8 fresh[PAGES][PAGE]; // noise with changes
  u8 real[PAGES][PAGE];  // pages of a program
  u8 key[KEY_BYTES];
};

static struct inputs in __attribute__((aligned(4096)));
static u64 bitmap[COPIES][BITMAP_WORDS] __attribute__((aligned(4096)));
static u64 summary[COPIES][BITMAP_WORDS / 4096];
static u32 numbers[BITMAP_WORDS * 64] __attribute__((aligned(4096)));
static u8 zeros[PAGES][PAGE] __attribute__((aligned(4096)));
static u8 output[PAGES][2 * PAGE];
static u32 outputBytes[PAGES];
static u8 scratch[PAGE] __attribute__((aligned(16)));
static u64 map[64];
static u16 table[2048];

static inline u64 load64(const u8 *at) { u64 value; memcpy(&value, at, 8); return value; }
static inline u32 load32(const u8 *at) { u32 value; memcpy(&value, at, 4); return value; }
static inline u16 load16(const u8 *at) { u16 value; memcpy(&value, at, 2); return value; }
static inline void copy16(u8 *to, const u8 *from) { u8x16 value; memcpy(&value, from, 16); memcpy(to, &value, 16); }
static inline int anyTrue(u64x2 value) { return (value[0] | value[1]) != 0; }

// ---- dirty ----

static inline int blockIsClean(const u64 *at) {
  const u64x2 *vectors = (const u64x2 *)at;
  return !anyTrue((vectors[0] | vectors[1]) | (vectors[2] | vectors[3]));
}

static inline void numbersPut(u32 *at, u32 first) {
  u32x4 four = {first, first + 1, first + 2, first + 3};
  for (int n = 0; n < 16; n++, four += 4) memcpy(at + 4 * n, &four, 16);
}

static inline void bitsPut(u32 *at, u32 first, u64 bits) {
  do {
    for (int n = 0; n < 4; n++) {
      // an entry for no bit is not used; ctz of 0 must not be asked for
      at[n] = first + (u32)__builtin_ctzll(bits | (u64)1 << 63);
      bits &= bits - 1;
    }
    at += 4;
  } while (bits != 0);
}

static u32 wordsHarvest(u64 *base, u32 word, u32 end, u32 *target, u32 limit) {
  u32 found = 0;
  while (word < end) {
    if ((word & 7) == 0 && word + 8 <= end && blockIsClean(base + word)) {
      word += 8;
      continue;
    }
    u32 stop = (word | 7) + 1;
    if (stop > end) stop = end;
    for (; word < stop; word++) {
      u64 bits = base[word];
      if (bits == 0) continue;
      u32 first = word << 6;
      if (limit - found < 64) {
        for (; bits != 0 && found < limit; bits &= bits - 1) target[found++] = first + (u32)__builtin_ctzll(bits);
        base[word] = bits;
        if (found == limit) return found;
      } else {
        base[word] = 0;
        if (bits == ~(u64)0) numbersPut(target + found, first);
        else bitsPut(target + found, first, bits);
        found += (u32)__builtin_popcountll(bits);
      }
    }
  }
  return found;
}

static u32 harvest(u64 *base, u64 *groups, u32 words, u32 *target, u32 limit) {
  u32 found = 0;
  for (u32 group = 0; group << 6 < words; group++) {
    u64 rest = groups[group >> 6] >> (group & 63);
    if (rest == 0) {
      group |= 63;
      continue;
    }
    group += (u32)__builtin_ctzll(rest);
    u32 begin = group << 6;
    if (begin >= words) break;
    u32 end = begin + 64 < words ? begin + 64 : words;
    found += wordsHarvest(base, begin, end, target + found, limit - found);
    if (found == limit) return found;
    groups[group >> 6] &= ~((u64)1 << (group & 63));
  }
  return found;
}

// ---- codec ----

static int isZero(const u8 *page) {
  const u64x2 *at = (const u64x2 *)page;
  for (int n = 0; n < PAGE / 16; n += 8) {
    u64x2 any = {0, 0};
    for (int each = n; each < n + 8; each++) any |= at[each];
    if (anyTrue(any)) return 0;
  }
  return 1;
}

static inline u64 rotated(u64 value, int by) { return value << by | value >> (64 - by); }

static inline u64 mix(u64 value) {
  value = (value ^ value >> 32) * 0xbb67ae8584caa73bu;
  value = (value ^ value >> 29) * 0xa54ff53a5f1d36f1u;
  return value ^ value >> 32;
}

static inline u64 sumsMix(u64 first, u64 second, u64 key) { return mix(mix(first ^ key) + rotated(second, 23)); }

static void pageHash(const u8 *page, const u8 *key, u64 *target) {
  u64 sums[4];
#ifdef __SSE2__
  __m128i sum[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  for (int at = 0; at < PAGE; at += 32) {
    __m128i low = _mm_loadu_si128((const __m128i *)(page + at));
    __m128i high = _mm_loadu_si128((const __m128i *)(page + at + 16));
    for (int pass = 0; pass < 4; pass++) {
      const __m128i *words = (const __m128i *)(key + at + 32 * pass);
      __m128i a = _mm_add_epi32(low, _mm_loadu_si128(words));
      __m128i b = _mm_add_epi32(high, _mm_loadu_si128(words + 1));
      __m128i even = _mm_mul_epu32(a, b);
      __m128i odd = _mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32));
      sum[pass] = _mm_add_epi64(sum[pass], _mm_add_epi64(even, odd));
    }
  }
  for (int pass = 0; pass < 4; pass++) sums[pass] = ((u64x2)sum[pass])[0] + ((u64x2)sum[pass])[1];
#else
  for (int pass = 0; pass < 4; pass++) {
    sums[pass] = 0;
    for (int at = 0; at < PAGE; at += 32) {
      for (int lane = at; lane < at + 16; lane += 4) {
        const u8 *words = key + lane + 32 * pass;
        u64 a = (u32)(load32(page + lane) + load32(words));
        u64 b = (u32)(load32(page + lane + 16) + load32(words + 16));
        sums[pass] += a * b;
      }
    }
  }
#endif
  target[0] = sumsMix(sums[0], sums[1], load64(key));
  target[1] = sumsMix(sums[2], sums[3], load64(key + 8));
}

// ---- delta ----

static void mapMake(const u8 *base, const u8 *page) {
  for (int word = 0; word < 64; word++, base += 64, page += 64) {
    u64 bits = 0;
    for (int at = 0; at < 64; at += 16) {
#ifdef __SSE2__
      __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(base + at)),
                                     _mm_loadu_si128((const __m128i *)(page + at)));
      u64 differing = (u64)_mm_movemask_epi8(equal) ^ 0xffff;
#else
      u64 differing = 0;
      for (int n = 0; n < 16; n++) differing |= (u64)(base[at + n] != page[at + n]) << n;
#endif
      bits |= differing << at;
    }
    map[word] = bits;
  }
}

static inline u32 mapNext(u32 from, u64 flip) {
  if (from >= PAGE) return PAGE;
  u32 word = from >> 6;
  u64 bits = ((map[word] ^ flip) >> (from & 63)) << (from & 63);
  while (bits == 0) {
    if (++word == 64) return PAGE;
    bits = map[word] ^ flip;
  }
  return (word << 6) + (u32)__builtin_ctzll(bits);
}

static inline u8 *numberPut(u8 *at, u32 value) {
  if (value < 128) {
    *at = (u8)value;
    return at + 1;
  }
  at[0] = (u8)(value | 128);
  at[1] = (u8)(value >> 7);
  return at + 2;
}

static inline void xorPut(u8 *target, const u8 *first, const u8 *second, u32 count) {
  u32 at = 0;
  for (; at + 16 <= count; at += 16) {
    u8x16 a, b;
    memcpy(&a, first + at, 16);
    memcpy(&b, second + at, 16);
    a ^= b;
    memcpy(target + at, &a, 16);
  }
  for (; at < count; at++) target[at] = first[at] ^ second[at];
}

static u32 deltaEncode(const u8 *base, const u8 *page, u8 *target, u32 limit) {
  mapMake(base, page);
  u8 *last = target + limit, *out = target;
  u32 done = 0, first = mapNext(0, 0);
  while (first != PAGE) {
    u32 end = mapNext(first, ~(u64)0);
    u32 next = mapNext(end, 0);
    while (next - end <= 2 && next != PAGE) {
      end = mapNext(next, ~(u64)0);
      next = mapNext(end, 0);
    }
    u32 count = end - first;
    if (count + 4 > (u32)(last - out)) {
      u32 head = (first - done >= 128) + (count - 1 >= 128) + 2;
      if (count + head > (u32)(last - out)) return ~0u;
    }
    out = numberPut(out, first - done);
    out = numberPut(out, count - 1);
    xorPut(out, base + first, page + first, count);
    out += count;
    done = end;
    first = next;
  }
  return (u32)(out - target);
}

typedef signed char i8x16 __attribute__((vector_size(16)));

static inline void xorIn(u8 *at, const u8 *delta, u32 count) {
  u8x16 a, b;
  for (const u8 *end = at + (count & ~15u); at < end; at += 16, delta += 16) {
    memcpy(&a, at, 16);
    memcpy(&b, delta, 16);
    a ^= b;
    memcpy(at, &a, 16);
  }
  const i8x16 places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  i8x16 isChanged = places < (i8x16){} + (signed char)(count & 15);
  memcpy(&a, at, 16);
  memcpy(&b, delta, 16);
  a ^= b & (u8x16)isChanged;
  memcpy(at, &a, 16);
}

static const u8 *recordsApply(u8 *page, const u8 *delta, const u8 *end) {
  const u8 *pageEnd = page + PAGE, *pageRoom = pageEnd - 16, *room = end - 16;
  while (delta < end) {
    const u8 *at = delta;
    u32 skip = *at++;
    if (skip > 127) {
      if (at == end) return delta;
      skip = (skip & 127) | (u32)*at++ << 7;
    }
    if (at == end) return delta;
    u32 count = *at++;
    if (count > 127) {
      if (at == end) return delta;
      count = (count & 127) | (u32)*at++ << 7;
    }
    count++;
    page += skip;
    u8 *pageNext = page + count;
    const u8 *next = at + count;
    if (pageNext <= pageRoom && next <= room) xorIn(page, at, count);
    else if (pageNext > pageEnd || next > end) return delta;
    else xorPut(page, page, at, count);
    page = pageNext;
    delta = next;
  }
  return delta;
}

static int deltaApply(u8 *page, const u8 *delta, u32 bytes) {
  const u8 *end = delta + bytes, *reached = recordsApply(page, delta, end);
  if (reached == end) return 1;
  recordsApply(page, delta, reached);
  return 0;
}

// ---- LZ4 ----

static inline u32 slotOf(u32 four) { return (four * 0x9e3779b1u) >> 21; }

static inline u32 equalBytes(const u8 *first, const u8 *second, const u8 *end) {
  const u8 *begin = first;
  for (; first + 8 <= end; first += 8, second += 8) {
    u64 differing = load64(first) ^ load64(second);
    if (differing != 0) return (u32)(first - begin) + ((u32)__builtin_ctzll(differing) >> 3);
  }
  while (first < end && *first == *second) first++, second++;
  return (u32)(first - begin);
}

static inline u32 moreBytes(u32 length) { return length < 15 ? 0 : (length - 15) / 255 + 1; }

static inline u8 *morePut(u8 *at, u32 length) {
  if (length < 15) return at;
  u32 rest = length - 15;
  for (; rest >= 255; rest -= 255) *at++ = 255;
  *at = (u8)rest;
  return at + 1;
}

static inline void copyLoosely(u8 *target, const u8 *source, u32 count) {
  u8 *end = target + count;
  do {
    copy16(target, source);
    target += 16;
    source += 16;
  } while (target < end);
}

static u32 lz4Compress(const u8 *source, u32 bytes, u8 *target, u32 limit) {
  memset(table, 0, sizeof table);
  const u8 *end = source + bytes, *anchor = source;
  u8 *last = target + limit, *out = target;
  if (bytes > 12) {
    const u8 *matchEnd = end - 5, *begins = end - 12, *at = source + 1;
    u32 tries = 64;
    while (at <= begins) {
      u32 four = load32(at), slot = slotOf(four);
      const u8 *match = source + table[slot];
      table[slot] = (u16)(at - source);
      if (load32(match) != four || at - match > 65535) {
        at += tries++ >> 6;
        continue;
      }
      tries = 64;
      while (at > anchor && match > source && at[-1] == match[-1]) at--, match--;
      u32 more = equalBytes(at + 4, match + 4, matchEnd);
      u32 count = (u32)(at - anchor);
      if (3 + moreBytes(count) + count + moreBytes(more) > (u32)(last - out)) return 0;
      *out = (u8)((count < 15 ? count : 15) << 4 | (more < 15 ? more : 15));
      out = morePut(out + 1, count);
      if (count + 16 <= (u32)(last - out) && count + 16 <= (u32)(end - anchor)) copyLoosely(out, anchor, count);
      else memcpy(out, anchor, count);
      out += count;
      u16 offset = (u16)(at - match);
      memcpy(out, &offset, 2);
      out = morePut(out + 2, more);
      at += 4 + more;
      anchor = at;
      if (at <= begins) table[slotOf(load32(at - 2))] = (u16)(at - 2 - source);
    }
  }
  u32 count = (u32)(end - anchor);
  if (1 + moreBytes(count) + count > (u32)(last - out)) return 0;
  *out = (u8)((count < 15 ? count : 15) << 4);
  out = morePut(out + 1, count);
  memcpy(out, anchor, count);
  return (u32)(out - target) + count;
}

static inline void matchCopyLoosely(u8 *out, u32 offset, u32 count) {
  u8 *end = out + count;
  const u8 *from = out - offset;
  while (offset < 16) {
    copy16(out, from);
    out += offset;
    if (out >= end) return;
    offset <<= 1;
  }
  do {
    copy16(out, out - offset);
    out += 16;
  } while (out < end);
}

static u32 lz4Decompress(const u8 *source, u32 bytes, u8 *target, u32 limit) {
  const u8 *end = source + bytes;
  u8 *last = target + limit, *out = target;
  while (source < end) {
    u32 token = *source++, count = token >> 4, more;
    if (count != 15 && end - source >= 18 && last - out >= 16) {
      copy16(out, source);
      out += count;
      source += count;
    } else {
      if (count == 15) {
        do {
          if (source >= end || count > limit) return 0;
          more = *source++;
          count += more;
        } while (more == 255);
      }
      if (count > (u32)(end - source) || count > (u32)(last - out)) return 0;
      if (count + 16 <= (u32)(end - source) && count + 16 <= (u32)(last - out)) copyLoosely(out, source, count);
      else memcpy(out, source, count);
      out += count;
      source += count;
      if (source == end) return (u32)(out - target);
      if (end - source < 2) return 0;
    }
    u32 offset = load16(source);
    source += 2;
    if (offset == 0 || offset > (u32)(out - target)) return 0;
    count = (token & 15) + 4;
    if (count != 19 && offset >= 16 && last - out >= 32) {
      copy16(out, out - offset);
      copy16(out + 16, out - offset + 16);
      out += count;
      continue;
    }
    if (count == 19) {
      do {
        if (source >= end || count > limit) return 0;
        more = *source++;
        count += more;
      } while (more == 255);
    }
    if (count > (u32)(last - out)) return 0;
    if (count + 16 <= (u32)(last - out)) matchCopyLoosely(out, offset, count);
    else for (u32 n = 0; n < count; n++) out[n] = out[(long)n - offset];
    out += count;
  }
  return 0;
}

// ---- cases: `prepare` is not timed; `turn` returns a check ----

static void refill(int which) {
  for (int copy = 0; copy < COPIES; copy++) {
    memcpy(bitmap[copy], in.bitmaps[which], sizeof bitmap[copy]);
    memset(summary[copy], 0xff, sizeof summary[copy]);
  }
}

static void prepareNone(void) {}
static void refill0(void) { refill(0); }
static void refill1(void) { refill(1); }
static void refill2(void) { refill(2); }
static void refill3(void) { refill(3); }

static u64 turnHarvest(void) {
  u64 check = 0;
  for (int copy = 0; copy < COPIES; copy++) {
    u32 count = harvest(bitmap[copy], summary[copy], BITMAP_WORDS, numbers, BITMAP_WORDS * 64);
    check += count + numbers[count / 2] + numbers[count - 1];
  }
  return check;
}

static u64 turnZero(void) {
  u64 check = 0;
  for (int page = 0; page < PAGES; page++) check += !isZero(zeros[page]);
  return check;
}

static u64 turnHash(void) {
  u64 check = 0, hash[2];
  for (int page = 0; page < PAGES; page++) {
    pageHash(in.noise[page], in.key, hash);
    check += (hash[0] ^ hash[1]) & 0xffff;
  }
  return check;
}

static u64 turnEncode(void) {
  u64 check = 0;
  for (int page = 0; page < PAGES; page++) {
    outputBytes[page] = deltaEncode(in.noise[page], in.fresh[page], output[page], PAGE);
    check += outputBytes[page];
  }
  return check;
}

static void prepareEncode(void) { turnEncode(); }

// there and back again: the same delta both ways
static u64 turnApply(void) {
  u64 check = 0;
  for (int page = 0; page < PAGES; page++) {
    check += (u64)deltaApply(in.noise[page], output[page], outputBytes[page]) + in.noise[page][PAGE - 1];
    check += (u64)deltaApply(in.noise[page], output[page], outputBytes[page]) + in.noise[page][PAGE - 1];
  }
  return check;
}

static u64 turnCompress(void) {
  u64 check = 0;
  for (int page = 0; page < PAGES; page++) {
    outputBytes[page] = lz4Compress(in.real[page], PAGE, output[page], 2 * PAGE);
    check += outputBytes[page];
  }
  return check;
}

static void prepareCompress(void) { turnCompress(); }

static u64 turnDecompress(void) {
  u64 check = 0;
  for (int page = 0; page < PAGES; page++) {
    check += lz4Decompress(output[page], outputBytes[page], scratch, PAGE);
    check += scratch[PAGE - 1];
  }
  return check;
}

static const struct {
  const char *name;
  void (*prepare)(void);
  u64 (*turn)(void);
} cases[] = {
    {"harvest0", refill0, turnHarvest},          {"harvest1", refill1, turnHarvest},
    {"harvest2", refill2, turnHarvest},          {"harvest3", refill3, turnHarvest},
    {"zero", prepareNone, turnZero},             {"hash", prepareNone, turnHash},
    {"encode", prepareNone, turnEncode},         {"apply", prepareEncode, turnApply},
    {"compress", prepareNone, turnCompress},     {"decompress", prepareCompress, turnDecompress},
};

static u64 nowNs(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (u64)time.tv_sec * 1000000000u + (u64)time.tv_nsec;
}

static int answer(const char *name, u64 milliseconds) {
  for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
    if (strcmp(cases[n].name, name) != 0) continue;
    u64 spent = 0, turns = 0, check = 0;
    while (spent < milliseconds * 1000000u) {
      cases[n].prepare();
      u64 begin = nowNs();
      check = cases[n].turn();
      spent += nowNs() - begin;
      turns++;
    }
    printf("%.1f %llu\n", (double)spent / (double)turns, (unsigned long long)check);
    fflush(stdout);
    return 0;
  }
  fprintf(stderr, "memory: no case %s\n", name);
  return 1;
}

int main(int count, char **arguments) {
  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
  if (file == NULL || fread(&in, sizeof in, 1, file) != 1) {
    fprintf(stderr, "usage: memory FILE, of %zu bytes\n", sizeof in);
    return 2;
  }
  fclose(file);
  char name[32];
  unsigned long milliseconds;
  while (scanf("%31s %lu", name, &milliseconds) == 2) {
    if (answer(name, milliseconds) != 0) return 1;
  }
  return 0;
}
