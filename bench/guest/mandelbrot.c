/*
 * mandelbrot: iterations to escape over a grid; multiplies, adds and a floating point compare per
 * turn.
 */
#include "bench.h"

static OUTLINE uint32_t escape(double re, double im, uint32_t limit) {
  double a = 0, b = 0;
  for (uint32_t turn = 0; turn < limit; turn++) {
    double a2 = a * a, b2 = b * b;
    if (a2 + b2 > 4.0) return turn;
    b = 2.0 * a * b + im;
    a = a2 - b2 + re;
  }
  return limit;
}

uint64_t bench(uint32_t rounds) {
  uint64_t sum = 0;
  for (uint32_t r = 0; r < rounds; r++) {
    double shift = (double)r / 1024.0;
    for (int row = 0; row < 48; row++) {
      for (int column = 0; column < 64; column++) {
        sum = mix(sum, escape(-2.1 + shift + column * 0.045, -1.2 + row * 0.05, 200));
      }
    }
  }
  return sum;
}
