/*
 * work-body: what work.S calls: sorting, a CRC, floating point, text, a tree of pointers. Each
 * function gives 0 when all is well, or for the CRC the published check value of "123456789".
 */
typedef unsigned long word;
typedef unsigned int u32;

#define COUNT 4096

static u32 numbers[COUNT];
static u32 state = 12345;

static u32 draw(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static void sort(u32 *from, u32 *to) {
  while (to - from > 1) {
    u32 pivot = from[(to - from) / 2];
    u32 *left = from, *right = to - 1;
    while (left <= right) {
      while (*left < pivot) left++;
      while (*right > pivot) right--;
      if (left <= right) {
        u32 kept = *left;
        *left++ = *right;
        *right-- = kept;
      }
    }
    sort(from, right + 1);
    from = left;
  }
}

word work_sort(void) {
  word sum = 0, after = 0;
  for (int at = 0; at < COUNT; at++) sum += numbers[at] = draw();
  sort(numbers, numbers + COUNT);
  for (int at = 0; at < COUNT; at++) {
    after += numbers[at];
    if (at > 0 && numbers[at - 1] > numbers[at]) return 1;
  }
  return sum - after;
}

word work_checksum(void) {
  static const char text[] = "123456789";
  u32 crc = -1u;
  for (const char *at = text; *at; at++) {
    crc ^= (unsigned char)*at;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return (word)~crc;
}

static double matrix[3][24][24];

/* A rotation times its transpose is the identity, to rounding. */
word work_matrix(void) {
  for (int row = 0; row < 24; row++)
    for (int column = 0; column < 24; column++)
      matrix[0][row][column] = row == column ? 1.0 : 0.0;
  for (int step = 0; step < 23; step++) {
    double cosine = 0.8, sine = 0.6;
    for (int column = 0; column < 24; column++) {
      double top = matrix[0][step][column], low = matrix[0][step + 1][column];
      matrix[0][step][column] = cosine * top - sine * low;
      matrix[0][step + 1][column] = sine * top + cosine * low;
    }
  }
  for (int row = 0; row < 24; row++)
    for (int column = 0; column < 24; column++) {
      double sum = 0;
      for (int k = 0; k < 24; k++) sum += matrix[0][row][k] * matrix[0][column][k];
      double error = sum - (row == column ? 1.0 : 0.0);
      if (error > 1e-12 || error < -1e-12) return 1;
    }
  return 0;
}

static char text[3 * 4096];

word work_text(void) {
  char *at = text;
  for (int number = 0; number < 1500; number++) {
    char digits[8];
    int count = 0;
    int rest = number;
    do digits[count++] = '0' + rest % 10;
    while (rest /= 10);
    while (count) *at++ = digits[--count];
    *at++ = ' ';
  }
  word sum = 0, value = 0;
  for (const char *read = text; read < at; read++) {
    if (*read == ' ') {
      sum += value;
      value = 0;
    } else {
      value = value * 10 + (*read - '0');
    }
  }
  return sum - 1500 * 1499 / 2;
}

struct node {
  struct node *left, *right;
  u32 key, count;
};
static struct node nodes[900];

word work_tree(void) {
  struct node *root = 0;
  int used = 0;
  for (int round = 0; round < 2000; round++) {
    u32 key = draw() % 800;
    struct node **place = &root;
    while (*place && (*place)->key != key)
      place = key < (*place)->key ? &(*place)->left : &(*place)->right;
    if (!*place) {
      nodes[used].key = key;
      *place = &nodes[used++];
    }
    (*place)->count++;
  }
  word total = 0;
  for (int at = 0; at < used; at++) {
    const struct node *node = &nodes[at];
    if (node->left && node->left->key >= node->key) return 1;
    if (node->right && node->right->key <= node->key) return 2;
    total += node->count;
  }
  return total - 2000;
}
