/*
 * harness-native: the same bench() as a program of the build machine; its checksum is what the
 * guest must print.
 */
#include <stdio.h>

#include "bench.h"

int main(void) {
  printf("checksum %016llx\n", (unsigned long long)bench(ROUNDS));
  return 0;
}
