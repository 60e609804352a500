/* ma-fetch: with compressed instructions every even address is a good target; the lowest bit of a
   register jump is dropped. */
#include "environment.h"
#include "modes.h"

  BEGIN_MACHINE
  USE_MODES

  /* misa.C may be writable; it is not here, and clearing it changes nothing. */
  csrci misa, 4
  EXPECT(2, a0, 4, csrr a0, misa; andi a0, a0, 4)

  /* jalr to a halfword, with and without the lowest bit. */
  li s1, 0
  la t0, 1f
  jalr t1, t0, 2
1:
  .option rvc
  c.j 2f
  c.j 3f
  .option norvc
2:
  j fail
3:
  EXPECT(3, a0, 0, la t0, 1b; sub a0, t1, t0)
  la t0, 1f
  jalr t1, t0, 3
1:
  .option rvc
  c.j 2f
  c.j 3f
  .option norvc
2:
  j fail
3:
  EXPECT(4, s1, 0)

  /* Jump and branch to a halfword. */
  li NUMBER, 5
  j 1f
  .half 0
1:
  .option rvc
  c.nop
  .option norvc
  li NUMBER, 6
  beqz zero, 1f
  .half 0
1:
  .option rvc
  c.nop
  .option norvc

  /* mepc drops the lowest bit; MRET to a halfword. */
  la t0, 1f
#ifndef QEMU /* 7.2 keeps the bit */
  addi t0, t0, 1
#endif
  csrw mepc, t0
  li t1, STATUS_MPP
  csrs mstatus, t1
  li NUMBER, 7
  mret
  .half 0
1:
  .option rvc
  c.nop
  .option norvc

  /* A 4-byte illegal instruction at a halfword: mepc says where. */
  li NUMBER, 8
  li s8, -1
  .option rvc
  c.nop
1:
  .half 0xffff, 0xffff
  c.nop
  .option norvc
  EXPECT(9, s8, CAUSE_ILLEGAL)
  la t0, 1b
  EXPECT(10, a0, 0, sub a0, s10, t0)
  EXPECT(11, s9, 0xffffffff)

  END
  MODES_HANDLER
