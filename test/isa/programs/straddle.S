/* straddle: instructions that begin on one page and end on the next, on pages touched for the first
   time in the middle of an instruction; long and short ones mixed. */
#include "environment.h"

  BEGIN_USER
  li a0, 0
  jal ra, first
  EXPECT(2, a0, 4)
  li a0, 0
  jal ra, second
  EXPECT(3, a0, 6)
  li s1, 50
  li a0, 0
1:
  jal ra, first
  jal ra, second
  addi s1, s1, -1
  bnez s1, 1b
  EXPECT(4, a0, 500)

  /* A compressed instruction last on its page falls through to the next one. */
  li a0, 0
  jal ra, third
  EXPECT(5, a0, 3)

  /* A loop whose backward branch itself straddles. */
  li a0, 0
  li a1, 10
  jal ra, fourth
  EXPECT(6, a0, 10)
  /* Entered in the middle: the upper half of a straddling instruction is code at the page start. */
  li a0, 0
  la t0, fifth_inside
  jalr ra, t0
  EXPECT(7, a0, 5)
  EXPECT(8, a1, 0x05151000, la t0, fifth; jalr ra, t0)
  j pass

  .balign 4096
  .space 4096 - 2
first:
  .option norvc
  addi a0, a0, 4
  .option rvc
  c.jr ra

  .balign 4096
  .space 4096 - 4
second:
  c.addi a0, 1
  .option norvc
  addi a0, a0, 5
  ret

  .balign 4096
  .space 4096 - 2
third:
  .option rvc
  c.addi a0, 1
  c.addi a0, 2
  c.jr ra

  .balign 4096
  .space 4096 - 6
fourth:
  c.addi a0, 1
  c.addi a1, -1
  .option norvc
  bnez a1, fourth
  ret

  .balign 4096
  .space 4096 - 2
  /* lui a1, 0x0515x: its upper half is c.addi a0, 5. */
fifth:
  .half 0x15b7
fifth_inside:
  .half 0x0515
  .option rvc
  c.jr ra
  .option norvc

  END
