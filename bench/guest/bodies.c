/*
 * bodies: five bodies attracting one another, leapfrog steps; add, multiply, divide and one square
 * root per pair.
 */
#include "bench.h"

#define BODIES 5
static double x[BODIES], y[BODIES], z[BODIES], u[BODIES], v[BODIES], w[BODIES], mass[BODIES];

static OUTLINE void step(double dt) {
  for (int i = 0; i < BODIES; i++) {
    for (int j = i + 1; j < BODIES; j++) {
      double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
      double square = dx * dx + dy * dy + dz * dz + 0.01;
      double pull = dt / (square * __builtin_sqrt(square));
      double mine = mass[j] * pull, theirs = mass[i] * pull;
      u[i] -= dx * mine, v[i] -= dy * mine, w[i] -= dz * mine;
      u[j] += dx * theirs, v[j] += dy * theirs, w[j] += dz * theirs;
    }
  }
  for (int i = 0; i < BODIES; i++) x[i] += dt * u[i], y[i] += dt * v[i], z[i] += dt * w[i];
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 43, sum = 0;
  for (int i = 0; i < BODIES; i++) {
    x[i] = (double)(randomNext(&seed) >> 40) / 1e6;
    y[i] = (double)(randomNext(&seed) >> 40) / 1e6;
    z[i] = (double)(randomNext(&seed) >> 40) / 1e6;
    u[i] = (double)i / 10, v[i] = (double)(2 - i) / 7, w[i] = (double)(i & 1) / 5;
    mass[i] = 1.0 + (double)i * 3;
  }
  for (uint32_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 1000; i++) step(0.001);
  }
  for (int i = 0; i < BODIES; i++) {
    sum = mix(mix(mix(sum, bitsOf(x[i])), bitsOf(y[i])), bitsOf(w[i]));
  }
  return sum;
}
