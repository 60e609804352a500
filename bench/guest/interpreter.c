/*
 * interpreter: a small register machine run by one switch; an indirect jump for every few
 * instructions.
 */
#include "bench.h"

enum { ADD, SUB, XOR, SHIFT, LOAD, STORE, LESS, JUMP, LOOP, HALT };

static uint8_t code[64][4];
static uint64_t cells[256];

static OUTLINE uint64_t execute(uint64_t seed, uint32_t limit) {
  uint64_t r[8] = {seed, 1, 2, 3, 5, 7, 11, limit};
  for (uint32_t at = 0;;) {
    const uint8_t *op = code[at++];
    switch (op[0]) {
      case ADD: r[op[1]] = r[op[2]] + r[op[3]]; break;
      case SUB: r[op[1]] = r[op[2]] - r[op[3]]; break;
      case XOR: r[op[1]] = r[op[2]] ^ r[op[3]]; break;
      case SHIFT: r[op[1]] = (r[op[2]] << op[3]) | (r[op[2]] >> (64 - op[3])); break;
      case LOAD: r[op[1]] = cells[(r[op[2]] + op[3]) & 255]; break;
      case STORE: cells[(r[op[2]] + op[3]) & 255] = r[op[1]]; break;
      case LESS: if (r[op[1]] < r[op[2]]) at += op[3]; break;
      case JUMP: at = op[1]; break;
      case LOOP: if (--r[op[1]] != 0) at = op[2]; break;
      default: return r[0] ^ r[1] ^ r[2];
    }
  }
}

static void emit(uint32_t at, uint8_t op, uint8_t a, uint8_t b, uint8_t c) {
  code[at][0] = op, code[at][1] = a, code[at][2] = b, code[at][3] = c;
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 19, sum = 0;
  for (uint32_t i = 0; i < 256; i++) cells[i] = randomNext(&seed);
  emit(0, ADD, 0, 0, 1);
  emit(1, SHIFT, 1, 0, 13);
  emit(2, LOAD, 2, 1, 3);
  emit(3, XOR, 0, 0, 2);
  emit(4, LESS, 0, 1, 2);
  emit(5, SUB, 3, 0, 4);
  emit(6, JUMP, 9, 0, 0);
  emit(7, XOR, 3, 3, 1);
  emit(8, SHIFT, 4, 3, 7);
  emit(9, STORE, 3, 0, 1);
  emit(10, LESS, 2, 3, 1);
  emit(11, ADD, 5, 5, 3);
  emit(12, LOOP, 7, 0, 0);
  emit(13, HALT, 0, 0, 0);
  for (uint32_t r = 0; r < rounds; r++) sum = mix(sum, execute(sum + r, 10000));
  return sum;
}
