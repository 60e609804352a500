/* wfi: waits for an interrupt that is enabled in mie, whether or not it will be taken. */
#include "environment.h"
#include "modes.h"

  BEGIN_MACHINE
  USE_MODES
  li s3, MSIP
  li s4, MTIMECMP
  li s5, MTIME
  li t0, -1
  sd t0, 0(s4)
  csrw mip, zero

  /* Pending and enabled, MIE off: falls through at once. */
  csrwi mie, 8
  li t0, 1
  sw t0, 0(s3)
  LEGAL(2, wfi)
  sw zero, 0(s3)

  /* The timer wakes it; nothing is taken with MIE off. */
  li t0, 0x80
  csrw mie, t0
  ld s6, 0(s5)
  li t0, 5000
  add s6, s6, t0
  sd s6, 0(s4)
  LEGAL(3, wfi)
  ld a0, 0(s5)
  li NUMBER, 4
  bltu a0, s6, fail
  EXPECT(5, a0, 0x80, csrr a0, mip)

  /* With MIE on it is taken, and mepc is behind the WFI. */
  ld s6, 0(s5)
  li t0, 5000
  add s6, s6, t0
  sd s6, 0(s4)
  la t0, timer_handler
  csrw mtvec, t0
  li s8, -1
  csrsi mstatus, STATUS_MIE
  wfi
1:
  j 2f /* QEMU looks for interrupts between its blocks */
2:
  nop
  csrci mstatus, STATUS_MIE
  USE_MODES
  EXPECT(6, s8, 0x8000000000000007)
  li NUMBER, 7
  ld a0, 0(s5)
  bltu a0, s6, fail

  /* S-mode with SIE off: an own software interrupt that is pending lets it through. */
  li t0, 0x22
  csrw mideleg, t0
  csrwi mie, 0
  ENTER_SUPERVISOR
  csrci sstatus, STATUS_SIE
  csrsi sie, 2
  csrsi sip, 2
  LEGAL(8, wfi)
  csrci sip, 2
  LEAVE

  /* TW: illegal in S-mode (Privileged 3.1.6.5: after a limit that is 0 here). */
  li s7, STATUS_TW
  csrs mstatus, s7
  ENTER_SUPERVISOR
  ILLEGAL(9, wfi)
  LEAVE
  li s7, STATUS_TW
  csrc mstatus, s7

  END
  MODES_HANDLER

  .balign 4
timer_handler:
  csrr s8, mcause
  csrr s10, mepc
  li t5, -1
  sd t5, 0(s4)
  mret
