/* misaligned: loads and stores of every size at every offset, across words, lines and pages. */
#include "environment.h"

/* Value of `bytes` bytes at `at` where byte n holds n. */
#define RAMP2(at) ((at) | (((at) + 1) << 8))
#define RAMP4(at) (RAMP2(at) | (RAMP2((at) + 2) << 16))
#define RAMP8(at) (RAMP4(at) | (RAMP4((at) + 4) << 32))

#define LOADS(number, base, at) \
  EXPECT(number, a0, RAMP2(at), lhu a0, at(base)) \
  EXPECT(number, a0, RAMP4(at), lwu a0, at(base)) \
  EXPECT(number, a0, RAMP4(at), lw a0, at(base)) \
  EXPECT(number, a0, RAMP8(at), ld a0, at(base))

/* Stores at `at`, then reads the bytes around with aligned loads. */
#define STORES(number, base, at) \
  li t0, -1; \
  sd zero, 0(base); \
  sd zero, 8(base); \
  sh t0, at(base); \
  ld t3, 0(base); \
  EXPECT(number, t3, 0xffff << ((at) * 8)) \
  sd zero, 0(base); \
  sw t0, at(base); \
  ld t3, 0(base); \
  ld t4, 8(base); \
  EXPECT(number, t3, (0xffffffff << ((at) * 8)) & 0xffffffffffffffff) \
  EXPECT(number, t4, 0xffffffff >> (64 - (at) * 8)) \
  sd t0, at(base); \
  ld t3, 0(base); \
  ld t4, 8(base); \
  EXPECT(number, t3, (-1 << ((at) * 8))) \
  EXPECT(number, t4, ~(-1 << ((at) * 8)))

  BEGIN_USER
  la s1, ramp
  LOADS(2, s1, 1)
  LOADS(3, s1, 3)
  LOADS(4, s1, 5)
  LOADS(5, s1, 7)
  LOADS(6, s1, 61)
  LOADS(7, s1, 63)
  la s2, edge - 8
  LOADS(8, s2, 1)
  LOADS(9, s2, 2)
  LOADS(10, s2, 3)
  LOADS(11, s2, 4)
  LOADS(12, s2, 5)
  LOADS(13, s2, 6)
  LOADS(14, s2, 7)

  /* The same places once more, now that both pages are there. */
  LOADS(15, s2, 1)
  LOADS(16, s2, 7)

  la s3, blank
  STORES(20, s3, 5)
  STORES(21, s3, 6)
  STORES(22, s3, 7)
  la s3, blank_edge - 8
  STORES(23, s3, 5)
  STORES(24, s3, 6)
  STORES(25, s3, 7)

  /* First touch of two pages is one misaligned store; then one load; floating point too. */
  la s4, second_edge
  li t0, 0x1122334455667788
  sd t0, -3(s4)
  EXPECT(30, a0, 0x1122334455667788, ld a0, -3(s4))
  la s4, third_edge
  EXPECT(31, a0, 0, ld a0, -5(s4))
  la s4, fourth_edge
  fmv.d.x fa0, t0
  fsd fa0, -6(s4)
  EXPECT(32, a0, 0x1122334455667788, fld fa1, -6(s4); fmv.x.d a0, fa1)
  EXPECT(33, a0, 0x55667788, fsw fa0, -2(s4); flw fa1, -2(s4); fmv.x.w a0, fa1)

  END

  .data
  .balign 4096
ramp:
  .irp high, 0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48
  .byte \high, \high + 1, \high + 2, \high + 3, \high + 4, \high + 5, \high + 6, \high + 7
  .endr
  .balign 4096
  .space 4096 - 8
  .byte 0, 1, 2, 3, 4, 5, 6, 7
edge:
  .byte 8, 9, 10, 11, 12, 13, 14, 15
  .balign 4096
blank:
  .space 4096
blank_edge:
  .space 4096
  .space 4096
second_edge:
  .space 4096
  .space 4096
third_edge:
  .space 4096
  .space 4096
fourth_edge:
  .space 4096
