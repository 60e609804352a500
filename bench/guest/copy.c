/*
 * copy: copies, fills and compares by words over 256 KiB, then a column-wise walk with a stride of
 * a page and a bit.
 */
#include "bench.h"

#define WORDS 32768
static uint64_t source[WORDS], target[WORDS];

static OUTLINE void copyWords(uint64_t *restrict to, const uint64_t *restrict from,
                              uint32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) {
    uint64_t a = from[0], b = from[1], c = from[2], d = from[3];
    to[0] = a, to[1] = b, to[2] = c, to[3] = d;
  }
}

static OUTLINE uint32_t compareBytes(const uint8_t *a, const uint8_t *b, uint32_t count) {
  uint32_t differ = 0;
  for (uint32_t i = 0; i < count; i++) differ += a[i] != b[i];
  return differ;
}

static OUTLINE uint64_t stride(uint32_t step) {
  uint64_t sum = 0;
  for (uint32_t column = 0; column < step; column++) {
    for (uint32_t at = column; at < WORDS; at += step) {
      sum += source[at];
      target[at] ^= sum;
    }
  }
  return sum;
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 41, sum = 0;
  for (uint32_t i = 0; i < WORDS; i++) source[i] = randomNext(&seed);
  for (uint32_t r = 0; r < rounds; r++) {
    copyWords(target, source, WORDS);
    source[(r * 131) % WORDS] += r + 1;
    sum = mix(sum, compareBytes((uint8_t *)source, (uint8_t *)target, WORDS));
    sum = mix(sum, stride(521 + r % 7));
    sum = mix(sum, target[(r * 17) % WORDS]);
  }
  return sum;
}
