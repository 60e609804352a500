/*
 * queens: placements of n queens by backtracking over bit masks; recursion and branches that depend
 * on data.
 */
#include "bench.h"

static OUTLINE uint32_t place(uint32_t full, uint32_t columns, uint32_t left, uint32_t right) {
  if (columns == full) return 1;
  uint32_t count = 0;
  for (uint32_t free = full & ~(columns | left | right); free != 0; free &= free - 1) {
    uint32_t bit = free & (0u - free);
    count += place(full, columns | bit, (left | bit) << 1, (right | bit) >> 1);
  }
  return count;
}

uint64_t bench(uint32_t rounds) {
  uint64_t sum = 0;
  for (uint32_t r = 0; r < rounds; r++) {
    uint32_t side = 8 + r % 4;
    sum = mix(sum, place((1u << side) - 1, 0, 0, 0));
  }
  return sum;
}
