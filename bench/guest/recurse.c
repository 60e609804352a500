/* recurse: Fibonacci and Ackermann as written in the textbook; calls, returns and stack traffic. */
#include "bench.h"

static OUTLINE uint64_t fibonacci(uint64_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static OUTLINE uint64_t ackermann(uint64_t m, uint64_t n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

uint64_t bench(uint32_t rounds) {
  uint64_t sum = 0;
  for (uint32_t r = 0; r < rounds; r++) {
    sum = mix(sum, fibonacci(18 + r % 4));
    sum = mix(sum, ackermann(2, 60 + r % 8) + ackermann(3, 3));
  }
  return sum;
}
