/* sieve: primes below a million, one byte per odd number; strided stores, counting loops. */
#include "bench.h"

#define LIMIT 1000000
static uint8_t isComposite[LIMIT / 2];

static uint32_t sieve(uint32_t limit) {
  uint32_t half = limit / 2;
  uint32_t count = 1; /* 2 */
  for (uint32_t i = 0; i < half; i++) isComposite[i] = 0;
  for (uint32_t i = 1; i < half; i++) {
    if (isComposite[i]) continue;
    count++;
    uint32_t prime = 2 * i + 1;
    if (prime > 1000) continue;
    for (uint32_t at = prime * prime / 2; at < half; at += prime) isComposite[at] = 1;
  }
  return count;
}

uint64_t bench(uint32_t rounds) {
  uint64_t sum = 0;
  for (uint32_t r = 0; r < rounds; r++) sum = mix(sum, sieve(LIMIT - 2 * r));
  return sum;
}
