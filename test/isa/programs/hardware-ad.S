/* hardware-ad: Svadu. With menvcfg.ADUE the walk sets A, and D for stores, and nothing else. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define S STATUS_MPP_S
#define FLAGS_ARE(number, n, flags) \
  la t1, leaf; \
  ld a0, (n) * 8(t1); \
  EXPECT(number, a0, flags, andi a0, a0, 0xff)

  BEGIN_MACHINE
  USE_MODES
  PAGING_ON
  li s5, 1 << 61
#ifndef QEMU /* 7.2 always sets them and has no such bit */
  csrs menvcfg, s5
  EXPECT(2, a0, 0, csrr a0, menvcfg; and a0, a0, s5; sub a0, a0, s5)
#endif

#define RWXV (PTE_V | PTE_R | PTE_W | PTE_X)
  li s1, WINDOW
  PAGE(0, data_pages, RWXV)
  sfence.vma
  AS_WORKS(3, S, ld a0, 0(s1))
  FLAGS_ARE(4, 0, RWXV | PTE_A)
  AS_WORKS(5, S, sd a0, 0(s1))
  FLAGS_ARE(6, 0, RWXV | PTE_A | PTE_D)
  /* D at once by a store. */
  PAGE(0, data_pages, RWXV)
  sfence.vma
  AS_WORKS(7, S, sb a0, 0(s1))
  FLAGS_ARE(8, 0, RWXV | PTE_A | PTE_D)
  /* A failed access sets nothing. */
  PAGE(0, data_pages, PTE_V | PTE_R)
  sfence.vma
  AS_TRAPS(9, S, CAUSE_STORE_PAGE, s1, sd a0, 0(s1))
  FLAGS_ARE(10, 0, PTE_V | PTE_R)
  PAGE(0, data_pages, RWXV | PTE_U)
  sfence.vma
  AS_TRAPS(11, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  FLAGS_ARE(12, 0, RWXV | PTE_U)
  /* Both pages of a misaligned store. */
  PAGE(0, data_pages, RWXV)
  PAGE(1, data_pages + 4096, RWXV)
  sfence.vma
  li s1, WINDOW + 4096 - 3
  AS_WORKS(13, S, sd a0, 0(s1))
  FLAGS_ARE(14, 0, RWXV | PTE_A | PTE_D)
  FLAGS_ARE(15, 1, RWXV | PTE_A | PTE_D)
  /* Only the leaf: pointers stay pointers. */
  la t1, middle
  ld a0, 8(t1)
  EXPECT(16, a0, PTE_V, andi a0, a0, 0xff)
  /* Cleared by software, set again by the next access, without a fence in between too, since a
     store to a table is seen at once here. */
  PAGE(0, data_pages, RWXV | PTE_A)
#ifdef QEMU
  sfence.vma
#endif
  li s1, WINDOW
  AS_WORKS(17, S, sd a0, 0(s1))
  FLAGS_ARE(18, 0, RWXV | PTE_A | PTE_D)
#ifndef QEMU
  /* Switched off: faults again. */
  csrc menvcfg, s5
  PAGE(0, data_pages, RWXV)
  sfence.vma
  AS_TRAPS(19, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  FLAGS_ARE(20, 0, RWXV)
#endif

  END
  MODES_HANDLER
  PAGE_TABLES
