/*
 * sort: heap sort, then insertion sort of an almost sorted copy; compares that a predictor cannot
 * learn.
 */
#include "bench.h"

#define COUNT 20000
static uint64_t values[COUNT];

static void sift(uint32_t at, uint32_t count) {
  uint64_t value = values[at];
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && values[child + 1] > values[child]) child++;
    if (values[child] <= value) break;
    values[at] = values[child];
    at = child;
  }
  values[at] = value;
}

static OUTLINE void heapSort(uint32_t count) {
  for (uint32_t i = count / 2; i-- > 0;) sift(i, count);
  for (uint32_t last = count - 1; last > 0; last--) {
    uint64_t top = values[0];
    values[0] = values[last];
    values[last] = top;
    sift(0, last);
  }
}

static OUTLINE void insertionSort(uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    uint64_t value = values[i];
    uint32_t at = i;
    for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
    values[at] = value;
  }
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 17, sum = 0;
  for (uint32_t r = 0; r < rounds; r++) {
    for (uint32_t i = 0; i < COUNT; i++) values[i] = randomNext(&seed) >> 20;
    heapSort(COUNT);
    for (uint32_t i = 8; i < COUNT; i += 8) {
      uint64_t value = values[i];
      values[i] = values[i - 7];
      values[i - 7] = value;
    }
    insertionSort(COUNT);
    for (uint32_t i = 0; i < COUNT; i += 97) sum = mix(sum, values[i]);
  }
  return sum;
}
