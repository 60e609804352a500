/*
 * chase: a ring of pointers in random order, 64 bytes apart, over 2 MiB (512 pages) and over 64
 * KiB.
 */
#include "bench.h"

#define CELLS 32768
typedef struct Cell {
  struct Cell *next;
  uint64_t value;
  uint64_t padding[6];
} Cell;
static Cell cells[CELLS];
static uint32_t order[CELLS];

static void link(uint32_t count, uint64_t *seed) {
  for (uint32_t i = 0; i < count; i++) order[i] = i;
  for (uint32_t i = count - 1; i > 0; i--) {
    uint32_t other = (uint32_t)((randomNext(seed) >> 32) % (i + 1));
    uint32_t kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
  for (uint32_t i = 0; i < count; i++) {
    cells[order[i]].next = &cells[order[i + 1 == count ? 0 : i + 1]];
    cells[order[i]].value = i ^ (randomNext(seed) >> 40);
  }
}

static OUTLINE uint64_t follow(const Cell *at, uint32_t steps) {
  uint64_t sum = 0;
  for (; steps > 0; steps--) {
    sum += at->value;
    at = at->next;
  }
  return sum ^ at->value;
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 31, sum = 0;
  link(CELLS, &seed);
  for (uint32_t r = 0; r < rounds; r++) sum = mix(sum, follow(&cells[r % CELLS], CELLS * 4));
  link(1024, &seed);
  for (uint32_t r = 0; r < rounds; r++) sum = mix(sum, follow(&cells[r % 1024], CELLS * 12));
  return sum;
}
