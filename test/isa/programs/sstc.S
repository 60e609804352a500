/* sstc: the supervisor's own timer compare: gated by menvcfg.STCE and mcounteren.TM, and STIP is
   then the comparison itself. Here only: QEMU's spike machine has no time for it. */
#include "environment.h"
#include "modes.h"

#define STIP 0x20
#define STCE (1 << 63)
#define STIMECMP 0x14d

  BEGIN_MACHINE
  USE_MODES
  la t0, supervisor_trap
  csrw stvec, t0
  li t0, STIP
  csrw mideleg, t0
  csrw mie, t0
  csrw mip, zero
  li s5, MTIME

  /* Without STCE: illegal in S-mode, and STIP is a bit that M-mode writes. */
  ENTER_SUPERVISOR
  ILLEGAL(2, csrr a0, STIMECMP)
  ILLEGAL(3, csrw STIMECMP, zero)
  LEAVE
  li t0, STIP
  csrs mip, t0
  EXPECT(4, a0, STIP, csrr a0, mip; andi a0, a0, STIP)
  csrw mip, zero

  /* With STCE but without TM: still illegal. */
  li t0, STCE
  csrs menvcfg, t0
  EXPECT(5, a0, 1, csrr a0, menvcfg; srli a0, a0, 63)
  ENTER_SUPERVISOR
  ILLEGAL(6, csrw STIMECMP, zero)
  LEAVE
  li t0, 2
  csrw mcounteren, t0
  li t0, -1
  csrw STIMECMP, t0
  EXPECT(7, a0, 0, csrr a0, mip; andi a0, a0, STIP)
  /* STIP cannot be written any more: it is time >= stimecmp. */
  li t0, STIP
  csrs mip, t0
  EXPECT(8, a0, 0, csrr a0, mip; andi a0, a0, STIP)
  csrw STIMECMP, zero
  EXPECT(9, a0, STIP, csrr a0, mip; andi a0, a0, STIP)
  csrc mip, t0
  EXPECT(10, a0, STIP, csrr a0, mip; andi a0, a0, STIP)

  /* S-mode: sets a time ahead, sleeps, is woken by its own interrupt. */
  li t0, -1
  csrw STIMECMP, t0
  ENTER_SUPERVISOR
  EXPECT(11, a0, 0, csrr a0, sip)
  li s1, 0
  csrr s6, time
  li t0, 3000
  add s6, s6, t0
  csrw STIMECMP, s6
  csrsi sstatus, STATUS_SIE
1:
  wfi
  beqz s1, 1b
  EXPECT(12, s1, 0x8000000000000005)
  csrr a0, time
  li NUMBER, 13
  bltu a0, s6, fail
  csrci sstatus, STATUS_SIE
  LEAVE

  /* U-mode is interrupted whatever SIE says; the machine timer is not disturbed. */
  li s1, 0
  li t0, STATUS_SIE
  csrc mstatus, t0
  csrr s6, time
  addi s6, s6, 100
  csrw STIMECMP, s6
  ENTER_USER
  li t1, 20000
1:
  addi t1, t1, -1
  bnez s1, 2f
  bnez t1, 1b
2:
  LEAVE
  EXPECT(14, s1, 0x8000000000000005)
  EXPECT(15, a0, 0, csrr a0, mip; andi a0, a0, STIP)

  END
  MODES_HANDLER

  .balign 4
supervisor_trap:
  csrr s1, scause
  li t5, -1
  csrw STIMECMP, t5
  sret
