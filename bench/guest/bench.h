/*
 * bench: what a bench program and its two harnesses agree on.
 *
 * A program defines bench(), which does `rounds` rounds of the same work and returns a checksum
 * of everything that it computed. harness-guest.c runs it on the virt map, harness-native.c on the
 * machine that builds it. The checksums must be equal, so a program sticks to what C (and IEEE 754)
 * define exactly.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

uint64_t bench(uint32_t rounds);

/* Keeps a function out of line, where the case is about the call. */
#define OUTLINE __attribute__((noinline, noclone))

/* Seeded generator (xorshift*, 64 bits), for inputs: never 0 for a seed that is not 0. */
static inline uint64_t randomNext(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 0x2545f4914f6cdd1dull;
}

/* Folds a value into a checksum, order included. */
static inline uint64_t mix(uint64_t sum, uint64_t value) {
  sum = (sum ^ value) * 0x9e3779b97f4a7c15ull;
  return sum ^ (sum >> 29);
}

/* The bits of a double, so that a checksum sees the last one. */
static inline uint64_t bitsOf(double value) {
  union {
    double value;
    uint64_t bits;
  } both = {value};
  return both.bits;
}

#endif
