/*
 * dispatch: small objects called through tables of function pointers, and a tree walked by a
 * callback.
 */
#include "bench.h"

typedef struct Shape Shape;
typedef struct {
  uint64_t (*area)(const Shape *);
  void (*scale)(Shape *, uint64_t);
} Methods;
struct Shape {
  const Methods *methods;
  uint64_t width, height;
};
typedef struct Node {
  struct Node *left, *right;
  uint64_t key;
} Node;

#define SHAPES 512
#define NODES 1023
static Shape shapes[SHAPES];
static Node nodes[NODES];

static uint64_t boxArea(const Shape *s) { return s->width * s->height; }
static uint64_t squareArea(const Shape *s) { return s->width * s->width; }
static uint64_t wedgeArea(const Shape *s) { return s->width * s->height / 2; }
static void boxScale(Shape *s, uint64_t by) {
  s->width = (s->width * by) & 0xffff;
  s->height ^= by;
}
static void squareScale(Shape *s, uint64_t by) { s->width = (s->width + by) & 0xffff; }
static const Methods kinds[3] = {
    {boxArea, boxScale}, {squareArea, squareScale}, {wedgeArea, boxScale}};

typedef uint64_t (*Visit)(uint64_t sum, const Node *node);
static uint64_t visitSum(uint64_t sum, const Node *node) { return sum + node->key; }
static uint64_t visitOrder(uint64_t sum, const Node *node) {
  return (sum << 1 | sum >> 63) ^ node->key;
}
static const Visit visits[2] = {visitSum, visitOrder};

static OUTLINE uint64_t walk(const Node *node, Visit visit, uint64_t sum) {
  if (!node) return sum;
  sum = walk(node->left, visit, sum);
  sum = visit(sum, node);
  return walk(node->right, visit, sum);
}

static Node *grow(uint32_t low, uint32_t high) {
  if (low >= high) return 0;
  uint32_t middle = (low + high) / 2;
  nodes[middle].key = middle * 2654435761u;
  nodes[middle].left = grow(low, middle);
  nodes[middle].right = grow(middle + 1, high);
  return &nodes[middle];
}

uint64_t bench(uint32_t rounds) {
  uint64_t seed = 29, sum = 0;
  Node *root = grow(0, NODES);
  for (uint32_t i = 0; i < SHAPES; i++) {
    shapes[i].methods = &kinds[(randomNext(&seed) >> 40) % 3];
    shapes[i].width = randomNext(&seed) >> 52;
    shapes[i].height = randomNext(&seed) >> 52;
  }
  for (uint32_t r = 0; r < rounds; r++) {
    uint64_t area = 0;
    for (uint32_t i = 0; i < SHAPES; i++) {
      Shape *shape = &shapes[i];
      area += shape->methods->area(shape);
      shape->methods->scale(shape, r | 1);
    }
    sum = mix(sum, area ^ walk(root, visits[r & 1], sum));
  }
  return sum;
}
