/*
 * spectral: power iteration with the matrix 1 / ((i + j)(i + j + 1) / 2 + i + 1); one division per
 * element.
 */
#include "bench.h"

#define SIDE 100
static double vector[SIDE], image[SIDE];

static inline double element(int i, int j) {
  return 1.0 / (double)((i + j) * (i + j + 1) / 2 + i + 1);
}

static OUTLINE void forward(const double *from, double *to) {
  for (int i = 0; i < SIDE; i++) {
    double sum = 0;
    for (int j = 0; j < SIDE; j++) sum += element(i, j) * from[j];
    to[i] = sum;
  }
}

static OUTLINE void backward(const double *from, double *to) {
  for (int i = 0; i < SIDE; i++) {
    double sum = 0;
    for (int j = 0; j < SIDE; j++) sum += element(j, i) * from[j];
    to[i] = sum;
  }
}

uint64_t bench(uint32_t rounds) {
  uint64_t sum = 0;
  for (int i = 0; i < SIDE; i++) vector[i] = 1.0;
  for (uint32_t r = 0; r < rounds; r++) {
    forward(vector, image);
    backward(image, vector);
    double norm = 0;
    for (int i = 0; i < SIDE; i++) norm += vector[i] * vector[i];
    norm = 1.0 / __builtin_sqrt(norm);
    for (int i = 0; i < SIDE; i++) vector[i] *= norm;
    sum = mix(sum, bitsOf(norm));
  }
  return mix(sum, bitsOf(vector[SIDE - 1]));
}
