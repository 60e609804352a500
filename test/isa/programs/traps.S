/* traps: ECALL and EBREAK from every mode, delegated or not, and what a trap does to mstatus. */
#include "environment.h"
#include "modes.h"

/* EBREAK: mtval may be 0 or the address (Privileged 3.1.16). */
#define BREAKS(number, mode) \
  li NUMBER, number; \
  li s8, -1; \
7: \
  ebreak; \
  EXPECT(number, s8, CAUSE_BREAKPOINT) \
  la t2, 7b; \
  bne s10, t2, fail; \
  beqz s9, 5f; \
  bne s9, t2, fail; \
5: \
  srli t2, s7, 11; \
  andi t2, t2, 3; \
  li t3, mode; \
  bne t2, t3, fail;

  BEGIN_MACHINE
  USE_MODES
  TRAPS(2, CAUSE_ECALL_M, zero, ecall)
  BREAKS(3, 3)
  ENTER_SUPERVISOR
  TRAPS(4, CAUSE_ECALL_S, zero, ecall)
  BREAKS(5, 1)
  LEAVE
  ENTER_USER
  TRAPS(6, CAUSE_ECALL_U, zero, ecall)
  BREAKS(7, 0)
  LEAVE

  /* MIE moves to MPIE and is cleared; MRET brings it back, sets MPIE, and leaves MPP at U. */
  csrsi mstatus, STATUS_MIE
  EXPECT(8, s8, CAUSE_ECALL_M, ecall)
  EXPECT(9, a0, STATUS_MPIE, andi a0, s7, STATUS_MIE | STATUS_MPIE)
  EXPECT(10, a0, STATUS_MIE | STATUS_MPIE, csrr a0, mstatus; andi a0, a0, STATUS_MIE | STATUS_MPIE)
  EXPECT(11, a0, 0, csrr a0, mstatus; li a1, STATUS_MPP; and a0, a0, a1)
  csrci mstatus, STATUS_MIE
  EXPECT(12, s8, CAUSE_ECALL_M, ecall)
  EXPECT(13, a0, 0, andi a0, s7, STATUS_MIE | STATUS_MPIE)

  /* Delegated: S-mode takes it, with its own registers; M-mode's are untouched. */
  la t0, supervisor_trap
  csrw stvec, t0
  li t0, (1 << CAUSE_BREAKPOINT) | (1 << CAUSE_ECALL_U) | (1 << CAUSE_ILLEGAL)
  csrw medeleg, t0
  csrwi mcause, 31
  li s1, 0
  ENTER_USER
  li s8, -1
8:
  ebreak
  EXPECT(14, s1, CAUSE_BREAKPOINT)
  la t2, 8b
  EXPECT(15, s3, 0, sub s3, s3, t2)
  EXPECT(16, s4, 0, andi s4, s4, 0x122)
  EXPECT(17, s8, -1)
  EXPECT(18, s1, CAUSE_ECALL_U, li s1, 0; ecall)
  EXPECT(19, s1, CAUSE_ILLEGAL, csrr a0, sscratch)
  EXPECT(20, s1, CAUSE_ILLEGAL, li s1, 0; sret)
  EXPECT(21, s1, CAUSE_ILLEGAL, li s1, 0; mret)
  /* A break from U with nothing delegated but ECALL goes to M. */
  li a7, 93
  li a7, 0
  li s1, 0
  /* SRET in the handler came back to U: reading mstatus is illegal, and delegated. */
  EXPECT(22, s1, CAUSE_ILLEGAL, csrr a0, mstatus)
  /* The way back to M-mode is an ECALL that S passes on. */
  li a7, RETURN_TO_MACHINE
  ecall
  li a7, 0
  EXPECT(23, a0, 0, csrr a0, medeleg; andi a0, a0, 1 << CAUSE_ECALL_U)

  /* Traps in S-mode itself are delegated too; in M-mode never. */
  li s1, 0
  ENTER_SUPERVISOR
  EXPECT(24, s1, CAUSE_BREAKPOINT, ebreak)
  EXPECT(25, s4, STATUS_SPP, andi s4, s4, STATUS_SPP)
  LEAVE
  li s1, 0
  BREAKS(26, 3)
  EXPECT(27, s1, 0)

  /* SRET works in M-mode: to U, with MPRV cleared. */
  li t0, STATUS_SPP
  csrc mstatus, t0
  li t0, STATUS_MPRV | STATUS_SPIE
  csrs mstatus, t0
  csrci mstatus, STATUS_SIE
  la t0, 1f
  csrw sepc, t0
  sret
1:
  LEAVE
#ifndef QEMU /* 7.2 leaves MPRV alone */
  li t0, STATUS_MPRV
  EXPECT(28, a0, 0, and a0, s7, t0)
#endif
  EXPECT(29, a0, STATUS_SIE | STATUS_SPIE, andi a0, s7, STATUS_SIE | STATUS_SPIE | STATUS_SPP)
  EXPECT(30, s8, CAUSE_ECALL_U)

  /* MRET to M keeps MPRV, MRET to anything else clears it (Privileged 3.1.6.3). */
  li t0, STATUS_MPRV | STATUS_MPP
  csrs mstatus, t0
  la t0, 1f
  csrw mepc, t0
  mret
1:
  csrr a0, mstatus
  li t0, STATUS_MPRV
  csrc mstatus, t0
  EXPECT(31, a0, STATUS_MPRV, and a0, a0, t0)

  /* As seen from U-mode, where an MRET led with MPRV set. */
  li t0, STATUS_MPRV
  csrs mstatus, t0
  ENTER_USER
  LEAVE
  li t0, STATUS_MPRV
  csrc mstatus, t0
#ifndef QEMU /* 7.2 leaves MPRV alone */
  EXPECT(32, a0, 0, and a0, s7, t0)
#endif

  END
  MODES_HANDLER

/* Records in s1, s3 and s4; ECALL to leave for M-mode is passed on by undelegating it. */
  .balign 4
supervisor_trap:
  csrr s1, scause
  csrr s3, sepc
  csrr s4, sstatus
  li t5, RETURN_TO_MACHINE
  beq a7, t5, 1f
  addi t5, s3, 4
  csrw sepc, t5
  sret
1:
  /* S-mode's own ECALL is not delegated; the handler undoes the delegation and returns behind
     the U-mode ECALL. */
  ecall
  li t5, (1 << CAUSE_ECALL_U)
  csrc medeleg, t5
  addi t5, s3, 4
  jr t5
