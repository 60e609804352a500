/* split: misaligned accesses over two pages of which one is missing: the fault is of the part that
   is missing, mtval lies in its page, and a store changes nothing of the other. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define S STATUS_MPP_S

/* At offset `at` before the edge of pages 0 and 1: mtval is the access itself when page 0 is
   missing, the first byte of page 1 when that is. */
#define SPLIT(number, at, fault, load, store) \
  li s1, WINDOW + 4096 - (at); \
  AS_TRAPS(number, S, CAUSE_LOAD_PAGE, fault, load a0, 0(s1)) \
  AS_TRAPS(number, S, CAUSE_STORE_PAGE, fault, store a0, 0(s1))

  BEGIN_MACHINE
  USE_MODES
  PAGING_ON
  la s3, data_pages
  li s4, WINDOW + 4096
  li s5, 0x0807060504030201
  li t0, 4096
  add s6, s3, t0

  /* The second page is missing. */
  PAGE(0, data_pages, PTE_ALL)
  PAGE(1, data_pages + 4096, 0)
  sfence.vma
  sd s5, -8(s6)
  li a0, -1
  SPLIT(2, 7, s4, ld, sd)
  SPLIT(3, 4, s4, ld, sd)
  SPLIT(4, 1, s4, ld, sd)
  SPLIT(5, 3, s4, lw, sw)
  SPLIT(6, 1, s4, lwu, sw)
  SPLIT(7, 1, s4, lh, sh)
  SPLIT(8, 1, s4, lhu, sh)
  EXPECT(9, a0, -1)
  /* A store that faults on its second part has stored nothing (the whole access is tried first). */
#ifndef QEMU /* it may */
  EXPECT(10, a1, 0, ld a1, -8(s6); sub a1, a1, s5)
#endif
  li s1, WINDOW + 4096 - 5
  AS_TRAPS(11, S, CAUSE_LOAD_PAGE, s4, fld fa0, 0(s1))
  AS_TRAPS(12, S, CAUSE_STORE_PAGE, s4, fsd fa0, 0(s1))
  li s1, WINDOW + 4096 - 2
  AS_TRAPS(13, S, CAUSE_LOAD_PAGE, s4, flw fa0, 0(s1))
  AS_TRAPS(14, S, CAUSE_STORE_PAGE, s4, fsw fa0, 0(s1))

  /* The first is missing: mtval is the address itself. */
  PAGE(0, data_pages, 0)
  PAGE(1, data_pages + 4096, PTE_ALL)
  sfence.vma
  SPLIT(15, 7, s1, ld, sd)
  SPLIT(16, 1, s1, ld, sd)
  SPLIT(17, 2, s1, lw, sw)
  SPLIT(18, 1, s1, lhu, sh)
  /* Both are: the first. */
  PAGE(1, data_pages + 4096, 0)
  sfence.vma
  SPLIT(19, 3, s1, ld, sd)

  /* Readable but not writable second page: only the store faults. */
  PAGE(0, data_pages, PTE_ALL)
  PAGE(1, data_pages + 4096, PTE_V | PTE_R | PTE_A)
  sfence.vma
  li s1, WINDOW + 4096 - 4
  AS_WORKS(20, S, ld a0, 0(s1))
  AS_TRAPS(21, S, CAUSE_STORE_PAGE, s4, sd a0, 0(s1))

  /* Two pages that are not neighbours in memory, or the same one twice. */
  PAGE(1, data_pages + 3 * 4096, PTE_ALL)
  sfence.vma
  li a0, 0x1817161514131211
  AS_WORKS(22, S, sd a0, 0(s1))
  EXPECT(23, a1, 0x14131211, lwu a1, -4(s6))
  li t0, 3 * 4096
  add t0, s3, t0
  EXPECT(24, a1, 0x18171615, lwu a1, 0(t0))
  EXPECT(25, a1, 0, lwu a1, 0(s6))
  AS_WORKS(26, S, ld a2, 0(s1))
  EXPECT(27, a2, 0x1817161514131211)
  PAGE(1, data_pages, PTE_ALL)
  sfence.vma
  li a0, 0x2827262524232221
  AS_WORKS(28, S, sd a0, 0(s1))
  EXPECT(29, a1, 0x28272625, lwu a1, 0(s3))
  EXPECT(30, a1, 0x24232221, lwu a1, -4(s6))

  /* A misaligned access that stays in one page does not care. */
  PAGE(1, data_pages, 0)
  sfence.vma
  li s1, WINDOW + 4096 - 9
  AS_WORKS(31, S, ld a0, 0(s1))
  AS_WORKS(32, S, sd a0, 0(s1))

  /* A fetch whose second half is on a missing page: mtval says which, mepc where it began. */
  la s1, data_pages + 4096 - 2
  li t0, 0x0513 /* lower half of addi a0, a0, imm */
  sh t0, 0(s1)
  fence.i
  PAGE(0, data_pages, PTE_ALL)
  PAGE(1, data_pages + 4096, 0)
  sfence.vma
  li s1, WINDOW + 4096 - 2
  FETCH_TRAPS(33, S, CAUSE_FETCH_PAGE, s1, s4)
  PAGE(0, data_pages, PTE_V | PTE_R | PTE_A)
  sfence.vma
  FETCH_TRAPS(34, S, CAUSE_FETCH_PAGE, s1, s1)

  END
  MODES_HANDLER
  PAGE_TABLES
