/*
 * polynomial: exponential and sine by Horner's scheme in fused multiply-adds, a chain of twelve per
 * value.
 */
#include "bench.h"

#define TERMS 12
static double exponential[TERMS], sine[TERMS];

static inline double horner(const double *terms, double at) {
  double value = terms[TERMS - 1];
#pragma GCC unroll 12
  for (int i = TERMS - 2; i >= 0; i--) value = __builtin_fma(value, at, terms[i]);
  return value;
}

static OUTLINE double sweep(double from, double by, uint32_t count) {
  double sum = 0;
  for (; count > 0; count--, from += by) {
    sum = __builtin_fma(horner(exponential, from), 0.5, sum);
    sum = __builtin_fma(-from, horner(sine, from * from), sum);
  }
  return sum;
}

uint64_t bench(uint32_t rounds) {
  uint64_t sum = 0;
  double term = 1.0;
  for (int i = 0; i < TERMS; i++) {
    exponential[i] = term;
    term = term / (double)(i + 1);
  }
  term = 1.0;
  for (int i = 0; i < TERMS; i++) {
    sine[i] = term;
    term = -term / (double)((2 * i + 2) * (2 * i + 3));
  }
  for (uint32_t r = 0; r < rounds; r++) {
    sum = mix(sum, bitsOf(sweep(-1.0 - (double)r / 65536.0, 0.001, 2000)));
  }
  return sum;
}
