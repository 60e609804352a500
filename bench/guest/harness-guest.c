/*
 * harness-guest: runs bench() on the bare machine, prints its checksum on the UART, powers off.
 *
 * Also holds the few functions that a freestanding compiler may call on its own.
 */
#include "bench.h"

#define UART ((volatile uint8_t *)0x10000000)
#define FINISHER ((volatile uint32_t *)0x100000)

void *memset(void *target, int value, size_t bytes) {
  uint8_t *to = target;
  for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)value;
  return target;
}

void *memcpy(void *restrict target, const void *restrict source, size_t bytes) {
  uint8_t *to = target;
  const uint8_t *from = source;
  for (size_t i = 0; i < bytes; i++) to[i] = from[i];
  return target;
}

void guestMain(void) {
  static const char digits[] = "0123456789abcdef";
  uint64_t sum = bench(ROUNDS);
  for (const char *at = "checksum "; *at; at++) *UART = (uint8_t)*at;
  for (int shift = 60; shift >= 0; shift -= 4) *UART = (uint8_t)digits[(sum >> shift) & 15];
  *UART = '\n';
  *FINISHER = 0x5555; /* power off, status 0 */
  for (;;) __asm__ volatile("wfi");
}
