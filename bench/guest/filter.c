/*
 * filter: a five-point smoothing of a grid and a normalisation, in single precision; adds,
 * multiplies, divides.
 */
#include "bench.h"

#define SIDE 128
static float grid[SIDE][SIDE], next[SIDE][SIDE];

static OUTLINE void smooth(float (*restrict to)[SIDE], float (*restrict from)[SIDE]) {
  for (int i = 1; i < SIDE - 1; i++) {
    for (int j = 1; j < SIDE - 1; j++) {
      float around = from[i - 1][j] + from[i + 1][j] + from[i][j - 1] + from[i][j + 1];
      to[i][j] = from[i][j] * 0.6f + around * 0.1f;
    }
  }
}

static OUTLINE void normalise(float by) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) grid[i][j] = (grid[i][j] + 0.25f) / by;
  }
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 47, sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      next[i][j] = grid[i][j] = (float)(randomNext(&seed) >> 44) / 4096.0f;
    }
  }
  for (uint32_t r = 0; r < rounds; r++) {
    smooth(next, grid);
    smooth(grid, next);
    if (r % 4 == 3) normalise(1.0f + (float)(r & 31) / 64.0f);
    sum = mix(sum, bitsOf((double)grid[1 + r % 100][1 + (3 * r) % 100]));
  }
  return sum;
}
