/*
 * search: binary search in a sorted table, and a scanner of numbers, words and comments driven by
 * states.
 */
#include "bench.h"

#define COUNT 4096
#define BYTES 8192
static uint32_t keys[COUNT];
static uint8_t text[BYTES];

static OUTLINE uint32_t find(uint32_t key) {
  uint32_t low = 0, high = COUNT;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

static OUTLINE uint64_t scan(void) {
  uint32_t words = 0, numbers = 0, comments = 0, value = 0, state = 0;
  uint64_t total = 0;
  for (uint32_t i = 0; i < BYTES; i++) {
    uint8_t c = text[i];
    if (state == 3) {
      if (c == '\n') state = 0;
    } else if (c >= '0' && c <= '9') {
      if (state == 0) state = 1, numbers++, value = 0;
      if (state == 1) value = value * 10 + (c - '0');
    } else if ((c >= 'a' && c <= 'z') || c == '_') {
      if (state == 1) total += value;
      if (state != 2) words++;
      state = 2;
    } else {
      if (state == 1) total += value;
      state = c == '#' ? 3 : 0;
      comments += c == '#';
    }
  }
  return total ^ ((uint64_t)words << 40) ^ ((uint64_t)numbers << 20) ^ comments;
}

uint64_t bench(uint32_t rounds) {
  static const uint8_t alphabet[] = "0123456789abcdefghijklmnop_ \n#+ 12 ";
  uint64_t seed = 23, sum = 0;
  for (uint32_t i = 0, key = 0; i < COUNT; i++) {
    key += 1 + (uint32_t)(randomNext(&seed) >> 56);
    keys[i] = key;
  }
  for (uint32_t i = 0; i < BYTES; i++) text[i] = alphabet[(randomNext(&seed) >> 33) % 35];
  for (uint32_t r = 0; r < rounds; r++) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < 1000; i++) found += find((uint32_t)(randomNext(&seed) >> 45));
    text[r % BYTES] ^= (uint8_t)(found & 1);
    sum = mix(sum, found ^ scan());
  }
  return sum;
}
