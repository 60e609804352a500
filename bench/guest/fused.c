/* fused: product of two matrices of doubles, each step one fused multiply-add; two load streams. */
#include "bench.h"

#define SIDE 64
static double left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static OUTLINE void multiply(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j += 4) {
      double a = 0, b = 0, c = 0, d = 0;
      for (int k = 0; k < SIDE; k++) {
        double factor = left[i][k];
        a = __builtin_fma(factor, right[k][j], a);
        b = __builtin_fma(factor, right[k][j + 1], b);
        c = __builtin_fma(factor, right[k][j + 2], c);
        d = __builtin_fma(factor, right[k][j + 3], d);
      }
      product[i][j] = a, product[i][j + 1] = b, product[i][j + 2] = c, product[i][j + 3] = d;
    }
  }
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 53, sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      left[i][j] = (double)(randomNext(&seed) >> 40) / 16777216.0 - 0.5;
      right[i][j] = (double)(randomNext(&seed) >> 40) / 16777216.0;
    }
  }
  for (uint32_t r = 0; r < rounds; r++) {
    multiply();
    for (int i = 0; i < SIDE; i++) left[i][r % SIDE] = product[i][(r + i) % SIDE] * 0.03125;
    sum = mix(sum, bitsOf(product[r % SIDE][(7 * r) % SIDE]));
  }
  return sum;
}
