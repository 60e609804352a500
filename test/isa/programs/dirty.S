/* dirty: Svade. Without A, and for stores without D, an access faults; the entry stays as it is.
   Here only: QEMU 7.2 always sets both bits. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define S STATUS_MPP_S
#define UNCHANGED(number, flags) \
  la t1, leaf; \
  ld a0, 0(t1); \
  EXPECT(number, a0, flags, andi a0, a0, 0xff)

  BEGIN_MACHINE
  USE_MODES
  PAGING_ON
  li s1, WINDOW

#define RWXV (PTE_V | PTE_R | PTE_W | PTE_X)
  PAGE(0, data_pages, RWXV)
  sfence.vma
  AS_TRAPS(2, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  AS_TRAPS(3, S, CAUSE_STORE_PAGE, s1, sd a0, 0(s1))
  FETCH_TRAPS(4, S, CAUSE_FETCH_PAGE, s1, s1)
  UNCHANGED(5, RWXV)
  PAGE(0, data_pages, RWXV | PTE_A)
  sfence.vma
  AS_WORKS(6, S, ld a0, 0(s1))
  AS_TRAPS(7, S, CAUSE_STORE_PAGE, s1, sd a0, 0(s1))
  AS_TRAPS(8, S, CAUSE_STORE_PAGE, s1, amoor.w a0, zero, (s1))
  UNCHANGED(9, RWXV | PTE_A)
  PAGE(0, data_pages, RWXV | PTE_A | PTE_D)
  sfence.vma
  AS_WORKS(10, S, sd a0, 0(s1))
  AS_WORKS(11, S, amoor.w a0, zero, (s1))
  /* Taken away again: the next store faults again. */
  PAGE(0, data_pages, RWXV | PTE_A)
  sfence.vma
  AS_TRAPS(12, S, CAUSE_STORE_PAGE, s1, sd a0, 0(s1))
  /* A misaligned store needs D on both pages. */
  PAGE(0, data_pages, RWXV | PTE_A | PTE_D)
  PAGE(1, data_pages + 4096, RWXV | PTE_A)
  sfence.vma
  li s1, WINDOW + 4096 - 4
  li s2, WINDOW + 4096
  AS_TRAPS(13, S, CAUSE_STORE_PAGE, s2, sd a0, 0(s1))
  AS_WORKS(14, S, ld a0, 0(s1))

  END
  MODES_HANDLER
  PAGE_TABLES
