/* crc: CRC-32 of a buffer, by table and bit by bit; byte loads, shifts, a table in memory. */
#include "bench.h"

#define BYTES 65536
static uint8_t buffer[BYTES];
static uint32_t table[256];

static uint32_t bitwise(uint32_t crc, uint8_t byte) {
  crc ^= byte;
  for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
  return crc;
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 7, sum = 0;
  for (uint32_t i = 0; i < 256; i++) table[i] = bitwise(i, 0);
  for (uint32_t i = 0; i < BYTES; i++) buffer[i] = (uint8_t)(randomNext(&seed) >> 32);
  for (uint32_t r = 0; r < rounds; r++) {
    uint32_t crc = 0xffffffffu ^ r, slow = r;
    for (uint32_t i = 0; i < BYTES; i++) crc = (crc >> 8) ^ table[(crc ^ buffer[i]) & 255];
    for (uint32_t i = 0; i < BYTES / 8; i++) slow = bitwise(slow, buffer[i]);
    sum = mix(sum, ((uint64_t)crc << 32) | slow);
  }
  return sum;
}
