/* supervisor: a program of S-mode whose traps are its own: ECALL of U, breaks, illegal instructions
   and page faults delegated by the start-up code. */
#include "environment.h"

  BEGIN_SUPERVISOR

  /* Its registers. */
  csrwi sscratch, 3
  EXPECT(2, a0, 3, csrr a0, sscratch)
  EXPECT(3, a0, 3, csrrci a0, sscratch, 1)
  EXPECT(4, a0, 2, csrrsi a0, sscratch, 4)
  EXPECT(5, a0, 6, csrrwi a0, sscratch, 15)
  EXPECT(6, a0, 15, li a1, 0xbad1dea; csrrw a0, sscratch, a1)
  EXPECT(7, a0, 0xbad1dea, csrrw a0, sscratch, zero)

  /* EBREAK, long and short: sepc is its own address. */
  li s1, -1
1:
  ebreak
  EXPECT(8, s1, CAUSE_BREAKPOINT)
  la t0, 1b
  EXPECT(9, a0, 0, sub a0, s2, t0)
  li s1, -1
  .balign 4
1:
  .option rvc
  c.ebreak
  c.nop
  .option norvc
  EXPECT(10, s1, CAUSE_BREAKPOINT)
  la t0, 1b
  EXPECT(11, a0, 0, sub a0, s2, t0)
  EXPECT(12, s1, CAUSE_ILLEGAL, csrr a0, mscratch)

  /* Down to U-mode: its ECALL comes here, with SPP = U; reading sstatus is illegal there. */
  li t0, STATUS_SPP
  csrc sstatus, t0
  la t0, 1f
  csrw sepc, t0
  li s1, -1
  sret
1:
  csrr a0, sstatus
  EXPECT(13, s1, CAUSE_ILLEGAL)
  li a7, 1
  ecall
  EXPECT(14, s1, CAUSE_ECALL_U)
  EXPECT(15, a0, 0, andi a0, s3, STATUS_SPP)

  /* The handler came back in S-mode: this is legal again. */
  csrr a0, sstatus
  li NUMBER, 16
  /* wfi with nothing to wait for but what is pending. */
  csrci sstatus, STATUS_SIE
  csrsi sie, 2
  csrsi sip, 2
  wfi
  csrci sip, 2

  /* Its own floating point. */
  EXPECT(17, a0, 3, li a1, 3; fcvt.d.l fa0, a1; fcvt.l.d a0, fa0)
  j pass

  .balign 4
  .globl supervisor_handler
supervisor_handler:
  csrr s1, scause
  csrr s2, sepc
  csrr s3, sstatus
  li t5, CAUSE_ECALL_U
  bne s1, t5, 1f
  li t5, 93
  beq a7, t5, fail
  li t5, STATUS_SPP
  csrs sstatus, t5
1:
  addi t5, s2, 4
  csrw sepc, t5
  sret

  END
