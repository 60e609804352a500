/* reservations: what LR and SC promise one hart, and AMOs on pages that come in on demand. */
#include "environment.h"

  BEGIN_USER
  la s1, cell

  /* SC without LR fails and stores nothing. */
  li t0, 7
  EXPECT(2, a0, 1, sc.w a0, t0, (s1))
  EXPECT(3, a0, 0, ld a0, 0(s1))

  /* A far SC fails, and takes the reservation with it. */
  la s2, other
  EXPECT(4, a0, 1, lr.w a1, (s1); sc.w a0, t0, (s2))
  EXPECT(5, a0, 1, sc.w a0, t0, (s1))
  EXPECT(6, a0, 0, ld a0, 0(s1))

  /* The guaranteed loop ends: 1000 increments. */
  li s3, 1000
1:
  lr.w t1, (s1)
  addiw t1, t1, 1
  sc.w t2, t1, (s1)
  bnez t2, 1b
  addi s3, s3, -1
  bnez s3, 1b
  EXPECT(7, a0, 1000, lw a0, 0(s1))

  /* An own AMO and an own store between are not promised to break it, but what is stored must be
     what SC says. */
  lr.d t1, (s1)
  li t2, 5
  sd t2, 0(s1)
  li t3, 6
  sc.d a0, t3, (s1)
  ld a1, 0(s1)
  bnez a0, 2f
  EXPECT(8, a1, 6)
  j 3f
2:
  EXPECT(9, a1, 5)
3:

  /* First touch of a page by SC after LR elsewhere: fails, no fault needed. First touch by LR. */
  la s4, fresh_page
  EXPECT(10, a0, 0, lr.d a0, (s4); sc.d a0, a0, (s4))
  la s4, fresh_page2
  li t0, 0x123456789abcdef0
  EXPECT(11, a0, 0, amoswap.d a0, t0, (s4))
  EXPECT(12, a0, 0x123456789abcdef0, ld a0, 0(s4))
  la s4, fresh_page3
  EXPECT(13, a0, -3, li a1, -3; amomin.w a0, a1, (s4); lw a0, 0(s4))
  EXPECT(14, a0, -3, li a1, 9; amomaxu.w a0, a1, (s4))
  EXPECT(15, a0, 0xfffffffd, lwu a0, 0(s4))

  END

  .data
  .balign 4096
cell:
  .dword 0
  .balign 1024
other:
  .dword 0
  .balign 4096
fresh_page:
  .dword 0
  .balign 4096
fresh_page2:
  .dword 0
  .balign 4096
fresh_page3:
  .dword 0
