/* fence-i: code that is changed and then run; old code may never be seen after FENCE.I. */
#include "environment.h"

/* Overwrites the word at `label` with the word at `source` and makes it visible to fetches. */
#define PATCH(label, source) \
  la t0, source; \
  lwu t1, 0(t0); \
  la t0, label; \
  sw t1, 0(t0); \
  fence.i;

  BEGIN_USER
  .option norvc

  /* The next instruction, already decoded in a first round. */
  li s1, 2
  li a0, 0
again:
  PATCH(next, add_five)
next:
  addi a0, a0, 1
  addi s1, s1, -1
  bnez s1, again
  EXPECT(2, a0, 10)

  /* A function called, patched, called again, many times over. */
  li a0, 0
  li s1, 100
  la s2, counter
many:
  jal ra, counter
  lwu t1, 0(s2)
  li t2, 1 << 20
  addw t1, t1, t2
  sw t1, 0(s2)
  fence.i
  addi s1, s1, -1
  bnez s1, many
  EXPECT(3, a0, 5050)

  /* Half an instruction, by a halfword store. */
  li a0, 0
  jal ra, halved
  la t0, halved
  li t1, 0x7ff5
  sh t1, 2(t0)
  fence.i
  jal ra, halved
  EXPECT(4, a0, 3 + 0x7ff)

  /* One byte of it. */
  li a0, 0
  jal ra, bytewise
  la t0, bytewise
  li t1, 0x01
  sb t1, 3(t0)
  fence.i
  jal ra, bytewise
  EXPECT(5, a0, 2 + 18)

  /* A 4-byte instruction across a page boundary, each half changed alone. */
  li a0, 0
  jal ra, across
  la t0, straddling
  lhu t1, 2(t0)
  addi t1, t1, 0x10
  sh t1, 2(t0)
  fence.i
  jal ra, across
  EXPECT(6, a0, 7 + 8)
  la t0, straddling
  li t1, 0x0593 /* lower half of addi a1, x0 */
  sh t1, 0(t0)
  fence.i
  li a1, 0
  jal ra, across
  EXPECT(7, a0, 15)
  /* The upper half still names a0 as source and 8 as immediate. */
  EXPECT(8, a1, 23)

  /* One misaligned store over two instructions on two pages. */
  la t0, straddling
  li t1, 0x0085051300850513 /* addi a0, a0, 8, twice */
  sd t1, 0(t0)
  li a0, 0
  fence.i
  jal ra, across
  EXPECT(9, a0, 16)

  /* Code copied to data and run there, then replaced in place. */
  la s2, scratch
  la t0, counter
  ld t1, 0(t0)
  li t1, 0x0000806700150513 /* addi a0, a0, 1; ret */
  sd t1, 0(s2)
  fence.i
  li a0, 0
  jalr ra, s2
  li t1, 0x0000806700250513
  sd t1, 0(s2)
  fence.i
  jalr ra, s2
  EXPECT(10, a0, 3)

  /* An AMO and a store-conditional are stores too. */
  li t1, 1 << 20
  amoadd.w zero, t1, (s2)
  fence.i
  li a0, 0
  jalr ra, s2
  EXPECT(11, a0, 3)
1:
  lr.w t1, (s2)
  li t2, 1 << 20
  addw t1, t1, t2
  sc.w t3, t1, (s2)
  bnez t3, 1b
  fence.i
  li a0, 0
  jalr ra, s2
  EXPECT(12, a0, 4)
  j pass

add_five:
  addi a0, a0, 5

  .balign 8
counter:
  addi a0, a0, 1
  ret
halved:
  addi a0, a0, 3
  ret
bytewise:
  addi a0, a0, 2
  ret

  .balign 4096
  .space 4096 - 2
across:
straddling:
  .half 0x0513, 0x0075 /* addi a0, a0, 7 */
  .half 0x0001, 0x0001
  .half 0x8082, 0x0001

  END

  .data
  .balign 4096
scratch:
  .dword 0, 0
