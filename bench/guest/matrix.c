/*
 * matrix: product of two matrices of 64-bit integers; multiply, add, two load streams of which one
 * is strided.
 */
#include "bench.h"

#define SIDE 96
static int64_t left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static OUTLINE void multiply(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      int64_t sum = 0;
      for (int k = 0; k < SIDE; k++) sum += left[i][k] * right[k][j];
      product[i][j] = sum & 0xffffffff;
    }
  }
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 13, sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      left[i][j] = (int64_t)(randomNext(&seed) >> 50);
      right[i][j] = (int64_t)(randomNext(&seed) >> 50) - 8192;
    }
  }
  for (uint32_t r = 0; r < rounds; r++) {
    multiply();
    for (int i = 0; i < SIDE; i++) left[i][r % SIDE] = product[i][(r + i) % SIDE] & 0x3fff;
    sum = mix(sum, (uint64_t)product[r % SIDE][(7 * r) % SIDE]);
  }
  return sum;
}
