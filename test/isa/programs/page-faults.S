/* page-faults: every reason for which a walk fails, for loads, stores, AMOs and fetches, in S and
   U, with the cause and the address. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define S STATUS_MPP_S
#define RWX (PTE_R | PTE_W | PTE_X)
#define AD (PTE_A | PTE_D)

/* Page 0 with these flags: do a load, a store and a fetch in `status` work (1) or fault (0)? */
#define FLAGS(number, status, flags, loads, stores, fetches) \
  PAGE(0, data_pages, flags) \
  sfence.vma; \
  li s1, WINDOW + 8; \
  LOAD_##loads(number, status) \
  STORE_##stores(number, status) \
  FETCH_##fetches(number, status)

#define LOAD_1(number, status) AS_WORKS(number, status, ld a0, 0(s1))
#define LOAD_0(number, status) AS_TRAPS(number, status, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
#define STORE_1(number, status) AS_WORKS(number, status, sd a0, 0(s1)) \
  AS_WORKS(number, status, amoadd.d a1, zero, (s1))
#define STORE_0(number, status) AS_TRAPS(number, status, CAUSE_STORE_PAGE, s1, sd a0, 0(s1)) \
  AMO_0(number, status)
#ifdef QEMU /* 7.2 calls it a load page fault where the page cannot be read; SC: see access.S */
#define AMO_0(number, status)
#else
#define AMO_0(number, status) \
  AS_TRAPS(number, status, CAUSE_STORE_PAGE, s1, amoadd.d a1, zero, (s1)) \
  AS_TRAPS(number, status, CAUSE_STORE_PAGE, s1, sc.d a1, zero, (s1))
#endif
/* The page holds zeros: running it is illegal there, which shows that the fetch worked. */
#define FETCH_1(number, status) \
  la s11, 5f; \
  li s8, -1; \
  csrw mepc, s1; \
  li t0, STATUS_MPP; \
  csrc mstatus, t0; \
  li t0, status; \
  csrs mstatus, t0; \
  la t0, catch_illegal; \
  csrw mtvec, t0; \
  mret; \
5: \
  la t0, machine_handler; \
  csrw mtvec, t0; \
  EXPECT(number, s8, CAUSE_ILLEGAL)
#define FETCH_0(number, status) FETCH_TRAPS(number, status, CAUSE_FETCH_PAGE, s1, s1)

  BEGIN_MACHINE
  USE_MODES
  PAGING_ON

  /* S-mode and U-mode, permission by permission. */
  FLAGS(2, S, PTE_V | PTE_R | AD, 1, 0, 0)
  FLAGS(3, S, PTE_V | PTE_R | PTE_W | AD, 1, 1, 0)
  FLAGS(4, S, PTE_V | PTE_X | AD, 0, 0, 1)
  FLAGS(5, S, PTE_V | PTE_R | PTE_X | AD, 1, 0, 1)
  FLAGS(6, S, PTE_V | RWX | AD, 1, 1, 1)
  FLAGS(7, 0, PTE_V | PTE_U | PTE_R | AD, 1, 0, 0)
  FLAGS(8, 0, PTE_V | PTE_U | PTE_X | AD, 0, 0, 1)
  FLAGS(9, 0, PTE_V | PTE_U | RWX | AD, 1, 1, 1)
  /* U-mode on a supervisor page, S-mode on a user page. */
  FLAGS(10, 0, PTE_V | RWX | AD, 0, 0, 0)
  FLAGS(11, S, PTE_V | PTE_U | RWX | AD, 0, 0, 0)
  /* Not valid; reserved: W without R; a pointer at the last level; reserved high bits. */
  FLAGS(12, S, RWX | AD, 0, 0, 0)
  FLAGS(13, S, PTE_V | PTE_W | AD, 0, 0, 0)
  FLAGS(14, S, PTE_V | PTE_W | PTE_X | AD, 0, 0, 0)
  FLAGS(15, S, PTE_V, 0, 0, 0)
  FLAGS(16, S, PTE_ALL | (1 << 54), 0, 0, 0)
  FLAGS(17, S, PTE_ALL | (1 << 60), 0, 0, 0)
  FLAGS(18, S, PTE_ALL | (1 << 61), 0, 0, 0)
  FLAGS(19, S, PTE_ALL | (1 << 63), 0, 0, 0)
  /* G and the software bits do not matter. */
  FLAGS(20, S, PTE_ALL | PTE_G | (3 << 8), 1, 1, 1)

  /* SUM opens user pages to loads and stores of S-mode, never to its fetches. */
  li s5, STATUS_SUM
  csrs mstatus, s5
  FLAGS(21, S, PTE_V | PTE_U | RWX | AD, 1, 1, 0)
  csrc mstatus, s5
  /* MXR makes what can be run readable. */
  li s5, STATUS_MXR
  csrs mstatus, s5
  FLAGS(22, S, PTE_V | PTE_X | AD, 1, 0, 1)
  FLAGS(23, 0, PTE_V | PTE_U | PTE_X | AD, 1, 0, 1)
  FLAGS(24, S, PTE_V | PTE_U | PTE_X | AD, 0, 0, 0)
  csrc mstatus, s5

  /* LR needs reading, SC and a failing SC need writing. */
  PAGE(0, data_pages, PTE_V | PTE_R | AD)
  sfence.vma
  AS_WORKS(25, S, lr.d a0, (s1))
  AS_TRAPS(26, S, CAUSE_STORE_PAGE, s1, sc.d a0, a0, (s1))
  PAGE(0, data_pages, PTE_V | PTE_X | AD)
  sfence.vma
  AS_TRAPS(27, S, CAUSE_LOAD_PAGE, s1, lr.w a0, (s1))

  /* Addresses that are not sign-extended from bit 38. */
  li s1, 1 << 39
  AS_TRAPS(28, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  li s1, 0x8000000000200000
  AS_TRAPS(29, S, CAUSE_STORE_PAGE, s1, sd a0, 0(s1))
  li s1, 1 << 38
  AS_TRAPS(30, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  FETCH_TRAPS(31, S, CAUSE_FETCH_PAGE, s1, s1)
  li s1, 0xffffffbfffffff00
  FETCH_TRAPS(32, S, CAUSE_FETCH_PAGE, s1, s1)

  /* Superpages: a misaligned one is reserved; an aligned one maps all of itself. */
  la t1, root
  li t0, ((0x80000000 + 0x1000) >> 2) | PTE_ALL
  sd t0, 8(t1)
  sfence.vma
  li s1, 0x40000000
  AS_TRAPS(33, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  li t0, ((0x80000000 + 0x200000) >> 2) | PTE_ALL
  la t1, root
  sd t0, 8(t1)
  sfence.vma
  AS_TRAPS(34, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  la t1, middle
  li t0, ((0x80000000 + 0x1000) >> 2) | PTE_ALL
  sd t0, 16(t1)
  sfence.vma
  li s1, 0x400000
  AS_TRAPS(35, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
  la t1, middle
  li t0, (0x80000000 >> 2) | PTE_ALL
  sd t0, 16(t1)
  sfence.vma
  la s2, data_pages
  li t0, 0x1122334455667788
  sd t0, 0(s2)
  li t0, 0x80000000 - 0x400000
  sub s1, s2, t0
  AS_WORKS(36, S, ld a0, 0(s1))
  EXPECT(37, a0, 0x1122334455667788)

  /* A pointer with A, D or U set is reserved. */
  ENTRY(middle, 8, leaf, PTE_V | PTE_A)
  PAGE(0, data_pages, PTE_ALL)
  sfence.vma
  li s1, WINDOW
#ifndef QEMU /* 7.2 follows it */
  AS_TRAPS(38, S, CAUSE_LOAD_PAGE, s1, ld a0, 0(s1))
#endif
  /* A table outside memory: an access fault, with the address of the access. */
  la t1, middle
  li t0, (0x40000000 >> 2) | PTE_V
  sd t0, 8(t1)
  sfence.vma
#ifndef QEMU /* 7.2 calls it a page fault */
  AS_TRAPS(39, S, CAUSE_LOAD_ACCESS, s1, ld a0, 0(s1))
  AS_TRAPS(40, S, CAUSE_STORE_ACCESS, s1, sd a0, 0(s1))
  FETCH_TRAPS(41, S, CAUSE_FETCH_ACCESS, s1, s1)
#endif
  /* A page outside memory: the same. */
  ENTRY(middle, 8, leaf, PTE_V)
  la t1, leaf
  li t0, (0x40000000 >> 2) | PTE_ALL
  sd t0, 0(t1)
  sfence.vma
  AS_TRAPS(42, S, CAUSE_LOAD_ACCESS, s1, ld a0, 0(s1))
  AS_TRAPS(43, S, CAUSE_STORE_ACCESS, s1, sd a0, 0(s1))

  /* MPRV with MPP = M does not translate; without MPRV M-mode never does. */
  li s1, 0x80000000
  AS_WORKS(44, STATUS_MPP, ld a0, 0(s1))
  LEGAL(45, ld a0, 0(s1))
  PAGE(0, data_pages, PTE_ALL)
  sfence.vma
  li s1, WINDOW
  TRAPS(46, CAUSE_LOAD_ACCESS, s1, ld a0, 0(s1))

  /* Bare satp in S-mode: physical addresses. */
  csrw satp, zero
  sfence.vma
  la s1, data_pages
  AS_WORKS(47, S, ld a0, 0(s1))
  EXPECT(48, a0, 0x1122334455667788)

  END
  MODES_HANDLER
  .balign 4
catch_illegal:
  csrr s8, mcause
  li t5, STATUS_MPP
  csrs mstatus, t5
  csrw mepc, s11
  mret
  PAGE_TABLES
