/* alias: one frame behind two addresses, one address before two frames, and two roots: the right
   code and data every time. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define S STATUS_MPP_S
/* Calls the code at `address` in S-mode; it ends with an ECALL that comes back. */
#define RUN(address) \
  li a7, RETURN_TO_MACHINE; \
  li t0, address; \
  csrw mepc, t0; \
  li t0, STATUS_MPP; \
  csrc mstatus, t0; \
  li t0, S; \
  csrs mstatus, t0; \
  la s11, 5f; \
  la t0, come_back; \
  csrw mtvec, t0; \
  mret; \
  .balign 4; \
5: \
  la t0, machine_handler; \
  csrw mtvec, t0; \
  li a7, 0;

  BEGIN_MACHINE
  USE_MODES
  PAGING_ON

  /* Two addresses, one frame of code; then one address, two frames, swapped. */
  PAGE(0, code_one, PTE_ALL)
  PAGE(1, code_one, PTE_ALL)
  PAGE(2, code_two, PTE_ALL)
  sfence.vma
  RUN(WINDOW)
  EXPECT(2, a0, 1)
  RUN(WINDOW + 4096)
  EXPECT(3, a0, 1)
  RUN(WINDOW + 2 * 4096)
  EXPECT(4, a0, 2)
  PAGE(0, code_two, PTE_ALL)
  PAGE(2, code_one, PTE_ALL)
  sfence.vma
  RUN(WINDOW)
  EXPECT(5, a0, 2)
  RUN(WINDOW + 2 * 4096)
  EXPECT(6, a0, 1)

  /* Code changed through one alias, run through another. */
  li s1, WINDOW + 4096
  li a0, 0x00700513 /* li a0, 7 */
  AS_WORKS(7, S, sw a0, 0(s1))
  fence.i
  RUN(WINDOW + 2 * 4096)
  EXPECT(8, a0, 7)
  /* Changed through its physical address. */
  la s2, code_one
  li a0, 0x00800513
  sw a0, 0(s2)
  fence.i
  RUN(WINDOW + 4096)
  EXPECT(9, a0, 8)

  /* Data through aliases: a store by one is what the other loads, at once. */
  PAGE(3, data_pages, PTE_ALL)
  PAGE(4, data_pages, PTE_ALL)
  sfence.vma
  li s1, WINDOW + 3 * 4096
  li s2, WINDOW + 4 * 4096
  li a0, 0x1234
  AS_WORKS(10, S, sd a0, 16(s1))
  AS_WORKS(11, S, ld a1, 16(s2))
  EXPECT(12, a1, 0x1234)

  /* A table that is itself mapped: a new entry stored through the window is used after a fence. */
  PAGE(5, leaf, PTE_ALL)
  sfence.vma
  la t0, data_pages + 4096
  srli a0, t0, 2
  ori a0, a0, PTE_ALL
  li s1, WINDOW + 5 * 4096
  AS_WORKS(13, S, sd a0, 4 * 8(s1))
  sfence.vma
  AS_WORKS(14, S, ld a1, 16(s2))
  EXPECT(15, a1, 0)
  la t0, data_pages
  srli a0, t0, 2
  ori a0, a0, PTE_ALL
  AS_WORKS(16, S, sd a0, 4 * 8(s1))
  li t0, WINDOW + 4 * 4096
  sfence.vma t0
  AS_WORKS(17, S, ld a1, 16(s2))
  EXPECT(18, a1, 0x1234)

  /* Another root: the same addresses lead elsewhere; and back again. */
  ENTRY(other_root, 0, other_middle, PTE_V)
  ENTRY(other_middle, 8, other_leaf, PTE_V)
  ENTRY(other_leaf, 0, code_two, PTE_ALL)
  ENTRY(other_leaf, 32, data_pages + 2 * 4096, PTE_ALL)
  csrr s3, satp
  la t0, other_root
  srli t0, t0, 12
  li t1, SATP_SV39
  or s4, t0, t1
  PAGE(0, code_one, PTE_ALL)
  csrw satp, s4
  sfence.vma
  RUN(WINDOW)
  EXPECT(19, a0, 2)
  AS_WORKS(20, S, ld a1, 16(s2))
  EXPECT(21, a1, 0)
  csrw satp, s3
  sfence.vma
  RUN(WINDOW)
  EXPECT(22, a0, 8)
  AS_WORKS(23, S, ld a1, 16(s2))
  EXPECT(24, a1, 0x1234)

  END
  MODES_HANDLER
  .balign 4
come_back:
  li t5, STATUS_MPP
  csrs mstatus, t5
  csrw mepc, s11
  mret
  PAGE_TABLES
  .balign 4096
code_one:
  li a0, 1
  ecall
  .balign 4096
code_two:
  li a0, 2
  ecall
  .balign 4096
other_root:
  .zero 4096
other_middle:
  .zero 4096
other_leaf:
  .zero 4096
