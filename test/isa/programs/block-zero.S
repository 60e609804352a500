/* block-zero: Zicboz: cbo.zero clears its aligned 64 bytes, is gated by menvcfg and senvcfg, and
   faults as a store does. Here only: QEMU 7.2 has none. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define S STATUS_MPP_S
#define CBZE 0x80
#define CBO_ZERO_S1 .word 0x0044a00f /* cbo.zero (s1) */

  BEGIN_MACHINE
  USE_MODES
  csrw menvcfg, zero
  csrw senvcfg, zero
  la s1, data_pages

  /* M-mode always may. */
  li t0, -1
  .irp at, 0, 56, 64, 120, 128
  sd t0, \at(s1)
  .endr
  addi s1, s1, 64 + 17
  LEGAL(2, CBO_ZERO_S1)
  la s1, data_pages
  EXPECT(3, a0, -1, ld a0, 56(s1))
  EXPECT(4, a0, 0, ld a0, 64(s1))
  EXPECT(5, a0, 0, ld a0, 120(s1))
  EXPECT(6, a0, -1, ld a0, 128(s1))

  /* S and U only with the gates open. */
  ENTER_SUPERVISOR
  ILLEGAL(7, CBO_ZERO_S1)
  LEAVE
  li t0, CBZE
  csrw menvcfg, t0
  ENTER_SUPERVISOR
  LEGAL(8, CBO_ZERO_S1)
  LEAVE
  ENTER_USER
  ILLEGAL(9, CBO_ZERO_S1)
  LEAVE
  li t0, CBZE
  csrw senvcfg, t0
  ENTER_USER
  LEGAL(10, CBO_ZERO_S1)
  LEAVE
  csrw menvcfg, zero
  ENTER_USER
  ILLEGAL(11, CBO_ZERO_S1)
  LEAVE
  li t0, CBZE
  csrw menvcfg, t0

  /* Faults are a store's, with the address as given. */
  li s1, 0x40000010
  TRAPS(12, CAUSE_STORE_ACCESS, s1, CBO_ZERO_S1)
  PAGING_ON
  PAGE(0, data_pages, PTE_V | PTE_R | PTE_A)
  sfence.vma
  li s1, WINDOW + 24
  AS_TRAPS(13, S, CAUSE_STORE_PAGE, s1, CBO_ZERO_S1)
  PAGE(0, data_pages, PTE_ALL)
  sfence.vma
  AS_WORKS(14, S, CBO_ZERO_S1)
  /* The last block of a page stays in it. */
  PAGE(1, data_pages, 0)
  sfence.vma
  li s1, WINDOW + 4095
  AS_WORKS(15, S, CBO_ZERO_S1)

  /* It is a store for code, too. */
  la s1, routine
  jalr ra, s1
  EXPECT(16, a0, 5)
  LEGAL(17, CBO_ZERO_S1)
  fence.i
  li s8, -1
  la t0, caught
  csrw mtvec, t0
  jr s1
  .balign 4
caught:
  EXPECT(18, a0, CAUSE_ILLEGAL, csrr a0, mcause)
  EXPECT(19, a0, 0, csrr a0, mepc; sub a0, a0, s1)
  USE_MODES

  END
  MODES_HANDLER
  .balign 64
routine:
  li a0, 5
  ret
  .balign 64
  PAGE_TABLES
