/*
 * digest: SHA-256 (FIPS 180-4) of a buffer; 32-bit rotates, adds and logic in long straight runs.
 */
#include "bench.h"

#define BYTES 16384
static uint8_t buffer[BYTES];
static uint32_t constants[64];
static uint32_t state[8];

static inline uint32_t rotate(uint32_t x, int by) { return (x >> by) | (x << (32 - by)); }

/* The constants: fractional parts of cube roots of primes, 32 bits, by integer bisection. */
static void constantsFill(void) {
  uint32_t count = 0;
  for (uint64_t prime = 2; count < 64; prime++) {
    int isPrime = 1;
    for (uint64_t d = 2; d * d <= prime; d++) isPrime &= prime % d != 0;
    if (!isPrime) continue;
    /* Cube root in 32.32; all 64 primes are below 512, so every root is below 8. */
    uint64_t low = 0, high = 8ull << 32;
    while (high - low > 1) {
      uint64_t middle = low + (high - low) / 2;
      unsigned __int128 cube = (unsigned __int128)middle * middle * middle;
      if (cube <= (unsigned __int128)prime << 96) low = middle;
      else high = middle;
    }
    constants[count++] = (uint32_t)low;
  }
}

static void block(const uint8_t *at) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++, at += 4) {
    w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
    uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    uint32_t big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    uint32_t t1 = h + big1 + ((e & f) ^ (~e & g)) + constants[i] + w[i];
    uint32_t big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    uint32_t t2 = big0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 11, sum = 0;
  constantsFill();
  for (uint32_t i = 0; i < BYTES; i++) buffer[i] = (uint8_t)(randomNext(&seed) >> 24);
  for (int i = 0; i < 8; i++) state[i] = (uint32_t)randomNext(&seed);
  for (uint32_t r = 0; r < rounds; r++) {
    for (uint32_t at = 0; at < BYTES; at += 64) block(buffer + at);
  }
  for (int i = 0; i < 8; i++) sum = mix(sum, state[i]);
  return mix(sum, constants[63]);
}
