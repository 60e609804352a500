/* table: a hash table with open addressing; insert, find, remove on 64-bit keys over 1 MiB. */
#include "bench.h"

#define SLOTS 65536
static uint64_t slotKey[SLOTS], slotValue[SLOTS];

static inline uint32_t home(uint64_t key) {
  return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 48);
}

static OUTLINE uint32_t locate(uint64_t key) {
  uint32_t at = home(key);
  while (slotKey[at] != 0 && slotKey[at] != key) at = (at + 1) & (SLOTS - 1);
  return at;
}

/* Removal closes the gap: later entries of the same run move up. */
static OUTLINE void erase(uint32_t at) {
  uint32_t next = at;
  for (;;) {
    next = (next + 1) & (SLOTS - 1);
    if (slotKey[next] == 0) break;
    uint32_t wanted = home(slotKey[next]);
    if (((next - wanted) & (SLOTS - 1)) < ((next - at) & (SLOTS - 1))) continue;
    slotKey[at] = slotKey[next];
    slotValue[at] = slotValue[next];
    at = next;
  }
  slotKey[at] = 0;
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 37, sum = 0;
  for (uint32_t r = 0; r < rounds; r++) {
    uint64_t begin = seed, again = seed;
    for (uint32_t i = 0; i < 30000; i++) {
      uint64_t key = randomNext(&seed) | 1;
      uint32_t at = locate(key);
      slotKey[at] = key;
      slotValue[at] = key ^ i;
    }
    for (uint32_t i = 0; i < 30000; i++) sum += slotValue[locate(randomNext(&again) | 1)];
    for (uint32_t i = 0; i < 30000; i++) erase(locate(randomNext(&begin) | 1));
    sum = mix(sum, slotKey[r % SLOTS]);
  }
  return sum;
}
